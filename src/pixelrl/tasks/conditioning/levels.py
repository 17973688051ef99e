"""One number for the noise of a picture: the level of Gaussian noise, or of Poisson noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

from jaxtyping import Bool
from torch import Tensor

from pixelrl.imaging.anscombe import NAME as ANSCOMBE
from pixelrl.imaging.noise import estimate_sigma
from pixelrl.noise.poisson_gaussian import MOST_PHOTONS, clipped_space, estimate_peak
from pixelrl.tasks.conditioning.base import Conditioning, Values, constant
from pixelrl.tasks.conditioning.quantity import Quantity
from pixelrl.types import Condition, Image

CLIPPED, SEEN = 0.005, 0.6
"""The share of values that are quite black or white from which on noise counts as clipped, and the share of the told
level that must be seen."""


@final
class Sigma(Conditioning):
    """The level of Gaussian noise.

    Where a file has clipped noise at black and white, the agents work on values whose way back undoes what that does to
    the mean (Foi, "Clipped noisy images", 2009): dark places would stay too bright.
    """

    name = "sigma"
    of_own_noise = True
    space_kind = ANSCOMBE
    quantities = (
        Quantity(
            "sigma",
            "noise level",
            "Standard deviation of Gaussian noise.",
            "grey levels",
            0.0,
            math.inf,
            (0.0, 60.0, 0.5),
            noise="rises",
        ),
    )

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """Sigma as a share of the range of values, which is that of the image in all of its spaces."""
        return constant(image, [values["sigma"] / 255])

    def space(self, image: Image, values: Mapping[str, float]) -> str | None:
        """That for clipped noise, where the image has such; None elsewhere."""
        sigma = values["sigma"]
        clipped = ((image == 0) | (image == 1)).float().mean().item() > CLIPPED
        if not (sigma and clipped) or image.amin() < 0 or image.amax() > 1:
            return None
        if estimate_sigma(image) < SEEN * sigma:  # of noise that is not there, nothing was clipped
            return None
        return str(clipped_space(sigma / 255))

    def idle(self, values: Mapping[str, float]) -> bool:
        """Without noise."""
        return values["sigma"] == 0

    def estimate(self, image: Image) -> dict[str, float]:
        """By `pixelrl.imaging.noise.estimate_sigma`."""
        return {"sigma": estimate_sigma(image)}


@final
class Peak(Conditioning):
    """The level of Poisson noise."""

    name = "peak"
    of_own_noise = True
    quantities = (
        Quantity(
            "peak",
            "noise level",
            "Mean number of photons at white.",
            "photons at white",
            1e-3,
            math.inf,
            (1.0, 300.0, 1.0),
            noise="falls",
        ),
    )

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """The standard deviation of the noise where the clean image is 1/2."""
        return constant(image, [(0.5 / values["peak"]).sqrt()])

    def estimate(self, image: Image) -> dict[str, float]:
        """By `pixelrl.noise.poisson_gaussian.estimate_peak`."""
        return {"peak": estimate_peak(image)}

    def idle(self, values: Mapping[str, float]) -> bool:
        """With so many photons that there is no noise."""
        return values["peak"] >= MOST_PHOTONS
