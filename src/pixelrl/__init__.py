"""PixelRL: every pixel is a reinforcement-learning agent that picks, step by step, one named image operation.

>>> import pixelrl
>>> agent = pixelrl.load("denoise-gray")
>>> result = agent(image, sigma=25)
>>> result.image, result.trajectory.actions
"""

from pixelrl.agent import Agent, Result, load, shipped_policies
from pixelrl.errors import InputError, PixelRLError, UsageError
from pixelrl.rollout import Trajectory
from pixelrl.show import strip
from pixelrl.trace import Trace, load_trace, save_trace

__all__ = [
    "Agent",
    "InputError",
    "PixelRLError",
    "Result",
    "Trace",
    "Trajectory",
    "UsageError",
    "load",
    "load_trace",
    "save_trace",
    "shipped_policies",
    "strip",
]
__version__ = "0.1.0"
