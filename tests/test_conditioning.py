"""What a policy is told: the built-in kinds, and one of the user's own with two numbers, a mask and planes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

import pixelrl
from conftest import Run
from pixelrl.actions import PAPER_NINE
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard, load_policy, save_policy
from pixelrl.errors import UsageError
from pixelrl.evaluate import evaluate
from pixelrl.pictures.files import read_picture, write_picture
from pixelrl.pictures.formats import Picture
from pixelrl.policies import Lookahead
from pixelrl.policies.estimators import ESTIMATORS
from pixelrl.policies.tiling import tiled_perceive
from pixelrl.report.asked import asked_again
from pixelrl.tasks import CONDITIONINGS, Conditioning, Episode, GaussianDenoising, Quantity, Task, find_conditioning
from pixelrl.tasks.conditioning import Nothing
from pixelrl.trace import load_trace, save_trace
from pixelrl.training.recipe import recipe_from_dict
from pixelrl.training.trainer import Trainer

SMALL = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}


class GainRead(Conditioning):
    """Signal-dependent noise: two numbers, of which one map of the deviation is told, and where the object is."""

    name = "gain-read"
    quantities = (
        Quantity("gain", "gain", "Grey levels per photon.", "grey levels", 0.0, 50.0, (0.0, 10.0, 0.1)),
        Quantity("read", "read noise", "In the dark.", "grey levels", 0.0, 50.0, (0.0, 10.0, 0.1), default=2.0),
    )
    num_planes = 2
    takes_mask = True
    estimated: ClassVar[list[int]] = []

    def encode(self, image: Tensor, values: Mapping[str, Tensor], mask: Tensor | None) -> Tensor:
        gain, read = (values[name].to(image)[:, None, None, None] / 255 for name in ("gain", "read"))
        deviation = (gain * image.mean(1, keepdim=True).clamp_min(0) + read.square()).sqrt()
        assert mask is not None
        return torch.cat([deviation, mask.to(image)], 1)

    def estimate(self, image: Tensor) -> dict[str, float]:
        self.estimated.append(len(image))
        return {"gain": round(10 * float(image.max()), 3), "read": 2.0}

    def find_object(self, image: Tensor) -> Tensor:
        found = torch.zeros(image.shape[-2:], dtype=torch.bool)
        found[: image.shape[-2] // 2] = True
        return found


class Signal(Task):
    """Noise that grows with the signal; the agents are judged by the mean absolute error."""

    conditioning = GainRead()
    action_names = PAPER_NINE
    levels = (2.0,)
    num_steps = 2
    metric_name = "absolute_error"

    def degrade(self, clean: Tensor, level: float, generator: torch.Generator) -> Episode:
        noisy = clean + level / 255 * torch.randn(clean.shape, generator=generator)
        values = {"gain": torch.full((len(clean),), level), "read": torch.zeros(len(clean))}
        mask = torch.ones(len(clean), 1, *clean.shape[-2:], dtype=torch.bool)
        return Episode(noisy, clean, self.conditioning.encode(noisy, values, mask), clean.new_ones(len(clean), 1))

    def begin(self, clean: Tensor, generator: torch.Generator) -> Episode:
        return self.degrade(clean, 2.0, generator)

    def metric(self, image: Tensor, start: Episode) -> Tensor:
        return 255 * (image - start.target).abs().mean((1, 2, 3))


@pytest.fixture
def agent(tmp_path: Path, randomise) -> Agent:
    arguments = {**SMALL, "condition_planes": 2}
    card = PolicyCard("mine", "lookahead", arguments, PAPER_NINE, 3, GainRead().reference, {})
    policy = card.build()
    randomise(policy)
    save_policy(tmp_path / "mine.safetensors", policy, card)
    return pixelrl.load(tmp_path / "mine.safetensors", "cpu")


PHOTO = np.random.default_rng(0).random((40, 52)).astype(np.float32)


def test_the_built_in_kinds_are_found_by_their_names() -> None:
    assert list(CONDITIONINGS) == ["sigma", "peak", "strength", "noise-map", "poisson-gaussian"]
    for name in CONDITIONINGS:
        assert find_conditioning(name).reference == name
    assert find_conditioning(None).reference is None
    with pytest.raises(UsageError, match="conditioning 'wavelength' is unknown; known are sigma, peak, strength"):
        find_conditioning("wavelength")


def test_a_kind_of_ones_own_is_named_by_its_module(agent: Agent) -> None:
    assert agent.card.condition == f"{__name__}:GainRead"
    assert isinstance(agent.conditioning, GainRead)


@pytest.mark.parametrize("number", [3, 3.0, np.float32(3), np.float64(3), np.int64(3), np.uint8(3)])
def test_numbers_of_numpy_are_numbers(number: float) -> None:
    (sigma,) = find_conditioning("sigma").quantities
    value = sigma.parse(number)
    assert value == 3.0
    assert type(value) is float


@pytest.mark.parametrize(
    "wrong", [-1, float("nan"), float("inf"), True, np.bool_(True), "3", None, [3], np.ones(2), 10**400, 1j]
)
def test_what_is_no_level_is_refused_in_one_short_sentence(wrong: object) -> None:
    (sigma,) = find_conditioning("sigma").quantities
    with pytest.raises(UsageError, match='is not a noise level; give grey levels, at least 0, or "auto"') as refused:
        sigma.parse(wrong)
    assert len(str(refused.value)) < 140


def test_limits_are_said() -> None:
    (strength,) = find_conditioning("strength").quantities
    assert [strength.parse(value) for value in (-1, 0.25, 1)] == [-1, 0.25, 1]
    for wrong in (0, -1.01, 1.01):
        with pytest.raises(UsageError, match=r"is not a strength; give a number from -1 to 1, not 0, or \"auto\""):
            strength.parse(wrong)


def test_every_kind_has_words_for_the_interface() -> None:
    for kind in CONDITIONINGS.values():
        for quantity in kind.quantities:
            low, high, step = quantity.slider
            assert quantity.low <= low < high <= quantity.high
            assert 0 < step <= (high - low) / 20
            assert quantity.label[0].islower()
            assert quantity.help.endswith(".")


def test_a_number_that_nobody_estimates_is_a_fault_of_the_kind() -> None:
    class Forgotten(Nothing.__base__):  # type: ignore[misc, name-defined]
        name = "forgotten"
        quantities = GainRead.quantities[:1]

        def encode(self, image: Tensor, values: object, mask: object) -> Tensor:
            raise AssertionError

    with pytest.raises(NotImplementedError, match="Forgotten has a quantity without a default"):
        Forgotten().values(torch.zeros(1, 1, 2, 2), {})


def test_an_episode_has_a_condition_of_four_dimensions(agent: Agent) -> None:
    image = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"a condition is \(b, k, h, w\), or \(b, k, 1, 1\) .* not \(2, 1\)"):
        agent.run(image, torch.zeros(2, 1))
    with pytest.raises((ValueError, TypeError), match=r"\(b, k, h, w\)|condition"):
        Episode(image, image, torch.zeros(2, 1), torch.ones(2, 1))


def test_each_picture_of_a_batch_has_a_level_of_its_own(randomise) -> None:
    card = PolicyCard("small", "lookahead", SMALL, PAPER_NINE, 3, "sigma", {})
    policy = card.build().eval()
    randomise(policy)
    agent, generator = Agent(policy, card, torch.device("cpu")), torch.Generator().manual_seed(0)
    clean = torch.full((1, 1, 64, 64), 0.5)
    noisy = torch.cat([GaussianDenoising().degrade(clean, level, generator).image for level in (3.0, 25.0, 50.0)])
    result = agent(noisy)
    found = [condition["sigma"] for condition in result.conditions]
    assert found == pytest.approx([3, 25, 50], rel=0.15)
    with pytest.raises(UsageError, match="conditions of their own"):
        _ = result.condition
    for i in range(3):
        alone = agent(noisy[i : i + 1])
        assert alone.condition == result.conditions[i]
        assert torch.equal(alone.image[0], result.image[i])
    assert agent(noisy, sigma=np.float32(25)).condition == {"sigma": 25.0}
    _, mean = agent.ensemble(noisy, steps=1)
    assert mean["sigma"] == pytest.approx(sum(found) / 3)


def test_what_is_given_and_what_is_estimated(agent: Agent) -> None:
    GainRead.estimated.clear()
    assert agent(PHOTO, condition={"gain": 3, "read": 0}).condition == {"gain": 3.0, "read": 0.0}
    assert GainRead.estimated == []
    assert agent(PHOTO, condition={"gain": 3}).condition == {"gain": 3.0, "read": 2.0}
    assert agent(PHOTO).condition == {"gain": pytest.approx(10 * PHOTO.max(), abs=1e-3), "read": 2.0}
    assert agent(PHOTO, condition={"gain": "auto"}).condition == agent(PHOTO).condition
    with pytest.raises(UsageError, match="gain = 51 is not a gain; give grey levels, from 0 to 50"):
        agent(PHOTO, condition={"gain": 51})
    with pytest.raises(UsageError, match="condition = 3 cannot be used: policy mine takes gain and read; give each by"):
        agent(PHOTO, condition=3)
    with pytest.raises(UsageError, match="sigma = 3 cannot be used: policy mine takes gain and read; leave sigma out"):
        agent(PHOTO, sigma=3)
    with pytest.raises(UsageError, match="offset = 3 cannot be used: policy mine takes gain and read"):
        agent(PHOTO, condition={"offset": 3})


def test_one_number_needs_no_name() -> None:
    agent = pixelrl.load("denoise-gray", "cpu")
    told = agent(PHOTO, condition=25, steps=1)
    assert told.condition == {"sigma": 25.0}
    assert np.array_equal(told.image, agent(PHOTO, sigma=25, steps=1).image)
    assert np.array_equal(told.image, agent(PHOTO, condition={"sigma": 25}, steps=1).image)
    with pytest.raises(UsageError, match="sigma is given twice"):
        agent(PHOTO, sigma=25, condition=25)
    blind = pixelrl.load("restore-gray", "cpu")
    with pytest.raises(UsageError, match="condition = 25 cannot be used: policy restore-gray takes no noise level"):
        blind(PHOTO, condition=25)


def test_planes_reach_the_policy_in_tiles_and_in_every_channel(agent: Agent) -> None:
    image = torch.from_numpy(PHOTO)[None, None]
    mask = torch.zeros(40, 52, dtype=torch.bool)
    mask[10:20, 10:30] = True
    planes = agent.condition(image, {"gain": 3.0, "read": 1.0}, mask)
    assert planes.shape == (1, 2, 40, 52)
    whole = agent.policy.perceive(image, planes)
    torch.testing.assert_close(tiled_perceive(agent.policy, image, planes, 16), whole, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(whole, agent.policy.perceive(image, planes + 0.3))
    colour = np.random.default_rng(1).random((40, 52, 3)).astype(np.float32)
    result = agent(colour, condition={"gain": 3}, mask=mask.numpy())
    assert result.trajectory.actions.shape == (3, 1, 3, 40, 52)
    other = agent(colour, condition={"gain": 30}, mask=mask.numpy())
    assert not torch.equal(other.trajectory.actions, result.trajectory.actions)
    found = agent(colour, condition={"gain": 3})
    assert torch.equal(found.mask, GainRead().find_object(torch.zeros(1, 3, 40, 52)))


def test_the_same_for_all_pixels_may_have_one_pixel_or_all(randomise) -> None:
    for estimator in ESTIMATORS:
        policy = Lookahead(9, 3, 8, 8, (1, 1, 1), 4, estimator=estimator).eval()
        randomise(policy)
        image, condition = torch.rand(2, 3, 21, 30), torch.tensor([0.1, 0.3]).view(2, 1, 1, 1)
        assert torch.equal(policy.perceive(image, condition), policy.perceive(image, condition.expand(2, 1, 21, 30)))


def test_the_ensemble_turns_masks_and_planes_with_the_picture(agent: Agent) -> None:
    mask = np.zeros(PHOTO.shape, bool)
    mask[4:12, 6:30] = True
    plain, told = agent.ensemble(PHOTO, condition={"gain": 3}, mask=mask)
    assert told == {"gain": 3.0, "read": 2.0}
    turned, _ = agent.ensemble(np.rot90(PHOTO).copy(), condition={"gain": 3}, mask=np.rot90(mask).copy())
    np.testing.assert_allclose(turned, np.rot90(plain), atol=1e-5)
    elsewhere, _ = agent.ensemble(PHOTO, condition={"gain": 3}, mask=~mask)
    assert not np.allclose(elsewhere, plain)


def test_the_shipped_saliency_policy_takes_part_in_ensembles() -> None:
    photo = data.astronaut()[60:108, 190:254]  # in pure noise nothing is worth an operation
    mask = np.zeros((48, 64), bool)
    mask[12:36, 16:40] = True
    agent = pixelrl.load("saliency-edit", "cpu")
    up, told = agent.ensemble(photo, strength=0.7, mask=mask)
    assert told == {"strength": 0.7}
    down, _ = agent.ensemble(photo, strength=-0.7, mask=mask)
    assert not np.array_equal(up, down)


def test_traces_remember_every_number_and_can_be_asked_again(agent: Agent, tmp_path: Path) -> None:
    colour = (255 * np.random.default_rng(1).random((20, 26, 3))).astype(np.uint8)
    result = agent(colour, condition={"gain": 3})
    save_trace(tmp_path / "t.npz", result.trace())
    trace = load_trace(tmp_path / "t.npz")
    assert trace.condition == {"gain": 3.0, "read": 2.0}
    again = [answer.clone() for answer in asked_again(trace, agent, lambda logits: logits.argmax(1).to(torch.uint8))]
    assert len(again) == 3
    assert torch.equal(torch.stack(again).view(3, 3, 20, 26), torch.from_numpy(trace.actions))


def test_no_steps_have_as_many_agents_as_the_policy() -> None:
    photo = np.random.default_rng(2).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    for name, agents in (("enhance-watercolor", 1), ("saliency-edit", 1), ("denoise-color", 3), ("denoise-gray", 3)):
        agent = pixelrl.load(name, "cpu")
        mask = np.tri(16, 20).astype(bool) if agent.takes_mask else None
        result = agent(photo, steps=0, mask=mask)
        assert result.trajectory.actions.shape == (0, 1, agents, 16, 20)
        assert result.trajectory.actions.shape[2] == agent(photo, steps=1, mask=mask).trajectory.actions.shape[2]
        assert np.array_equal(result.image, photo)


def test_another_default_dtype_changes_nothing(agent: Agent) -> None:
    colour = (255 * np.random.default_rng(1).random((20, 26, 3))).astype(np.uint8)
    agents = [pixelrl.load(name, "cpu") for name in ("denoise-color", "saltpepper-gray", "enhance-watercolor")]
    before = [one(colour) for one in agents]
    torch.set_default_dtype(torch.float64)
    try:
        after = [one(colour) for one in agents]
        late = pixelrl.load("denoise-color", "cpu")(colour)
        replayed = before[0].trace().replay()
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.trajectory.actions, other.trajectory.actions)
        assert np.array_equal(one.image, other.image)
    assert np.array_equal(late.image, before[0].image)
    assert np.array_equal(replayed, before[0].image)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (48, 48), dtype=np.uint8)
        write_picture(tmp_path / "photos" / f"{i}.png", Picture(pixels))
    return tmp_path / "photos"


def test_a_task_of_ones_own_is_trained_logged_and_evaluated(photos: Path, tmp_path: Path) -> None:
    content = {
        "name": "mine",
        "task": {"kind": f"{__name__}:Signal"},
        "policy": {"kind": "lookahead", **SMALL, "condition_planes": 2},
        "data": {"folder": str(photos), "crop": 16, "batch": 2, "validation": 1},
        "warm_start": {"iterations": 1},
        "reinforcement": {"iterations": 1},
    }
    trainer = Trainer(recipe_from_dict(content, "the test"), tmp_path / "run", torch.device("cpu"))
    assert trainer.run()
    header = (tmp_path / "run" / "log.csv").read_text().splitlines()[0].split(",")
    assert header[-3:] == ["bits", "absolute_error", "absolute_error_estimate"]
    assert "psnr" not in header
    _, card = load_policy(tmp_path / "run" / "policy.safetensors")
    assert card.condition == f"{__name__}:GainRead"
    agent = pixelrl.load(tmp_path / "run" / "policy.safetensors", "cpu")
    scores = list(evaluate(agent, photos, Signal(), 2.0, limit=2))
    assert [score.metric for score in scores] == ["absolute_error"] * 2
    assert scores[0].before == pytest.approx(2 * (2 / np.pi) ** 0.5, rel=0.1)  # of Gaussian noise of deviation 2
    assert list(scores[0].as_dict()) == [
        "name", "absolute_error_input", "absolute_error", "ssim", "absolute_error_estimate", "seconds",
        "bits_per_pixel", "agreement",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="must be told gain-read, which this task does not have"):
        list(evaluate(agent, photos, GaussianDenoising(), 25.0))
    content["policy"] = {"kind": "lookahead", **SMALL}
    with pytest.raises(
        UsageError, match=r"takes 1 planes of condition, .* gives 2 \(gain-read\); set policy.condition"
    ):
        Trainer(recipe_from_dict(content, "the test"), tmp_path / "other", torch.device("cpu"))


def test_the_command_line_takes_the_numbers_of_a_policy_of_ones_own(agent: Agent, run: Run, tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (20, 26), dtype=np.uint8)
    write_picture(tmp_path / "photo.png", Picture(pixels))
    words = ("denoise", tmp_path / "photo.png", "--policy", tmp_path / "mine.safetensors", "--json")
    code, out, err = run(*words, "-o", tmp_path / "out.png", "--condition", "gain=3")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["gain"], report["read"], report["estimated"]) == (3.0, 2.0, [])  # read has a default
    assert np.array_equal(read_picture(tmp_path / "out.png").pixels, agent(pixels, condition={"gain": 3}).image)
    for wrong, words_of in (("offset=3", "offset"), ("gain=51", "gain = 51"), ("gain=much", "gain=much")):
        code, _, err = run(*words, "-o", tmp_path / "no.png", "--condition", wrong)
        assert code == 2
        assert words_of in err
        assert not (tmp_path / "no.png").exists()
