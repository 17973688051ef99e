"""Picture files: read and written. Depth, alpha, colour profile and EXIF survive both."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PpmImagePlugin, WebPImagePlugin

from pixelrl.errors import InputError, UsageError
from pixelrl.pictures import formats, heif, jxl, png, raw, tiff
from pixelrl.pictures.atomic import check_free, written_whole
from pixelrl.pictures.formats import Picture
from pixelrl.pictures.optional import CONVERT, is_installed
from pixelrl.validation import as_path

__all__ = [
    "DEPTHS",
    "FORMATS",
    "PHOTO",
    "READABLE",
    "SUFFIXES",
    "Picture",
    "check_writable",
    "decode",
    "either",
    "encode",
    "format_by_suffix",
    "format_of",
    "is_readable",
    "read_picture",
    "write_picture",
]

_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".jpe": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WebP",
}
SUFFIXES = tuple(_FORMATS)
"""The suffixes of the files that can be read and written, in lower case."""

PHOTO: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((".heic", ".heif", ".hif"), ("pillow_heif",)),
    ".avif": ("PIL.AvifImagePlugin",),
    ".jxl": ("imagecodecs",),
    **dict.fromkeys(raw.ENDINGS, ("rawpy",)),
}
"""The suffixes, in lower case, of the files that the extra ``photo`` reads, and the modules that they need."""

READABLE = (*SUFFIXES, ".bmp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm", ".mpo", *PHOTO)
"""The suffixes of the files that can be read, in lower case; those in `PHOTO` where its modules are installed."""

_NOT_READ = {
    **dict.fromkeys((".jp2", ".j2k"), f"JPEG 2000 is not read; {CONVERT}"),
    ".psd": f"PSD is not read; {CONVERT}",
    ".svg": f"SVG is not read; {CONVERT}",
    ".exr": "OpenEXR is not read; convert it to a TIFF of 32-bit floats first",
}
"""Formats of pictures that are not read, by suffix, and the way out."""

FORMATS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif", "webp": ".webp"}
"""The formats that can be written, and the suffix that each gets where none is given."""

DEPTHS = {
    "png": ("uint8", "uint16"),
    "jpeg": ("uint8",),
    "tiff": ("uint8", "uint16", "float32"),
    "webp": ("uint8",),
}
"""Which values each of `FORMATS` can hold, the coarsest first."""

_LARGEST_SIDE = {"JPEG": 65500, "WebP": 16383}
_ENCODERS = {
    "PNG": png.write_png,
    "JPEG": formats.write_jpeg,
    "TIFF": tiff.write_tiff,
    "WebP": formats.write_webp,
}


def read_picture(path: str | Path, *, max_pixels: int = 500_000_000) -> Picture:
    """The picture in a PNG, JPEG, TIFF, WebP, BMP, GIF or PNM file; one that holds several (pages, frames) is refused.

    With the packages of the extra ``photo`` also HEIC, AVIF, JPEG XL and the raw data of cameras, which are developed.
    Palette pictures become RGB, 1-bit ones 8-bit grey, CMYK RGB, float16 and float64 float32. What a suffix
    promises need not be what the file holds: the format is told by the first bytes. Raises InputError, one
    sentence with the file's name, for everything that cannot be read, and for more than ``max_pixels`` before
    anything is decoded.
    """
    path = as_path(path, "picture", InputError)
    if os.path.isdir(path):
        raise InputError(f"{path}: this is a folder; a picture file is needed")
    ending = path.suffix.lower()
    if ending in _NOT_READ:
        raise InputError(f"{path}: {_NOT_READ[ending]}")
    if ending not in READABLE:
        raise InputError(f"{path}: the suffix {path.suffix!r} is not known; {either(READABLE)} can be read")
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise InputError(f"{path}: this is not a regular file; a picture file is needed")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; the path of a picture is needed") from None
    except PermissionError:
        raise InputError(f"{path}: no permission to read it; a readable file is needed") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: it cannot be read ({error}); a readable file is needed") from error
    return decode(data, str(path), max_pixels=max_pixels)


def decode(data: bytes, name: str, *, max_pixels: int = 500_000_000) -> Picture:
    """The picture in the bytes of a file, as `read_picture`; errors begin with ``name``."""
    if not data:
        raise InputError(f"{name}: the file is empty (0 bytes); a picture file is needed")
    try:
        with formats.silence():
            return _decode(data, max_pixels)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except MemoryError as error:
        raise InputError(f"{name}: there is not enough memory for it; a smaller picture is needed") from error
    except Exception as error:  # decoders fail on damaged data in every way there is
        raise InputError(f"{name}: the data are damaged or truncated; an undamaged file is needed") from error


def format_of(data: bytes) -> str | None:
    """A key of `FORMATS`, told by a file's first bytes; None for other data."""
    if data.startswith(formats.PNG_HEAD):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    return None


def is_readable(path: Path) -> bool:
    """Whether files of this suffix can be read, with the packages that are installed."""
    suffix = path.suffix.lower()
    return suffix in READABLE and all(is_installed(module) for module in PHOTO.get(suffix, ()))


def format_by_suffix(path: str | Path) -> str | None:
    """A key of `FORMATS`, told by a file's name; None for a suffix that cannot be written."""
    kind = _FORMATS.get(Path(path).suffix.lower())
    return None if kind is None else kind.lower()


def _decode(data: bytes, max_pixels: int) -> Picture:
    if raw.is_raw(data):
        return raw.read_raw(data, max_pixels)
    # The plugins are called directly: Image.open would try every format that it knows.
    match format_of(data):
        case "png":
            return png.read_png(data, max_pixels)
        case "jpeg":
            return formats.read_simple(JpegImagePlugin.JpegImageFile(io.BytesIO(data)), max_pixels)
        case "webp":
            picture = formats.read_simple(WebPImagePlugin.WebPImageFile(io.BytesIO(data)), max_pixels)
            return replace(picture, lossy=formats.is_lossy_webp(data))
        case "tiff":
            return tiff.read_tiff(data, max_pixels)
    if data.startswith(b"BM"):
        return formats.read_simple(BmpImagePlugin.BmpImageFile(io.BytesIO(data)), max_pixels)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return formats.read_simple(GifImagePlugin.GifImageFile(io.BytesIO(data)), max_pixels)
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace():
        deep = formats.read_deep_pnm(data, max_pixels)
        return deep or formats.read_simple(PpmImagePlugin.PpmImageFile(io.BytesIO(data)), max_pixels)
    if jxl.is_jxl(data):
        return jxl.read_jxl(data, max_pixels)
    brand = heif.brand_of(data)
    if brand is not None:
        return (heif.read_avif if brand == "avif" else heif.read_heic)(data, max_pixels)
    raise InputError(f"its first bytes are not those of a picture; {_KINDS} file is needed")


_KINDS = "a PNG, JPEG, TIFF, WebP, BMP, GIF or PNM"


def check_writable(path: str | Path, picture: Picture, *, overwrite: bool = False, quality: int | None = None) -> None:
    """Raise the UsageError that :func:`write_picture` would, as far as it can be known beforehand."""
    path = as_path(path, "picture")
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: the suffix {path.suffix!r} is not known; {either(SUFFIXES)} can be written")
    _check_kind(str(path), picture, kind, quality)
    folder = path.parent
    if not os.path.isdir(folder):
        raise UsageError(f"{path}: there is no folder {folder}; an existing one is needed")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: the folder {folder} cannot be written to; one with write permission is needed")
    if os.path.isdir(path):
        raise UsageError(f"{path}: this is a folder; a file name is needed")
    check_free(path, overwrite=overwrite)


def _check_kind(name: str, picture: Picture, kind: str, quality: int | None) -> None:
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"quality {quality} is out of range; 1 to 100 is possible")
    height, width = picture.pixels.shape[:2]
    depth = str(picture.pixels.dtype)
    able = {_FORMATS[FORMATS[name]] for name, depths in DEPTHS.items() if depth in depths}
    able -= {"JPEG"} if picture.alpha is not None else set()
    able -= {name for name, side in _LARGEST_SIDE.items() if max(height, width) > side}
    if kind not in able:
        has = {"uint8": "8-bit", "uint16": "16-bit", "float32": "float32"}[depth]
        has += f" picture of {width} x {height}" + (" with transparency" if picture.alpha is not None else "")
        raise UsageError(f"{name}: {kind} cannot hold this {has}; {either(sorted(able))} can")


def encode(
    picture: Picture, kind: str, *, quality: int | None = None, name: str = "the picture"
) -> tuple[bytes, tuple[str, ...]]:
    """A picture as the bytes of a file of a kind in `FORMATS`, and what had to be left out of it.

    Raises the UsageErrors of `write_picture` that concern the format; they begin with ``name``.
    """
    known = _FORMATS[FORMATS[kind]]
    _check_kind(name, picture, known, quality)
    try:
        with formats.silence():
            picture, notes = formats.fitted(picture, known)
            return _ENCODERS[known](picture, quality), notes
    except MemoryError as error:
        raise UsageError(f"{name}: there is not enough memory to write it; a smaller picture is needed") from error
    except Exception as error:
        raise UsageError(f"{name}: it cannot be written as {known} ({error}); try another format") from error


def write_picture(
    path: str | Path,
    picture: Picture,
    *,
    overwrite: bool = False,
    quality: int | None = None,
    encoded: bytes | None = None,
) -> tuple[str, ...]:
    """Write a picture in the format of the suffix: all of it, or nothing at all if anything goes wrong.

    JPEG has no chroma subsampling and ``quality`` (1-100), 95 if left out. WebP is lossy if a quality is given or if
    the picture came from a lossy WebP file (then 90), else lossless; grey becomes RGB there. PNG and TIFF are
    deflated, and quality has no meaning for them. ``encoded`` are the bytes of a file of this format that holds the
    picture already; they are written as they are. Returns what had to be left out, a sentence each.

    Raises UsageError for a place that cannot be written, an existing file without ``overwrite``, and a format that
    cannot hold the picture (which names those that can).
    """
    path = as_path(path, "picture")
    check_writable(path, picture, overwrite=overwrite, quality=quality)
    kind = _FORMATS[path.suffix.lower()].lower()
    data, notes = encode(picture, kind, quality=quality, name=str(path)) if encoded is None else (encoded, ())
    try:
        with written_whole(path) as temporary, open(temporary, "xb") as file:
            file.write(data)
    except OSError as error:
        reasons = {
            errno.ENOSPC: f"the disk of {path.parent} is full; free space is needed",
            errno.EDQUOT: f"the disk quota of {path.parent} is used up; free space is needed",
            errno.EROFS: f"the folder {path.parent} is read-only; a writable one is needed",
            errno.EACCES: f"the folder {path.parent} cannot be written to; a writable one is needed",
        }
        reason = f"it cannot be written in {path.parent} ({error.strerror}); try another place"
        raise UsageError(f"{path}: {reasons.get(error.errno or 0, reason)}") from error
    return notes


def either(names: Sequence[str]) -> str:
    """Names in a row, the last one after "or"."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
