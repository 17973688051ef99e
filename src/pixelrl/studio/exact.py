"""The exact result of edits in *replay*, a step at a time, so that the next edit need not wait for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch

from pixelrl.actions import ActionSet
from pixelrl.edits import Edit, Editor
from pixelrl.rollout import Decision, sparing_episode
from pixelrl.studio.preview import Frames
from pixelrl.types import Image


@final
class ExactReplay:
    """The replay with edits, from the first step that they name: before it, everything is as recorded.

    Args:
        recorded: the frames without edits.
        names: the operations.
        edits: those to carry out.
    """

    def __init__(self, recorded: Frames, names: Sequence[str], edits: Sequence[Edit]) -> None:
        steps, (height, width) = len(recorded.actions), recorded.images[0].shape[-2:]
        first = min((0 if edit.steps == "all" else min(edit.steps) - 1 for edit in edits), default=steps)
        first = min(first, steps)
        editor = Editor(edits, names, height, width)

        def act(t: int, image: Image) -> Decision:
            return Decision(editor.replay(first + t, image, recorded.actions[first + t]))

        self.frames = Frames(recorded.images[: first + 1], recorded.actions[:first])
        """What is done."""
        self._steps = sparing_episode(recorded.images[first], ActionSet(names), act, steps - first)

    def step(self) -> bool:
        """Do the next step; False if there was none left."""
        step = next(self._steps, None)
        if step is None:
            return False
        self.frames.images.append(step.after)
        self.frames.actions = torch.cat([self.frames.actions, step.decision.actions[None]])
        return True
