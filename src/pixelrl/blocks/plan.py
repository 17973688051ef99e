"""What every block of a huge picture must know: told once, by samples, and kept as JSON.

Whoever has the plan and the picture can do any block, at any time and on any machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
from torch import Tensor

from pixelrl.blocks.cut import GRID, Box, Span, cores
from pixelrl.errors import InputError, UsageError
from pixelrl.pictures.scale import FULL, Scale, scale_of
from pixelrl.pictures.values import plain
from pixelrl.precision import Precision
from pixelrl.validation import brief, listed

SIDE = 4096
"""Side in pixels of the blocks. The larger, the less is computed twice, in what blocks need around them."""
SAMPLE, SAMPLES = 256, 64
"""Side in pixels of the places at which noise and units are told, and how many there are in each channel."""


class Values(Protocol):
    """What a huge picture is held in: an array of numpy (a memory map), zarr, h5py, dask and the like."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""

    @property
    def dtype(self) -> Any:
        """As numpy names it."""

    def __getitem__(self, index: Any) -> Any:
        """Values of integers and slices, as numpy takes them."""


class Target(Values, Protocol):
    """What a result is written to."""

    def __setitem__(self, index: Any, values: Any) -> None:
        """Of integers and slices."""


class Once:
    """A huge picture of which every part that is looked at stays in the memory: to be looked at again, not read again.

    Args:
        array: the picture.
    """

    def __init__(self, array: Values) -> None:
        self.shape, self.dtype = tuple(array.shape), array.dtype
        self._array, self._parts = array, dict[str, npt.NDArray[Any]]()

    def __getitem__(self, index: Any) -> Any:
        """As the picture."""
        key = repr(index)  # slices cannot be keys themselves
        if key not in self._parts:
            self._parts[key] = plain(self._array[index])
        return self._parts[key]


class Told(msgspec.Struct, frozen=True):
    """What is told of a channel, or of all together.

    Attributes:
        values: the numbers, by name (`pixelrl.result.Result.condition`).
        planes: the same as the policy sees them, alike for all pixels.
        space: of the values in which the agents work.
        black: the value that becomes 0.
        white: the value that becomes 1.
        idle: whether nothing is to be done, so that the picture is copied.
        remark: what there is to say, or None.
    """

    values: dict[str, float]
    planes: list[float]
    space: str
    black: float
    white: float
    idle: bool
    remark: str | None

    @property
    def scale(self) -> Scale:
        """Black and white."""
        return Scale(self.black, self.white)


class Layout(msgspec.Struct, frozen=True):
    """A picture's shape, and which axis is which.

    Attributes:
        shape: of the array.
        dtype: its name.
        axes: a letter for each axis: y, x, perhaps c for channels, any others for depth, time and the like.
        together: whether channels are the colours of one picture; else each is a grey one of its own.
    """

    shape: list[int]
    dtype: str
    axes: str
    together: bool

    @classmethod
    def of(cls, array: Values, axes: str | None, together: bool) -> Layout:
        """That of an array.

        Raises:
            InputError: it holds no pictures.
            UsageError: axes that do not fit.
        """
        if not hasattr(array, "shape") or isinstance(array, Tensor):
            raise InputError(f"{type(array).__name__} is no array here; give one of numpy or zarr")
        shape, dtype = [int(length) for length in array.shape], np.dtype(array.dtype).name
        if dtype not in FULL:
            raise InputError(f"an array of {dtype} is not an image here; convert it to {', '.join(FULL)}")
        if 0 in shape:
            raise InputError(f"an array of shape {tuple(shape)} has no pixels")
        if axes is None:
            if len(shape) == 3 and min(shape[0], shape[2]) > 4:
                raise UsageError(f"nobody can tell the axes of shape {tuple(shape)}; give them, such as axes='zyx'")
            known = {2: "yx", 3: "yxc" if shape and shape[-1] <= 4 else "cyx"}
            if len(shape) not in known:
                raise UsageError(f"nobody can tell the axes of shape {tuple(shape)}; give them, such as axes='tczyx'")
            axes = known[len(shape)]
        letters = tuple(axes) if isinstance(axes, str) else listed(axes) or ()
        single = all(isinstance(letter, str) and len(letter) == 1 for letter in letters)
        if not single or not len(set(letters)) == len(shape) == len(letters) or not {"y", "x"} <= set(letters):
            given = f"axes = {brief(axes)} do not fit the shape {tuple(shape)}"
            raise UsageError(f"{given}; give a letter for each axis, y and x among them")
        return cls(shape, dtype, "".join(letters), together and "c" in letters and shape[letters.index("c")] == 3)

    def length(self, axis: str) -> int:
        """Of an axis; 1 if there is none of this letter."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    @property
    def plane_axes(self) -> str:
        """Those of what is worked on at a time."""
        return "yxc" if self.together else "yx"

    @property
    def places(self) -> list[dict[str, int]]:
        """For each picture, the index along every axis that is not its own."""
        others = [axis for axis in self.axes if axis not in self.plane_axes]
        return [
            dict(zip(others, numbers, strict=True))
            for numbers in itertools.product(*(range(self.length(axis)) for axis in others))
        ]

    def channel(self, place: dict[str, int]) -> int:
        """Which channel a picture belongs to; 0 where there is one, or all are together."""
        return place.get("c", 0)

    @property
    def channels(self) -> int:
        """How many there are of which something is told."""
        return 1 if self.together else self.length("c")

    def index(self, place: dict[str, int], box: Box) -> tuple[int | slice, ...]:
        """Where in the array a part of a picture is."""
        own = {"y": slice(*box.rows), "x": slice(*box.columns), "c": slice(None)}
        return tuple(place[axis] if axis in place else own[axis] for axis in self.axes)

    def read(self, array: Values, place: dict[str, int], box: Box) -> npt.NDArray[Any]:
        """A part of a picture, ``(h, w)`` or ``(h, w, 3)``."""
        values: npt.NDArray[Any] = plain(array[self.index(place, box)])
        if not self.together:
            return values if self._upright else values.T
        return np.transpose(values, [self._own.index(axis) for axis in "yxc"])

    def write(self, array: Target, place: dict[str, int], box: Box, values: npt.NDArray[Any]) -> None:
        """The inverse of `read`."""
        if self.together:
            values = np.transpose(values, ["yxc".index(axis) for axis in self._own])
        elif not self._upright:
            values = values.T
        array[self.index(place, box)] = values

    @property
    def _own(self) -> str:
        return "".join(axis for axis in self.axes if axis in self.plane_axes)

    @property
    def _upright(self) -> bool:
        return self.axes.index("y") < self.axes.index("x")


class Block(msgspec.Struct, frozen=True):
    """One job: a part of one picture.

    Attributes:
        number: of the job, from 0.
        place: the index along each axis that is not the picture's own.
        box: rows and columns, two numbers each.
    """

    number: int
    place: dict[str, int]
    box: tuple[int, int, int, int]

    @property
    def core(self) -> Box:
        """What it writes."""
        y0, y1, x0, x1 = self.box
        return Box(Span(y0, y1), Span(x0, x1))


class Plan(msgspec.Struct, frozen=True):
    """All that is told before the first block, so that every block is done alike.

    Attributes:
        policy: its name.
        layout: of the picture.
        steps: T.
        legibility: what the policy is told, or None.
        side: of the blocks in pixels, a multiple of `GRID`.
        halo: how many pixels around a block are looked at.
        exact: whether these are enough for the very bits of the whole picture.
        tile: side of what the network sees at a time.
        precision: in which numbers the encoder computes, ``fp32`` or ``bf16``.
        told: for each channel.
    """

    policy: str
    layout: Layout
    steps: int
    legibility: float | None
    side: int
    halo: int
    exact: bool
    tile: int
    precision: Precision
    told: list[Told]

    @property
    def blocks(self) -> list[Block]:
        """All jobs, in order."""
        boxes = cores(self.layout.length("y"), self.layout.length("x"), self.side)
        pairs = itertools.product(self.layout.places, boxes)
        return [Block(n, place, (*box.rows, *box.columns)) for n, (place, box) in enumerate(pairs)]

    def window(self, block: Block) -> Box:
        """What a block reads."""
        return block.core.grown(self.halo, Box.of(self.layout.length("y"), self.layout.length("x")))


def check_side(side: object) -> int:
    """The side of blocks that somebody gives.

    Raises:
        UsageError: it is no multiple of `GRID`.
    """
    if isinstance(side, int) and not isinstance(side, bool) and side >= GRID and side % GRID == 0:
        return side
    raise UsageError(f"a side of blocks of {brief(side)} cannot be; give a multiple of {GRID} pixels, such as {SIDE}")


def samples(array: Values, layout: Layout, channel: int) -> list[npt.NDArray[Any]]:
    """Parts of a channel's pictures that are spread evenly; the whole of a small one.

    Of one size each, ``(h, w)`` or ``(h, w, 3)``.
    """
    places = [place for place in layout.places if layout.channel(place) == channel]
    height, width = layout.length("y"), layout.length("x")
    if len(places) * height * width <= SAMPLES * SAMPLE**2:
        return [layout.read(array, place, Box.of(height, width)) for place in places]
    side = min(SAMPLE, height), min(SAMPLE, width)
    across = max(1, min(round((SAMPLES * width / height) ** 0.5), SAMPLES, width // side[1]))
    down = max(1, min(SAMPLES // across, height // side[0]))
    found = []
    spots = list(itertools.product(_spread(height, side[0], down), _spread(width, side[1], across)))
    for number in range(max(len(spots), min(SAMPLES, len(places)))):
        place = places[number * len(places) // max(len(spots), min(SAMPLES, len(places)))]
        rows, columns = spots[number % len(spots)]
        found.append(layout.read(array, place, Box(rows, columns)))
    return found


def looked_at(
    array: Values, layout: Layout, channel: int, white: Scale | float | None
) -> tuple[list[npt.NDArray[Any]], Scale]:
    """Those `samples` of a channel that tell something, single-coloured ones not, and which values are black and white.

    Args:
        array: the picture.
        layout: its own.
        channel: of which something is to be told.
        white: which values are black and white, or which value is white; told by the samples if left out.

    Raises:
        InputError: values that are not finite.
    """
    parts = samples(array, layout, channel)
    planes = [plane for part in parts for plane in (np.moveaxis(part, -1, 0) if part.ndim == 3 else part[None])]
    scale = white if isinstance(white, Scale) else scale_of(planes, white)
    return [part for part in parts if part.min() < part.max()] or parts[:1], scale


def _spread(length: int, side: int, number: int) -> Iterator[Span]:
    """So many spans of an axis, in the middle of as many equal parts."""
    for index in range(number):
        start = min(length - side, max(0, (2 * index + 1) * length // (2 * number) - side // 2))
        yield Span(start, start + side)


def halo_of(needed: int, given: int | None) -> tuple[int, bool]:
    """How many pixels around blocks are looked at, and whether they are enough.

    Raises:
        UsageError: what is given is no number of pixels.
    """
    if given is None:
        return needed, True
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise UsageError(
            f"halo = {brief(given)} cannot be; give a whole number of pixels, or leave it out for all it takes"
        )
    return min(given, needed), given >= needed


def same_size(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Samples below each other, as one picture."""
    return np.concatenate(parts, axis=0)
