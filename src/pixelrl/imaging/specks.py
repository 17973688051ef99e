"""Whether an image has salt & pepper noise, and what to say of one that has hardly any."""

from __future__ import annotations

import torch

from pixelrl.imaging.filters import median
from pixelrl.imaging.impulses import hit
from pixelrl.types import Image

LEAST_SHARE = 0.05
"""The density of noise from which on the shipped policy was trained."""
NEAR = 0.1
"""How far from 0 and 1 `little_noise` looks for specks."""


FEWEST, OVER_OTHERS, LEAST_BETWEEN = 0.005, 4.0, 0.05
"""What `salt_and_pepper` asks for: the shares of black and of white specks, how many times as many as of other values
that stand out, and the share of values between black and white."""
SPECKS = "salt & pepper: specks of exactly black and white"
"""What is said where `salt_and_pepper` finds it."""
AWAY = 0.25
"""By how much a speck differs from the median of what is around it."""


def salt_and_pepper(image: Image) -> bool:
    """Whether an image ``(1, c, h, w)`` has salt & pepper noise as it comes: specks of exactly 0 and of exactly 1.

    Other noise that a file has clipped has values between that stand out as much; a drawing or a page in black and
    white has none between; stars are white alone.
    """
    away = (image - median(image)).abs() > AWAY
    specks = hit(image) & away
    black, white = ((specks & where).float().mean().item() for where in (image <= 0, image >= 1))
    between = (image > 0) & (image < 1)
    enough = min(black, white) >= FEWEST and between.float().mean().item() >= LEAST_BETWEEN
    return enough and black + white > OVER_OTHERS * (away & between).float().mean().item()


def little_noise(image: Image) -> str | None:
    """A sentence if less than `LEAST_SHARE` of the values of images (b c h w) were hit, else None.

    If there are specks of nearly black or white instead, it names their levels: noise that was compressed, rescaled or
    blurred is exact no more.
    """
    share = hit(image).float().mean().item()
    if not share < LEAST_SHARE:  # nor where there are no pixels
        return None
    words = f"hardly any salt & pepper noise seen: {_percent(share)} of the values are exactly black or white specks"
    middle = median(image)
    away = (image - middle).abs() > AWAY
    near = [away & (image > 0) & (image < NEAR), away & (image > 1 - NEAR) & (image < 1)]
    if sum(each.float().mean().item() for each in near) < max(share, 0.01):
        return f"{words}, and only those are filled; another kind of noise needs another policy"
    found = torch.cat([image[each] for each in near])
    levels = [f"{255 * image[each].median().item():.0f}" for each in near if each.any()]
    return (
        f"{words}, and only those are filled; {_percent(found.numel() / image.numel())} are specks near them (about "
        f"{' and '.join(levels)} of 255): make these exactly 0 and 255 first"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
