"""What agents look at when they judge an outcome, and the small network that judges it, the same for every operation.

All is measured against the estimate of the clean image, in units of the miss that a disagreement with all neighbours
would be worth. An outcome is judged by what it leaves to be done: how far it misses the estimate at the pixel and
around it, whether all of the surroundings miss it in the same direction, and how busy the picture is there.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import torch
from jaxtyping import Float
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
        far = box(near, 5)
        own[:, i : i + 1], cell[:, i : i + 1], around[:, i : i + 1] = miss, near, far
        features = (
            (near, 1),
            (near, 8),
            (signed.abs(), 1),
            (far, 1),
            (far, 8),
            (box(near, 11), 8),
            (box(signed, 3).abs_(), 1),
            (box(signed, 5).abs_(), 1),
        )
        for k, (distance, half) in enumerate(features):
            squashed[:, i, k] = squash(distance[:, 0], half)
    calm = cells(goal * share)
    busy = squash(box((calm - box(calm, 3)).abs(), 3), 2)
    place = torch.cat([busy, box(busy, 9), cells(degree) - 0.5, torch.ones_like(busy)], 1)
    return Seen(own, cell, around, squashed, place)


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


def squash(distance: Tensor, half: float) -> Tensor:
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
        enter, enter_place, inner, leave = (
            weight[step].flatten(1) for weight in (self.enter, self.enter_place, self.inner, self.leave)
        )
        judged = []
        # One outcome at a time, which stays in the processor's cache.
        for outcomes, place in zip(seen.squashed.flatten(3), seen.place.flatten(2), strict=True):
            common = enter_place @ place
            for outcome in outcomes:
                hidden = F.leaky_relu(torch.addmm(common, enter, outcome), 0.1)
                hidden = F.leaky_relu(torch.addmm(self.inner_bias[step][:, None], inner, hidden), 0.1)
                judged.append(leave @ hidden)
        return torch.stack(judged).view(b, n, h, w)
