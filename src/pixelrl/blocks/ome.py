"""Huge pictures in Zarr: OME-Zarr 0.4 and 0.5 and plain arrays are read, OME-Zarr 0.5 is written.

What is written has one shard for each block, so that no two jobs ever write into one file, and levels of half the size
that are made from the level below and never by a policy. (https://ngff.openmicroscopy.org/0.5)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixelrl.blocks.cut import Box, Span, cores
from pixelrl.blocks.held import Held, in_micrometers
from pixelrl.blocks.plan import Plan
from pixelrl.errors import InputError, UsageError

if TYPE_CHECKING:
    import zarr

CHUNK = 256
"""Side in pixels of what is compressed together."""
SMALLEST = 512
"""Levels are made until one has no side that is longer."""


def open_source(path: Path) -> Held:
    """Look into a Zarr folder.

    Raises:
        UsageError: zarr is not installed.
        InputError: there is no picture in it.
    """
    zarr = library()
    try:
        node = zarr.open(path, mode="r")
    except Exception as error:  # zarr raises a dozen kinds on what is no Zarr
        raise InputError(f"{path} is no picture in Zarr: {error}") from error
    if isinstance(node, zarr.Array):
        return Held(node, None)
    attributes = node.attrs.asdict()
    images = attributes.get("ome", attributes).get("multiscales")
    try:
        image = images[0]
        finest = image["datasets"][0]
        axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image["axes"]]
        array = node[finest["path"]]
        scales = [one["scale"] for one in finest.get("coordinateTransformations", ()) if one.get("type") == "scale"]
        letters = "".join(str(axis["name"]) for axis in axes)
        return Held(array, letters, axes, [float(s) for s in scales[0]] if scales else None, image.get("name"))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no OME-Zarr picture: it names no levels; give the folder of one array") from error


def create_target(path: Path, plan: Plan, held: Held) -> None:
    """Make the folder that blocks are written into, with all its levels still empty.

    Raises:
        UsageError: zarr is not installed.
    """
    zarr = library()
    layout, group = plan.layout, zarr.open_group(path, mode="a", zarr_format=3)
    axes = held.units or in_micrometers(layout.axes, None, None)[0]
    scale, levels = held.scale or [1.0] * len(layout.axes), _shapes(layout.shape, layout.axes)
    for level, shape in enumerate(levels):
        shard = [
            plan.side if axis in "yx" else length if axis in layout.plane_axes else 1
            for axis, length in zip(layout.axes, shape, strict=True)
        ]
        chunk = [min(CHUNK, side) if axis in "yx" else side for axis, side in zip(layout.axes, shard, strict=True)]
        group.create_array(str(level), shape=shape, dtype=layout.dtype, chunks=chunk, shards=shard)
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": _scaled(scale, layout.shape, shape)}],
        }
        for level, shape in enumerate(levels)
    ]
    image: dict[str, Any] = {"axes": axes, "datasets": datasets, "name": held.name or path.stem}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}


def open_target(path: Path, level: int = 0) -> zarr.Array[Any]:
    """An array of what `create_target` made, to write to."""
    array: zarr.Array[Any] = library().open_group(path, mode="r+")[str(level)]
    return array


def open_levels(path: Path) -> list[zarr.Array[Any]]:
    """All arrays of what `create_target` made, to read, the finest first."""
    group = library().open_group(path, mode="r")
    return [group[str(level)] for level in range(len(group.attrs["ome"]["multiscales"][0]["datasets"]))]


def make_levels(path: Path, plan: Plan) -> None:
    """Fill all levels but the finest: each value is the mean of up to 2x2 of the level below."""
    layout = plan.layout
    for level in range(1, len(_shapes(layout.shape, layout.axes))):
        fine, coarse = open_target(path, level - 1), open_target(path, level)
        y, x = layout.axes.index("y"), layout.axes.index("x")
        for box in cores(coarse.shape[y], coarse.shape[x], plan.side):
            below = Box(*(Span(2 * span.start, 2 * span.stop) for span in box))
            for place in layout.places:
                layout.write(coarse, place, box, _halved(layout.read(fine, place, below)))


def _halved(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The mean of every two rows and columns; the last one alone where their number is odd."""
    mean = values.astype(np.float64)
    for axis in (0, 1):
        if mean.shape[axis] % 2:
            mean = np.concatenate([mean, mean.take([-1], axis)], axis)
        pairs = (*mean.shape[:axis], mean.shape[axis] // 2, 2, *mean.shape[axis + 1 :])
        mean = mean.reshape(pairs).mean(axis + 1)
    return (np.rint(mean) if np.issubdtype(values.dtype, np.integer) else mean).astype(values.dtype)


def _shapes(shape: list[int], axes: str) -> list[tuple[int, ...]]:
    shapes = [tuple(shape)]
    while max(shapes[-1][axes.index("y")], shapes[-1][axes.index("x")]) > SMALLEST:
        shapes.append(tuple(-(-n // 2) if axis in "yx" else n for n, axis in zip(shapes[-1], axes, strict=True)))
    return shapes


def _scaled(scale: list[float], finest: list[int], shape: tuple[int, ...]) -> list[float]:
    return [one * whole / part for one, whole, part in zip(scale, finest, shape, strict=True)]


def library() -> Any:
    """The module ``zarr``.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise UsageError('pictures that are worked on block by block need zarr: pip install "pixelrl[zarr]"') from error
    return zarr
