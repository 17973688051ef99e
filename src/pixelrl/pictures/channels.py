"""Channels: colours and alpha, and what Pillow's modes have of them. Without PyTorch, which is slow to load."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from pixelrl.errors import InputError

Array = npt.NDArray[np.generic]


def split_alpha(array: Array) -> tuple[Array, Array | None]:
    """Channels ``(h, w, 1..4)`` as colours, ``(h, w)`` or ``(h, w, 3)``, and alpha ``(h, w)``, which 2 and 4 have."""
    count = array.shape[2]
    colours = array[..., 0] if count < 3 else array[..., :3]
    return np.ascontiguousarray(colours), np.ascontiguousarray(array[..., -1]) if count in (2, 4) else None


def join_alpha(colours: Array, alpha: Array | None) -> Array:
    """The inverse of `split_alpha`, but that grey without alpha is ``(h, w)``."""
    return np.ascontiguousarray(colours) if alpha is None else np.dstack([colours, alpha])


MODES = {
    **{mode: mode for mode in ("L", "LA", "RGB", "RGBA", "I", "F", "I;16", "I;16B", "I;16L")},
    **{"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"},
    **dict.fromkeys(("CMYK", "YCbCr", "HSV"), "RGB"),
}
"""Pillow's modes, and those in which their pixels are worked on."""
TRANSPARENT = {"L": "LA", "RGB": "RGBA"}
"""Modes in which one colour may stand for "nothing here", and those with alpha instead."""
CANNOT_HOLD = ("1", "P", "PA")
"""Modes for two colours, or 256 of them: results come back in the mode in which they were worked on."""


def pillow_channels(image: PillowImage.Image) -> Array:
    """The pixels of a Pillow image, ``(h, w, 1..4)``: grey or RGB, then alpha if there is any.

    Raises:
        InputError: a mode whose pixels are neither grey nor colours, or 32-bit integers beyond 16 bits.
    """
    mode = MODES.get(image.mode)
    if mode is None:
        known = ", ".join(MODES)
        raise InputError(f"a Pillow image of mode {image.mode} must first be converted to one of these: {known}")
    if "transparency" in image.info:  # one colour, or some of a palette, stands for "nothing here"
        mode = TRANSPARENT.get(mode, mode)
    array = np.asarray(image if mode == image.mode else image.convert(mode))
    if image.mode == "I":
        if array.size and not 0 <= array.min() <= array.max() <= 65535:
            raise InputError("a Pillow image of mode I must have values from 0 to 65535, which is white")
        array = array.astype(np.uint16)
    return array[..., None] if array.ndim == 2 else array
