"""Tone and colour actions: the paper's twelve for colour enhancement, which are small steps, six larger ones, and ten
for looks: red and blue alone, a larger and a fine step of each, and a fine one of brightness.

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
# Name, what it does to an image, reach, colour, explanation.
PAPER_TWELVE: tuple[Action, ...] = (
    Action("contrast x0.95", partial(_contrast, factor=0.95), 0, "#f1a67f", "A little less contrast."),
    Action("contrast x1.05", partial(_contrast, factor=1.05), 0, "#7a2d0b", "A little more contrast."),
    Action("saturation x0.95", partial(_saturation, factor=0.95), 0, "#ee819d", "Colour a little paler."),
    Action("saturation x1.05", partial(_saturation, factor=1.05), 0, "#9f085b", "Colour a little stronger."),
    Action("brightness -0.025", partial(_brightness, step=-0.025), 0, "#362f2b", "A little darker."),
    Action("brightness +0.025", partial(_brightness, step=0.025), 0, "#fcd369", "A little brighter."),
    Action("red and green x0.95", partial(_channels, which=[0, 1], factor=0.95), 0, "#b1cc2b", "A little bluer."),
    Action("red and green x1.05", partial(_channels, which=[0, 1], factor=1.05), 0, "#847e1a", "A little yellower."),
    Action("green and blue x0.95", partial(_channels, which=[1, 2], factor=0.95), 0, "#6bd8fd", "A little redder."),
    Action("green and blue x1.05", partial(_channels, which=[1, 2], factor=1.05), 0, "#066b8a", "More cyan."),
    Action("red and blue x0.95", partial(_channels, which=[0, 2], factor=0.95), 0, "#b38ae0", "A little greener."),
    Action("red and blue x1.05", partial(_channels, which=[0, 2], factor=1.05), 0, "#1c064f", "More magenta."),
)

LARGER: tuple[Action, ...] = (
    Action("contrast x0.8", partial(_contrast, factor=0.8), 0, "#b86f69", "Less contrast."),
    Action("contrast x1.25", partial(_contrast, factor=1.25), 0, "#744b38", "More contrast."),
    Action("saturation x0.8", partial(_saturation, factor=0.8), 0, "#dc3aa7", "Colour paler."),
    Action("saturation x1.25", partial(_saturation, factor=1.25), 0, "#450b43", "Colour stronger."),
    Action("brightness -0.1", partial(_brightness, step=-0.1), 0, "#34336c", "Darker."),
    Action("brightness +0.1", partial(_brightness, step=0.1), 0, "#fef333", "Brighter."),
)

FOR_LOOKS: tuple[Action, ...] = (
    Action("brightness -0.005", partial(_brightness, step=-0.005), 0, "#12010c", "A touch darker."),
    Action("brightness +0.005", partial(_brightness, step=0.005), 0, "#6b8971", "A touch brighter."),
    Action("red x0.8", partial(_channels, which=[0], factor=0.8), 0, "#fa1f6e", "Less red."),
    Action("red x1.25", partial(_channels, which=[0], factor=1.25), 0, "#47013b", "More red."),
    Action("red x0.99", partial(_channels, which=[0], factor=0.99), 0, "#e614a7", "A touch less red."),
    Action("red x1.01", partial(_channels, which=[0], factor=1.01), 0, "#8d503b", "A touch more red."),
    Action("blue x0.9", partial(_channels, which=[2], factor=0.9), 0, "#cd55fd", "Less blue."),
    Action("blue x1.1", partial(_channels, which=[2], factor=1.1), 0, "#52028b", "More blue."),
    Action("blue x0.99", partial(_channels, which=[2], factor=0.99), 0, "#8e05d6", "A touch less blue."),
    Action("blue x1.01", partial(_channels, which=[2], factor=1.01), 0, "#0207fb", "A touch more blue."),
)
