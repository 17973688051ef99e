"""The result as a picture in another format, depth or size than the input has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pixelrl.errors import UsageError
from pixelrl.pictures.files import DEPTHS, FORMATS, encode
from pixelrl.pictures.formats import Picture
from pixelrl.studio.exports import KINDS, Export
from pixelrl.studio.session import Session
from pixelrl.studio.stages import original

_LOSSY = ("jpeg", "webp")
_LARGEST = 1_000_000


class Wish(NamedTuple):
    """What is asked for.

    Attributes:
        kind: a name in `pixelrl.pictures.files.FORMATS`.
        quality: 1 to 100 of JPEG and WebP; None for JPEG's usual one, and for WebP without loss.
        depth: of the values; None for the input's, or the deepest that the format has.
        side: the longest side in pixels that the picture may have; None for all of it. It is never enlarged.
    """

    kind: str
    quality: int | None = None
    depth: str | None = None
    side: int | None = None


def wish(asked: Mapping[str, str]) -> Wish:
    """From the query of an address; an empty text is as if it were left out.

    Raises:
        UsageError: a value that is unknown or out of range, or does not go with the format.
    """
    kind = asked.get("format", "")
    if kind not in FORMATS:
        raise UsageError(f"format = {kind!r} is unknown; {', '.join(FORMATS)} can be written")
    quality = _number("quality", asked.get("quality"), 100)
    if quality is not None and kind not in _LOSSY:
        raise UsageError(f"quality = {quality} has no meaning for {kind}, which loses nothing; leave it out")
    depth = asked.get("depth") or None
    if depth is not None and depth not in DEPTHS[kind]:
        raise UsageError(f"depth = {depth!r} is not one of {kind}; give one of {', '.join(DEPTHS[kind])}")
    return Wish(kind, quality, depth, _number("side", asked.get("side"), _LARGEST))


def _number(name: str, text: str | None, most: int) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= most):
        raise UsageError(f"{name} = {text!r} must be a whole number from 1 to {most}")
    return int(text)


def wished(session: Session, wanted: Wish) -> Export:
    """The exact result as it is wished for, with what had to be left out of the file in its notes.

    Raises:
        UsageError: as `Session.result`, or the format cannot hold a picture of this size.
    """
    trace, pixels = session.result()
    whole, notes = original(session.folder, session.picture).with_pixels(pixels), list[str]()
    own, depths = str(pixels.dtype), DEPTHS[wanted.kind]
    whole = whole.with_dtype(wanted.depth or (own if own in depths else depths[-1]), trace.scale)
    if wanted.kind == "jpeg" and whole.alpha is not None:
        whole, notes = replace(whole, alpha=None), ["JPEG has no place for transparency: left out"]
    if wanted.side is not None:
        whole = _shrunk(whole, wanted.side)
    data, left = encode(replace(whole, lossy=False), wanted.kind, quality=wanted.quality)
    suffix = FORMATS[wanted.kind]
    return Export(f"{session.folder.stem}-result{suffix}", KINDS[suffix], data, (*notes, *left))


def _shrunk(picture: Picture, side: int) -> Picture:
    """With no side longer than this: every new pixel is the mean of those it stands for, by how opaque they are."""
    height, width = picture.pixels.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return picture
    size = max(1, round(width * share)), max(1, round(height * share))

    def mean(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        small: npt.NDArray[Any] = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        return small

    pixels, alpha = mean(picture.pixels), picture.alpha
    if alpha is None:
        return replace(picture, pixels=pixels)
    if alpha.min() < alpha.max():  # the colours of what is transparent are not seen, and may be anything
        weight = alpha.astype(np.float32).reshape(*alpha.shape, *[1] * (picture.pixels.ndim - 2))
        total = mean(weight).reshape(*pixels.shape[:2], *weight.shape[2:])
        seen = mean(picture.pixels * weight) / np.where(total > 0, total, 1)
        seen = seen if pixels.dtype == np.float32 else np.rint(seen)
        pixels = np.where(total > 0, seen, pixels).astype(pixels.dtype)
    return replace(picture, pixels=pixels, alpha=mean(alpha))
