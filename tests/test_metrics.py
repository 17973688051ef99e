"""PSNR by hand, SSIM against scikit-image on 8-bit arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from pixelrl.imaging.metrics import psnr, ssim, to_8_bit


def test_to_8_bit_clips_and_rounds() -> None:
    image = torch.tensor([-0.2, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 1.7]).view(1, 1, 1, 7)
    assert to_8_bit(image).flatten().tolist() == [0, 0, 0, 1, 255, 255, 255]


def test_psnr_by_hand() -> None:
    target = torch.full((1, 1, 4, 4), 100 / 255)
    off_by_one = torch.full((1, 1, 4, 4), 101 / 255)
    one_pixel = target.clone()
    one_pixel[..., 0, 0] = 108 / 255  # 64 / 16 pixels = 4
    images = torch.cat([off_by_one, one_pixel])
    expected = [10 * math.log10(255**2), 10 * math.log10(255**2 / 4)]
    assert psnr(images, target.repeat(2, 1, 1, 1)).tolist() == pytest.approx(expected)
    assert expected[0] == pytest.approx(48.1308, abs=1e-4)


def test_psnr_is_over_all_channels() -> None:
    target = torch.zeros(1, 3, 2, 2)
    image = target.clone()
    image[:, 2] = 3 / 255  # (0 + 0 + 9) / 3
    assert psnr(image, target).item() == pytest.approx(10 * math.log10(255**2 / 3))


def test_psnr_sees_what_would_be_written() -> None:
    target = torch.tensor([1.0, 0.0, 100 / 255]).view(1, 1, 1, 3)
    image = torch.tensor([1.5, -0.5, 100.4 / 255]).view(1, 1, 1, 3)
    assert psnr(image, target).item() == math.inf
    image[..., 2] = 100.6 / 255
    assert psnr(image, target).item() == pytest.approx(10 * math.log10(255**2 * 3))


@pytest.mark.parametrize("shape", [(1, 40, 37), (3, 11, 24)])
def test_ssim_is_scikit_images_on_8_bit(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    one = random.integers(0, 256, (2, *shape), dtype=np.uint8)
    other = np.clip(one + random.normal(0, 30, one.shape), 0, 255).astype(np.uint8)
    values = ssim(torch.from_numpy(one) / 255, torch.from_numpy(other) / 255)
    assert values.shape == (2,)
    for first, second, value in zip(one, other, values.tolist(), strict=True):
        # gaussian_weights, sigma 1.5 and the population covariance are Wang's (2004) choices.
        expected = structural_similarity(
            first, second, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert 0.3 < expected < 0.99
        assert value == pytest.approx(expected, abs=1e-9)


def test_ssim_of_equal_images_is_one(generator: torch.Generator) -> None:
    image = torch.rand(1, 3, 20, 20, generator=generator)
    assert ssim(image, image.clone()).item() == pytest.approx(1, abs=1e-12)


def test_ssim_sees_what_would_be_written() -> None:
    image = torch.linspace(0.2, 0.8, 400).view(1, 1, 20, 20)
    image[..., 0] = 1
    brighter = image.clone()
    brighter[..., 0] = 1.5
    assert ssim(brighter, image).item() == pytest.approx(1, abs=1e-12)


def test_small_images_have_no_ssim() -> None:
    assert math.isnan(ssim(torch.ones(1, 1, 10, 20), torch.ones(1, 1, 10, 20)).item())
    assert not math.isnan(ssim(torch.ones(1, 1, 11, 11), torch.ones(1, 1, 11, 11)).item())
