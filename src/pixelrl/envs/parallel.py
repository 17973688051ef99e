"""A small picture as an environment of PettingZoo: every pixel is an agent that sees its surroundings."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pixelrl.envs.pixel import Floats, pixels_of
from pixelrl.errors import UsageError

try:
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise UsageError('PixelParallelEnv needs pettingzoo: pip install "pixelrl[pettingzoo]"') from error

RADIUS = 2


class PixelParallelEnv(ParallelEnv):
    """An agent ``pixel_ROW_COLUMN`` for each pixel, all of which act at once.

    An agent's observation is float32 ``(p, 2 * radius + 1, 2 * radius + 1)``: the planes of `PixelEnv` around its
    pixel, with the nearest values beyond the picture's edge. Its action is an index into `action_names`, and its
    reward is its own in the ``reward_map``. All agents are done together, after `Task.num_steps` steps. `state` is
    the whole observation, ``(p, h, w)``.

    Args:
        env: a `pixelrl.envs.pixel.PixelEnv`, wrapped or not, best a small one: 6x6 pixels are 36 agents.
        radius: how far an agent sees, in pixels.

    Raises:
        UsageError: another environment, or a radius that is none.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # PettingZoo's own type
        "name": "pixelrl_v0",
        "render_modes": ["rgb_array"],
        "is_parallelizable": True,
    }

    def __init__(self, env: gymnasium.Env, radius: int = RADIUS) -> None:
        inner = pixels_of(env)
        if type(radius) is not int or radius < 0:
            raise UsageError(f"radius = {radius} is not a radius; give a whole number of pixels, at least 0")
        self.env, self.radius, self.render_mode = inner, radius, inner.render_mode
        self.action_names, self.planes = inner.action_names, inner.planes
        height, width = inner.action_space.shape
        self._places = {f"pixel_{row}_{column}": (row, column) for row in range(height) for column in range(width)}
        self.possible_agents = list(self._places)
        self.agents: list[str] = []
        self._seen: Floats | None = None
        bounds = (self._around(each) for each in (inner.observation_space.low, inner.observation_space.high))
        self.observation_spaces = {
            agent: gymnasium.spaces.Box(low, high, dtype=np.float32)
            for agent, low, high in zip(self.possible_agents, *(each.values() for each in bounds), strict=True)
        }
        number = len(inner.action_names)
        self.action_spaces = {agent: gymnasium.spaces.Discrete(number) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> gymnasium.spaces.Space[Any]:
        """Of one agent, always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.spaces.Space[Any]:
        """Of one agent, always the same object."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Floats], dict[str, dict[str, Any]]]:
        """Begin an episode with all agents. There are no options."""
        self._seen, _ = self.env.reset(seed=seed)
        self.agents = list(self.possible_agents)
        return self._around(self._seen), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[dict[str, Floats], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Carry out every agent's operation.

        Raises:
            UsageError: no episode is being played, or an agent has no action.
        """
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise UsageError(f"agent {missing[0]} has no action; give one for each of {len(self.agents)} agents")
        chosen = np.zeros(self.env.action_space.shape, np.int64)
        for agent, place in self._places.items():
            chosen[place] = actions.get(agent, 0)
        self._seen, _, ended, _, info = self.env.step(chosen)
        rewards = {agent: float(info["reward_map"][place]) for agent, place in self._places.items()}
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        done, never = dict.fromkeys(self.agents, ended), dict.fromkeys(self.agents, False)
        if ended:
            self.agents = []
        return self._around(self._seen), rewards, done, never, infos

    def state(self) -> Floats:
        """All planes of the whole picture, for a critic that sees everything.

        Raises:
            UsageError: no episode has begun.
        """
        if self._seen is None:
            raise UsageError("no episode has begun; call reset first")
        return self._seen.copy()

    def render(self) -> NDArray[np.uint8] | None:
        """The picture now, 8-bit sRGB ``(h, w, 3)``; None without a mode of rendering."""
        return self.env.render()

    def close(self) -> None:
        """Nothing is held open."""
        self.env.close()

    def _around(self, planes: Floats) -> dict[str, Floats]:
        """What every agent sees of planes ``(p, h, w)``."""
        edges = ((0, 0), (self.radius, self.radius), (self.radius, self.radius))
        side = 2 * self.radius + 1
        windows = sliding_window_view(np.pad(planes, edges, mode="edge"), (side, side), (1, 2))
        return {agent: windows[:, row, column].copy() for agent, (row, column) in self._places.items()}
