"""PNG, JPEG and WebP: bytes to a :class:`Picture` and back. TIFF and file names are in other modules.

Decoders raise :class:`InputError` with the reason only; whoever knows the file name puts it in front. Any
other exception of a decoder means that the data are damaged.
"""

from __future__ import annotations

import io
import logging
import os
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from pixelrl.errors import InputError

Array = NDArray[Any]
FULL = {"uint8": 255, "uint16": 65535, "float32": 1.0}
EXIF_HEAD = b"Exif\0\0"
LEVEL = 3
"""Of deflate: the default of 6 takes two to three times as long for 1-4 % smaller files."""

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_LOCK = threading.RLock()


@dataclass(frozen=True, eq=False)
class Picture:
    """What a picture file holds: pixels as stored (not turned by an orientation tag) and what goes with them.

    ``pixels`` is (h, w) grey or (h, w, 3) RGB, uint8, uint16 or float32; ``alpha`` is (h, w) of the same
    dtype, full at 255, 65535 or 1; ``exif`` starts at its TIFF header; ``notes`` say what of the file was
    changed or left out; ``lossy`` says that it was a WebP file that is not lossless.
    Raises InputError for arrays of another shape or dtype.
    """

    pixels: Array
    alpha: Array | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    notes: tuple[str, ...] = ()
    lossy: bool = False

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, str(self.pixels.dtype)
        if not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or 0 in shape:
            raise InputError(f"pixels have shape {shape}; (h, w) grey or (h, w, 3) RGB is needed")
        if dtype not in FULL:
            raise InputError(f"pixels have dtype {dtype}; uint8, uint16 or float32 is needed")
        if self.alpha is not None and (self.alpha.shape != shape[:2] or self.alpha.dtype != self.pixels.dtype):
            raise InputError(f"alpha is {self.alpha.shape} {self.alpha.dtype}; {shape[:2]} {dtype} is needed")

    def with_pixels(self, pixels: Array) -> Picture:
        """The same picture with other pixels, (h, w) or (h, w, 3), of the same size.

        A change of dtype rescales alpha to its range; a change between grey and colour drops the ICC profile,
        which would no longer fit. Raises InputError as the class does.
        """
        if pixels.shape[:2] != self.pixels.shape[:2]:
            raise InputError(f"pixels have shape {pixels.shape}; {self.pixels.shape[:2]} is the picture's size")
        alpha = self.alpha
        if alpha is not None and alpha.dtype != pixels.dtype and str(pixels.dtype) in FULL:
            alpha = _rescaled(alpha, str(pixels.dtype))
        icc = self.icc_profile if pixels.ndim == self.pixels.ndim else None
        return replace(self, pixels=pixels, alpha=alpha, icc_profile=icc)

    def with_dtype(self, dtype: str) -> Picture:
        """The same picture in another of the dtypes, scaled: white stays white. Integers are clipped and rounded."""
        return self if str(self.pixels.dtype) == dtype else self.with_pixels(_rescaled(self.pixels, dtype))


def _rescaled(array: Array, dtype: str) -> Array:
    scaled = array * np.float64(FULL[dtype] / FULL[str(array.dtype)])
    return (scaled if dtype == "float32" else np.rint(np.clip(scaled, 0, FULL[dtype]))).astype(dtype)


@contextmanager
def silence() -> Iterator[None]:
    """No warnings, no tifffile log lines and no pixel limit of Pillow's: errors and limits are ours."""
    logger = logging.getLogger("tifffile")
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        disabled, logger.disabled = logger.disabled, True
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            logger.disabled, Image.MAX_IMAGE_PIXELS = disabled, limit


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Silence file descriptor 2: libpng in OpenCV and libtiff in Pillow print there and offer no switch."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError):  # closed: nothing to protect
        yield
        return
    with _LOCK:
        try:
            with open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise InputError for no pixels or more than ``max_pixels``."""
    if width <= 0 or height <= 0:
        raise InputError(f"the picture is {width} x {height}, so it has no pixels; at least 1 x 1 is needed")
    if width * height > max_pixels:
        has, limit = (f"{n / 1e6:.6g}" for n in (width * height, max_pixels))
        raise InputError(f"{width} x {height} is {has} megapixels; at most {limit} are read, so cut it up")


def check_single(frames: int) -> None:
    """Raise InputError for several frames or pages: writing the result to the file's own name would lose them."""
    if frames > 1:
        raise InputError(f"it holds {frames} frames, and one is needed; save the one you want as a file of its own")


def from_pil(image: Image.Image) -> Picture:
    """Pixels, alpha and notes of a Pillow image of at most 8 bits."""
    notes: tuple[str, ...] = ("CMYK converted to RGB",) if image.mode == "CMYK" else ()
    palette = "RGBA" if "transparency" in image.info else "RGB"
    same = {mode: mode for mode in ("L", "LA", "RGB", "RGBA")}
    other = {"1": "L", "La": "LA", "P": palette, "PA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB"}
    mode = (same | other | {"YCbCr": "RGB"}).get(image.mode)
    if mode is None:
        raise InputError(f"pixels of kind {image.mode} are not supported; grey, RGB, palette or CMYK is needed")
    array = np.array(image.convert(mode))  # a copy: Pillow's own memory is read-only
    if mode in ("LA", "RGBA"):
        pixels, alpha = array[..., 0] if mode == "LA" else array[..., :3], array[..., -1]
        return Picture(np.ascontiguousarray(pixels), np.ascontiguousarray(alpha), notes=notes)
    return Picture(array, notes=notes)


def read_simple(image: ImageFile.ImageFile, max_pixels: int) -> Picture:
    """A JPEG or WebP picture, opened but not yet decoded. Raises InputError as ``read_picture``."""
    check_size(*image.size, max_pixels)
    check_single(getattr(image, "n_frames", 1))
    exif, icc = image.info.get("exif"), image.info.get("icc_profile")
    picture = from_pil(image)
    icc = None if image.mode == "CMYK" else icc
    exif = exif.removeprefix(EXIF_HEAD) if exif else None
    return replace(picture, icc_profile=icc or None, exif=exif or None)


# --- PNG ------------------------------------------------------------------------------------------


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
    icc = None
    if b"iCCP" in first:  # name, 0, method, deflated profile
        packed = first[b"iCCP"].partition(b"\0")[2][1:]
        try:
            icc = zlib.decompressobj().decompress(packed, 1 << 26)
        except zlib.error:
            picture = replace(picture, notes=("the damaged colour profile is left out",))
    return replace(picture, icc_profile=icc or None, exif=first.get(b"eXIf") or None)


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
    extra = []
    if picture.icc_profile:
        extra.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(picture.icc_profile)))
    if picture.exif:
        extra.append((b"eXIf", picture.exif))
    return _png([(b"IHDR", ihdr[:8] + (header or ihdr[8:10]) + ihdr[10:]), *extra, *chunks[1:]])


def channels(picture: Picture) -> Array:
    """Pixels and alpha in one array, (h, w) or (h, w, 2..4)."""
    if picture.alpha is None:
        return np.ascontiguousarray(picture.pixels)
    return np.dstack([picture.pixels, picture.alpha])


# --- JPEG and WebP --------------------------------------------------------------------------------


_MOST_EXIF = 65535 - 2 - len(EXIF_HEAD)
"""Bytes of EXIF data in a JPEG file: a segment says its length, itself included, in 16 bits."""


def fitted(picture: Picture, kind: str) -> tuple[Picture, tuple[str, ...]]:
    """The picture without what a file of this kind cannot hold, and a note on each thing left out."""
    if kind == "JPEG" and picture.exif is not None and len(picture.exif) > _MOST_EXIF:
        return replace(picture, exif=None), ("EXIF data left out: they are more than the 64 KB that JPEG holds",)
    return picture, ()


def write_jpeg(picture: Picture, quality: int | None) -> bytes:
    """A JPEG file without chroma subsampling of 8-bit pixels without alpha; ``quality`` is 1-100, 95 if left out."""
    file, exif = io.BytesIO(), EXIF_HEAD + picture.exif if picture.exif else b""
    image = Image.fromarray(channels(picture))
    chosen = 95 if quality is None else quality
    image.save(file, "JPEG", quality=chosen, subsampling=0, icc_profile=picture.icc_profile, exif=exif)
    return file.getvalue()


def is_lossy_webp(data: bytes) -> bool:
    """Whether the pixels of a WebP file are stored with loss: in a chunk ``VP8 `` instead of ``VP8L``."""
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"VP8 ", b"VP8L"):
            return data[at : at + 4] == b"VP8 "
        size = struct.unpack_from("<I", data, at + 4)[0]
        at += 8 + size + size % 2
    return False


def write_webp(picture: Picture, quality: int | None) -> bytes:
    """A WebP file of 8 bits: lossy at ``quality``, 1-100, or at 90 if the picture was so; else lossless."""
    file, image = io.BytesIO(), Image.fromarray(channels(picture))
    image = image.convert("RGB" if picture.alpha is None else "RGBA")
    icc, exif = picture.icc_profile or b"", picture.exif or b""
    if quality is None and not picture.lossy:
        # Effort 1: the default takes six times as long for 5 % smaller files.
        image.save(file, "WEBP", lossless=True, method=1, quality=0, exact=True, icc_profile=icc, exif=exif)
    else:
        chosen = 90 if quality is None else quality
        image.save(file, "WEBP", quality=chosen, exact=True, icc_profile=icc, exif=exif)
    return file.getvalue()
