"""Agents that work on opponent colours: one of brightness, two of differences of colour."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pixelrl
from pixelrl.actions import ActionSet
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard, load_policy, save_policy
from pixelrl.edits import Edit
from pixelrl.errors import UsageError
from pixelrl.imaging.color import (
    OPPONENT_SCALE,
    channel_names,
    from_opponent,
    from_space,
    kind_of_space,
    opponent_of,
    outcome_in_srgb,
    to_opponent,
    to_space,
)
from pixelrl.noise.poisson_gaussian import clipped_space
from pixelrl.policies import Consulting
from pixelrl.policies.wrapped import InGrey
from pixelrl.report.asked import asked_again
from pixelrl.report.worth import contributions
from pixelrl.rollout import Trajectory, rollout
from pixelrl.tasks import build_task
from pixelrl.training.recipe import recipe_from_dict
from pixelrl.training.start import card_of, task_of

NAMES = ("grey level -16", "grey level -1", "do nothing", "grey level +1", "grey level +16", "Gaussian 0.5", "median")
ARGUMENTS = {"num_channels": 3, "width": 8, "deep_width": 8, "depths": (1, 1, 1), "head_width": 4, "opponent": True}


def card_in(space: str) -> PolicyCard:
    arguments = {**ARGUMENTS, "opponent": space == "opponent"}
    return PolicyCard("tiny", "consulting", arguments, NAMES, 5, "sigma", {}, space)


def policy_in(space: str) -> Consulting:
    """The same weights, whatever the space."""
    torch.manual_seed(0)
    policy = card_in(space).build().eval()
    assert isinstance(policy, Consulting)
    with torch.no_grad():
        policy.to_residual.weight.normal_(0, 0.02)
    return policy


def colours(seed: int = 0, size: int = 24) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_brightness_is_the_mean_and_grey_has_no_colour() -> None:
    image = colours()
    opponent = to_opponent(image)
    assert torch.allclose(opponent[:, 0], image.mean(1), atol=1e-6)
    assert torch.allclose(to_opponent(image[:, :1].expand(-1, 3, -1, -1))[:, 1:], torch.tensor(0.5), atol=1e-6)
    assert opponent.min() >= 0
    assert opponent.max() <= 1
    assert torch.allclose(from_opponent(opponent), image, atol=1e-6)
    red, magenta = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1), torch.tensor([1.0, 0, 1]).view(1, 3, 1, 1)
    assert to_opponent(red)[0, 1] > 0.5
    assert to_opponent(magenta)[0, 2] > 0.5
    assert channel_names("opponent", 3) == ("brightness", "blue to red", "green to magenta")


def test_distances_are_those_of_rgb_by_one_factor() -> None:
    one, other = colours(0), colours(1)
    there = (to_opponent(one) - to_opponent(other)).square().sum(1)
    assert torch.allclose(there, OPPONENT_SCALE**2 * (one - other).square().sum(1), atol=1e-5)


def test_a_space_of_opponent_colours_of_other_values() -> None:
    space = opponent_of(str(clipped_space(25 / 255)))
    assert kind_of_space(space) == "opponent"
    assert kind_of_space("opponent") == "opponent"
    image = colours()
    assert torch.allclose(from_space(to_space(image, "opponent"), "opponent"), image, atol=1e-6)
    assert torch.equal(to_space(image[:, :1], "opponent"), image[:, :1])
    there = to_space(image, space)
    assert torch.equal(outcome_in_srgb(there, space, image), image)  # no rounding, no inverse for what did not change
    there[:, 1, 3, 4] += 0.1
    changed = outcome_in_srgb(there, space, image) != image
    assert changed[0, :, 3, 4].any()
    assert not changed[..., :3, :].any()
    for wrong in ("opponent ", "opponents", "opponent srgb", "opponent opponent"):
        with pytest.raises(UsageError, match="no space"):
            kind_of_space(wrong)


def test_the_estimate_is_that_of_red_green_and_blue() -> None:
    image, condition = colours(), torch.full((1, 1, 1, 1), 25 / 255)
    plain, opponent = policy_in("srgb"), policy_in("opponent")
    there = to_opponent(image)
    expected = plain.estimate(plain.perceive(image, condition), image)
    estimate = opponent.estimate(opponent.perceive(there, condition), there)
    assert not torch.allclose(expected, image, atol=1e-2)
    assert torch.allclose(from_opponent(estimate), expected, atol=1e-5)


def test_what_the_estimator_leaves_alone_is_left_alone_bit_for_bit() -> None:
    policy = policy_in("opponent")
    torch.nn.init.zeros_(policy.to_residual.weight)
    image = to_opponent(colours())
    assert torch.equal(policy.estimate(policy.perceive(image, torch.zeros(1, 1, 1, 1)), image), image)


def test_strips_see_what_the_whole_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, image, condition = policy_in("opponent"), to_opponent(colours(size=96)), torch.zeros(1, 1, 1, 1)
    with torch.no_grad():
        whole = policy.perceive(image, condition)
        monkeypatch.setattr("pixelrl.policies.estimating.STRIP", 96 * 24)
        strips = policy.perceive(image, condition)
    assert torch.allclose(strips, whole, atol=1e-6)


def agent_in(space: str) -> Agent:
    return Agent(policy_in(space), card_in(space), torch.device("cpu"), "fp32")


def test_an_agent_gives_rgb_and_a_trace_that_replays(tmp_path: Path) -> None:
    pixels = (255 * colours()[0].permute(1, 2, 0)).byte().numpy()
    result = agent_in("opponent")(pixels, 25, legibility=0.0)
    assert result.trajectory.space.startswith("opponent")
    assert (result.image != pixels).any()
    pixelrl.save_trace(tmp_path / "trace.npz", result.trace())
    trace = pixelrl.load_trace(tmp_path / "trace.npz")
    assert trace.space == result.trajectory.space
    assert np.array_equal(trace.replay(), result.image)
    plain = agent_in("srgb")(pixels, 25, legibility=0.0)
    assert np.abs(plain.image.astype(int) - result.image).mean() < 4  # both follow one estimate


def test_a_grey_picture_has_brightness_alone() -> None:
    grey, condition = colours()[:, :1], torch.full((1, 1, 1, 1), 25 / 255)
    estimates = []
    for space in ("opponent", "srgb"):
        policy = InGrey(policy_in(space)).eval()
        estimates.append(policy.estimate(policy.perceive(grey, condition), grey))
    assert torch.allclose(*estimates, atol=1e-5)
    assert not torch.allclose(estimates[0], grey, atol=1e-2)
    result = agent_in("opponent")(grey[0, 0].numpy(), 25, legibility=0.5, white=1.0)
    assert result.trajectory.actions.shape[2] == 1
    assert (result.image != grey[0, 0].numpy()).any()
    assert np.array_equal(result.trace().replay(), result.image)


@pytest.mark.parametrize("policy", ["denoise-color", "denoise-photo", "poisson-color", "poisson-gaussian-color"])
def test_colour_policies_take_the_noise_off_a_grey_picture(policy: str, generator: torch.Generator) -> None:
    """It is in all three channels alike, so stronger in their brightness than noise of each channel's own."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 128), indexing="ij")
    clean = 0.3 + 0.3 * x + 0.1 * torch.sin(5 * y)
    sigma = 0.1
    noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
    told = {"peak": 0.5 / sigma**2} if policy == "poisson-color" else {"sigma": 255 * sigma}
    if policy == "poisson-gaussian-color":
        told = {"gain": 0.0, "read": sigma, "offset": 0.0}
    agent, three = pixelrl.load(policy, "cpu"), noisy.expand(3, -1, -1)
    result = agent(noisy, condition=told, white=1.0).image
    assert (result - clean).square().mean().sqrt().item() < 0.3 * sigma
    assert (agent(three, condition=told, white=1.0).image - result).abs().max() < 0.02


def test_noise_that_channels_have_in_common_is_removed_without_a_bias(generator: torch.Generator) -> None:
    """Told or not, and where a file has clipped it: what is undone of that is the clipping of each channel."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 160), torch.linspace(0, 1, 192), indexing="ij")
    clean = torch.stack([0.05 + 0.1 * x, 0.04 + 0.1 * y, 0.12 - 0.08 * x])
    noisy = clean + 20 / 255 * torch.randn(1, *x.shape, generator=generator)
    pixels = (255 * noisy.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
    agent = pixelrl.load("denoise-color", "cpu")
    for sigma in (20, "auto"):
        result = agent(pixels, sigma, legibility=0.0)
        assert result.condition["sigma"] == pytest.approx(20, rel=0.15)
        off = torch.tensor(result.image).permute(2, 0, 1) - 255 * clean
        assert off.square().mean().sqrt() < 4
        assert abs(off.mean()) < 1.5


@pytest.mark.parametrize("name", ["denoise-color", "denoise-photo"])
def test_a_batch_may_hold_grey_and_colour(name: str, generator: torch.Generator) -> None:
    noise = 20 / 255 * torch.randn(3, 64, 96, generator=generator)
    coloured = torch.tensor([0.3, 0.5, 0.4])[:, None, None] + noise
    grey = (0.4 + noise[:1]).expand(3, -1, -1)
    agent = pixelrl.load(name, "cpu", "fp32")
    both = agent([coloured, grey], sigma=20)
    for image, result in zip((coloured, grey), both.image, strict=True):
        alone = agent(image, sigma=20).image
        off = (result - alone).abs()
        assert off.max() < 0.01
        assert (off < 1e-4).float().mean() > 0.98  # the others: a choice between next to equals, by the last bit
        assert (alone - image).square().mean().sqrt() == pytest.approx(20 / 255, rel=0.1)  # the noise was removed


def test_what_is_transparent_changes_nothing_of_what_a_report_says(generator: torch.Generator) -> None:
    """A grey picture, but for colours that nobody sees: the policy was told as of a grey one, and is so again."""
    noisy = (0.5 + 0.1 * torch.randn(1, 64, 96, generator=generator)).expand(3, -1, -1).clone()
    noisy[..., 48:] = torch.rand(3, 64, 48, generator=generator)
    alpha = (torch.arange(96) < 48).float().expand(1, 64, 96)
    agent = pixelrl.load("denoise-color", "cpu", "fp32")
    trace = agent(torch.cat([noisy, alpha]).permute(1, 2, 0).numpy(), 25, legibility=0.0, white=1.0).trace()
    for t, answer in enumerate(asked_again(trace, agent, lambda logits: logits.argmax(1))):
        assert (answer[0].numpy() == trace.actions[t]).mean() > 0.999


def test_a_forced_step_of_grey_levels_is_one_of_brightness() -> None:
    image = colours()
    still = torch.full((2, 1, 3, *image.shape[-2:]), NAMES.index("do nothing"), dtype=torch.uint8)
    for space in ("opponent", "srgb"):
        edited = Trajectory(image, still, NAMES, space).edited(Edit(steps=(1,), force="grey level +16"))
        assert torch.allclose(edited.final(), image + 16 / 255, atol=1e-6), space
    blurred = Trajectory(image, still, NAMES, "opponent").edited(Edit(steps=(1,), force="Gaussian 0.5"))
    expected = Trajectory(image, still, NAMES).edited(Edit(steps=(1,), force="Gaussian 0.5"))
    assert torch.allclose(blurred.final(), expected.final(), atol=1e-5)  # a linear filter minds no basis


def test_edits_see_the_brightness_that_people_see() -> None:
    image = colours()
    still = torch.full((1, 1, 3, *image.shape[-2:]), NAMES.index("do nothing"), dtype=torch.uint8)
    edit = Edit(brightness=(100, 140), force="grey level +16")
    there = Trajectory(image, still, NAMES, "opponent").edited(edit).final()
    assert torch.allclose(there, Trajectory(image, still, NAMES).edited(edit).final(), atol=1e-6)


def test_live_edits_are_those_of_replay() -> None:
    policy, image = policy_in("opponent"), to_opponent(colours())
    edit = Edit(force="grey level +16")
    played, final = rollout(policy, ActionSet(NAMES), image, torch.zeros(1, 1, 1, 1), 1, edits=[edit])
    assert (played.actions[0, 0, 0] == NAMES.index("grey level +16")).all()
    assert (played.actions[0, 0, 1:] == NAMES.index("do nothing")).all()
    assert torch.allclose(from_opponent(final), from_opponent(image) + 16 / 255, atol=1e-6)


def test_contributions_sum_to_the_gain() -> None:
    target = colours()
    noisy = (target + 0.05 * torch.randn(target.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    maps = torch.randint(0, len(NAMES), (2, 1, 3, 24, 24), generator=torch.Generator().manual_seed(2)).byte()
    trajectory = Trajectory(noisy, maps, NAMES, "opponent")
    images = list(trajectory.images())
    gains = [pixelrl.imaging.metrics.psnr(image, target).item() for image in images]
    assert np.allclose(contributions(images, trajectory, target).sum(1), np.diff(gains), atol=1e-6)


def test_a_task_degrades_and_measures_in_rgb() -> None:
    plain = build_task("gaussian-denoising", {"actions": NAMES})
    task = build_task("gaussian-denoising", {"actions": NAMES, "space": "opponent"})
    clean = colours()
    one, other = (each.degrade(clean, 25.0, torch.Generator().manual_seed(3)) for each in (plain, task))
    assert torch.allclose(from_opponent(other.image), one.image, atol=1e-5)
    assert task.space == "opponent"
    assert torch.allclose(task.metric(other.image, other), plain.metric(one.image, one), atol=1e-3)
    rewards = task.step_reward(other, other.image, other.target).sum()
    assert torch.allclose(rewards, plain.step_reward(one, one.image, one.target).sum() / 3, rtol=1e-4)
    with pytest.raises(UsageError, match="leave it out"):
        build_task("color-enhancement", {"space": "opponent"})
    with pytest.raises(UsageError, match=r"task.space = 'lab' is unknown; give 'srgb' or 'opponent'"):
        build_task("gaussian-denoising", {"space": "lab"})


def test_policy_and_task_go_together() -> None:
    task = {"kind": "gaussian-denoising", "actions": list(NAMES), "space": "opponent"}
    policy = {"kind": "consulting", **ARGUMENTS, "depths": [1, 1, 1]}
    content = {
        "name": "tiny",
        "task": task,
        "policy": policy,
        "data": {"folder": "x"},
        "reinforcement": {"iterations": 1},
    }
    recipe = recipe_from_dict(content, "here")
    assert card_of(recipe, task_of(recipe)).space == "opponent"
    wrong = recipe_from_dict({**content, "policy": {**policy, "opponent": False}}, "here")
    with pytest.raises(UsageError, match="go together"):
        card_of(wrong, task_of(wrong))


def test_only_where_it_can_be() -> None:
    for arguments in ({"num_channels": 1}, {"estimator": "impulses"}):
        with pytest.raises(ValueError, match="opponent colours are for"):
            Consulting(5, **{**ARGUMENTS, **arguments})


def test_a_policy_file_keeps_it(tmp_path: Path) -> None:
    save_policy(tmp_path / "tiny.safetensors", policy_in("opponent"), card_in("opponent"))
    policy, card = load_policy(tmp_path / "tiny.safetensors")
    assert policy.opponent
    assert (card.space, card.told_space) == ("opponent", "srgb")
    assert card.space_for(None) == "opponent"
    assert card.space_for("anscombe(x)") == "opponent anscombe(x)"
    assert replace(card, space="srgb").space_for(None) == "srgb"


def test_a_trace_of_other_channels_is_damaged(tmp_path: Path) -> None:
    for space, channels in (("opponent", 2), ("opponent", 4), ("prophoto", 1), ("prophoto", 2)):
        pixels = np.zeros((4, 5, channels) if channels > 1 else (4, 5), np.uint8)
        maps = np.zeros((1, channels, 4, 5), np.uint8)
        pixelrl.save_trace(tmp_path / "trace.npz", pixelrl.Trace(pixels, maps, NAMES, "x", {}, space))
        with pytest.raises(UsageError, match="is damaged"):
            pixelrl.load_trace(tmp_path / "trace.npz")


def test_a_trace_from_before_says_what_to_do() -> None:
    pixels = (255 * colours()[0].permute(1, 2, 0)).byte().numpy()
    before = agent_in("srgb")(pixels, 25).trace()
    with pytest.raises(UsageError, match=r"was made on anscombe.*run it again, or give the policy file of then"):
        next(asked_again(before, agent_in("opponent"), lambda logits: logits.argmax(1)))
