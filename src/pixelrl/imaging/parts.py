"""Images in parts, so that what is computed of one takes little memory, and comes out with the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

GRID = 64
"""The columns of all that operations are carried out on start and end at multiples of this many pixels.

Or at the picture's border. So OpenCV's filters compute a pixel with the same instructions as on the whole picture:
their vector and scalar code, which take turns at the end of a row, round differently. The rows of what is computed in
strips, tiles or blocks do so, too.
"""
STRIP = 2**20
"""About how many pixels of an image are worked on at a time where nothing else speaks for another number."""


class Strip(NamedTuple):
    """From a start to a stop, in pixels along one axis, and the same with what an operation sees around it."""

    start: int
    stop: int
    halo_start: int
    halo_stop: int

    @property
    def own(self) -> slice:
        """The part itself, in the image."""
        return slice(self.start, self.stop)

    @property
    def seen(self) -> slice:
        """With its halo, in the image."""
        return slice(self.halo_start, self.halo_stop)

    @property
    def inner(self) -> slice:
        """The part itself, in what is seen."""
        return slice(self.start - self.halo_start, self.stop - self.halo_start)

    def coarser(self, stride: int) -> Strip:
        """The same at a stride; the starts are multiples of it."""
        return Strip(
            self.start // stride, -(-self.stop // stride), self.halo_start // stride, -(-self.halo_stop // stride)
        )

    def finer(self, scale: int) -> Strip:
        """The same at so many times the resolution."""
        return Strip(*(scale * place for place in self))


def widened(start: int, stop: int, reach: int, length: int, grid: int = GRID) -> Strip:
    """A part of an axis of some length, with so many pixels around it, up to the next multiples of ``grid``."""
    low, high = (start - reach) // grid * grid, -(-(stop + reach) // grid) * grid
    return Strip(start, stop, max(0, low), min(length, high))


def strips(height: int, width: int, reach: int) -> Iterator[Strip]:
    """Cut the rows of an image into strips of about `STRIP` pixels.

    Args:
        height: of the image.
        width: of the image.
        reach: how far in pixels an operation looks.
    """
    side = max(GRID, STRIP // max(1, width) // GRID * GRID)
    if height * width <= 2 * STRIP:
        side = height
    for start in range(0, height, side):
        yield widened(start, min(height, start + side), reach, height)


def by_strips(function: Callable[..., Tensor], *images: Tensor) -> Tensor:
    """What a function makes of images ``(..., h, w)`` of one shape, for which it needs a few times their memory.

    It gives an image of that shape, each pixel of which depends on the same pixel alone.
    """
    first = images[0]
    height = first.shape[-2]
    if any(image.requires_grad for image in images) or first.numel() <= 2 * STRIP:
        return function(*images)
    result = torch.empty_like(first)
    for rows in strips(height, first.numel() // height, 0):
        result[..., rows.own, :] = function(*(image[..., rows.own, :] for image in images))
    return result
