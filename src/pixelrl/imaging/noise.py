"""Levels of noise: how a policy is told of one, and how it is estimated where nobody gives it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import final

import numpy as np

from pixelrl.types import Image


@final
@dataclass(frozen=True)
class NoiseLevel:
    """One number that describes a noisy image.

    Attributes:
        name: what users and policy files call it.
        unit: said in messages.
        limits: the smallest and the largest value that makes sense.
        encode: the number as a policy sees it (`pixelrl.tasks.Episode.condition`), of the order of 0 to 1.
        estimate: the number from an image ``(b, c, h, w)``.
    """

    name: str
    unit: str
    limits: tuple[float, float]
    encode: Callable[[float], float]
    estimate: Callable[[Image], float]


NORMAL_QUARTILE = NormalDist().inv_cdf(0.75)
"""The median absolute deviation of a normal distribution with standard deviation 1."""


def estimate_sigma(image: Image) -> float:
    """Standard deviation of Gaussian noise in grey levels, from the finest wavelet coefficients.

    The median absolute deviation of Donoho and Johnstone (1994): the mean over images and channels. It is what
    scikit-image's `estimate_sigma` computes, which takes a second to import. Images smaller than 2x2 have no such
    coefficients: 0.
    """
    import pywt  # not needed where the level is given

    if min(image.shape[-2:]) < 2:
        return 0.0
    sigmas = []
    for plane in image.flatten(0, 1).cpu().numpy():
        details = pywt.dwt2(plane, "db2")[1][2]
        details = np.abs(details[details != 0])  # no more counts of areas without any detail, clipped ones mostly
        sigmas.append(float(np.median(details)) / NORMAL_QUARTILE if details.size else 0.0)
    return 255 * float(np.mean(sigmas))


PEAKS = (1.0, 10_000.0)
"""Peaks that `estimate_peak` tells apart. Beyond the upper one the noise is below a grey level's rounding."""


def estimate_peak(image: Image) -> float:
    """The peak (photons at value 1) of Poisson noise.

    Anscombe's transform ``2 sqrt(peak * y + 3/8)`` of Poisson noise has variance 1 at the right peak (Anscombe 1948),
    and the more the larger the peak is taken: bisection on `estimate_sigma` of the transformed image.
    """
    low, high = PEAKS
    for _ in range(20):  # to a relative error of 1e-5
        peak = math.sqrt(low * high)
        if estimate_sigma(anscombe(image, peak)) > 255:
            high = peak
        else:
            low = peak
    return math.sqrt(low * high)


def anscombe(image: Image, peak: float) -> Image:
    """``2 sqrt(peak * y + 3/8)``: Poisson noise of this peak becomes nearly Gaussian with variance 1."""
    return 2 * (peak * image.clamp_min(0) + 3 / 8).sqrt()


def sigma_condition(sigma: float) -> float:
    """Sigma as policies see it: as a share of the range of values."""
    return sigma / 255


def peak_condition(peak: float) -> float:
    """The peak as policies see it: the standard deviation of the noise where the clean image is 1/2."""
    return math.sqrt(0.5 / peak)


NOISE_LEVELS: dict[str, NoiseLevel] = {
    level.name: level
    for level in (
        NoiseLevel("sigma", "grey levels", (0.0, math.inf), sigma_condition, estimate_sigma),
        NoiseLevel("peak", "photons at white", (1e-3, math.inf), peak_condition, estimate_peak),
    )
}
"""Every level that a policy may be told, by name."""
