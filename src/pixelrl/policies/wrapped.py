"""Policies made of others, or of nothing: for pictures that a policy was not made for, or that need none."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.policies.base import Memory, Policy, PolicyOutput
from pixelrl.types import Condition, Image, Outcomes


@final
class InGrey(Policy):
    """A colour policy on grey pictures: it sees three equal channels, and its three agents of a pixel act as one.

    Of a policy that works on opponent colours, the agent of brightness acts, and those of colour see none.

    Args:
        policy: of three channels, with an agent for each.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy
        self.stride, self.alignment, self.reach = policy.stride, policy.alignment, policy.reach
        self.least_pixels = policy.least_pixels
        self.takes_condition, self.condition_planes = policy.takes_condition, policy.condition_planes
        self.reward_kernel, self.num_agents = None, 1
        self.legible, self.default_legibility = policy.legible, policy.default_legibility
        self.rests, self.surveys, self.precision = policy.rests, policy.surveys, policy.precision
        self.perceives_in_strips = policy.perceives_in_strips
        self.changes = policy.changes

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """What the policy sees of ``(b, 1, h, w)``."""
        return self.policy.perceive(self._three(image), condition)

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """The mean logits of the three agents, or those of brightness."""
        colours = self._three(outcomes.flatten(0, 1)).reshape(*outcomes.shape[:2], 3, *outcomes.shape[-2:])
        logits, value, memory = self.policy(self._three(image), colours, memory)
        return PolicyOutput(self._one(logits, 2), None if value is None else self._one(value, 1), memory)

    def told(self, memory: Memory, legibility: float | Float[Tensor, " b"]) -> Memory:
        """What the policy remembers of it."""
        return self.policy.told(memory, legibility)

    def rested(self, memory: Memory) -> Memory:
        """What the policy remembers then."""
        return self.policy.rested(memory)

    def reaches(self, legibility: float) -> tuple[int, int]:
        """As far as the policy."""
        return self.policy.reaches(legibility)

    def survey(self, image: Image, memory: Memory) -> Memory:
        """What the policy must know of the whole image."""
        return self.policy.survey(self._three(image), memory)

    def price(self, legibility: Float[Tensor, " b"], memory: Memory, image: Image) -> Float[Tensor, "b 1 _ _"]:
        """The policy's own price."""
        return self.policy.price(legibility, memory, self._three(image))

    def learned_to_choose(self, legibility: float) -> bool:
        """Whether the policy has."""
        return self.policy.learned_to_choose(legibility)

    def estimate(self, memory: Memory, image: Image) -> Image | None:
        """The mean of the three channels' estimates, or that of brightness."""
        estimate = self.policy.estimate(memory, self._three(image))
        return None if estimate is None else self._one(estimate, 1)

    def _three(self, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The three channels that the policy sees of one."""
        if not self.policy.opponent:
            return image.expand(-1, 3, -1, -1)
        return torch.cat([image, torch.full_like(image, 0.5).expand(-1, 2, -1, -1)], 1)

    def _one(self, of_three: Tensor, axis: int) -> Tensor:
        """What becomes of three agents' values along an axis."""
        return of_three.narrow(axis, 0, 1) if self.policy.opponent else of_three.mean(axis, keepdim=True)


@final
class Still(Policy):
    """All agents take one action at every step, whatever they see.

    Args:
        num_actions: n.
        action: which of them.
        num_agents: g, the agents of a pixel.
    """

    stride, alignment, reach, takes_condition, reward_kernel = 1, 1, 0, False, None
    rests = True

    def __init__(self, num_actions: int, action: int, num_agents: int) -> None:
        super().__init__()
        self.num_actions, self.action, self.num_agents = num_actions, action, num_agents

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """Nothing."""
        return image[:, :1]

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """The one action is certain."""
        logits = torch.full((self.num_actions,), -1e4, device=image.device)
        logits[self.action] = 0
        shape = (len(image), self.num_actions, self.num_agents, *image.shape[-2:])
        return PolicyOutput(logits[None, :, None, None, None].expand(shape), None, memory)

    def learned_to_choose(self, legibility: float) -> bool:
        """It has not."""
        return False

    def estimate(self, memory: Memory, image: Image) -> Image | None:
        """It has none."""
        return None
