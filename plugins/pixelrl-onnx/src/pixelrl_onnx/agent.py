"""What a user holds: ``pixelrl_onnx.load(FOLDER)(image, sigma=25) -> Result``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime

from pixelrl_onnx.arrays import Array, Planes, scale_for, to_pixels, to_planes
from pixelrl_onnx.episode import Maps, idle, in_srgb, nearest
from pixelrl_onnx.errors import InputError, UsageError
from pixelrl_onnx.noise import estimate_sigma, in_common
from pixelrl_onnx.operations import DO_NOTHING, find_operations
from pixelrl_onnx.spaces import Opponent, Space, clipped_space, find_space, from_opponent, opponent_change
from pixelrl_onnx.trace import Trace

Given = float | Literal["auto"]

FORMATS = (1, 2)
"""The second is that of policies whose agents work on opponent colours."""
CARD, ENCODER = "policy.json", "encoder.onnx"
"""What a folder of ``pixelrl export`` holds: what the policy says of itself, and the network that looks once."""
TILE = 1024
"""Side in pixels of the tiles that the network sees of large images."""
FAR = 10.0
"""How many times weaker than any in its training noise may be for a policy to work on it."""
CLIPPED, SEEN = 0.005, 0.6
"""The share of values that are quite black or white from which on noise counts as clipped, and the share of the told
level that must be seen."""


@dataclass(frozen=True)
class Result:
    """What an agent did to an image.

    Attributes:
        image: the result, of the dtype and shape that came in.
        actions: uint8 ``(t, g, h, w)``, indices into ``action_names``; a pixel has one agent, or one for each channel:
            red, green and blue, or opponent colours, brightness and two differences (`Trace.space`).
        action_names: the named operations.
        policy: the name of the policy.
        condition: what it was told, for instance ``{"sigma": 25.0}``.
        remark: what there is to say of the image, in a sentence; None if there is nothing.
        legibility: 0, the best quality: exported policies take the outcome that is nearest to their estimate.
    """

    image: Array
    actions: Maps
    action_names: tuple[str, ...]
    policy: str
    condition: Mapping[str, float]
    remark: str | None
    legibility: float
    _pixels: Array
    _scale: tuple[float, float]
    _space: str
    _precision: str | None

    def trace(self) -> Trace:
        """The episode as `save_trace` takes it; ``pixelrl`` reads it, too."""
        told = (self.condition, self._space, self._scale, self.legibility, self._precision)
        return Trace(self._pixels, self.actions, self.action_names, self.policy, *told)


class Agent:
    """An exported policy, ready for images.

    Args:
        card: the content of ``policy.json``.
        session: the encoder.
    """

    def __init__(self, card: Mapping[str, Any], session: onnxruntime.InferenceSession) -> None:
        self.name: str = card["name"]
        self.num_channels: int = card["num_channels"]
        self.num_steps: int = card["num_steps"]
        self.precision: str = card["precision"]
        self.action_names = tuple(operation["name"] for operation in card["operations"])
        self.takes: str | None = card["condition"]
        self._trained = card["trained"]
        self._planes, self._halo, self._alignment = card["condition_planes"], card["reach"], card["alignment"]
        # An older export has not the word, and was checked with its last row repeated.
        self._fill: Literal["symmetric", "edge"] = "symmetric" if card.get("mirrors", False) else "edge"
        self._operations, self._session = find_operations(self.action_names), session
        self._space = find_space(card.get("space", "srgb"))

    def __call__(
        self,
        image: Array,
        sigma: Given = "auto",
        peak: Given = "auto",
        steps: int | None = None,
        white: float | None = None,
        legibility: float = 0.0,
    ) -> Result:
        """Let every pixel act.

        Args:
            image: ``(h, w)``, or ``(h, w, 3)`` in RGB, of uint8, uint16 or floats. A grey policy runs on each channel.
            sigma: the level of Gaussian noise in 8-bit grey levels; estimated if it is not given.
            peak: for policies for Poisson noise, the mean number of photons at white.
            steps: T; None for the number the policy was trained for.
            white: the value that stands for white; None for that of the dtype.
            legibility: 0, the best quality. Plainer maps take pixelrl itself.

        Raises:
            InputError: not an image, or with a number of channels that the policy cannot take.
            UsageError: an argument that does not fit, or one that is needed and not given.
        """
        if legibility != 0:
            raise UsageError(f"legibility = {legibility!r} cannot be told here, only 0; use pixelrl itself")
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 0):
            raise UsageError(f"steps = {steps!r} cannot be; give a whole number of at least 0")
        scale = scale_for(image, white)
        planes = to_planes(image, scale)
        if self.num_channels not in (1, len(planes)) and len(planes) != 1:
            raise InputError(f"policy {self.name} takes {self.num_channels} channels, the image has {len(planes)}")
        condition = self.told(planes, sigma, peak)
        remark, still = self._beyond(condition)
        still = (still or condition.get("sigma") == 0) and DO_NOTHING in self.action_names
        number = self.num_steps if steps is None else steps
        values = self._space if still else self._works_in(planes, condition)
        if still:
            shape = (number, *planes.shape)
            maps, final = np.full(shape, self.action_names.index(DO_NOTHING), np.uint8), planes
        else:
            seen = planes if values is None else values.to(planes)
            maps, final = self._played(seen, self._goals(seen, self._level(planes, condition)), number)
            final = in_srgb(final, values, planes)
        precision = self.precision if self.precision == "fp32" else None
        told = (self.name, condition, remark, 0.0, image, scale, str(values or "srgb"), precision)
        return Result(to_pixels(final, image, scale), maps, self.action_names, *told)

    run = __call__

    def told(self, planes: Planes, sigma: Given = "auto", peak: Given = "auto") -> dict[str, float]:
        """What the policy is told of planes ``(c, h, w)``: what is given, or what is seen.

        Raises:
            UsageError: a number that is none, that this policy does not take, or that it takes and that is not seen.
        """
        given = {name: value for name, value in (("sigma", sigma), ("peak", peak)) if value != "auto"}
        for name, value in given.items():
            if name != self.takes:
                takes = self.takes or "no noise level"
                raise UsageError(f"{name} = {value!r} cannot be used: policy {self.name} takes {takes}; leave it out")
            low = 0 if name == "sigma" else 1e-3
            if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) < math.inf:
                raise UsageError(f"{name} = {value!r} is not a noise level; give at least {low:g}")
        if self.takes is None or given:
            return {name: float(value) for name, value in given.items()}
        if self.takes != "sigma":
            raise UsageError(f"policy {self.name} must be told {self.takes}; pixelrl itself estimates it")
        return {"sigma": estimate_sigma(planes)}

    def estimate(self, planes: Planes, condition: Mapping[str, float]) -> Planes:
        """The clean image that the encoder takes planes ``(c, h, w)`` for, in tiles: red, green and blue, or grey.

        A policy for colour sees a grey image as three equal channels, and its estimate has three.
        """
        return self._estimate(planes, self._level(planes, condition))

    def _level(self, planes: Planes, condition: Mapping[str, float]) -> float:
        """What the network is told: the deviation of the noise as a share of white; of photons, at half of white.

        One for colour learned noise of each channel's own, and is told more of noise that they have in common.
        """
        level = (0.5 / condition["peak"]) ** 0.5 if "peak" in condition else condition.get("sigma", 0.0) / 255
        return float(level * in_common(planes)) if self.num_channels == 3 and level else float(level)

    def _estimate(self, planes: Planes, level: float) -> Planes:
        if len(planes) != self.num_channels and self.num_channels != 1:
            planes = np.repeat(planes, self.num_channels, 0)
        told = np.float32(level)
        result = np.empty_like(planes)
        for rows, inner_rows, core_rows in self._tiles(planes.shape[1]):
            for columns, inner_columns, core_columns in self._tiles(planes.shape[2]):
                part = planes[:, rows, columns].reshape(-1, self.num_channels, *planes[0, rows, columns].shape)
                height, width = part.shape[-2:]
                down, right = -height % self._alignment, -width % self._alignment
                part = np.pad(part, ((0, 0), (0, 0), (0, down), (0, right)), self._fill)
                shape = (len(part), self._planes, part.shape[2] // 2, part.shape[3] // 2)
                fed = {"image": part, "condition": np.full(shape, told, np.float32)}
                estimate = self._session.run(None, fed)[0][..., :height, :width].reshape(-1, height, width)
                result[:, core_rows, core_columns] = estimate[:, inner_rows, inner_columns]
        return result

    def _tiles(self, length: int) -> Iterator[tuple[slice, slice, slice]]:
        """Of each tile along an axis: what is seen, where its core lies in that, and where in the whole."""
        for start in range(0, length, TILE):
            stop = min(length, start + TILE)
            first, last = max(0, start - self._halo), min(length, stop + self._halo)
            yield slice(first, last), slice(start - first, stop - first), slice(start, stop)

    def _goals(self, image: Planes, level: float) -> Planes:
        """The estimate, in the values that the agents work on; of opponent colours a grey image has its brightness."""
        if not isinstance(self._space, Opponent):
            return self._estimate(image, level)
        seen = from_opponent(image) if len(image) == 3 else np.repeat(image, 3, 0)
        return image + opponent_change(self._estimate(seen, level) - seen)[: len(image)]

    def _played(self, image: Planes, goals: Planes, steps: int) -> tuple[Maps, Planes]:
        maps: list[Any] = []
        for _ in range(steps):
            if maps and idle(maps[-1], self.action_names):  # nothing has changed, and so nothing will
                maps.append(maps[-1])
                continue
            chosen, image = nearest(image, goals, self._operations)
            maps.append(chosen)
        return np.stack(maps) if maps else np.zeros((0, *image.shape), np.uint8), image

    def _works_in(self, planes: Planes, condition: Mapping[str, float]) -> Space | None:
        """The space of the values that the agents work on."""
        if not self._clipped(planes, condition):
            return self._space
        clipped = clipped_space(condition["sigma"] / 255)
        return Opponent(clipped) if isinstance(self._space, Opponent) else clipped

    def _clipped(self, planes: Planes, condition: Mapping[str, float]) -> bool:
        """Whether a file has clipped the noise at black and white."""
        sigma = condition.get("sigma")
        if not sigma or planes.min() < 0 or planes.max() > 1:
            return False
        share = float(((planes == 0) | (planes == 1)).mean(dtype=np.float64))
        return share > CLIPPED and estimate_sigma(planes) >= SEEN * sigma

    def _beyond(self, condition: Mapping[str, float]) -> tuple[str | None, bool]:
        """What is to be said of a number beyond the training, and whether the noise is so weak that it is left."""
        for name, value in condition.items():
            limits = self._trained.get(name)
            if limits is None or limits[0] <= value <= limits[1] or value == 0:
                continue
            weak = value > FAR * limits[1] if name == "peak" else value < limits[0] / FAR
            words = f"{name} {value:.4g} is beyond the {limits[0]:g} to {limits[1]:g} of the training"
            return (f"{words}: so weak a noise is left as it is" if weak else words), weak
        return None, False


def load(folder: str | Path, threads: int | None = None) -> Agent:
    """Load a policy that ``pixelrl export`` has written.

    Args:
        folder: with ``policy.json`` and ``encoder.onnx``.
        threads: of ONNX Runtime; None for as many as it takes by itself.

    Raises:
        UsageError: no such folder, or one with something else in it.
    """
    folder = Path(folder)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} is no exported policy; give a folder that `pixelrl export` wrote") from error
    if not isinstance(card, dict) or card.get("format") not in FORMATS:
        reads = " and ".join(map(str, FORMATS))
        raise UsageError(f"{folder / CARD} is of another format; this version of pixelrl-onnx reads {reads}")
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(folder / ENCODER), options, providers=["CPUExecutionProvider"])
        return Agent(card, session)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{folder / CARD} is damaged: {error!r}; export the policy again") from error
    except UsageError:
        raise
    except Exception as error:  # ONNX Runtime has an exception for each fault, none of them public
        raise UsageError(f"{folder / ENCODER} cannot be loaded; export the policy again") from error
