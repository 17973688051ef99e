"""Masks: which pixels a picture means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from pixelrl.errors import InputError
from pixelrl.pictures.display import as_stored, orientation_of, orientation_of_pillow, upright
from pixelrl.pictures.formats import FULL, Picture, from_pil

Inside = npt.NDArray[np.bool_]

_COLOURED, _BLACK = 1 / 32, 1 / 16
"""Shares of white: how far apart the channels of a colour are, and how bright black may be; JPEG leaves such crumbs."""


def inside_of(picture: Picture) -> Inside:
    """Which pixels a picture means as a mask, bool ``(h, w)``. The first of these rules that fits it:

    1. It is partly transparent, as programs that remove backgrounds write it: what is at least half opaque.
    2. It has colours, as paint and palettes of labels have: what is not black.
    3. Grey: what is at least half white.
    4. Grey, and nothing is so bright, as in pictures of labels (0 and 1, or numbers of classes): what is not 0.
    """
    full, pixels = FULL[str(picture.pixels.dtype)], picture.pixels
    if picture.alpha is not None and (picture.alpha != picture.alpha.flat[0]).any():
        return np.asarray(picture.alpha >= full / 2)
    if pixels.ndim == 3:
        brightest = pixels.max(-1)
        if (brightest - pixels.min(-1)).max() > full * _COLOURED:
            return np.asarray(brightest > full * _BLACK)
        pixels = brightest
    bright = pixels >= full / 2
    return np.asarray(bright if bright.any() else pixels > 0)


@dataclass(frozen=True)
class MaskFile:
    """A mask as its file holds it: ``inside`` is bool ``(h, w)``, and ``orientation`` that of its own EXIF data."""

    name: str
    inside: Inside
    orientation: int

    def fitting(self, size: tuple[int, int], orientation: int) -> list[Inside]:
        """The ways to lay it on stored pixels, ``size`` being their height and width, the likely one first."""
        seen = as_stored(upright(self.inside, self.orientation), orientation)
        ways = (self.inside, seen) if self.orientation == 1 else (seen, self.inside)
        return [way for way in ways if way.shape == size]

    def over(self, picture: Picture) -> tuple[Inside, tuple[str, ...]]:
        """The mask on the stored pixels of a picture, and a note if it could be meant in two ways.

        A mask with an orientation tag lies, as it is seen, on the picture as it is seen. Without one, it lies on the
        stored pixels if it has their size, as programs that know no tags make it, and else on the picture as it is
        seen, as people paint it.

        Raises:
            InputError: it is of another size, empty or full; the message names the file.
        """
        height, width = picture.pixels.shape[:2]
        fitting = self.fitting((height, width), orientation_of(picture.exif))
        if not fitting:
            size = " x ".join(map(str, reversed(self.inside.shape)))
            raise InputError(
                f"{self.name}: the mask is {size} pixels, the image {width} x {height}; they must be of one size"
            )
        chosen = fitting[0]
        if not chosen.any() or chosen.all():
            whole = "empty" if not chosen.any() else "the whole image"
            raise InputError(f"{self.name}: the mask is {whole}; it must leave something inside and something outside")
        if self.orientation != 1 or all(np.array_equal(chosen, other) for other in fitting):
            return chosen, ()
        return chosen, (
            f"{self.name} lies on the pixels as they are stored; to lay it on the picture as it is seen, give it an "
            "orientation tag, or save the picture without one",
        )


def pillow_mask(image: PillowImage.Image, size: tuple[int, int], orientation: int) -> Inside:
    """A Pillow image as a mask by the rules of `inside_of`, laid on stored pixels as `MaskFile.over` says.

    It is as it is if it fits neither way. Raises InputError for modes that are neither grey nor colours.
    """
    mask = MaskFile("the mask", inside_of(from_pil(image)), orientation_of_pillow(image))
    return next(iter(mask.fitting(size, orientation)), mask.inside)


def read_mask(path: str | Path) -> MaskFile:
    """A picture as a mask, by the rules of `inside_of`. Raises InputError if it is no picture."""
    from pixelrl.pictures.files import read_picture  # for arrays in memory, no format of files need be loaded

    picture = read_picture(path)
    return MaskFile(str(path), inside_of(picture), orientation_of(picture.exif))
