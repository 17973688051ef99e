"""The noise of a picture that somebody holds, as a model."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from pixelrl.errors import InputError
from pixelrl.imaging.noise import channel_sigmas, covered
from pixelrl.noise.model import NEXT_TO_NONE, NoiseModel, fit
from pixelrl.noise.network import noise_maps
from pixelrl.pictures.arrays import AnyImage, unpack
from pixelrl.pictures.scale import Scale, given_scale
from pixelrl.types import Image

APART = 2.0
"""The ratio of the levels of white noise in two channels from which on its finest details say how strong it is in each:
the network hardly tells channels apart."""


def estimate_noise(image: AnyImage, white: float | Literal["auto"] | Scale = "auto") -> NoiseModel:
    """What the noise of an image is like: its level by brightness, its correlation, and in words.

    Args:
        image: one image, as `pixelrl.Agent` takes it. Pixels count as much as they are opaque.
        white: the value that stands for white, or which values are black and white; told by the values if left out.

    Raises:
        InputError: not one image, or with values that are not finite.
        UsageError: white is no number above 0.
    """
    unpacked = unpack(image, given_scale(white))
    if len(unpacked.tensor) != 1:
        raise InputError(f"{len(unpacked.tensor)} images have no common noise; give one at a time")
    return noise_of(unpacked.tensor, unpacked.opacity)


def noise_of(image: Image, opacity: Float[Tensor, "1 1 h w"] | None = None) -> NoiseModel:
    """The same of ``(1, c, h, w)``, c being 1 or 3; opacity is 0 to 1."""
    image = covered(image, opacity)
    sigma, correlation = noise_maps(image)
    model = fit(image, sigma, correlation.item(), opacity)
    if len(model.channels) == 1 or not model.white or model.rms < NEXT_TO_NONE:
        return model
    finest, seen = channel_sigmas(image)[0], sigma.new_tensor([channel.rms for channel in model.channels])
    if finest.max() < APART * finest.clamp_min(NEXT_TO_NONE).min():
        return model
    return fit(image, sigma * (finest.to(seen) / seen.clamp_min(1e-3))[:, None, None], correlation.item(), opacity)
