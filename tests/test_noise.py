"""Levels of noise: what is estimated is what was added."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import pywt
import torch
from PIL import Image as PillowImage
from PIL import ImageDraw
from torch import Tensor

from pixelrl.imaging.noise import (
    CLIPPED,
    LEFT_OF_DEVIATION,
    LEFT_OF_MEDIAN,
    NORMAL_QUARTILE,
    anscombe,
    channel_sigmas,
    estimate_sigma,
    in_common,
)
from pixelrl.noise.poisson_gaussian import estimate_peak
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


def stored(image: Tensor) -> Tensor:
    """As a file of 8 bits holds it."""
    return (255 * image.clamp(0, 1)).round() / 255


def noisy_scene(sigma: float, generator: torch.Generator, clean: Tensor | None = None) -> Tensor:
    clean = scene() if clean is None else clean
    return stored(clean + sigma / 255 * torch.randn(clean.shape, generator=generator))


@pytest.mark.parametrize("value", [200 / 255, 1.0])
@pytest.mark.parametrize("share", [0.4, 0.55, 0.85])
def test_areas_of_one_value_do_not_count(value: float, share: float, generator: torch.Generator) -> None:
    noisy = noisy_scene(20, generator)
    noisy[..., : round(share * noisy.shape[-2]), :] = value
    assert estimate_sigma(noisy) == pytest.approx(20, rel=0.1)


def test_a_border_does_not_count(generator: torch.Generator) -> None:
    framed = torch.ones(1, 1, 320, 400)
    framed[..., 80:240, 100:300] = noisy_scene(20, generator)
    assert estimate_sigma(framed) == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize("mean", [0.0, 0.03, 0.1, 0.97, 1.0])
@pytest.mark.parametrize("sigma", [10.0, 25.0, 50.0])
def test_noise_that_is_clipped_is_estimated_as_it_was(mean: float, sigma: float, generator: torch.Generator) -> None:
    flat = noisy_scene(sigma, generator, torch.full((1, 1, 300, 300), mean))
    assert estimate_sigma(flat) == pytest.approx(sigma, rel=0.1)


def test_what_clipping_leaves_of_noise() -> None:
    """The wavelet coefficients of noise of which such a share is clipped, against those of all of it."""
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((4, 4, 100_000))
    low, high = (np.array(each) for each in (pywt.Wavelet("db2").dec_lo, pywt.Wavelet("db2").dec_hi))
    for share, of_median, of_deviation in zip(CLIPPED, LEFT_OF_MEDIAN, LEFT_OF_DEVIATION, strict=True):
        kept = np.maximum(pixels, NormalDist().inv_cdf(max(share, 1e-9)))
        diagonal, down = (np.einsum("i,j,ijn", high, other, kept) for other in (high, low))
        assert np.median(np.abs(diagonal)) / NORMAL_QUARTILE == pytest.approx(of_median, abs=0.01)
        assert down.std() == pytest.approx(of_deviation, abs=0.01)


def test_texture_is_no_noise(generator: torch.Generator) -> None:
    """Half of the picture is a fine texture that the details of the whole picture would be taken for noise for."""
    textured = scene()
    textured[..., :, 60:] += 0.2 * (torch.rand(1, 1, 160, 140, generator=generator) - 0.5)
    assert estimate_sigma(textured) < 1
    assert estimate_sigma(noisy_scene(5, generator, textured)) == pytest.approx(5, rel=0.1)


def test_letters_are_no_noise() -> None:
    page = PillowImage.new("L", (600, 400), 255)
    for row in range(0, 400, 16):
        ImageDraw.Draw(page).text((5, row), "the quick brown fox jumps over the lazy dog " * 3, fill=0)
    assert estimate_sigma(torch.from_numpy(np.asarray(page) / np.float32(255))[None, None]) == 0


def test_each_channel_has_its_level_and_the_picture_their_root_mean_square(generator: torch.Generator) -> None:
    noise = torch.tensor([3.0, 10.0, 40.0])[:, None, None] / 255 * torch.randn(1, 3, 160, 200, generator=generator)
    image = scene(3) + noise
    assert channel_sigmas(image)[0].tolist() == pytest.approx([3, 10, 40], rel=0.1)
    assert estimate_sigma(image) == pytest.approx(math.sqrt((3**2 + 10**2 + 40**2) / 3), rel=0.1)


def test_noise_that_channels_have_in_common_is_stronger_in_the_brightness(generator: torch.Generator) -> None:
    """Half of its variance in common: the square root of 1 + 2/2 times; all of it: of 3. None of it: as it is."""
    ramp = torch.linspace(0.3, 0.6, 256) * torch.tensor([1.0, 0.9, 0.8])[:, None, None].expand(1, 3, 192, 256)
    own, common = torch.randn(1, 3, 192, 256, generator=generator), torch.randn(1, 1, 192, 256, generator=generator)
    shares = torch.tensor([0.0, 0.5, 1.0])[:, None, None, None]
    noisy = ramp + 20 / 255 * (shares.sqrt() * common + (1 - shares).sqrt() * own)
    assert in_common(noisy).tolist() == pytest.approx([1, 2**0.5, 3**0.5], rel=0.05)
    assert estimate_sigma(noisy) == pytest.approx(20, rel=0.05)
    assert in_common(ramp + noisy - noisy).tolist() == [1, 1, 1]
    grey = noisy[:, :1].expand(-1, 3, -1, -1).clone()
    grey[..., :5, :40] = torch.tensor([1.0, 0.5, 0.0])[:, None, None]  # a date
    assert in_common(grey).tolist() == in_common(noisy[:, :1]).tolist() == pytest.approx([3**0.5] * 3)


def test_photographs_with_little_noise(shared: Path, generator: torch.Generator) -> None:
    """Photographs have texture everywhere; by the details of all of it, the mean estimate at 5 is 6.4."""
    found: dict[int, list[float]] = {0: [], 5: [], 25: []}
    for path in sorted((shared / "data/bsd500/gray/train").iterdir())[::60]:
        photo = torch.from_numpy(np.asarray(PillowImage.open(path).convert("L")) / np.float32(255))[None, None]
        for sigma, estimates in found.items():
            estimates.append(estimate_sigma(photo if sigma == 0 else noisy_scene(sigma, generator, photo)))
    assert np.mean(found[0]) < 1.2
    assert np.mean(found[5]) == pytest.approx(5, abs=0.5)
    assert np.mean(found[25]) == pytest.approx(25, abs=0.5)


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
