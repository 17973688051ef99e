"""From a policy, or from a trace, to a run with all its images."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch.overrides import TorchFunctionMode

from pixelrl.agent import Agent
from pixelrl.edits import Edit
from pixelrl.imaging.color import from_space, to_space
from pixelrl.pictures.formats import Picture, channels
from pixelrl.pictures.scale import Scale
from pixelrl.rollout import Move, Trajectory
from pixelrl.studio.kept import Kept
from pixelrl.studio.preview import Box, Frames
from pixelrl.studio.screen import Recorded
from pixelrl.tasks.conditioning import Given, is_auto
from pixelrl.threads import checked, threads, worthwhile_threads
from pixelrl.trace import Trace
from pixelrl.types import Image

Progress = Callable[[float, str], None]
"""Told the share that is done and what is being done; what it raises ends the work."""


class Interruptible(TorchFunctionMode):
    """While it is entered, a check is made at every call of PyTorch, wherever in the work that is.

    Args:
        check: what it raises ends the work.
    """

    def __init__(self, check: Callable[[], object]) -> None:
        super().__init__()
        self.check, self._next = check, 0.0

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        """Check, unless that was done a moment ago, and do what was called."""
        if time.monotonic() > self._next:
            self.check()
            self._next = time.monotonic() + 0.05
        return function(*arguments, **(named or {}))


@final
class Told:
    """Progress that is told again whenever somebody checks whether the work is still wanted."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.share, self.label = progress, 0.0, ""

    def __call__(self, share: float, label: str) -> None:
        """So much is done, and this is being done."""
        self.share, self.label = share, label
        self.check()

    def check(self) -> None:
        """Raise what the progress raises."""
        self.progress(self.share, self.label)


def weights_digest(agent: Agent) -> str:
    """A short text that no other policy has: of its weights, and of all that says what they mean."""
    card = agent.card
    said = [card.kind, card.arguments, card.action_names, card.num_steps, card.condition, card.space]
    known = hashlib.blake2b(json.dumps(said, sort_keys=True, default=str).encode(), digest_size=16)
    for name, weight in sorted(agent.policy.state_dict().items()):
        known.update(f"{name}{weight.dtype}{tuple(weight.shape)}".encode())
        known.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return known.hexdigest()


@dataclass(frozen=True)
class Wish:
    """What a policy is to do with a picture.

    Attributes:
        level: its condition (`pixelrl.agent.Agent.__call__`).
        mask: bool ``(h, w)``, the object; None for the most salient one, or for policies that take none.
        edits: to which it reacts.
        scale: which values are black and white; told by the values if left out.
        legibility: how plain the maps shall be; None for the policy's default, or for policies that cannot be told.
    """

    level: Given | Mapping[str, Given] = "auto"
    mask: npt.NDArray[np.bool_] | None = None
    edits: Sequence[Edit] = ()
    scale: Scale | None = None
    legibility: float | None = None


@final
class _Film:
    """Takes the images of an episode as they come: the channels of a picture may come one after the other."""

    def __init__(self, channels: int, height: int, width: int, steps: int, folder: Path | None) -> None:
        self.images = [Kept.empty((1, channels, height, width), torch.float32, folder) for _ in range(steps + 1)]
        self._there = [0] * (steps + 1)

    def take(self, t: int, move: Move) -> bool:
        """A step; returns whether all channels have done it now."""
        if t == 0:
            self._add(0, move.before)
        return self._add(t + 1, move.after)

    def _add(self, step: int, image: Image) -> bool:
        whole, planes = self.images[step].tensor[0], image.flatten(0, 1)
        there = self._there[step]
        whole[there : there + len(planes)] = planes
        self.images[step].let_go()
        self._there[step] += len(planes)
        return self._there[step] == len(whole)


Arrive = Callable[[int, Image], object]
"""Given the image after a step, ``(1, c, h, w)`` in sRGB, as soon as it is there."""


def play(
    agent: Agent,
    picture: Picture,
    wish: Wish,
    progress: Progress,
    arrive: Arrive | None = None,
    folder: Path | None = None,
) -> Recorded:
    """Let a policy work on a picture.

    Args:
        agent: the policy.
        picture: in the file's depth.
        wish: what it is to do.
        progress: told of every step, and often between; what it raises ends the work within a moment.
        arrive: given the image after every step.
        folder: in which large images are kept; None for the memory.

    Raises:
        PixelRLError: the picture, the level or the mask do not suit the policy.
    """
    height, width = picture.pixels.shape[:2]
    planes = 1 if picture.pixels.ndim == 2 else picture.pixels.shape[2]
    steps, told = agent.card.num_steps, Told(progress)
    film, space = _Film(planes, height, width, steps, folder), "srgb"

    def begun(name: str) -> None:
        nonlocal space
        space = name

    def watch(t: int, move: Move) -> None:
        if film.take(t, move) and arrive is not None:
            arrive(t + 1, from_space(film.images[t + 1].tensor, space))
            film.images[t + 1].let_go()

    def tell(share: float) -> None:  # after every tile: whoever cancels need not wait for a whole step
        step = min(int(share * (steps + 1) + 1e-6), steps)  # to look takes as long as a step
        told(share, f"step {step} of {steps}" if step else "looking at the picture")

    tell(0.0)
    quantities = agent.conditioning.quantities
    condition = wish.level if quantities else "auto"
    if len(quantities) > 1 and not isinstance(condition, Mapping) and not is_auto(condition):
        condition = {quantities[0].name: condition}  # the one that has a control
    with threads(worthwhile_threads(height * width)), Interruptible(told.check), checked(told.check):
        result = agent(
            channels(picture),  # noise where a picture is transparent does not count
            edits=wish.edits,
            watch=watch,
            mask=wish.mask,
            condition=condition,
            progress=tell,
            white="auto" if wish.scale is None else wish.scale,
            legibility=wish.legibility,
            begun=begun,
        )
    return _recorded(result.trace().of(picture), film.images)


MARGIN, LEAST, MOST = 64, 500_000, 0.5
"""Pixels around a region that are looked at with it; how many a picture has at least of which a region is done first;
and the largest share of them that such a region may have."""


def worthwhile(agent: Agent, picture: Picture, box: Box) -> bool:
    """Whether a region of the picture is worth being done before the whole, and can be."""
    pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
    small = 0 < box.pixels <= MOST * pixels
    return pixels >= LEAST and small and not agent.policy.surveys and not agent.takes_mask


def first_look(agent: Agent, picture: Picture, wish: Wish, box: Box, progress: Progress, arrive: Arrive) -> None:
    """Let a policy work on a region as if it were a picture. It is soon done, and not quite what becomes of the whole.

    The noise is that of the region, if it is not told.

    Args:
        agent: the policy.
        picture: in the file's depth.
        wish: what the policy is to do with the whole; nothing of it may name places.
        box: of the region.
        progress: as for `play`.
        arrive: given the region after every step.

    Raises:
        PixelRLError: as `play` does.
    """
    height, width = picture.pixels.shape[:2]
    seen = box.grown(MARGIN, width, height)
    rows, columns = slice(seen.y0, seen.y1), slice(seen.x0, seen.x1)
    alpha = None if picture.alpha is None else np.ascontiguousarray(picture.alpha[rows, columns])
    part = Picture(np.ascontiguousarray(picture.pixels[rows, columns]), alpha)
    scale = wish.scale or Scale.of(picture.pixels)
    inner = box.within(seen)
    play(agent, part, replace(wish, scale=scale), progress, lambda step, image: arrive(step, inner.crop(image)))


def shown_as_it_comes(
    agent: Agent,
    picture: Picture,
    wish: Wish,
    seen: Box | None,
    progress: Progress,
    arrive: Callable[[int, int, Box, Image], object],
    folder: Path | None,
) -> Recorded:
    """Let a policy work on a picture, first on what is looked at, if that is worthwhile.

    Args:
        agent: the policy.
        picture: in the file's depth.
        wish: what it is to do.
        seen: the region that is looked at.
        progress: as for `play`.
        arrive: given a step, how many there will be, a box, and the image inside it after that step.
        folder: as for `play`.

    Raises:
        PixelRLError: as `play` does.
    """
    height, width = picture.pixels.shape[:2]
    part, steps, whole = 0.0, agent.card.num_steps, Box(0, 0, width, height)
    if seen is not None and worthwhile(agent, picture, seen):
        part = seen.pixels / (seen.pixels + whole.pixels)
        first_look(
            agent, picture, wish, seen,
            lambda share, label: progress(part * share, f"in view first: {label}"),
            lambda step, image: arrive(step, steps, seen, image),
        )  # fmt: skip
    return play(
        agent, picture, wish,
        lambda share, label: progress(part + (1 - part) * share, label),
        lambda step, image: arrive(step, steps, whole, image),
        folder,
    )  # fmt: skip


def _recorded(trace: Trace, images: Sequence[Kept]) -> Recorded:
    """The run of a trace, whose maps are kept as its images are."""
    actions = images[0].like(torch.from_numpy(trace.actions)[:, None])
    return Recorded(replace(trace, actions=actions.tensor[:, 0].numpy()), Frames(images, actions))


def replayed(trace: Trace, progress: Progress, folder: Path | None = None) -> Recorded:
    """A run that was saved, carried out again; large images are kept in the folder."""
    recorded, images = trace.trajectory(), []
    start = to_space(recorded.initial, trace.space)
    # As if it were sRGB: images as the operations see them, not as people do.
    for t, image in enumerate(Trajectory(start, recorded.actions, recorded.action_names).images()):
        images.append(Kept(image, folder).like(image))
        progress(t / max(1, len(trace.actions)), "replaying the recorded steps")
    return _recorded(trace, images)
