"""The level of white Gaussian noise in a picture, estimated as ``pixelrl.imaging.noise`` does."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from pixelrl_onnx.filters import Plane, mirrored, mirrored_whole, padded, repeated

_NORMAL_QUARTILE = NormalDist().inv_cdf(0.75)
_WINDOW, _CONSTANT = 9, 5
_FLATTEST, _LEAST, _FEWEST = 0.1, 2000, 0.01
_CLIPPED = np.arange(7) / 10
_LEFT_OF_MEDIAN = np.array([1, 0.929, 0.836, 0.734, 0.628, 0.518, 0.405])
_LEFT_OF_DEVIATION = np.array([1, 0.915, 0.832, 0.750, 0.668, 0.584, 0.496])
_COLOURED, _SHARED_FROM_SIDE, _SHARED_FROM_SIGMA, _SHARED_FROM_RATIO = 0.01, 128, 8.0, 1.3
"""See ``pixelrl.imaging.noise`` and ``pixelrl.imaging.color`` for what these numbers mean."""
_ROOT = 3**0.5
_LOW = np.array([1 - _ROOT, 3 - _ROOT, 3 + _ROOT, 1 + _ROOT]) / 32**0.5
_HIGH = _LOW[::-1] * [-1, 1, -1, 1]
"""Daubechies' filters of four values."""


def estimate_sigma(planes: npt.NDArray[np.float32]) -> float:
    """Standard deviation of the noise in grey levels: the root mean square of that of the channels.

    It is the median absolute deviation of the finest diagonal wavelet details (Donoho and Johnstone 1994) in the
    flattest tenth of the picture.

    Args:
        planes: ``(c, h, w)``.
    """
    return float(np.sqrt(np.mean([np.square(255 * _plane_sigma(plane)) for plane in planes])))


def in_common(planes: npt.NDArray[np.float32]) -> float:
    """How many times as strong noise is in the brightness as if each channel had noise of its own.

    Args:
        planes: ``(c, h, w)``, c being 1 or 3.
    """
    if np.mean((planes[1:] != planes[:1]).any(0)) <= _COLOURED:
        return _ROOT
    if min(planes.shape[1:]) < _SHARED_FROM_SIDE or (own := estimate_sigma(planes)) < _SHARED_FROM_SIGMA:
        return 1.0
    ratio = _ROOT * estimate_sigma(planes.mean(0, keepdims=True)) / own
    return min(ratio, _ROOT) if ratio > _SHARED_FROM_RATIO else 1.0


def _plane_sigma(plane: Plane) -> float:
    height, width = plane.shape
    if min(height, width) < 2:
        return 0.0
    across, down, diagonal = _details(plane)
    # The coefficient k covers the pixels 2k - 2 to 2k + 1; those at the border see pixels twice.
    inner = slice(1, max(height // 2, 2)), slice(1, max(width // 2, 2))
    across, down, diagonal = across[inner], down[inner], diagonal[inner]
    shape = diagonal.shape
    side = 2 * _WINDOW + 1
    extremes = ((plane == 0) | (plane == 1)).astype(np.float32)
    share = _blurred(extremes, side)[1::2, 1::2][: shape[0], : shape[1]]
    seen = ~_constant(plane)[1::2, 1::2][: shape[0], : shape[1]] & (share < _CLIPPED[-1])
    hardly = seen & (share < 0.02)
    if hardly.sum() >= 0.2 * seen.sum():
        seen = hardly
    number = int(seen.sum())
    if number < _FEWEST * seen.size:
        return 0.0
    activity = (across**2 + down**2) / np.interp(share, _CLIPPED, _LEFT_OF_DEVIATION) ** 2
    activity = _blurred(activity, _WINDOW)[seen]
    found = (np.abs(diagonal) / np.interp(share, _CLIPPED, _LEFT_OF_MEDIAN))[seen]
    chosen = min(number, max(_LEAST, int(_FLATTEST * number)))
    return float(np.median(found[np.argpartition(activity, chosen - 1)[:chosen]])) / _NORMAL_QUARTILE


def _details(plane: Plane) -> tuple[Plane, Plane, Plane]:
    """The three kinds of detail of one step of the wavelet transform, mirrored at the border."""
    low, high = (_filtered(plane, taps, 0) for taps in (_LOW, _HIGH))
    return _filtered(high, _LOW, 1), _filtered(low, _HIGH, 1), _filtered(high, _HIGH, 1)


def _filtered(plane: Plane, taps: npt.NDArray[np.float64], axis: int) -> Plane:
    """Coefficient k is the sum of ``taps[j]`` times the pixel 2k + 1 - j."""
    length = plane.shape[axis]
    number = (length + 3) // 2
    total = np.zeros_like(np.take(plane, np.zeros(number, int), axis))
    for j, tap in enumerate(taps):
        total += np.float32(tap) * np.take(plane, mirrored(2 * np.arange(number) + 1 - j, length), axis)
    return total


def _constant(plane: Plane) -> npt.NDArray[np.bool_]:
    """The areas of one value, and the pixels so near to them that the windows around those reach in."""
    highest, lowest = (_extreme(plane, _CONSTANT, function) for function in (np.maximum, np.minimum))
    same = (highest == lowest).astype(np.float32)
    return _extreme(same, 2 * _WINDOW + _CONSTANT, np.maximum) > 0


def _blurred(plane: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """The mean of side x side values; at the border they are mirrored with the edge."""
    for axis in (0, 1):
        wide = padded(plane.astype(np.float64), side // 2, mirrored_whole, (axis,))
        sums = np.cumsum(wide, axis)
        ends = np.take(sums, range(side - 1, sums.shape[axis]), axis)
        before = np.take(sums, range(sums.shape[axis] - side), axis)
        plane = ends - np.concatenate([np.zeros_like(np.take(sums, [0], axis)), before], axis)
    return plane / side**2


def _extreme(plane: Plane, side: int, function: np.ufunc) -> Plane:
    """The highest or the lowest of side x side values, of which there are none beyond the border."""
    for axis in (0, 1):
        length = plane.shape[axis]
        wide, result = padded(plane, side // 2, repeated, (axis,)), plane
        for first in range(side):
            result = function(result, np.take(wide, range(first, first + length), axis))
        plane = result
    return plane
