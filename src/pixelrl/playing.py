"""How the agents of a batch play: which planes at a time, which images not at all, and the mean over symmetries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.edits import DO_NOTHING, Edit
from pixelrl.imaging.color import outcome_in_srgb, to_space
from pixelrl.policies import Policy
from pixelrl.policies.wrapped import Still
from pixelrl.progress import Progress, part
from pixelrl.rollout import Trajectory, Watch, rollout
from pixelrl.tasks.conditioning import check_condition
from pixelrl.types import Condition, Image

TILE = 1024
"""Side in pixels of the tiles that the network sees of large images. It bounds memory; `pixelrl.policies.tiling` says
what it changes (rounding at most)."""


@dataclass(frozen=True)
class Play:
    """How greedy episodes are played.

    Attributes:
        actions: of the policy.
        num_steps: T.
        tile: side in pixels of the tiles for the network; None for the whole image at once.
        space: of the values that the agents see.
        legibility: what a legible policy is told.
        edits: a person's edits, live.
        watch: called at every step.
    """

    actions: ActionSet
    num_steps: int
    tile: int | None
    space: str
    legibility: float | None
    edits: Sequence[Edit] = ()
    watch: Watch | None = None

    def on(
        self, policy: Policy, together: int, image: Image, condition: Condition, progress: Progress | None
    ) -> tuple[Trajectory, Image]:
        """One episode on ``(b, c, h, w)`` in sRGB, and the final image.

        Args:
            policy: in evaluation mode.
            together: how many channels it sees together; c, or 1 for a policy that has agents of each channel.
            image: all images of the batch.
            condition: of each of them.
            progress: called with the share that is done.

        Raises:
            UsageError: an edit that does not fit.
            ValueError: the condition has not four dimensions.
        """
        check_condition(condition)
        batch, channels, height, width = image.shape
        folded = to_space(image, self.space).reshape(-1, together, height, width)
        conditions = condition.repeat_interleave(len(folded) // batch, 0)
        side = None if self.tile is None or max(height, width) <= self.tile else self.tile
        # Many small planes at a time, or one large one: as much memory either way.
        at_once = max(1, (self.tile or TILE) ** 2 // (height * width))
        actions: Tensor | None = None
        idle: list[tuple[int, ...]] = []
        finals = torch.empty_like(folded)
        groups = [slice(start, start + at_once) for start in range(0, len(folded), at_once)]
        for i, own in enumerate(groups):
            trajectory, finals[own] = rollout(
                policy,
                self.actions,
                folded[own],
                conditions[own],
                self.num_steps,
                side,
                self.edits,
                self.watch,
                part(progress, i, len(groups)),
                self.legibility,
            )
            idle.append(trajectory.idle_edits)
            maps = trajectory.actions
            if actions is None:
                actions = maps if len(groups) == 1 else maps.new_empty((self.num_steps, len(folded), *maps.shape[2:]))
            if len(groups) > 1:
                actions[:, own] = maps
        assert actions is not None
        if channels != together:
            actions = actions.reshape(self.num_steps, batch, channels, height, width)
        final = outcome_in_srgb(finals.view_as(image), self.space, image)
        return Trajectory(image, actions, self.actions.names, self.space, in_all(idle)), final

    def but_still(
        self,
        policy: Policy,
        together: int,
        image: Image,
        condition: Condition,
        still: Bool[Tensor, " b"],
        progress: Progress | None,
    ) -> tuple[Trajectory, Image]:
        """`on`, but that the agents of the images that are ``still`` do nothing."""
        resting = self._resting(policy) if still.any() else policy
        if still.all() or not still.any():
            return self.on(resting, together, image, condition, progress)
        final, actions, played = image.clone(), None, None
        idle = []
        for i, (chosen, acting) in enumerate(((~still, policy), (still, resting))):
            own = chosen.nonzero().flatten()
            played, final[own] = self.on(acting, together, image[own], condition[own], part(progress, i, 2))
            idle.append(played.idle_edits)
            if actions is None:
                shape = (played.num_steps, len(image), *played.actions.shape[2:])
                actions = torch.zeros(shape, dtype=torch.uint8, device=played.actions.device)
            actions[:, own] = played.actions
        assert played is not None
        assert actions is not None
        return replace(played, initial=image, actions=actions, idle_edits=in_all(idle)), final

    def _resting(self, policy: Policy) -> Policy:
        """A policy of which every agent does nothing."""
        return Still(len(self.actions.names), self.actions.names.index(DO_NOTHING), policy.num_agents).eval()


def in_all(places: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The places of those edits that changed nothing anywhere, of those that changed nothing in each of some parts."""
    return tuple(place for place in places[0] if all(place in others for others in places)) if places else ()


def mean_of_symmetries(
    final: Callable[[Image, Condition, Progress | None], Image],
    image: Image,
    condition: Condition,
    progress: Progress | None,
) -> Image:
    """The mean final image over the eight symmetries of the square.

    Args:
        final: from an image and its condition to the final image.
        image: ``(b, c, h, w)``.
        condition: of each image.
        progress: called with the share that is done.
    """
    total = torch.zeros_like(image)
    for mirrored in (False, True):
        for quarter_turns in range(4):
            turned, planes = (
                torch.rot90(x.flip(-1) if mirrored else x, quarter_turns, (-2, -1)).contiguous()
                for x in (image, condition)
            )
            found = final(turned, planes, part(progress, 4 * mirrored + quarter_turns, 8))
            back = torch.rot90(found, -quarter_turns, (-2, -1))
            total += back.flip(-1) if mirrored else back
    return total / 8
