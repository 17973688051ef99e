"""The level of the noise in an image, estimated."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from pixelrl.types import Image

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
