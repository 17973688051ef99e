"""Actions on the pixel alone: do nothing, and steps of one or more grey levels, each 1/255."""

from __future__ import annotations

from functools import partial

import torch

from pixelrl.actions.base import Action
from pixelrl.types import Image


def _keep(image: Image) -> Image:
    return image.clone()


def _add(image: Image, levels: int) -> Image:
    return torch.add(image, levels / 255)


# Darkening is blue, brightening orange or yellow. With the rows of blur.py the colours stay apart under each
# kind of colour blindness; tests/test_actions.py measures by how much.
# Name, what it does to an image, reach, colour, explanation.
ROWS: tuple[Action, ...] = (
    Action("grey level -64", partial(_add, levels=-64), 0, "#b2d6fa", "Darker by 64 of 255 grey levels."),
    Action("grey level -16", partial(_add, levels=-16), 0, "#4b84fa", "Darker by 16 of 255 grey levels."),
    Action("grey level -4", partial(_add, levels=-4), 0, "#2c609d", "Darker by 4 of 255 grey levels."),
    Action("grey level -1", partial(_add, levels=-1), 0, "#0620f9", "Darker by 1 of 255 grey levels."),
    Action("do nothing", _keep, 0, "#dedede", "Stays as it is."),
    Action("grey level +1", partial(_add, levels=1), 0, "#f08607", "Brighter by 1 of 255 grey levels."),
    Action("grey level +4", partial(_add, levels=4), 0, "#c43f0a", "Brighter by 4 of 255 grey levels."),
    Action("grey level +16", partial(_add, levels=16), 0, "#eeac9a", "Brighter by 16 of 255 grey levels."),
    Action("grey level +64", partial(_add, levels=64), 0, "#f0df28", "Brighter by 64 of 255 grey levels."),
)

LEVEL_STEPS = frozenset(action.name for action in ROWS if action.name.startswith("grey level"))
"""Those that make a pixel brighter or darker by so many grey levels."""
