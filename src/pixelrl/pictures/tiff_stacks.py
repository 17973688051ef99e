"""TIFF stacks with axes, as of ImageJ and OME. Read and written one picture at a time.

What the file says beside pixels (axes, physical sizes, names of channels) is written again as it was, not understood
and said anew, so that nothing of it is lost. Only what is needed is understood: which plane belongs to which channel.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from pixelrl.errors import InputError
from pixelrl.pictures import tiff
from pixelrl.pictures.display import orientation_exif
from pixelrl.pictures.formats import LEVEL, Picture, channels, check_size, silence
from pixelrl.pictures.stack import Stack, bytes_of

_STRUCTURE = {254, *range(256, 260), 262, 263, 266, 273, 277, 278, 279, 284, 292, 293, 317, 318, 319, *range(320, 326)}
_STRUCTURE |= {330, 338, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532, 32997, 32998}
"""Tags that say how the bytes of a page are laid out."""
_POINTERS = {34665: "EXIF", 34853: "EXIF", 40965: "EXIF", 34412: "LSM", **dict.fromkeys(range(33628, 33632), "STK")}
"""Tags with places in the file they came from, and what is lost with them."""
_DESCRIPTION, _X_RESOLUTION, _Y_RESOLUTION, _UNIT, _ORIENTATION, _ICC = 270, 282, 283, 296, 274, 34675
_KEYWORDS = (_X_RESOLUTION, _Y_RESOLUTION, _UNIT)
_CUT = "pages are damaged or cut off at the end of the file; an undamaged one is needed"
_CLASSIC = 3_900_000_000
"""Bytes that a TIFF file with 32-bit places holds safely."""


@dataclass(frozen=True)
class _Place:
    """Where a picture of a stack is: a page; a part of it, if it holds several; its channel."""

    page: int
    part: int | None
    channel: str


class TiffStack(Stack):
    """The pages of a TIFF file, in their order.

    Args:
        source: the file, or its bytes.
        max_pixels: of a page.

    Raises:
        InputError: a page is too large, or a volume.
    """

    def __init__(self, source: Path | bytes, max_pixels: int) -> None:
        self._source = source
        self._whole: bytes | None = None
        self._file = tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source)
        try:
            self._look(max_pixels)
        except BaseException:
            self.close()
            raise

    def _look(self, max_pixels: int) -> None:
        """Find out what the file holds."""
        # Pages by themselves, with all their tags: as parts of series they have only the first one's.
        self._pages: list[Any] = [page for page in self._file.pages if not (page.is_reduced or page.is_mask)]
        self.described = self._file.is_imagej or self._file.is_ome
        several = len(self._pages) > 1 or self.described or self._pages[0].is_shaped
        if several and not tiff.is_whole(self._file):
            raise InputError(_CUT)
        for page in self._pages:
            check_size(page.imagewidth, page.imagelength, max_pixels)
            if page.imagedepth > 1:
                raise InputError(f"it is a volume of {page.imagedepth} slices; save it with a page for every slice")
        self._places, self.shape = _places(self._source, self._pages)
        if self._file.is_imagej and (self._file.imagej_metadata or {}).get("images", 1) > len(self._places):
            raise InputError(_CUT)
        self.channels = tuple(place.channel for place in self._places)
        self.words = ", ".join(f"{axis} {length}" for axis, length in self.shape.items())
        self.formats = ("tiff",)
        lost = {name for page in self._pages for tag, name in _POINTERS.items() if tag in page.tags}
        lost |= {"smaller copies (a pyramid)"} if any(page.subifds for page in self._pages) else set()
        lost |= {"previews and masks"} if len(self._pages) < len(self._file.pages) else set()
        self.notes = (f"left out of the stack: {', '.join(sorted(lost))}",) if lost else ()
        if self._file.is_ome and "<UUID FileName=" in (self._file.ome_metadata or ""):
            self.notes += ("its OME metadata may name further files, which keep their names there",)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _bytes(self) -> bytes:
        """All of the file, for decoders that do not read pages one by one."""
        if self._whole is None:
            self._whole = bytes_of(self._source)
        return self._whole

    def picture(self, number: int) -> Picture:
        """See `Stack.picture`."""
        place = self._places[number]
        page = self._pages[place.page]
        try:
            with silence():
                picture = self._read(page, place)
        except InputError as error:
            raise InputError(f"page {place.page + 1}: {error}") from error
        except MemoryError:
            raise
        except Exception as error:
            reason = "the data are damaged or truncated; an undamaged file is needed"
            raise InputError(f"page {place.page + 1}: {reason}") from error
        return replace(picture, exif=orientation_exif(page.tags.valueof(_ORIENTATION, 1)))

    def _read(self, page: Any, place: _Place) -> Picture:
        tiff.check_page(page, self._file.filehandle.size)
        if place.part is None:
            return tiff.read_page(page, self._bytes, page.index)
        if not _is_several(page):  # all behind the only page
            count = int(np.prod(page.shape))
            array = np.empty(count, page.dtype.newbyteorder(self._file.byteorder))
            self._file.filehandle.seek(page.dataoffsets[0] + place.part * array.nbytes)
            if self._file.filehandle.readinto(array) < array.nbytes:
                raise InputError("the TIFF data are truncated; an undamaged file is needed")
            array = array.astype(page.dtype).reshape(page.shape)
            array = np.moveaxis(array, 0, -1) if page.planarconfig == 2 and array.ndim == 3 else array
            return tiff.as_picture(page, array[..., None] if array.ndim == 2 else array)
        samples = page.asarray()
        sample = samples[place.part] if page.planarconfig == 2 else samples[..., place.part]
        return tiff.as_picture(page, np.ascontiguousarray(sample)[..., None])

    def write(self, path: Path, kind: str, pictures: Iterator[Picture], quality: int | None) -> tuple[str, ...]:
        """See `Stack.write`."""
        sizes = [int(np.prod(page.shape)) * 4 for page in self._pages]
        many = sum(sizes[place.page] for place in self._places if place.part in (None, 0) or len(sizes) == 1)
        with silence(), tifffile.TiffWriter(path, bigtiff=many > _CLASSIC, byteorder=self._file.byteorder) as writer:
            waiting: list[Picture] = []
            for place, picture in zip(self._places, pictures, strict=True):
                page = self._pages[place.page]
                if place.part is not None and _is_several(page):
                    waiting.append(picture)
                    if len(waiting) == page.samplesperpixel:
                        self._write_samples(writer, page, waiting)
                        waiting = []
                else:
                    self._write(writer, page, picture, first=not place.part)
        return ()

    def _write_samples(self, writer: tifffile.TiffWriter, page: Any, pictures: Sequence[Picture]) -> None:
        array = np.stack([picture.pixels for picture in pictures], 0 if page.planarconfig == 2 else -1)
        layout: dict[str, Any] = {"photometric": "minisblack"}
        layout["planarconfig"] = "separate" if page.planarconfig == 2 else "contig"
        layout["extrasamples"] = [int(kind) for kind in page.extrasamples] or None
        self._page(writer, page, array, layout, first=True)

    def _write(self, writer: tifffile.TiffWriter, page: Any, picture: Picture, *, first: bool) -> None:
        array = channels(picture)
        layout: dict[str, Any] = {"photometric": "rgb" if picture.pixels.ndim == 3 else "minisblack"}
        if array.ndim == 3:
            planar = page.planarconfig == 2
            array = np.moveaxis(array, -1, 0) if planar else array
            layout["planarconfig"] = "separate" if planar else "contig"
        layout["extrasamples"] = None if picture.alpha is None else ["unassalpha"]
        self._page(writer, page, array, layout, first=first)

    def _page(self, writer: tifffile.TiffWriter, page: Any, array: Any, layout: dict[str, Any], *, first: bool) -> None:
        """Write a page: compressed if it was, with the tags that it had; ``first`` of those that became of it."""
        packed = int(page.compression) != 1
        values = [page.tags.valueof(tag) for tag in _KEYWORDS]
        tags = [
            tag
            for tag in page.tags
            if tag.code not in _STRUCTURE and tag.code not in _POINTERS and tag.code not in _KEYWORDS
        ]
        changed = str(array.dtype) != str(page.dtype)
        writer.write(
            array.astype(array.dtype.newbyteorder(self._file.byteorder)),
            **layout,
            subfiletype=int(page.subfiletype) or None,
            compression="zlib" if packed else None,
            compressionargs={"level": LEVEL} if packed else None,
            predictor=packed and array.dtype.kind == "u",
            resolution=(values[0], values[1]) if values[0] and values[1] else None,
            resolutionunit=values[2] if values[0] and values[1] else None,
            extratags=[self._tag(tag, changed=changed, dtype=str(array.dtype)) for tag in tags] if first else (),
            metadata=None,
            software=False,
        )

    def _tag(self, tag: Any, *, changed: bool, dtype: str) -> tuple[int, int, int, bytes, bool]:
        """A tag as it is in the file: number, kind, count, bytes, and that it is of this page only."""
        handle = self._file.filehandle
        handle.seek(tag.valueoffset)
        data = handle.read(tag.valuebytecount)
        if tag.code != _DESCRIPTION:
            return tag.code, int(tag.dtype), tag.count, data, True
        data = _description(data.rstrip(b"\0"), dtype if changed else None) + b"\0"
        return tag.code, int(tag.dtype), len(data), data, True


def _description(text: bytes, dtype: str | None) -> bytes:
    """What a page says of itself, where its pixels became those of another dtype (None for the same one)."""
    if text.startswith(b"{"):  # tifffile's own: all planes get pages now
        text = re.sub(rb',?\s*"truncated":\s*true', b"", text)
    if dtype is None:
        return text
    kind = {"float32": b"float"}.get(dtype, dtype.encode())
    text = re.sub(rb'(<(?:\w+:)?Pixels\b[^>]*?\bType=")[^"]*', rb"\g<1>" + kind, text)
    text = re.sub(rb'(<(?:\w+:)?Pixels\b[^>]*?)\s+SignificantBits="\d+"', rb"\g<1>", text)
    return re.sub(rb"\n(?:min|max)=[^\n]*", b"", text) if text.startswith(b"ImageJ=") else text


def _places(source: Path | bytes, pages: Sequence[Any]) -> tuple[list[_Place], dict[str, int]]:
    """Where the pictures of a file are, in the order of its pages, and the length of each axis."""
    numbers = {page.index: number for number, page in enumerate(pages)}
    channels: dict[tuple[int, int | None], str] = {}
    with tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
        names, series = _names(file), list(file.series)
        shape: dict[str, int] = {}
        for one in series:
            own = len(one.keyframe.shape)
            outer, axes = one.shape[:-own], one.axes[:-own]
            planes, inner = int(np.prod(outer)), one.axes[-own:]
            if "C" in inner and one.keyframe.samplesperpixel > 1 and not shape:
                shape["C"] = one.shape[one.axes.index("C")]
            for axis, length in zip(axes, outer, strict=True):
                if one is series[0]:
                    shape[_letter(axis, shape)] = length
            for k in range(planes):
                c = int(np.unravel_index(k, outer)[axes.index("C")]) if "C" in axes else 0
                name = names[c] if c < len(names) else f"channel {c + 1}" if "C" in axes else ""
                if len(one.pages) < planes:
                    channels[numbers[one.keyframe.index], k] = name
                elif (page := one.pages[k]) is not None and page.parent is file and page.index in numbers:
                    channels[numbers[page.index], None] = name
    places: list[_Place] = []
    for number, page in enumerate(pages):
        parts = sorted(part for at, part in channels if at == number and part is not None)
        kind = "RGB" if int(page.photometric) == 2 else "grey" if len({int(p.photometric) for p in pages}) > 1 else ""
        if parts:
            places += [_Place(number, part, channels[number, part]) for part in parts]
        elif _is_several(page):
            known = [names[i] if i < len(names) else f"channel {i + 1}" for i in range(page.samplesperpixel)]
            places += [_Place(number, i, name) for i, name in enumerate(known)]
        else:
            places.append(_Place(number, None, channels.get((number, None), "") or kind))
    if len(series) > 1:
        shape = {"page": len(places)}
    elif _is_several(pages[0]):
        shape.setdefault("C", pages[0].samplesperpixel)
    return places, shape


def _is_several(page: Any) -> bool:
    """Whether its samples are neither colours nor grey with alpha, but channels of their own."""
    kinds = [int(kind) for kind in page.extrasamples]
    alpha = page.samplesperpixel == 2 and kinds in ([1], [2])
    return page.samplesperpixel > 1 and int(page.photometric) in (0, 1) and not alpha


def _letter(axis: str, shape: dict[str, int]) -> str:
    """What a person is told of an axis: its letter, or that nobody says what it is."""
    name = axis if axis in "TZCRP" else "page"
    while name in shape:
        name += "'"
    return name


def _names(file: tifffile.TiffFile) -> list[str]:
    """The names of the channels, as OME says them; none where it does not."""
    text = file.ome_metadata if file.is_ome else None
    first = re.search(r"<(?:\w+:)?Pixels\b.*?</(?:\w+:)?Pixels>", text or "", re.DOTALL)
    if first is None:
        return []
    found = re.findall(r"<(?:\w+:)?Channel\b([^>]*)>", first[0])
    named = [re.search(r'\bName="([^"]*)"', attributes) for attributes in found]
    return [html.unescape(name[1]) if name else f"channel {i}" for i, name in enumerate(named, 1)]
