"""A level of noise for every pixel: a map, seen in the picture and scaled by what a person says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pixelrl.imaging.anscombe import NAME as ANSCOMBE
from pixelrl.imaging.noise import in_common
from pixelrl.noise.model import NEXT_TO_NONE, fit, overall
from pixelrl.noise.network import noise_maps, rise
from pixelrl.tasks.conditioning.base import Conditioning, Values
from pixelrl.tasks.conditioning.levels import Sigma
from pixelrl.tasks.conditioning.quantity import Quantity
from pixelrl.types import Condition, Image

COARSER, SHARED = 5.0, (0.2, 0.35)
"""Grey levels that are told beyond those of the noise where neighbours share it, and from which correlation on.

On photographs of PolyU the best level to tell was 8 to 20 where the noise had 2 to 5. With less, blotches stay.
"""
LITTLE = 0.5
"""Grey levels below which the noise that is seen has no pattern worth following."""


@final
class NoiseMap(Conditioning):
    """The level of the noise at every pixel and in every channel of a colour picture, as it is seen in the picture.

    `pixelrl.noise.network.noise_maps` gives the map. A sigma that is told scales it to that root mean square; where
    next to no noise is seen, sigma is told for all pixels alike. Noise that neighbours share hides in what the policy
    takes for detail, so it is told more of it: `COARSER`.
    """

    name = "noise-map"
    space_kind = ANSCOMBE
    quantities = (
        Quantity(
            "strength",
            "strength",
            "How much to remove: 1 for the noise that is told, less to keep more of it, more to smooth.",
            "",
            0.0,
            2.0,
            (0.0, 2.0, 0.05),
            default=1.0,
        ),
        Quantity(
            "sigma",
            "noise level",
            "Root mean square of the noise; how it is spread over the picture is seen by itself.",
            "grey levels",
            0.0,
            math.inf,
            (0.0, 60.0, 0.5),
            noise="rises",
        ),
    )
    num_planes = 3

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """The levels as a share of the range of values, times the strength."""
        levels, correlation = noise_maps(image)
        coarse = COARSER * rise(correlation.double(), *SHARED)
        sigma = values["sigma"] + coarse.to(values["sigma"]) * (values["sigma"] > 0)
        told = (sigma / 255 * values["strength"]).to(image)[:, None, None, None]
        level = overall(image, levels)
        told = told * in_common_if_white(image, correlation)[:, None, None, None]
        levels = levels.expand(-1, self.num_planes, -1, -1)
        return told * torch.where(level < LITTLE / 255, 1.0, levels / level.clamp_min(1e-6))

    def space(self, image: Image, values: Mapping[str, float]) -> str | None:
        """That of `Sigma` where the noise is white; what clipping does to noise that neighbours share is not known."""
        space = Sigma().space(image, values)
        if space is None:  # most often so, and then the network need not look again
            return None
        return space if noise_maps(image)[1].amax() <= SHARED[0] else None

    def idle(self, values: Mapping[str, float]) -> bool:
        """Without noise, or where none of it is to be removed."""
        return values["sigma"] * values["strength"] == 0

    def estimate(self, image: Image) -> dict[str, float]:
        """The root mean square of the map where noise can be seen, 0 if there is next to none, and strength 1."""
        levels, correlation = noise_maps(image)
        none = fit(image, levels, correlation.item()).rms < NEXT_TO_NONE
        return {"strength": 1.0, "sigma": 0.0 if none else 255 * overall(image, levels).item()}


def in_common_if_white(image: Image, correlation: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """`pixelrl.imaging.noise.in_common` of white noise; 1 where neighbours share it.

    Of that ``denoise-photo`` knows what channels have in common: on PolyU in grey it is best told the level as it is.
    """
    alone = 1 - rise(correlation.to(image), *SHARED)
    return 1 + (in_common(image) - 1) * alone if alone.any() else torch.ones_like(alone)
