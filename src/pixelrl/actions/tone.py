"""Tone and colour actions: the paper's twelve for colour enhancement, which are small steps, and six larger ones.

Each works on the values of a pixel's three channels, in whatever RGB space they are; nothing is clipped. In action maps
what raises something is darker than what lowers it.
"""

from __future__ import annotations

from functools import partial

import torch

from pixelrl.actions.base import Action
from pixelrl.types import Image


def _contrast(image: Image, factor: float) -> Image:
    return torch.lerp(torch.full_like(image, 0.5), image, factor)


def _saturation(image: Image, factor: float) -> Image:
    """HSV's saturation times ``factor``; hue and value are kept. S = 1 - min / max, so all move away from the max."""
    value = image.amax(1, keepdim=True)
    return torch.lerp(value.expand_as(image), image, factor)


def _brightness(image: Image, step: float) -> Image:
    return image + step


def _channels(image: Image, which: list[int], factor: float) -> Image:
    result = image.clone()
    if image.shape[1] == 3:  # grey has no red to change
        result[:, which] *= factor
    return result


# Colours: see actions/arithmetic.py.
PAPER_TWELVE: tuple[Action, ...] = (
    Action("contrast x0.95", partial(_contrast, factor=0.95), reach=0, color="#f1a67f"),
    Action("contrast x1.05", partial(_contrast, factor=1.05), reach=0, color="#7a2d0b"),
    Action("saturation x0.95", partial(_saturation, factor=0.95), reach=0, color="#ee819d"),
    Action("saturation x1.05", partial(_saturation, factor=1.05), reach=0, color="#9f085b"),
    Action("brightness -0.025", partial(_brightness, step=-0.025), reach=0, color="#362f2b"),
    Action("brightness +0.025", partial(_brightness, step=0.025), reach=0, color="#fcd369"),
    Action("red and green x0.95", partial(_channels, which=[0, 1], factor=0.95), reach=0, color="#b1cc2b"),
    Action("red and green x1.05", partial(_channels, which=[0, 1], factor=1.05), reach=0, color="#847e1a"),
    Action("green and blue x0.95", partial(_channels, which=[1, 2], factor=0.95), reach=0, color="#6bd8fd"),
    Action("green and blue x1.05", partial(_channels, which=[1, 2], factor=1.05), reach=0, color="#066b8a"),
    Action("red and blue x0.95", partial(_channels, which=[0, 2], factor=0.95), reach=0, color="#b38ae0"),
    Action("red and blue x1.05", partial(_channels, which=[0, 2], factor=1.05), reach=0, color="#1c064f"),
)

LARGER: tuple[Action, ...] = (
    Action("contrast x0.8", partial(_contrast, factor=0.8), reach=0, color="#b86f69"),
    Action("contrast x1.25", partial(_contrast, factor=1.25), reach=0, color="#744b38"),
    Action("saturation x0.8", partial(_saturation, factor=0.8), reach=0, color="#dc3aa7"),
    Action("saturation x1.25", partial(_saturation, factor=1.25), reach=0, color="#450b43"),
    Action("brightness -0.1", partial(_brightness, step=-0.1), reach=0, color="#34336c"),
    Action("brightness +0.1", partial(_brightness, step=0.1), reach=0, color="#fef333"),
)
