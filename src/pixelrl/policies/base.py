"""What a policy is: it perceives an image once, then at each step gives logits and a value for every agent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pixelrl.precision import Precision
from pixelrl.rl.choice import best
from pixelrl.types import ActionMap, AgentMap, Condition, Image, Logits, Outcomes

Memory = Float[Tensor, "b m hs ws"]
"""All a policy carries from step to step: m channels at ``1 / Policy.stride`` of the image's resolution."""


class PolicyOutput(NamedTuple):
    """What a policy says at one step."""

    logits: Logits
    value: AgentMap | None
    """The expected return of every agent; None in evaluation mode, and from a policy without `Policy.has_values`."""
    memory: Memory


FEW_VALUES = 20480
"""See `Policy.least_pixels`."""


class Policy(nn.Module, ABC):
    """One fully convolutional network that all agents share.

    Everything that a policy carries through an episode is one tensor at a fixed stride. That is what lets
    `pixelrl.policies.tiling` cut images of any size into tiles without knowing the network.
    """

    stride: int
    """The image's height over the memory's, rounded up."""
    alignment: int
    """Tiles start at multiples of this, so that strided layers meet the same pixels as without tiles."""
    reach: int
    """Radius in pixels beyond which nothing influences a pixel, in `perceive` and in `forward` each."""
    reward_kernel: nn.Parameter | None
    """The learned kernel ``(1, 1, 33, 33)`` of reward map convolution (training only), or None without it."""
    takes_condition: bool
    """Whether the condition is an input. If not, it is ignored."""
    condition_planes: int = 1
    """How many planes of a condition the network takes, if any (`pixelrl.tasks.Conditioning.num_planes`)."""
    encoder_gradient: float | None = None
    """The share at which what forms the estimate follows the policy's gradient; None if that is no choice."""
    num_agents: int = 1
    """g, the agents per pixel: 1, or as many as the image has channels."""
    rests: bool = False
    """Whether an agent that did nothing does nothing again if, since then, nothing has changed within its reach.

    Where all do nothing, its network is then not asked again (`pixelrl.rollout.Actor`).
    """
    least_pixels: int = 2560
    """In a tile with its halo, unless the image has less.

    PyTorch's CPU convolutions leave single inputs of up to `FEW_VALUES` to another library, which sums in another
    order. The layer with the fewest values that this changes has 128 channels at a quarter of the resolution, 8 a
    pixel.
    """
    perceives_in_strips: bool = False
    """Whether `perceive` needs little memory beside its result, however large the image, so that tiles save none."""
    surveys: bool = False
    """Whether `survey` needs the whole image before each step, so that no part of one can be played by itself."""
    changes: int | None = None
    """How many channels of the memory `forward` changes, which are the last ones; None where it may change all."""
    has_values: bool = True
    """Whether it says in training mode what return it expects; without, it learns by trials alone."""
    legible: bool = False
    """Whether the policy can be told how plain its maps of actions shall be (`told`)."""
    default_legibility: float = 0.0
    """What a legible policy is told when nobody says: from 0, the best quality, to 1, the plainest maps."""

    opponent: bool = False
    """Whether the images that it acts on have opponent colours (`pixelrl.imaging.color.to_opponent`)."""

    precision: Precision | None = None
    """In which numbers it looks at the image as the episode begins; None if that is no choice (`pixelrl.precision`)."""

    @abstractmethod
    def perceive(self, image: Image, condition: Condition) -> Memory:
        """Look at the image as the episode begins, and return the memory of step 0.

        Args:
            image: ``(b, c, h, w)``.
            condition: ``(b, k, h, w)``, or ``(b, k, 1, 1)`` where it is the same for all pixels.
        """

    @abstractmethod
    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """Judge every action of every agent. ``outcomes`` are the images after each action."""

    def chosen(self, image: Image, outcomes: Outcomes, memory: Memory) -> tuple[ActionMap, Memory]:
        """The likeliest action of every agent, and the memory after it: the choice at `forward`'s logits."""
        logits, _, after = self(image, outcomes, memory)
        return best(logits), after

    def told(self, memory: Memory, legibility: float | Float[Tensor, " b"]) -> Memory:
        """The memory of step 0, in which the policy also remembers how plain its maps shall be.

        A policy that is not `legible` returns the memory as it is.

        Args:
            memory: as `perceive` returned it.
            legibility: from 0 (the best quality) to 1 (the plainest maps), for all images or for each.
        """
        return memory

    def rested(self, memory: Memory) -> Memory:
        """The memory after a step at which nothing was done and a policy that `rests` was not asked."""
        return memory

    def reaches(self, legibility: float) -> tuple[int, int]:
        """How far in pixels `perceive` and `forward` look, each at most `reach`.

        Args:
            legibility: what the policy is told.
        """
        return self.reach, self.reach

    def survey(self, image: Image, memory: Memory) -> Memory:
        """The memory, in which the policy also remembers what it must know of the whole image before it acts on a part.

        Called before every step with the whole image, also where `forward` is given tiles of it. Most policies need
        nothing of the kind and return the memory as it is.

        Args:
            image: ``(b, c, h, w)``, as it is before the step.
            memory: of this step.
        """
        return memory

    def price(self, legibility: Float[Tensor, " b"], memory: Memory, image: Image) -> Float[Tensor, "b 1 _ _"]:
        """What it costs an agent in training if all its neighbours act otherwise, by what the policy was told.

        A share of the neighbours costs that share of it. The unit is that of the task's reward; at legibility 0 the
        price is next to 0. It is 0 for a policy that is not `legible`. The rewards, values and returns of a policy that
        is legible are counted in prices.

        Args:
            legibility: what the policy was told, for each image.
            memory: as `perceive` returned it.
            image: what that saw.
        """
        return torch.zeros_like(legibility)[:, None, None, None]

    def estimating(self) -> Iterable[nn.Parameter]:
        """The weights that form the estimate, which no gradient of the policy reaches if `encoder_gradient` is 0."""
        return ()

    def adapted(self, name: str, weight: Tensor) -> Tensor:
        """A weight of another policy of this kind, in this one's shape if it can be brought to it, to start from.

        Args:
            name: the weight's, in both policies.
            weight: the other policy's.
        """
        return weight

    def learned_to_choose(self, legibility: float) -> bool:
        """Whether its weights say anything of the choice. If not, its probabilities do not say how sure it is.

        Args:
            legibility: what it is `told`; a policy may do without them at 0.
        """
        return True

    def remark(self, image: Image) -> str | None:
        """What a person should know of this image before the result disappoints them; None if there is nothing.

        Args:
            image: ``(b, c, h, w)``.
        """
        return None

    @abstractmethod
    def estimate(self, memory: Memory, image: Image) -> Image | None:
        """The clean image that the memory implies for ``image``'s size, or None if the policy forms none."""


LARGEST = 4096
"""Channels of a layer, at most."""


def check_sizes(**sizes: int) -> None:
    """Refuse numbers of channels that are none.

    Raises:
        ValueError: one is not a whole number from 1 to `LARGEST`.
    """
    for name, size in sizes.items():
        if type(size) is not int or not 1 <= size <= LARGEST:
            raise ValueError(f"{name} = {size!r} must be a whole number from 1 to {LARGEST}")


def check_depths(depths: Sequence[int]) -> tuple[int, int, int]:
    """The numbers of residual blocks before, in and after the quarter-resolution part.

    Raises:
        ValueError: they are not three whole numbers from 0 to 100.
    """
    if len(depths) != 3 or not all(type(depth) is int and 0 <= depth <= 100 for depth in depths):
        raise ValueError(f"depths = {list(depths)} must be three whole numbers of at least 0, for instance [2, 3, 2]")
    before, deep, after = depths
    return before, deep, after
