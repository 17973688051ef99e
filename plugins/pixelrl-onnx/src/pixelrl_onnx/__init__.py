"""PixelRL without PyTorch: run a policy that ``pixelrl export`` has written, and replay traces.

>>> import pixelrl_onnx
>>> agent = pixelrl_onnx.load("gray")
>>> result = agent(image, sigma=25)
>>> result.image, result.actions
"""

from pixelrl_onnx.agent import Agent, Result, load
from pixelrl_onnx.errors import InputError, PixelRLError, UsageError
from pixelrl_onnx.trace import Trace, load_trace, save_trace

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "InputError",
    "PixelRLError",
    "Result",
    "Trace",
    "UsageError",
    "load",
    "load_trace",
    "save_trace",
]
