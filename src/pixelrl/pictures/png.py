"""PNG: bytes to a :class:`Picture` and back, by the rules of :mod:`pixelrl.pictures.formats`."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import cv2
import numpy as np

from pixelrl.errors import InputError
from pixelrl.pictures.formats import (
    FULL,
    LEVEL,
    PNG_HEAD,
    Array,
    Picture,
    channels,
    check_single,
    check_size,
    silent_stderr,
)
from pixelrl.pictures.metadata import EXIF_HEAD, Extra

_COLOUR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
_INCH = 0.0254
_LONGEST = 1 << 26
"""Bytes of a text or profile, at most: a few bytes of deflated data may stand for any number."""


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return PNG_HEAD + b"".join(parts)


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """All chunks up to IEND, without damaged ancillary ones. Raises InputError for a damaged critical one."""
    chunks: list[tuple[bytes, bytes]] = []
    at = len(PNG_HEAD)
    while not chunks or chunks[-1][0] != b"IEND":
        if at + 12 > len(data) or at + 12 + (size := struct.unpack_from(">I", data, at)[0]) > len(data):
            raise InputError("the PNG data are truncated; an undamaged file is needed")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        if struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + body):
            chunks.append((kind, body))
        elif not kind[0] & 0x20:
            raise InputError(f"the PNG data are damaged (checksum of {kind!r}); an undamaged file is needed")
        at += 12 + size
    return chunks


def read_png(data: bytes, max_pixels: int) -> Picture:
    """A PNG file of any kind. Raises InputError, with the reason only, as ``read_picture``."""
    chunks = _png_chunks(data)
    first = dict(reversed(chunks))
    width, height, depth, colour = struct.unpack(">IIBB", first[b"IHDR"][:10])
    check_size(width, height, max_pixels)
    check_single(struct.unpack(">I", first[b"acTL"][:4])[0] if b"acTL" in first else 1)
    # The decoder sees pixels only: no chunk can make them print, turn, blend or colour-manage anything.
    kept = {b"IHDR", b"IDAT", b"IEND"} | ({b"PLTE", b"tRNS"} if colour == 3 else set())
    bare = _png([(kind, body) for kind, body in chunks if kind in kept])
    # Not Pillow: it makes 8 bits of 16-bit RGB, and fills rows that are missing, without a word.
    with silent_stderr():
        array = cv2.imdecode(np.frombuffer(bare, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise InputError("the PNG data are damaged; an undamaged file is needed")
    transparent = colour in (4, 6) or (colour == 3 and b"tRNS" in first)
    picture = _from_bgr(array, grey=colour in (0, 4), alpha=transparent)
    if colour in (0, 2) and b"tRNS" in first:  # one colour stands for "transparent"
        values = struct.unpack(">H" if colour == 0 else ">HHH", first[b"tRNS"])
        key = np.array(values) * {1: 255, 2: 85, 4: 17}.get(depth, 1)
        same = picture.pixels == (key if colour == 2 else key[0])
        same = same.all(axis=2) if colour == 2 else same
        full = FULL[str(picture.pixels.dtype)]
        picture = replace(picture, alpha=np.where(same, 0, full).astype(picture.pixels.dtype))
    return _with_metadata(picture, chunks)


def _with_metadata(picture: Picture, chunks: list[tuple[bytes, bytes]]) -> Picture:
    """The picture with what its file says beside pixels."""
    first = dict(reversed(chunks))
    texts = dict(text for kind, body in reversed(chunks) if (text := _text(kind, body)) is not None)
    xmp = texts.pop("XML:com.adobe.xmp", "").encode() or None
    # ImageMagick and older programs wrote these as texts in hexadecimal.
    raw = {
        name: _raw_profile(texts.pop(f"Raw profile type {name}", "")) for name in ("exif", "APP1", "xmp", "icc", "icm")
    }
    exif = first.get(b"eXIf") or raw["exif"] or (raw["APP1"] if raw["APP1"][:6] == EXIF_HEAD else b"")
    icc, notes = raw["icc"] or raw["icm"], picture.notes
    if b"iCCP" in first:  # name, 0, method, deflated profile
        packed = first[b"iCCP"].partition(b"\0")[2][1:]
        try:
            icc = zlib.decompressobj().decompress(packed, _LONGEST)
        except zlib.error:
            icc, notes = b"", (*notes, "the damaged colour profile is left out")
    dpi, colours = None, [(kind, first[kind]) for kind in _COLOUR_CHUNKS if kind in first]
    if len(first.get(b"pHYs", b"")) == 9:
        across, down, unit = struct.unpack(">IIB", first[b"pHYs"])
        if unit == 1 and across and down:
            dpi = (across * _INCH, down * _INCH)
        elif across != down:
            colours.append((b"pHYs", first[b"pHYs"]))  # no resolution, but pixels that are not square
    comment = texts.pop("Comment", None)
    extra = Extra(dpi, xmp or raw["xmp"] or None, None, tuple(texts.items()), comment, tuple(colours))
    exif = exif.removeprefix(EXIF_HEAD)
    return replace(picture, icc_profile=icc or None, exif=exif or None, notes=notes, extra=extra)


def _text(kind: bytes, body: bytes) -> tuple[str, str] | None:
    """The keyword and the text of a chunk of text; None for other chunks, and for damaged ones."""
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return None
    keyword, _, content = body.partition(b"\0")
    try:
        if kind == b"iTXt":
            packed, (_, _, content) = content[:1] != b"\0", content[2:].split(b"\0", 2)
            content = zlib.decompressobj().decompress(content, _LONGEST) if packed else content
            return keyword.decode("latin-1"), content.decode()
        if kind == b"zTXt":
            content = zlib.decompressobj().decompress(content[1:], _LONGEST)
        return keyword.decode("latin-1"), content.decode("latin-1")
    except (zlib.error, ValueError):
        return None


def _raw_profile(text: str) -> bytes:
    """The data in ImageMagick's text: an empty line, a name, a length, then digits in lines. Empty if damaged."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def _text_chunk(keyword: str, text: str) -> tuple[bytes, bytes]:
    name = keyword.encode("latin-1", "replace")[:79]
    try:
        return b"tEXt", name + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", name + b"\0\0\0\0\0" + text.encode()


def _from_bgr(array: Array, *, grey: bool, alpha: bool) -> Picture:
    """OpenCV's channels, (h, w) or (h, w, n) in the order BGR, as a picture."""
    array = array.reshape(*array.shape[:2], -1)
    pixels = array[..., 0] if grey else array[..., 2::-1]
    return Picture(np.ascontiguousarray(pixels), np.ascontiguousarray(array[..., -1]) if alpha else None)


def write_png(picture: Picture, quality: int | None) -> bytes:
    """A PNG file of 8 or 16 bits; ``quality`` has no meaning for it."""
    array, header = channels(picture), None
    if picture.pixels.ndim == 2 and picture.alpha is not None:
        # No library here writes grey + alpha of 16 bits. PNG's filters work on bytes, so a pixel of 2 (or 4)
        # bytes is encoded as 16-bit grey (or 8-bit RGBA) and the header then says what those bytes are.
        bits = array.itemsize * 8
        header = bytes([bits, 4])
        raw = np.ascontiguousarray(array.astype(array.dtype.newbyteorder(">")))
        array = raw.view(">u2")[..., 0].astype(np.uint16) if bits == 8 else raw.view(np.uint8)
    if array.ndim == 3:
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    encoded, data = cv2.imencode(".png", np.ascontiguousarray(array), [cv2.IMWRITE_PNG_COMPRESSION, LEVEL])
    if not encoded:
        raise ValueError("the PNG encoder refused")
    chunks = _png_chunks(data.tobytes())
    ihdr = chunks[0][1]
    return _png([(b"IHDR", ihdr[:8] + (header or ihdr[8:10]) + ihdr[10:]), *_metadata_chunks(picture), *chunks[1:]])


def _metadata_chunks(picture: Picture) -> list[tuple[bytes, bytes]]:
    extra = picture.extra
    chunks = list(extra.chunks)
    if picture.icc_profile:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(picture.icc_profile)))
    if extra.dpi is not None:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(number / _INCH) for number in extra.dpi), 1)))
    if picture.exif:
        chunks.append((b"eXIf", picture.exif))
    if extra.xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + extra.xmp))
    if extra.comment:
        chunks.append(_text_chunk("Comment", extra.comment))
    return chunks + [_text_chunk(*text) for text in extra.texts]
