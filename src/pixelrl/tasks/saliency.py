"""Saliency-driven editing: make the eye go to one object, or away from it (the paper's fourth application).

The paper's title names it, but nothing of its design is known; this one is ours.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pixelrl.actions import PAPER_THIRTEEN
from pixelrl.errors import UsageError
from pixelrl.imaging.color import lab_distance, srgb_to_lab
from pixelrl.imaging.saliency import find_model, mean_over, means_of, shared_slopes, superpixels
from pixelrl.tasks.base import Episode, Task, checked_steps
from pixelrl.tasks.conditioning import Strength
from pixelrl.types import Image

ACTIONS = (
    *PAPER_THIRTEEN,
    "brightness -0.1",
    "brightness +0.1",
    "saturation x0.8",
    "saturation x1.25",
    "contrast x0.8",
    "contrast x1.25",
    "Gaussian 8",
    "sharpen",
)


@final
class SaliencyEditing(Task):
    """Raise the saliency of an object and lower that of its surroundings, or the other way round.

    The condition ``(b, 8, h, w)`` says of every pixel whether its saliency shall rise or fall
    (`pixelrl.imaging.saliency.object_planes`). An edit that moves it by d in Lab and changes the mean saliency of its
    side, object or surroundings, by s is worth ::

        direction * s - |strength| * least * d - cost * d^2

    to it, in tens of units. So an edit must bring ``least`` of what it moves, and of what does, strength times as much
    is done: one set of weights serves all strengths. Saliency is shared out, for it is made together: a pixel that went
    its own way, dark where its neighbours go bright, would be salient as well, but a speckle. The saliency model is a
    black box; it needs no gradient.

    Args:
        saliency: the model that is rewarded (`pixelrl.imaging.saliency.find_model`).
        strength: range of the strengths in training.
        least: units of saliency that a unit of distance in Lab must bring at least.
        cost: what the square of a unit of distance costs. A pixel that gains a unit for each is best moved by
            ``strength * (1 - least) / (2 * cost)``.
        share: radius in pixels in which neighbours share what an action brings
            (`pixelrl.imaging.saliency.shared_slopes`).
        num_steps: T.
        actions: names of the operations.

    Raises:
        UsageError: an unknown model, a range that is none, a negative cost, or less than one step.
    """

    conditioning = Strength()
    metric_name = "worth"
    in_color = True

    def __init__(
        self,
        saliency: str = "contrast",
        strength: tuple[float, float] = (0.1, 1.0),
        least: float = 0.15,
        cost: float = 0.008,
        share: int = 16,
        num_steps: int = 5,
        actions: tuple[str, ...] = ACTIONS,
    ) -> None:
        low, high = strength
        if not 0 < low <= high < math.inf:
            raise UsageError(f"strength = {list(strength)} is not a range; give two numbers, 0 < low <= high")
        if not (0 <= cost < math.inf and 0 <= least < math.inf):
            raise UsageError(f"cost = {cost} or least = {least} is not a price; give 0 or more")
        if type(share) is not int or not 0 <= share <= 1000:
            raise UsageError(f"share = {share} is not a radius; give a whole number of pixels, 0 to 1000")
        self.levels = (-1.0, -0.5, 0.5, 1.0)
        self.saliency, self.strength, self.least, self.cost = find_model(saliency), (low, high), least, cost
        self.share = share
        self.num_steps, self.action_names = checked_steps(num_steps), tuple(actions)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Give each image a random object, to be treated with strength ``level``; the images are as they are."""
        return self._episode(clean, clean.new_full((len(clean),), level), generator)

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets an object, a direction and a strength of its own."""
        low, high = self.strength
        which, way = torch.rand((2, len(clean)), generator=generator, device=clean.device)
        strength = (low + (high - low) * which) * torch.where(way < 0.5, -1.0, 1.0)
        return self._episode(clean, strength, generator)

    def _episode(self, image: Image, strength: Float[Tensor, " b"], generator: torch.Generator) -> Episode:
        masks = torch.stack([random_object(each, generator) for each in image])[:, None]
        condition = self.conditioning.encode(image, {"strength": strength}, masks)
        return Episode(image, image, condition, image.new_ones((len(image), 1)))

    def metric(self, image: Image, start: Episode) -> Float[Tensor, " b"]:
        """What the whole episode earned a pixel in the mean."""
        return self.step_reward(start, start.image, image).mean((1, 2, 3))

    def step_reward(self, start: Episode, before: Image, after: Image) -> Float[Tensor, "b 1 h w"]:
        """What the image after the step is worth more than that before."""
        return self._worth(start, after) - self._worth(start, before)

    def action_rewards(self, start: Episode, before: Image, outcomes: Float[Tensor, "b n c h w"]) -> Tensor:
        """What an action earns all agents together if one pixel takes it and all others wait; see `joint_rewards`."""
        return self.joint_rewards(start, before, outcomes, before)

    def joint_rewards(
        self, start: Episode, before: Image, outcomes: Float[Tensor, "b n c h w"], after: Image
    ) -> Tensor:
        """What an action earns all agents together if one pixel takes it instead of waiting, beside what others did.

        One pixel among many changes little, so the first order tells it all: the slope of the saliency, weighted by
        the direction, at the image that the agents made together (`pixelrl.imaging.saliency.slopes`), times what the
        action changes; less what it costs the pixel, which is exact.
        """
        direction, strength = start.condition[:, :1], start.condition[:, None, 1:2]
        slope = shared_slopes(self.saliency, after.clamp(0, 1), direction / 10, self.share)[:, None]
        gains = (slope * (outcomes.clamp(0, 1) - before[:, None].clamp(0, 1))).sum(2, keepdim=True)
        costs = self._costs(strength, start.target[:, None], outcomes)
        return gains - (costs - self._costs(strength, start.target[:, None], before[:, None])) / 10

    def _worth(self, start: Episode, image: Image) -> Float[Tensor, "b 1 h w"]:
        direction, map_ = start.condition[:, :1], self._saliency(image)
        rising = direction > 0
        gains = direction * torch.where(rising, mean_over(rising, map_), mean_over(~rising, map_))
        return (gains - self._costs(start.condition[:, 1:2], start.target, image)) / 10

    # Images are taken as they will be seen: sharpening again and again would else earn without end.

    def _saliency(self, image: Image) -> Float[Tensor, "b 1 h w"]:
        return self.saliency(image.clamp(0, 1))

    def _costs(self, strength: Tensor, target: Tensor, image: Tensor) -> Tensor:
        moved = lab_distance(srgb_to_lab(image.clamp(0, 1)), srgb_to_lab(target))
        return strength * self.least * moved + self.cost * moved.square()


def random_object(image: Float[Tensor, "3 h w"], generator: torch.Generator) -> Bool[Tensor, "h w"]:
    """A random patch of similar colour: a superpixel and those neighbours, and theirs, that look like it."""
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
    return torch.from_numpy(inside[segments]).to(image.device)
