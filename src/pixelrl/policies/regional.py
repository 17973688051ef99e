"""A small policy that decides by region: it looks at a picture in cells of 8 pixels and sees far around each.

For rewards that say little of a single pixel. The logits are computed a cell and interpolated, so neighbours decide
alike, and maps of actions are areas. Agents that are to decide `alike` follow the mean over the whole picture instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.policies.base import Memory, Policy, PolicyOutput, check_sizes
from pixelrl.policies.encoder import pad_to_multiple
from pixelrl.policies.fcn import Convolution
from pixelrl.rl.returns import identity_kernel
from pixelrl.types import Condition, Image, Outcomes

CELL, HALF = 8, 4
"""Sides in pixels of the cells in which it decides, and of those in which it first looks."""


class DilatedBlock(nn.Module):
    """``x + conv(relu(conv(x)))`` with dilated 3x3 convolutions; the second starts at zero."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = Convolution(width, width, dilation)
        self.second = Convolution(width, width, dilation)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``(b, width, h, w)`` to the same shape."""
        change: Tensor = self.second(F.relu(self.first(x)))
        return x + change


@final
class Regional(Policy):
    """The regional policy: one agent per pixel, whatever the channels.

    At every step it looks at the image as it is; of the steps before, it knows how many there were. Its last layer
    starts at zero, so that all actions are at first equally likely.

    Args:
        num_actions: number of actions n.
        num_channels: channels of the image.
        width: channels of the layers at cells of 4 pixels; those at cells of 8 have twice as many.
        dilations: of the residual blocks at cells of 8 pixels: how far it sees.
        reward_map_convolution: learn with a convolved return (`pixelrl.rl.returns`).
        alike: all agents of a picture follow the mean of their logits. That mean is taken by `survey`, so it is that of
            the whole picture where `forward` is given tiles, too.

    Raises:
        ValueError: sizes that are none.
    """

    stride = CELL
    alignment = CELL
    takes_condition = False

    def __init__(
        self,
        num_actions: int,
        num_channels: int = 1,
        width: int = 24,
        dilations: Sequence[int] = (1, 2, 3),
        reward_map_convolution: bool = False,
        alike: bool = False,
    ) -> None:
        super().__init__()
        self.num_actions, self.alike = num_actions, alike
        self.surveys = alike
        check_sizes(num_channels=num_channels, width=width)
        if not all(type(dilation) is int and 1 <= dilation <= 16 for dilation in dilations):
            raise ValueError(f"dilations = {list(dilations)} must be whole numbers from 1 to 16")
        self.reward_kernel = nn.Parameter(identity_kernel()) if reward_map_convolution else None
        deep = 2 * width
        self.enter = Convolution(HALF**2 * num_channels, width)
        self.second = Convolution(width, width)
        self.down = nn.Conv2d(width, deep, 2, stride=2)
        self.blocks = nn.Sequential(*(DilatedBlock(deep, dilation) for dilation in dilations))
        self.judge = nn.Conv2d(deep + 1, deep, 1)
        self.to_logits = nn.Conv2d(deep, num_actions, 1)
        self.to_value = nn.Conv2d(deep, 1, 1)
        for layer in (self.to_logits, self.to_value):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        # Two 3x3 layers at cells of 4, two per block at cells of 8; interpolation, and the cells themselves.
        self.reach = 2 * HALF + 2 * CELL * sum(dilations) + 2 * CELL

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """The number of the step, which is 0: the image is looked at in every step.

        If agents decide alike, planes for what `survey` finds follow: the logits and the value of this step.
        """
        height, width = (-(-side // CELL) for side in image.shape[-2:])
        planes = 1 + self.num_actions + 1 if self.alike else 1
        return image.new_zeros(len(image), planes, height, width)

    def survey(self, image: Image, memory: Memory) -> Memory:
        """The mean logits and the mean value over the picture, if its agents decide alike."""
        if not self.alike:
            return memory
        step = memory[:, :1]
        found = torch.cat(self._judged(image, step), 1).mean((2, 3), keepdim=True)
        return torch.cat([step, found.to(memory.dtype).expand(-1, -1, *step.shape[-2:])], 1)

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """Judge the image as it is now; this network does not look at the outcomes."""
        step = memory[:, :1]
        if self.alike:
            judged, worth = memory[:, 1:-1], memory[:, -1:]
        else:
            judged, worth = self._judged(image, step)
        logits = self._to_pixels(judged, image)[:, :, None]
        value = self._to_pixels(worth, image) if self.training else None
        return PolicyOutput(logits, value, torch.cat([step + 1, memory[:, 1:]], 1))

    def estimate(self, memory: Memory, image: Image) -> None:
        """None: this network forms no clean image."""
        return None

    def _judged(self, image: Image, step: Memory) -> tuple[Tensor, Tensor]:
        """The logits ``(b, n, h / 8, w / 8)`` and values ``(b, 1, h / 8, w / 8)`` of every cell."""
        hidden = F.relu(self.judge(torch.cat([self._features(image), step], 1)))
        return self.to_logits(hidden), self.to_value(hidden)

    def _features(self, image: Image) -> Tensor:
        """``(b, 2 width, h / 8, w / 8)``, rounded up."""
        cells = F.pixel_unshuffle(2 * pad_to_multiple(image, CELL) - 1, HALF)
        near = F.relu(self.second(F.relu(self.enter(cells))))
        features: Tensor = self.blocks(F.relu(self.down(near)))
        return features

    @staticmethod
    def _to_pixels(cells: Tensor, image: Image) -> Tensor:
        """Cells interpolated to the image's size."""
        height, width = image.shape[-2:]
        down, across = _weights(cells, -2)[:, :height], _weights(cells, -1)[:, :width]
        return down.T @ cells.to(image.dtype) @ across


def _weights(cells: Tensor, axis: int) -> Tensor:
    """Of each cell along an axis for each pixel, in linear interpolation.

    Bilinear interpolation is two products with such matrices, whose gradients cost a CPU half of `F.interpolate`'s.
    """
    unit = torch.eye(cells.shape[axis], device=cells.device)
    return F.interpolate(unit[None], scale_factor=CELL, mode="linear")[0]
