"""From a policy, or from a trace, to a run with all its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from pixelrl.agent import Agent
from pixelrl.edits import Edit
from pixelrl.imaging.color import to_space
from pixelrl.pictures.formats import Picture
from pixelrl.pictures.scale import Scale
from pixelrl.rollout import Move, Trajectory
from pixelrl.studio.preview import Frames
from pixelrl.studio.screen import Recorded
from pixelrl.tasks.conditioning import Given, is_auto
from pixelrl.threads import threads, worthwhile_threads
from pixelrl.trace import Trace
from pixelrl.types import Image

Progress = Callable[[float, str], None]
"""Told the share that is done and what is being done; what it raises ends the work."""


def play(
    agent: Agent,
    picture: Picture,
    level: Given | Mapping[str, Given],
    mask: npt.NDArray[np.bool_] | None,
    edits: Sequence[Edit],
    progress: Progress,
    scale: Scale | None = None,
    legibility: float | None = None,
) -> Recorded:
    """Let a policy work on a picture.

    Args:
        agent: the policy.
        picture: in the file's depth.
        level: its condition (`pixelrl.agent.Agent.__call__`).
        mask: bool ``(h, w)``, the object; None for the most salient one, or for policies that take none.
        edits: to which it reacts.
        progress: told of every step.
        scale: which values are black and white; told by the values if left out.
        legibility: how plain the maps shall be; None for the policy's default, or for policies that cannot be told.

    Raises:
        PixelRLError: the picture, the level or the mask do not suit the policy.
    """
    height, width = picture.pixels.shape[:2]
    channels = 1 if picture.pixels.ndim == 2 else picture.pixels.shape[2]
    steps = agent.card.num_steps
    planes: list[list[Image]] = [[] for _ in range(steps + 1)]

    def watch(t: int, step: Move) -> None:
        if t == 0:
            planes[0].append(step.before)
        planes[t + 1].append(step.after)

    def tell(share: float) -> None:  # after every tile: whoever cancels need not wait for a whole step
        step = min(int(share * (steps + 1) + 1e-6), steps)  # to look takes as long as a step
        progress(share, f"step {step} of {steps}" if step else "looking at the picture")

    tell(0.0)
    quantities = agent.conditioning.quantities
    condition = level if quantities else "auto"
    if len(quantities) > 1 and not isinstance(level, Mapping) and not is_auto(level):
        condition = {quantities[0].name: level}  # the one that has a control
    with threads(worthwhile_threads(height * width)):
        result = agent(
            picture.pixels,
            edits=edits,
            watch=watch,
            mask=mask,
            condition=condition,
            progress=tell,
            white="auto" if scale is None else scale,
            legibility=legibility,
        )
    images = [torch.cat(group).reshape(1, channels, height, width) for group in planes]
    return Recorded(result.trace().of(picture), Frames(images, result.trajectory.actions))


def replayed(trace: Trace, progress: Progress) -> Recorded:
    """A run that was saved, carried out again."""
    recorded, images = trace.trajectory(), []
    start = to_space(recorded.initial, trace.space)
    # As if it were sRGB: images as the operations see them, not as people do.
    for t, image in enumerate(Trajectory(start, recorded.actions, recorded.action_names).images()):
        images.append(image)
        progress(t / max(1, len(trace.actions)), "replaying the recorded steps")
    return Recorded(trace, Frames(images, torch.from_numpy(trace.actions)[:, None]))
