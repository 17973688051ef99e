"""Between the arrays that people hold and the tensors that the package computes with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage

from pixelrl.errors import InputError
from pixelrl.types import Image

Array = npt.NDArray[np.generic]

SCALES = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0, "float64": 1.0}
"""The value that stands for white, by dtype."""

PILLOW_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "F")


def array_to_tensor(array: Array) -> Image:
    """``(h, w)`` or ``(h, w, c)`` of a dtype in `SCALES` to float32 ``(1, c, h, w)``; white becomes 1.

    Raises:
        InputError: another dtype or number of dimensions, no pixels, or values that are not finite.
    """
    if str(array.dtype) not in SCALES:
        raise InputError(f"an array of {array.dtype} is not an image here; convert it to {', '.join(SCALES)}")
    if array.ndim not in (2, 3):
        raise InputError(f"an array of shape {array.shape} is not an image; it must be (h, w) or (h, w, c)")
    if array.size == 0:
        raise InputError(f"an array of shape {array.shape} has no pixels")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError("the image has values that are NaN or infinite; replace them first")
    planes = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    scale = SCALES[str(array.dtype)]
    # A copy in any case: the array may be read-only, and must never change with the tensor.
    return torch.from_numpy(np.array(planes, dtype=np.float32, order="C"))[None] / scale


def tensor_to_array(image: Image, dtype: str, ndim: int) -> Array:
    """The inverse of `array_to_tensor`: integers are clipped and rounded, floats left as they are."""
    planes = image[0].detach().cpu().numpy()
    array = planes[0] if ndim == 2 else np.moveaxis(planes, 0, -1)
    scale = SCALES[dtype]
    if scale != 1:
        array = np.rint(np.clip(array, 0, 1) * scale)
    return np.ascontiguousarray(array.astype(dtype))


def pillow_to_arrays(image: PillowImage.Image) -> tuple[Array, Array | None]:
    """The colour values and the alpha channel (or None) of a Pillow image.

    Raises:
        InputError: a mode that is not in `PILLOW_MODES`.
    """
    if image.mode not in PILLOW_MODES:
        raise InputError(f"a Pillow image of mode {image.mode} must first be converted to one of {PILLOW_MODES}")
    array = np.asarray(image)
    if image.mode in ("LA", "RGBA"):
        colours = array[..., 0] if image.mode == "LA" else array[..., :3]
        return colours, array[..., -1]
    return array, None


def arrays_to_pillow(array: Array, alpha: Array | None, like: PillowImage.Image) -> PillowImage.Image:
    """A Pillow image with new values and the metadata of ``like``."""
    if alpha is not None:
        array = np.dstack([array, alpha])
    result = PillowImage.fromarray(array)
    result.info = dict(like.info)
    return result
