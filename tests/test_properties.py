"""What holds for whatever comes: tiles and edits. (For images, see test_arrays.py.)"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.edits import DO_NOTHING, edits_of, parse_edits
from pixelrl.errors import UsageError
from pixelrl.policies import FCN, Lookahead
from pixelrl.policies.tiling import tiles
from pixelrl.rollout import Trajectory, rollout

ACTIONS = ActionSet(PAPER_NINE)
INDEX = {name: i for i, name in enumerate(PAPER_NINE)}
STEPS, HEIGHT, WIDTH = 3, 9, 11


# --- Tiles ----------------------------------------------------------------------------------------


@given(some.integers(1, 200), some.integers(1, 90), some.integers(0, 40), some.sampled_from([1, 2, 4]))
def test_tiles_cover_every_axis_once_with_their_surroundings(length: int, side: int, reach: int, step: int) -> None:
    position = 0
    for tile in tiles(length, side, reach, step):
        assert tile.start == position < tile.stop <= length
        assert tile.start % step == tile.halo_start % step == 0
        assert 0 <= tile.halo_start <= max(0, tile.start - reach)
        assert min(length, tile.stop + reach) <= tile.halo_stop <= length
        position = tile.stop
    assert position == length


@hypothesis.settings(max_examples=6)
@given(some.integers(1, 50), some.integers(1, 50), some.integers(9, 40), some.booleans())
def test_tiles_change_no_choice(height: int, width: int, side: int, lookahead: bool) -> None:
    generator = torch.Generator().manual_seed(7)
    policy = Lookahead(9, width=4, deep_width=4, depths=(1, 1, 1), head_width=4) if lookahead else FCN(9, width=4)
    with torch.no_grad():
        for weight in policy.parameters():
            fan_in = weight[0].numel() if weight.ndim > 1 else 1
            weight.copy_(torch.randn(weight.shape, generator=generator) / max(1, fan_in) ** 0.5)
    image = torch.rand((1, 1, height, width), generator=generator)
    condition = torch.full((1, 1, 1, 1), 0.1)
    whole, _ = rollout(policy.eval(), ACTIONS, image, condition, 2)
    tiled, _ = rollout(policy, ACTIONS, image, condition, 2, tile=side)
    # Sums of another order may move a tie between two operations.
    assert (whole.actions != tiled.actions).double().mean() <= 0.01


# --- Edits ----------------------------------------------------------------------------------------

names = some.sampled_from(PAPER_NINE)
steps = some.one_of(some.just("all"), some.lists(some.integers(1, STEPS), min_size=1, max_size=3))
spans = some.tuples(some.integers(0, WIDTH - 1), some.integers(0, HEIGHT - 1)).flatmap(
    lambda at: some.tuples(
        some.just(at[0]), some.just(at[1]), some.integers(at[0] + 1, WIDTH), some.integers(at[1] + 1, HEIGHT)
    ).map(list)
)
corners = some.lists(some.lists(some.integers(-5, 15), min_size=2, max_size=2), min_size=3, max_size=5)
regions = some.one_of(
    some.just({}), some.fixed_dictionaries({"box": spans}), some.fixed_dictionaries({"polygon": corners})
)
deeds = some.one_of(
    some.just("stop"),
    some.fixed_dictionaries({"force": names}),
    some.fixed_dictionaries({"forbid": some.lists(names, min_size=1, max_size=3)}),
)
wheres = some.fixed_dictionaries(
    {}, optional={"action": names, "brightness": some.tuples(some.integers(0, 120), some.integers(121, 255)).map(list)}
)
entries = some.fixed_dictionaries({"steps": steps, "region": regions, "where": wheres, "do": deeds})


def recorded() -> Trajectory:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((1, 1, HEIGHT, WIDTH), dtype=np.float32))
    maps = torch.from_numpy(rng.integers(0, 9, (STEPS, 1, 1, HEIGHT, WIDTH), dtype=np.uint8))
    return Trajectory(image, maps, PAPER_NINE)


@given(some.lists(entries, max_size=4))
def test_edits_change_what_they_mean_and_nothing_else(content: list[dict[str, Any]]) -> None:
    edits = parse_edits(json.loads(json.dumps(content)), Path())
    plain, edited = recorded(), recorded().edited(edits)
    touched = torch.zeros((HEIGHT, WIDTH), dtype=torch.bool)
    for edit in edits:
        touched |= edit.region(HEIGHT, WIDTH)
    assert torch.equal(edited.actions[..., ~touched], plain.actions[..., ~touched])
    assert torch.equal(edited.edited([]).final(), edited.final())
    assert torch.equal(recorded().edited(edits).actions, edited.actions)


@given(entries)
def test_one_edit_does_what_it_says(entry: dict[str, Any]) -> None:
    (edit,) = parse_edits([entry], Path())
    plain, edited = recorded().actions, recorded().edited(edit).actions
    region = edit.region(HEIGHT, WIDTH).expand(plain.shape[1:])
    changed = plain != edited
    for t in range(STEPS):
        meant = edit.steps == "all" or t + 1 in edit.steps
        if not edit.stop:
            assert meant or not changed[t].any()
        if meant and edit.actions is None and edit.brightness is None:
            new = edited[t][region]
            if edit.force is not None:
                assert (new == INDEX[edit.force]).all()
            elif edit.stop:
                assert (new == INDEX[DO_NOTHING]).all()
            else:  # in replay, nothing is done in the place of what is forbidden
                bad = torch.tensor([INDEX[name] for name in edit.forbid if name != DO_NOTHING], dtype=torch.uint8)
                assert not torch.isin(new, bad).any()
        if edit.actions is not None and not edit.stop:
            assert torch.isin(plain[t][changed[t]], torch.tensor([INDEX[n] for n in edit.actions])).all()


anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(
        some.sampled_from(["steps", "region", "where", "do", "box", "polygon", "mask", "action", "force", "x"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@hypothesis.settings(max_examples=60)
@given(some.lists(anything, max_size=3) | anything)
def test_whatever_is_no_edit_is_refused_in_a_sentence(content: object) -> None:
    try:
        edits = parse_edits(content, Path("/nowhere"))
    except UsageError:
        return  # and nothing but that
    assert isinstance(content, list)
    assert len(edits) == len(content)


def test_edits_as_callers_give_them(tmp_path: Path) -> None:
    content = [{"region": {"box": [1, 1, 4, 4]}, "do": {"force": "box"}}]
    (tmp_path / "e.json").write_text(json.dumps(content))
    (edit,) = edits = parse_edits(content, tmp_path)
    expected = recorded().edited(edits).actions
    for same in (list(edits), edit, tmp_path / "e.json", str(tmp_path / "e.json")):
        assert torch.equal(recorded().edited(same).actions, expected)
    for wrong in (content, [1], 3, None, {"do": "stop"}):
        with pytest.raises(UsageError, match=r"are not edits; give a list of pixelrl\.Edit, or the path"):
            edits_of(wrong)
    with pytest.raises(UsageError, match="cannot be read"):
        edits_of("none.json")
