"""Tasks as environments of other libraries of reinforcement learning; needs the extra ``gym``.

Importing this registers one environment per task with Gymnasium, so ``gymnasium.make("pixelrl.envs:Denoise-v0")``
works, and ``gymnasium.make_vec`` likewise. `FlatPixels` is for Stable-Baselines3, `PixelParallelEnv` for PettingZoo and
`PixelTensorDictEnv` for TorchRL. docs/environments.md has the shapes, types and units of each.
"""

import lazy_loader

from pixelrl.errors import UsageError

try:
    import gymnasium
except ImportError as error:
    raise UsageError('pixelrl.envs needs gymnasium: pip install "pixelrl[gym]"') from error

from pixelrl.envs.registry import register

# The names are listed in __init__.pyi; PettingZoo and TorchRL are imported by those who use them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register(gymnasium.registry)
