"""From stored pixels to what a person sees: turned by the orientation tag, in sRGB by the colour profile."""

from __future__ import annotations

import functools
import io
import struct
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageCms

if TYPE_CHECKING:
    from torch import Tensor

_ORIENTATION = 274
_INTEGERS = {3: "H", 4: "I"}
"""Kinds of whole numbers in EXIF, as `struct` calls them."""
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
"""By EXIF orientation, from stored to upright: rows become columns; then rows and columns are reversed."""

Planes = TypeVar("Planes", bound="npt.NDArray[Any] | Tensor")
Box = tuple[int, int, int, int]


def orientation_of(exif: bytes | None) -> int:
    """The orientation in an EXIF block that starts at its TIFF header, 1 to 8; 1 where it says none or is damaged."""
    found = _orientation_entry(exif)
    value = struct.unpack_from(found[0], exif or b"", found[1])[0] if found else 1
    return int(value) if value in _TURNS else 1


def _orientation_entry(exif: bytes | None) -> tuple[str, int] | None:
    """Where the orientation stands in an EXIF block: how `struct` calls such numbers, and at which byte."""
    if not exif:
        return None
    order = {b"II": "<", b"MM": ">"}.get(exif[:2], "<")
    try:  # by hand: Pillow warns of what is damaged elsewhere in the block
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for place in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, place)
            if tag == _ORIENTATION and kind in _INTEGERS:
                struct.unpack_from(order + _INTEGERS[kind], exif, place + 8)
                return order + _INTEGERS[kind], place + 8
    except struct.error:  # a damaged block says nothing
        return None
    return None


def upright_exif(exif: bytes | None) -> bytes | None:
    """An EXIF block with the orientation 1, of a picture that its decoder has turned already."""
    found = _orientation_entry(exif)
    if exif is None or found is None:
        return exif
    kind, at = found
    number = struct.pack(kind, 1)
    return exif[:at] + number + exif[at + len(number) :]


def orientation_of_pillow(image: PillowImage.Image) -> int:
    """The orientation that a Pillow image knows of, as `orientation_of`."""
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def orientation_exif(orientation: int) -> bytes | None:
    """An EXIF block that says nothing but the orientation; None for 1, which needs no words."""
    if orientation == 1:
        return None
    block = PillowImage.Exif()
    block[_ORIENTATION] = orientation
    return block.tobytes().removeprefix(b"Exif\0\0")


def turns(orientation: int) -> tuple[bool, bool, bool]:
    """How stored pixels become upright: rows become columns; then rows are reversed; then columns are."""
    return _TURNS[orientation]


def upright(planes: Planes, orientation: int, axes: tuple[int, int] = (-2, -1)) -> Planes:
    """Stored planes as they are seen; for the orientations 5 to 8 height and width change places.

    Args:
        planes: an array or a tensor, such as ``(..., h, w)``.
        orientation: as EXIF numbers it, 1 to 8.
        axes: which are height and width.
    """
    swap, *reverse = turns(orientation)
    flipped = tuple(axis for axis, on in zip(axes, reverse, strict=True) if on)
    turned: Any = planes.swapaxes(*axes) if swap else planes
    # Arrays are copied: PyTorch takes none whose axes run backwards.
    turned = np.flip(turned, flipped).copy() if isinstance(planes, np.ndarray) else turned.flip(flipped)
    result: Planes = turned
    return result


def as_stored(planes: Planes, orientation: int, axes: tuple[int, int] = (-2, -1)) -> Planes:
    """The inverse of `upright`."""
    return upright(planes, {6: 8, 8: 6}.get(orientation, orientation), axes)


def turned_box(box: Box, orientation: int, size: tuple[int, ...], *, back: bool = False) -> Box:
    """A box of stored pixels as it lies in the upright picture.

    Args:
        box: ``(x0, y0, x1, y1)``, x1 and y1 exclusive.
        orientation: as EXIF numbers it, 1 to 8.
        size: height and width of the picture in which ``box`` lies.
        back: from the upright picture to stored pixels instead.
    """
    x0, y0, x1, y1 = box
    height, width = size
    swap, rows, columns = turns({6: 8, 8: 6}.get(orientation, orientation) if back else orientation)
    if swap:
        (x0, x1), (y0, y1), height, width = (y0, y1), (x0, x1), width, height
    if rows:
        y0, y1 = height - y1, height - y0
    if columns:
        x0, x1 = width - x1, width - x0
    return x0, y0, x1, y1


def in_srgb(picture: PillowImage.Image, profile: bytes | None) -> PillowImage.Image:
    """An 8-bit picture of mode L or RGB as sRGB shows it, by its ICC profile.

    It comes back as it is where there is no profile, or one that is damaged, is for other pixels, or is that of sRGB.
    """
    transform = None if profile is None else _to_srgb(profile, picture.mode)
    if transform is None:
        return picture
    converted = ImageCms.applyTransform(picture, transform)
    assert converted is not None  # only where it works in place
    return converted


def as_seen(pixels: npt.NDArray[np.uint8], profile: bytes | None) -> npt.NDArray[np.uint8]:
    """``(h, w)`` or ``(h, w, c)`` of 8 bits, c 1 or 3, as `in_srgb`; grey of another profile becomes ``(h, w, 3)``."""
    plane = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if not has_other_colours(profile, "L" if plane.ndim == 2 else "RGB"):
        return pixels
    return np.array(in_srgb(PillowImage.fromarray(np.ascontiguousarray(plane)), profile))


def has_other_colours(profile: bytes | None, mode: str) -> bool:
    """Whether `in_srgb` changes pictures of this mode."""
    return profile is not None and _to_srgb(profile, mode) is not None


@functools.lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        levels = np.arange(0, 256, 17, dtype=np.uint8)
        grid = levels[:, None] if mode == "L" else np.stack(np.meshgrid(levels, levels, levels), -1).reshape(16, -1, 3)
        probe = PillowImage.fromarray(grid)
        after = ImageCms.applyTransform(probe, transform)
        assert after is not None
        moved = np.asarray(after).astype(int) - np.asarray(probe.convert("RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return transform if np.abs(moved).max() > 2 else None  # 2 is the rounding of the profiles of sRGB in use
