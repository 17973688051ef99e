"""Raw data of cameras: bytes to a developed :class:`Picture`, and to the mosaic that the sensor saw and back.

LibRaw, in rawpy, decodes and develops: demosaicking (AHD), the white balance that the camera noted, its colour matrix,
and the curve of sRGB, to 16 bits. Nothing is brightened, and highlights are clipped where the sensor clips. Whatever
is done to the mosaic in between (`Sensor`) is so done to values that are linear in the light, and whose noise is still
that of single pixels.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from pixelrl.errors import InputError
from pixelrl.pictures import tiff
from pixelrl.pictures.display import orientation_exif, upright_exif
from pixelrl.pictures.formats import Array, Picture, check_size, silent_stderr
from pixelrl.pictures.heif import brand_of
from pixelrl.pictures.metadata import EXIF_HEAD
from pixelrl.pictures.optional import DEVELOP, photo_module

ENDINGS = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw")
"""The suffixes of files that cameras write, and DNG."""

Mosaic = npt.NDArray[np.float32]

_DNG_VERSION, _SUB_IFDS, _ORIENTATION, _CFA = 50706, 330, 274, 32803
_HEADS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
_TURNED = {0: 1, 3: 3, 5: 8, 6: 6}
"""EXIF's orientation by LibRaw's number of a turn."""
_FLOOR = 4096
"""Where black is put in 16 bits, so that noise below it has its place."""


def is_raw(source: Path | bytes) -> bool:
    """Whether a file, or its bytes, are raw data of a camera: by the first bytes and, in TIFF files, by the tags."""
    head = source[:32] if isinstance(source, bytes) else _head(source)
    if head.startswith(_HEADS) or brand_of(head) == "cr3":
        return True
    if not head.startswith((b"II*\0", b"MM\0*")):
        return False
    if head[8:10] == b"CR":
        return True
    try:
        with tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            first: Any = file.pages[0]
            within = first.pages if _SUB_IFDS in first.tags else None
            return _DNG_VERSION in first.tags or any(int(page.photometric) == _CFA for page in (first, *(within or ())))
    except Exception:  # damaged: whoever reads it knows better what is wrong
        return False


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(32)
    except OSError:  # whoever reads it says why
        return b""


def read_raw(data: bytes, max_pixels: int) -> Picture:
    """The developed picture, of 16 bits. Raises InputError, with the reason only, as ``read_picture``."""
    with _opened(data, max_pixels) as raw:
        return _developed(raw, data)


@dataclass(frozen=True, eq=False)
class Sensor:
    """What a sensor saw, linear in the light: the mosaic of single colours.

    Attributes:
        mosaic: ``(h, w)``; 0 is black and 1 where the sensor is full. Noise goes a little beyond black.
        colours: 2 x 2, which of red, green and blue (0 to 2) the pixels of each cell of the mosaic see.
        black: the value of black in the file, of the four pixels of a cell (2 x 2).
        white: the value at which the sensor is full, likewise.
        data: the file.
    """

    mosaic: Mosaic
    colours: npt.NDArray[np.int64]
    black: npt.NDArray[np.float32]
    white: float
    data: bytes

    @classmethod
    def of(cls, data: bytes, max_pixels: int = 500_000_000) -> Sensor | None:
        """Of the bytes of a file; None where there is no mosaic of 2 x 2 pixels in red, green and blue.

        So it is in files that were demosaicked before, and of sensors with another pattern (Fujifilm's X-Trans) or
        without any.

        Raises:
            InputError: the file is damaged or of an unknown camera; with the reason only.
        """
        with _opened(data, max_pixels) as raw:
            values, pattern = raw.raw_image_visible, raw.raw_pattern
            usual = raw.color_desc == b"RGBG" and pattern is not None and pattern.shape == (2, 2)
            if values is None or values.ndim != 2 or not usual:
                return None
            seen = np.where(pattern == 3, 1, pattern).astype(np.int64)
            if sorted(seen.flat) != [0, 1, 1, 2] or not _regular(raw.raw_colors_visible, pattern):
                return None
            black = np.array(raw.black_level_per_channel, np.float32)[pattern]
            white = float(raw.white_level)
            height, width = values.shape
            levels = np.tile(black, (height // 2 + 1, width // 2 + 1))[:height, :width]
            mosaic = np.minimum((values - levels) / (white - levels), 1, dtype=np.float32)
            return cls(mosaic, seen, black, white, data)

    def planes(self) -> Mosaic:
        """The four pictures of one colour each, ``(4, ceil(h / 2), ceil(w / 2))``, row by row of a cell."""
        height, width = self.mosaic.shape
        whole = np.pad(self.mosaic, ((0, height % 2), (0, width % 2)), mode="reflect")  # mirrored, colours stay right
        return np.stack([whole[i::2, j::2] for i in (0, 1) for j in (0, 1)])

    def developed(self, planes: Mosaic) -> Picture:
        """The picture, of 16 bits, that becomes of other values in place of `planes`.

        Raises:
            InputError: as `of`.
        """
        height, width = self.mosaic.shape
        whole = np.empty((height + height % 2, width + width % 2), np.float32)
        for plane, (i, j) in zip(planes, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
            whole[i::2, j::2] = plane
        counts = np.rint(np.clip(_FLOOR + whole[:height, :width] * (65535 - _FLOOR), 0, 65535)).astype(np.uint16)
        with _opened(self.data, height * width) as raw:
            raw.raw_image_visible[:] = counts
            return _developed(raw, self.data, user_black=_FLOOR, user_cblack=[0, 0, 0, 0], user_sat=65535 - _FLOOR)


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Any]:
    """The file in rawpy; LibRaw's errors become InputErrors with the reason only."""
    rawpy = photo_module("rawpy", "the raw data of a camera", DEVELOP)
    try:
        with silent_stderr():  # LibRaw prints what is wrong
            raw = rawpy.imread(io.BytesIO(data))
    except rawpy.LibRawError as error:
        raise InputError(f"its raw data are damaged, or of a camera that LibRaw does not know; {DEVELOP}") from error
    try:
        check_size(raw.sizes.width, raw.sizes.height, max_pixels)
        yield raw
    except rawpy.LibRawError as error:
        raise InputError(f"its raw data are damaged; an undamaged file is needed ({error})") from error
    finally:
        raw.close()


def _regular(colours: Array, pattern: Array) -> bool:
    """Whether all pixels follow the pattern of the first cell; those of sensors that lie diagonally do not."""
    return all(bool((colours[i::2, j::2] == pattern[i, j]).all()) for i in (0, 1) for j in (0, 1))


def _developed(raw: Any, data: bytes, **levels: Any) -> Picture:
    orientation = _TURNED.get(raw.sizes.flip, 1)  # before it is told not to turn the picture
    # Not LibRaw's guess of where the sensor is full, which the brightest pixel decides, and so the noise.
    with silent_stderr():
        pixels = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            gamma=(2.4, 12.92),
            output_bps=16,
            user_flip=0,
            **levels,
        )
    picture = Picture(np.array(pixels if pixels.shape[2] == 3 else pixels[..., 0]))
    return replace(picture, exif=_exif(raw, data, orientation))


def _exif(raw: Any, data: bytes, orientation: int) -> bytes | None:
    """What the file, or the preview in it, says of the picture, with the orientation that LibRaw found."""
    found = tiff.read_exif(data) if data.startswith((b"II*\0", b"MM\0*")) else _exif_of_preview(raw)
    if found is None:
        return orientation_exif(orientation)
    try:
        block = Image.Exif()
        block.load(upright_exif(found) or b"")
        block[_ORIENTATION] = orientation
        directories = tiff.directories(block)
        for tag, directory in directories.items():
            block[tag] = directory
        return block.tobytes().removeprefix(EXIF_HEAD)
    except (ValueError, KeyError, TypeError, struct.error):
        return orientation_exif(orientation)


def _exif_of_preview(raw: Any) -> bytes | None:
    """The EXIF data of the JPEG that cameras put into their files."""
    try:
        preview = raw.extract_thumb()
        with Image.open(io.BytesIO(preview.data), formats=["JPEG"]) as image:
            exif = image.info.get("exif")
        return exif.removeprefix(EXIF_HEAD) if exif else None
    except Exception:  # no preview, of another kind, or damaged: the picture is worth more
        return None
