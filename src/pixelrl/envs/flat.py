"""An environment of pixels for Stable-Baselines3, whose algorithms take vectors."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces.utils import flatten_space
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from pixelrl.envs.pixel import Floats, pixels_of
from pixelrl.errors import UsageError


class FlatPixels(gymnasium.Wrapper, RecordConstructorArgs):
    """Observations float32 ``(p * h * w,)`` and actions ``(h * w,)``, row by row; all else as it was.

    Args:
        env: a `pixelrl.envs.pixel.PixelEnv`, wrapped or not.

    Raises:
        UsageError: another environment.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        inner = pixels_of(env)
        RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self._shape = inner.action_space.shape
        self.observation_space = flatten_space(inner.observation_space)
        self.action_space = gymnasium.spaces.MultiDiscrete(inner.action_space.nvec.ravel())

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation.ravel(), info

    def step(self, action: NDArray[np.integer]) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Carry out one operation at every pixel.

        Raises:
            UsageError: no episode is being played, or the action is none.
        """
        if action.shape != self.action_space.shape:
            raise UsageError(f"the action is of shape {action.shape}; give {self.action_space.shape}")
        observation, reward, terminated, truncated, info = self.env.step(action.reshape(self._shape))
        return observation.ravel(), float(reward), terminated, truncated, info
