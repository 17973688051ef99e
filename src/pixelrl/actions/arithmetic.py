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
ROWS: tuple[Action, ...] = (
    Action("grey level -64", partial(_add, levels=-64), reach=0, color="#b2d6fa"),
    Action("grey level -16", partial(_add, levels=-16), reach=0, color="#4b84fa"),
    Action("grey level -4", partial(_add, levels=-4), reach=0, color="#2c609d"),
    Action("grey level -1", partial(_add, levels=-1), reach=0, color="#0620f9"),
    Action("do nothing", _keep, reach=0, color="#dedede"),
    Action("grey level +1", partial(_add, levels=1), reach=0, color="#f08607"),
    Action("grey level +4", partial(_add, levels=4), reach=0, color="#c43f0a"),
    Action("grey level +16", partial(_add, levels=16), reach=0, color="#eeac9a"),
    Action("grey level +64", partial(_add, levels=64), reach=0, color="#f0df28"),
)
