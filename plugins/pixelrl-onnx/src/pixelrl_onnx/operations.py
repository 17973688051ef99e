"""The named operations, with the definitions of ``pixelrl.actions``: the same calls of OpenCV, and so the same bits.

An operation maps a plane, float32 ``(h, w)``, to a new one. Borders are mirrored without repeating the edge pixel; the
median repeats it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from pixelrl_onnx.errors import UsageError

Plane = npt.NDArray[np.float32]
Operation = Callable[[Plane], Plane]

DO_NOTHING = "do nothing"
_BORDER = cv2.BORDER_REFLECT_101
_DIRECTIONS = {0: (0, 1), 45: (-1, 1), 90: (1, 0), 135: (1, 1)}
"""Rows down and columns to the right from one pixel of a line to the next."""


def _add(plane: Plane, levels: int) -> Plane:
    return plane + np.float32(levels / 255)


def box(plane: Plane, size: int = 5) -> Plane:
    """The mean of a window of size x size pixels."""
    return np.asarray(cv2.boxFilter(plane, -1, (size, size), borderType=_BORDER), np.float32)


def _gaussian(plane: Plane, sigma: float, size: int = 5) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (size, size), sigma, borderType=_BORDER), np.float32)


def _line(plane: Plane, angle: int, size: int = 7) -> Plane:
    kernel, (down, right) = np.zeros((size, size), np.float32), _DIRECTIONS[angle]
    for step in range(-(size // 2), size // 2 + 1):
        kernel[size // 2 + step * down, size // 2 + step * right] = 1
    return np.asarray(cv2.filter2D(plane, -1, kernel, borderType=_BORDER) / np.float32(size), np.float32)


def _median(plane: Plane) -> Plane:
    return np.asarray(cv2.medianBlur(plane, 5), np.float32)


def _bilateral(plane: Plane, sigma_color: float) -> Plane:
    return np.asarray(cv2.bilateralFilter(plane, 5, sigma_color, 5.0, borderType=_BORDER), np.float32)


def _fill_extremes(plane: Plane) -> Plane:
    known = ((plane > 0) & (plane < 1)).astype(np.float32)
    total = _gaussian(known, 1.0)
    mean = _gaussian(plane * known, 1.0) / np.maximum(total, np.float32(1e-6))
    return np.where((known > 0) | (total < np.float32(1e-6)), plane, mean)


def _fill_from_unlike(plane: Plane) -> Plane:
    height, width = plane.shape
    padded = cv2.copyMakeBorder(plane, 2, 2, 2, 2, _BORDER) if min(height, width) > 1 else _mirrored(plane, 2)
    total, norm = np.zeros_like(plane), np.zeros_like(plane)
    for y in range(-2, 3):
        for x in range(-2, 3):
            there = padded[2 + y : 2 + y + height, 2 + x : 2 + x + width]
            unlike = (np.abs(there - plane) > np.float32(0.1)).astype(np.float32)
            weight = np.float32(math.exp(-0.5 * (x * x + y * y))) * unlike
            total += weight * there
            norm += weight
    return np.where(norm > 0, total / np.maximum(norm, np.float32(1e-6)), plane)


def _mirrored(plane: Plane, radius: int) -> Plane:
    for axis, length in enumerate(plane.shape):
        positions = np.arange(-radius, length + radius)
        period = max(2 * (length - 1), 1)
        phase = positions % period
        plane = np.take(plane, np.minimum(phase, period - phase), axis)
    return plane


OPERATIONS: dict[str, Operation] = {
    **{f"grey level {levels:+d}": partial(_add, levels=levels) for levels in (-64, -16, -4, -1, 1, 4, 16, 64)},
    DO_NOTHING: np.copy,
    "Gaussian 0.5": partial(_gaussian, sigma=0.5),
    "Gaussian 1.5": partial(_gaussian, sigma=1.5),
    "Gaussian 3": partial(_gaussian, sigma=3.0, size=13),
    "Gaussian 8": partial(_gaussian, sigma=8.0, size=33),
    "Gaussian 3 wide": partial(_gaussian, sigma=3.0, size=19),
    "box": box,
    **{f"line {angle}": partial(_line, angle=angle) for angle in _DIRECTIONS},
    "median": _median,
    "bilateral 0.1": partial(_bilateral, sigma_color=0.1),
    "bilateral 1.0": partial(_bilateral, sigma_color=1.0),
    "fill extremes": _fill_extremes,
    "fill from unlike": _fill_from_unlike,
}
"""Every operation by the name that policies and traces have for it."""


def find_operations(names: Sequence[str]) -> list[Operation]:
    """The operations of these names.

    Raises:
        UsageError: this runner does not know one of them.
    """
    for name in names:
        if name not in OPERATIONS:
            raise UsageError(f"the operation {name!r} is not among those of this runner; use pixelrl itself for it")
    return [OPERATIONS[name] for name in names]
