"""Between what callers give and planes of [0, 1], as ``pixelrl.pictures.arrays`` does it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pixelrl_onnx.errors import InputError, UsageError

Array = npt.NDArray[Any]
Planes = npt.NDArray[np.float32]
"""``(c, h, w)``, nominally of [0, 1]."""

FULL = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0, "float64": 1.0}
"""The value that stands for white, by dtype, where nothing says otherwise."""


def scale_for(pixels: Array, white: float | None) -> tuple[float, float]:
    """The values that stand for black and white.

    Raises:
        InputError: another dtype or shape, no pixels, or values that are not finite.
        UsageError: a white that is none, or none is given and the values are not those of their dtype.
    """
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise InputError(f"an array of shape {pixels.shape} is not an image; it must be (h, w) or (h, w, c)")
    if pixels.dtype.name not in FULL:
        raise InputError(f"an array of {pixels.dtype.name} is not an image here; convert it to {', '.join(FULL)}")
    if not np.isfinite(pixels.astype(np.float32)).all():
        raise InputError("the array has values that are NaN or infinite, or too large for float32; replace them")
    if white is not None:
        if isinstance(white, bool) or not 0 < white < math.inf:
            raise UsageError(f"white = {white!r} is no value that stands for white; give a number above 0")
        return 0.0, float(white)
    if pixels.dtype == np.uint16 and 255 < pixels.max() <= 16383:
        raise UsageError(
            f"the 16-bit values end at {pixels.max()}, so white is hardly 65535; say which value stands for white"
        )
    low, high = _means(pixels) if pixels.dtype.kind == "f" else (0.0, 1.0)
    if low < -0.5 or high > 1.5:
        raise UsageError(f"the values reach from {low:g} to {high:g}, not from 0 to 1; say which stands for white")
    return 0.0, FULL[pixels.dtype.name]


def _means(pixels: Array) -> tuple[float, float]:
    """What the means of nearly all areas of 4x4 pixels lie between, so that noise counts little."""
    height, width = (side // 4 * 4 for side in pixels.shape[:2])
    means = pixels
    if height and width:
        areas = pixels[:height, :width].reshape(height // 4, 4, width // 4, 4, -1)
        means = areas.mean((1, 3), dtype=np.float64)
    low, high = np.percentile(means.astype(np.float64), (0.1, 99.9))
    return float(low), float(high)


def to_planes(pixels: Array, scale: tuple[float, float]) -> Planes:
    """``(h, w)`` or ``(h, w, c)`` as planes; the black of the scale becomes 0 and its white 1."""
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    if scale == (0.0, FULL[pixels.dtype.name]):
        return np.ascontiguousarray(planes.astype(np.float32) / np.float32(scale[1]))
    shares = (planes.astype(np.float64) - scale[0]) / (scale[1] - scale[0])
    return np.ascontiguousarray(shares.astype(np.float32))


def to_pixels(planes: Planes, came: Array, scale: tuple[float, float]) -> Array:
    """The inverse of `to_planes` for what became of it; integers are clipped and rounded, floats left as they are.

    In units other than the dtype's, what did not change is given back bit for bit.
    """
    after = planes[0] if came.ndim == 2 else np.moveaxis(planes, 0, -1)
    name, (black, white) = came.dtype.name, scale
    if scale == (0.0, FULL[name]):
        if FULL[name] != 1:
            after = np.rint(np.clip(after, 0, 1) * np.float32(FULL[name]))
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(after.astype(came.dtype))
    before = to_planes(came, scale)
    before = before[0] if came.ndim == 2 else np.moveaxis(before, 0, -1)
    values = after.astype(np.float64) * (white - black) + black
    if came.dtype.kind == "u":  # what is brighter than white stays so, if it was
        values = np.rint(np.clip(values, 0, min(FULL[name], max(white, float(came.max())))))
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(np.where(after == before, came, values.astype(came.dtype)))
