"""What agents look at when they judge an outcome, and the small network that judges it, the same for every operation.

All is measured against the estimate of the clean image, in units of the miss that a disagreement with all neighbours
would be worth. An outcome is judged by what it leaves to be done: how far it misses the estimate at the pixel and
around it, whether all of the surroundings miss it in the same direction, and how busy the picture is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.imaging.filters import box
from pixelrl.policies.encoder import pad_to_multiple
from pixelrl.types import Image

Planes = Float[Tensor, "bg n _ _"]
"""One number for every outcome at every pixel, or in every cell."""


CellLogits = Float[Tensor, "b n g hc wc"]
"""One number for every action of the agents of every cell of 2x2 pixels."""


class Seen(NamedTuple):
    """What agents see of outcomes; all but ``own`` is the same for the four pixels of a cell of 2x2."""

    own: Planes
    """The distance of each outcome to the estimate at the pixel itself, in units."""
    cell: Planes
    """Its mean over a cell."""
    around: Planes
    """Its mean over 5x5 cells."""
    squashed: Float[Tensor, "bg n f _ _"]
    """`FEATURES` numbers from 0 to 1 for each outcome."""
    place: Float[Tensor, "bg s _ _"]
    """`PLACE` numbers for the place, whatever is done there."""


FEATURES, PLACE = 8, 4
SLOPE = 0.1
"""Of the judge's units below 0."""
REACH = 2 * (5 + 1)
"""Radius in pixels of what `look` looks at."""


@torch.no_grad()
def look(outcomes: Planes, goal: Image, unit: Image, degree: Image) -> Seen:
    """See outcomes ``(b, n, h, w)`` of images of one channel.

    Args:
        outcomes: the image after each action.
        goal: the estimate, ``(b, 1, h, w)``.
        unit: of distances, ``(b, 1, h, w)``, in the outcomes' values.
        degree: the place on the scale of prices, ``(b, 1, h, w)``.
    """
    b, n, h, w = outcomes.shape
    own = torch.empty_like(outcomes)
    cell = outcomes.new_empty(b, n, (h + 1) // 2, (w + 1) // 2)
    around, squashed = torch.empty_like(cell), cell.new_empty(b, n, FEATURES, *cell.shape[-2:])
    share = 1 / unit
    # One outcome at a time, which stays in the processor's cache.
    for i in range(n):
        miss = (outcomes[:, i : i + 1] - goal) * share
        signed = cells(miss)
        near = cells(miss.abs_())
        far, measured = measures(near, signed, box)
        own[:, i : i + 1], cell[:, i : i + 1], around[:, i : i + 1] = miss, near, far
        for k, (distance, half) in enumerate(measured):
            squashed[:, i, k] = squash(distance[:, 0], half)
    return Seen(own, cell, around, squashed, look_around(goal, share, degree))


Values = TypeVar("Values", Tensor, NDArray[np.float32])


def measures(
    near: Values, signed: Values, mean: Callable[[Values, int], Values]
) -> tuple[Values, tuple[tuple[Values, float], ...]]:
    """What an outcome leaves to be done, measured in cells.

    Args:
        near: the mean distance to the estimate in each cell.
        signed: the mean miss, of which too bright and too dark take away from each other.
        mean: over a square of so many cells.

    Returns:
        The mean distance over 5x5 cells; and `FEATURES` distances from 0 on, each with the one that becomes a half.
    """
    far = mean(near, 5)
    wide, small, middle = mean(near, 11), abs(mean(signed, 3)), abs(mean(signed, 5))
    return far, ((near, 1), (near, 8), (abs(signed), 1), (far, 1), (far, 8), (wide, 8), (small, 1), (middle, 1))


def look_around(goal: Image, share: Image, degree: Image) -> Planes:
    """What there is to see of a place whatever is done there: `PLACE` numbers for every cell.

    Args:
        goal: the estimate, ``(b, 1, h, w)``.
        share: one over the unit of distances, ``(b, 1, h, w)``.
        degree: the place on the scale of prices, ``(b, 1, h, w)``.
    """
    calm = cells(goal * share)
    busy = squash(box((calm - box(calm, 3)).abs(), 3), 2)
    return torch.cat([busy, box(busy, 9), cells(degree) - 0.5, torch.ones_like(busy)], 1)


def cells(planes: Tensor) -> Tensor:
    """The mean over cells of 2x2 pixels, of which those at the border may be smaller."""
    if planes.device.type != "cpu":
        return F.avg_pool2d(planes, 2, ceil_mode=True, count_include_pad=False)
    planes = pad_to_multiple(planes, 2).contiguous()  # what is repeated changes no mean
    height, width = (side // 2 for side in planes.shape[-2:])
    result = planes.new_empty((*planes.shape[:-2], height, width))
    for whole, halved in zip(planes.flatten(0, -3).numpy(), result.flatten(0, -3).numpy(), strict=True):
        cv2.resize(whole, (width, height), dst=halved, interpolation=cv2.INTER_AREA)  # several times faster
    return result


def squash(distance: Values, half: float) -> Values:
    """A distance from 0 on, as a number from 0 to 1; ``half`` becomes a half."""
    return distance / (distance + half)


class Judge(nn.Module):
    """A network of three layers, without any view of its own but for what `look` saw, with weights for every step.

    It starts at zero.

    Args:
        num_steps: T.
        width: of both hidden layers.
    """

    def __init__(self, num_steps: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Parameter(torch.randn(num_steps, width, FEATURES, 1, 1) / FEATURES**0.5)
        self.enter_place = nn.Parameter(torch.randn(num_steps, width, PLACE, 1, 1) / PLACE**0.5)
        self.inner = nn.Parameter(torch.randn(num_steps, width, width, 1, 1) / width**0.5)
        self.inner_bias = nn.Parameter(torch.zeros(num_steps, width))
        self.leave = nn.Parameter(torch.zeros(num_steps, 1, width, 1, 1))

    def forward(self, step: int, seen: Seen) -> Planes:
        """A number for every outcome in every cell, as at ``step``."""
        b, n, _, h, w = seen.squashed.shape
        weights, judged = self.of_step(step), []
        # One outcome at a time, which stays in the processor's cache.
        for outcomes, place in zip(seen.squashed.flatten(3), seen.place.flatten(2), strict=True):
            judged += [weights.judged(torch.cat([outcome, place])) for outcome in outcomes]
        return torch.stack(judged).view(b, n, h, w)

    def of_step(self, step: int) -> Weights:
        """The network as it is at a step."""
        enter = torch.cat([self.enter[step], self.enter_place[step]], 1).flatten(1)
        inner = torch.cat([self.inner[step].flatten(1), self.inner_bias[step][:, None]], 1)
        return Weights(enter, inner, self.leave[step].flatten(1))


class Weights(NamedTuple):
    """A `Judge` at one step, as matrices."""

    enter: Tensor
    """``(width, FEATURES + PLACE)``"""
    inner: Tensor
    """``(width, width + 1)``, the last column of which is the bias."""
    leave: Tensor
    """``(1, width)``"""

    def judged(self, seen: Tensor) -> Tensor:
        """A number for an outcome in each cell.

        Args:
            seen: what there is to see of outcome and place, ``(FEATURES + PLACE, cells)``.

        Returns:
            ``(1, cells)``.
        """
        hidden = F.leaky_relu(self.enter @ seen, SLOPE)
        hidden = torch.cat([hidden, torch.ones_like(hidden[:1])])
        return self.leave @ F.leaky_relu(self.inner @ hidden, SLOPE)

    def judge(self, seen: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """The same without a gradient.

        Args:
            seen: as for `judged`.
            first: memory to work in, ``(width + 1, cells)``, whose last row is 1.
            second: more of it, ``(width, cells)``.
        """
        hidden = first[:-1]
        F.leaky_relu(torch.mm(self.enter, seen, out=hidden), SLOPE, inplace=True)
        F.leaky_relu(torch.mm(self.inner, first, out=second), SLOPE, inplace=True)
        return self.leave @ second
