"""Edits as layers: a share of their pixels, a feathered edge, and switched off, all of it the same bits again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pixelrl.actions import PAPER_NINE
from pixelrl.edits import Edit, Editor, parse_edits
from pixelrl.errors import UsageError
from pixelrl.imaging.thinning import thinned
from pixelrl.rollout import Trajectory
from pixelrl.studio.preview import Frames, Preview, as_mask

HEIGHT, WIDTH, STEPS = 40, 52, 3
BOX = {"box": [8, 4, 40, 36]}
PROTECT = {"region": BOX, "do": {"force": "do nothing"}}


@pytest.fixture
def plain() -> Trajectory:
    generator = torch.Generator().manual_seed(0)
    initial = torch.rand((1, 1, HEIGHT, WIDTH), generator=generator)
    actions = torch.randint(0, len(PAPER_NINE), (STEPS, 1, 1, HEIGHT, WIDTH), generator=generator)
    return Trajectory(initial, actions.to(torch.uint8), PAPER_NINE)


def parsed(*entries: object) -> tuple[Edit, ...]:
    return parse_edits(list(entries), Path())


def test_a_share_is_spread_evenly_and_grows() -> None:
    inside = torch.zeros((48, 64), dtype=torch.bool)
    inside[8:40, 16:48] = True
    before = torch.zeros_like(inside)
    for share in (0.25, 0.5, 0.75, 1.0):
        taken = thinned(inside, share, 0)
        assert not (taken & ~inside).any()
        assert not (before & ~taken).any()  # more of it keeps what there was
        blocks = taken[8:40, 16:48].float().reshape(4, 8, 4, 8).mean((1, 3))
        assert torch.equal(blocks, torch.full((4, 4), share))  # everywhere the same
        before = taken
    assert torch.equal(before, inside)


def test_a_feather_begins_at_the_edge_and_not_at_the_picture_border() -> None:
    inside = torch.zeros((64, 64), dtype=torch.bool)
    inside[:, 32:] = True  # its edge is in the middle, and the rest of it ends with the picture
    columns = thinned(inside, 1.0, 15).float().mean(0)
    assert not columns[:32].any()
    fading = [float(columns[start : start + 4].mean()) for start in range(32, 48, 4)]
    assert fading == sorted(fading)
    assert fading[0] < 0.3
    assert (columns[48:] == 1).all()
    everywhere = torch.ones((8, 8), dtype=torch.bool)
    assert thinned(everywhere, 1.0, 15).all()


def test_off_is_as_if_it_were_not_there(plain: Trajectory) -> None:
    others = [{"steps": [2], "do": {"forbid": ["box"]}}, {"steps": [3], "region": BOX, "do": "stop"}]
    for do in ({"force": "box"}, {"forbid": ["box"]}, "stop"):
        off = parsed(others[0], {"do": do, "off": True}, others[1])
        assert torch.equal(plain.edited(off).actions, plain.edited(parsed(*others)).actions)
    logits = torch.rand((1, len(PAPER_NINE), 1, 4, 4))
    editor = Editor(parsed({"do": {"forbid": ["box"]}, "off": True}), PAPER_NINE, 4, 4)
    choices = editor.alternatives(logits)
    assert torch.equal(editor.live(0, torch.rand((1, 1, 4, 4)), choices), choices[:, :1])


def test_a_share_of_the_pixels_is_edited_and_the_same_ones_again(plain: Trajectory) -> None:
    half = {**PROTECT, "share": 0.5, "feather": 3}
    edited = plain.edited(parsed(half))
    changed = (edited.actions != plain.actions).any(0)[0, 0]
    wanted = parsed(half)[0].region(HEIGHT, WIDTH)
    assert 0.3 < wanted[4:36, 8:40].float().mean() < 0.5
    assert not (changed & ~wanted).any()
    nothing = PAPER_NINE.index("do nothing")
    assert (edited.actions[:, 0, 0, wanted] == nothing).all()
    assert torch.equal(plain.edited(parsed(half)).final(), edited.final())


def test_the_preview_shows_what_the_replay_gives(plain: Trajectory) -> None:
    frames = Frames(list(plain.images()), plain.actions)
    entries = [
        {**PROTECT, "share": 0.5, "feather": 3},
        {"do": {"force": "box"}, "share": 0.25, "feather": 9},
        {**PROTECT, "off": True},
    ]
    edits = [as_mask(edit, HEIGHT, WIDTH) for edit in parsed(*entries)]
    preview = Preview(frames, PAPER_NINE, "srgb")
    preview.change(edits, edits)
    while preview.todo:
        preview.work(1.0)
    exact = plain.edited(parsed(*entries))
    assert torch.equal(preview.frames.actions, exact.actions)
    assert torch.allclose(preview.frames.images[-1], exact.final(), atol=1e-5)


@pytest.mark.parametrize("fields", [{"share": 0}, {"share": 1.5}, {"feather": -1}, {"feather": 0.5}, {"off": "yes"}])
def test_what_means_nothing_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(fields))):
        parsed({**PROTECT, **fields})


def test_the_studio_takes_no_share_twice() -> None:
    edit = parsed({**PROTECT, "share": 0.5})[0]
    mask = as_mask(edit, HEIGHT, WIDTH)
    assert mask.share == 1.0  # it is in the mask already, and not taken twice
    assert torch.equal(mask.region(HEIGHT, WIDTH), edit.region(HEIGHT, WIDTH))
    assert np.isclose(float(mask.region(HEIGHT, WIDTH)[4:36, 8:40].float().mean()), 0.5)
