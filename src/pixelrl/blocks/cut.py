"""How a huge picture is cut into blocks, and how much of its surroundings a block needs for the whole's very bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pixelrl.actions import ActionSet
from pixelrl.imaging.parts import GRID as GRID
from pixelrl.policies import Policy


class Span(NamedTuple):
    """From a start to a stop, in pixels, along one axis."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Pixels."""
        return self.stop - self.start

    def grown(self, margin: int, within: Span, grid: int = GRID) -> Span:
        """With a margin at both ends, up to the next multiples of ``grid``; no farther than ``within``."""
        start = (self.start - margin) // grid * grid
        stop = -(-(self.stop + margin) // grid) * grid
        return Span(max(within.start, start), min(within.stop, stop))

    def inside(self, other: Span) -> slice:
        """Where it lies in a tensor that holds ``other``."""
        return slice(self.start - other.start, self.stop - other.start)

    def coarser(self, stride: int) -> Span:
        """The same at a stride; the start is a multiple of it."""
        return Span(self.start // stride, -(-self.stop // stride))

    def parts(self, side: int, grid: int = GRID) -> Iterator[Span]:
        """Cut into parts of about equal length, at most ``side``, a multiple of ``grid``, as are their lengths."""
        number = -(-self.length // side)
        step = -(-self.length // (number * grid)) * grid
        for start in range(self.start, self.stop, step):
            yield Span(start, min(self.stop, start + step))


class Box(NamedTuple):
    """Rows and columns of a picture."""

    rows: Span
    columns: Span

    @classmethod
    def of(cls, height: int, width: int) -> Box:
        """A whole picture."""
        return cls(Span(0, height), Span(0, width))

    def grown(self, margin: int, within: Box, rows: int = GRID, columns: int = GRID) -> Box:
        """See `Span.grown`; to multiples of so many rows and columns."""
        return Box(self.rows.grown(margin, within.rows, rows), self.columns.grown(margin, within.columns, columns))

    def inside(self, other: Box) -> tuple[slice, slice]:
        """See `Span.inside`."""
        return self.rows.inside(other.rows), self.columns.inside(other.columns)

    def coarser(self, stride: int) -> Box:
        """See `Span.coarser`."""
        return Box(self.rows.coarser(stride), self.columns.coarser(stride))

    def parts(self, rows: int, columns: int, grid: int) -> list[Box]:
        """Tiles of at most so many rows and columns, of which rows are cut at multiples of ``grid`` from the first."""
        return [Box(down, across) for down in self.rows.parts(rows, grid) for across in self.columns.parts(columns)]


def cores(height: int, width: int, side: int) -> list[Box]:
    """The blocks of a picture, row by row: squares of ``side`` pixels, but for the last ones."""
    return [
        Box(Span(y, min(height, y + side)), Span(x, min(width, x + side)))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]


class Reach(NamedTuple):
    """How far in pixels an episode looks around a pixel.

    After step k, the image and the memory must be right within `margin` (k) of a block: the next step's choices look
    at outcomes and memory within ``forward`` of each pixel, and the outcomes at the image within ``operation`` beyond.
    """

    perceive: int
    forward: int
    operation: int
    steps: int

    @classmethod
    def of(cls, policy: Policy, actions: ActionSet, steps: int, legibility: float | None) -> Reach:
        """That of an episode of so many steps."""
        told = policy.default_legibility if legibility is None else legibility
        perceive, forward = policy.reaches(told)
        return cls(perceive, forward, actions.reach, steps)

    def margin(self, step: int) -> int:
        """After so many steps; 0 after the last."""
        return (self.steps - step) * (self.forward + self.operation)

    @property
    def halo(self) -> int:
        """Of the picture as it came: with so much around it, a block's result is that of the whole picture."""
        return self.perceive + self.margin(0) if self.steps else 0
