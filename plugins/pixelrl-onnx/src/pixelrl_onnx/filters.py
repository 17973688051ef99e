"""Box, Gaussian, line, median and bilateral filters of a plane, by OpenCV where it is installed, else by numpy.

With OpenCV they have the bits of ``pixelrl.imaging.filters``; by numpy they are the same to 2e-6 for values in [-1, 2],
and slower. Borders are mirrored without repeating the edge pixel; the median repeats it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

try:
    import cv2 as cv2
except ImportError:
    cv2 = None  # type: ignore[assignment]

Plane = npt.NDArray[np.float32]
"""``(h, w)``."""
Border = Callable[[npt.NDArray[np.intp], int], npt.NDArray[np.intp]]

_DIRECTIONS = {0: (0, 1), 45: (-1, 1), 90: (1, 0), 135: (1, 1)}
"""Rows down and columns to the right from one pixel of a line to the next."""


def box(plane: Plane, size: int = 5) -> Plane:
    """The mean of a window of size x size pixels."""
    return (_numpy_box if cv2 is None else _opencv_box)(plane, size)


def gaussian(plane: Plane, sigma: float, size: int = 5) -> Plane:
    """A Gaussian blur, cut to a window of size x size pixels."""
    return (_numpy_gaussian if cv2 is None else _opencv_gaussian)(plane, sigma, size)


def line(plane: Plane, angle: int, size: int = 7) -> Plane:
    """The mean of ``size`` pixels on a line at 0, 45, 90 or 135 degrees."""
    return (_numpy_line if cv2 is None else _opencv_line)(plane, angle, size)


def median(plane: Plane) -> Plane:
    """The median of a window of 5x5 pixels."""
    return (_numpy_median if cv2 is None else _opencv_median)(plane)


def bilateral(plane: Plane, sigma_color: float, sigma_space: float = 5.0) -> Plane:
    """A bilateral filter over a disc of diameter 5."""
    return (_numpy_bilateral if cv2 is None else _opencv_bilateral)(plane, sigma_color, sigma_space)


def _opencv_box(plane: Plane, size: int) -> Plane:
    return np.asarray(cv2.boxFilter(plane, -1, (size, size), borderType=cv2.BORDER_REFLECT_101), np.float32)


def _opencv_gaussian(plane: Plane, sigma: float, size: int) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (size, size), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)


def _opencv_line(plane: Plane, angle: int, size: int) -> Plane:
    kernel, (down, right) = np.zeros((size, size), np.float32), _DIRECTIONS[angle]
    for step in range(-(size // 2), size // 2 + 1):
        kernel[size // 2 + step * down, size // 2 + step * right] = 1
    return np.asarray(cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT_101) / np.float32(size), np.float32)


def _opencv_median(plane: Plane) -> Plane:
    return np.asarray(cv2.medianBlur(plane, 5), np.float32)


def _opencv_bilateral(plane: Plane, sigma_color: float, sigma_space: float) -> Plane:
    border = cv2.BORDER_REFLECT_101
    return np.asarray(cv2.bilateralFilter(plane, 5, sigma_color, sigma_space, borderType=border), np.float32)


def mirrored(positions: npt.NDArray[np.intp], length: int) -> npt.NDArray[np.intp]:
    """... 2 1 0 1 2 3 2 1 0 1 ... for length 4."""
    period = max(2 * (length - 1), 1)
    phase = positions % period
    return np.minimum(phase, period - phase)


def mirrored_whole(positions: npt.NDArray[np.intp], length: int) -> npt.NDArray[np.intp]:
    """... 1 0 0 1 2 3 3 2 ... for length 4."""
    phase = positions % (2 * length)
    return np.minimum(phase, 2 * length - 1 - phase)


def repeated(positions: npt.NDArray[np.intp], length: int) -> npt.NDArray[np.intp]:
    """... 0 0 0 1 2 3 3 3 ... for length 4."""
    return np.clip(positions, 0, length - 1)


def padded(plane: Plane, radius: int, border: Border = mirrored, axes: Sequence[int] = (0, 1)) -> Plane:
    """The plane with ``radius`` rows and columns more on every side."""
    for axis in axes:
        length = plane.shape[axis]
        plane = np.take(plane, border(np.arange(-radius, length + radius), length), axis)
    return plane


def separable(plane: Plane, half: Sequence[float], border: Border = mirrored) -> Plane:
    """Filter columns, then rows, with a symmetric kernel; ``half`` is its centre and one side, outwards."""
    radius = len(half) - 1
    for axis in (1, 0):
        length, wide = plane.shape[axis], padded(plane, radius, border, (axis,))
        total = np.float32(half[0]) * plane
        for distance, weight in enumerate(half[1:], start=1):
            ends = [(radius + shift) for shift in (-distance, distance)]
            parts = [wide[first : first + length] if axis == 0 else wide[:, first : first + length] for first in ends]
            total += np.float32(weight) * (parts[0] + parts[1])
        plane = total
    return plane


def _numpy_box(plane: Plane, size: int) -> Plane:
    return separable(plane, [1 / size] * (size // 2 + 1))


def _numpy_gaussian(plane: Plane, sigma: float, size: int) -> Plane:
    side = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(size // 2 + 1)]
    total = side[0] + 2 * sum(side[1:])
    return separable(plane, [weight / total for weight in side])


def _numpy_line(plane: Plane, angle: int, size: int) -> Plane:
    (height, width), radius, (down, right) = plane.shape, size // 2, _DIRECTIONS[angle]
    wide, total = padded(plane, radius), np.zeros_like(plane)
    for step in range(-radius, radius + 1):
        y, x = radius + step * down, radius + step * right
        total += wide[y : y + height, x : x + width]
    return total / np.float32(size)


def _numpy_median(plane: Plane) -> Plane:
    height, width = plane.shape
    wide, result = padded(plane, 2, repeated), np.empty_like(plane)
    for row in range(height):  # a row at a time stays in the processor's cache
        taps = [wide[row + y, x : x + width] for y in range(5) for x in range(5)]
        result[row] = np.partition(np.stack(taps, -1), 12, -1)[:, 12]
    return result


def _numpy_bilateral(plane: Plane, sigma_color: float, sigma_space: float) -> Plane:
    height, width = plane.shape
    wide = padded(plane, 2)
    # Averaging differences from the centre pixel instead of values keeps the rounding error small.
    total, norm = np.zeros_like(plane), np.ones_like(plane)
    for y in range(-2, 3):
        for x in range(-2, 3):
            squared = x * x + y * y
            if 0 < squared <= 4:
                delta = wide[2 + y : 2 + y + height, 2 + x : 2 + x + width] - plane
                closeness = np.float32(0.5 * squared / sigma_space**2)
                weight = np.exp(np.square(delta) * np.float32(-0.5 / sigma_color**2) - closeness)
                total += weight * delta
                norm += weight
    return plane + total / norm
