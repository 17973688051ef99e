"""A policy that is told in which direction the saliency of every pixel shall change, and has no target picture.

Like the lookahead policy it perceives once and is shown what every action would do. There is no estimate to follow:
outcomes are compared with the picture as it was, and with the direction in which an object is to leave the colour of
its surroundings, or in which it is to approach it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import nn
from torch.nn import functional as F

from pixelrl.imaging.color import length, opponent
from pixelrl.policies.base import Memory, Policy, PolicyOutput, check_depths, check_sizes
from pixelrl.policies.encoder import Encoder, encoder_reach, pad_to_multiple
from pixelrl.types import Condition, Image, Outcomes

CONDITION_PLANES = 8
"""Direction, strength, and the mean colours of surroundings and object (`pixelrl.imaging.saliency.object_planes`)."""


@final
class Steering(Policy):
    """The policy of saliency-driven editing, one agent per pixel of an RGB image.

    A step's logits start as ``away * direction * f - least * strength * m - most * m^2``, where f is how far an outcome
    takes a pixel along the contrast between the object's mean colour and the surroundings', and m how far from the
    picture as it was, with three learned factors; a small convolutional head that starts at zero corrects them. Colours
    are compared as `pixelrl.imaging.color.opponent` values. The encoder learns from reinforcement alone.

    Args:
        num_actions: number of actions n.
        num_channels: 3; grey pictures have no colour to change.
        width: channels of the encoder at half resolution.
        deep_width: channels of the encoder at a quarter of the resolution.
        depths: residual blocks before, in and after the quarter-resolution part.
        head_width: channels of the head that runs at every step.

    Raises:
        ValueError: another number of channels, or sizes that are none.
    """

    stride = 2
    alignment = 4
    takes_condition = True
    condition_planes = CONDITION_PLANES
    reward_kernel = None

    def __init__(
        self,
        num_actions: int,
        num_channels: int,
        width: int = 32,
        deep_width: int = 64,
        depths: Sequence[int] = (1, 3, 1),
        head_width: int = 32,
    ) -> None:
        super().__init__()
        if num_channels != 3:
            raise ValueError(f"a steering policy sees 3 channels, not {num_channels}")
        check_sizes(width=width, deep_width=deep_width, head_width=head_width)
        before, deep, after = check_depths(depths)
        self.num_actions, self.head_width = num_actions, head_width
        self.encoder = Encoder(CELL * (3 + 1) + CONDITION_PLANES - 1, width, deep_width, (before, deep, after))
        self.to_memory = nn.Conv2d(width, head_width, 1)
        self.compare = nn.Conv2d(CELL * num_actions * (3 + 1) + 1, head_width, 3, padding=1)
        self.to_logits = nn.Conv2d(head_width, CELL * num_actions, 3, padding=1)
        self.to_value = nn.Conv2d(head_width, CELL, 3, padding=1)
        self.log_factors = nn.Parameter(torch.tensor([600.0, 200.0, 1000.0]).log())  # away, least, most
        for layer in (self.to_logits, self.to_value):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.reach = 4 * -(-(encoder_reach((before, deep, after)) + 2 * self.alignment) // 4)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fastest on CPU

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """Encode the picture and its condition ``(b, 8, h, w)``, see `pixelrl.imaging.saliency.object_planes`."""
        height, width = image.shape[-2:]
        image, condition = (pad_to_multiple(x, self.alignment) for x in (image, condition))
        cells = F.pixel_unshuffle(torch.cat([opponent(image), condition[:, :1]], 1), 2)
        seen = torch.cat([cells, condition[:, 1:, ::2, ::2]], 1)
        features = self.encoder(seen.contiguous(memory_format=torch.channels_last))
        clock = torch.zeros_like(seen[:, :1])
        memory = torch.cat([self.to_memory(features).to(seen.dtype), seen, clock], 1)
        return memory[:, :, : (height + 1) // 2, : (width + 1) // 2]

    def estimate(self, memory: Memory, image: Image) -> Image | None:
        """None: there is no target to estimate."""
        return None

    def learned_to_choose(self, legibility: float) -> bool:
        """Not while the head is as it was made, all zero."""
        return bool(self.to_logits.weight.any())

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """Compare every outcome with the picture as it was and with the contrast between object and surroundings."""
        height, width = image.shape[-2:]
        features, clock = memory[:, : self.head_width], memory[:, -1:]
        observed = memory[:, self.head_width : -1].float()
        by_pixel = F.pixel_shuffle(observed[:, : 4 * CELL], 2)[..., :height, :width]
        start, direction = by_pixel[:, :3], by_pixel[:, 3:]
        everywhere = observed[:, 4 * CELL :, :1, :1]
        strength, difference = everywhere[:, :1], everywhere[:, 4:] - everywhere[:, 1:4]
        contrast = difference / (length(difference) + 0.02)  # of two sides much alike, none to speak of
        colors = opponent(outcomes)
        moved = colors - start[:, None]
        farther = ((colors - opponent(image)[:, None]) * contrast[:, None]).sum(2, keepdim=True) * direction[:, None]
        # Squashed, so that small moves and large ones are both told apart: 4 grey levels map to a half.
        squashed = torch.cat([moved / (moved.abs() + 4 / 255), 10 * farther], 2).flatten(1, 2)
        cells = F.pixel_unshuffle(pad_to_multiple(squashed, 2), 2)
        inputs = torch.cat([cells, clock], 1).contiguous(memory_format=torch.channels_last)
        hidden = F.relu(self.compare(inputs) + features)
        logits = F.pixel_shuffle(self.to_logits(hidden).float(), 2)[..., :height, :width]
        away, least, most = self.log_factors.exp()
        far = length(moved)
        logits = logits[:, :, None] + away * farther - least * strength[:, None] * far - most * far.square()
        value = None
        if self.training:
            value = F.pixel_shuffle(self.to_value(hidden).float(), 2)[..., :height, :width]
        return PolicyOutput(logits, value, torch.cat([memory[:, :-1], clock + 0.1], 1))


CELL = 4
"""Pixels of a cell at half resolution."""
