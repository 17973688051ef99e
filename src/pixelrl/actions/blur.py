"""Smoothing actions: the paper's (Furuta et al. 2020), which are 5x5 like two that fill, wider blurs, and four lines.

In action maps the linear ones are green, the others purple, and filling is turquoise.
"""

from __future__ import annotations

from functools import partial

from pixelrl.actions.base import Action
from pixelrl.imaging import filters

ROWS: tuple[Action, ...] = (
    Action(
        "Gaussian 0.5",
        partial(filters.gaussian, sigma=0.5),
        reach=2,
        color="#94ff96",
        explanation="A slight blur: a mean in which the pixels next to it count little.",
    ),
    Action(
        "Gaussian 1.5",
        partial(filters.gaussian, sigma=1.5),
        reach=2,
        color="#34945b",
        explanation="A blur: the mean of the 5x5 pixels around it, of which the nearer ones count more.",
    ),
    Action(
        "Gaussian 3",
        partial(filters.gaussian, sigma=3.0, size=13),
        reach=6,
        color="#00713c",
        explanation="A stronger blur: the mean of the 13x13 pixels around it, of which the nearer ones count more.",
    ),
    Action(
        "Gaussian 8",
        partial(filters.gaussian, sigma=8.0, size=33),
        reach=16,
        color="#1eb14d",
        explanation="A wide blur: the mean of the 33x33 pixels around it, of which the nearer ones count more.",
    ),
    Action(
        "box",
        filters.box,
        reach=2,
        color="#122e00",
        explanation="A blur: the mean of the 5x5 pixels around it, all alike.",
    ),
    Action(
        "line 0",
        partial(filters.line, angle=0),
        reach=3,
        color="#fdf0a0",
        explanation="Smoothed along a horizontal edge: the mean of seven pixels beside each other.",
    ),
    Action(
        "line 45",
        partial(filters.line, angle=45),
        reach=3,
        color="#ff8fc7",
        explanation="Smoothed along an edge that rises to the right: the mean of seven pixels on that diagonal.",
    ),
    Action(
        "line 90",
        partial(filters.line, angle=90),
        reach=3,
        color="#8c5a2e",
        explanation="Smoothed along a vertical edge: the mean of seven pixels above each other.",
    ),
    Action(
        "line 135",
        partial(filters.line, angle=135),
        reach=3,
        color="#c3e04f",
        explanation="Smoothed along an edge that falls to the right: the mean of seven pixels on that diagonal.",
    ),
    Action(
        "median",
        filters.median,
        reach=2,
        color="#821962",
        explanation="The middle value of the 5x5 pixels around it: specks vanish, edges stay.",
    ),
    Action(
        "bilateral 0.1",
        partial(filters.bilateral, sigma_color=0.1, sigma_space=5.0),
        reach=2,
        color="#c87dda",
        explanation="Smoothed, but not across edges: a mean in which pixels of another value count less.",
    ),
    Action(
        "bilateral 1.0",
        partial(filters.bilateral, sigma_color=1.0, sigma_space=5.0),
        reach=2,
        color="#63059d",
        explanation="Smoothed, across weak edges too: a mean in which only quite other pixels count less.",
    ),
    Action(
        "fill extremes",
        filters.fill_extremes,
        reach=2,
        color="#2ad4c4",
        explanation="If it is quite black or quite white, it is filled from the pixels around it that are neither.",
    ),
    Action(
        "sharpen",
        filters.sharpen,
        reach=2,
        color="#fc4530",
        explanation="Sharper: what a blur would take away is added (unsharp mask).",
    ),
    Action(
        "fill from unlike",
        filters.fill_from_unlike,
        reach=2,
        color="#00b9b9",
        explanation="Filled from the pixels around it that differ from it, as a letter is from what it covers.",
    ),
)
