"""Box, Gaussian, median and bilateral filters on image batches, with OpenCV's definitions on every device.

Tensors on the CPU go through OpenCV, one plane at a time; tensors elsewhere go through batched torch versions
of the same definitions, which the tests hold to OpenCV's within 1e-6 for values in [-1, 2]. Both are plain
functions here (``_opencv_*`` and ``_torch_*``), so that they can be compared on one machine.

Borders are mirrored without repeating the edge pixel (OpenCV's ``BORDER_REFLECT_101``); the median repeats
the edge pixel, as ``cv2.medianBlur`` does. Images may be smaller than the window. No filter has a gradient,
none modifies its input, and each returns a new contiguous float32 tensor on the input's device.

A crop filtered by itself may differ from the filtered whole in the last bit (1e-7) even far from its border:
OpenCV's vector and scalar code round differently, and the width decides which of them a pixel meets.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pixelrl.types import Image


def box(image: Tensor, size: int = 5) -> Image:
    """Mean of a size x size window, (b c h w) to (b c h w).

    Raises ``ValueError`` for an image that is not float32 (b c h w) or a size that is not odd and positive.
    """
    _check(image, size)
    return (_opencv_box if image.device.type == "cpu" else _torch_box)(image, size)


def gaussian(image: Tensor, sigma: float, size: int = 5) -> Image:
    """Gaussian blur with standard deviation ``sigma`` (pixels), cut to a size x size window and normalised.

    (b c h w) to (b c h w). Raises ``ValueError`` as ``box`` does, and for a sigma that is not positive.
    """
    _check(image, size, sigma=sigma)
    return (_opencv_gaussian if image.device.type == "cpu" else _torch_gaussian)(image, sigma, size)


def line(image: Tensor, angle: int, size: int = 7) -> Image:
    """Mean of ``size`` pixels on a straight line through the pixel, (b c h w) to (b c h w).

    ``angle`` is 0, 45, 90 or 135 degrees, counter-clockwise from the horizontal. Raises ``ValueError`` as ``box`` does,
    and for another angle.
    """
    _check(image, size)
    if angle not in _DIRECTIONS:
        raise ValueError(f"a line's angle must be 0, 45, 90 or 135 degrees, not {angle}")
    return (_opencv_line if image.device.type == "cpu" else _torch_line)(image, angle, size)


def median(image: Tensor, size: int = 5) -> Image:
    """Median of a size x size window, (b c h w) to (b c h w), border pixels repeated outwards.

    Raises ``ValueError`` as ``box`` does, and for sizes other than 3 and 5: OpenCV has no others for floats.
    """
    _check(image, size)
    if size not in (3, 5):
        raise ValueError(f"the median's size must be 3 or 5, not {size}")
    return (_opencv_median if image.device.type == "cpu" else _torch_median)(image, size)


def bilateral(image: Tensor, sigma_color: float, sigma_space: float, size: int = 5) -> Image:
    """Edge-preserving mean over a disc of diameter ``size``, (b c h w) to (b c h w), each channel by itself.

    A neighbour's weight is exp(-d^2 / (2 sigma_space^2)) exp(-v^2 / (2 sigma_color^2)) for a distance of d
    pixels and a difference in value of v (Tomasi and Manduchi, ICCV 1998). Pixels farther than size // 2 do
    not count.

    Where OpenCV is built without Intel's IPP (on ARM, say) it would read the second factor from a table of 4096
    steps over the range of the whole plane, so that the last bits of a result would depend on far pixels: by about
    1e-6 at sigma_color 0.1 and a range of 3, growing with the square of range / sigma_color. There the torch version
    is taken on the CPU, too.

    Raises ``ValueError`` as ``box`` does, for a size below 3, and for a sigma that is not positive.
    """
    _check(image, size, sigma_color=sigma_color, sigma_space=sigma_space)
    if size < 3:
        raise ValueError(f"the bilateral filter's size must be 3 or more, not {size}")
    engine = _opencv_bilateral if image.device.type == "cpu" and _opencv_is_local() else _torch_bilateral
    return engine(image, sigma_color, sigma_space, size)


def sharpen(image: Tensor, amount: float = 0.5, sigma: float = 1.5, size: int = 5) -> Image:
    """Unsharp masking: the image plus ``amount`` times what `gaussian` takes from it, (b c h w) to (b c h w).

    Raises ``ValueError`` as ``gaussian`` does.
    """
    return torch.lerp(gaussian(image, sigma, size), image, 1 + amount)


def fill_extremes(image: Tensor, size: int = 5) -> Image:
    """Where a value is 0 or below, or 1 or above: the Gaussian-weighted mean of the neighbours that are not.

    (b c h w) to (b c h w), each channel by itself: salt & pepper noise is taken for missing pixels (normalised
    convolution, Knutsson and Westin, CVPR 1993). The window is size x size, its sigma size / 5. Pixels that are not
    extreme, or have only extreme neighbours, keep their value. Raises ``ValueError`` as ``box`` does.
    """
    _check(image, size)
    known = ((image > 0) & (image < 1)).float()
    total = gaussian(known, size / 5, size)
    mean = gaussian(image * known, size / 5, size) / total.clamp_min(1e-6)
    return torch.where((known > 0) | (total < 1e-6), image, mean)


def fill_from_unlike(image: Tensor, difference: float = 0.1, size: int = 5) -> Image:
    """The mean of the neighbours that differ from a pixel by more than ``difference``, weighted by their distance.

    (b c h w) to (b c h w), each channel by itself: a letter is like itself and unlike what it covers, so it is filled
    from outside. The weights are those of a Gaussian of sigma size / 5 in a size x size window, mirrored at the border.
    Pixels that have only like neighbours keep their value. Raises ``ValueError`` as ``box`` does.
    """
    _check(image, size)
    radius, (h, w) = size // 2, image.shape[-2:]
    padded = _pad(image, radius, _mirror, (-2, -1))
    total, norm = torch.zeros_like(image), torch.zeros_like(image)
    with torch.no_grad():
        for y in range(-radius, radius + 1):
            for x in range(-radius, radius + 1):
                there = padded[..., radius + y : radius + y + h, radius + x : radius + x + w]
                unlike = ((there - image).abs() > difference).to(image.dtype)
                weight = math.exp(-0.5 * (x * x + y * y) / (size / 5) ** 2) * unlike
                total += weight * there
                norm += weight
        return torch.where(norm > 0, total / norm.clamp_min(1e-6), image)


def _check(image: Tensor, size: int, **sigmas: float) -> None:
    # Another dtype would make OpenCV allocate its own result and leave ours unwritten.
    if image.dtype != torch.float32 or image.ndim != 4:
        raise ValueError(f"filters take float32 (b c h w) images, not {image.dtype} {tuple(image.shape)}")
    if size < 1 or size % 2 == 0:
        raise ValueError(f"a filter's size must be odd and positive, not {size}")
    for name, sigma in sigmas.items():
        if not sigma > 0:
            raise ValueError(f"{name} must be positive, not {sigma}")


_DIRECTIONS = {0: (0, 1), 45: (-1, 1), 90: (1, 0), 135: (1, 1)}
"""Rows down and columns to the right from one pixel of a line to the next."""

# OpenCV: numpy views of the planes in, numpy views of the result's planes out, nothing copied in between.


def _opencv(image: Tensor, apply: Callable[[Any, Any], object]) -> Tensor:
    result = torch.empty(image.shape, dtype=torch.float32)
    sources = image.detach().contiguous().flatten(0, 1).numpy()
    for source, target in zip(sources, result.flatten(0, 1).numpy(), strict=True):
        apply(source, target)
    return result


def _opencv_box(image: Tensor, size: int) -> Tensor:
    window, border = (size, size), cv2.BORDER_REFLECT_101
    return _opencv(image, lambda s, d: cv2.boxFilter(s, -1, window, dst=d, borderType=border))


def _opencv_gaussian(image: Tensor, sigma: float, size: int) -> Tensor:
    window, border = (size, size), cv2.BORDER_REFLECT_101
    return _opencv(image, lambda s, d: cv2.GaussianBlur(s, window, sigma, dst=d, borderType=border))


def _opencv_line(image: Tensor, angle: int, size: int) -> Tensor:
    kernel, border = np.zeros((size, size), np.float32), cv2.BORDER_REFLECT_101
    down, right = _DIRECTIONS[angle]
    for step in range(-(size // 2), size // 2 + 1):
        kernel[size // 2 + step * down, size // 2 + step * right] = 1
    return _opencv(image, lambda s, d: cv2.filter2D(s, -1, kernel, dst=d, borderType=border)) / size


def _opencv_median(image: Tensor, size: int) -> Tensor:
    return _opencv(image, lambda s, d: cv2.medianBlur(s, size, dst=d))


def _opencv_bilateral(image: Tensor, sigma_color: float, sigma_space: float, size: int) -> Tensor:
    border = cv2.BORDER_REFLECT_101
    return _opencv(image, lambda s, d: cv2.bilateralFilter(s, size, sigma_color, sigma_space, dst=d, borderType=border))


@functools.cache
def _opencv_is_local() -> bool:
    """Whether a result of OpenCV's bilateral filter depends on no pixel beyond its window."""
    image = torch.linspace(0, 1, 64 * 64).view(1, 1, 64, 64)
    ranging = image.clone()
    ranging[..., -1, -1] = 9
    results = (_opencv_bilateral(each, 0.1, 5.0, 5)[..., :32, :32] for each in (image, ranging))
    return torch.equal(*results)


# torch: loops over the taps of a window, never over images or pixels.


def _mirror(positions: Tensor, length: int) -> Tensor:
    # A triangular wave: ... 2 1 0 1 2 3 2 1 0 1 ... for length 4. F.pad's reflection needs radius < length.
    period = max(2 * (length - 1), 1)
    phase = positions.remainder(period)
    return torch.minimum(phase, period - phase)


def _repeat(positions: Tensor, length: int) -> Tensor:
    return positions.clamp(0, length - 1)


def _pad(image: Tensor, radius: int, border: Callable[[Tensor, int], Tensor], dims: Sequence[int]) -> Tensor:
    for dim in dims:
        length = image.shape[dim]
        positions = torch.arange(-radius, length + radius, device=image.device)
        image = image.index_select(dim, border(positions, length))
    return image


def _separable(image: Tensor, half: Sequence[float]) -> Tensor:
    """Filter rows, then columns, with a symmetric kernel; ``half`` is its centre and one side, outwards."""
    radius = len(half) - 1
    for dim in (-1, -2):
        length = image.shape[dim]
        padded = _pad(image, radius, _mirror, [dim])
        total = half[0] * image
        for distance, weight in enumerate(half[1:], start=1):
            before = padded.narrow(dim, radius - distance, length)
            total += weight * (before + padded.narrow(dim, radius + distance, length))
        image = total
    return image


@torch.no_grad()
def _torch_box(image: Tensor, size: int) -> Tensor:
    return _separable(image.contiguous(), [1 / size] * (size // 2 + 1))


@torch.no_grad()
def _torch_gaussian(image: Tensor, sigma: float, size: int) -> Tensor:
    side = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(size // 2 + 1)]
    total = side[0] + 2 * sum(side[1:])
    return _separable(image.contiguous(), [weight / total for weight in side])


@torch.no_grad()
def _torch_line(image: Tensor, angle: int, size: int) -> Tensor:
    (h, w), radius, (down, right) = image.shape[-2:], size // 2, _DIRECTIONS[angle]
    padded = _pad(image, radius, _mirror, (-2, -1))
    total = torch.zeros(image.shape, device=image.device)
    for step in range(-radius, radius + 1):
        y, x = radius + step * down, radius + step * right
        total += padded[..., y : y + h, x : x + w]
    return total / size


@torch.no_grad()
def _torch_median(image: Tensor, size: int) -> Tensor:
    h, w = image.shape[-2:]
    padded = _pad(image, size // 2, _repeat, (-2, -1))
    taps = [padded[..., y : y + h, x : x + w] for y in range(size) for x in range(size)]
    return torch.stack(taps, -1).median(-1).values


@torch.no_grad()
def _torch_bilateral(image: Tensor, sigma_color: float, sigma_space: float, size: int) -> Tensor:
    h, w = image.shape[-2:]
    radius = size // 2
    padded = _pad(image, radius, _mirror, (-2, -1))
    image = image.contiguous()
    # Averaging differences from the centre pixel instead of values keeps the rounding error small.
    total, norm = torch.zeros_like(image), torch.ones_like(image)
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            squared = x * x + y * y
            if 0 < squared <= radius * radius:
                delta = padded[..., radius + y : radius + y + h, radius + x : radius + x + w] - image
                exponent = delta.square() * (-0.5 / sigma_color**2) - 0.5 * squared / sigma_space**2
                weight = exponent.exp_()
                total += weight * delta
                norm += weight
    return image + total / norm
