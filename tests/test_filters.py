"""Numbers worked by hand, and the parity of the two engines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pixelrl.imaging import filters, impulses
from pixelrl.imaging.specks import little_noise

Filter = Callable[[Tensor], Tensor]

PUBLIC: dict[str, Filter] = {
    "box": filters.box,
    "gaussian": lambda image: filters.gaussian(image, 1.5),
    "line": lambda image: filters.line(image, 45),
    "median": filters.median,
    "bilateral": lambda image: filters.bilateral(image, 0.1, 5.0),
}

# name: (parameters, OpenCV's engine, torch's engine)
ENGINES: dict[str, tuple[tuple[Any, ...], Callable[..., Tensor], Callable[..., Tensor]]] = {
    "box 1": ((1,), filters._opencv_box, filters._torch_box),
    "box 3": ((3,), filters._opencv_box, filters._torch_box),
    "box 5": ((5,), filters._opencv_box, filters._torch_box),
    "gaussian 0.5": ((0.5, 5), filters._opencv_gaussian, filters._torch_gaussian),
    "gaussian 1.5": ((1.5, 5), filters._opencv_gaussian, filters._torch_gaussian),
    "gaussian 1.5, size 7": ((1.5, 7), filters._opencv_gaussian, filters._torch_gaussian),
    **{f"line {angle}": ((angle, 7), filters._opencv_line, filters._torch_line) for angle in (0, 45, 90, 135)},
    "median 3": ((3,), filters._opencv_median, filters._torch_median),
    "median 5": ((5,), filters._opencv_median, filters._torch_median),
    "bilateral 0.1": ((0.1, 5.0, 5), filters._opencv_bilateral, filters._torch_bilateral),
    "bilateral 1.0": ((1.0, 5.0, 5), filters._opencv_bilateral, filters._torch_bilateral),
    "bilateral 0.1, size 3": ((0.1, 1.5, 3), filters._opencv_bilateral, filters._torch_bilateral),
}

SIZES = [
    *((1, 1), (1, 2), (1, 7), (7, 1), (2, 1), (2, 2), (2, 3), (3, 3), (3, 5), (4, 4), (5, 5), (6, 3)),
    *((8, 16), (9, 33), (17, 23), (40, 31)),
]

both_engines = pytest.mark.parametrize("engine", ["opencv", "torch"])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def impulse(size: int, height: float = 1.0) -> Tensor:
    image = torch.zeros(1, 1, size, size)
    image[..., size // 2, size // 2] = height
    return image


def call(engine: str, name: str, image: Tensor) -> Tensor:
    parameters, opencv, ours = ENGINES[name]
    return (opencv if engine == "opencv" else ours)(image, *parameters)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 2.0)])
def test_engines_agree_on_every_size(name: str, low: float, high: float) -> None:
    rng = generator()
    for h, w in SIZES:
        image = low + (high - low) * torch.rand(3, 2, h, w, generator=rng)
        opencv, ours = call("opencv", name, image), call("torch", name, image)
        assert ours.dtype == opencv.dtype == torch.float32
        assert ours.shape == opencv.shape == image.shape
        assert ours.is_contiguous()
        assert opencv.is_contiguous()
        torch.testing.assert_close(ours, opencv, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("angle", "down", "right"), [(0, 0, 1), (45, -1, 1), (90, 1, 0), (135, 1, 1)])
def test_a_line_lies_as_its_angle_says(angle: int, down: int, right: int) -> None:
    """Counter-clockwise from the horizontal, as one looks at the picture."""
    expected = torch.zeros(1, 1, 9, 9)
    for step in range(-3, 4):
        expected[..., 4 + step * down, 4 + step * right] = 1 / 7
    torch.testing.assert_close(filters.line(impulse(9), angle), expected)


def test_no_other_lines() -> None:
    with pytest.raises(ValueError, match="0, 45, 90 or 135 degrees, not 30"):
        filters.line(impulse(9), 30)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("value", [0.0, 0.3, 1.7, -1.0])
@both_engines
def test_constant_images_stay(engine: str, name: str, value: float) -> None:
    image = torch.full((1, 1, 6, 7), value)
    torch.testing.assert_close(call(engine, name, image), image, rtol=0, atol=2e-7)


@both_engines
def test_box_of_an_impulse(engine: str) -> None:
    # 7x7, impulse in the middle: the 25 windows that hold it give 1/25, the outer ring 0.
    expected = torch.zeros(1, 1, 7, 7)
    expected[..., 1:6, 1:6] = 0.04
    torch.testing.assert_close(call(engine, "box 5", impulse(7)), expected, rtol=0, atol=1e-7)


@both_engines
def test_box_mirrors_without_the_edge(engine: str) -> None:
    # 3x3 with 9 in the middle. The windows of rows 0, 1 and 2 read the rows 2 1 0 1 2, 1 0 1 2 1 and
    # 0 1 2 1 0, so the middle row counts 2, 3 and 2 times. Columns alike.
    times = torch.tensor([2.0, 3.0, 2.0])
    expected = (9 / 25 * times[:, None] * times)[None, None]
    torch.testing.assert_close(call(engine, "box 5", impulse(3, 9.0)), expected, rtol=0, atol=1e-6)


@both_engines
def test_gaussian_of_an_impulse(engine: str) -> None:
    # Sigma 0.5: exp(-2 x^2) = 1, 0.13533528, 0.00033546 at x = 0, 1, 2; the five sum to 1.27134149.
    # Sigma 1.5: exp(-x^2 / 4.5) = 1, 0.80073740, 0.41111229; sum 3.42369938.
    for name, side, total in [
        ("gaussian 0.5", (1.0, 0.13533528, 0.00033546), 1.27134149),
        ("gaussian 1.5", (1.0, 0.80073740, 0.41111229), 3.42369938),
    ]:
        line = torch.tensor([0, side[2], side[1], side[0], side[1], side[2], 0]) / total
        expected = (line[:, None] * line)[None, None]
        result = call(engine, name, impulse(7))
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-7)
        assert result.sum().item() == pytest.approx(1, abs=1e-6)


@both_engines
def test_median_removes_an_impulse_and_repeats_the_border(engine: str) -> None:
    assert torch.equal(call(engine, "median 5", impulse(5, 100.0)), torch.zeros(1, 1, 5, 5))
    # One row, so each value counts five times. The windows of 3 6 1 8 2, its ends repeated, are 3 3 3 6 1,
    # 3 3 6 1 8, 3 6 1 8 2, 6 1 8 2 2 and 1 8 2 2 2; mirrored, the second would be 6 3 6 1 8 with median 6.
    row = torch.tensor([3.0, 6, 1, 8, 2]).reshape(1, 1, 1, 5)
    assert call(engine, "median 5", row).flatten().tolist() == [3, 3, 3, 2, 2]


@both_engines
def test_bilateral_on_a_step_edge(engine: str) -> None:
    # Every row is 0 0 0 s s s. Seen from column 2, the disc of radius 2 holds on its own side column 0
    # (distance 2), column 1 (1, sqrt 2 twice) and column 2 (0, 1 twice, 2 twice); across, column 3 (1, sqrt 2
    # twice) and column 4 (2). Sigma_space is 5, so a distance of d weighs exp(-d^2 / 50).
    near, diagonal, far = np.exp(-1 / 50), np.exp(-2 / 50), np.exp(-4 / 50)
    same = far + (near + 2 * diagonal) + (1 + 2 * near + 2 * far)
    other = (near + 2 * diagonal) + far
    for sigma_color, name in [(0.1, "bilateral 0.1"), (1.0, "bilateral 1.0")]:
        for step in (0.05, 0.2, 1.0):
            image = torch.zeros(1, 1, 6, 6)
            image[..., 3:] = step
            color = np.exp(-(step**2) / (2 * sigma_color**2))
            mixed = step * color * other / (same + color * other)
            # One column farther from the edge only the farthest pixel is across it.
            outer = step * color * far / (same + other - far + color * far)
            line = torch.tensor([0, outer, mixed, step - mixed, step - outer, step], dtype=torch.float32)
            expected = line.expand(1, 1, 6, 6)
            torch.testing.assert_close(call(engine, name, image), expected, rtol=0, atol=5e-7)


@pytest.mark.parametrize("name", PUBLIC)
def test_contract(name: str) -> None:
    image = torch.rand(2, 3, 9, 8, generator=generator(), requires_grad=True)
    before = image.detach().clone()
    result = PUBLIC[name](image)
    assert torch.equal(image.detach(), before)
    assert not result.requires_grad
    assert result.data_ptr() != image.data_ptr()
    # Planes are independent of each other, and strides of no consequence.
    for b in range(2):
        for c in range(3):
            assert torch.equal(PUBLIC[name](image[b : b + 1, c : c + 1]), result[b : b + 1, c : c + 1])
    channels_last = image.detach().to(memory_format=torch.channels_last)
    turned = before.mT.contiguous().mT
    for other in (channels_last, turned):
        assert torch.equal(PUBLIC[name](other), result)
        assert PUBLIC[name](other).is_contiguous()
    assert PUBLIC[name](image[:0]).shape == (0, 3, 9, 8)


@pytest.mark.parametrize("name", ENGINES)
def test_torch_engine_takes_any_strides_and_gives_no_gradient(name: str) -> None:
    image = torch.rand(2, 3, 9, 8, generator=generator())
    expected = call("torch", name, image)
    for other in (image.to(memory_format=torch.channels_last), image.mT.contiguous().mT):
        before = other.clone()
        result = call("torch", name, other)
        assert torch.equal(result, expected)
        assert result.is_contiguous()
        assert torch.equal(other, before)
    assert not call("torch", name, image.requires_grad_()).requires_grad


def test_other_devices_use_the_torch_engine() -> None:
    # The meta device computes nothing, but OpenCV would refuse it.
    image = torch.empty(2, 3, 4, 5, device="meta")
    for apply in PUBLIC.values():
        assert apply(image).shape == image.shape
        assert apply(image).device.type == "meta"


@pytest.mark.parametrize("name", PUBLIC)
def test_refuses_other_than_float32_batches(name: str) -> None:
    with pytest.raises(ValueError, match="float64"):
        PUBLIC[name](torch.zeros(1, 1, 5, 5, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"\(5, 5\)"):
        PUBLIC[name](torch.zeros(5, 5))


def test_fill_extremes_by_hand() -> None:
    image = torch.full((1, 1, 7, 7), 0.25)
    image[0, 0, 3, 2:] = 0.75
    image[0, 0, 3, 3] = 1.0
    result = filters.fill_extremes(image, 3)
    # A 3x3 Gaussian of sigma 0.6: its one step has the weight k, the centre 1.
    k = math.exp(-0.5 / 0.6**2)
    around = (0.25 * (2 * k + 4 * k * k) + 0.75 * 2 * k) / (4 * k + 4 * k * k)
    assert result[0, 0, 3, 3].item() == pytest.approx(around, abs=1e-6)
    image[0, 0, 3, 3] = result[0, 0, 3, 3]
    assert torch.equal(result, image)  # nothing else has changed


def test_fill_extremes_leaves_what_has_no_neighbours() -> None:
    image = torch.ones(1, 1, 9, 9)
    image[..., 0, 0] = 0.5
    result = filters.fill_extremes(image)
    assert torch.allclose(result[..., :3, :3], torch.tensor(0.5))
    assert (result[..., 3:, :] == 1).all()
    assert torch.equal(filters.fill_extremes(torch.zeros(1, 2, 4, 4)), torch.zeros(1, 2, 4, 4))


def areas(side: int = 90) -> Tensor:
    """Noise, with areas of black and of white, which noise has hit, too."""
    rng = generator(5)
    image = 0.1 + 0.8 * torch.rand(2, 2, side, side, generator=rng)
    image[..., :30, 20:60], image[..., 50:, 40:55], image[..., 40:47, 3:10] = 1.0, 0.0, 1.0
    specks = torch.rand(image.shape, generator=rng)
    return torch.where(specks < 0.2, (specks < 0.1).float(), image)


def test_areas_are_found_alike_by_both_engines() -> None:
    where = areas() >= 1
    by_hand = F.conv2d(where.float().flatten(0, 1)[:, None], torch.ones(1, 1, 7, 7), padding=3).view(where.shape)
    assert torch.equal(impulses._opencv_counts(where).float(), by_hand)
    assert torch.equal(impulses._torch_counts(where).float(), by_hand)


def test_an_area_is_trusted_as_far_as_the_reach_says() -> None:
    image = areas()
    whole, reach = impulses.hit(image), impulses.PLATEAU_REACH
    assert not whole[..., 5:25, 25:55][image[..., 5:25, 25:55] >= 1].any()
    assert whole[..., 5:25, 25:55][image[..., 5:25, 25:55] <= 0].all()
    part = impulses.hit(image[..., 10:70, 15:80])
    assert torch.equal(part[..., reach:-reach, reach:-reach], whole[..., 10:70, 15:80][..., reach:-reach, reach:-reach])


@pytest.mark.parametrize("density", [0.5, 0.9, 0.95])
def test_noise_is_no_area(density: float) -> None:
    uniform = torch.rand(1, 1, 400, 400, generator=generator(2))
    image = torch.where(uniform < density, (uniform < density / 2).float(), torch.tensor(0.3))
    assert torch.equal(impulses.hit(image), uniform < density)


def test_what_is_said_where_there_is_hardly_any_noise() -> None:
    uniform = torch.rand(1, 1, 64, 64, generator=generator(3))
    scene = torch.linspace(0.3, 0.7, 64).expand(1, 1, 64, 64)

    def noisy(low: float, high: float, density: float = 0.1) -> Tensor:
        return torch.where(uniform < density / 2, low, torch.where(uniform < density, high, scene))

    assert little_noise(noisy(0, 1)) is None
    sky = scene.clone()
    sky[..., :20, :] = 1
    said = little_noise(sky)
    assert said is not None
    assert said.startswith("hardly any salt & pepper noise seen: 0.0 % of the values")
    assert said.endswith("another kind of noise needs another policy")
    for low, high in ((1, 254), (10, 245)):
        said = little_noise(noisy(low / 255, high / 255))
        assert said is not None
        assert f"are specks near them (about {low} and {high} of 255): make these exactly 0 and 255 first" in said
    assert little_noise(torch.zeros(1, 1, 0, 5)) is None


def test_refuses_wrong_parameters() -> None:
    image = torch.zeros(1, 1, 5, 5)
    with pytest.raises(ValueError, match="odd and positive, not 4"):
        filters.box(image, 4)
    with pytest.raises(ValueError, match="3 or 5, not 7"):
        filters.median(image, 7)
    with pytest.raises(ValueError, match="3 or more, not 1"):
        filters.bilateral(image, 0.1, 5.0, 1)
    with pytest.raises(ValueError, match="sigma must be positive, not 0"):
        filters.gaussian(image, 0.0)
    with pytest.raises(ValueError, match="sigma_space must be positive, not -1"):
        filters.bilateral(image, 0.1, -1.0)


def test_without_ipp_the_bilateral_filter_sees_no_far_pixel_either() -> None:
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    ranging = image.clone()
    ranging[..., -1, -1] = 7.0
    before = cv2.ipp.useIPP()
    try:
        cv2.ipp.setUseIPP(False)
        filters._opencv_is_local.cache_clear()
        results = [filters.bilateral(each, 0.1, 5.0) for each in (image, ranging)]
    finally:
        cv2.ipp.setUseIPP(before)
        filters._opencv_is_local.cache_clear()
    assert torch.equal(*(each[..., :32, :32] for each in results))
