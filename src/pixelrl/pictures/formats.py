"""What a picture is, and JPEG, WebP, BMP, GIF and PNM: bytes to a :class:`Picture` and back.

PNG, TIFF and file names are in other modules. Decoders raise :class:`InputError` with the reason only; whoever knows
the file name puts it in front. Any other exception of a decoder means that the data are damaged.
"""

from __future__ import annotations

import io
import logging
import os
import re
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from pixelrl.errors import InputError
from pixelrl.pictures.channels import MODES, join_alpha, pillow_channels, split_alpha
from pixelrl.pictures.display import orientation_exif, orientation_of
from pixelrl.pictures.metadata import EXIF_HEAD, MOST_EXIF, XMP_HEAD, Extra
from pixelrl.pictures.scale import Scale

Array = NDArray[Any]
FULL: dict[str, float] = {"uint8": 255, "uint16": 65535, "float32": 1.0}
"""White, by the dtypes of pictures."""
LEVEL = 3
"""Of deflate: the default of 6 takes two to three times as long for 1-4 % smaller files."""

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_LOCK = threading.RLock()


@dataclass(frozen=True, eq=False)
class Picture:
    """What a picture file holds: pixels as stored (not turned by an orientation tag) and what goes with them.

    ``pixels`` is (h, w) grey or (h, w, 3) RGB, uint8, uint16 or float32; ``alpha`` is (h, w) of the same
    dtype, full at 255, 65535 or 1; ``exif`` starts at its TIFF header; ``notes`` say what of the file was
    changed or left out; ``lossy`` says that it was a WebP file that is not lossless; ``partial`` says that the
    file holds further pictures, which are left out; ``extra`` is the rest that the file says. Raises InputError for
    arrays of another shape or dtype.
    """

    pixels: Array
    alpha: Array | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    notes: tuple[str, ...] = ()
    lossy: bool = False
    partial: bool = False
    extra: Extra = field(default_factory=Extra)

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

        A change of dtype rescales alpha to its range; a change between grey and colour drops the ICC profile and
        what else is said of the colours, which would no longer fit. Raises InputError as the class does.
        """
        if pixels.shape[:2] != self.pixels.shape[:2]:
            raise InputError(f"pixels have shape {pixels.shape}; {self.pixels.shape[:2]} is the picture's size")
        alpha = self.alpha
        if alpha is not None and alpha.dtype != pixels.dtype and str(pixels.dtype) in FULL:
            alpha = _rescaled(alpha, str(pixels.dtype))
        if pixels.ndim == self.pixels.ndim:
            return replace(self, pixels=pixels, alpha=alpha)
        return replace(self, pixels=pixels, alpha=alpha, icc_profile=None, extra=replace(self.extra, chunks=()))

    def with_dtype(self, dtype: str, scale: Scale | None = None) -> Picture:
        """The same picture in another of the dtypes: black and white stay so. Integers are clipped and rounded.

        Args:
            dtype: of the pixels to be; where it is theirs already, they stay as they are.
            scale: which values are black and white; those of the dtype if left out.
        """
        return self if str(self.pixels.dtype) == dtype else self.with_pixels(_rescaled(self.pixels, dtype, scale))


def _rescaled(array: Array, dtype: str, scale: Scale | None = None) -> Array:
    scale = scale or Scale.full(str(array.dtype))
    scaled = (array - np.float64(scale.black)) * (FULL[dtype] / (scale.white - scale.black))
    return (scaled if dtype == "float32" else np.rint(np.clip(scaled, 0, FULL[dtype]))).astype(dtype)


@contextmanager
def silence() -> Iterator[None]:
    """No tifffile log lines and no pixel limit of Pillow's: errors and limits are ours.

    Python's warnings are left alone: their filters belong to the caller, who may have threads of his own.
    """
    logger = logging.getLogger("tifffile")
    with _LOCK:
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
    """Pixels, alpha and notes of a Pillow image."""
    if image.mode not in MODES:
        raise InputError(f"pixels of kind {image.mode} are not supported; grey, RGB, palette or CMYK is needed")
    notes = ("CMYK converted to RGB",) if image.mode == "CMYK" else ()
    array = pillow_channels(image)
    # A copy: Pillow's own memory is read-only.
    pixels, alpha = split_alpha(np.array(array, array.dtype.newbyteorder("=")))
    return Picture(pixels, alpha, notes=notes)


def read_simple(image: ImageFile.ImageFile, max_pixels: int) -> Picture:
    """A picture that Pillow has opened but not yet decoded. Raises InputError as ``read_picture``."""
    check_size(*image.size, max_pixels)
    check_single(getattr(image, "n_frames", 1))
    exif, icc = image.info.get("exif"), image.info.get("icc_profile")
    extra, notes = _extra(image)
    picture = from_pil(image)
    icc = None if image.mode == "CMYK" else icc
    exif = exif.removeprefix(EXIF_HEAD) if exif else None
    partial = bool(notes)
    notes = (*picture.notes, *notes)
    return replace(picture, icc_profile=icc or None, exif=exif or None, notes=notes, partial=partial, extra=extra)


def _extra(image: ImageFile.ImageFile) -> tuple[Extra, tuple[str, ...]]:
    """What else the file says, and a note if further pictures in it are not used."""
    info = image.info
    comment = info.get("comment")
    comment = _decoded(comment) if isinstance(comment, bytes) else comment
    if image.format != "JPEG":
        dpi = info.get("dpi") if image.format == "BMP" else None
        dpi = dpi if dpi and min(dpi) > 0 else None  # 0 says nothing
        return Extra(dpi=dpi, xmp=info.get("xmp") or None, comment=comment or None), ()
    xmp, iptc, lost = None, None, []
    notes: tuple[str, ...] = ()
    for name, content in getattr(image, "applist", ()):
        if name == "APP1" and content.startswith(XMP_HEAD):
            xmp = content.removeprefix(XMP_HEAD)
        elif name == "APP1" and content.startswith(b"http://ns.adobe.com/xmp/extension/\0"):
            lost = ["extended XMP"]
        elif name == "APP13" and content.startswith(b"Photoshop 3.0\0"):
            iptc = (iptc or b"") + content.removeprefix(b"Photoshop 3.0\0")
        elif name == "APP2" and content.startswith(b"MPF\0"):  # a preview, a map of brightness, the other eye's view
            notes = ("further pictures in the file (MPO) are left out",)
    unit = {1: 1.0, 2: 2.54}.get(info.get("jfif_unit", 0))
    across, down = info.get("jfif_density", (0, 0))
    dpi = (across * unit, down * unit) if unit and across and down else None
    return Extra(dpi, xmp, iptc, (), comment or None, (), tuple(lost)), notes


def _decoded(text: bytes) -> str:
    """A text of which the format does not say how it is encoded."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def read_deep_pnm(data: bytes, max_pixels: int) -> Picture | None:
    """A PGM or PPM file of more than 8 bits, whose white becomes 65535; None for other files.

    Pillow makes 8 bits of such colours. Raises InputError as ``read_picture``.
    """
    gap = rb"(?:\s|#[^\n]*\n)+"
    header = re.match(rb"P([2356])" + gap + rb"(\d+)" + gap + rb"(\d+)" + gap + rb"(\d+)\s", data)
    if header is None or not 255 < int(header[4]) <= 65535:
        return None
    kind, width, height, white = (int(part) for part in header.groups())
    check_size(width, height, max_pixels)
    samples = width * height * (3 if kind in (3, 6) else 1)
    if kind in (2, 3):
        values = np.array(data[header.end() :].split()[:samples], dtype=np.int64)
    else:
        values = np.frombuffer(data, ">u2", samples, header.end())
    if len(values) < samples or values.max() > white:
        raise InputError("the data are damaged or truncated; an undamaged file is needed")
    scaled = np.rint(values * (65535 / white)).astype(np.uint16)
    return Picture(scaled.reshape((height, width, 3) if kind in (3, 6) else (height, width)))


def channels(picture: Picture) -> Array:
    """Pixels and alpha in one array, (h, w) or (h, w, 2..4)."""
    return join_alpha(picture.pixels, picture.alpha)


# --- JPEG and WebP --------------------------------------------------------------------------------


def fitted(picture: Picture, kind: str) -> tuple[Picture, tuple[str, ...]]:
    """The picture without what a file of this kind has no place for, and a note that names all that is left out."""
    extra, names = picture.extra.fitted(kind, profile=picture.icc_profile is not None)
    exif = picture.exif
    if kind == "JPEG" and exif is not None and len(exif) > MOST_EXIF:
        exif, names = orientation_exif(orientation_of(exif)), ("EXIF data (over 64 KB)", *names)
    notes = (f"{kind} has no place for {', '.join(names)}: left out",) if names else ()
    return replace(picture, exif=exif, extra=extra), notes


def write_jpeg(picture: Picture, quality: int | None) -> bytes:
    """A JPEG file without chroma subsampling of 8-bit pixels without alpha; ``quality`` is 1-100, 95 if left out."""
    file, exif, extra = io.BytesIO(), EXIF_HEAD + picture.exif if picture.exif else b"", picture.extra
    image = Image.fromarray(channels(picture))
    segments = _segment(1, XMP_HEAD + extra.xmp) if extra.xmp else b""
    for at in range(0, len(extra.iptc or b""), 65000):
        segments += _segment(13, b"Photoshop 3.0\0" + (extra.iptc or b"")[at : at + 65000])
    options = {"dpi": tuple(map(round, extra.dpi))} if extra.dpi else {}
    image.save(
        file,
        "JPEG",
        quality=95 if quality is None else quality,
        subsampling=0,
        icc_profile=picture.icc_profile,
        exif=exif,
        comment=(extra.comment or "").encode(),
        extra=segments,
        **options,
    )
    return file.getvalue()


def _segment(number: int, content: bytes) -> bytes:
    """An APP segment of a JPEG file."""
    return bytes([0xFF, 0xE0 + number]) + struct.pack(">H", 2 + len(content)) + content


def is_lossy_webp(data: bytes) -> bool:
    """Whether the pixels of a WebP file are stored with loss: in a chunk ``VP8 `` instead of ``VP8L``."""
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"VP8 ", b"VP8L"):
            return data[at : at + 4] == b"VP8 "
        size = struct.unpack_from("<I", data, at + 4)[0]
        at += 24 if data[at : at + 4] == b"ANMF" else 8 + size + size % 2  # a frame holds such chunks again
    return False


def write_webp(picture: Picture, quality: int | None) -> bytes:
    """A WebP file of 8 bits: lossy at ``quality``, 1-100, or at 90 if the picture was so; else lossless."""
    file, image = io.BytesIO(), Image.fromarray(channels(picture))
    image = image.convert("RGB" if picture.alpha is None else "RGBA")
    said = {"icc_profile": picture.icc_profile or b"", "exif": picture.exif or b"", "xmp": picture.extra.xmp or b""}
    if quality is None and not picture.lossy:
        # Effort 1: the default takes six times as long for 5 % smaller files.
        image.save(file, "WEBP", lossless=True, method=1, quality=0, exact=True, **said)
    else:
        chosen = 90 if quality is None else quality
        image.save(file, "WEBP", quality=chosen, exact=True, **said)
    return file.getvalue()
