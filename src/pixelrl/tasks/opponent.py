"""Any task on pictures in colour whose agents work on opponent colours instead of red, green and blue."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.imaging.color import OPPONENT, from_opponent, to_opponent
from pixelrl.tasks.base import Episode, Task
from pixelrl.types import Image


@final
class InOpponentColours(Task):
    """A task as agents meet it whose channels are a pixel's brightness and two differences of its colours.

    Pictures are degraded, and results measured, in red, green and blue. Rewards are decreases of the squared error of
    the opponent colours; summed over them, a third of what it is in red, green and blue.

    Args:
        task: on sRGB values, with the rewards of `Task`.

    Raises:
        UsageError: a task on other values, or with rewards of its own.
    """

    space = OPPONENT

    def __init__(self, task: Task) -> None:
        rewards = ("step_reward", "episode_rewards", "action_rewards", "joint_rewards", "reward")
        own = any(getattr(type(task), name) is not getattr(Task, name) for name in rewards)
        if task.space != "srgb" or task.from_pairs or own:
            raise UsageError(
                "space = 'opponent' is for tasks on sRGB values that pay by the squared error; leave it out"
            )
        self.task = task
        self.action_names, self.num_steps, self.levels = task.action_names, task.num_steps, task.levels
        self.conditioning, self.metric_name = task.conditioning, task.metric_name

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """As the task does."""
        return _in_opponent_colours(self.task.degrade(clean, level, generator))

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """As the task does."""
        return _in_opponent_colours(self.task.begin(clean, generator))

    def metric(self, image: Image, start: Episode) -> Float[Tensor, " b"]:
        """The task's own."""
        before = replace(start, image=from_opponent(start.image), target=from_opponent(start.target))
        return self.task.metric(from_opponent(image), before)


def _in_opponent_colours(start: Episode) -> Episode:
    return replace(start, image=to_opponent(start.image), target=to_opponent(start.target))
