"""Noise as cameras make it: what is taken back and developed again is the same, and the noise is like theirs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.imaging import camera
from pixelrl.imaging.camera import Camera, Draw
from pixelrl.imaging.metrics import psnr
from pixelrl.tasks import CameraDenoising


def draw(seed: int = 0) -> Draw:
    return Draw(torch.Generator().manual_seed(seed))


def scene(side: int = 64) -> Tensor:
    """Smooth, with all brightnesses and little colour, so that no camera clips it."""
    rows, columns = torch.linspace(0.15, 0.6, side)[:, None], torch.linspace(0.0, 0.2, side)
    return torch.stack([rows + columns, rows + 0.8 * columns + 0.02, rows + 0.7 * columns + 0.03])


@pytest.mark.parametrize("seed", range(6))
def test_what_is_taken_back_develops_to_what_it_was(seed: int) -> None:
    one = Camera.drawn(draw(seed))
    clean = scene()
    back = one.develop(one.mosaic(one.raw(clean)))
    inside = (slice(None), slice(4, -4), slice(4, -4))
    assert (back - clean)[inside].abs().max() < 3 / 255


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("detailed", [False, True])
def test_demosaicking_keeps_ramps_and_the_pixels_that_it_has(corner: tuple[int, int], detailed: bool) -> None:
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 24), torch.linspace(0, 1, 24), indexing="ij")
    ramp = torch.stack([0.2 + 0.3 * rows, 0.3 + 0.2 * columns, 0.5 - 0.2 * rows])
    masks = camera.bayer(ramp, corner)
    assert masks.sum(0).eq(1).all()
    assert masks[1].mean() == 0.5
    whole = camera.demosaic((ramp * masks).sum(0, keepdim=True), corner, detailed=detailed)
    assert torch.equal(whole * masks, ramp * masks)
    assert (whole - ramp)[:, 3:-3, 3:-3].abs().max() < 0.02


def correlations(noise: Tensor) -> tuple[float, float]:
    """Of neighbours: in brightness, and in red less brightness."""
    luma = torch.einsum("c,chw->hw", noise.new_tensor(camera.LUMA), noise)
    found = []
    for plane in (luma, noise[0] - luma):
        centred = plane - plane.mean()
        found.append(((centred[:, 1:] * centred[:, :-1]).mean() / centred.square().mean()).item())
    return found[0], found[1]


def test_a_camera_s_noise_is_shared_by_neighbours_and_depends_on_brightness() -> None:
    found, ratios = [], []
    for seed in range(12):
        image, target = camera.photographed(scene(96), 2e-3, draw(seed))
        noise = image - target
        found.append(correlations(noise))
        ratios.append((noise[:, :30].std() / noise[:, -30:].std()).item())
    luma, chroma = (sum(column) / len(found) for column in zip(*found, strict=True))
    assert 0.3 < luma < 0.8
    assert 0.5 < chroma < 0.95
    assert max(ratios) > 1.2 or min(ratios) < 1 / 1.2


def test_more_light_makes_less_noise() -> None:
    levels = []
    for shot in (1e-4, 1e-3, 1e-2):
        image, target = camera.photographed(scene(), shot, draw(3))
        levels.append(psnr(image[None], target[None]).item())
    assert levels[0] > levels[1] + 4
    assert levels[1] > levels[2] + 4


@pytest.mark.parametrize("offset", [(0, 0), (3, 5)])
@pytest.mark.parametrize("sampling", ["4:2:0", "4:2:2", "4:4:4"])
def test_jpeg_keeps_size_and_place(offset: tuple[int, int], sampling: str) -> None:
    saved = camera.jpeg(scene(), 95, sampling, offset)
    assert saved.shape == scene().shape
    assert psnr(saved[None], scene()[None]).item() > 38


def test_training_crops_are_as_files_hold_them_and_told_their_noise() -> None:
    task, generator = CameraDenoising(), torch.Generator().manual_seed(0)
    clean = torch.stack([scene()] * 8)
    told, there, outside = [], [], 0
    for _ in range(10):
        start = task.begin(clean, generator)
        noise = (start.image - start.target).square().mean((1, 2, 3)).sqrt()
        told.append(start.condition.square().mean((1, 2, 3)).sqrt())
        there.append(noise)
        outside += int(((start.image < 0) | (start.image > 1)).flatten(1).any(1).sum())
    told_all, there_all = 255 * torch.cat(told), 255 * torch.cat(there)
    assert 1 <= outside <= 20, "some Gaussian noise is not clipped, and all other is"
    assert (there_all < 0.2).float().mean() > 0.03, "some are clean"
    clean_ones = told_all[there_all < 0.05]
    assert (clean_ones == 0).any(), "and told so"
    noisy = there_all > 2
    ratio = (told_all / there_all)[noisy].log()
    assert ratio.abs().median() < 0.15
    assert there_all.max() > 25


def test_a_level_is_told_for_every_pixel_and_channel() -> None:
    start = CameraDenoising().degrade(scene()[None], 4.0, torch.Generator().manual_seed(1))
    assert start.condition.shape == (1, 3, 64, 64)
    overall = (start.image - start.target).square().mean().sqrt()
    assert start.condition.square().mean().sqrt().item() == pytest.approx(overall.item(), rel=0.1)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_levels_that_are_none_are_refused(sigma: float) -> None:
    with pytest.raises(UsageError, match="not a noise level"):
        CameraDenoising(sigma=sigma)
