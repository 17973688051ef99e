"""Many pictures at once as an environment of TorchRL."""

from __future__ import annotations

import torch
from gymnasium.vector import VectorEnv

from pixelrl.envs.vector import PixelVectorEnv
from pixelrl.errors import UsageError

try:
    from tensordict import TensorDict, TensorDictBase
    from torchrl.data import Binary, Categorical, Composite, Unbounded
    from torchrl.envs import EnvBase
except ImportError as error:
    raise UsageError('PixelTensorDictEnv needs torchrl: pip install "pixelrl[torchrl]"') from error


class PixelTensorDictEnv(EnvBase):
    """A `PixelVectorEnv` on tensordicts of batch size ``(n,)``, on its device.

    Keys: ``observation`` float32 ``(n, p, h, w)``, ``reward_map`` float32 ``(n, h, w)``, 0 before the first step,
    ``action`` int64 ``(n, h, w)``, ``reward`` float32 ``(n, 1)``, ``done``, ``terminated`` and ``truncated`` bool
    ``(n, 1)``. All episodes begin and end together, so they can only be reset together.

    Args:
        env: a `pixelrl.envs.vector.PixelVectorEnv`.

    Raises:
        UsageError: another environment.
    """

    def __init__(self, env: VectorEnv) -> None:
        if not isinstance(env, PixelVectorEnv):
            raise UsageError(f"{env} is no batch of pixels; give a pixelrl.envs.PixelVectorEnv")
        self.episodes = env.episodes
        number, device = env.num_envs, self.episodes.device
        super().__init__(device=device, batch_size=torch.Size([number]))
        shape = (number, self.episodes.size, self.episodes.size)
        self.observation_spec = Composite(
            observation=Unbounded((number, *env.single_observation_space.shape), device=device, dtype=torch.float32),
            reward_map=Unbounded(shape, device=device, dtype=torch.float32),
            shape=(number,),
            device=device,
        )
        self.action_spec = Categorical(len(self.episodes.actions), shape=shape, device=device, dtype=torch.int64)
        self.reward_spec = Unbounded((number, 1), device=device, dtype=torch.float32)
        done = Binary(1, shape=(number, 1), device=device, dtype=torch.bool)
        self.full_done_spec = Composite(
            done=done, terminated=done.clone(), truncated=done.clone(), shape=(number,), device=device
        )
        self.episodes.seed(int(env.np_random.integers(2**62)))

    def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        wanted = None if tensordict is None else tensordict.get("_reset", None)
        if wanted is not None and not wanted.all():
            raise UsageError("the episodes of a batch begin together; reset all of them")
        observation = self.episodes.begin()
        nothing = observation.new_zeros(self.action_spec.shape)
        return TensorDict(
            {"observation": observation, "reward_map": nothing, **self._done(False)}, self.batch_size, self.device
        )

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        observation, reward_map, ended = self.episodes.step(tensordict["action"])
        reward = reward_map.mean((1, 2))[:, None]
        return TensorDict(
            {"observation": observation, "reward_map": reward_map, "reward": reward, **self._done(ended)},
            self.batch_size,
            self.device,
        )

    def _done(self, ended: bool) -> dict[str, torch.Tensor]:
        done = torch.full((*self.batch_size, 1), ended, device=self.device)
        return {"done": done, "terminated": done.clone(), "truncated": torch.zeros_like(done)}

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            self.episodes.seed(seed)
