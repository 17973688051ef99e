"""A policy with its actions on tensors: what it is, what it can be told, and the episodes that it plays.

`pixelrl.agent.Agent` adds what a user has: images of any kind, numbers that are to be estimated, huge pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import cast

import torch

from pixelrl.actions import ActionSet
from pixelrl.checkpoint import PolicyCard
from pixelrl.edits import Edit, Mask, edits_of
from pixelrl.errors import InputError, UsageError
from pixelrl.imaging.color import OPPONENT, from_space, kind_of_space, to_space
from pixelrl.playing import TILE, Play, mean_of_symmetries
from pixelrl.policies import Policy
from pixelrl.policies.wrapped import InGrey
from pixelrl.precision import Precision, choose_precision
from pixelrl.progress import Progress
from pixelrl.result import AnyEdits
from pixelrl.rollout import Trajectory, Watch
from pixelrl.tasks.base import MOST_STEPS
from pixelrl.tasks.conditioning import find_conditioning
from pixelrl.telling import Telling
from pixelrl.types import Condition, Image
from pixelrl.validation import brief


class TensorAgent:
    """A policy with its actions, ready for tensors.

    Args:
        policy: in evaluation mode.
        card: what the policy's file says.
        device: where to compute.
        precision: ``auto``, ``fp32`` or ``bf16`` (`pixelrl.load`).

    Raises:
        UsageError: another precision, or bf16 for a policy that knows fp32 alone.
    """

    def __init__(self, policy: Policy, card: PolicyCard, device: torch.device, precision: str = "auto") -> None:
        self.policy, self.card, self.device = policy.to(device), card, device
        chosen = choose_precision(precision, device)
        if self.policy.precision is not None:
            self.policy.precision = chosen
        elif precision == "bf16":
            raise UsageError(
                f"precision 'bf16' cannot be used: policy {card.name} computes in fp32 alone; leave it out"
            )
        self.actions = ActionSet(card.action_names)
        self.conditioning = find_conditioning(card.condition)

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.card.name

    @property
    def num_channels(self) -> int:
        """Channels that the policy sees together: 3 for colour, 1 for one that runs on each channel by itself."""
        return int(cast(int, self.card.arguments.get("num_channels", 1)))

    @property
    def precision(self) -> Precision:
        """In which numbers its encoder computes. All else is computed in fp32."""
        return self.policy.precision or "fp32"

    @property
    def takes_mask(self) -> bool:
        """Whether it takes an object in the image, as a mask."""
        return self.conditioning.takes_mask

    @property
    def legible(self) -> bool:
        """Whether it can be told how plain its maps of operations shall be."""
        return self.policy.legible

    @property
    def legibility(self) -> float | None:
        """What it is told of that when nobody says: from 0, the best quality, to 1, the plainest maps.

        None if it cannot be told.
        """
        return self.policy.default_legibility if self.legible else None

    def learned_to_choose(self, legibility: float | None = None) -> bool:
        """Whether reinforcement has taught it to choose, so that its probabilities say how sure it is.

        A policy of which only the estimate was trained takes the outcome that lies nearest to it, and so may any that
        is told legibility 0. Its probabilities are distances in other words.

        Args:
            legibility: what it is told; None for its default.
        """
        told = self.policy.default_legibility if legibility is None else legibility
        return self.card.reinforced and self.policy.learned_to_choose(told)

    def check_legibility(self, legibility: float | None) -> float | None:
        """What the policy will be told of legibility if this is asked for; None for a policy that cannot be told.

        Raises:
            UsageError: a policy that cannot be told is to be, or the value is no number from 0 to 1.
        """
        if legibility is None:
            return self.legibility
        given = f"legibility = {brief(legibility)}"
        if not self.legible:
            cannot = f"policy {self.name} cannot be told how plain its maps shall be"
            raise UsageError(f"{given} cannot be used: {cannot}; leave it out")
        if isinstance(legibility, bool) or not isinstance(legibility, Real) or not 0 <= legibility <= 1:
            raise UsageError(f"{given} is out of range; give a number from 0 (best quality) to 1 (plainest maps)")
        return float(legibility)

    def works_in(self, space: str) -> bool:
        """Whether the agents work on values of such a space."""
        kind = kind_of_space(space)
        return kind == self.card.space or (kind == self.conditioning.space_kind and self.card.space != OPPONENT)

    @property
    def _telling(self) -> Telling:
        return Telling(self.card, self.conditioning)

    def policy_for(self, channels: int) -> tuple[Policy, int]:
        """The policy as it is used on images of so many channels, and how many of them it sees together.

        Raises:
            InputError: a number of channels that it cannot take.
        """
        trained = self.num_channels
        if channels == 1 and trained == self.policy.num_agents == 3:
            return InGrey(self.policy).eval(), 1
        if (trained, channels) == (3, 1):
            said = "is for colour pictures, and this one is grey, or a channel by itself; convert it to RGB"
            raise InputError(f"policy {self.name} {said}")
        if trained not in (1, channels):
            raise InputError(f"policy {self.name} takes {trained} channels, the image has {channels}")
        return self.policy, trained

    def condition(
        self, image: Image, values: Mapping[str, float] | Sequence[Mapping[str, float]], mask: Mask | None = None
    ) -> Condition:
        """What the policy is told, as it sees it: ``(b, k, h, w)``, or ``(b, k, 1, 1)`` alike for all pixels.

        Args:
            image: ``(b, c, h, w)``.
            values: by name, as in `Result.condition`, or for each image, as in `Result.conditions`.
            mask: as in `Result.mask`.
        """
        return self._telling.planes(image, values, mask)

    @torch.no_grad()
    def clean_estimate(self, image: Image, condition: Condition) -> Image | None:
        """What the policy takes for the clean image as the episode begins; None if it forms no estimate.

        Args:
            image: ``(b, c, h, w)`` in sRGB, with as many channels as the policy sees together.
            condition: what it is told, as `condition` gives it.
        """
        seen = to_space(image, self.card.space)
        estimate = self.policy.estimate(self.policy.perceive(seen, condition), seen)
        return None if estimate is None else from_space(estimate, self.card.space)

    def run(
        self,
        image: Image,
        condition: Condition,
        steps: int | None = None,
        tile: int | None = TILE,
        edits: AnyEdits = (),
        watch: Watch | None = None,
        progress: Progress | None = None,
        space: str | None = None,
        legibility: float | None = None,
    ) -> tuple[Trajectory, Image]:
        """Play one greedy episode on ``(b, c, h, w)``; a grey policy has one agent for each of the c channels.

        ``watch`` is called at every step. The b x c planes of a grey policy may come in several groups, one after the
        other, each with all its steps. ``progress`` is called with the share that is done of all of them. ``space`` is
        that of the values in which the condition holds (`Conditioning.space`), the policy's own if it is left out.
        ``legibility`` is how plain the maps shall be, from 0 (the best quality) to 1; None for `Agent.legibility`.

        Raises:
            InputError: a number of channels that the policy cannot take.
            UsageError: steps or a tile that are no whole number or out of range, an edit that does not fit, or a
                legibility that the policy does not take.
            ValueError: the condition has not four dimensions.
        """
        told = self.check_legibility(legibility)
        play = self._play(steps, tile, edits_of(edits), watch, self.card.space if space is None else space, told)
        return play.on(*self.policy_for(image.shape[1]), image, condition, progress)

    def _play(
        self,
        steps: int | None,
        tile: int | None,
        edits: Sequence[Edit],
        watch: Watch | None,
        space: str,
        legibility: float | None,
    ) -> Play:
        side = None if tile is None else _whole("tile", tile, 1)
        return Play(self.actions, self._num_steps(steps), side, space, legibility, edits, watch)

    def _num_steps(self, steps: int | None) -> int:
        return self.card.num_steps if steps is None else _whole("steps", steps, 0, MOST_STEPS)

    def ensembled(
        self,
        image: Image,
        condition: Condition,
        steps: int | None = None,
        tile: int | None = TILE,
        progress: Progress | None = None,
        space: str | None = None,
    ) -> Image:
        """The mean final image of `run` over the eight symmetries of the square (the paper's "+ aug.").

        A policy that can be told how plain its maps shall be is told 0: of a mean there are no maps.
        """
        best = 0.0 if self.legible else None

        def final(image: Image, condition: Condition, progress: Progress | None) -> Image:
            return self.run(image, condition, steps, tile, progress=progress, space=space, legibility=best)[1]

        return mean_of_symmetries(final, image, condition, progress)


def _whole(name: str, value: object, least: int, most: int | None = None) -> int:
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if number >= least and (most is None or number <= most):
            return number
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise UsageError(f"{name} = {brief(value)} cannot be; give a whole number {limits}, or None to leave it open")
