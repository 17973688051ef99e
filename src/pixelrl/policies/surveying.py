"""A policy that is shown what every action of every pixel is worth to the saliency of all, before anyone acts.

Saliency is contrast, which agents make together. Before each step a model of saliency is asked for its slopes on the
whole picture: how much it would help if a pixel became a little redder, greener or bluer. Neighbours share them, and
each agent sees what each of its actions would bring all agents, at first order. What the first order does not tell,
that neighbours move at the same time, is what the network learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.imaging.color import length, opponent
from pixelrl.imaging.saliency import MODELS, shared_slopes
from pixelrl.policies.base import Memory, Policy, PolicyOutput, check_depths, check_sizes
from pixelrl.policies.encoder import Encoder, encoder_reach, pad_to_multiple
from pixelrl.policies.steering import CELL, CONDITION_PLANES
from pixelrl.types import Condition, Image, Outcomes

ROUNDS = 3
"""How often, within a step, agents hear what their neighbours are about to do."""


@final
class Surveying(Policy):
    """The policy of saliency-driven editing that asks a model of saliency, one agent per pixel of an RGB image.

    A step's logits are ``gain * g - least * strength * m - most * m^2`` plus what a small convolutional head says, at
    first nothing. Here g is what an outcome brings by the model's slopes, and m how far it lies from the picture as it
    was, as `pixelrl.imaging.color.opponent` values; the three factors are learned, gain apart for pixels whose saliency
    shall rise and fall. Then neighbours are heard: `heard` times a learned factor times the share of the
    neighbours that are about to take an action is added to its logit, `ROUNDS` times over. Neighbours are here cells of
    2x2 pixels, 3x3 cells around each.

    Args:
        num_actions: number of actions n.
        num_channels: 3; grey pictures have no colour to change.
        shown: the built-in model of saliency that is asked (`pixelrl.imaging.saliency.MODELS`). The one that rewards
            may be another.
        width: channels of the encoder at half resolution.
        deep_width: channels of the encoder at a quarter of the resolution.
        depths: residual blocks before, in and after the quarter-resolution part.
        head_width: channels of the head that runs at every step.
        share: radius in pixels in which neighbours share the slopes (`pixelrl.imaging.saliency.shared_slopes`).
        heard: how much neighbours are heard: it multiplies the learned factor of their votes.

    Raises:
        ValueError: another number of channels, a model that is not built in, or sizes that are none.
    """

    stride = 2
    alignment = 4
    takes_condition = True
    condition_planes = CONDITION_PLANES
    reward_kernel = None
    surveys = True

    def __init__(
        self,
        num_actions: int,
        num_channels: int,
        shown: str = "contrast",
        width: int = 16,
        deep_width: int = 32,
        depths: Sequence[int] = (1, 1, 1),
        head_width: int = 48,
        share: int = 16,
        heard: float = 0.5,
    ) -> None:
        super().__init__()
        if num_channels != 3:
            raise ValueError(f"a surveying policy sees 3 channels, not {num_channels}")
        if shown not in MODELS:
            raise ValueError(f"shown = {shown!r} is no built-in model of saliency; give one of {', '.join(MODELS)}")
        check_sizes(width=width, deep_width=deep_width, head_width=head_width)
        before, deep, after = check_depths(depths)
        if type(share) is not int or not 0 <= share <= 1000:
            raise ValueError(f"share = {share!r} must be a whole number of pixels, from 0 to 1000")
        if not 0 <= heard <= 1:
            raise ValueError(f"heard = {heard!r} must be a number from 0 to 1")
        self.share, self.heard = share, heard
        self.num_actions, self.head_width, self.model = num_actions, head_width, MODELS[shown]
        self.encoder = Encoder(CELL * (3 + 1) + CONDITION_PLANES - 1, width, deep_width, (before, deep, after))
        self.to_memory = nn.Conv2d(width, head_width, 1)
        self.compare = nn.Conv2d(CELL * num_actions * 2 + SURVEYED + 2, head_width, 1)
        self.mix = nn.Conv2d(head_width, head_width, 3, padding=1)
        self.to_logits = nn.Conv2d(head_width, CELL * num_actions, 1)
        self.to_value = nn.Conv2d(head_width, CELL, 1)
        # Gain for rising and falling saliency, least, most, votes: the prices of `SaliencyEditing` by default.
        self.log_factors = nn.Parameter(torch.tensor([160.0, 160.0, 240.0, 1280.0, 24.0]).log())
        for layer in (self.to_logits, self.to_value):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        reach = encoder_reach((before, deep, after)) + 2 * self.alignment
        self.reach = 4 * -(-max(reach, 2 * self.alignment + 4 * ROUNDS) // 4)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fastest on CPU

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """Encode the picture and its condition ``(b, 8, h, w)``, see `pixelrl.imaging.saliency.object_planes`."""
        height, width = image.shape[-2:]
        image, condition = (pad_to_multiple(x, self.alignment) for x in (image, condition))
        cells = F.pixel_unshuffle(torch.cat([opponent(image), condition[:, :1]], 1), 2)
        seen = torch.cat([cells, condition[:, 1:, ::2, ::2]], 1)
        features = self.to_memory(self.encoder(seen.contiguous(memory_format=torch.channels_last)))
        later = torch.zeros_like(seen[:, :1]).expand(-1, SURVEYED + 1, -1, -1)
        heard = torch.full_like(seen[:, :1], self.heard)
        memory = torch.cat([features.to(seen.dtype), seen[:, : 4 * CELL + 1], later, heard], 1)
        return memory[:, :, : (height + 1) // 2, : (width + 1) // 2]

    def survey(self, image: Image, memory: Memory) -> Memory:
        """Ask the model of saliency for its map and its slopes towards the direction that is wanted."""
        direction = self._by_pixel(memory, image)[:, 3:]
        found = shared_slopes(self.model, image.clamp(0, 1), direction / 10, self.share)
        with torch.no_grad():
            map_ = F.avg_pool2d(pad_to_multiple(self.model(image.clamp(0, 1)), 2), 2) / 50
        cells = F.pixel_unshuffle(pad_to_multiple(found, 2), 2)
        return torch.cat([memory[:, : -SURVEYED - 2], cells, map_.to(memory), memory[:, -2:]], 1)

    def estimate(self, memory: Memory, image: Image) -> Image | None:
        """None: there is no target to estimate."""
        return None

    def learned_to_choose(self, legibility: float) -> bool:
        """Not while the head is as it was made, all zero."""
        return bool(self.to_logits.weight.any())

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """Weigh what every outcome brings and costs, then listen to the neighbours."""
        height, width = image.shape[-2:]
        features, rest = memory[:, : self.head_width], memory[:, self.head_width + 4 * CELL + 1 :]
        by_pixel = self._by_pixel(memory, image)
        start, direction = by_pixel[:, :3], by_pixel[:, 3:]
        strength = memory[:, self.head_width + 4 * CELL, :1, :1].float()[:, None]
        slope = F.pixel_shuffle(rest[:, : 3 * CELL].float(), 2)[..., :height, :width]
        gains = (slope[:, None] * (outcomes.clamp(0, 1) - image.clamp(0, 1)[:, None])).sum(2)
        far = length(opponent(outcomes) - start[:, None])[:, :, 0]
        # Squashed, so that small numbers and large ones are both told apart: 0.2 and 4 grey levels map to a half.
        squashed = torch.cat([gains / (gains.abs() + 0.2), far / (far + 4 / 255)], 1)
        planes = [F.pixel_unshuffle(pad_to_multiple(squashed, 2), 2), rest]
        inputs = torch.cat(planes, 1).contiguous(memory_format=torch.channels_last)
        hidden = F.relu(self.mix(F.relu(self.compare(inputs) + features)))
        rising, falling, least, most, votes = self.log_factors.exp()
        gain = torch.where(direction > 0, rising, falling)
        logits = F.pixel_shuffle(self.to_logits(hidden).float(), 2)[..., :height, :width]
        logits = logits + gain * gains - least * strength * far - most * far.square()
        logits = self._listened(logits, votes * memory[:, -1:, :1, :1].float())
        value = None
        if self.training:
            value = F.pixel_shuffle(self.to_value(hidden).float(), 2)[..., :height, :width]
        memory = torch.cat([memory[:, :-2], memory[:, -2:-1] + 0.1, memory[:, -1:]], 1)
        return PolicyOutput(logits[:, :, None], value, memory)

    def _by_pixel(self, memory: Memory, image: Image) -> Float[Tensor, "b 4 h w"]:
        """The picture as it was, and the direction."""
        cells = memory[:, self.head_width : self.head_width + 4 * CELL]
        return F.pixel_shuffle(cells.float(), 2)[..., : image.shape[-2], : image.shape[-1]]

    @staticmethod
    def _listened(logits: Float[Tensor, "b n h w"], weight: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b n h w"]:
        """The logits after `ROUNDS` in which agents hear their neighbours."""
        if not weight.any():
            return logits
        height, width = logits.shape[-2:]
        heard = logits
        for _ in range(ROUNDS):
            with torch.no_grad():  # an agent does not answer for what its neighbours make of its vote
                shares = F.avg_pool2d(pad_to_multiple(heard.detach().softmax(1), 2), 2)
                shares = F.avg_pool2d(shares, 3, stride=1, padding=1, count_include_pad=False)
                shares = F.interpolate(shares, scale_factor=2, mode="nearest")[..., :height, :width]
            heard = logits + weight * shares
        return heard


SURVEYED = 3 * CELL + 1
"""Planes of a cell: the slopes of its pixels' values, and its saliency."""
