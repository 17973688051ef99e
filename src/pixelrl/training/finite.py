"""Why a loss is not finite: looked for once it is not, so that a training pays nothing for it."""

from __future__ import annotations

from dataclasses import fields

import torch

from pixelrl.actions import ActionSet
from pixelrl.tasks import Episode


@torch.no_grad()
def not_finite(start: Episode, actions: ActionSet, num_steps: int) -> str | None:
    """What makes numbers of an episode that are not finite, whatever a policy does: a sentence, or None.

    Args:
        start: of the episode at which the loss was lost.
        actions: each is tried at every step on what random actions have made of the images by then.
        num_steps: T.
    """
    for field in fields(start):
        if not bool(getattr(start, field.name).isfinite().all()):
            return f"the task begins with numbers that are not finite (Episode.{field.name}); mend it"
    image, generator = start.image, torch.Generator(start.image.device).manual_seed(0)
    for _ in range(num_steps):
        outcomes = actions.outcomes(image)
        finite = outcomes.isfinite().all(0).flatten(1).all(1).tolist()
        if not all(finite):
            name = actions.names[finite.index(False)]
            return f"action {name!r} returns values that are not finite; mend it, or leave it out of task.actions"
        chosen = torch.randint(len(actions), image.shape, generator=generator, device=image.device)
        image = actions.select(outcomes, chosen)
    return None
