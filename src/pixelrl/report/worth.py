"""What a trajectory was worth: how much each step changed, what each action contributed, and what if it were gone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pixelrl.edits import DO_NOTHING
from pixelrl.imaging.color import OPPONENT, OPPONENT_SCALE, kind_of_space, opponent_change
from pixelrl.imaging.metrics import to_8_bit
from pixelrl.rollout import Trajectory
from pixelrl.types import Image

Numbers = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]

VISIBLE = 0.05
"""Grey levels from which on a pixel counts as changed: what rounds to a tenth. Filters move flat areas by last bits."""


class Change(NamedTuple):
    """How much one picture differs from another, in grey levels.

    Attributes:
        mean: mean absolute difference over pixels and channels.
        share: of the pixels that differ by at least `VISIBLE` in some channel, 0 to 1.
    """

    mean: float
    share: float


def change(before: Image, after: Image) -> Change:
    """How much a picture ``(b, c, h, w)`` differs from another of its shape."""
    difference = 255 * (after - before).abs()
    return Change(float(difference.double().mean()), float((difference.amax(1) >= VISIBLE).double().mean()))


def contributions(images: Sequence[Image], trajectory: Trajectory, target: Image) -> Numbers:
    """What each action contributed to the gain in PSNR, in dB: ``(t, n)``; the sum of step t is that step's gain.

    An agent's reward is the decrease of its value's squared error, on clipped 8-bit values as
    `pixelrl.imaging.metrics.psnr` takes them; where agents work on opponent colours, of the errors' opponent colours. A
    step's gain in dB is shared out among the actions in proportion to the summed rewards of the agents that took them.
    Shares may be negative, and larger than the gain where others are negative. (The factor from squared error to dB is
    10 / ln 10 over the logarithmic mean of the errors before and after, so it stays finite where the rewards cancel.)
    Steps from or to an error of zero have an infinite gain: NaN.

    Args:
        images: the T + 1 images of ``trajectory``, ``(1, c, h, w)``.
        trajectory: of one image.
        target: the clean image, ``(1, c, h, w)``.
    """
    n = len(trajectory.action_names)
    result = np.zeros((trajectory.num_steps, n))
    clean, opponent = to_8_bit(target), kind_of_space(trajectory.space) == OPPONENT and target.shape[1] == 3

    def squared(image: Image) -> Tensor:
        error = (to_8_bit(image) - clean).double()
        return (opponent_change(error) / OPPONENT_SCALE if opponent else error).square()

    before = squared(images[0])
    for t, maps in enumerate(trajectory.actions):
        after = squared(images[t + 1])
        index = maps.expand(before.shape).reshape(-1).long()
        rewards = torch.bincount(index, weights=(before - after).reshape(-1), minlength=n).cpu().numpy()
        old, new = float(before.mean()), float(after.mean())
        if old > 0 and new > 0:
            mean = old if math.isclose(old, new, rel_tol=1e-9) else (old - new) / math.log(old / new)
            result[t] = 10 / math.log(10) * rewards / before.numel() / mean
        else:
            result[t] = 0.0 if old == new else np.nan
        before = after
    return result


def without(trajectory: Trajectory, action: str) -> Image:
    """The final image ``(b, c, h, w)`` if every agent that took ``action`` had done nothing instead, in replay.

    The same as ``trajectory.edited([Edit(actions=(action,), force="do nothing")]).final()``, in half the time: that
    edit needs no image to know whom it meets.

    Raises:
        ValueError: the episode has no such action, or no operation "do nothing".
    """
    names, actions = trajectory.action_names, trajectory.actions
    nothing = torch.full_like(actions, names.index(DO_NOTHING))
    changed = torch.where(actions == names.index(action), nothing, actions)
    return replace(trajectory, actions=changed).final()


def cropped(trajectory: Trajectory, box: Box) -> Trajectory:
    """The part of a trajectory inside ``(x0, y0, x1, y1)``, replayed on its own.

    Farther from the cut than the filters reach in all steps together, its images are those of the whole. (The bilateral
    filter's table spans the whole picture's range; on a part its last bits may differ.)
    """
    x0, y0, x1, y1 = box
    window = (..., slice(y0, y1), slice(x0, x1))
    return replace(trajectory, initial=trajectory.initial[window], actions=trajectory.actions[window])
