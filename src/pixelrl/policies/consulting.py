"""The policy whose maps can be read: agents plan, and consult their neighbours before they act.

The image that an operation gives is known before it is chosen, so what an agent has to learn is what such an image is
worth: what the later steps can still mend of it, and at which price in maps that nobody can read. It is told how plain
the maps are to be (`Consulting.told`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pixelrl.imaging.color import OPPONENT_SCALE
from pixelrl.policies.base import Memory, PolicyOutput, check_sizes
from pixelrl.policies.council import Council, nearest
from pixelrl.policies.estimating import Estimating, cropped, of_size
from pixelrl.policies.judge import REACH, CellLogits, Judge, Planes, Seen, cells, look
from pixelrl.policies.misses import DENSITY_REACH, usual_miss, usual_miss_of_impulses
from pixelrl.policies.votes import OF_CELLS, OF_PIXELS, PIXEL_ROUNDS, ROUNDS, doubled, persuaded, votes_of
from pixelrl.rl.choice import best
from pixelrl.threads import Team, worthwhile_threads
from pixelrl.types import ActionMap, Condition, Image, Logits, Outcomes

SHARPNESS = 8.0
"""Logits are so many times as large as scores."""
LOWEST_PRICE, HIGHEST_PRICE = 0.01, 2.5
"""What it costs to disagree with all neighbours, at the ends of the scale of prices, in squares of the usual miss."""
PLAINEST = 0.85
"""Where legibility 1 lies on that scale. Beyond it, sigma 25 loses another 0.3 dB for 0.2 bits per pixel."""
UNITS = ("condition", "density")
"""What the usual miss may follow: the first plane of the condition, or the density of salt & pepper."""


class Distances(NamedTuple):
    """How far outcomes are from the estimate, times the factor by which that counts at a step."""

    cell: CellLogits
    """In the mean over a cell, as it is part of the cell's score."""
    own: Logits
    """At the pixel itself, ``(b, n, g, h, w)``."""


@final
class Consulting(Estimating):
    """An estimating policy whose agents learn to plan, and consult each other.

    At legibility 0 every agent takes the outcome that is nearest to the estimate. Above, each step has two parts.

    1. *Judging.* Every outcome gets a score: minus its distance to the estimate, at the pixel and around it, by two
       learned factors for each step, plus what a small network makes of what the outcome leaves to be done
       (`pixelrl.policies.judge`). The network knows outcomes only, not which operation made them.
    2. *Consulting.* Every agent takes its best action; then, in rounds, each adds to its scores the shares of its
       neighbours that now choose the action, and takes the best again (iterated conditional modes;
       Besag, J. R. Statist. Soc. B 1986), from coarse to fine: first groups of agents act as one (`ROUNDS`), and where
       they end, the smaller ones begin. The logits are the scores with the last round's shares.

    The network learns by search (`pixelrl.training.search`), or from what comes of trials (`pixelrl.training.trials`);
    the encoder is left as it is.

    Args:
        num_actions: number of actions n.
        num_channels: channels of the image, each with its own agent.
        width: channels of the encoder at half resolution.
        deep_width: channels of the encoder at a quarter of the resolution.
        depths: residual blocks before, in and after the quarter-resolution part.
        head_width: of the judge's hidden layers.
        num_steps: T. In a longer episode, the last step's weights serve the rest.
        default_legibility: what is told if nobody says.
        estimator: how the estimate comes about, a key of `pixelrl.policies.estimators.ESTIMATORS`.
        condition_planes: planes of the condition (`pixelrl.tasks.Conditioning.num_planes`).
        unit: of prices, one of `UNITS`: what the usual miss of the estimate follows.
        opponent: whether the agents of a pixel work on its opponent colours (`pixelrl.imaging.color.to_opponent`), one
            on its brightness and two on its colour, instead of red, green and blue.
        deepest: residual blocks at an eighth of the resolution, in the middle of those at a quarter; 0 for none.
        deepest_width: channels of the encoder there.

    Raises:
        ValueError: an unknown estimator or unit, two that do not go together, an estimator with fewer agents than
                channels, or sizes that are none.
    """

    has_values = False
    legible = True
    changes = 1
    reward_kernel = None

    def __init__(
        self,
        num_actions: int,
        num_channels: int = 1,
        width: int = 64,
        deep_width: int = 128,
        depths: Sequence[int] = (2, 3, 2),
        head_width: int = 16,
        num_steps: int = 5,
        default_legibility: float = 0.5,
        estimator: str = "plain",
        condition_planes: int = 1,
        unit: str = "condition",
        opponent: bool = False,
        deepest: int = 0,
        deepest_width: int = 96,
    ) -> None:
        super().__init__(
            num_channels,
            width,
            deep_width,
            depths,
            estimator,
            condition_planes,
            opponent,
            deepest,
            deepest_width,
        )
        check_sizes(head_width=head_width, num_steps=num_steps)
        if self.num_agents != num_channels:
            raise ValueError(f"the estimator {estimator!r} has one agent for all channels, which cannot consult here")
        if not 0 <= default_legibility <= 1:
            raise ValueError(f"default_legibility = {default_legibility} must be a number from 0 to 1")
        if unit not in UNITS:
            raise ValueError(f"unit = {unit!r} is unknown; known are {', '.join(UNITS)}")
        if opponent and unit == "density":
            raise ValueError("unit = 'density' is for values that are hit one by one; opponent colours mix them")
        if unit == "density" and estimator != "impulses":
            raise ValueError(f"unit = 'density' is for the estimator 'impulses', not for {estimator!r}")
        self.unit = unit
        self.num_actions, self.num_steps, self.default_legibility = num_actions, num_steps, default_legibility
        self.judge = Judge(num_steps, head_width)
        # At first steps the surroundings count most, for what is wrong at single pixels can be mended later.
        own, around = torch.linspace(-2.0, 0.5, num_steps), torch.linspace(-0.6, -1.8, num_steps)
        self.log_factors = nn.Parameter(torch.stack([own, around], 1))
        consulted = 2 * (OF_CELLS[1] // 2) * (1 + sum(size * rounds for size, rounds in ROUNDS)) + REACH
        consulted += PIXEL_ROUNDS * (OF_PIXELS[1] // 2)
        seen = max(self.reach, 4 * -(-DENSITY_REACH // 4)) if unit == "density" else self.reach
        self._reaches = seen, 4 * -(-consulted // 4)
        self.reach = max(self._reaches)
        for part in (self.encoder, self.to_residual):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fastest on CPU, bf16 above all

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """Encode the noisy image with its condition. Told nothing yet, the memory holds the lowest price, none."""
        estimate = self.understood(image, condition).estimate
        if self.unit == "density":
            usual = usual_miss_of_impulses(image)
        else:
            usual = usual_miss(condition).expand(-1, -1, *image.shape[-2:])[:, :, ::2, ::2]
        usual = usual * OPPONENT_SCALE if self.opponent else usual
        estimate = cropped(estimate, image)
        zero = torch.zeros_like(estimate[:, :1])
        return torch.cat([estimate, usual + zero, zero, zero], 1)

    def told(self, memory: Memory, legibility: float | Tensor) -> Memory:
        """See `pixelrl.policies.Policy.told`."""
        plane = PLAINEST * torch.as_tensor(legibility, dtype=memory.dtype, device=memory.device).view(-1, 1, 1, 1)
        return torch.cat([memory[:, :-2], plane.expand_as(memory[:, -2:-1]), memory[:, -1:]], 1)

    def reaches(self, legibility: float) -> tuple[int, int]:
        """At legibility 0 nobody consults, and a pixel looks at its own outcomes only."""
        perceive, forward = self._reaches
        return perceive, forward if legibility > 0 else 0

    def price(self, legibility: Tensor, memory: Memory, image: Image) -> Tensor:
        """See `pixelrl.policies.Policy.price`."""
        usual = doubled(memory[:, -3:-2], image)
        return 255 * (usual * share_of_miss(PLAINEST * legibility[:, None, None, None])).square()

    def estimate(self, memory: Memory, image: Image) -> Image:
        """The encoder's own estimate of the clean image, of ``image``'s size."""
        return of_size(memory[:, :-3], image)

    def learned_to_choose(self, legibility: float) -> bool:
        """Not while the judge is as it was made, nor where it is not asked."""
        return legibility > 0 and bool(self.judge.leave.any())

    def choosing(self) -> list[nn.Parameter]:
        """The weights that a search changes: the factors, and the judge's last layer, in which scores are linear."""
        return [self.log_factors, self.judge.leave]

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """Judge every outcome, then consult. The memory ends with unit, place on the scale of prices, and step."""
        after = torch.cat([memory[:, :-1], memory[:, -1:] + 1], 1)
        goal = self.estimate(memory, image)
        if not memory[:, -2].any():
            return PolicyOutput(-255 * (outcomes - goal[:, None]).abs(), None, after)
        # Agents of other channels are not heard, and one channel after the other takes less memory.
        logits = [
            self.settled(*self._judged(outcomes[:, :, one], goal[:, one], memory))
            for one in (slice(channel, channel + 1) for channel in range(self.num_channels))
        ]
        return PolicyOutput(logits[0] if len(logits) == 1 else torch.cat(logits, 2), None, after)

    def chosen(self, image: Image, outcomes: Outcomes, memory: Memory) -> tuple[ActionMap, Memory]:
        """See `pixelrl.policies.Policy.chosen`. On a CPU no logits are made for it (`pixelrl.policies.council`)."""
        if image.device.type != "cpu" or torch.is_grad_enabled():
            return super().chosen(image, outcomes, memory)
        goal, height, width = self.estimate(memory, image), *image.shape[-2:]
        planes, aims = [plane for each in outcomes.numpy() for plane in each.swapaxes(0, 1)], goal.flatten(0, 1).numpy()
        with Team(worthwhile_threads(goal.numel())) as team:
            if memory[:, -2].any():
                unit, degree = (plane[:, 0].numpy() for plane in self._terms(memory, goal))
                own, around = self.log_factors[self._step(memory)].exp().tolist()
                judge = self.judge.of_step(self._step(memory))
                picked = Council(planes, aims, unit, degree, judge, own, around, team).chosen()
            else:
                picked = nearest(planes, aims, team)
        after = torch.cat([memory[:, :-1], memory[:, -1:] + 1], 1)
        return torch.from_numpy(picked).view(-1, self.num_channels, height, width), after

    def scores(self, image: Image, outcomes: Outcomes, memory: Memory) -> tuple[CellLogits, Distances]:
        """Each outcome's for every cell, ``(b, n, g, h / 2, w / 2)``, before any agent has heard of its neighbours."""
        return self._judged(outcomes, self.estimate(memory, image), memory)

    def _judged(
        self, outcomes: Outcomes, goal: Image, memory: Float[Tensor, "b m _ _"]
    ) -> tuple[CellLogits, Distances]:
        """`scores` of some channels."""
        step, seen = self._step(memory), self._look(outcomes, goal, memory)
        own, around = self.log_factors[step].exp()
        scores, agents = self.judge(step, seen) - own * seen.cell - around * seen.around, goal.shape[1]
        factor = own.item()
        distances = (_by_agent(each, agents) for each in (seen.cell * factor, seen.own.mul_(factor)))
        return _by_agent(scores, agents), Distances(*distances)

    def settled(self, scores: CellLogits, distances: Distances) -> Logits:
        """The logits: the scores with what the neighbours' choices add to them, once all have consulted."""
        planes, like = scores.transpose(1, 2).flatten(0, 1), distances.own
        alone = doubled((scores + distances.cell).flatten(1, 2), like).view_as(like).sub_(like)
        with torch.no_grad():
            choice = self._consulted(planes)
            everywhere = alone.transpose(1, 2).flatten(0, 1)
            choice = persuaded(everywhere, choice, *OF_CELLS)
            for _ in range(PIXEL_ROUNDS - 1):
                choice = persuaded(everywhere, choice, *OF_PIXELS)
            votes = _by_agent(votes_of(choice, self.num_actions, *OF_PIXELS), like.shape[2])
        return (alone + votes).mul_(SHARPNESS)

    def _step(self, memory: Memory) -> int:
        return min(round(memory[0, -1, 0, 0].item()), self.num_steps - 1)

    def _look(self, outcomes: Outcomes, goal: Image, memory: Memory) -> Seen:
        """What agents see; those of all channels stand beside each other as if they were images, ``(b c, n, h, w)``."""
        unit, degree = self._terms(memory, goal)
        return look(outcomes.transpose(1, 2).flatten(0, 1), goal.flatten(0, 1)[:, None], unit, degree)

    def _terms(self, memory: Memory, goal: Image) -> tuple[Tensor, Tensor]:
        """The unit of distances and the place on the scale of prices, ``(b c, 1, h, w)``."""
        unit, degree = memory[:, -3:-2], memory[:, -2:-1]
        planes = [doubled(plane, goal) for plane in ((unit * share_of_miss(degree)).clamp_min(1e-6), degree)]
        unit, degree = (plane.repeat_interleave(goal.shape[1], 0) for plane in planes)
        return unit, degree

    def _consulted(self, scores: Planes) -> ActionMap:
        """What cells choose in the end."""
        choice: ActionMap | None = None
        before = 1
        for size, rounds in ROUNDS:
            together = scores.detach() if size == 1 else cells(scores.detach())
            if choice is None:
                choice = best(together[:, :, None])
            else:
                finer = choice.repeat_interleave(before // size, -2).repeat_interleave(before // size, -1)
                choice = finer[..., : together.shape[-2], : together.shape[-1]]
            for _ in range(rounds):
                choice = persuaded(together, choice, *OF_CELLS)
            before = size
        assert choice is not None
        return choice


def _by_agent(planes: Planes, agents: int) -> Tensor:
    """Planes of agents beside each other as if they were images, as ``(b, n, g, h, w)``."""
    return planes.view(-1, agents, *planes.shape[1:]).transpose(1, 2)


def share_of_miss(degree: Tensor) -> Tensor:
    """The distance in whose square a disagreement with all neighbours is paid, as a share of the usual miss.

    By the place on the scale of prices, of which 0 is none and the next the lowest.
    """
    price = LOWEST_PRICE * (HIGHEST_PRICE / LOWEST_PRICE) ** degree
    return torch.where(degree > 0, price, 0.0).sqrt()
