"""The only loop over steps in the project, and what remains of it: a `Trajectory`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Integer
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.edits import Edit, Editor, check_steps, edits_of
from pixelrl.imaging.color import outcome_in_srgb, to_space
from pixelrl.policies.base import Memory, Policy
from pixelrl.policies.tiling import Rest, number_of_tiles, tiled_forward, tiled_perceive
from pixelrl.rl.choice import best
from pixelrl.threads import one_thread_after_fork
from pixelrl.types import ActionMap, AgentMap, Condition, Image, Logits, Outcomes

one_thread_after_fork()


class Decision(NamedTuple):
    """What is done at one step; logits and value are None where no network was asked."""

    actions: ActionMap
    logits: Logits | None = None
    value: AgentMap | None = None


class Step(NamedTuple):
    """One step of an episode, with all that a learner needs."""

    before: Image
    outcomes: Outcomes
    decision: Decision
    after: Image


Act = Callable[[int, Image, Outcomes], Decision]
"""Decide what to do at step t, given the image and every action's outcome."""

Watch = Callable[[int, Step], object]
"""Called at every step t as it is done: for progress, or to keep the images. What it raises ends the episode."""

Progress = Callable[[float], object]
"""Called with the share of the work that is done, up to 1, after every step, and every tile of a large image. What it
raises ends the episode."""

Choose = Callable[[Logits], ActionMap]
"""Turn logits into actions: `greedy`, or a sampler bound to its generator."""


def episode(image: Image, actions: ActionSet, act: Act, num_steps: int) -> Iterator[Step]:
    """Play an episode, one `Step` at a time. Images carry no gradient; decisions may."""
    outcomes = None
    for t in range(num_steps):
        outcomes = actions.outcomes(image) if outcomes is None else outcomes
        decision = act(t, image, outcomes)
        after = actions.select(outcomes, decision.actions)
        yield Step(image, outcomes, decision, after)
        image = after
        if not actions.idle(decision.actions):
            outcomes = None


class Actor:
    """A policy at work on one episode: it remembers, and chooses. Call it as an `Act`.

    Args:
        policy: the network.
        choose: how actions follow from logits.
        memory: as `Policy.perceive` (or `tiled_perceive`) returned it.
        tile: side of the tiles in pixels that the network sees at a time; None for the whole image.
        after_tile: called after every tile.
        actions: given if a policy that `rests` need not be asked where nobody does anything; decisions then lack
            their logits. It must be so that what is chosen is done.
    """

    def __init__(
        self,
        policy: Policy,
        choose: Choose,
        memory: Memory,
        tile: int | None = None,
        after_tile: Callable[[], object] = lambda: None,
        actions: ActionSet | None = None,
    ) -> None:
        self.policy, self.choose, self.memory = policy, choose, memory
        self.tile, self.after_tile = tile, after_tile
        self.actions = actions if policy.rests else None
        self._before: ActionMap | None = None

    def __call__(self, t: int, image: Image, outcomes: Outcomes) -> Decision:
        """Ask the policy, choose, and remember."""
        if self.actions is None:
            return self._asked(image, outcomes, None)
        before, nothing, rest = self._before, self.actions.nothing, None
        if before is not None and nothing is not None:
            rest = Rest(before, nothing, self.actions.reach)
        if self.tile is None and before is not None and self.actions.idle(before):
            self.memory = self.policy.rested(self.memory)
            return Decision(before)
        decision = self._asked(image, outcomes, rest)
        self._before = decision.actions
        return decision

    def _asked(self, image: Image, outcomes: Outcomes, rest: Rest | None) -> Decision:
        self.memory = self.policy.survey(image, self.memory)
        if self.tile is None:
            logits, value, self.memory = self.policy(image, outcomes, self.memory)
            return Decision(self.choose(logits), logits, value)
        chosen, self.memory = tiled_forward(
            self.policy, self.choose, image, outcomes, self.memory, self.tile, self.after_tile, rest
        )
        return Decision(chosen)


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
    """

    initial: Image
    actions: Integer[Tensor, "t b g h w"]
    action_names: tuple[str, ...]
    space: str = "srgb"

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
        editor, recorded = Editor(edits, self.action_names, *self.initial.shape[-2:]), self.actions

        def act(t: int, image: Image, outcomes: Outcomes) -> Decision:
            return Decision(editor.replay(t, image, recorded[t]))

        steps = episode(to_space(self.initial, self.space), ActionSet(self.action_names), act, self.num_steps)
        maps = [step.decision.actions for step in steps]
        return replace(self, actions=torch.stack(maps) if maps else recorded)

    def _replay(self) -> Iterator[Step]:
        recorded = self.actions
        actions = ActionSet(self.action_names)
        initial = to_space(self.initial, self.space)
        return episode(initial, actions, lambda t, *_: Decision(recorded[t]), self.num_steps)


def counter(progress: Progress | None, parts: int) -> Callable[[], None]:
    """A function to call after each of so many parts of the work: it says which share is done."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(min(1.0, done / parts))

    return count


def part(progress: Progress | None, index: int, parts: int) -> Progress | None:
    """The progress of one of several parts of equal length, as that of the whole."""
    return None if progress is None else lambda share: progress((index + share) / parts)


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
    editor = Editor(edits, actions.names, *image.shape[-2:])
    # To perceive a tile takes about as long as a step on it.
    count = counter(progress, (1 + num_steps) * (1 if tile is None else number_of_tiles(policy, image, tile)))
    if tile is None:
        memory = policy.perceive(image, condition)
        count()
    else:
        memory = tiled_perceive(policy, image, condition, tile, count)
    memory = policy.told(memory, policy.default_legibility if legibility is None else legibility)
    if edits:
        actor = Actor(policy, editor.alternatives, memory, tile, count)
    else:
        actor = Actor(policy, greedy, memory, tile, count, actions)

    def act(t: int, image: Image, outcomes: Outcomes) -> Decision:
        decision = actor(t, image, outcomes)
        return Decision(editor.live(t, image, decision.actions)) if edits else decision

    maps, final = [], image
    for t, step in enumerate(episode(image, actions, act, num_steps)):
        maps.append(step.decision.actions)
        final = step.after
        if tile is None:
            count()
        if watch is not None:
            watch(t, step)
    if not maps:
        nothing = (0, len(image), policy.num_agents, *image.shape[-2:])
        return Trajectory(image, torch.zeros(nothing, dtype=torch.uint8, device=image.device), actions.names), final
    return Trajectory(image, torch.stack(maps), actions.names), final
