"""Huge pictures in TIFF: read piece by piece, and written in one pass from blocks that are done, as a tiled BigTIFF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import tifffile

from pixelrl.blocks.cut import Box, Span
from pixelrl.blocks.held import Held, in_micrometers
from pixelrl.blocks.ome import library, open_levels
from pixelrl.blocks.plan import Layout, Plan
from pixelrl.errors import InputError

TILE = 256
"""Side in pixels of the tiles of what is written."""
_PIECE = 2**26
"""Pixels that may be compressed together: more would have to be unpacked anew for every block."""
_LETTERS = {"S": "c", "I": "t", "Q": "z"}
_GREY, _RGB, _YCBCR = 1, 2, 6
_ICC, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 34675, 282, 283, 296
_MICROMETERS = {2: 25400.0, 3: 10000.0}
"""In the units of a TIFF's resolution, by their numbers: an inch, a centimetre."""


def open_tiff(path: Path) -> Held:
    """Look into a TIFF: its first series, at its finest level.

    Raises:
        UsageError: zarr is not installed.
        InputError: it cannot be read in pieces, or is no picture of grey or RGB values.
    """
    library()
    try:
        file = tifffile.TiffFile(path)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise InputError(f"{path} cannot be read as a TIFF: {error}") from error
    try:
        return _held(path, file)
    except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
        file.close()
        raise InputError(f"{path} cannot be read in pieces: {error}") from error
    except InputError:
        file.close()
        raise


def _held(path: Path, file: tifffile.TiffFile) -> Held:
    series, page = file.series[0].levels[0], file.series[0].keyframe
    if page.photometric not in (_GREY, _RGB, _YCBCR):
        kind = getattr(page.photometric, "name", page.photometric)
        raise InputError(f"{path} holds {kind} values; save it in grey or RGB")
    if page.extrasamples:
        raise InputError(f"{path} has alpha or other channels beside its colours; save it without them")
    axes = "".join(_LETTERS.get(letter, letter.lower()) for letter in series.axes)
    array: Any
    if series.dataoffset is not None:
        array = np.memmap(path, series.dtype, "r", series.dataoffset, series.shape)
    else:
        array = library().open(file.aszarr(series=0, level=0), mode="r")
        piece = int(np.prod([n for n, axis in zip(array.chunks, axes, strict=True) if axis in "yx"]))
        if piece > _PIECE:
            raise InputError(
                f"{path} is compressed in pieces of {piece / 1e6:.3g} megapixels, which cannot be read in parts; save "
                "it in tiles"
            )
        array[(slice(0, 1),) * array.ndim]  # so that what cannot be unpacked is told now
    units, scale = in_micrometers(axes, *_pixel(file, page))
    icc = page.tags.valueof(_ICC)
    return Held(array, axes, units, scale, None, None if icc is None else bytes(icc), file.close)


def _pixel(file: tifffile.TiffFile, page: Any) -> tuple[float | None, float | None]:
    """Width and height of a pixel in micrometers, where the file says so."""
    if file.ome_metadata:
        with suppress(KeyError, TypeError, ValueError):
            images = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
            pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
            units = {pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "XY"}
            if units == {"µm"}:
                return float(pixels["PhysicalSizeX"]), float(pixels["PhysicalSizeY"])
    length = _MICROMETERS.get(page.tags.valueof(_RESOLUTION_UNIT, 0))
    ratios = [page.tags.valueof(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
    if length is None or not all(isinstance(ratio, tuple) and all(ratio) for ratio in ratios):
        return None, None
    return length * ratios[0][1] / ratios[0][0], length * ratios[1][1] / ratios[1][0]


def write_tiff(path: Path, plan: Plan, begun: Path, held: Held, ome: bool) -> None:
    """Write what blocks have made as a tiled BigTIFF, with its levels beside each plane (as SubIFDs).

    Values are deflated. No more than a row of tiles is held.

    Args:
        path: to write to.
        plan: of the blocks.
        begun: the Zarr folder with all levels.
        held: where the picture came from.
        ome: whether what the axes mean is said as OME-TIFF has it.
    """
    layout = plan.layout
    others = [axis for axis in layout.axes if axis not in layout.plane_axes]
    colours, levels = layout.together, open_levels(begun)
    ome = ome and set(others) <= set("tcz")
    letters = "".join(others).upper() + ("YXS" if colours else "YX")
    metadata: dict[str, Any] = {"axes": letters}
    resolution: dict[str, Any] = {}
    if held.scale is not None:
        size = {
            axis: float(one)
            for axis, one, unit in zip(layout.axes, held.scale, held.units, strict=True)
            if axis in "yx" and unit.get("unit") == "micrometer"
        }
        if set(size) == {"y", "x"}:
            resolution = {"resolution": (1e4 / size["x"], 1e4 / size["y"]), "resolutionunit": "CENTIMETER"}
            if ome:
                metadata |= {"PhysicalSizeX": size["x"], "PhysicalSizeXUnit": "µm"}
                metadata |= {"PhysicalSizeY": size["y"], "PhysicalSizeYUnit": "µm"}
    dtype = np.dtype(layout.dtype)
    options: dict[str, Any] = {
        "dtype": dtype,
        "tile": (TILE, TILE),
        "photometric": "rgb" if colours else "minisblack",
        "planarconfig": "contig" if colours else None,
        "compression": "zlib",
        "predictor": dtype.kind == "u",
    }
    with tifffile.TiffWriter(path, bigtiff=True, ome=ome) as writer:
        for level, array in enumerate(levels):
            own = msgspec.structs.replace(layout, shape=list(array.shape))
            shape = [own.length(axis) for axis in others] + [own.length("y"), own.length("x")] + [3] * colours
            if level:
                further: dict[str, Any] = {"subfiletype": 1, "metadata": None}
            else:
                further = {
                    "subifds": len(levels) - 1,
                    "metadata": metadata,
                    "iccprofile": held.icc_profile,
                } | resolution
                further |= {"software": "PixelRL"}
            writer.write(_tiles(array, own), shape=tuple(shape), **options, **further)


def _tiles(array: Any, layout: Layout) -> Iterator[npt.NDArray[Any]]:
    """All tiles of all planes, filled up at the right and below."""
    height, width = layout.length("y"), layout.length("x")
    for place in layout.places:
        for y in range(0, height, TILE):
            rows = layout.read(array, place, Box(Span(y, min(height, y + TILE)), Span(0, width)))
            for x in range(0, width, TILE):
                tile = rows[:, x : x + TILE]
                fill = [(0, TILE - tile.shape[0]), (0, TILE - tile.shape[1]), *[(0, 0)] * (tile.ndim - 2)]
                yield np.pad(tile, fill, mode="edge")
