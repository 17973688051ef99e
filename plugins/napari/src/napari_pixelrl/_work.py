"""What is done to the values of a layer: a policy on each of its planes, and the replay of maps that a person painted.

It knows neither Qt nor napari: arrays in, arrays out, one function that is told how far the work is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import pixelrl
from pixelrl.auto import Choice, most
from pixelrl.pictures.channels import join_alpha
from pixelrl.policy_files import KINDS, SAYS, for_channels

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]
Index = tuple[int, ...]

BY_NOISE = "by the noise that is seen"
"""Instead of a policy's name: a number that a person gives says which, or else the noise of most channels."""
SAMPLES = 8
"""Planes of a channel from which its noise is told, as `pixelrl denoise` does for stacks."""


class Stopped(Exception):  # noqa: N818
    """Raised by ``progress`` to end the work."""


@dataclass(frozen=True)
class Settings:
    """What a person chose.

    Attributes:
        policy: the name of a shipped policy, the path of a policy file, or `BY_NOISE`.
        numbers: what the policy is told, by name, such as sigma; the rest is estimated.
        legibility: how plain the maps shall be, 0 to 1; None for what the policy's makers recommend.
        steps: how many steps; None for as many as the policy was trained for.
        channel_axis: the axis of the values that counts channels, each of which has a noise of its own; None for none.
    """

    policy: str = BY_NOISE
    numbers: Mapping[str, float] = field(default_factory=dict)
    legibility: float | None = None
    steps: int | None = None
    channel_axis: int | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """What a policy did to the values of a layer.

    Attributes:
        image: the result, of the shape and dtype that came in.
        policy: the policy's name.
        operations: the names of its operations.
        traces: what happened to each plane, by its index in the axes that are none of the picture's.
        shape: of these axes; empty for a single plane.
        remarks: what there is to say of the planes, each once.
        painted: the operations ``(t, g, h, w)`` of planes that a person changed, by index; traces keep the policy's.
    """

    image: Array
    policy: str
    operations: tuple[str, ...]
    traces: Mapping[Index, pixelrl.Trace]
    shape: Index
    remarks: tuple[str, ...]
    painted: Mapping[Index, Labels] = field(default_factory=dict)

    @property
    def num_steps(self) -> int:
        """How many steps every pixel took."""
        return len(next(iter(self.traces.values())).actions)

    @property
    def agents(self) -> int:
        """How many agents a pixel has: 1, or one for each colour."""
        return int(next(iter(self.traces.values())).actions.shape[1])

    def labels(self, step: int) -> Labels:
        """The operations of one step as labels, which are 1 for the first of `operations`; 0 is left for "none".

        The shape is that of the layer without its colours; where a pixel has an agent for each colour, an axis for
        these comes first.
        """
        first = next(iter(self.traces.values())).actions
        found = np.empty((self.agents, *self.shape, *first.shape[-2:]), np.uint8)
        for index, trace in self.traces.items():
            found[(slice(None), *index)] = self.painted.get(index, trace.actions)[step] + 1
        return found[0] if self.agents == 1 else found

    def replayed(self, labels: Sequence[Array], progress: Callable[[float], object] = lambda share: None) -> Run:
        """What comes of other operations; no network is asked, and all other choices stay.

        Args:
            labels: of each step, as `labels` gives them; 0, or a number that is no operation, stands for the operation
                that the policy chose.
            progress: called with the share that is done.

        Raises:
            ValueError: labels of another number or shape.
        """
        shape = self.labels(0).shape
        if len(labels) != self.num_steps or any(one.shape != shape for one in labels):
            raise ValueError(f"{self.num_steps} arrays of labels of shape {shape} are needed")
        wanted = np.stack([np.reshape(one, (self.agents, *self.shape, *one.shape[-2:])) for one in labels])
        image, painted = self.image.copy(), dict(self.painted)
        for number, (index, trace) in enumerate(self.traces.items()):
            plane = wanted[(slice(None), slice(None), *index)]
            known = (plane > 0) & (plane <= len(self.operations))
            actions = np.where(known, plane.astype(np.int64) - 1, trace.actions).astype(np.uint8)
            if not np.array_equal(actions, painted.get(index, trace.actions)):
                painted[index] = actions
                image[index] = join_alpha(replace(trace, actions=actions).replay(), trace.alpha)
            progress((number + 1) / len(self.traces))
        return replace(self, image=image, painted=painted)


def run(values: Array, rgb: bool, settings: Settings, progress: Callable[[float], object] = lambda share: None) -> Run:
    """Let a policy work on every plane of a layer.

    Args:
        values: ``(..., h, w)``, or ``(..., h, w, 3 or 4)`` if ``rgb``; anything that numpy can slice, as dask's arrays.
        rgb: whether the last axis is that of colours (and transparency).
        settings: what a person chose.
        progress: called with the share that is done, from 0 to 1. What it raises ends the work.

    Raises:
        pixelrl.PixelRLError: a policy that is none, or does not take these values; the message is for people.
    """
    shape = tuple(values.shape[: values.ndim - (3 if rgb else 2)])
    indices = list(np.ndindex(shape))
    axis = settings.channel_axis
    if axis is not None and not 0 <= axis < len(shape):
        raise pixelrl.UsageError(f"axis {axis} counts no channels; the layer has {len(shape)} axes beside a picture's")
    policy, told = settings.policy, dict(settings.numbers)
    channels = [0] if axis is None else range(shape[axis])
    alike = {channel: [one for one in indices if axis is None or one[axis] == channel] for channel in channels}
    seen: dict[int, Choice] = {}
    if policy == BY_NOISE:
        kind = next((SAYS[name] for name in told if name in SAYS), None)
        if kind is None:
            for channel, ones in alike.items():
                seen[channel] = most([_choice(values[index], progress) for index in _sample(ones)])
            policy = most([*seen.values()]).policy
        else:
            policy = for_channels(KINDS[kind])[rgb]
    agent = pixelrl.load(policy)
    conditions: dict[int, dict[str, float]] = {}
    image, traces, remarks = np.empty(values.shape, values.dtype), {}, {}
    for channel, choice in seen.items():
        words = choice.why if choice.told.get("sigma") == 0 else choice.policy
        remarks[f"{choice.words}: {words}" if len(seen) == 1 else f"channel {channel}: {choice.words}"] = None
    for number, index in enumerate(indices):
        channel = 0 if axis is None else index[axis]
        plane = np.asarray(values[index])
        if channel not in conditions:
            if channel in seen and seen[channel].policy == policy:
                conditions[channel] = {**seen[channel].told, **told}
            else:
                ones = alike[channel]
                conditions[channel] = told if len(ones) == 1 else _estimated(agent, values, ones, told)

        def share(part: float, number: int = number) -> None:
            progress((number + part) / len(indices))

        result = agent(
            plane, steps=settings.steps, condition=conditions[channel], legibility=settings.legibility, progress=share
        )
        image[index] = result.image
        traces[index] = replace(result.trace(), alpha=plane[..., 3] if rgb and plane.shape[-1] == 4 else None)
        if result.remark is not None:
            remarks[result.remark] = None
    names = next(iter(traces.values())).action_names
    return Run(image, agent.name, names, traces, shape, tuple(remarks))


def _estimated(agent: pixelrl.Agent, values: Array, indices: list[Index], told: dict[str, float]) -> dict[str, float]:
    """What is told of planes that have their noise in common."""
    if agent.takes_mask or not agent.conditioning.quantities:
        return told
    return agent.estimate([np.asarray(values[index]) for index in _sample(indices)], condition=told)


def _sample(indices: list[Index]) -> list[Index]:
    """Some planes of a channel, spread evenly."""
    return [indices[i] for i in np.unique(np.linspace(0, len(indices) - 1, SAMPLES).round().astype(int))]


def _choice(plane: Array, progress: Callable[[float], object]) -> Choice:
    """The policy for the noise of one plane; before looking, whoever wants to stop can."""
    progress(0.0)
    return pixelrl.choose(np.asarray(plane))


def parse_numbers(text: str) -> dict[str, float]:
    """Numbers that a person typed, as in ``sigma=25, strength=0.5``.

    Raises:
        pixelrl.UsageError: it is not of that form.
    """
    numbers = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        try:
            numbers[name.strip()] = float(value)
        except ValueError as error:
            raise pixelrl.UsageError(f"{part!r} is not a name and a number, such as sigma=25") from error
    return numbers
