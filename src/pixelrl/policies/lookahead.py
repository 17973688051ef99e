"""Our policy: perceive once at half resolution, then a light step that sees what every action would do.

The environment of a pixel agent is known exactly: it is the table of filters. So the policy is shown each action's
*outcome* before it chooses. A noisy image never gains information during an episode, so the costly part, the
encoder, runs once; each step only compares outcomes with what the encoder understood.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.imaging.color import length
from pixelrl.policies.base import Memory, PolicyOutput, check_sizes
from pixelrl.policies.encoder import pad_to_multiple
from pixelrl.policies.estimating import Estimating, cropped, of_size
from pixelrl.rl.returns import identity_kernel
from pixelrl.types import AgentMap, Condition, Image, Logits, Outcomes


@final
class Lookahead(Estimating):
    """The lookahead policy.

    `perceive` gives an estimate of the clean image and features. A step's logits start as minus the distance of
    each outcome to the estimate (greedy towards it) and a small convolutional head corrects them; the head starts at
    zero, so reinforcement learning starts from the greedy policy.

    Args:
        num_actions: number of actions n.
        num_channels: channels of the image, each with its own agent (but see the estimator ``lab``).
        width: channels of the encoder at half resolution.
        deep_width: channels of the encoder at a quarter of the resolution.
        depths: residual blocks before, in and after the quarter-resolution part.
        head_width: channels of the head that runs at every step.
        reward_map_convolution: learn with a convolved return (`pixelrl.rl.returns`).
        estimator: how the estimate comes about, a key of `pixelrl.policies.estimators.ESTIMATORS`.
        condition_planes: planes of the condition (`pixelrl.tasks.Conditioning.num_planes`).
        least_gain: by how much an operation that changes a pixel must bring it nearer to the estimate, so that it is
            worth more than to do nothing, in units of what is compared (1 / 100 of Lab's for ``lab``). It spares
            steps that nobody would see.
        deepest: residual blocks at an eighth of the resolution, in the middle of those at a quarter; 0 for none.
        deepest_width: channels of the encoder there.

    Raises:
        ValueError: an unknown estimator, one that is not for so many channels, sizes that are none, or a gain that is
            no finite number of at least 0.
    """

    changes = 1

    def __init__(
        self,
        num_actions: int,
        num_channels: int = 1,
        width: int = 64,
        deep_width: int = 128,
        depths: Sequence[int] = (2, 3, 2),
        head_width: int = 32,
        reward_map_convolution: bool = False,
        estimator: str = "plain",
        condition_planes: int = 1,
        least_gain: float = 0.0,
        deepest: int = 0,
        deepest_width: int = 96,
    ) -> None:
        super().__init__(
            num_channels,
            width,
            deep_width,
            depths,
            estimator,
            condition_planes,
            deepest=deepest,
            deepest_width=deepest_width,
        )
        check_sizes(head_width=head_width)
        if not 0 <= least_gain < math.inf:
            raise ValueError(f"least_gain = {least_gain} must be a finite number of at least 0")
        self.least_gain = float(least_gain)
        self.reward_kernel = nn.Parameter(identity_kernel()) if reward_map_convolution else None
        self.num_actions, self.head_width, self.encoder_gradient = num_actions, head_width, 0.0
        cells, agents = 4 * num_channels, 4 * self.num_agents
        self.to_memory = nn.Conv2d(width, head_width, 1)
        self.compare = nn.Conv2d(cells * num_actions + 1, head_width, 3, padding=1)
        self.to_logits = nn.Conv2d(head_width, agents * num_actions, 3, padding=1)
        self.to_value = nn.Conv2d(head_width, agents, 3, padding=1)
        self.log_sharpness = nn.Parameter(torch.tensor(0.0))
        for layer in (self.to_logits, self.to_value):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fastest on CPU, bf16 above all

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """Encode the noisy image with its condition."""
        remembered, estimate = self.understood(image, condition)
        assert remembered is not None
        remembered = remembered.to(estimate.dtype)
        if self.estimator.reduction != 1:
            remembered = F.interpolate(remembered, scale_factor=self.estimator.reduction)
        return cropped(torch.cat([remembered, estimate, torch.zeros_like(remembered[:, :1])], 1), image)

    def kept(self, features: Tensor) -> Tensor:
        """What each step's comparison is told of them."""
        return self.to_memory(self._held_back(features))  # type: ignore[no-any-return]

    def estimate(self, memory: Memory, image: Image) -> Image:
        """The encoder's own estimate of the clean image, of ``image``'s size."""
        return of_size(memory[:, self.head_width : -1], image)

    def reaches(self, legibility: float) -> tuple[int, int]:
        """A step has two layers of 3x3 at half resolution, with cells of 2x2 pixels around them."""
        return self.reach, 8

    def learned_to_choose(self, legibility: float) -> bool:
        """Not while the head is as it was made, all zero: then it is not even asked."""
        assert self.to_logits.bias is not None
        return bool(self.to_logits.weight.any() or self.to_logits.bias.any())

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """Compare every outcome with the estimate; the step number is the memory's last channel."""
        height, width = image.shape[-2:]
        goal, clock = self.estimate(memory, image), memory[:, -1:]
        miss = self.estimator.compared(outcomes) - self.estimator.compared(self._held_back(goal))[:, None]
        together = self.num_agents < self.num_channels
        distance = length(miss) if together else miss.abs()
        if self.least_gain:
            changed = outcomes != image[:, None]
            distance = distance + self.least_gain * (changed.any(2, keepdim=True) if together else changed)
        logits, value = distance * (-255 * self.log_sharpness.exp()), None
        if self.training or self.learned_to_choose(0.0):
            # Squashed, so that one grey level and a hundred are both told apart: 4 levels map to a half.
            squashed = (miss / (miss.abs() + 4 / 255)).flatten(1, 2)
            cells = F.pixel_unshuffle(pad_to_multiple(squashed, 2), 2)
            inputs = torch.cat([cells, clock], 1).contiguous(memory_format=torch.channels_last)
            hidden = F.relu(self.compare(inputs) + memory[:, : self.head_width])
            logits = self._cells_to_agents(self.to_logits(hidden), height, width) + logits
            value = self._cells_to_value(hidden, height, width) if self.training else None
        return PolicyOutput(logits, value, torch.cat([memory[:, :-1], clock + 0.1], 1))

    def _held_back(self, x: Tensor) -> Tensor:
        """The same, through which a step's gradient reaches the encoder only if `encoder_gradient` is not 0."""
        # Through the sharp logits that gradient is mostly noise, several times as large as the estimate's own, and it
        # spoils the estimate. So at first none passes: the encoder learns from its estimate alone.
        return x if self.encoder_gradient else x.detach()

    def _cells_to_agents(self, cells: Tensor, height: int, width: int) -> Logits:
        planes = F.pixel_shuffle(cells.float(), 2)[..., :height, :width]
        return planes.reshape(-1, self.num_actions, self.num_agents, height, width)

    def _cells_to_value(self, hidden: Tensor, height: int, width: int) -> AgentMap:
        return F.pixel_shuffle(self.to_value(hidden).float(), 2)[..., :height, :width]
