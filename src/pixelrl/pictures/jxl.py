"""JPEG XL: bytes to a :class:`Picture`, by the rules of :mod:`pixelrl.pictures.formats`; it is not written.

imagecodecs decodes the pixels, upright. What it does not tell (size, depth, orientation, colours) stands in the
header, ISO/IEC 18181-1; EXIF and XMP stand in boxes around the picture, ISO/IEC 18181-2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pixelrl.errors import InputError
from pixelrl.pictures.channels import split_alpha
from pixelrl.pictures.display import upright_exif
from pixelrl.pictures.formats import FULL, Picture, check_size
from pixelrl.pictures.metadata import Extra
from pixelrl.pictures.optional import photo_module

BARE, BOXED = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_PROFILE = "its colours are not those of sRGB, and its colour profile is not read: they are taken for sRGB"


def is_jxl(data: bytes) -> bool:
    """Whether these are the first bytes of a JPEG XL file."""
    return data.startswith((BARE, BOXED))


def read_jxl(data: bytes, max_pixels: int) -> Picture:
    """A JPEG XL file, upright. Raises InputError, with the reason only, as ``read_picture``."""
    codecs = photo_module("imagecodecs", "JPEG XL")
    boxes = list(_boxes(data)) if data.startswith(BOXED) else [(b"jxlc", data)]
    parts = [body[4:] if kind == b"jxlp" else body for kind, body in boxes if kind in (b"jxlc", b"jxlp")]
    header = _Header.read(b"".join(parts))
    check_size(header.width, header.height, max_pixels)
    if header.animated:
        raise InputError("it is an animation, and one picture is needed; save the one you want as a file of its own")
    array = codecs.jpegxl_decode(data)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise InputError(f"its samples are of shape {array.shape}; grey or RGB with or without alpha is needed")
    array = array[..., None] if array.ndim == 2 else array
    array = array.astype(np.float32) if array.dtype == np.float16 else np.array(array)
    full = FULL.get(str(array.dtype), 0.0)
    if full > 1 and (1 << header.bits) - 1 != full:
        array = np.rint(array * (full / ((1 << header.bits) - 1))).astype(array.dtype)
    pixels, alpha = split_alpha(array)
    exif, xmp, lost = None, None, []
    for kind, body in boxes:
        if kind == b"brob":
            kind, body = body[:4], codecs.brotli_decode(body[4:])
        if kind == b"Exif":  # a place where the block begins comes first
            exif = body[4 + struct.unpack_from(">I", body)[0] :] or None
        elif kind == b"xml ":
            xmp = body or None
        elif kind == b"jumb":
            lost = ["JUMBF"]
    notes = (_PROFILE,) if header.colours is None else ()
    return Picture(
        pixels,
        alpha,
        None,
        upright_exif(exif),
        notes,
        extra=Extra(xmp=xmp, chunks=header.colours or (), lost=tuple(lost)),
    )


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kinds and contents of the boxes of a file (ISO 14496-12)."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            size, start = struct.unpack_from(">Q", data, start)[0], start + 8
        end = len(data) if size == 0 else at + size
        if end < start:
            raise InputError("the data are damaged or truncated; an undamaged file is needed")
        yield kind, data[start:end]
        at = end


class _Bits:
    """Numbers from bytes, the lowest bit first; raises IndexError at their end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        """The number in the next bits."""
        value = 0
        for i in range(count):
            at = self._at + i
            value |= (self._data[at >> 3] >> (at & 7) & 1) << i
        self._at += count
        return value

    def flag(self) -> bool:
        """The next bit."""
        return bool(self.take(1))

    def number(self, *ways: tuple[int, int]) -> int:
        """The standard's U32: two bits choose among four pairs of a start and the bits of what is added to it."""
        start, count = ways[self.take(2)]
        return start + self.take(count)

    def enum(self) -> int:
        """The standard's Enum."""
        return self.number((0, 0), (1, 0), (2, 4), (18, 6))


@dataclass(frozen=True)
class _Header:
    """What the header of a picture says.

    Attributes:
        width: in pixels, as it is seen.
        height: likewise.
        bits: of a sample.
        animated: whether it has several frames.
        colours: what is said of them, as a chunk of PNG; None where they are not those of sRGB and have no numbers.
    """

    width: int
    height: int
    bits: int = 8
    animated: bool = False
    colours: tuple[tuple[bytes, bytes], ...] | None = ()

    @classmethod
    def read(cls, data: bytes) -> _Header:
        """Of a codestream; raises InputError for another, and IndexError for one that ends too early."""
        if not data.startswith(BARE):
            raise InputError("the data are damaged or truncated; an undamaged file is needed")
        bits = _Bits(data[2:1000])
        width, height = _size(bits)
        if bits.flag():  # all as usual
            return cls(width, height)
        if bits.flag():
            turned = bits.take(3) >= 4
            width, height = (height, width) if turned else (width, height)
            if bits.flag():
                _size(bits)
            if bits.flag():
                raise InputError("it has a preview inside, and such files are not read; save it anew without one")
            if bits.flag():
                return cls(width, height, animated=True)
        depth = _depth(bits)
        bits.take(1)
        for _ in range(bits.number((0, 0), (1, 0), (2, 4), (1, 12))):
            _skip_extra_channel(bits)
        bits.take(1)
        return cls(width, height, depth, colours=_colours(bits))


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.flag()

    def side() -> int:
        return 8 * (1 + bits.take(5)) if small else bits.number((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return side(), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _depth(bits: _Bits) -> int:
    if not bits.flag():
        return bits.number((8, 0), (10, 0), (12, 0), (1, 6))
    depth = bits.number((32, 0), (16, 0), (24, 0), (1, 6))
    bits.take(4)
    return depth


def _skip_extra_channel(bits: _Bits) -> None:
    """Over the description of alpha or another channel beside the colours."""
    if bits.flag():  # alpha, as usual
        return
    kind = bits.enum()
    _depth(bits)
    bits.number((0, 0), (3, 0), (4, 0), (1, 3))
    bits.take(8 * bits.number((0, 0), (0, 4), (16, 5), (48, 10)))
    if kind == 0:
        bits.take(1)
    elif kind == 2:
        bits.take(64)
    elif kind == 5:
        bits.number((1, 0), (0, 2), (3, 4), (19, 8))


def _colours(bits: _Bits) -> tuple[tuple[bytes, bytes], ...] | None:
    """What is said of the colours, as the chunk that PNG has for it; nothing for sRGB, None for what has no numbers.

    The numbers are those of ITU-T H.273, but that the primaries of P3 have one there for each white.
    """
    if bits.flag():  # as usual
        return ()
    profile, space = bits.flag(), bits.enum()
    if profile or space not in (0, 1):  # an ICC profile; neither colours nor grey
        return None
    white = bits.enum()
    primaries = bits.enum() if space == 0 and white != 2 else 1
    if white != 1 or primaries not in (1, 9, 11) or bits.flag():  # not D65, primaries or a gamma of its own
        return None
    transfer = bits.enum()
    if primaries == 1 and transfer in (1, 13):  # the curves of BT.709 and of sRGB, which are shown alike
        return ()
    return ((b"cICP", bytes([12 if primaries == 11 else primaries, transfer, 0, 1])),)
