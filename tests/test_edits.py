"""Edits: what they change, what they leave alone, and what is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pixelrl
from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.cli import main
from pixelrl.edits import Edit, Editor, load_edits, parse_edits, schema, within
from pixelrl.errors import UsageError
from pixelrl.rollout import Trajectory

STEPS, HEIGHT, WIDTH = 3, 40, 52
REACH = ActionSet(PAPER_NINE).reach
INDEX = {name: i for i, name in enumerate(PAPER_NINE)}


@pytest.fixture
def agent(randomise) -> Agent:
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 1}
    card = PolicyCard("small", "lookahead", arguments, PAPER_NINE, STEPS, "sigma", {})
    network = card.build()
    randomise(network)
    return Agent(network.eval(), card, torch.device("cpu"))


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand((1, 1, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def plain(agent: Agent, image: torch.Tensor) -> Trajectory:
    return agent(image, sigma=25).trajectory


def parsed(*edits: object) -> tuple[Edit, ...]:
    return parse_edits(list(edits), Path())


def test_no_edits_change_nothing(agent: Agent, image: torch.Tensor, plain: Trajectory) -> None:
    assert torch.equal(plain.edited([]).actions, plain.actions)
    assert torch.equal(plain.edited([]).final(), plain.final())
    assert torch.equal(agent(image, sigma=25, edits=[]).image, plain.final())
    # An edit that meets nobody goes all the way through the live path.
    nobody = parsed({"where": {"brightness": [900, 999]}, "do": {"force": "box"}})
    assert torch.equal(agent(image, sigma=25, edits=nobody).trajectory.actions, plain.actions)


@pytest.mark.parametrize("steps", ["all", [2], [1, 3]])
def test_force_is_done_there_and_changes_nothing_far_away(plain: Trajectory, steps: object) -> None:
    edits = parsed({"steps": steps, "region": {"box": [10, 5, 20, 12]}, "do": {"force": "median"}})
    edited = plain.edited(edits)
    for t in range(STEPS):
        inside = edited.actions[t, ..., 5:12, 10:20]
        meant = steps == "all" or t + 1 in steps
        assert (inside == INDEX["median"]).all() == meant
    outside = torch.ones((HEIGHT, WIDTH), dtype=torch.bool)
    outside[5:12, 10:20] = False
    assert torch.equal(edited.actions[..., outside], plain.actions[..., outside])
    far = torch.ones((HEIGHT, WIDTH), dtype=torch.bool)
    spread = REACH * (STEPS - 1)  # what a step changes, the filters of the later steps carry on
    far[max(0, 5 - spread) : 12 + spread, max(0, 10 - spread) : 20 + spread] = False
    assert far.any()
    assert not torch.equal(edited.final(), plain.final())
    # The bilateral filter's table spans the whole plane, which may move its last bit.
    torch.testing.assert_close(edited.final()[..., far], plain.final()[..., far], rtol=0, atol=1e-6)


@pytest.mark.parametrize("live", [False, True])
def test_protected_pixels_keep_their_bits(agent: Agent, image: torch.Tensor, plain: Trajectory, live: bool) -> None:
    edits = parsed({"region": {"polygon": [[8, 8], [40, 8], [24, 35]]}, "do": {"force": "do nothing"}})
    inside = edits[0].region(HEIGHT, WIDTH)
    assert 300 < int(inside.sum()) < 600
    assert inside[20, 24] and not inside[30, 10]  # noqa: PT018
    final = agent(image, sigma=25, edits=edits).image if live else plain.edited(edits).final()
    assert torch.equal(final[..., inside], image[..., inside])
    assert not torch.equal(final, image)


def test_forbid_takes_the_next_best_live_and_nothing_in_replay(
    agent: Agent, image: torch.Tensor, plain: Trajectory
) -> None:
    favourite = PAPER_NINE[int(plain.actions[0].flatten().mode().values)]
    edits = parsed({"steps": [1], "do": {"forbid": [favourite]}})
    met = plain.actions[0] == INDEX[favourite]
    replayed, live = plain.edited(edits), agent(image, sigma=25, edits=edits).trajectory
    assert (replayed.actions[0][met] == INDEX["do nothing"]).all()
    assert not (live.actions[0] == INDEX[favourite]).any()
    assert torch.equal(live.actions[0][~met], plain.actions[0][~met])
    memory = agent.policy.perceive(image, torch.full((1, 1, 1, 1), 25 / 255))
    logits = agent.policy(image, agent.actions.outcomes(image), memory).logits
    second = logits.topk(2, 1).indices[:, 1]
    assert torch.equal(live.actions[0][met], second[met].to(torch.uint8))
    tiled = agent(image, sigma=25, tile=16, edits=edits).trajectory
    assert (tiled.actions != live.actions).double().mean() < 0.01


def test_stop_lasts_until_the_end(plain: Trajectory) -> None:
    edits = parsed({"steps": [2], "where": {"brightness": [0, 127]}, "do": "stop"})
    edited = plain.edited(edits)
    before = list(plain.images())[1]
    dark = 255 * before <= 127  # what is below 0 is black, too
    assert torch.equal(edited.actions[0], plain.actions[0])
    assert (edited.actions[1:, dark] == INDEX["do nothing"]).all()
    assert torch.equal(edited.actions[1][~dark], plain.actions[1][~dark])


def test_conditions_on_the_action_and_later_edits_win(plain: Trajectory) -> None:
    edits = parsed(
        {"where": {"action": ["box", "median"]}, "do": {"force": "Gaussian 0.5"}},
        {"region": {"box": [0, 0, 5, 5]}, "do": {"force": "grey level +1"}},
    )
    edited = plain.edited(edits).actions
    expected = plain.actions.clone()
    met = (expected == INDEX["box"]) | (expected == INDEX["median"])
    assert met.any()
    expected[met] = INDEX["Gaussian 0.5"]
    expected[..., :5, :5] = INDEX["grey level +1"]
    assert torch.equal(edited, expected)


def test_a_file_gives_the_same_bits_again(agent: Agent, image: torch.Tensor, tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:9, 4:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    content = [{"steps": [1, 2], "region": {"mask": "mask.png"}, "do": {"force": "box"}}]
    (tmp_path / "edits.json").write_text(json.dumps(content))
    edits = load_edits(tmp_path / "edits.json")
    assert len(load_edits(str(tmp_path / "edits.json"))) == 1  # as the README has it
    assert torch.equal(edits[0].region(HEIGHT, WIDTH), torch.from_numpy(mask > 0))
    result = agent(image, sigma=25, edits=edits)
    pixelrl.save_trace(tmp_path / "t.npz", result.trace())
    again = pixelrl.load_trace(tmp_path / "t.npz").trajectory()
    assert torch.equal(again.final(), result.image)
    assert torch.equal(again.edited(edits).final(), result.image)  # applying the same edits twice changes nothing more


HUGE = "1" * 400


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ('"region": {"polygon": [[1, 1], [NaN, 5], [9, 9]]}', "region.polygon"),
        ('"region": {"polygon": [[1, 1], [5, Infinity], [9, 9]]}', "region.polygon"),
        ('"region": {"polygon": [[1, 1], [1e308, 5], [9, 9]]}', "region.polygon"),
        (f'"region": {{"polygon": [[1, 1], [{HUGE}, 5], [9, 9]]}}', "region.polygon"),
        (
            f'"region": {{"polygon": [{", ".join(["[1, 1]"] * 200_000)}]}}',
            "3 to 1000 corners [x, y] in pixels; draw finer outlines as a mask",
        ),
        (f'"region": {{"box": [0, 0, {HUGE}, 5]}}', "region.box"),
        ('"where": {"brightness": [NaN, 5]}', "where.brightness"),
        ('"where": {"brightness": [-Infinity, Infinity]}', "where.brightness"),
        (f'"where": {{"brightness": [0, {HUGE}]}}', "where.brightness"),
        (f'"steps": [{HUGE}]', "steps"),
        (f'"steps": {"[" * 500 + "]" * 500}', "steps"),
    ],
)
def test_numbers_without_a_meaning_are_refused_in_one_short_sentence(tmp_path: Path, fields: str, words: str) -> None:
    path = tmp_path / "edits.json"
    path.write_text(f'[{{"do": "stop"}}, {{"do": "stop", {fields}}}]')
    with pytest.raises(UsageError, match="edit 2: ") as refused:
        load_edits(path)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 400


def test_nested_beyond_all_bounds_is_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "edits.json"
    path.write_text("[" * 200_000)
    with pytest.raises(UsageError, match=r"edits\.json is"):
        load_edits(path)


def test_the_schema_is_current() -> None:
    kept = json.loads((Path(__file__).parents[1] / "docs" / "edits.schema.json").read_text())
    assert kept == json.loads(json.dumps(schema())), "run `make schema`"
    fields = {name: set(part["properties"]) for name, part in kept["$defs"].items()}
    assert fields["EditEntry"] == {"steps", "region", "where", "do", "share", "feather", "off"}
    assert fields["RegionEntry"] == {"box", "polygon", "mask"}


@pytest.mark.parametrize("steps", [[9], [1, 4]])
def test_steps_that_the_episode_does_not_have_are_refused(agent: Agent, image: torch.Tensor, steps: list[int]) -> None:
    """They would do nothing, and say nothing."""
    edits = parsed({"do": "stop"}, {"steps": steps, "do": "stop"})
    plain = agent(image, sigma=25).trajectory
    for attempt in (lambda: plain.edited(edits), lambda: agent(image, sigma=25, edits=edits)):
        with pytest.raises(UsageError, match=rf"edit 2: steps = \[.*\], but there are only {STEPS} steps"):
            attempt()


def test_what_is_left_of_edits_in_a_shorter_episode() -> None:
    edits = parsed({"do": "stop"}, {"steps": [9], "do": "stop"}, {"steps": [2, 9], "do": "stop"})
    assert [edit.steps for edit in within(edits, STEPS)] == ["all", (2,)]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (5, "an edit = 5"),
        ({"do": "stop", "when": 1}, "when is unknown; known are do, steps, region, where"),
        ({}, r"do is missing; it must be {\"force\": ACTION}"),
        ({"do": "protect"}, 'do = "protect" must be'),
        ({"do": {"force": "box", "forbid": ["box"]}}, "must be"),
        ({"do": {"forbid": []}}, "do.forbid"),
        ({"steps": [0], "do": "stop"}, r"steps = \[0\] must be"),
        ({"steps": [], "do": "stop"}, "steps"),
        ({"region": {"box": [0, 0, 5]}, "do": "stop"}, "region.box"),
        ({"region": {"box": [0, 0, 5, 5], "mask": "m.png"}, "do": "stop"}, "box and mask"),
        ({"region": {"circle": 3}, "do": "stop"}, "region.circle is unknown; known are region.box"),
        ({"region": {"polygon": [[0, 0], [1, 1]]}, "do": "stop"}, "3 to 1000 corners"),
        ({"region": {"mask": "nowhere.png"}, "do": "stop"}, "nowhere.png"),
        ({"where": {"brightness": [9, 1]}, "do": "stop"}, "where.brightness"),
        ({"where": {"action": 3}, "do": "stop"}, "where.action"),
    ],
)
def test_a_bad_edit_is_named(edit: object, words: str) -> None:
    with pytest.raises(UsageError, match=f"edit 2: .*{words}"):
        parsed({"do": "stop"}, edit)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit(force="blur"), "'blur' is not one of the operations: grey level -1"),
        (Edit(box=(0, 0, 60, 5), stop=True), "does not lie inside the picture of 52x40"),
        (Edit(box=(9, 5, 3, 8), stop=True), r"region.box = \[9, 5, 3, 8\] holds no pixel: x1 = 3 must be larger"),
        (Edit(mask=torch.ones(3, 4, dtype=torch.bool), stop=True), "4x3 pixels, the picture 52x40"),
        (Edit(forbid=PAPER_NINE), "leaves no operation"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(plain: Trajectory, edit: Edit, words: str) -> None:
    with pytest.raises(UsageError, match=f"edit 1: .*{words}"):
        plain.edited([edit])


@pytest.mark.parametrize("wrong", [np.full((2, 3, 3), 0.5), 10**400, -1, object(), {"a": 1}, float("nan"), [None]])
@pytest.mark.parametrize("name", [field.name for field in fields(Edit) if field.name != "box"])
def test_what_no_edit_can_have_is_refused_in_a_sentence(name: str, wrong: object) -> None:
    with pytest.raises(UsageError, match=f"^{name} = .* cannot be in an edit; give ") as raised:
        Edit(**{name: wrong})  # type: ignore[arg-type]
    assert len(str(raised.value)) < 250


def test_lists_and_arrays_are_as_good_as_tuples(plain: Trajectory) -> None:
    lists = Edit(steps=[1], box=[0, 0, 9, 9], actions=["box"], brightness=[0, 99], forbid=["median"])  # type: ignore[arg-type]
    tuples = Edit(steps=(1,), box=(0, 0, 9, 9), actions=("box",), brightness=(0, 99), forbid=("median",))
    assert lists == tuples
    square = np.array([[1, 1], [9, 1], [9, 9]])
    drawn = Edit(steps=np.array([1, 2]), polygon=square, force="box")  # type: ignore[arg-type]
    same = Edit(steps=(1, 2), polygon=((1, 1), (9, 1), (9, 9)), force="box")
    assert drawn == same
    assert hash(drawn) == hash(same)
    tensors = Edit(
        steps=torch.tensor([1, 2]),  # type: ignore[arg-type]
        polygon=(torch.tensor([1, 1]), (torch.tensor(9), np.array(1)), [9, 9]),  # type: ignore[arg-type]
        brightness=torch.tensor([0.0, 99.0]),  # type: ignore[arg-type]
        share=np.array(0.5),  # type: ignore[arg-type]
        feather=torch.tensor(2),  # type: ignore[arg-type]
        stop=1,  # type: ignore[arg-type]
        off=torch.tensor(False),  # type: ignore[arg-type]
    )
    assert tensors == replace(same, brightness=(0, 99), share=0.5, feather=2, force=None, stop=True)
    assert plain.edited(tensors).actions.dtype == torch.uint8
    assert Edit(steps=(1.0, np.float32(2))).steps == (1, 2)  # type: ignore[arg-type]
    whole = torch.full(plain.initial.shape[-2:], 255, dtype=torch.uint8)
    assert torch.equal(plain.edited(Edit(mask=whole, force="box")).actions, plain.edited(Edit(force="box")).actions)


@pytest.mark.parametrize("path", ["a\0b.png", "\ud800.png"])
def test_a_mask_that_no_file_can_be_called_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "e.json").write_text(json.dumps([{"region": {"mask": path}, "do": "stop"}]))
    with pytest.raises(UsageError, match=r"edit 1: .*(no file's name can have|no character)"):
        load_edits(tmp_path / "e.json")


def test_a_box_beyond_the_border_is_said_to_be_so() -> None:
    (edit,) = parsed({"region": {"box": [-5, -5, 20, 20]}, "do": "stop"})
    with pytest.raises(UsageError, match=r"region.box = \[-5, -5, 20, 20\] does not lie inside the picture of 52x40"):
        edit.region(HEIGHT, WIDTH)
    with pytest.raises(UsageError, match=r"region.box = 3 must be x0, y0, x1, y1, four whole numbers"):
        Edit(box=3, stop=True).region(HEIGHT, WIDTH)  # type: ignore[arg-type]


def test_edits_that_change_nothing_are_told(plain: Trajectory) -> None:
    """By what they do to this episode, in their order; one that is off is meant to do nothing."""
    edits = [Edit(forbid=("do nothing",)), Edit(stop=True, off=True), Edit(force="box"), Edit(force="box")]
    assert plain.edited(edits).idle_edits == (1, 4)
    assert plain.idle_edits == ()


def test_live_edits_that_change_nothing_are_told_in_the_same_words(agent: Agent, image: torch.Tensor) -> None:
    edits = [Edit(force="box"), Edit(force="box"), Edit(stop=True, off=True), Edit(force="median", box=(0, 0, 9, 9))]
    words = "edit 2 changes nothing: no pixel does another operation for it"
    result = agent(image, sigma=25, edits=edits)
    assert result.idle_edits == (2,)
    assert result.remark == words
    assert agent(image, sigma=25).edited(edits).remark == words
    assert agent(image, sigma=25).remark is None
    both = agent(image, sigma=25, edits=[edits[0], *edits[:2]]).remark
    assert both == "edits 2, 3 change nothing: no pixel does another operation for it"
    # An edit counts for all of a batch: for pictures that are done one after the other, and for those left as they are.
    pictures = torch.cat([image, torch.zeros_like(image)])
    dark = [Edit(force="box", brightness=(0, 0)), Edit(force="median", brightness=(999, 999))]
    for tile in (1024, 16):
        assert agent(pictures, sigma=25, edits=dark, tile=tile).idle_edits == (2,)
    assert agent(pictures, condition={"sigma": "auto"}, edits=dark).idle_edits == (2,)


def test_stop_needs_do_nothing() -> None:
    with pytest.raises(UsageError, match="'do nothing'"):
        Editor([Edit(stop=True)], ["box", "median"], 4, 4)


def test_files_that_are_no_edits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_edits(tmp_path / "none.json")
    (tmp_path / "e.json").write_text("[{")
    with pytest.raises(UsageError, match="not valid JSON"):
        load_edits(tmp_path / "e.json")
    (tmp_path / "e.json").write_text("{}")
    with pytest.raises(UsageError, match="a list of objects"):
        load_edits(tmp_path / "e.json")


def test_command_line(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pixelrl.checkpoint import save_policy

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["pixelrl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    monkeypatch.chdir(tmp_path)
    save_policy(Path("p.safetensors"), agent.policy, agent.card)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 44), np.uint8)
    Image.fromarray(pixels).save("in.png")
    Path("e.json").write_text('[{"steps": "all", "region": {"box": [4, 3, 20, 15]}, "do": {"force": "do nothing"}}]')
    common = ("denoise", "in.png", "--policy", "p.safetensors", "--sigma", 25)
    assert run(*common, "-o", "plain.png", "--trace", "t.npz") == 0
    assert run("edit", "t.npz", "e.json", "-o", "replayed.png", "--trace", "edited.npz") == 0
    assert run("replay", "edited.npz", "-o", "again.png") == 0
    assert run(*common, "-o", "live.png", "--edits", "e.json") == 0
    results = {name: np.asarray(Image.open(f"{name}.png")) for name in ("plain", "replayed", "again", "live")}
    assert np.array_equal(results["replayed"], results["again"])
    for name in ("replayed", "live"):
        assert np.array_equal(results[name][3:15, 4:20], pixels[3:15, 4:20])
        assert not np.array_equal(results[name], pixels)
    assert not np.array_equal(results["plain"], results["replayed"])
    assert run("edit", "t.npz", "e.json", "-o", "replayed.png") == 2  # it exists
    assert run(*common, "-o", "x.png", "--edits", "e.json", "--ensemble") == 2
    capsys.readouterr()
    Path("idle.json").write_text('[{"do": {"force": "box"}}, {"do": {"forbid": ["do nothing"]}}]')
    assert run("edit", "t.npz", "idle.json", "-o", "idle.png") == 0
    assert (
        capsys.readouterr().err
        == "pixelrl: edit 2 of idle.json changes nothing: no pixel does another operation for it\n"
    )
    Path("idle.json").write_text('[{"do": {"force": "box"}}, {"do": {"force": "box"}}]')
    words = "edit 2 of idle.json changes nothing: no pixel does another operation for it"
    assert run(*common, "-o", "idle-live.png", "--edits", "idle.json") == 0
    assert f"; {words}" in capsys.readouterr().out
    assert run(*common, "-o", "idle-json.png", "--edits", "idle.json", "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [words]
    Image.fromarray(pixels).save(
        "two.tif", save_all=True, append_images=[Image.fromarray(pixels.T.copy().reshape(30, 44))]
    )
    assert run("denoise", "two.tif", *common[2:], "-o", "idle.tif", "--edits", "idle.json") == 0
    assert capsys.readouterr().out.count(words) == 1
    # What keeps the surroundings of a region as they are is no edit of a person's, and is not counted.
    assert run("restore", "in.png", "-o", "idle-region.png", "--region", "0,0,44,30", "--edits", "idle.json") == 0
    assert f"; {words}" in capsys.readouterr().out
