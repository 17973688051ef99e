"""The lookahead policy: sizes, where it starts, and what it looks at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.policies import Lookahead
from pixelrl.policies.lookahead import filled
from pixelrl.rl.returns import identity_kernel

ACTIONS = ActionSet(PAPER_NINE)


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.3 + 0.5


def tiny(channels: int = 1, reward_map_convolution: bool = False) -> Lookahead:
    torch.manual_seed(0)  # initial weights, which PyTorch draws from its global generator
    return Lookahead(9, channels, 8, 8, (1, 1, 1), 4, reward_map_convolution)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("height", [1, 2, 3, 4, 7])
def test_every_size(height: int, width: int, channels: int) -> None:
    policy, image = tiny(channels), noise(2, channels, height, width)
    outcomes = ACTIONS.outcomes(image)
    memory = policy.perceive(image, torch.full((2, 1, 1, 1), 0.1))
    assert memory.shape[2:] == (-(-height // policy.stride), -(-width // policy.stride))
    assert policy.estimate(memory, image).shape == image.shape
    logits, value, after = policy(image, outcomes, memory)
    assert logits.shape == (2, 9, channels, height, width)
    assert value is not None
    assert value.shape == (2, channels, height, width)
    assert after.shape == memory.shape
    assert torch.isfinite(logits).all()


def hit(density: float, channels: int = 1, side: int = 32) -> tuple[Tensor, Tensor]:
    """A clean ramp strictly between 0 and 1, and the same with salt & pepper."""
    ramp = torch.linspace(0.2, 0.8, side).expand(1, channels, side, side).contiguous()
    uniform = torch.rand(ramp.shape, generator=torch.Generator().manual_seed(1))
    return ramp, torch.where(uniform < density, (uniform < density / 2).float(), ramp)


@pytest.mark.parametrize("channels", [1, 3])
def test_with_impulses_other_pixels_are_trusted(channels: int, randomise: Callable[..., None]) -> None:
    torch.manual_seed(0)
    policy = Lookahead(9, channels, 8, 8, (1, 1, 1), 4, impulses=True)
    randomise(policy)
    clean, image = hit(0.4, channels)
    estimate = policy.estimate(policy.perceive(image, torch.zeros(1, 1, 1, 1)), image)
    kept = image == clean
    assert 0.5 < kept.double().mean() < 0.7
    assert torch.equal(estimate[kept], clean[kept])
    assert not torch.equal(estimate[~kept], image[~kept])


def test_filled_from_what_is_around() -> None:
    clean, image = hit(0.5)
    assert (filled(image) - clean).abs().max() < 0.08
    assert torch.equal(filled(clean), clean)
    white = torch.ones(1, 1, 30, 30)
    assert torch.allclose(filled(white), white)  # nothing is known: the scene itself is white


@pytest.mark.parametrize("channels", [1, 3])
def test_starts_greedy_towards_the_estimate(channels: int) -> None:
    policy, image = tiny(channels), noise(1, channels, 11, 14)
    with torch.no_grad():  # an estimate that is not simply the image: the residual starts at zero
        policy.to_residual.bias.copy_(torch.linspace(-0.1, 0.1, 4 * channels))
    outcomes = ACTIONS.outcomes(image)
    memory = policy.perceive(image, torch.zeros(1, 1, 1, 1))
    estimate = policy.estimate(memory, image)
    assert not torch.equal(estimate, image)
    nearest = (outcomes - estimate[:, None]).abs().argmin(1)
    assert len(nearest.unique()) > 3
    assert torch.equal(policy(image, outcomes, memory).logits.argmax(1), nearest)


def test_the_estimate_starts_as_the_image() -> None:
    policy, image = tiny(), noise(2, 1, 9, 6)
    assert torch.equal(policy.estimate(policy.perceive(image, torch.zeros(2, 1, 1, 1)), image), image)


def test_one_level_of_distance_is_worth_one_logit_at_first() -> None:
    policy, image = tiny(), torch.full((1, 1, 4, 4), 0.5)
    logits = policy(image, ACTIONS.outcomes(image), policy.perceive(image, torch.zeros(1, 1, 1, 1))).logits
    by_name = dict(zip(PAPER_NINE, logits[0, :, 0, 2, 2].tolist(), strict=True))
    assert by_name["do nothing"] == pytest.approx(0, abs=1e-4)
    assert by_name["grey level +1"] == pytest.approx(-1, abs=1e-4)
    assert by_name["grey level -1"] == pytest.approx(-1, abs=1e-4)


def test_the_condition_is_used(randomise: Callable[[torch.nn.Module], None]) -> None:
    policy, image = tiny(), noise(1, 1, 8, 8).repeat(2, 1, 1, 1)
    randomise(policy)
    quiet, loud = policy.estimate(policy.perceive(image, torch.tensor([0.0, 0.2]).view(2, 1, 1, 1)), image)
    assert policy.takes_condition
    assert (quiet - loud).abs().max() > 1e-3


def test_the_step_number_is_used(randomise: Callable[[torch.nn.Module], None]) -> None:
    policy, image = tiny(), noise(1, 1, 8, 8)
    randomise(policy)
    outcomes, memory = ACTIONS.outcomes(image), policy.perceive(image, torch.zeros(1, 1, 1, 1))
    first, _, memory = policy(image, outcomes, memory)
    second, _, _ = policy(image, outcomes, memory)
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("shift", [(4, 0), (0, 4), (8, 12)])
def test_a_moved_image_gives_moved_logits(shift: tuple[int, int], randomise: Callable[[torch.nn.Module], None]) -> None:
    """Away from the border; whatever scrambles rows, columns, channels or actions breaks it."""
    policy = tiny(3).eval()
    randomise(policy)
    down, right = shift
    large = noise(1, 3, 96, 100)
    here, moved = large[..., :80, :80], large[..., down : down + 80, right : right + 80]
    logits = [policy(x, ACTIONS.outcomes(x), policy.perceive(x, torch.zeros(1, 1, 1, 1))).logits for x in (here, moved)]
    edge = policy.reach + 2
    inner = logits[0][..., edge + down : 80 - edge + down - 12, edge + right : 80 - edge + right - 12]
    same = logits[1][..., edge : 80 - edge - 12, edge : 80 - edge - 12]
    assert inner.shape == same.shape
    assert inner.numel() > 0
    assert inner.std() > 0.1
    torch.testing.assert_close(inner, same, rtol=1e-5, atol=1e-5)


def test_only_training_needs_values() -> None:
    policy, image = tiny(), noise(1, 1, 4, 4)
    outcomes, memory = ACTIONS.outcomes(image), policy.perceive(image, torch.zeros(1, 1, 1, 1))
    assert policy.train()(image, outcomes, memory).value is not None
    assert policy.eval()(image, outcomes, memory).value is None


def test_reward_map_convolution_starts_as_the_identity() -> None:
    assert tiny().reward_kernel is None
    kernel = tiny(reward_map_convolution=True).reward_kernel
    assert kernel is not None
    assert torch.equal(kernel, identity_kernel())
    assert kernel.requires_grad
