"""The policy that is told in which direction the saliency of every pixel shall change."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pixelrl.actions import ActionSet
from pixelrl.imaging.color import opponent
from pixelrl.imaging.saliency import object_planes
from pixelrl.policies import Steering
from pixelrl.policies.tiling import tiled_forward, tiled_perceive
from pixelrl.rollout import greedy, rollout

NAMES = ("do nothing", "brightness -0.1", "brightness +0.1")
ARGUMENTS = {"num_channels": 3, "width": 8, "deep_width": 8, "depths": (1, 1, 1), "head_width": 4}


def fresh(names: tuple[str, ...] = NAMES) -> Steering:
    torch.manual_seed(0)
    return Steering(len(names), **ARGUMENTS).eval()


def grey_square(height: int = 24, width: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """A square a little brighter than what is around it, and where it is."""
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    mask[..., 5:13, 9:20] = True
    return torch.where(mask, 0.55, 0.45).expand(1, 3, height, width).contiguous(), mask


@pytest.mark.parametrize(("strength", "expected"), [(1.0, "brightness +0.1"), (-1.0, "brightness -0.1")])
def test_starts_away_from_the_surroundings_or_towards_them(strength: float, expected: str) -> None:
    image, mask = grey_square()
    trajectory, _ = rollout(fresh(), ActionSet(NAMES), image, object_planes(image, mask, torch.tensor([[strength]])), 1)
    chosen = trajectory.actions[0, 0]
    assert (chosen[mask[0]] == NAMES.index(expected)).all()
    assert (chosen[~mask[0]] == 0).all()  # a small object: nothing is worth much outside


def test_a_smaller_strength_goes_less_far() -> None:
    """One, two and six steps of 0.025: the k-th is made while 7.5 times the strength is above 0.625 (2 k - 1)."""
    image, mask = grey_square()
    names = ("do nothing", "brightness -0.025", "brightness +0.025")
    moved = []
    for strength in (0.1, 0.4, 1.0):
        _, final = rollout(
            fresh(names), ActionSet(names), image, object_planes(image, mask, torch.tensor([[strength]])), 8
        )
        moved.append((final - image)[mask.expand_as(image)].mean().item())
    assert moved == pytest.approx([0.025, 0.05, 0.15], abs=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (7, 4), (17, 23)])
def test_every_size(height: int, width: int, randomise: Callable[[torch.nn.Module], None]) -> None:
    policy = fresh()
    randomise(policy)
    image = torch.rand(2, 3, height, width)
    condition = torch.rand(2, 8, height, width)
    memory = policy.perceive(image, condition)
    assert memory.shape[2:] == ((height + 1) // 2, (width + 1) // 2)
    logits, value, after = policy(image, ActionSet(NAMES).outcomes(image), memory)
    assert logits.shape == (2, 3, 1, height, width)
    assert value is None
    assert after.shape == memory.shape
    assert policy.estimate(memory, image) is None
    assert policy.train()(image, ActionSet(NAMES).outcomes(image), memory).value.shape == (2, 1, height, width)


def test_logits_are_those_of_the_docstring_at_first() -> None:
    image, mask = grey_square()
    image = image + 0.1 * torch.rand(image.shape)
    planes = object_planes(image, mask, torch.tensor([[0.7]]))
    policy, actions = fresh(), ActionSet(NAMES)
    outcomes = actions.outcomes(image)
    logits = policy(image, outcomes, policy.perceive(image, planes)).logits[0, :, 0]
    away, least, most = policy.log_factors.exp()
    difference = planes[0, 5:] - planes[0, 2:5]
    direction = difference / (difference.norm(dim=0) + 0.02)
    for n in range(len(NAMES)):
        farther = ((opponent(outcomes[0, n]) - opponent(image[0])) * direction).sum(0)
        far = (opponent(outcomes[0, n]) - opponent(image[0])).norm(dim=0)
        expected = away * planes[0, 0] * farther - least * 0.7 * far - most * far.square()
        torch.testing.assert_close(logits[n], expected, atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_tiles_change_nothing(randomise: Callable[[torch.nn.Module], None]) -> None:
    policy, actions = fresh(), ActionSet(NAMES)
    randomise(policy)
    image, condition = torch.rand(1, 3, 119, 158), torch.rand(1, 8, 119, 158)
    condition[:, 1:] = condition[:, 1:, :1, :1]  # the same everywhere
    outcomes, memory = actions.outcomes(image), policy.perceive(image, condition)
    torch.testing.assert_close(tiled_perceive(policy, image, condition, 32), memory, rtol=1e-5, atol=1e-5)
    logits, _, after = policy(image, outcomes, memory)
    assert logits.std() > 0.1
    chosen, tiled = tiled_forward(policy, greedy, image, outcomes, memory, 32)
    assert (chosen == greedy(logits)).double().mean() > 0.999  # ties may fall either way
    torch.testing.assert_close(tiled, after, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("y", "x"), [(60, 60), (61, 63), (0, 2), (118, 119)])
def test_nothing_beyond_the_reach_matters(randomise: Callable[[torch.nn.Module], None], y: int, x: int) -> None:
    policy = fresh()
    randomise(policy)
    image, condition = torch.rand(1, 3, 119, 120), torch.rand(1, 8, 119, 120)
    other, wanted = image.clone(), condition.clone()
    other[..., y, x] += 1
    wanted[:, :1, y, x] += 1
    memories = [policy.perceive(image, condition), policy.perceive(other, wanted)]
    changed = (memories[0] != memories[1]).any(1)[0].nonzero() * policy.stride
    distance = (changed - torch.tensor([y, x])).abs().amax(1)
    assert 8 < distance.max() <= policy.reach


def test_grey_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="sees 3 channels, not 1"):
        Steering(3, num_channels=1)
