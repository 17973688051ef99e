"""Local colour enhancement (the paper's third application): a look, learned from pictures before and after."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.actions import PAPER_THIRTEEN
from pixelrl.errors import UsageError
from pixelrl.imaging.color import RGB_SPACES, lab_distance, prophoto_to_lab, srgb_to_prophoto
from pixelrl.tasks.base import Episode, Task, checked_steps
from pixelrl.types import Image


@final
class ColorEnhancement(Task):
    """Retouching. One agent per pixel works on ProPhoto RGB values and is rewarded for coming closer in CIELAB.

    Args:
        files: the RGB space of the pictures of the training pairs, ``srgb`` or ``prophoto``.
        num_steps: T.
        actions: names of the operations; the paper's thirteen if left out.

    Raises:
        UsageError: another space, or less than one step.
    """

    from_pairs = True
    space = "prophoto"
    metric_name = "lab_distance"

    def __init__(self, files: str = "srgb", num_steps: int = 10, actions: tuple[str, ...] = PAPER_THIRTEEN) -> None:
        if files not in RGB_SPACES:
            raise UsageError(f"files = {files!r} is unknown; known are {', '.join(RGB_SPACES)}")
        self.levels = (0.0,)
        self.files, self.num_steps, self.action_names = files, checked_steps(num_steps), tuple(actions)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """A pair as it is: ``clean`` is ``(b, 6, h, w)``, before and after; there is no level."""
        before, after = clean.chunk(2, 1)
        if self.files == "srgb":
            before, after = srgb_to_prophoto(before), srgb_to_prophoto(after)
        return Episode(before, after, self.conditioning.condition(before, {}), clean.new_ones((len(clean), 1)))

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Like `degrade`."""
        return self.degrade(clean, 0.0, generator)

    def compared(self, image: Image) -> Image:
        """In Lab / 100."""
        return prophoto_to_lab(image)

    def metric(self, image: Image, start: Episode) -> Float[Tensor, " b"]:
        """The mean distance in Lab: the smaller, the better."""
        return lab_distance(prophoto_to_lab(image), prophoto_to_lab(start.target)).mean((1, 2, 3))

    def reward(
        self, before: Float[Tensor, "..."], after: Float[Tensor, "..."], target: Float[Tensor, "..."]
    ) -> Float[Tensor, "..."]:
        """The decrease of the distance in Lab, in tens of units: ``(..., 1, h, w)``, for a pixel has one agent."""
        goal = prophoto_to_lab(target)
        return (lab_distance(prophoto_to_lab(before), goal) - lab_distance(prophoto_to_lab(after), goal)) / 10
