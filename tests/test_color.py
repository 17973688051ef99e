"""Colour spaces: against scikit-image, against each other, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from pixelrl.imaging.color import (
    from_space,
    lab_distance,
    prophoto_to_lab,
    prophoto_to_srgb,
    srgb_to_lab,
    srgb_to_prophoto,
    to_space,
)


@pytest.fixture
def colours(generator: torch.Generator) -> torch.Tensor:
    dark = torch.rand((1, 3, 40, 40), generator=generator) * 0.05
    return torch.cat([torch.rand((1, 3, 40, 40), generator=generator), dark])


def test_lab_is_that_of_scikit_image(colours: torch.Tensor) -> None:
    expected = rgb2lab(colours.double().movedim(1, -1).numpy())
    ours = 100 * srgb_to_lab(colours).movedim(1, -1).numpy()
    assert np.abs(ours - expected).max() < 1e-3


def test_prophoto_by_hand() -> None:
    # White is white and grey is grey in both; 18 % grey has L* 49.5.
    grey = torch.full((1, 3, 1, 1), 0.18 ** (1 / 1.8))
    lab = 100 * prophoto_to_lab(grey).flatten()
    assert lab[0].item() == pytest.approx(49.5, abs=0.01)
    assert lab[1:].abs().max() < 0.05
    white = torch.ones(1, 3, 1, 1)
    torch.testing.assert_close(prophoto_to_srgb(white), white, rtol=0, atol=5e-4)
    # ProPhoto's primaries are far outside of sRGB.
    green = prophoto_to_srgb(torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)).flatten()
    assert green[0] < -0.5
    assert green[1] > 1


def test_both_ways_to_lab_agree(colours: torch.Tensor) -> None:
    torch.testing.assert_close(srgb_to_lab(prophoto_to_srgb(colours)), prophoto_to_lab(colours), rtol=0, atol=2e-6)


def test_there_and_back(colours: torch.Tensor) -> None:
    beyond = 1.6 * colours - 0.3
    torch.testing.assert_close(prophoto_to_srgb(srgb_to_prophoto(beyond)), beyond, rtol=0, atol=1e-5)
    torch.testing.assert_close(srgb_to_prophoto(prophoto_to_srgb(beyond)), beyond, rtol=0, atol=1e-5)
    torch.testing.assert_close(from_space(to_space(colours, "prophoto"), "prophoto"), colours, rtol=0, atol=1e-5)
    assert torch.equal(to_space(colours, "srgb"), colours)


def test_all_8_bit_values_survive_the_way_there_and_back() -> None:
    values = torch.arange(256).float() / 255
    image = torch.stack([values.view(16, 16), values.flip(0).view(16, 16), values.roll(77).view(16, 16)])[None]
    back = from_space(to_space(image, "prophoto"), "prophoto")
    assert torch.equal((back * 255).round(), (image * 255).round())


def test_distances_and_their_gradient() -> None:
    one = torch.tensor([0.5, 0.03, 0.0]).view(1, 3, 1, 1)
    other = torch.tensor([0.5, 0.0, 0.04]).view(1, 3, 1, 1)
    assert lab_distance(one, other).item() == pytest.approx(5, abs=1e-4)
    image = torch.zeros(1, 3, 2, 2, requires_grad=True)
    lab_distance(srgb_to_lab(image), srgb_to_lab(image.detach())).sum().backward()
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()
