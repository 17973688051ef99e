"""A reward that no gradient reaches: any function of pictures is what the agents work for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.plugins import resolve
from pixelrl.tasks.base import Episode, Task, checked_steps
from pixelrl.types import AgentMap, Image, Outcomes

ACTIONS = (
    "do nothing",
    "Gaussian 1.5",
    "Gaussian 3 wide",
    "median",
    "bilateral 1.0",
    "sharpen",
    "sharpen strongly",
    "local contrast",
    "black or white",
    "open",
    "close",
)

Score = Callable[[Image], Any]
"""From pictures ``(b, c, h, w)`` to numbers ``(b,)``, ``(b, h, w)`` or ``(b, 1, h, w)``, the larger, the better."""


@final
class Rewarded(Task):
    """Pictures are worked on as they are given, for a score of what comes out, less a price of acting.

    There are no clean pictures and no degradation: whoever gives the pictures has chosen what they need. The score is a
    black box that is asked about finished pictures, so what another action would have earned is not known: such a task
    learns by the ``sampled`` gradient, best with several ``rollouts`` of each picture and with agents that explore
    in regions (`pixelrl.training.recipe.LearnerSettings`).

    Args:
        score: ``module:function``, a `Score`. One number a picture is shared by all of its agents.
        price: what it costs an agent to change its pixel's values, at every step in which it does, in the score's unit.
        num_steps: T.
        actions: names of the operations.

    Raises:
        UsageError: no such function, a price that is none, or less than one step.
    """

    metric_name = "score"
    pays_actions = False

    def __init__(self, score: str, price: float = 0.0, num_steps: int = 3, actions: tuple[str, ...] = ACTIONS) -> None:
        if not 0 <= price < math.inf:
            raise UsageError(f"price = {price} is not a price; give 0 or more")
        self.levels = (0.0,)
        self.reference, self.price = score, price
        self.score: Score = resolve(score, {}, callable, "a function", "score", may_import=True)
        self.num_steps, self.action_names = checked_steps(num_steps), tuple(actions)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """The pictures as they are; there is no level, and the target, which nothing looks at, is they themselves."""
        return Episode(clean, clean, self.conditioning.condition(clean, {}), clean.new_ones((len(clean), 1)))

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Like `degrade`."""
        return self.degrade(clean, 0.0, generator)

    def metric(self, image: Image, start: Episode) -> Float[Tensor, " b"]:
        """The score, of which the mean is taken if there is one for every pixel; without the price."""
        return self._scored(image).mean((1, 2, 3))

    def step_reward(self, start: Episode, before: Image, after: Image) -> AgentMap:
        """What the step added to the score, less its price where it changed something."""
        return self._scored(after) - self._scored(before) - self._cost(before, after)

    def episode_rewards(self, start: Episode, images: Sequence[Image]) -> list[AgentMap]:
        """The score at the last step, where it is asked for once, and the price at every step."""
        rewards = [-self._cost(before, after) for before, after in pairwise(images)]
        rewards[-1] = rewards[-1] + self._scored(images[-1])
        return rewards

    def action_rewards(self, start: Episode, before: Image, outcomes: Outcomes) -> Tensor:
        """Not known.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "the score of every single action is not known to task 'rewarded'; set learner.gradient = \"sampled\""
        )

    def _cost(self, before: Image, after: Image) -> AgentMap:
        return self.price * (before != after).to(after.dtype)

    def _scored(self, image: Image) -> AgentMap:
        """The user's score of every pixel, the same for each of its channels.

        Raises:
            UsageError: the function returns something else than a `Score` does.
        """
        b, _, h, w = image.shape
        wanted = f"it must return {(b,)}, a number a picture, or {(b, h, w)}, one a pixel"
        score = self.score(image.detach())
        try:
            given = torch.as_tensor(score).to(image)
        except (TypeError, ValueError, RuntimeError) as error:
            what = "None" if score is None else f"no numbers, but an object of type {type(score).__name__},"
            raise UsageError(
                f"score {self.reference!r} returns {what} for pictures {tuple(image.shape)}; {wanted}"
            ) from error
        if given.shape not in ((b,), (b, h, w), (b, 1, h, w)):
            raise UsageError(
                f"score {self.reference!r} returns {tuple(given.shape)} for pictures {tuple(image.shape)}; {wanted}"
            )
        if not given.isfinite().all():
            raise UsageError(f"score {self.reference!r} returns numbers that are not finite")
        return given.view(b, 1, *given.shape[-2:] if given.ndim > 1 else (1, 1)).expand_as(image)
