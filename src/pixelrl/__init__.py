"""PixelRL: every pixel is a reinforcement-learning agent that picks, step by step, one named image operation.

>>> import pixelrl
>>> agent = pixelrl.load("denoise-gray")
>>> result = agent(image, sigma=25)
>>> result.image, result.trajectory.actions
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelrl.agent import Agent, Result, load
    from pixelrl.checkpoint import shipped_policies
    from pixelrl.edits import Edit, load_edits
    from pixelrl.errors import InputError, PixelRLError, UsageError
    from pixelrl.report.strip import strip
    from pixelrl.rollout import Trajectory
    from pixelrl.trace import Trace, load_trace, save_trace

_HOMES = {
    "pixelrl.agent": ("Agent", "Result", "load"),
    "pixelrl.checkpoint": ("shipped_policies",),
    "pixelrl.edits": ("Edit", "load_edits"),
    "pixelrl.errors": ("InputError", "PixelRLError", "UsageError"),
    "pixelrl.rollout": ("Trajectory",),
    "pixelrl.report.strip": ("strip",),
    "pixelrl.trace": ("Trace", "load_trace", "save_trace"),
}

__all__ = [
    "Agent",
    "Edit",
    "InputError",
    "PixelRLError",
    "Result",
    "Trace",
    "Trajectory",
    "UsageError",
    "load",
    "load_edits",
    "load_trace",
    "save_trace",
    "shipped_policies",
    "strip",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer, and stop on Ctrl-C, before PyTorch has loaded."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'pixelrl' has no attribute {name!r}")
