"""PSNR and bits of maps by hand, SSIM against scikit-image on 8-bit arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from pixelrl.imaging.metrics import agreement, bits_per_pixel, psnr, ssim, step_bits, to_8_bit


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


def maps(*steps: list[list[int]]) -> Tensor:
    """Maps ``(t, 1, 1, h, w)`` of one agent per pixel."""
    return torch.tensor(steps, dtype=torch.uint8)[:, None, None]


def test_bits_of_maps_without_news() -> None:
    """What left and upper neighbours tell needs no bits, however many actions there are."""
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(50), indexing="ij")
    plain = {
        "constant": torch.full((40, 50), 7),
        "checkerboard": (rows + columns) % 2,
        "stripes of one pixel": columns % 2,
        "lying stripes": rows % 2,
        "diagonal stripes": (rows - columns) % 3,
    }
    for name, map_ in plain.items():
        assert bits_per_pixel(map_[None, None, None]).tolist() == [0], name


def test_bits_of_coins(generator: torch.Generator) -> None:
    coins = torch.randint(2, (1, 2, 1, 200, 200), generator=generator, dtype=torch.uint8)
    assert bits_per_pixel(coins).tolist() == pytest.approx([1, 1], abs=1e-3)
    loaded = (torch.rand(1, 1, 1, 300, 300, generator=generator) < 0.11).to(torch.uint8)
    assert bits_per_pixel(loaded).item() == pytest.approx(0.4999, abs=0.02)  # -.11 log2 .11 - .89 log2 .89


def test_bits_by_hand() -> None:
    """After left and up (0, 0) follow 0, 1, 1; after (1, 0), (1, 1) and (0, 1) it is certain what follows."""
    shown = maps([[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]])
    follows = {}
    rows = shown[0, 0, 0].tolist()
    for y in (1, 2):
        for x in (1, 2, 3):
            follows.setdefault((rows[y][x - 1], rows[y - 1][x]), []).append(rows[y][x])
    assert follows == {(0, 0): [0, 1, 1], (1, 0): [1], (1, 1): [0], (0, 1): [0]}
    entropy = -(1 / 3 * math.log2(1 / 3) + 2 / 3 * math.log2(2 / 3))
    assert bits_per_pixel(shown).item() == pytest.approx(3 / 6 * entropy)


def test_wide_stripes_cost_little_and_known_bits() -> None:
    """Stripes of five pixels: of five pixels, one differs from its left neighbour."""
    columns = (torch.arange(101) // 5) % 2  # 100 pixels with a left neighbour, 20 of which differ from it
    shown = columns.expand(1, 1, 1, 30, 101)
    # The upper neighbour is of the pixel's own column, and so tells all.
    assert bits_per_pixel(shown).item() == 0
    # In a picture of two rows with another upper one, only the left one tells.
    blind = torch.stack([torch.zeros_like(columns), columns])[None, None, None]
    assert bits_per_pixel(blind).item() == pytest.approx(-(0.2 * math.log2(0.2) + 0.8 * math.log2(0.8)), abs=1e-9)


def test_bits_are_summed_over_steps_and_agents_of_an_image(generator: torch.Generator) -> None:
    coins = torch.randint(2, (3, 2, 2, 100, 100), generator=generator)
    coins[:, 0, 1] = 0  # of the first image, one of both agents does always the same
    coins[1] = 1
    bits = step_bits(coins)
    assert bits.shape == (3, 2)
    torch.testing.assert_close(bits, torch.tensor([[1, 2], [0, 0], [1, 2]]).double(), rtol=0, atol=2e-3)
    assert torch.equal(bits_per_pixel(coins), bits.sum(0))


def test_names_of_actions_do_not_count(generator: torch.Generator) -> None:
    coins = torch.randint(2, (1, 1, 1, 50, 50), generator=generator, dtype=torch.uint8)
    assert bits_per_pixel(coins * 200 + 3).item() == pytest.approx(bits_per_pixel(coins).item(), abs=1e-12)


def test_pictures_without_pairs_of_neighbours() -> None:
    line = torch.zeros(2, 1, 1, 1, 9, dtype=torch.uint8)
    assert math.isnan(bits_per_pixel(line).item())
    assert agreement(line).flatten().tolist() == [1, 1]
    assert math.isnan(agreement(line[..., :1]).flatten()[0].item())
    nothing = torch.zeros(0, 2, 1, 4, 4, dtype=torch.uint8)
    assert bits_per_pixel(nothing).tolist() == [0, 0]
    assert agreement(nothing).shape == (0, 2)


def test_agreement_by_hand() -> None:
    shown = maps([[0, 0, 1], [0, 2, 1]], [[0, 1, 0], [1, 0, 1]], [[3, 3, 3], [3, 3, 3]])
    # First step: of 3 pairs one above the other 0-0 and 1-1 agree, of 4 side by side 0-0.
    assert agreement(shown).flatten().tolist() == pytest.approx([3 / 7, 0, 1])
    both = torch.cat([shown, torch.zeros_like(shown)], 2)  # two agents: the mean of both
    assert agreement(both).flatten().tolist() == pytest.approx([(3 / 7 + 1) / 2, 1 / 2, 1])
