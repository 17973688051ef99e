"""Three numbers for the noise of a sensor: its gain, its read noise and its offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import final

from jaxtyping import Bool
from torch import Tensor

from pixelrl.imaging.anscombe import NAME as ANSCOMBE
from pixelrl.noise.poisson_gaussian import PoissonGaussian, estimate_poisson_gaussian
from pixelrl.tasks.conditioning.base import Conditioning, Values, constant
from pixelrl.tasks.conditioning.quantity import Quantity
from pixelrl.types import Condition, Image


@final
class PhotonNoise(Conditioning):
    """The noise of photons and of reading them out; the agents work on values in which it has one level.

    All numbers are shares of white, the value 1 of images. All images of a batch are taken for the same noise.
    """

    name = "poisson-gaussian"
    of_own_noise = True
    space_kind = ANSCOMBE
    quantities = (
        Quantity(
            "gain",
            "gain",
            "The value of one photon; 0 for noise that does not depend on the brightness.",
            "a share of white",
            0.0,
            1e3,
            (0.0, 0.2, 0.001),
            of_values="difference",
        ),
        Quantity(
            "read",
            "read noise",
            "Standard deviation of the noise without light.",
            "a share of white",
            0.0,
            1e3,
            (0.0, 0.1, 0.001),
            of_values="difference",
        ),
        Quantity(
            "offset",
            "offset",
            "The value without light.",
            "a share of white",
            -1e3,
            1e3,
            (0.0, 0.2, 0.001),
            of_values="value",
        ),
    )

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """The level of the noise in the space's values, as a share of their range."""
        told = _noise({name: column[0].item() for name, column in values.items()})
        if told.gain == told.read == 0:
            return constant(image, [image.new_zeros(len(image))])
        space = told.space(image)
        return constant(image, [image.new_full((len(image),), 1 / (space.high - space.low))])

    def space(self, image: Image, values: Mapping[str, float]) -> str | None:
        """That of `pixelrl.noise.poisson_gaussian.PoissonGaussian.space`; None without noise."""
        return None if self.idle(values) else str(_noise(values).space(image))

    def idle(self, values: Mapping[str, float]) -> bool:
        """Without noise."""
        return values["gain"] == values["read"] == 0

    def values(self, image: Image, given: Mapping[str, object]) -> list[dict[str, float]]:
        """As told, and the rest by `pixelrl.noise.poisson_gaussian.estimate_poisson_gaussian`, for all images alike."""
        fixed = self._parsed(given)
        if len(fixed) < len(self.quantities):
            fixed = asdict(estimate_poisson_gaussian(image, **fixed))
        return [dict(fixed) for _ in image]


def _noise(values: Mapping[str, float]) -> PoissonGaussian:
    return PoissonGaussian(values["gain"], values["read"], values["offset"])
