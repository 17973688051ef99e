"""How far an estimate usually is from the clean image: the unit in which policies that consult count their prices.

A policy that is told the level of the noise has the miss follow that. One for salt & pepper is told nothing, but sees
which values were hit.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pixelrl.imaging.impulses import PLATEAU_REACH, hit
from pixelrl.policies.judge import cells
from pixelrl.types import Condition, Image

USUAL_MISS = 9 / 255
"""About how far an estimate is from the clean image at sigma 25; it goes with the root of sigma."""
LEAST_DEVIATION = 0.04
"""In units of sigma 25."""


def usual_miss(condition: Condition) -> Tensor:
    """About how far an estimate is from the clean image, ``(b, 1, ...)``, by the first plane of the condition.

    That is taken for the noise's standard deviation. Policies that are told nothing are told 0, and get `USUAL_MISS`.
    """
    deviation = condition[:, :1] * (255 / 25)
    return USUAL_MISS * torch.where(deviation > 0, deviation.clamp_min(LEAST_DEVIATION), 1.0).sqrt()


MISS_OF_HIT, SPACING = 8 / 255, 0.37
"""How far the estimate of a hit value is from the clean one where all others are known, and how that grows with the
spacing of those that are not hit, squared. By the estimates of ``saltpepper-gray`` on the pictures set aside."""
LESS_IN_COLOR = 1 / 3
"""By how much less the estimate of a value misses of which another channel is known."""
LEAST_DENSITY, HIGHEST_DENSITY = 0.01, 0.98
AROUND = 33
"""Side in cells of 2x2 pixels of the square in which the density is measured."""
DENSITY_REACH = 2 * (AROUND // 2) + 1 + PLATEAU_REACH
"""`usual_miss_of_impulses` looks at no pixel farther away than this, in rows or columns."""


def usual_miss_of_impulses(image: Image) -> Tensor:
    """About how far an estimate is from the clean image under salt & pepper, by the density around each cell.

    A share d of the values is hit, and only these are missed; the others stand ``(1 - d) ** -0.5`` pixels apart.

    Args:
        image: with the noise, ``(b, c, h, w)``.

    Returns:
        The root mean square of the misses, ``(b, 1, h / 2, w / 2)``.
    """
    counts = cells(hit(image).float()).sum(1, keepdim=True)
    for_all = torch.full_like(counts[:1], image.shape[1])
    # Sums of quarters are exact, so tiles have the density of the whole image, bit for bit.
    density = _around(counts) / _around(for_all)
    return MISS_OF_HIT * relative_miss(density.clamp(LEAST_DENSITY, HIGHEST_DENSITY), image.shape[1])


def relative_miss(density: Tensor, channels: int) -> Tensor:
    """The miss at a density of salt & pepper, where a hit value among known ones is missed by 1 in grey."""
    known_beside = 1 - density ** (channels - 1)
    return (1 - LESS_IN_COLOR * known_beside) * density.sqrt() * (1 - density) ** -SPACING


def _around(planes: Tensor) -> Tensor:
    """Sums over the square around each cell; beyond the border there is nothing."""
    for side in ((AROUND, 1), (1, AROUND)):
        planes = F.avg_pool2d(planes, side, 1, (side[0] // 2, side[1] // 2), divisor_override=1)
    return planes
