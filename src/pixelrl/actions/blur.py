"""Smoothing actions: the paper's (Furuta et al. 2020), which are 5x5 like two that fill, and a wide blur.

In action maps the linear ones are green, the others purple, and filling is turquoise.
"""

from __future__ import annotations

from functools import partial

from pixelrl.actions.base import Action
from pixelrl.imaging import filters

ROWS: tuple[Action, ...] = (
    Action("Gaussian 0.5", partial(filters.gaussian, sigma=0.5), reach=2, color="#94ff96"),
    Action("Gaussian 1.5", partial(filters.gaussian, sigma=1.5), reach=2, color="#34945b"),
    Action("Gaussian 8", partial(filters.gaussian, sigma=8.0, size=33), reach=16, color="#1eb14d"),
    Action("box", filters.box, reach=2, color="#122e00"),
    Action("median", filters.median, reach=2, color="#821962"),
    Action(
        "bilateral 0.1",
        partial(filters.bilateral, sigma_color=0.1, sigma_space=5.0),
        reach=2,
        color="#c87dda",
    ),
    Action(
        "bilateral 1.0",
        partial(filters.bilateral, sigma_color=1.0, sigma_space=5.0),
        reach=2,
        color="#63059d",
    ),
    Action("fill extremes", filters.fill_extremes, reach=2, color="#2ad4c4"),
    Action("sharpen", filters.sharpen, reach=2, color="#fc4530"),
    Action("fill from unlike", filters.fill_from_unlike, reach=2, color="#00b9b9"),
)
