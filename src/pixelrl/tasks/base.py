"""What a task is: how an episode begins, what a step earns, and which operations the agents may choose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.imaging.metrics import psnr
from pixelrl.tasks.conditioning import Conditioning, NoiseMap, Nothing, check_condition
from pixelrl.types import Condition, Image, Outcomes
from pixelrl.validation import brief


@dataclass(frozen=True)
class Episode:
    """The start of an episode, not the whole of one; `pixelrl.rollout.episode` plays it.

    Attributes:
        image: what the agents see at step 0, ``(b, c, h, w)``.
        target: what they are rewarded for coming closer to, same shape.
        condition: what the policy is told beside the image, ``(b, k, h, w)`` or ``(b, k, 1, 1)``, as the task's
            `Conditioning` encodes it.
        reward_scale: a positive factor per image, ``(b, 1)``, on all its rewards. It changes no image's best policy,
            but keeps strong noise from drowning the gradient of weak noise.

    Raises:
        ValueError: the condition has another number of dimensions.
    """

    image: Image
    target: Image
    condition: Condition
    reward_scale: Float[Tensor, "b 1"]

    def __post_init__(self) -> None:
        check_condition(self.condition)


class Task(ABC):
    """A task knows no network and no filter; it names its actions in the order of the network's outputs."""

    action_names: tuple[str, ...]
    num_steps: int
    """T, the length of an episode."""

    conditioning: Conditioning = Nothing()
    """What the policy is told beside the image; it encodes `Episode.condition`, and a policy's file names it."""
    levels: tuple[float, ...]
    """The strengths of degradation at which training is validated, in `degrade`'s unit."""

    from_pairs: bool = False
    """Whether what `begin` is given are pairs of pictures, ``(b, 2c, h, w)``: before and after."""
    space: str = "srgb"
    """The space of the values that agents work on, one of `pixelrl.imaging.color.SPACES`."""
    metric_name: str = "psnr"
    """What `metric` measures."""
    pays_actions: bool = True
    """Whether `action_rewards` is known. If not, only the ``sampled`` gradient can learn the task."""

    @property
    def in_color(self) -> bool:
        """Whether its pictures must have three channels."""
        return self.from_pairs or isinstance(self.conditioning, NoiseMap) or self.space != "srgb"

    @abstractmethod
    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Degrade clean images at a given strength, for evaluation."""

    @abstractmethod
    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Degrade clean crops at random, for training."""

    def metric(self, image: Image, start: Episode) -> Float[Tensor, " b"]:
        """How good results are, by the measure of the field: here the PSNR in dB (`pixelrl.imaging.metrics.psnr`)."""
        return psnr(image, start.target)

    def compared(self, image: Image) -> Image:
        """The image as estimates of it are compared: here its values."""
        return image

    def step_reward(self, start: Episode, before: Image, after: Image) -> Float[Tensor, "b _ h w"]:
        """What a step earned each pixel, by channel or in all."""
        return self.reward(before, after, start.target)

    def episode_rewards(self, start: Episode, images: Sequence[Image]) -> list[Float[Tensor, "b _ h w"]]:
        """What every step of a whole episode earned, given the image before the first step and after every one."""
        return [self.step_reward(start, before, after) for before, after in pairwise(images)]

    def action_rewards(self, start: Episode, before: Image, outcomes: Outcomes) -> Float[Tensor, "b n _ h w"]:
        """What each action would earn an agent at once, if what the others do makes no difference."""
        return self.reward(before[:, None], outcomes, start.target[:, None])

    def joint_rewards(
        self, start: Episode, before: Image, outcomes: Outcomes, after: Image
    ) -> Float[Tensor, "b n _ h w"]:
        """What each action would earn an agent at once beside what the others did, the all-action gradient's input.

        The default is `action_rewards`: what the others do makes no difference.

        Args:
            start: of the episode.
            before: the image before the step.
            outcomes: the image after each action.
            after: the image after the step, as all agents' actions made it.
        """
        return self.action_rewards(start, before, outcomes)

    def reward(
        self, before: Float[Tensor, "..."], after: Float[Tensor, "..."], target: Float[Tensor, "..."]
    ) -> Float[Tensor, "..."]:
        """``r = 255 ((x_t - y)^2 - (x_{t+1} - y)^2)``: the decrease of the squared error (the paper's reward).

        The shapes may be any that broadcast, so that the outcomes of all actions can be scored at once.
        """
        return 255 * (torch.square(before - target) - torch.square(after - target))


MOST_STEPS = 1000
"""Of an episode: a hundred times as many as any here, and few enough for all their maps to be held."""


def checked_steps(num_steps: object) -> int:
    """An episode's length.

    Raises:
        UsageError: it is not a whole number from 1 to `MOST_STEPS`.
    """
    if type(num_steps) is not int or not 1 <= num_steps <= MOST_STEPS:
        what = brief(num_steps)
        raise UsageError(f"num_steps = {what} is not an episode's length; give a whole number, 1 to {MOST_STEPS}")
    return num_steps
