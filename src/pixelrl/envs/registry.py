"""The environments by name, one for each task that ships."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

import gymnasium


class Registered(NamedTuple):
    """An environment's task, as `pixelrl.tasks.TASKS` calls it, and how many channels its pictures have."""

    task: str
    channels: int


ENVIRONMENTS: dict[str, Registered] = {
    "Denoise-v0": Registered("gaussian-denoising", 1),
    "DenoisePoisson-v0": Registered("poisson-denoising", 1),
    "DenoiseSaltPepper-v0": Registered("saltpepper-denoising", 1),
    "DenoiseCamera-v0": Registered("camera-denoising", 3),
    "RemoveText-v0": Registered("text-removal", 1),
    "EnhanceColor-v0": Registered("color-enhancement", 3),
    "EditSaliency-v0": Registered("saliency-editing", 3),
    "Rewarded-v0": Registered("rewarded", 1),
}


def register(known: Container[str]) -> None:
    """Tell Gymnasium of the environments that it does not know yet.

    Args:
        known: the names that it knows.
    """
    for name, (task, channels) in ENVIRONMENTS.items():
        if name not in known:
            gymnasium.register(
                name,
                entry_point="pixelrl.envs.pixel:PixelEnv",
                vector_entry_point="pixelrl.envs.vector:PixelVectorEnv",
                kwargs={"task": task, "channels": channels},
            )
