"""TIFF: bytes to a :class:`Picture` and back, by the rules of :mod:`pixelrl.pictures.formats`.

Plain grey and RGB go through tifffile; what it has no decoder for (LZW, PackBits, JPEG, palettes, CMYK, fewer
than 8 bits) goes through libtiff, inside Pillow up to 8 bits and inside OpenCV above.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin

from pixelrl.errors import InputError
from pixelrl.pictures.formats import (
    FULL,
    LEVEL,
    Array,
    Picture,
    channels,
    check_single,
    check_size,
    from_pil,
    silent_stderr,
)
from pixelrl.pictures.metadata import Extra

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 274, 282, 283, 296
_ICC, _EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 34675, 34665, 34853, 40965
_XMP = 700
_LOST = {33723: "IPTC", 34377: "IPTC", 33550: "georeference", 33922: "georeference", 34264: "georeference"}
"""Tags that are left out, and what they hold."""
# Description, make, model, software, date, artist, copyright: what a TIFF's own directory says about the
# picture rather than about how its bytes are laid out.
_TEXT = (270, 271, 272, 305, 306, 315, 33432)
_UNCOMPRESSED_OR_DEFLATED = (1, 8, 32946)
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _CMYK = 0, 1, 2, 5


def read_tiff(data: bytes, max_pixels: int) -> Picture:
    """The picture in a TIFF file. Raises InputError, with the reason only, as ``read_picture``."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        check_single(_frames(file))
        check_size(page.imagewidth, page.imagelength, max_pixels)
        if page.imagedepth > 1:
            raise InputError(f"it is a volume of {page.imagedepth} slices; a flat picture is needed")
        check_page(page, len(data))
        picture = read_page(page, lambda: data)
        if not is_whole(file):
            picture = replace(picture, partial=True, notes=(*picture.notes, _CUT))
        icc = page.tags.get(_ICC)
        keep_icc = icc is not None and int(page.photometric) != _CMYK
        return replace(
            picture,
            icc_profile=bytes(icc.value) if keep_icc else None,
            exif=read_exif(data),
            extra=_extra(page),
        )


def _extra(page: Any) -> Extra:
    tags, dpi, xmp = page.tags, None, None
    unit = {2: 1.0, 3: 2.54}.get(tags.valueof(_RESOLUTION_UNIT, 1))
    ratios = [tags.valueof(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
    if unit is not None and all(isinstance(ratio, tuple) and len(ratio) == 2 and all(ratio) for ratio in ratios):
        dpi = (unit * ratios[0][0] / ratios[0][1], unit * ratios[1][0] / ratios[1][1])
    if _XMP in tags:
        value = tags.valueof(_XMP)
        xmp = value if isinstance(value, bytes) else bytes(value) if isinstance(value, tuple) else None
    lost = dict.fromkeys(name for tag, name in _LOST.items() if tag in tags)
    lost |= {"ImageJ's metadata": None} if page.is_imagej else {"OME's metadata": None} if page.is_ome else {}
    return Extra(dpi=dpi, xmp=xmp or None, lost=tuple(lost))


def _frames(file: tifffile.TiffFile) -> int:
    """How many pictures the file holds, without previews and masks of others.

    ImageJ and tifffile write stacks also as a single page with all the data behind it.
    """
    pages = sum(not (page.is_reduced or page.is_mask) for page in file.pages)
    first: Any = file.pages[0]
    if len(file.pages) == 1 and (file.is_imagej or first.is_shaped):
        pages = int(np.prod(file.series[0].shape)) // int(np.prod(first.shape))
    return max(1, pages)


_CUT = "further pages of the file are damaged or cut off, and left out"


def is_whole(file: tifffile.TiffFile) -> bool:
    """Whether the last page of a file says that it is the last: of a file that was cut off, later ones are missing."""
    kind, handle, page = file.tiff, file.filehandle, file.pages[len(file.pages) - 1]
    handle.seek(page.offset)
    count = struct.unpack(kind.tagnoformat, handle.read(kind.tagnosize))[0]
    handle.seek(page.offset + kind.tagnosize + count * kind.tagsize)
    after = handle.read(kind.offsetsize)
    return len(after) < kind.offsetsize or not any(after)


def check_page(page: Any, size: int) -> None:
    """Raise InputError, with the reason only, where data of a page are missing in a file of ``size`` bytes."""
    ends = [at + n for at, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(ends) < int(np.prod(page.chunked)) or 0 in page.databytecounts or max(ends) > size:
        raise InputError("the TIFF data are truncated; an undamaged file is needed")


def read_page(page: Any, data: Callable[[], bytes], number: int = 0) -> Picture:
    """The picture on a page, the file's ``number``-th from 0; ``data`` gives the bytes of the file.

    Raises InputError, with the reason only, as ``read_picture``.
    """
    bits, samples, photometric = page.bitspersample, page.samplesperpixel, int(page.photometric)
    dtype = str(page.dtype)
    if dtype not in ("bool", "uint8", "uint16", "float16", "float32", "float64"):
        raise InputError(
            f"samples of {bits} bits ({dtype}) are not supported; 8 or 16 bits without sign, or floats, are needed"
        )
    plain = photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB) and bits in (8, 16, 32, 64)
    ours = plain and page.compression in _UNCOMPRESSED_OR_DEFLATED and page.predictor in (1, 2)
    if not ours and bits <= 8:
        with silent_stderr():
            image = TiffImagePlugin.TiffImageFile(io.BytesIO(_upright(page, data())))
            image.seek(number)
            return from_pil(image)
    if not plain:
        name = getattr(page.photometric, "name", photometric)
        raise InputError(f"{bits}-bit samples of kind {name} are not supported; grey or RGB is needed")
    size = (page.imagelength, page.imagewidth)
    if not ours:
        array = _read_by_opencv(page, data(), number).reshape(*size, samples)
    elif page.planarconfig == 2:
        array = np.moveaxis(page.asarray().reshape(samples, *size), 0, 2)
    else:
        array = page.asarray().reshape(*size, samples)
    return as_picture(page, array)


def _read_by_opencv(page: Any, data: bytes, number: int) -> Array:
    buffer = np.frombuffer(_upright(page, data), np.uint8)
    with silent_stderr():
        if number:
            _, pages = cv2.imdecodemulti(buffer, cv2.IMREAD_UNCHANGED, range=(number, number + 1))
            array = pages[0] if pages else None
        else:
            array = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    if array is None:
        name = getattr(page.compression, "name", page.compression)
        raise InputError(f"its {name} data are damaged or not supported; an undamaged, uncompressed TIFF is needed")
    result: Array = array if array.ndim == 2 else array[..., [2, 1, 0, 3][: array.shape[2]]]
    return result


def _upright(page: Any, data: bytes) -> bytes:
    """The file with its orientation set to 1: Pillow and OpenCV would turn the pixels."""
    tag = page.tags.get(_ORIENTATION)
    if tag is None:
        return data
    at = tag.valueoffset
    return data[:at] + struct.pack(page.parent.byteorder + "H", 1) + data[at + 2 :]


def as_picture(page: Any, array: Array) -> Picture:
    """Colour and alpha of a page's samples, (h, w, n), as a picture of a dtype that pictures have.

    Raises InputError, with the reason only, as ``read_picture``.
    """
    notes: list[str] = []
    colours = 3 if int(page.photometric) == _RGB else 1
    if array.shape[2] not in (colours, colours + 1):
        raise InputError(f"it has {array.shape[2]} samples per pixel; grey or RGB with or without alpha is needed")
    if array.dtype.kind == "f":
        if array.dtype != np.float32:
            notes.append(f"{array.dtype} converted to float32")
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise InputError("it holds NaN or infinite values; finite numbers are needed")
    full = FULL[str(array.dtype)]
    pixels = array[..., :colours] if colours == 3 else array[..., 0]
    if int(page.photometric) == _MIN_IS_WHITE:
        pixels = (full - pixels).astype(array.dtype)
    if array.shape[2] == colours:
        return Picture(np.array(pixels, order="C"), notes=tuple(notes))
    kind = int(page.extrasamples[0]) if page.extrasamples else 2
    if kind == 0:  # TIFF 6.0: unspecified data, not alpha
        notes.append("an extra channel of unspecified meaning is left out")
        return Picture(np.array(pixels, order="C"), notes=tuple(notes))
    alpha = np.array(array[..., -1], order="C")
    if kind == 1:
        notes.append("alpha was premultiplied and is divided out")
        share = (alpha if colours == 1 else alpha[..., None]) / full
        pixels = np.divide(pixels, share, out=np.zeros(pixels.shape), where=share > 0)
        pixels = pixels if array.dtype.kind == "f" else np.rint(np.minimum(pixels, full))
    return Picture(np.array(pixels, array.dtype, order="C"), alpha, notes=tuple(notes))


def read_exif(data: bytes) -> bytes | None:
    """What of a TIFF's tags describes the picture, as EXIF (which has the layout of a TIFF file)."""
    source, found = Image.Exif(), Image.Exif()
    try:
        source.load(data)
        for tag in (*_TEXT, _ORIENTATION):
            value = source.get(tag)
            # Programs keep their own data in the description: JSON, OME-XML, ImageJ's list of frames.
            if value and not (tag == 270 and str(value).startswith(("{", "<", "ImageJ="))):
                found[tag] = value.encode("latin-1", "replace") if isinstance(value, str) else value
        if source.get(_RESOLUTION_UNIT, 1) != 1:
            for tag in (_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT):
                found[tag] = source[tag]
        for tag, directory in directories(source).items():
            found[tag] = directory
        return found.tobytes().removeprefix(b"Exif\0\0") if len(found) else None
    except Exception:  # a damaged tag must not cost the picture
        return None


def directories(exif: Image.Exif) -> dict[int, dict[int, Any]]:
    """The camera's and the GPS directory of an EXIF block, where it has them."""
    camera, gps = dict(exif.get_ifd(_EXIF_IFD)), dict(exif.get_ifd(_GPS_IFD))
    if _INTEROP_IFD in camera:
        camera[_INTEROP_IFD] = exif.get_ifd(_INTEROP_IFD)
    return {tag: directory for tag, directory in ((_EXIF_IFD, camera), (_GPS_IFD, gps)) if directory}


def write_tiff(picture: Picture, quality: int | None) -> bytes:
    """A deflated TIFF file with the picture's profile, orientation, texts and camera data."""
    tags: list[tuple[int, Any, int, Any, bool]] = []
    ifds: dict[int, dict[int, Any]] = {}
    resolution, unit = None, None
    if picture.exif:
        try:
            exif = Image.Exif()
            exif.load(picture.exif)
            ifds = directories(exif)
            if exif.get(_ORIENTATION) in range(1, 9):
                tags.append((_ORIENTATION, "H", 1, exif[_ORIENTATION], True))
            for tag in _TEXT:
                if isinstance(text := exif.get(tag), str):
                    tags.append((tag, "s", 0, text.encode("latin-1", "replace"), True))
            if exif.get(_RESOLUTION_UNIT) in (2, 3):
                resolution = (float(exif[_X_RESOLUTION]), float(exif[_Y_RESOLUTION]))
                unit = exif[_RESOLUTION_UNIT]
        except Exception:  # damaged EXIF is worth less than the picture
            ifds = {}
    if picture.extra.dpi and resolution is None:
        resolution, unit = picture.extra.dpi, 2
    if picture.extra.xmp:
        tags.append((_XMP, "B", len(picture.extra.xmp), picture.extra.xmp, True))
    # tifffile leaves out the tags that point to directories, so these go in one number lower and are set
    # right below.
    tags += [(tag - 1, "I", 1, 0, True) for tag in ifds]
    array, file = channels(picture), io.BytesIO()
    tifffile.imwrite(
        file,
        array,
        byteorder="<",
        photometric="rgb" if picture.pixels.ndim == 3 else "minisblack",
        planarconfig="contig" if array.ndim == 3 else None,
        extrasamples=None if picture.alpha is None else ["unassalpha"],
        compression="zlib",
        compressionargs={"level": LEVEL},
        predictor=array.dtype.kind == "u",
        iccprofile=picture.icc_profile,
        extratags=tags,
        resolution=resolution,
        resolutionunit=unit,
        metadata=None,
        software=False,
    )
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as written:
        places = {tag: written.pages[0].tags[tag - 1].offset for tag in ifds}
        classic = not written.is_bigtiff  # a picture beyond 4 GB: its directories have another layout
    for tag, place in places.items():
        data += b"\0" * (len(data) % 2)
        at, block = len(data), Image.Exif()
        block.endian = "<"
        for key, value in ifds[tag].items():
            block[key] = value
        data += block.tobytes(at)[14:] if classic else b""  # without "Exif\0\0" and its TIFF header
        struct.pack_into("<H", data, place, tag if classic else tag - 1)
        struct.pack_into("<I", data, place + 8, at if classic else 0)
    return bytes(data)
