"""HEIC and AVIF: bytes to a :class:`Picture`, by the rules of :mod:`pixelrl.pictures.formats`; they are not written.

HEIC goes through libheif, in pillow-heif, which turns pictures upright. AVIF of 8 bits goes through Pillow, deeper ones
through imagecodecs, as Pillow makes 8 bits of them. White of 10 and 12 bits becomes 65535.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np

from pixelrl.errors import InputError
from pixelrl.pictures.channels import split_alpha
from pixelrl.pictures.formats import Array, Picture, check_single, check_size, read_simple
from pixelrl.pictures.metadata import EXIF_HEAD, Extra
from pixelrl.pictures.optional import photo_module

_SEVERAL = "further pictures in the file ({}) are left out"
_SRGB_PRIMARIES, _SRGB_TRANSFERS = (1, 2), (1, 2, 6, 13, 14, 15)
"""Numbers of ITU-T H.273 that stand for sRGB, or are shown alike, or say nothing."""


def brand_of(data: bytes) -> str | None:
    """``heic``, ``avif`` or ``cr3`` by the first bytes of a file of boxes (ISO 14496-12); None for other files."""
    if data[4:8] != b"ftyp":
        return None
    size = int.from_bytes(data[:4], "big")
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(size, 256), 4))]
    if brands[0] == b"crx ":
        return "cr3"
    heic = any(brand.startswith((b"hei", b"hev")) for brand in brands)
    avif = brands[0] in (b"avif", b"avis") or (not heic and b"avif" in brands)
    return "avif" if avif else "heic"


def read_heic(data: bytes, max_pixels: int) -> Picture:
    """The main picture of a HEIC file, upright. Raises InputError, with the reason only, as ``read_picture``."""
    heif = photo_module("pillow_heif", "HEIC")
    file = heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    width, height = file.size
    check_size(width, height, max_pixels)
    info = file.info
    heif.set_orientation(info)  # the decoder has turned it: its EXIF data must not turn it again
    array = np.asarray(file)
    array = array[..., None] if array.ndim == 2 else array
    further = ["others" if len(file) > 1 else "", "depth" if info.get("depth_images") else ""]
    further += ["gain maps and the like" if info.get("aux") else ""]
    exif = (info.get("exif") or b"").removeprefix(EXIF_HEAD)
    return _picture(
        _scaled(array, info["bit_depth"]),
        data,
        exif=exif or None,
        icc=info.get("icc_profile") or None,
        xmp=info.get("xmp") or None,
        further=[name for name in further if name],
    )


def read_avif(data: bytes, max_pixels: int) -> Picture:
    """An AVIF file, its pixels as they are stored. Raises InputError, with the reason only, as ``read_picture``."""
    plugin = photo_module("PIL.AvifImagePlugin", "AVIF")
    if not plugin.SUPPORTED:
        raise InputError('AVIF needs a newer Pillow: pip install "pixelrl[photo]"; or convert it to PNG first')
    image, bits = plugin.AvifImageFile(io.BytesIO(data)), _avif_bits(data)
    if bits == 8:
        picture = read_simple(image, max_pixels)
        return replace(picture, extra=replace(picture.extra, chunks=_colours(data, picture.icc_profile)))
    width, height = image.size
    check_size(width, height, max_pixels)
    check_single(image.n_frames)
    array = photo_module("imagecodecs", "AVIF of more than 8 bits").avif_decode(data)
    array = array[..., None] if array.ndim == 2 else array
    info = image.info
    exif = (info.get("exif") or b"").removeprefix(EXIF_HEAD)
    said = {"icc": info.get("icc_profile") or None, "xmp": info.get("xmp") or None}
    return _picture(_scaled(array, bits), data, exif=exif or None, further=[], **said)


def _picture(
    array: Array, data: bytes, *, exif: bytes | None, icc: bytes | None, xmp: bytes | None, further: list[str]
) -> Picture:
    pixels, alpha = split_alpha(array)
    notes = (_SEVERAL.format(", ".join(further)),) if further else ()
    extra = Extra(xmp=xmp, chunks=_colours(data, icc))
    return Picture(pixels, alpha, icc, exif, notes, partial=bool(notes), extra=extra)


def _scaled(array: Array, bits: int) -> Array:
    """Values of so many bits as those of 8 or 16, with white at 255 or 65535."""
    if array.dtype == np.uint8:
        return np.array(array)
    return np.rint(array * (65535 / ((1 << bits) - 1))).astype(np.uint16)


def _avif_bits(data: bytes) -> int:
    """8, 10 or 12, by the file's first ``av1C`` box; its third byte has a flag for more than 8 and one for 12."""
    at = data.find(b"av1C")
    flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def _colours(data: bytes, icc: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
    """What the file says of its colours in numbers, as the chunk that PNG has for it; nothing for sRGB.

    The numbers are those of ITU-T H.273, of primaries and of the curve: Display P3 is 12 and 13, for instance.
    """
    at = data.find(b"colrnclx", 0, max(data.find(b"mdat"), 0) or len(data))
    if icc is not None or at < 0:
        return ()
    primaries, transfer = (int.from_bytes(data[at + 8 + 2 * i : at + 10 + 2 * i], "big") for i in (0, 1))
    if primaries in _SRGB_PRIMARIES and transfer in _SRGB_TRANSFERS:
        return ()
    return ((b"cICP", bytes([primaries, transfer, 0, 1])),)
