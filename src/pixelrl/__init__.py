"""PixelRL: every pixel is a reinforcement-learning agent that picks, step by step, one named image operation.

>>> import pixelrl
>>> agent = pixelrl.load("denoise-gray")
>>> result = agent(image, sigma=25)
>>> result.image, result.trajectory.actions
"""

import os
import sys

import lazy_loader

__version__ = "0.1.0"

if "torch" not in sys.modules:
    # OpenMP reads this as PyTorch loads. Else its threads burn their cores while they wait for others, and beside
    # another program hold up those for whom they wait: two were thirty times as slow as one. A user's own word counts
    # (GOMP_SPINCOUNT and KMP_BLOCKTIME come before this one, too).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The names are listed in __init__.pyi. Each is imported on first use: the command line must answer, and stop on Ctrl-C,
# before PyTorch has loaded.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
