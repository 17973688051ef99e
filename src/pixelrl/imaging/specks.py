"""What to say of an image in which there is hardly any salt & pepper noise."""

from __future__ import annotations

import torch

from pixelrl.imaging.filters import median
from pixelrl.imaging.impulses import hit
from pixelrl.types import Image

LEAST_SHARE = 0.05
"""The density of noise from which on the shipped policy was trained."""
NEAR = 0.1
"""How far from 0 and 1 `little_noise` looks for specks."""


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
    away = (image - middle).abs() > 0.25
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
