"""The exact result of edits in *replay*, a step at a time, so that the next edit need not wait for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

from pixelrl.actions import ActionSet
from pixelrl.edits import Edit, Editor
from pixelrl.imaging.color import outcome_in_srgb
from pixelrl.memory import trim
from pixelrl.pictures.arrays import Array
from pixelrl.rollout import Decision, sparing_episode
from pixelrl.studio.kept import Kept
from pixelrl.studio.preview import Frames
from pixelrl.studio.screen import Recorded
from pixelrl.trace import Trace
from pixelrl.types import Image


@final
class ExactReplay:
    """The replay with edits, from the first step that they name: before it, everything is as recorded.

    Args:
        recorded: the frames without edits.
        names: the operations.
        edits: those to carry out.
        space: of the values that agents work on.
    """

    def __init__(self, recorded: Frames, names: Sequence[str], edits: Sequence[Edit], space: str) -> None:
        steps, (height, width) = len(recorded.actions), recorded.images[0].shape[-2:]
        first = min((0 if edit.steps == "all" else min(edit.steps) - 1 for edit in edits), default=steps)
        first = min(first, steps)
        editor = Editor(edits, names, height, width, space)

        def act(t: int, image: Image) -> Decision:
            return Decision(editor.replay(first + t, image, recorded.actions[first + t]))

        actions = recorded.kept_actions
        if first < steps:
            actions = Kept.empty(recorded.actions.shape, recorded.actions.dtype, actions.folder)
            actions.tensor[:first] = recorded.actions[:first]
        self.frames = Frames(recorded.kept[: first + 1], actions)
        """What is done, with all actions as soon as all is."""
        self._steps = sparing_episode(recorded.images[first], ActionSet(names), act, steps - first)

    def step(self) -> bool:
        """Do the next step; False if there was none left."""
        step = next(self._steps, None)
        if step is None:
            return False
        self.frames.actions[len(self.frames.kept) - 1] = step.decision.actions
        self.frames.kept.append(self.frames.kept[0].like(step.after))
        self.frames.let_go()
        trim()
        return True


@final
@dataclass(frozen=True)
class Known:
    """What is known of a result at some moment, from which it can be computed whatever a person does meanwhile.

    Attributes:
        recorded: the run.
        edits: to be carried out in its replay.
        frames: the last image with the edits, and all actions, if that is known already.
    """

    recorded: Recorded
    edits: Sequence[Edit]
    frames: Frames | None

    def result(self, after_step: Callable[[], object] = lambda: None) -> tuple[Trace, Array]:
        """What happened, and the pixels that came of it; ``after_step`` is called after every step that is computed."""
        trace, frames = self.recorded.trace, self.frames or self.recorded.frames
        if self.edits:
            if self.frames is None:
                replay = ExactReplay(self.recorded.frames, trace.action_names, self.edits, trace.space)
                while replay.step():
                    after_step()
                frames = replay.frames
            trace = replace(trace, actions=frames.actions[:, 0].numpy())
        image = frames.images[-1]
        if trace.space != "srgb":
            image = outcome_in_srgb(image, trace.space, trace.trajectory().initial)
        return trace, trace.packed(image)
