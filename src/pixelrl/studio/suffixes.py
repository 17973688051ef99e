"""What the copy of a picture is called in its session, by what it is and not by what its file was called."""

from __future__ import annotations

import struct

from pixelrl.errors import InputError
from pixelrl.pictures.files import FORMATS, format_of
from pixelrl.pictures.formats import PNG_HEAD, check_size
from pixelrl.pictures.heif import brand_of
from pixelrl.pictures.jxl import is_jxl
from pixelrl.pictures.raw import is_raw

SUFFIXES = (".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".pnm", ".heic", ".avif", ".jxl", ".dng")
"""Those of the pictures in sessions; raw data of all cameras are told by their first bytes, and called DNG here."""


def suffix_of(data: bytes, max_pixels: int) -> str:
    """The suffix that goes with the first bytes; PNG's size, which stands right there, is checked at once.

    Raises:
        InputError: not a picture, or a PNG with too many pixels.
    """
    if data.startswith(PNG_HEAD) and len(data) >= 24 and data[12:16] == b"IHDR":
        width, height = struct.unpack(">II", data[16:24])
        check_size(width, height, max_pixels)
    if is_raw(data):
        return ".dng"
    kind = format_of(data) or brand_of(data)
    if kind is not None:
        return {**FORMATS, "heic": ".heic", "avif": ".avif"}[kind]
    if data.startswith(b"BM"):
        return ".bmp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return ".gif"
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace():
        return ".pnm"
    if is_jxl(data):
        return ".jxl"
    if not data:
        raise InputError("the file is empty (0 bytes); a picture file is needed")
    raise InputError(
        "its first bytes are not those of a picture; a PNG, JPEG, TIFF, WebP, BMP, GIF or PNM file is needed"
    )
