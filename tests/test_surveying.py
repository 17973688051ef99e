"""The policy that is shown what every action of every pixel is worth to the saliency of all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pixelrl.actions import ActionSet
from pixelrl.imaging.color import opponent
from pixelrl.imaging.metrics import agreement
from pixelrl.imaging.saliency import MODELS, object_planes, shared_slopes, slopes
from pixelrl.policies import Surveying
from pixelrl.policies.tiling import tiled_forward, tiled_perceive
from pixelrl.rollout import greedy, rollout

NAMES = ("do nothing", "brightness -0.1", "brightness +0.1", "saturation x1.25")
ARGUMENTS = {"num_channels": 3, "width": 8, "deep_width": 8, "depths": (1, 1, 1), "head_width": 8}


def fresh(names: tuple[str, ...] = NAMES, **more: object) -> Surveying:
    torch.manual_seed(0)
    return Surveying(len(names), **{**ARGUMENTS, **more}).eval()  # type: ignore[arg-type]


def square(height: int = 64, width: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """A square a little brighter than what is around it, and where it is."""
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    mask[..., 20:40, 24:44] = True
    noise = torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(0)) * 0.05
    return torch.where(mask, 0.55, 0.45) + noise, mask


def seen(policy: Surveying, image: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    return policy.survey(image, policy.perceive(image, planes))


@pytest.mark.parametrize(("strength", "way"), [(1.0, 1), (-1.0, -1)])
def test_the_object_leaves_its_surroundings_or_comes_nearer(strength: float, way: int) -> None:
    image, mask = square()
    planes = object_planes(image, mask, torch.tensor([[strength]]))
    _, final = rollout(fresh(), ActionSet(NAMES), image, planes, 1)
    moved = (final - image).mean(1, keepdim=True)
    assert way * moved[mask].mean() > 0.02
    assert moved[~mask].abs().mean() < 0.01


def test_logits_are_those_of_the_docstring_at_first() -> None:
    image, mask = square()
    planes = object_planes(image, mask, torch.tensor([[0.7]]))
    policy, actions = fresh(heard=0.0), ActionSet(NAMES)
    outcomes = actions.outcomes(image)
    logits = policy(image, outcomes, seen(policy, image, planes)).logits[0, :, 0]
    rising, falling, least, most, _ = policy.log_factors.exp()
    slope = shared_slopes(MODELS["contrast"], image, planes[:, :1] / 10, 16)[0]
    for n in range(len(NAMES)):
        gain = (slope * (outcomes[0, n].clamp(0, 1) - image[0].clamp(0, 1))).sum(0)
        far = (opponent(outcomes[0, n]) - opponent(image[0])).norm(dim=0)
        factor = torch.where(planes[0, 0] > 0, rising, falling)
        expected = factor * gain - least * 0.7 * far - most * far.square()
        torch.testing.assert_close(logits[n], expected, atol=1e-3, rtol=1e-4)


def test_what_is_surveyed_is_the_image_of_the_step() -> None:
    image, mask = square()
    planes = object_planes(image, mask, torch.tensor([[1.0]]))
    policy = fresh()
    first = seen(policy, image, planes)
    brighter = torch.where(mask, image + 0.2, image)
    again = policy.survey(brighter, first)
    changed = (first != again).flatten(2).any(2)[0]
    begin = policy.head_width + 17
    assert changed[begin:-2].any()
    assert not changed[:begin].any()
    assert not changed[-2:].any()


def test_neighbours_that_are_heard_make_maps_plainer() -> None:
    """Before any training: three rounds of hearing the neighbours."""
    image, mask = square()
    image = image + 0.15 * torch.rand(image.shape, generator=torch.Generator().manual_seed(1))
    planes = object_planes(image, mask, torch.tensor([[1.0]]))
    shares = []
    for heard in (0.0, 1.0):
        trajectory, _ = rollout(fresh(share=0, heard=heard), ActionSet(NAMES), image, planes, 2)
        shares.append(agreement(trajectory.actions).mean().item())
    assert 1 - shares[1] < 0.8 * (1 - shares[0])


@torch.no_grad()
@pytest.mark.parametrize("heard", [0.0, 0.8])
def test_tiles_change_nothing(heard: float, randomise: Callable[[torch.nn.Module], None]) -> None:
    policy, actions = fresh(heard=heard), ActionSet(NAMES)
    randomise(policy)
    generator = torch.Generator().manual_seed(0)
    image, condition = torch.rand((1, 3, 119, 158), generator=generator), torch.rand((1, 8, 119, 158))
    condition[:, 1:] = condition[:, 1:, :1, :1]  # the same everywhere
    outcomes, memory = actions.outcomes(image), seen(policy, image, condition)
    tiled = policy.survey(image, tiled_perceive(policy, image, condition, 32))
    torch.testing.assert_close(tiled, memory, rtol=1e-4, atol=1e-4)
    logits, _, after = policy(image, outcomes, memory)
    assert logits.std() > 0.1
    chosen, later = tiled_forward(policy, greedy, image, outcomes, memory, 32)
    assert (chosen == greedy(logits)).double().mean() > 0.999  # ties may fall either way
    torch.testing.assert_close(later, after, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_slopes_are_those_of_the_weighted_map(name: str) -> None:
    """Against the change of the weighted sum when one patch of one channel is made a little brighter."""
    image, mask = square(40, 48)
    weight = torch.where(mask, 1.0, -0.3)
    slope = slopes(MODELS[name], image, weight)
    patch = torch.zeros_like(image)
    patch[:, 1, 24:32, 28:36] = 0.004

    def total(of: torch.Tensor) -> float:
        return (weight * MODELS[name](of)).double().sum().item()

    measured = (total(image + patch) - total(image - patch)) / 2
    assert (slope * patch).sum().item() == pytest.approx(measured, rel=0.05)


def test_slopes_of_a_black_box_are_those_of_its_blocks() -> None:
    """Of a model whose map is a weighted sum of channels, that is the weight's mean over each block."""
    image, mask = square(48, 48)
    weight = torch.where(mask, 1.0, -0.3)
    channels = torch.tensor([0.2, -1.0, 3.0]).view(1, 3, 1, 1)
    found = slopes(lambda of: (channels * of).sum(1, keepdim=True), image, weight)
    blocks = torch.nn.functional.avg_pool2d(weight, 8)
    expected = channels * torch.nn.functional.interpolate(blocks, scale_factor=8.0)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)


def test_shared_slopes_are_means_over_the_same_side() -> None:
    """With a window larger than the picture, the mean of each side; with none, the slopes as they are."""
    image, mask = square(40, 48)
    direction = torch.where(mask, 0.8, -0.3)
    alone = slopes(MODELS["contrast"], image, direction)
    assert torch.equal(shared_slopes(MODELS["contrast"], image, direction, 0), alone)
    shared = shared_slopes(MODELS["contrast"], image, direction, 60)
    for side in (mask, ~mask):
        means = (alone * side).sum((2, 3), keepdim=True) / side.sum()
        torch.testing.assert_close(shared * side, means * side, rtol=1e-3, atol=1e-4)
    near = shared_slopes(MODELS["contrast"], image, direction, 3)
    assert 0.2 * alone.std() < near.std() < alone.std()


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="sees 3 channels, not 1"):
        fresh(num_channels=1)
    with pytest.raises(ValueError, match="share = -1 must be a whole number of pixels"):
        fresh(share=-1)
    with pytest.raises(ValueError, match=r"heard = 2\.0 must be a number from 0 to 1"):
        fresh(heard=2.0)
    with pytest.raises(ValueError, match="shown = 'itti' is no built-in model of saliency"):
        fresh(shown="itti")
