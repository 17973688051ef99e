"""Slides that openslide reads, at their finest level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pixelrl.blocks.held import Held, in_micrometers
from pixelrl.errors import InputError, UsageError

_WHITE = 255


class Slide:
    """A slide as an array ``(h, w, 3)`` of uint8. Where nothing was scanned it has the slide's background.

    Args:
        slide: an ``openslide.OpenSlide``.
    """

    def __init__(self, slide: Any) -> None:
        self._slide = slide
        width, height = slide.dimensions
        self.shape: tuple[int, ...] = (height, width, 3)
        self.dtype = np.dtype(np.uint8)
        colour = slide.properties.get("openslide.background-color", "FFFFFF")
        self._background = np.array([int(colour[i : i + 2], 16) for i in (0, 2, 4)], np.uint16)

    def __getitem__(self, index: tuple[slice, ...]) -> npt.NDArray[np.uint8]:
        """Values of slices of rows, columns and channels."""
        (y0, y1, _), (x0, x1, _) = (part.indices(n) for part, n in zip(index[:2], self.shape[:2], strict=True))
        pixels = np.asarray(self._slide.read_region((x0, y0), 0, (x1 - x0, y1 - y0)))
        colours, alpha = pixels[..., :3], pixels[..., 3:].astype(np.uint16)
        if alpha.min() < _WHITE:
            mixed = (colours * alpha + self._background * (_WHITE - alpha) + _WHITE // 2) // _WHITE
            colours = mixed.astype(np.uint8)
        return colours[(slice(None), slice(None), *index[2:])]


def open_slide(path: Path) -> Held:
    """Look into a slide.

    Raises:
        UsageError: openslide is not installed.
        InputError: openslide cannot read it.
    """
    try:
        import openslide
    except ImportError as error:
        raise UsageError('slides need openslide: pip install "pixelrl[slides]"') from error
    try:
        slide = openslide.OpenSlide(str(path))
        profile = slide.color_profile
    except (openslide.OpenSlideError, OSError) as error:
        raise InputError(f"{path} cannot be read by openslide: {error}") from error
    sizes = [slide.properties.get(f"openslide.mpp-{axis}") for axis in "xy"]
    units, scale = in_micrometers("yxc", *(None if size is None else float(size) for size in sizes))
    return Held(
        Slide(slide), "yxc", units, scale, path.stem, None if profile is None else profile.tobytes(), slide.close
    )
