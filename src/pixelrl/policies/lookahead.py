"""Our policy: perceive once at half resolution, then a light step that sees what every action would do.

The environment of a pixel agent is known exactly: it is the table of filters. So the policy is shown each action's
*outcome* before it chooses. A noisy image never gains information during an episode, so the costly part, the
encoder, runs once; each step only compares outcomes with what the encoder understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.imaging.color import length
from pixelrl.policies.base import Memory, Policy, PolicyOutput, check_depths, check_sizes
from pixelrl.policies.encoder import Encoder, encoder_reach, pad_to_multiple
from pixelrl.policies.estimators import ESTIMATORS
from pixelrl.rl.returns import identity_kernel
from pixelrl.types import AgentMap, Condition, Image, Logits, Outcomes


@final
class Lookahead(Policy):
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

    Raises:
        ValueError: an unknown estimator, one that is not for so many channels, or sizes that are none.
    """

    stride = 2
    takes_condition = True

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
    ) -> None:
        super().__init__()
        check_sizes(num_channels=num_channels, width=width, deep_width=deep_width, head_width=head_width)
        before, deep, after = check_depths(depths)
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator = {estimator!r} is unknown; known are {', '.join(ESTIMATORS)}")
        self.estimator, self.condition_planes = ESTIMATORS[estimator](num_channels, condition_planes), condition_planes
        self.reward_kernel = nn.Parameter(identity_kernel()) if reward_map_convolution else None
        self.num_actions, self.num_channels, self.head_width = num_actions, num_channels, head_width
        self.num_agents, self.encoder_gradient = self.estimator.num_agents, 0.0
        cells, agents = 4 * num_channels, 4 * self.num_agents
        self.encoder = Encoder(self.estimator.num_inputs, width, deep_width, (before, deep, after))
        self.to_residual = nn.Conv2d(width, self.estimator.num_outputs, 3, padding=1)
        self.to_memory = nn.Conv2d(width, head_width, 1)
        self.compare = nn.Conv2d(cells * num_actions + 1, head_width, 3, padding=1)
        self.to_logits = nn.Conv2d(head_width, agents * num_actions, 3, padding=1)
        self.to_value = nn.Conv2d(head_width, agents, 3, padding=1)
        self.log_sharpness = nn.Parameter(torch.tensor(0.0))
        for layer in (self.to_residual, self.to_logits, self.to_value):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        reduction = self.estimator.reduction
        self.alignment = 4 * reduction  # what a cell of the quarter-resolution part spans
        reach = encoder_reach((before, deep, after)) * reduction + self.estimator.halo + 2 * self.alignment
        self.reach = 4 * -(-reach // 4)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fastest on CPU, bf16 above all

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """Encode the noisy image with its condition."""
        height, width = image.shape[-2:]
        condition = pad_to_multiple(condition.expand(-1, -1, height, width), self.alignment)
        image = pad_to_multiple(self.estimator.seen(image), self.alignment)
        inputs = self.estimator.inputs(image, condition).contiguous(memory_format=torch.channels_last)
        features = self.encoder(inputs)
        estimate = self.estimator.estimate(image, inputs, self.to_residual(features))
        remembered = self.to_memory(self._held_back(features)).to(estimate.dtype)
        if self.estimator.reduction != 1:
            remembered = F.interpolate(remembered, scale_factor=self.estimator.reduction)
        memory = torch.cat([remembered, estimate, torch.zeros_like(remembered[:, :1])], 1)
        return memory[:, :, : (height + 1) // 2, : (width + 1) // 2]

    def estimating(self) -> Iterable[nn.Parameter]:
        """The encoder, and the layer that makes an estimate of its features."""
        return (*self.encoder.parameters(), *self.to_residual.parameters())

    def adapted(self, name: str, weight: Tensor) -> Tensor:
        """Where the other policy had one plane of condition, and this one has k: each counts a k-th."""
        own = self.encoder.enter.weight
        extra = self.condition_planes - 1
        if name != "encoder.enter.weight" or weight.shape[1] != own.shape[1] - extra:
            return weight
        # The planes come after the image's cells (`Plain.inputs`).
        cells = 4 * self.num_channels
        before, plane, after = weight[:, :cells], weight[:, cells : cells + 1], weight[:, cells + 1 :]
        return torch.cat([before, plane.expand(-1, extra + 1, -1, -1) / (extra + 1), after], 1)

    def remark(self, image: Image) -> str | None:
        """What the estimator says."""
        return self.estimator.remark(image)

    def estimate(self, memory: Memory, image: Image) -> Image:
        """The encoder's own estimate of the clean image, of ``image``'s size."""
        cells = memory[:, self.head_width : -1]
        return F.pixel_shuffle(cells.float(), 2)[..., : image.shape[-2], : image.shape[-1]]

    def learned_to_choose(self) -> bool:
        """Not while the head is as it was made, all zero."""
        return bool(self.to_logits.weight.any())

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """Compare every outcome with the estimate; the step number is the memory's last channel."""
        height, width = image.shape[-2:]
        goal, clock = self.estimate(memory, image), memory[:, -1:]
        miss = self.estimator.compared(outcomes) - self.estimator.compared(self._held_back(goal))[:, None]
        # Squashed, so that one grey level and a hundred are both told apart: 4 levels map to a half.
        squashed = (miss / (miss.abs() + 4 / 255)).flatten(1, 2)
        cells = F.pixel_unshuffle(pad_to_multiple(squashed, 2), 2)
        inputs = torch.cat([cells, clock], 1).contiguous(memory_format=torch.channels_last)
        hidden = F.relu(self.compare(inputs) + memory[:, : self.head_width])
        logits = self._cells_to_agents(self.to_logits(hidden), height, width)
        together = self.num_agents < self.num_channels
        distance = length(miss) if together else miss.abs()
        logits = logits - distance * (255 * self.log_sharpness.exp())
        value = self._cells_to_value(hidden, height, width) if self.training else None
        return PolicyOutput(logits, value, torch.cat([memory[:, :-1], clock + 0.1], 1))

    def _held_back(self, x: Tensor) -> Tensor:
        """The same, of which a step's gradient reaches the encoder at the scale `encoder_gradient`."""
        # Through the sharp logits that gradient is mostly noise, several times as large as the estimate's own, and it
        # spoils the estimate. So at first none passes: the encoder learns from its estimate alone.
        return x.detach().lerp(x, self.encoder_gradient) if self.encoder_gradient else x.detach()

    def _cells_to_agents(self, cells: Tensor, height: int, width: int) -> Logits:
        planes = F.pixel_shuffle(cells.float(), 2)[..., :height, :width]
        return planes.reshape(-1, self.num_actions, self.num_agents, height, width)

    def _cells_to_value(self, hidden: Tensor, height: int, width: int) -> AgentMap:
        return F.pixel_shuffle(self.to_value(hidden).float(), 2)[..., :height, :width]
