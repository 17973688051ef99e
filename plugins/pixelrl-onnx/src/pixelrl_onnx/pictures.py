"""Picture files, by Pillow, and by OpenCV, if it is there, for colours of 16 bits, which Pillow does not hold.

Bit depth, alpha, the colour profile and EXIF data come through. Other metadata are left out; pixelrl itself keeps them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from pixelrl_onnx.arrays import Array
from pixelrl_onnx.errors import InputError, UsageError
from pixelrl_onnx.filters import cv2
from pixelrl_onnx.trace import written_whole

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}


@dataclass(frozen=True)
class Picture:
    """What a file holds.

    Attributes:
        pixels: ``(h, w)`` or RGB ``(h, w, 3)``, of uint8, uint16 or float32.
        alpha: ``(h, w)`` in the same dtype, or None.
        icc_profile: its colour profile, or None.
        exif: its EXIF data as bytes, or None.
    """

    pixels: Array
    alpha: Array | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None

    @property
    def orientation(self) -> int:
        """How the stored pixels are to be turned for display, as EXIF numbers it (1 to 8)."""
        exif = Image.Exif()
        exif.load(self.exif or b"")
        turn = exif.get(0x0112, 1)
        return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def orientation_exif(orientation: int) -> bytes | None:
    """EXIF data that say nothing but how the pixels are to be turned; None where they stand upright."""
    if orientation == 1:
        return None
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def read_picture(path: Path) -> Picture:
    """The one picture of a file.

    Raises:
        InputError: none that can be read, or several of them.
    """
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise InputError("it holds several pictures; pixelrl itself works on stacks")
            exif, profile = image.getexif().tobytes() or None, image.info.get("icc_profile")
            deep = _deep(data, image)
            if deep is not None:
                return Picture(*deep, profile, exif)
            mode = image.mode
            if mode == "1":
                mode = "L"
            elif mode not in ("L", "LA", "RGB", "RGBA", "F", "I;16", "I;16B"):
                mode = "RGBA" if "transparency" in image.info or mode in ("PA", "RGBa") else "RGB"
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise InputError(f"{path} cannot be read as a picture ({error})") from error
    pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    if mode in ("LA", "RGBA"):
        colours = pixels[..., 0] if mode == "LA" else pixels[..., :3]
        return Picture(np.ascontiguousarray(colours), np.ascontiguousarray(pixels[..., -1]), profile, exif)
    return Picture(pixels, None, profile, exif)


def _deep(data: bytes, image: Image.Image) -> tuple[Array, Array | None] | None:
    """Pixels and alpha of PNG and TIFF files with several channels of more than 8 bits; None for others.

    Raises:
        InputError: OpenCV is not installed, or cannot read them either.
    """
    if image.format == "PNG":
        deep = data[24] == 16 and data[25] in (2, 4, 6)  # the header says the bits and the kind of colour
    else:
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        deep = image.format == "TIFF" and len(bits) > 1 and max(bits) > 8
    if not deep:
        return None
    if cv2 is None:
        raise InputError(f"more than 8 bits in several channels {_TAKES_OPENCV}")
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3 or values.dtype.name not in ("uint16", "float32"):
        raise InputError("its bits and channels are not read here")
    alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    return np.ascontiguousarray(values[..., 2::-1]), alpha


_TAKES_OPENCV = 'take OpenCV: pip install "pixelrl-onnx[opencv]"'


def check_writable(path: Path, picture: Picture, *, overwrite: bool) -> None:
    """Refuse a place or a format that cannot hold the picture.

    Raises:
        UsageError: the way out is named.
    """
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: the ending is not known; {', '.join(_FORMATS)} can be written")
    depth = picture.pixels.dtype.name
    deep_enough = depth == "uint8" or kind == "TIFF" or (kind == "PNG" and depth == "uint16")
    if not deep_enough or (kind == "JPEG" and picture.alpha is not None):
        raise UsageError(f"{path}: {kind} cannot hold this picture ({depth}, perhaps with alpha); give a .tif")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}; an existing one is needed")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; give --overwrite to replace it, or another name")


def write_picture(path: Path, picture: Picture, *, overwrite: bool = False) -> None:
    """Write a picture in the format of the ending: all of it, or nothing.

    Raises:
        UsageError: as `check_writable`, or the disk refuses.
    """
    check_writable(path, picture, overwrite=overwrite)
    kind, pixels = _FORMATS[path.suffix.lower()], picture.pixels
    if picture.alpha is not None:
        pixels = np.dstack([pixels, picture.alpha])
    try:
        with written_whole(path) as temporary:
            if pixels.ndim == 3 and pixels.dtype != np.uint8:
                temporary.write_bytes(_encoded_deep(pixels, kind))
                return
            settings: dict[str, object] = {"quality": 95} if kind == "JPEG" else {}
            settings |= {"lossless": True} if kind == "WEBP" else {}
            settings |= {"compression": "tiff_adobe_deflate"} if kind == "TIFF" else {}
            more = {"icc_profile": picture.icc_profile, "exif": picture.exif}
            settings |= {name: value for name, value in more.items() if value is not None}
            if kind == "TIFF" and picture.exif is not None:  # TIFF has the orientation among its own tags
                tags = TiffImagePlugin.ImageFileDirectory_v2()
                tags[0x0112] = picture.orientation
                settings["tiffinfo"] = tags
                del settings["exif"]
            with temporary.open("xb") as file:
                Image.fromarray(pixels).save(file, kind, **settings)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error})") from error


def _encoded_deep(pixels: Array, kind: str) -> bytes:
    if cv2 is None:
        raise OSError(f"more than 8 bits in several channels {_TAKES_OPENCV}")
    order = [2, 1, 0, 3][: pixels.shape[2]] if pixels.shape[2] > 2 else [0, 0, 0, 1]  # grey with alpha becomes BGRA
    done, data = cv2.imencode(f".{kind.lower()}", np.ascontiguousarray(pixels[..., order]))
    if not done:
        raise OSError(f"OpenCV cannot write it as {kind}")
    return bytes(data)
