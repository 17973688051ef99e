"""How plain the maps shall be: from `Agent` and the command line to traces, reports and measures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import plain
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.errors import UsageError
from pixelrl.policies import build_policy
from pixelrl.report.asked import asked_again
from pixelrl.report.page import report_html
from pixelrl.report.strip import strip
from pixelrl.trace import load_trace, save_trace
from test_explain import Page

Run = Callable[..., tuple[int, str, str]]


def noise(*shape: int) -> np.ndarray:
    grey = np.random.default_rng(0).integers(90, 160, shape, dtype=np.uint8)
    return cv2.GaussianBlur(grey, (0, 0), 1.5)


@pytest.fixture(scope="module")
def agent() -> Agent:
    return plain.agent()


@pytest.fixture
def deaf() -> Agent:
    """A policy that cannot be told."""
    card = PolicyCard("deaf", "lookahead", {"width": 8, "deep_width": 8, "head_width": 4}, plain.card().action_names, 2,
        "sigma", {})  # fmt: skip
    return Agent(card.build().eval(), card, torch.device("cpu"))


# --- Agent ------------------------------------------------------------------------------------------------------------


def test_plainer_maps(agent: Agent) -> None:
    maps = [agent(noise(40, 50), 25, legibility=told).trajectory.actions for told in (0, 0.5, 1)]
    assert plain.disagreement(maps[0]) > plain.disagreement(maps[1]) > plain.disagreement(maps[2])


def test_the_default_is_the_policys_own(agent: Agent) -> None:
    pixels = noise(40, 50)
    assert (agent.legible, agent.legibility) == (True, plain.DEFAULT)
    result = agent(pixels, 25)
    assert result.legibility == plain.DEFAULT
    assert np.array_equal(result.image, agent(pixels, 25, legibility=plain.DEFAULT).image)
    assert not np.array_equal(result.image, agent(pixels, 25, legibility=1).image)
    assert agent(pixels, 25, legibility=1).legibility == 1.0


def test_all_ways_to_run_are_told(agent: Agent) -> None:
    pixels = noise(40, 50)
    image = torch.from_numpy(pixels / np.float32(255))[None, None]
    condition = agent.condition(image, {"sigma": 25.0})
    maps = [agent.run(image, condition, legibility=told)[0].actions for told in (None, plain.DEFAULT, 1.0)]
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])
    tiled = agent.run(image, condition, tile=16, legibility=1.0)[0].actions
    assert torch.equal(tiled, maps[2])
    colours = agent(np.stack([pixels] * 3, -1), 25, legibility=1).trajectory.actions
    assert torch.equal(colours[:, :, 2:], maps[2])  # each channel by itself
    assert torch.equal(agent(np.stack([pixels] * 2)[..., None], 25, legibility=1).trajectory.actions[:, 1:], maps[2])


def test_a_mean_of_eight_has_no_maps_and_is_as_good_as_can_be(agent: Agent) -> None:
    pixels = noise(20, 20)
    quarter = [np.rot90(pixels, turn) for turn in range(4)]
    turns = [turned for one in quarter for turned in (one, one[:, ::-1])]
    runs = [agent(np.ascontiguousarray(turned) / 255.0, 25, legibility=0).image for turned in turns]
    back = [np.rot90(run if i % 2 == 0 else run[:, ::-1], -(i // 2)) for i, run in enumerate(runs)]
    np.testing.assert_allclose(agent.ensemble(pixels / 255.0, 25)[0], np.mean(back, 0), atol=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.01, float("nan"), True, "much"])
def test_what_is_no_legibility_is_refused(agent: Agent, value: object) -> None:
    with pytest.raises(UsageError, match=r"is out of range; give a number from 0 \(best quality\) to 1 \(plainest"):
        agent(noise(8, 8), 25, legibility=value)


def test_a_policy_that_cannot_be_told_says_so(deaf: Agent) -> None:
    pixels = noise(8, 8)
    assert (deaf.legible, deaf.legibility) == (False, None)
    assert deaf(pixels, 25).legibility is None
    assert deaf(pixels, 25).trace().legibility is None
    image = torch.zeros(1, 1, 8, 8)
    for refused in (
        lambda: deaf(pixels, 25, legibility=0),
        lambda: deaf.run(image, deaf.condition(image, {"sigma": 25.0}), legibility=0.5),
    ):
        with pytest.raises(UsageError, match="policy deaf cannot be told how plain its maps shall be; leave it out"):
            refused()


# --- Traces and pages -------------------------------------------------------------------------------------------------


def test_a_trace_remembers(agent: Agent, tmp_path: Path) -> None:
    result = agent(noise(30, 40), 25, legibility=0.75)
    save_trace(tmp_path / "t.npz", result.trace())
    trace = load_trace(tmp_path / "t.npz")
    assert trace.legibility == 0.75
    assert np.array_equal(trace.replay(), result.image)
    assert trace.upright().legibility == 0.75


def test_a_trace_of_before_has_none(deaf: Agent, tmp_path: Path) -> None:
    save_trace(tmp_path / "t.npz", deaf(noise(8, 8), 25).trace())
    with np.load(tmp_path / "t.npz") as file:
        assert "legibility" not in json.loads(str(file["header"]))
    assert load_trace(tmp_path / "t.npz").legibility is None


@pytest.mark.parametrize("value", [2, -1, float("nan"), "much", [0.5]])
def test_a_damaged_trace_is_refused(agent: Agent, tmp_path: Path, value: object) -> None:
    save_trace(tmp_path / "t.npz", agent(noise(8, 8), 25).trace())
    with np.load(tmp_path / "t.npz") as file:
        arrays = dict(file)
    header = {**json.loads(str(arrays["header"])), "legibility": value}
    np.savez(tmp_path / "t.npz", **{**arrays, "header": np.array(json.dumps(header))})
    with pytest.raises(UsageError, match=r"is damaged|is truncated"):
        load_trace(tmp_path / "t.npz")


def test_who_is_asked_again_is_told_the_same(agent: Agent) -> None:
    trace = agent(noise(30, 40), 25, legibility=1).trace()

    def agreeing(legibility: float | None) -> float:
        told = type(trace)(**{**vars(trace), "legibility": legibility})
        answers = asked_again(told, agent, lambda logits: logits.argmax(1).to(torch.uint8))
        return float(np.mean([answer[0].numpy() == done for answer, done in zip(answers, trace.actions, strict=True)]))

    assert agreeing(1.0) == 1
    assert agreeing(0.0) < 1
    assert agreeing(None) == agreeing(0.0)


def test_pages_and_sheets_say_it(agent: Agent, deaf: Agent) -> None:
    pixels = noise(30, 40)
    trace, untold = agent(pixels, 25, legibility=0.75).trace(), deaf(pixels, 25).trace()
    assert Page(report_html(trace, agent=agent)).data["legibility"] == 0.75
    assert Page(report_html(untold, agent=deaf)).data["legibility"] is None
    assert strip(trace).tobytes() != strip(type(trace)(**{**vars(trace), "legibility": 0.5})).tobytes()


# --- How sure it was --------------------------------------------------------------------------------------------------


def test_who_never_learned_to_choose_is_not_asked_how_sure_it_was(deaf: Agent) -> None:
    trace = deaf(noise(30, 40), 25).trace()
    data = Page(report_html(trace, agent=deaf)).data
    assert data["doubt"] == (
        "The policy's probabilities are not shown: deaf never learned to choose; it takes what lies nearest to its "
        "estimate."
    )
    assert data["entropy"] is None
    assert "unsure" not in data["views"][0]
    assert "percent" not in data["views"][0]
    with torch.no_grad():
        deaf.policy.to_logits.weight.fill_(0.01)
    assert Page(report_html(trace, agent=deaf)).data["entropy"] is not None


def test_nothing_that_was_learned_chooses_at_legibility_0(agent: Agent) -> None:
    data = [Page(report_html(agent(noise(30, 40), 25, legibility=told).trace(), agent=agent)).data for told in (0, 0.5)]
    assert data[0]["doubt"] == (
        "The policy's probabilities are not shown: plain, told legibility 0, takes what lies nearest to its estimate."
    )
    assert data[0]["entropy"] is None
    assert data[1]["entropy"] is not None


@pytest.mark.parametrize(
    ("training", "reinforced"),
    [
        ({}, True),  # of an imported one
        (
            {"iterations": 100, "recipe": {"warm_start": {"iterations": 100}, "reinforcement": {"iterations": 50}}},
            False,
        ),
        ({"iterations": 101, "recipe": {"warm_start": {"iterations": 100}, "reinforcement": {"iterations": 50}}}, True),
        ({"iterations": 150, "recipe": {"warm_start": {"iterations": 100}, "reinforcement": {"iterations": 0}}}, False),
        ({"iterations": 100, "recipe": {"reinforcement": {"iterations": 100}}}, True),
        ({"iterations": 9, "recipe": {"warm_start": {"iterations": 9}}, "judge": "other"}, True),  # learned elsewhere
    ],
)
def test_what_a_file_says_of_reinforcement(deaf: Agent, training: dict, reinforced: bool) -> None:
    card = PolicyCard("p", "lookahead", {}, plain.card().action_names, 2, "sigma", training)
    assert card.reinforced is reinforced
    with torch.no_grad():
        deaf.policy.to_logits.weight.fill_(0.01)
    assert Agent(deaf.policy, card, torch.device("cpu")).learned_to_choose() is reinforced


# --- The command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "photo.png"), noise(30, 40))
    return tmp_path / "photo.png"


def test_denoise(agent: Agent, run: Run, photo: Path, tmp_path: Path) -> None:
    policy, out, trace = plain.policy_file(tmp_path), tmp_path / "out.png", tmp_path / "t.npz"
    words = ("denoise", photo, "--policy", policy, "--sigma", 25, "-o", out, "--overwrite", "--trace", trace)
    code, said, _ = run(*words, "--legibility", 0.75)
    assert code == 0
    assert ", legibility 0.75, " in said
    assert np.array_equal(cv2.imread(str(out), -1), agent(noise(30, 40), 25, legibility=0.75).image)
    assert load_trace(trace).legibility == 0.75
    _, said, _ = run(*words, "--json")
    assert json.loads(said)["legibility"] == plain.DEFAULT
    _, said, _ = run(*[word for word in words if word not in ("--trace", trace)], "--ensemble", "--json")
    assert json.loads(said)["legibility"] is None


def test_a_stack(agent: Agent, run: Run, tmp_path: Path) -> None:
    import tifffile

    pages = np.stack([noise(30, 40), noise(30, 40)[::-1]])
    tifffile.imwrite(tmp_path / "in.tif", pages)
    code, said, err = run(
        "denoise", tmp_path / "in.tif", "--policy", plain.policy_file(tmp_path), "--sigma", 25, "-o",
        tmp_path / "out.tif", "--legibility", 1, "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(said)["legibility"] == 1
    results = tifffile.imread(tmp_path / "out.tif")
    for page, result in zip(pages, results, strict=True):
        assert np.array_equal(result, agent(page, 25, legibility=1).image)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--legibility", 2), "2.0 is not in the range 0<=x<=1"),
        (("--legibility", "much"), "'much' is not a valid float"),
        (("--legibility", "nan"), "legibility = nan is out of range; give a number from 0 (best quality) to 1"),
        (("--legibility", 0.5, "--ensemble"), "--ensemble averages eight runs, which have no common --legibility"),
    ],
)
def test_wrong_values_are_refused(
    run: Run, photo: Path, tmp_path: Path, words: Sequence[object], sentence: str
) -> None:
    policy = plain.policy_file(tmp_path)
    code, _, err = run("denoise", photo, "--policy", policy, "--sigma", 25, "-o", tmp_path / "out.png", *words)
    assert code == 2
    assert sentence in err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    "words", [("denoise", "--policy"), ("restore", "--policy"), ("enhance", "--style"), ("saliency", "--policy")]
)
def test_only_who_cannot_be_told_refuses(run: Run, photo: Path, tmp_path: Path, deaf: Agent, words: tuple) -> None:
    from dataclasses import replace

    from pixelrl.checkpoint import save_policy

    command, option = words
    card = replace(deaf.card, condition="strength" if command == "saliency" else None)
    save_policy(tmp_path / "deaf.safetensors", deaf.policy, card)
    code, _, err = run(
        command, photo, option, tmp_path / "deaf.safetensors", "-o", tmp_path / "o.png", "--legibility", 0
    )
    assert code == 2
    assert "policy deaf cannot be told how plain its maps shall be; leave it out" in err
    assert err.count("\n") == 1


def test_evaluate(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), noise(40, 50))
    policy, file = plain.policy_file(tmp_path), tmp_path / "scores.json"
    words = ("evaluate", policy, "--data", tmp_path / "photos", "--sigma", 25, "--json", file, "--overwrite")

    def measured(*more: object) -> dict:
        code, _, err = run(*words, *more)
        assert code == 0, err
        return json.loads(file.read_text())

    best, usual, plainest = measured("--legibility", 0), measured(), measured("--legibility", 1)
    assert [one["legibility"] for one in (best, usual, plainest)] == [0.0, plain.DEFAULT, 1.0]
    assert best["mean"]["psnr"] != plainest["mean"]["psnr"]
    assert best["mean"]["bits_per_pixel"] > usual["mean"]["bits_per_pixel"] > plainest["mean"]["bits_per_pixel"]
    assert measured("--ensemble")["legibility"] is None
    code, _, err = run(*words, "--ensemble", "--legibility", 1)
    assert code == 2
    assert "--ensemble averages eight runs, which have no common maps; give it or --legibility" in err


def test_a_policy_builds_from_its_file() -> None:
    assert build_policy("plain:Plain", {"num_actions": 9}).legible
