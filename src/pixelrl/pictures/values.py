"""From the values of an array to float32, black being 0 and white 1, and back: by their dtype, or by a scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pixelrl.errors import InputError
from pixelrl.pictures.channels import Array
from pixelrl.pictures.scale import FULL, Scale
from pixelrl.types import Image

PART = 256
"""How many rows or columns are rounded at a time."""


def plain(array: npt.ArrayLike) -> Array:
    """What a caller gives as a plain array: a numpy.matrix has another idea of axes, and a masked array of values.

    Raises:
        InputError: an array with masked values.
    """
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        remedy = "fill them (array.filled), or give the mask as an alpha channel, 0 where there is nothing"
        raise InputError(f"the array has masked values, which agents would see as any others; {remedy}")
    return np.asarray(array)


def array_to_tensor(array: Array, scale: Scale | None = None) -> Image:
    """``(h, w)`` or ``(h, w, c)`` of a dtype in `FULL` to float32 ``(1, c, h, w)``; white becomes 1.

    Args:
        array: the values.
        scale: which of them are black and white; those of the dtype if left out.

    Raises:
        InputError: another dtype or number of dimensions, no pixels, or values that are masked or not finite.
    """
    array = plain(array)
    if array.ndim not in (2, 3):
        raise InputError(f"an array of shape {array.shape} is not an image; it must be (h, w) or (h, w, c)")
    planes = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return scaled(float_planes(planes[None]), planes[None], scale)


def tensor_to_array(
    image: Image, dtype: str, ndim: int, scale: Scale | None = None, came: Array | None = None
) -> Array:
    """The inverse of `array_to_tensor`: integers are clipped and rounded, floats left as they are.

    Args:
        image: ``(1, c, h, w)``.
        dtype: of the array.
        ndim: of the array, 2 or 3.
        scale: as it was given to `array_to_tensor`.
        came: the array that was given to it, which a scale other than the dtype's needs: what did not change is given
            back bit for bit, and integers may be as large as before.
    """
    planes = image[0].detach().cpu().numpy()
    array = planes[0] if ndim == 2 else np.moveaxis(planes, 0, -1)
    if scale is None or scale == Scale.full(dtype):
        return np.ascontiguousarray(in_dtype(array, np.dtype(dtype)))
    assert came is not None, "without it, nobody knows what did not change"
    before = array_to_tensor(came, scale)[0].numpy()
    before = before[0] if ndim == 2 else np.moveaxis(before, 0, -1)
    return np.ascontiguousarray(scaled_back(array, before, came, scale).astype(dtype))


def float_planes(planes: Array) -> Tensor:
    """``(b, c, h, w)`` of numbers as a tensor: a copy, for the array may be read-only, and must not change with it."""
    name = planes.dtype.name  # without the order of bytes
    if name == "bool":
        raise InputError("an array of bool is a mask and not an image; multiply it by numpy.uint8(255) to make it one")
    if name not in FULL:
        raise InputError(f"an array of {name} is not an image here; convert it to {', '.join(FULL)}")
    if planes.size == 0:
        raise InputError("an array without values has no pixels")
    with np.errstate(over="ignore"):
        values = torch.from_numpy(np.array(planes, dtype=np.float32, order="C"))
    return finite(values, "array")


def finite(values: Tensor, kind: str) -> Tensor:
    """The values, or an InputError that names the kind of thing that has others than finite ones."""
    if not torch.isfinite(values).all():
        raise InputError(f"the {kind} has values that are NaN or infinite, or too large for float32; replace them")
    return values


def scaled(values: Tensor, planes: Array, scale: Scale | None) -> Image:
    """Finite values, float32 and as they came, ``(b, c, h, w)``, by a scale; by the dtype's if that is None."""
    full = Scale.full(planes.dtype.name)
    if scale is None or scale == full:
        return values / full.white
    shares = (planes.astype(np.float64) - scale.black) / (scale.white - scale.black)
    with np.errstate(over="ignore"):
        return finite(torch.from_numpy(shares.astype(np.float32)), "picture").to(values.device)


def scaled_back(
    after: npt.NDArray[Any], before: npt.NDArray[Any], came: Array, scale: Scale
) -> npt.NDArray[np.generic]:
    """Values of a result, of the dtype that came: where they are as before, bit for bit as they came."""
    values = after.astype(np.float64) * (scale.white - scale.black) + scale.black
    if came.dtype.kind == "u":  # what is brighter than white stays so, if it was
        values = np.rint(np.clip(values, 0, min(FULL[came.dtype.name], max(scale.white, float(came.max())))))
    with np.errstate(over="ignore"):
        return np.where(after == before, came, values.astype(came.dtype))


def in_dtype(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> Array:
    """Values from 0 to 1 in a dtype of `FULL`: integers are clipped and rounded, floats left as they are."""
    scale = FULL[dtype.name]
    if scale == 1:
        with np.errstate(over="ignore"):
            return array.astype(dtype)
    result = np.empty(array.shape, dtype)
    axis = int(np.argmax(array.shape))  # in parts: what lies between takes several times the memory of the result
    for start in range(0, array.shape[axis], PART):
        part = (slice(None),) * axis + (slice(start, start + PART),)
        result[part] = np.rint(np.clip(array[part], 0, 1) * scale)
    return result
