"""PixelRL: every pixel is a reinforcement-learning agent that picks, step by step, one named image operation.

>>> import pixelrl
>>> agent = pixelrl.load("denoise-gray")
>>> result = agent(image, sigma=25)
>>> result.image, result.trajectory.actions
"""

import lazy_loader

__version__ = "0.1.0"

# The names are listed in __init__.pyi. Each is imported on first use: the command line must answer, and stop on Ctrl-C,
# before PyTorch has loaded.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
