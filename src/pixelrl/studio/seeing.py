"""Tasks of which the picture says the policy, by the noise or the text that is seen in it, as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pixelrl.agent import Agent
from pixelrl.auto import choose, choose_by_text
from pixelrl.blocks.plan import SAMPLE, SAMPLES, Layout, looked_at, same_size
from pixelrl.pictures.formats import Picture, channels
from pixelrl.pictures.scale import Scale
from pixelrl.studio.runs import Interruptible, Progress
from pixelrl.studio.words import words
from pixelrl.tasks.conditioning import Given
from pixelrl.threads import checked, threads, worthwhile_threads

NOISE, TEXT = "noise-as-seen", "text-as-seen"
AS_SEEN = (NOISE, TEXT)
"""What stands for the name of a policy."""


@dataclass(frozen=True)
class Found:
    """What is seen in a picture.

    Attributes:
        policy: the name of the policy for it.
        level: what that is told.
        said: the same in words.
    """

    policy: str
    level: Given
    said: str


def find(task: str, picture: Picture, agent: Callable[[str], Agent], progress: Progress) -> Found:
    """Look at a picture; of a large one, at samples that are spread evenly.

    Args:
        task: one of `AS_SEEN`.
        picture: in the file's depth.
        agent: gives the agent of a shipped policy by its name.
        progress: told often that something is being done; what it raises ends it within a moment.

    Raises:
        PixelRLError: a picture with values that are not finite.
    """
    height, width = picture.pixels.shape[:2]

    def check() -> None:
        progress(0.0, "looking at the noise" if task == NOISE else "looking for text")

    check()
    if picture.alpha is None and height * width > SAMPLES * SAMPLE**2:
        axes = "yx" if picture.pixels.ndim == 2 else "yxc"
        parts, scale = looked_at(picture.pixels, Layout.of(picture.pixels, axes, True), 0, None)
    else:
        parts, scale = [channels(picture)], Scale.of(picture.pixels)
    with threads(worthwhile_threads(height * width)), Interruptible(check), checked(check):
        if task == NOISE:
            choice = choose(same_size(parts), scale)
            clean = dict(choice.told) == {"sigma": 0.0}
            title = choice.why if clean else words(choice.policy).title
            return Found(choice.policy, 0.0 if clean else "auto", f"{choice.words}: {title}")
        if picture.pixels.ndim == 3:
            return Found("restore-color", "auto", "")
        by_text = choose_by_text(parts, scale, agent)
        said = f"by the text that is seen: {by_text.policy}" if by_text.found else "no text seen"
        return Found(by_text.policy, "auto", said)
