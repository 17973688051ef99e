"""What neighbours' choices add to the scores of an agent's actions."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from jaxtyping import Integer
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pixelrl.imaging.filters import box
from pixelrl.policies.judge import Planes
from pixelrl.rl.choice import best, take_higher
from pixelrl.types import ActionMap

ROUNDS, PIXEL_ROUNDS = ((2, 3), (1, 4)), 2
"""How agents consult: those of 2x2 cells together, in so many rounds, then those of a cell of 2x2 pixels; then each."""
OF_CELLS = OF_PIXELS = (3, 7)
"""Sides of the two squares around an agent in which it sees its neighbours' choices, in cells and in pixels."""
NEAR_WEIGHT, FAR_WEIGHT = 0.8, 0.5
"""What is added to the score of an action that all neighbours in these squares choose."""


def doubled(cells: Tensor, like: Tensor) -> Tensor:
    """Planes of cells ``(b, n, h / 2, w / 2)``, brought to the size of an image or of logits."""
    return F.interpolate(cells, scale_factor=2)[..., : like.shape[-2], : like.shape[-1]]


Choice = Integer[Tensor, "bg 1 _ _"]
"""What agents choose, or cells; those of all channels stand beside each other as if they were images."""


def persuaded(scores: Planes, choice: Choice, near: int, far: int) -> Choice:
    """The best actions when the votes of neighbours, who chose ``choice``, are added to scores.

    Args:
        scores: ``(b, n, h, w)``.
        choice: of the same agents; or of cells of 2x2 of them, whose votes then count for all four.
        near: side of a square of neighbours (`votes_of`).
        far: that of the other.
    """
    of_cells = scores.shape[-2:] != choice.shape[-2:]
    if scores.device.type != "cpu":
        everywhere = votes_of(choice, scores.shape[1], near, far)
        return best((scores + (doubled(everywhere, scores) if of_cells else everywhere))[:, :, None])
    # One action at a time, so that all that is touched stays in the processor's cache.
    result = torch.zeros((len(scores), 1, *scores.shape[-2:]), dtype=torch.uint8)
    for image, chosen, into in zip(scores.numpy(), choice[:, 0].numpy(), result[:, 0].numpy(), strict=True):
        votes = (votes_for(chosen, action, near, far) for action in range(len(image)))
        into[...] = elected(
            (plane, doubled_plane(given, plane) if of_cells and given is not None else given)
            for plane, given in zip(image, votes, strict=True)
        )
    return result


def elected(judged: Iterable[tuple[NDArray[np.float32], NDArray[np.float32] | None]]) -> NDArray[np.uint8]:
    """The index of the best action for each place ``(h, w)``, the first of equals.

    Args:
        judged: of each action, in order, the scores, and the votes for it if there are some. They are asked for one
            after the other, so all may lie in the same memory.
    """
    highest: NDArray[np.float32] | None = None
    for action, (score, votes) in enumerate(judged):
        total = score if votes is None else score + votes
        if highest is None:
            highest, chosen = total.copy(), np.zeros(total.shape, np.uint8)
        else:
            take_higher(highest, chosen, total, action)
    return chosen


def doubled_plane(of_cells: NDArray[np.float32], like: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `doubled` gives for one plane ``(h / 2, w / 2)``, by OpenCV."""
    height, width = like.shape
    plane: NDArray[np.float32] = cv2.resize(of_cells, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return plane[:height, :width]


def votes_of(choice: ActionMap, num_actions: int, near: int, far: int) -> Planes:
    """The weighted shares of an agent's neighbours, in two squares of so many pixels or cells, that choose each action.

    ``(b, 1, h, w)`` to ``(b, n, h, w)``. Beyond the border the picture is mirrored.
    """
    if choice.device.type == "cpu":
        result = torch.zeros((len(choice), num_actions, *choice.shape[-2:]), dtype=torch.float32)
        for chosen, planes in zip(choice[:, 0].numpy(), result.numpy(), strict=True):
            for action, plane in enumerate(planes):
                votes = votes_for(chosen, action, near, far)
                if votes is not None:
                    plane[...] = votes
        return result
    chosen = (choice == torch.arange(num_actions, device=choice.device)[:, None, None]).float()
    return NEAR_WEIGHT * _share(chosen, near) + FAR_WEIGHT * _share(chosen, far)


def _share(chosen: Planes, side: int) -> Planes:
    return (box(chosen, side) * side**2 - chosen) / (side**2 - 1)


def votes_for(choice: NDArray[np.uint8], action: int, near: int, far: int) -> NDArray[np.float32] | None:
    """What `votes_of` gives for one action and plane ``(h, w)``, by OpenCV; None if nobody chose it."""
    chosen = (choice == action).view(np.uint8)
    if not chosen.any():
        return None
    # Counts of neighbours fit in a byte, and bytes are counted fastest.
    of_near, of_far = (
        cv2.subtract(cv2.boxFilter(chosen, -1, (n, n), normalize=False, borderType=cv2.BORDER_REFLECT_101), chosen)
        for n in (near, far)
    )
    votes: NDArray[np.float32] = cv2.addWeighted(
        of_near, NEAR_WEIGHT / (near**2 - 1), of_far, FAR_WEIGHT / (far**2 - 1), 0, dtype=cv2.CV_32F
    )
    return votes
