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

    Args:
        policy: of three channels, with an agent for each.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy
        self.stride, self.alignment, self.reach = policy.stride, policy.alignment, policy.reach
        self.takes_condition, self.condition_planes = policy.takes_condition, policy.condition_planes
        self.reward_kernel, self.num_agents = None, 1
        self.legible, self.default_legibility = policy.legible, policy.default_legibility
        self.rests, self.surveys, self.precision = policy.rests, policy.surveys, policy.precision
        self.perceives_in_strips = policy.perceives_in_strips
        self.changes = policy.changes

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """What the policy sees of ``(b, 1, h, w)``."""
        return self.policy.perceive(image.expand(-1, 3, -1, -1), condition)

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """The mean logits of the three agents."""
        colours = outcomes.expand(-1, -1, 3, -1, -1)
        logits, value, memory = self.policy(image.expand(-1, 3, -1, -1), colours, memory)
        return PolicyOutput(
            logits.mean(2, keepdim=True), None if value is None else value.mean(1, keepdim=True), memory
        )

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
        return self.policy.survey(image.expand(-1, 3, -1, -1), memory)

    def price(self, legibility: Float[Tensor, " b"], memory: Memory, image: Image) -> Float[Tensor, "b 1 _ _"]:
        """The policy's own price."""
        return self.policy.price(legibility, memory, image.expand(-1, 3, -1, -1))

    def learned_to_choose(self, legibility: float) -> bool:
        """Whether the policy has."""
        return self.policy.learned_to_choose(legibility)

    def estimate(self, memory: Memory, image: Image) -> Image | None:
        """The mean of the three channels' estimates."""
        estimate = self.policy.estimate(memory, image.expand(-1, 3, -1, -1))
        return None if estimate is None else estimate.mean(1, keepdim=True)


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
