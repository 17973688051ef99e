"""Actions that compare a pixel with its surroundings: light, local contrast, black and white, specks, strong blur.

They are for pictures that are to be read, by people or machines, more than for photographs.
"""

from __future__ import annotations

from functools import partial

from pixelrl.actions.base import Action
from pixelrl.imaging import filters, local

# Colours: see actions/arithmetic.py.
ROWS: tuple[Action, ...] = (
    Action(
        "Gaussian 3 wide",
        partial(filters.gaussian, sigma=3.0, size=19),
        reach=9,
        color="#0c160b",
        explanation="A strong blur: the mean of the 19x19 pixels around it, of which the nearer ones count more.",
    ),
    Action(
        "sharpen strongly",
        partial(filters.sharpen, amount=3.0, sigma=2.0, size=13),
        reach=6,
        color="#a34e8a",
        explanation="Much sharper: three times what a blur of 13x13 pixels would take away is added.",
    ),
    Action(
        "even light",
        local.even_light,
        reach=16,
        color="#0209ff",
        explanation="Light made even: what the 33x33 pixels around it have in common is taken away.",
    ),
    Action(
        "local contrast",
        local.local_contrast,
        reach=16,
        color="#96a8c9",
        explanation="As dark or bright as it is for its surroundings: local contrast is brought to one level.",
    ),
    Action(
        "black or white",
        local.black_or_white,
        reach=8,
        color="#9051ff",
        explanation="Black if it is darker than the mean of the 17x17 pixels around it, else white.",
    ),
    Action(
        "open",
        local.opened,
        reach=2,
        color="#ffd8a2",
        explanation="Bright specks of less than 3x3 pixels vanish: the darkest around it, and of those the brightest.",
    ),
    Action(
        "close",
        local.closed,
        reach=2,
        color="#9fdd4f",
        explanation="Dark specks of less than 3x3 pixels vanish: the brightest around it, and of those the darkest.",
    ),
)
