"""Saliency-driven editing: make the eye go to one object, or away from it (the paper's fourth application).

The paper's title names it, but nothing of its design is known; this one is ours.
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.actions import PAPER_THIRTEEN
from pixelrl.color import lab_distance, srgb_to_lab
from pixelrl.errors import UsageError
from pixelrl.saliency import MOST, find_model, means_of, superpixels, wanted
from pixelrl.tasks.base import Episode, Task, checked_steps
from pixelrl.types import Image

ACTIONS = (*PAPER_THIRTEEN, "Gaussian 0.5", "Gaussian 1.5", "sharpen")


@final
class SaliencyEditing(Task):
    """Raise the saliency of an object and lower that of its surroundings, or the other way round.

    Every pixel is told what is wanted of it, ``Episode.condition`` ``(b, 1, h, w)``: strength times the weight of its
    side, positive where saliency is to rise, negative where it is to fall (`pixelrl.saliency.wanted`). It earns that
    times the change of the saliency map, less the square of what it moves away from the original in Lab: so a strength
    is a price that may be paid, a little is cheap, and one set of weights serves all strengths. The saliency model is a
    black box; it needs no gradient.

    Args:
        saliency: the model that is rewarded (`pixelrl.saliency.find_model`).
        strength: range of the strengths in training.
        most: see `pixelrl.saliency.MOST`; with 0 every pixel weighs the same.
        cost: what one unit of distance in Lab costs, in units of saliency; ten units cost a hundred times as much.
        num_steps: T.
        actions: names of the operations.

    Raises:
        UsageError: an unknown model, a range that is none, a negative cost or weight, or less than one step.
    """

    condition_name = "strength"
    metric_name = "worth"

    def __init__(
        self,
        saliency: str = "contrast",
        strength: tuple[float, float] = (0.2, 1.0),
        most: float = MOST,
        cost: float = 0.03,
        num_steps: int = 10,
        actions: tuple[str, ...] = ACTIONS,
    ) -> None:
        low, high = strength
        if not 0 < low <= high:
            raise UsageError(f"strength = {list(strength)} is not a range; give two numbers, 0 < low <= high")
        if not (cost >= 0 and most >= 0):
            raise UsageError(f"cost = {cost} or most = {most} is negative; give 0 or more")
        self.levels = (0.3, 0.6, 1.0)
        self.saliency, self.strength, self.cost = find_model(saliency), (low, high), cost
        self.most = most
        self.num_steps, self.action_names = checked_steps(num_steps), tuple(actions)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Emphasise a random object of each image with strength ``level``; the images themselves are as they are."""
        masks = torch.stack([random_object(image, generator) for image in clean])[:, None].to(clean)
        strength = clean.new_full((len(clean), 1), level)
        return self._episode(clean, wanted(masks, strength, self.most) if self.most else level * (2 * masks - 1))

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets an object, a direction and a strength of its own."""
        low, high = self.strength
        which, way = torch.rand((2, len(clean)), generator=generator, device=clean.device)
        strength = (low + (high - low) * which) * torch.where(way < 0.5, -1.0, 1.0)
        start = self.degrade(clean, 1.0, generator)
        return self._episode(clean, start.condition * strength[:, None, None, None])

    @staticmethod
    def _episode(image: Image, told: Float[Tensor, "b 1 h w"]) -> Episode:
        return Episode(image, image, told, image.new_ones((len(image), 1)))

    def metric(self, image: Image, start: Episode) -> Float[Tensor, " b"]:
        """What the whole episode earned a pixel in the mean."""
        return self.step_reward(start, start.image, image).mean((1, 2, 3))

    def step_reward(self, start: Episode, before: Image, after: Image) -> Float[Tensor, "b 1 h w"]:
        """Strength times the measured change of saliency in the wanted direction, less that of the cost in Lab."""
        return self._worth(start, after) - self._worth(start, before)

    def action_rewards(self, start: Episode, before: Image, outcomes: Float[Tensor, "b n c h w"]) -> Tensor:
        """What an action earns a pixel if its whole side, object or surroundings, takes it and the other one waits.

        Saliency is contrast: alone, no pixel can do anything for it. So each action is tried out twice for the whole
        image, once inside and once outside the object.
        """
        inside = start.condition > 0
        now = self._worth(start, before)
        rewards = []
        for outcome in outcomes.unbind(1):
            within, around = (self._worth(start, torch.where(side, outcome, before)) for side in (inside, ~inside))
            rewards.append(torch.where(inside, within, around) - now)
        return torch.stack(rewards, 1)

    def _worth(self, start: Episode, image: Image) -> Float[Tensor, "b 1 h w"]:
        # As it will be seen: sharpening again and again would else earn without end.
        image = image.clamp(0, 1)
        moved = lab_distance(srgb_to_lab(image), srgb_to_lab(start.target))
        return start.condition * self.saliency(image) - self.cost * moved.square()


def random_object(image: Float[Tensor, "3 h w"], generator: torch.Generator) -> Float[Tensor, "h w"]:
    """A random patch of similar colour: a superpixel and those neighbours, and theirs, that look like it; 1 inside."""
    height, width = image.shape[-2:]
    segments = superpixels(image, max(4, height * width // 400))
    number = int(segments.max()) + 1
    counts = np.bincount(segments.ravel())
    means = means_of(srgb_to_lab(image).cpu().numpy(), segments)
    draws = torch.rand(3, generator=generator, device=generator.device).tolist()
    first = min(int(draws[0] * number), number - 1)
    alike = np.linalg.norm(means - means[first], axis=1) < 0.05 + 0.15 * draws[1]
    most = (0.03 + 0.27 * draws[2]) * segments.size
    down, right = (segments[:-1], segments[1:]), (segments[:, :-1], segments[:, 1:])
    pairs = np.concatenate([np.stack(two, -1).reshape(-1, 2) for two in (down, right)])
    inside = np.arange(number) == first
    for _ in range(number):
        touching = np.unique(np.concatenate([pairs[inside[pairs[:, 0]], 1], pairs[inside[pairs[:, 1]], 0]]))
        fresh = [i for i in touching if alike[i] and not inside[i]]
        if not fresh or counts[inside].sum() >= most:
            break
        inside[fresh[0]] = True
    return torch.from_numpy(inside[segments]).to(image)
