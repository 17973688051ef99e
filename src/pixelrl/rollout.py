"""The only loop over steps in the project, and what remains of it: a `Trajectory`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Integer
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.edits import Edit, Editor, check_steps, edits_of
from pixelrl.imaging.color import OPPONENT, outcome_in_srgb, to_space
from pixelrl.memory import trim
from pixelrl.policies.base import Memory, Policy
from pixelrl.policies.tiling import Rest, number_of_tiles, side_of_steps, tiled_forward, tiled_perceive
from pixelrl.progress import Progress, counter
from pixelrl.rl.choice import best
from pixelrl.threads import one_thread_after_fork
from pixelrl.types import ActionMap, AgentMap, Condition, Image, Logits, Outcomes

one_thread_after_fork()

SMALL = 512
"""Side in pixels of tiles that leave too little memory behind for it to be given back after each of them: on a picture
of 1024 x 1024 the peak was 0.5 GB either way. Tiles of 1024 on one of 2048 x 2048 took 1.25 instead of 1.39 GB."""


class Decision(NamedTuple):
    """What is done at one step; logits and value are None where no network was asked."""

    actions: ActionMap
    logits: Logits | None = None
    value: AgentMap | None = None


class Move(NamedTuple):
    """One step of an episode."""

    before: Image
    decision: Decision
    after: Image


class Step(NamedTuple):
    """One step of an episode, with all that a learner needs."""

    before: Image
    outcomes: Outcomes
    decision: Decision
    after: Image


Act = Callable[[int, Image, Outcomes], Decision]
"""Decide what to do at step t, given the image and every action's outcome."""

Watch = Callable[[int, Move], object]
"""Called at every step t as it is done: for progress, or to keep the images. What it raises ends the episode."""

Choose = Callable[[Logits], ActionMap]
"""Turn logits into actions: `greedy`, or a sampler bound to its generator."""


def moves(image: Image, do: Callable[[int, Image], tuple[Decision, Image]], num_steps: int) -> Iterator[Move]:
    """The loop: ``do`` says what is done at step t to an image, and what comes of it."""
    for t in range(num_steps):
        decision, after = do(t, image)
        yield Move(image, decision, after)
        image = after


def episode(image: Image, actions: ActionSet, act: Act, num_steps: int) -> Iterator[Step]:
    """Play an episode, one `Step` at a time, with the outcomes of all actions on the whole image.

    Images carry no gradient; decisions may.
    """
    outcomes = None

    def do(t: int, image: Image) -> tuple[Decision, Image]:
        nonlocal outcomes
        outcomes = actions.outcomes(image) if outcomes is None else outcomes
        decision = act(t, image, outcomes)
        return decision, actions.select(outcomes, decision.actions)

    for before, decision, after in moves(image, do, num_steps):
        assert outcomes is not None
        yield Step(before, outcomes, decision, after)
        if not actions.idle(decision.actions):
            outcomes = None


def sparing_episode(
    image: Image, actions: ActionSet, decide: Callable[[int, Image], Decision], num_steps: int
) -> Iterator[Move]:
    """Play an episode, bit for bit the same, in little memory, where whoever decides needs no outcomes.

    Only outcomes that are chosen somewhere are computed, for a strip of the image at a time.
    """

    def do(t: int, image: Image) -> tuple[Decision, Image]:
        decision = decide(t, image)
        return decision, done(image, actions, decision.actions)

    return moves(image, do, num_steps)


def done(image: Image, actions: ActionSet, action_map: ActionMap) -> Image:
    """What comes of a map of actions; the image itself where every agent does nothing."""
    return image if actions.idle(action_map) else actions.carried_out(image, action_map)


class Actor:
    """A policy at work on one episode: it remembers, and chooses. Call it as an `Act`, or for every step `in_tiles`.

    Args:
        policy: the network.
        choose: how actions follow from logits; None for the likeliest, as `Policy.chosen` has them. Decisions then lack
            their logits.
        memory: as `Policy.perceive` (or `tiled_perceive`) returned it.
        actions: given if what is chosen is done: then a policy that `rests` need not be asked where nobody does
            anything, and decisions lack their logits.
    """

    def __init__(
        self,
        policy: Policy,
        choose: Choose | None,
        memory: Memory,
        actions: ActionSet | None = None,
    ) -> None:
        self.policy, self.choose, self.memory, self.actions = policy, choose, memory, actions
        self._before: ActionMap | None = None

    def __call__(self, t: int, image: Image, outcomes: Outcomes) -> Decision:
        """Ask the policy, choose, and remember."""
        rest = self._rest()
        if rest is not None and bool((rest.actions == rest.nothing).all()):
            self.memory = self.policy.rested(self.memory)
            return Decision(rest.actions)
        self.memory = self.policy.survey(image, self.memory)
        if self.choose is None:
            self._before, self.memory = self.policy.chosen(image, outcomes, self.memory)
            return Decision(self._before)
        logits, value, self.memory = self.policy(image, outcomes, self.memory)
        self._before = self.choose(logits)
        return Decision(self._before, logits, value)

    def in_tiles(
        self, image: Image, actions: ActionSet, side: int, after_tile: Callable[[], object] = lambda: None
    ) -> tuple[Decision, Image | None]:
        """Ask the policy about one tile after the other, choose, and remember.

        The decision has no logits. Beside it stands what comes of it, if what is chosen is done.

        Args:
            image: as it is before the step.
            actions: of which the policy is to see the outcomes.
            side: of the tiles in pixels.
            after_tile: called after every tile.
        """
        self.memory = self.policy.survey(image, self.memory)
        after = None if self.actions is None else torch.empty_like(image)
        outcomes = partial(actions.outcomes_of, image)
        self._before, self.memory = tiled_forward(
            self.policy, self.choose, image, outcomes, self.memory, side, after_tile, self._rest(), after
        )
        return Decision(self._before), after

    def _rest(self) -> Rest | None:
        """What was done at the step before, if it says what is done now."""
        actions = self.actions
        if actions is None or actions.nothing is None or self._before is None or not self.policy.rests:
            return None
        return Rest(self._before, actions.nothing, actions.reach)


def greedy(logits: Logits) -> ActionMap:
    """The most likely action of every agent (the paper's choice at test time)."""
    return best(logits)


@dataclass(frozen=True)
class Trajectory:
    """What happened in an episode: the start and the action of every agent at every step. The rest follows.

    Attributes:
        initial: the image at step 0, ``(b, c, h, w)``.
        actions: uint8 ``(t, b, g, h, w)``, indices into ``action_names``.
        action_names: the named operations, in order.
        space: the space on whose values the operations are carried out (`pixelrl.imaging.color.to_space`). All
            images of a trajectory are given in sRGB.
        idle_edits: the places (from 1) of those edits, of a person's list for this episode, that changed no operation.
    """

    initial: Image
    actions: Integer[Tensor, "t b g h w"]
    action_names: tuple[str, ...]
    space: str = "srgb"
    idle_edits: tuple[int, ...] = ()

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.actions)

    def images(self) -> Iterator[Image]:
        """The image before the first step and after every step: T + 1 images, replayed without a network."""
        yield self.initial
        for step in self._replay():
            yield outcome_in_srgb(step.after, self.space, self.initial)

    def final(self) -> Image:
        """The image after the last step."""
        image = None
        for step in self._replay():
            image = step.after
        return self.initial if image is None else outcome_in_srgb(image, self.space, self.initial)

    def edited(self, edits: Sequence[Edit] | Edit | str | Path) -> Trajectory:
        """The episode with a person's edits in *replay*: all other choices stay as recorded, and no network is asked.

        Args:
            edits: a list of edits, one of them, or the path of a file with some.

        Raises:
            UsageError: no edits, or an edit that does not fit this episode.
        """
        edits = edits_of(edits)
        check_steps(edits, self.num_steps)
        height, width = self.initial.shape[-2:]
        editor, recorded = Editor(edits, self.action_names, height, width, self.space), self.actions

        def act(t: int, image: Image) -> Decision:
            return Decision(editor.replay(t, image, recorded[t]))

        steps = sparing_episode(to_space(self.initial, self.space), ActionSet(self.action_names), act, self.num_steps)
        maps = torch.empty_like(recorded)
        for t, step in enumerate(steps):
            maps[t] = step.decision.actions
        return replace(self, actions=maps, idle_edits=tuple(editor.idle()))

    def _replay(self) -> Iterator[Move]:
        recorded = self.actions
        actions = ActionSet(self.action_names)
        initial = to_space(self.initial, self.space)
        return sparing_episode(initial, actions, lambda t, _: Decision(recorded[t]), self.num_steps)


@torch.no_grad()
def rollout(
    policy: Policy,
    actions: ActionSet,
    image: Image,
    condition: Condition,
    num_steps: int,
    tile: int | None = None,
    edits: Sequence[Edit] = (),
    watch: Watch | None = None,
    progress: Progress | None = None,
    legibility: float | None = None,
) -> tuple[Trajectory, Image]:
    """Run a policy greedily on an image and return the trajectory and the final image.

    Args:
        policy: in evaluation mode, on the image's device.
        actions: the action set that the policy was trained with.
        image: ``(b, c, h, w)``.
        condition: ``(b, k, h, w)`` or ``(b, k, 1, 1)``, e.g. sigma / 255 (`pixelrl.tasks.Conditioning`).
        num_steps: T.
        tile: side in pixels of the tiles that the network works on, which bounds memory, or None. What that changes
            (rounding at most), `pixelrl.policies.tiling` says.
        edits: a person's edits, *live*: the policy sees what comes of them, and reacts.
        watch: called at every step.
        progress: called with the share that is done.
        legibility: what a legible policy is told, from 0 (the best quality) to 1 (the plainest maps); None for its
            default. Other policies take no notice.

    Raises:
        UsageError: an edit that does not fit.
    """
    check_steps(edits, num_steps)
    height, width = image.shape[-2:]
    editor = Editor(edits, actions.names, height, width, OPPONENT if policy.opponent else "srgb")
    # To perceive a tile takes about as long as a step on it.
    if tile is None:
        side, smaller, parts = 0, 1.0, 1.0 + num_steps
    else:
        side = side_of_steps(image, tile)
        smaller = (side / tile) ** 2
        parts = number_of_tiles(policy, image, tile) + smaller * num_steps * number_of_tiles(policy, image, side)
    count, trims = counter(progress, parts), tile is not None and tile > SMALL

    def after_tile(number: float = 1.0) -> None:
        if trims:
            trim()
        count(number)

    if tile is None:
        memory = policy.perceive(image, condition)
        count()
    else:
        memory = tiled_perceive(policy, image, condition, tile, after_tile)
    memory = policy.told(memory, policy.default_legibility if legibility is None else legibility)
    actor = Actor(policy, editor.alternatives, memory) if edits else Actor(policy, None, memory, actions)

    def edited(t: int, image: Image, decision: Decision) -> Decision:
        return Decision(editor.live(t, image, decision.actions)) if edits else decision

    def in_one(t: int, image: Image, outcomes: Outcomes) -> Decision:
        return edited(t, image, actor(t, image, outcomes))

    def in_tiles(t: int, image: Image) -> tuple[Decision, Image]:
        decision, after = actor.in_tiles(image, actions, side, partial(after_tile, smaller))
        decision = edited(t, image, decision)
        return decision, done(image, actions, decision.actions) if after is None else after

    played: Iterator[Move]
    if tile is None:
        steps = episode(image, actions, in_one, num_steps)
        played = (Move(step.before, step.decision, step.after) for step in steps)
    else:
        played = moves(image, in_tiles, num_steps)
    maps = torch.zeros(
        (num_steps, len(image), policy.num_agents, *image.shape[-2:]), dtype=torch.uint8, device=image.device
    )
    final = image
    for t, move in enumerate(played):
        maps[t] = move.decision.actions
        final = move.after
        if tile is None:
            count()
        if watch is not None:
            watch(t, move)
    return Trajectory(image, maps, actions.names, idle_edits=tuple(editor.idle())), final
