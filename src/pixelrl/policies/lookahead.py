"""Our policy: perceive once at half resolution, then a light step that sees what every action would do.

The environment of a pixel agent is known exactly: it is the table of filters. So the policy is shown each action's
*outcome* before it chooses. A noisy image never gains information during an episode, so the costly part, the
encoder, runs once; each step only compares outcomes with what the encoder understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.imaging.color import length, prophoto_to_lab
from pixelrl.policies.base import Memory, Policy, PolicyOutput
from pixelrl.rl.returns import identity_kernel
from pixelrl.types import AgentMap, Condition, Image, Logits, Outcomes


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``; the second convolution starts at zero, so a new block is the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight)
        nn.init.zeros_(self.second.weight)
        for layer in (self.first, self.second):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(b, width, h, w)`` to the same shape."""
        change: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return x + change


def blocks(width: int, number: int) -> nn.Sequential:
    """A chain of residual blocks."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(number)))


class Encoder(nn.Module):
    """Residual blocks at half resolution around residual blocks at a quarter: wide view, few multiply-adds."""

    def __init__(self, num_inputs: int, width: int, deep_width: int, depths: tuple[int, int, int]) -> None:
        super().__init__()
        before, deep, after = depths
        self.enter = nn.Conv2d(num_inputs, width, 3, padding=1)
        self.before = blocks(width, before)
        self.down = nn.Conv2d(width, deep_width, 2, stride=2)
        self.deep = blocks(deep_width, deep)
        self.up = nn.Conv2d(deep_width, 4 * width, 1)
        self.after = blocks(width, after)

    def forward(self, x: Tensor) -> Tensor:
        """``(b, num_inputs, h, w)`` to ``(b, width, h, w)``; h and w even."""
        x = self.before(self.enter(x))
        deep = self.up(self.deep(self.down(x)))
        result: Tensor = self.after(x + F.pixel_shuffle(deep, 2))
        return result


@final
class Lookahead(Policy):
    """The lookahead policy.

    `perceive` gives an estimate of the clean image and features. A step's logits start as minus the distance of
    each outcome to the estimate (greedy towards it) and a small convolutional head corrects them; the head starts at
    zero, so reinforcement learning starts from the greedy policy.

    Args:
        num_actions: number of actions n.
        num_channels: channels of the image, each with its own agent (unless ``lab``).
        width: channels of the encoder at half resolution.
        deep_width: channels of the encoder at a quarter of the resolution.
        depths: residual blocks before, in and after the quarter-resolution part.
        head_width: channels of the head that runs at every step.
        reward_map_convolution: learn with a convolved return (`pixelrl.rl.returns`).
        impulses: take values of at most 0 or at least 1 for missing (salt & pepper noise). The encoder also sees where
            they are, and the image with those places filled from their surroundings; all other pixels are trusted.
        lab: look at colours in CIELAB. The image's three channels are ProPhoto RGB, and each pixel has one agent. The
            estimate is then a quadratic function of the pixel's own colour, whose coefficients the encoder chooses for
            each place from a `REDUCTION` times smaller image (as in Gharbi et al., SIGGRAPH 2017): a look asks for a
            wide view more than for detail, and the pixel brings its own.
        condition_planes: planes of the condition (`pixelrl.tasks.Conditioning.num_planes`).
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
        impulses: bool = False,
        lab: bool = False,
        condition_planes: int = 1,
    ) -> None:
        super().__init__()
        self.impulses, self.lab, self.condition_planes = impulses, lab, condition_planes
        self.reward_kernel = nn.Parameter(identity_kernel()) if reward_map_convolution else None
        before, deep, after = depths
        self.num_actions, self.num_channels, self.head_width = num_actions, num_channels, head_width
        self.num_agents = 1 if lab else num_channels
        cells, agents = 4 * num_channels, 4 * self.num_agents
        self.encoder = Encoder(
            (3 if impulses else 1) * cells + condition_planes, width, deep_width, (before, deep, after)
        )
        self.to_residual = nn.Conv2d(width, 3 * QUADRATIC if lab else cells, 3, padding=1)
        self.to_memory = nn.Conv2d(width, head_width, 1)
        self.compare = nn.Conv2d(cells * num_actions + 1, head_width, 3, padding=1)
        self.to_logits = nn.Conv2d(head_width, agents * num_actions, 3, padding=1)
        self.to_value = nn.Conv2d(head_width, agents, 3, padding=1)
        self.log_sharpness = nn.Parameter(torch.tensor(0.0))
        for layer in (self.to_residual, self.to_logits, self.to_value):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        # 3x3 at half resolution reaches 2 pixels, at a quarter 4; a cell itself spans up to `alignment` pixels.
        self.alignment = 4 * REDUCTION if lab else 4
        encoder = (2 * (2 + 2 * before + 2 * after) + 4 * 2 * deep) * (REDUCTION if lab else 1)
        first_guess = FILL_ROUNDS * (FILL_SIZE // 2) if impulses else 0
        self.reach = 4 * -(-(encoder + first_guess + 2 * self.alignment) // 4)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fastest on CPU, bf16 above all

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """Encode the noisy image with its condition, of whose planes every second pixel is seen."""
        height, width = image.shape[-2:]
        condition = pad_to_multiple(condition.expand(-1, -1, height, width), self.alignment)
        image = pad_to_multiple(image, self.alignment)
        if self.lab:
            return self._perceive_colors(image, condition)[:, :, : (height + 1) // 2, : (width + 1) // 2]
        cells = F.pixel_unshuffle(filled(image) if self.impulses else image, 2)
        seen = [cells, condition[:, :, ::2, ::2]]
        if self.impulses:
            missing = F.pixel_unshuffle(((image <= 0) | (image >= 1)).float(), 2)
            seen += [missing, F.pixel_unshuffle(image, 2)]
        features = self.encoder(torch.cat(seen, 1).contiguous(memory_format=torch.channels_last))
        residual = self.to_residual(features)
        estimate = cells - (residual * missing if self.impulses else residual)
        clock = torch.zeros_like(cells[:, :1])
        # No step's gradient reaches the encoder: it learns from its estimate alone. Through the sharp logits that
        # gradient is mostly noise, several times as large as the estimate's own, and it spoils the estimate.
        remembered = self.to_memory(features.detach())
        memory = torch.cat([remembered.to(estimate.dtype), estimate, clock], 1)
        return memory[:, :, : (height + 1) // 2, : (width + 1) // 2]

    def _perceive_colors(self, image: Image, condition: Condition) -> Memory:
        """Like `perceive`, for ``lab``: the encoder sees a reduced image, its coefficients meet the whole one."""
        small = F.pixel_unshuffle(F.avg_pool2d(prophoto_to_lab(image), REDUCTION), 2)
        planes = condition[:, :, :: 2 * REDUCTION, :: 2 * REDUCTION]
        features = self.encoder(torch.cat([small, planes], 1).contiguous(memory_format=torch.channels_last))
        coefficients = F.interpolate(self.to_residual(features).float(), image.shape[-2:], mode="bilinear")
        coefficients = coefficients.view(len(image), 3, QUADRATIC, *image.shape[-2:])
        change = (coefficients * quadratic_terms(image)[:, None]).sum(2)
        remembered = F.interpolate(self.to_memory(features.detach()).float(), scale_factor=REDUCTION)
        clock = torch.zeros_like(remembered[:, :1])
        return torch.cat([remembered, F.pixel_unshuffle(image - change, 2), clock], 1)

    def estimate(self, memory: Memory, image: Image) -> Image:
        """The encoder's own estimate of the clean image, of ``image``'s size."""
        cells = memory[:, self.head_width : -1]
        return F.pixel_shuffle(cells.float(), 2)[..., : image.shape[-2], : image.shape[-1]]

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """Compare every outcome with the estimate; the step number is the memory's last channel."""
        height, width = image.shape[-2:]
        goal, clock = self.estimate(memory, image), memory[:, -1:]
        miss = self._seen(outcomes) - self._seen(goal.detach())[:, None]
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

    def _seen(self, image: Tensor) -> Tensor:
        return prophoto_to_lab(image) if self.lab else image

    def _cells_to_agents(self, cells: Tensor, height: int, width: int) -> Logits:
        planes = F.pixel_shuffle(cells.float(), 2)[..., :height, :width]
        return planes.reshape(-1, self.num_actions, self.num_agents, height, width)

    def _cells_to_value(self, hidden: Tensor, height: int, width: int) -> AgentMap:
        return F.pixel_shuffle(self.to_value(hidden).float(), 2)[..., :height, :width]


REDUCTION, QUADRATIC = 4, 10


def quadratic_terms(image: Image) -> Tensor:
    """1, the three channels and their six products: ``(b, 3, h, w)`` to ``(b, 10, h, w)``."""
    r, g, b = (2 * image - 1).unbind(1)
    return torch.stack([torch.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, g * b, r * b], 1)


FILL_ROUNDS, FILL_SIZE = 4, 5


def filled(image: Tensor) -> Tensor:
    """Replace values of at most 0 or at least 1 by the Gaussian-weighted mean of the others around them.

    In rounds, from the border of a hole inwards. Where `FILL_ROUNDS` rounds do not reach, the scene itself is black or
    white, or there is nothing but noise: the plain mean of what is there.
    """
    offsets = torch.arange(FILL_SIZE, device=image.device) - FILL_SIZE // 2
    side = torch.exp(-0.5 * offsets.float() ** 2)
    kernel = torch.outer(side, side)[None, None]
    planes = image.flatten(0, 1)[:, None]
    known = ((planes > 0) & (planes < 1)).float()
    with torch.autocast(image.device.type, enabled=False):
        anything = F.conv2d(planes, kernel, padding=FILL_SIZE // 2)
        anything = anything / F.conv2d(torch.ones_like(planes), kernel, padding=FILL_SIZE // 2)
        planes = planes * known
        for _ in range(FILL_ROUNDS):
            total = F.conv2d(known, kernel, padding=FILL_SIZE // 2)
            mean = F.conv2d(planes, kernel, padding=FILL_SIZE // 2) / total.clamp_min(1e-6)
            reached = (total > 1e-6).float()
            planes = torch.where(known > 0, planes, mean * reached)
            known = torch.maximum(known, reached)
    return torch.where(known > 0, planes, anything).view_as(image)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of ``multiple``."""
    down, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x
