"""Which of an encoder's layers compute in 8 bits, and in which ranges: as seen on noisy pictures, without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pixelrl.agent import Agent
from pixelrl.errors import UsageError
from pixelrl.exporting.export import exportable
from pixelrl.exporting.graph import Eight, Layer, affine, layers
from pixelrl.imaging.color import to_opponent
from pixelrl.policies.estimating import Estimating
from pixelrl.tasks import Task
from pixelrl.tasks.denoising import GaussianDenoising, PoissonDenoising
from pixelrl.training.data import load_photos
from pixelrl.types import Image

_Values = npt.NDArray[np.float32]

SHIPPED = ("astronaut", "coffee", "chelsea", "rocket")
SHIPPED_GREY = ("camera", "brick", "grass", "gravel", "coins", "moon")
"""Photographs in scikit-image's package."""
CROPS, SIDE, SAMPLES = 48, 128, 1000
"""How many crops are looked at, of so many pixels a side, and values of each channel kept of each crop."""
NARROWEST = 1 / 32
"""Of a channel's range, as a share of the layer's widest."""
STRONG = 0.6
"""Every second crop has noise from this share of the trained range on: weak noise would leave the tails unseen."""


def calibrated(agent: Agent, pictures: Path | None = None) -> dict[str, Eight]:
    """How each layer computes in 8 bits; layers that are not named stay in float32.

    Those are the first and the last layer, and the last one of the first and of the last block: their rounding errors
    go straight into the estimate.

    Args:
        agent: whose policy is exportable and told the level of its noise.
        pictures: a folder of clean pictures; None for those of scikit-image.

    Raises:
        UsageError: another policy, or a folder without pictures of 128 pixels a side and more.
    """
    policy, task = exportable(agent), _task_of(agent)
    seconds = [layer.name for layer in layers(policy) if layer.name.startswith(("before", "after")) and not layer.relu]
    float32 = {"enter", "leave", *seconds[:1], *seconds[-1:]}
    chosen = [layer for layer in layers(policy) if layer.name not in float32]
    seen, given = _watched(policy, chosen, task, _crops(pictures, policy.num_channels))
    result = {}
    for layer in chosen:
        values, spread = given[layer.name], None
        if not layer.relu:
            width = np.abs(values).max(1)
            spread = np.maximum(width / max(width.max(), 1e-12), NARROWEST).astype(np.float32)
            values = values / spread[:, None]
        # What goes into a sum is not clipped: strong noise would lose most by it.
        limits = best_range(values) if layer.relu else (float(values.min()), float(values.max()))
        result[layer.name] = Eight(best_range(seen[layer.name]), limits, spread)
    return result


def _task_of(agent: Agent) -> Task:
    condition = agent.card.condition
    limits = agent.card.trained(condition) if condition else None
    if condition == "sigma":
        return GaussianDenoising(limits or (0.0, 55.0))
    if condition == "peak":
        return PoissonDenoising(limits or (5.0, 200.0))
    words = "is told no level of noise, so that 8 bits cannot be calibrated"
    raise UsageError(f"policy {agent.name} {words}; leave out --int8")


def _crops(pictures: Path | None, channels: int) -> list[Image]:
    """Clean crops ``(1, c, side, side)``."""
    if pictures is None:
        from skimage import data

        arrays = [getattr(data, name)() for name in SHIPPED]
        if channels == 1:
            arrays = [cv2.cvtColor(array, cv2.COLOR_RGB2GRAY) for array in arrays]
            arrays += [getattr(data, name)() for name in SHIPPED_GREY]
        photos = [torch.from_numpy(np.atleast_3d(array).transpose(2, 0, 1).copy()) for array in arrays]
    else:
        photos = [photo.pixels for photo in load_photos(pictures, channels)]
        photos = [pixels for pixels in photos if min(pixels.shape[-2:]) >= SIDE]
        if not photos:
            raise UsageError(f"{pictures} holds no picture of {SIDE} pixels a side and more to calibrate with")
    random, crops = np.random.default_rng(0), []
    for i in range(CROPS):
        pixels = photos[i % len(photos)]
        top, left = (int(random.integers(0, side - SIDE + 1)) for side in pixels.shape[-2:])
        crops.append(pixels[None, :, top : top + SIDE, left : left + SIDE].float() / 255)
    return crops


@torch.no_grad()
def _watched(
    policy: Estimating, chosen: Sequence[Layer], task: Task, crops: Sequence[Image]
) -> tuple[dict[str, _Values], dict[str, _Values]]:
    """Values ``(channels, samples)`` of each layer's input and output, the latter after its ReLU."""
    seen: dict[str, list[_Values]] = {layer.name: [] for layer in chosen}
    given: dict[str, list[_Values]] = {layer.name: [] for layer in chosen}
    random, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)

    def keep(into: list[_Values], values: Tensor) -> None:
        planes = values[0].flatten(1).numpy()
        places = random.integers(0, planes.shape[1], SAMPLES)
        into.append(np.concatenate([planes[:, places], planes.max(1, keepdims=True), planes.min(1, keepdims=True)], 1))

    def watch(layer: Layer) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            keep(seen[layer.name], inputs[0])
            keep(given[layer.name], output.clamp_min(0) if layer.relu else output)

        return layer.convolution.register_forward_hook(hook)

    hooks = [watch(layer) for layer in chosen]
    try:
        for i, clean in enumerate(crops):
            share = i / (len(crops) - 1)
            start = task.degrade(clean, _level(task, STRONG + (1 - STRONG) * share if i % 2 else share), generator)
            policy.understood(to_opponent(start.image) if policy.opponent else start.image, start.condition)
    finally:
        for each in hooks:
            each.remove()
    joined = [{name: np.concatenate(parts, 1) for name, parts in each.items()} for each in (seen, given)]
    return joined[0], joined[1]


def _level(task: Task, share: float) -> float:
    """From the weakest noise of the training to the strongest."""
    if isinstance(task, PoissonDenoising):
        low, high = task.peak
        return float(high * (low / high) ** share)
    assert isinstance(task, GaussianDenoising)
    low, high = task.sigma
    return low + (high - low) * share


def best_range(values: _Values) -> tuple[float, float]:
    """The range in which 8 bits miss values least in the mean square; what lies beyond is clipped."""
    sample = values.ravel()
    if sample.size > 60_000:
        sample = np.random.default_rng(0).choice(sample, 60_000, replace=False)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-6)
    errors = {}
    for share in np.linspace(0.75, 1, 6):
        step, zero = affine(low * share, high * share)
        back = (np.clip(np.rint(sample / step) + int(zero), 0, 255) - int(zero)) * step
        errors[float(share)] = float(np.square(back - sample).mean())
    share = min(errors, key=errors.__getitem__)
    return low * share, high * share
