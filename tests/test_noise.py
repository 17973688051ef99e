"""Levels of noise: what is estimated is what was added."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pixelrl.imaging.noise import anscombe, estimate_peak, estimate_sigma
from pixelrl.tasks import GaussianDenoising, PoissonDenoising


def scene(channels: int = 1) -> Tensor:
    """Smooth, with a few edges, from dark to bright."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 160), torch.linspace(0, 1, 200), indexing="ij")
    plane = 0.1 + 0.4 * x + 0.2 * torch.sin(7 * y) ** 2 + 0.2 * ((x + y) > 1)
    return plane.expand(1, channels, -1, -1).contiguous()


@pytest.mark.parametrize("sigma", [5.0, 15.0, 50.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_sigma_is_estimated(sigma: float, channels: int, generator: torch.Generator) -> None:
    noisy = GaussianDenoising().degrade(scene(channels), sigma, generator).image
    assert estimate_sigma(noisy) == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("peak", [5.0, 30.0, 200.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_peak_is_estimated(peak: float, channels: int, generator: torch.Generator) -> None:
    noisy = PoissonDenoising().degrade(scene(channels), peak, generator).image
    assert estimate_peak(noisy) == pytest.approx(peak, rel=0.15)


def test_an_image_without_noise_has_no_sigma_and_a_high_peak() -> None:
    assert estimate_sigma(torch.full((1, 1, 64, 64), 0.5)) < 1e-9
    assert estimate_peak(torch.full((1, 1, 64, 64), 0.5)) > 5000


def test_anscombe_by_hand_and_its_variance(generator: torch.Generator) -> None:
    # 2 sqrt(10 * 0.5 + 3/8) = 2 sqrt(5.375); a negative value counts as none.
    image = torch.tensor([0.5, -0.2]).view(1, 1, 1, 2)
    assert anscombe(image, 10).flatten().tolist() == pytest.approx([2 * math.sqrt(5.375), 2 * math.sqrt(0.375)])
    noisy = PoissonDenoising().degrade(torch.full((1, 1, 300, 300), 0.7), 40, generator).image
    assert anscombe(noisy, 40).var().item() == pytest.approx(1, rel=0.03)


def test_episodes_hold_the_condition_of_their_level() -> None:
    encoded = {"sigma": (25.0, 25 / 255), "peak": (8.0, 0.25)}  # at 8 photons, x = 1/2 has variance 1/16
    for task in (GaussianDenoising(), PoissonDenoising()):
        level, seen = encoded[task.conditioning.name]
        start = task.degrade(scene(), level, torch.Generator().manual_seed(0))
        assert start.condition.shape == (1, 1, 1, 1)
        assert start.condition.item() == pytest.approx(seen)
        assert torch.equal(task.conditioning.condition(scene(), {task.conditioning.name: level}), start.condition)


def test_colour_photographs_and_crops_keep_their_channels() -> None:
    from pixelrl.training.data import Crops, Photo, rescaled

    photo = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8))
    half = [each.pixels for each in rescaled([Photo("p.png", photo)], [1.0, 0.5])]
    assert [tuple(each.shape) for each in half] == [(3, 40, 50), (3, 20, 25)]
    # Area interpolation by one half is the mean of 2x2 pixels, in each channel by itself.
    mean = photo[2, :2, :2].float().mean().item()
    assert half[1][2, 0, 0].item() == pytest.approx(mean, abs=0.51)
    batch = Crops([Photo("p.png", photo)], 16, 5, torch.device("cpu")).sample(torch.Generator().manual_seed(0))
    assert batch.shape == (5, 3, 16, 16)
    colours = {tuple(c) for c in photo.flatten(1).T.tolist()}
    crop = (255 * batch[0]).round().flatten(1).T.tolist()
    assert all(tuple(int(v) for v in pixel) in colours for pixel in crop)
