"""Many pictures at once as an environment of Gymnasium whose observations, rewards and actions are tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from pixelrl.envs.episodes import Episodes
from pixelrl.envs.pictures import Pictures
from pixelrl.envs.pixel import spaces_of
from pixelrl.errors import UsageError
from pixelrl.tasks import Task


class PixelVectorEnv(VectorEnv):
    """A batch of `pixelrl.envs.pixel.PixelEnv` that begin and end together, on tensors of one device.

    Observations are float32 ``(n, p, h, w)``, actions integers ``(n, h, w)``, rewards float32 ``(n,)``,
    terminations and truncations bool ``(n,)``, and ``info["reward_map"]`` is float32 ``(n, h, w)``. After the last step
    of the episodes the next have begun at once (Gymnasium's ``SAME_STEP``): the observation is theirs, and
    ``info["final_obs"]`` is what became of the last ones, as ``info["final_info"]`` has their ``reward_map`` and the
    task's measure, ``(n,)``.

    Args:
        num_envs: n, how many pictures.
        task: and all that follow as for `pixelrl.envs.pixel.PixelEnv`.
        task_arguments: of a task that is named.
        pictures: see `pixelrl.envs.pictures.Pictures`.
        size: height and width in pixels.
        channels: 1 for grey pictures, 3 for colour.
        level: the strength of degradation; None for another one in every episode.
        device: where everything is computed and returned.

    Raises:
        UsageError: an unknown task, or pictures or a size that do not fit it.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        task: Task | str = "gaussian-denoising",
        task_arguments: Mapping[str, object] | None = None,
        pictures: Pictures = None,
        size: int = 32,
        channels: int = 1,
        level: float | None = None,
        device: str = "cpu",
    ) -> None:
        self.num_envs = num_envs
        self.episodes = Episodes(task, task_arguments, pictures, size, channels, level, num_envs, device)
        self.action_names, self.planes = self.episodes.actions.names, self.episodes.planes
        self.single_observation_space, self.single_action_space = spaces_of(self.episodes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seeded = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Begin all episodes. One seed decides all of them; there are no options.

        Raises:
            UsageError: a list of seeds.
        """
        if isinstance(seed, list):
            raise UsageError("the pictures are drawn together; give one seed, not a list")
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            self.episodes.seed(int(self.np_random.integers(2**62)))
            self._seeded = True
        return self.episodes.begin(), {}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
        """Carry out one operation at every pixel of every picture.

        Raises:
            UsageError: no episode is being played, or these are no actions.
        """
        observation, reward_map, ended = self.episodes.step(torch.as_tensor(actions))
        terminations = torch.full((self.num_envs,), ended, device=self.episodes.device)
        infos: dict[str, Any] = {"reward_map": reward_map}
        if ended:
            measured = {self.episodes.task.metric_name: self.episodes.metric()}
            infos |= {"final_obs": observation, "final_info": {"reward_map": reward_map.clone(), **measured}}
            infos |= {"_final_obs": terminations.clone(), "_final_info": terminations.clone()}
            observation = self.episodes.begin()
        return observation, reward_map.mean((1, 2)), terminations, torch.zeros_like(terminations), infos
