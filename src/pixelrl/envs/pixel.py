"""A picture as one environment of Gymnasium, in which every pixel has an action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from pixelrl.envs.episodes import Episodes
from pixelrl.envs.pictures import Pictures
from pixelrl.errors import UsageError
from pixelrl.tasks import Task
from pixelrl.validation import brief, is_word

Floats = NDArray[np.float32]


class PixelEnv(gymnasium.Env):
    """An episode of a task on one picture.

    The observation is float32 ``(p, h, w)``: the picture's channels, nominally in [0, 1] and not clipped; the planes
    of what a policy is told (`pixelrl.tasks.Conditioning`), none where it is told nothing; and how much of the episode
    is over, from 0 to 1. `planes` names them. The action is an index into `action_names` for every pixel, ``(h, w)``.
    The reward is the mean over the pixels of ``info["reward_map"]``, float32 ``(h, w)``: what each agent earned
    (`pixelrl.tasks.Task.step_reward` times `pixelrl.tasks.Episode.reward_scale`, as in training). An episode
    terminates after `Task.num_steps` steps; the last ``info`` also has the task's measure of the picture by its name,
    ``info["psnr"]``.

    Args:
        task: a task, or the name of one, as a recipe has it.
        task_arguments: of a task that is named.
        pictures: see `pixelrl.envs.pictures.Pictures`.
        size: height and width in pixels.
        channels: 1 for grey pictures, 3 for colour.
        level: the strength of degradation, in `Task.degrade`'s unit; None for another one in every episode.
        device: where it is computed.
        render_mode: ``rgb_array`` for the picture as 8-bit sRGB ``(h, w, 3)``.

    Raises:
        UsageError: an unknown task, or pictures, a size or a mode of rendering that do not fit it.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 2}  # noqa: RUF012  # Gymnasium's own type

    def __init__(
        self,
        task: Task | str = "gaussian-denoising",
        task_arguments: Mapping[str, object] | None = None,
        pictures: Pictures = None,
        size: int = 32,
        channels: int = 1,
        level: float | None = None,
        device: str = "cpu",
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None and not is_word(render_mode, self.metadata["render_modes"]):
            raise UsageError(f"render_mode = {brief(render_mode)} is unknown; give 'rgb_array' or None")
        self.render_mode = render_mode
        self.episodes = Episodes(task, task_arguments, pictures, size, channels, level, 1, device)
        self.action_names, self.planes = self.episodes.actions.names, self.episodes.planes
        self.observation_space, self.action_space = spaces_of(self.episodes)
        self._seeded = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode on another picture. There are no options."""
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            self.episodes.seed(int(self.np_random.integers(2**62)))
            self._seeded = True
        return _array(self.episodes.begin()), {}

    def step(self, action: NDArray[np.integer]) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Carry out one operation at every pixel.

        Raises:
            UsageError: no episode is being played, or the action is none.
        """
        observation, reward_map, ended = self.episodes.step(torch.as_tensor(action)[None])
        info: dict[str, Any] = {"reward_map": _array(reward_map)}
        if ended:
            info[self.episodes.task.metric_name] = self.episodes.metric().item()
        return _array(observation), reward_map.mean().item(), ended, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """The picture now; None without a mode of rendering."""
        if self.render_mode is None:
            return None
        shown = self.episodes.picture()[0].expand(3, -1, -1)
        return (255 * shown.clamp(0, 1)).round().byte().movedim(0, -1).cpu().numpy()


def pixels_of(env: gymnasium.Env) -> PixelEnv:
    """The environment of pixels in an environment, wrapped or not.

    Raises:
        UsageError: it is another one.
    """
    inner = env.unwrapped
    if not isinstance(inner, PixelEnv):
        raise UsageError(f"{env} is no environment of pixels; give a pixelrl.envs.PixelEnv")
    return inner


def spaces_of(episodes: Episodes) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.MultiDiscrete]:
    """The spaces of one picture's observations and actions. Values have no bounds, for operations may leave [0, 1]."""
    size, planes = episodes.size, len(episodes.planes)
    low, high = np.full((planes, size, size), -np.inf, np.float32), np.full((planes, size, size), np.inf, np.float32)
    low[-1], high[-1] = 0, 1
    actions = np.full((size, size), len(episodes.actions))
    return gymnasium.spaces.Box(low, high, dtype=np.float32), gymnasium.spaces.MultiDiscrete(actions)


def _array(batch: torch.Tensor) -> Floats:
    """The only one of a batch, as an array that nobody else holds."""
    return batch[0].cpu().numpy().copy()
