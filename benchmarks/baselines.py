"""What results.py compares the policies with: denoisers that a user could pick instead, and published numbers.

Every denoiser takes the noisy image ``(1, c, h, w)`` and the level of the noise, which it is told as the policies are.
All run in as many threads as PyTorch is set to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import bm3d
import cv2
import numpy as np
import torch
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

from pixelrl.imaging.filters import fill_extremes, median
from pixelrl.imaging.metrics import to_8_bit
from pixelrl.imaging.noise import anscombe
from pixelrl.tasks import GaussianDenoising, PoissonDenoising, SaltPepperDenoising, Task
from pixelrl.types import Image

Denoiser = Callable[[Image, float], Image]

TV_WEIGHT_PER_SIGMA = 0.8
"""Weight of total variation per unit of sigma. Of 0.5, 0.6 ... 1.2 it gave the best mean PSNR over sigma 15, 25 and 50
on four grey training photographs (31.49, 29.05, 25.68 dB), every 108th of the 432; no test photograph was used."""


@dataclass(frozen=True)
class Baseline:
    """A denoiser; it is measured again when its ``settings``, as readers see them, or its package's version change."""

    name: str
    package: str
    settings: str
    run: Denoiser

    @property
    def made_by(self) -> str:
        return f"{self.package} {version(self.package)}: {self.settings}"


def _array(image: Image) -> Any:
    """``(h, w)`` or ``(h, w, 3)`` in float64."""
    array = image[0].movedim(0, -1).double().numpy()
    return array[:, :, 0] if array.shape[2] == 1 else array


def _image(array: Any) -> Image:
    planes = array[:, :, None] if array.ndim == 2 else array
    return torch.from_numpy(np.ascontiguousarray(planes, dtype=np.float32)).movedim(-1, 0)[None]


def _channel_axis(array: Any) -> int | None:
    return -1 if array.ndim == 3 else None


def _bm3d(array: Any, sigma: float) -> Any:
    profile = bm3d.BM3DProfile()  # "np", the package's default
    profile.num_threads = torch.get_num_threads()
    return (bm3d.bm3d_rgb if array.ndim == 3 else bm3d.bm3d)(array, sigma, profile)


def _non_local_means(array: Any, sigma: float) -> Any:
    return denoise_nl_means(
        array,
        patch_size=5,
        patch_distance=6,
        h=0.6 * sigma,
        sigma=sigma,
        fast_mode=True,
        channel_axis=_channel_axis(array),
    )


def _total_variation(array: Any, sigma: float) -> Any:
    return denoise_tv_chambolle(array, weight=TV_WEIGHT_PER_SIGMA * sigma, channel_axis=_channel_axis(array))


def _wavelet(array: Any, sigma: float) -> Any:
    axis = _channel_axis(array)
    return denoise_wavelet(
        array,
        sigma=sigma,
        method="BayesShrink",
        mode="soft",
        rescale_sigma=True,
        channel_axis=axis,
        convert2ycbcr=axis is not None,
    )


def _gaussian(denoise: Callable[[Any, float], Any]) -> Denoiser:
    """For noise of sigma grey levels."""
    return lambda noisy, sigma: _image(denoise(_array(noisy), sigma / 255))


def _poisson(denoise: Callable[[Any, float], Any]) -> Denoiser:
    """For Poisson noise: Anscombe's transform, a denoiser for Gaussian noise, and back."""

    def run(noisy: Image, peak: float) -> Image:
        # Clean values 0 to 1 are brought to 0 to 1 again, for which the denoisers' parameters are made.
        low, high = 2 * math.sqrt(3 / 8), 2 * math.sqrt(peak + 3 / 8)
        scaled = (_array(anscombe(noisy, peak)) - low) / (high - low)
        stabilised = denoise(scaled, 1 / (high - low)) * (high - low) + low
        return _image(inverse_anscombe(stabilised) / peak)

    return run


def inverse_anscombe(stabilised: Any) -> Any:
    """The mean number of photons from the mean of its Anscombe transform.

    The closed form of Makitalo and Foi (IEEE TIP 20(9), 2011) for the exact unbiased inverse; plain inversion of the
    square root is biased where photons are few. Below the transform of 0 photons the mean is 0.
    """
    value = np.maximum(stabilised, math.sqrt(3 / 2))
    root = math.sqrt(3 / 2)
    return value**2 / 4 + root / 4 / value - 11 / 8 / value**2 + 5 / 8 * root / value**3 - 1 / 8


def _fill(noisy: Image, density: float) -> Image:
    while True:
        filled = fill_extremes(noisy)
        if torch.equal(filled, noisy):  # no extreme pixel is left, or nothing to fill it from
            return filled
        noisy = filled


def _telea(noisy: Image, density: float) -> Image:
    hit = ((noisy <= 0) | (noisy >= 1))[0].byte().numpy()
    planes = to_8_bit(noisy)[0].byte().numpy()
    painted = [cv2.inpaint(plane, where, 3, cv2.INPAINT_TELEA) for plane, where in zip(planes, hit, strict=True)]
    return torch.from_numpy(np.stack(painted)[None]).float() / 255


NONE = Baseline("the noisy image", "pixelrl", "as it is", lambda noisy, level: noisy)
BM3D = Baseline("BM3D", "bm3d", "default profile, sigma given; bm3d_rgb for colour", _gaussian(_bm3d))
REST = (
    Baseline(
        "non-local means",
        "scikit-image",
        "fast mode, sigma given, h = 0.6 sigma, patch size 5, patch distance 6",
        _gaussian(_non_local_means),
    ),
    Baseline(
        "total variation",
        "scikit-image",
        f"Chambolle, weight = {TV_WEIGHT_PER_SIGMA:g} sigma",
        _gaussian(_total_variation),
    ),
    Baseline("wavelets", "scikit-image", "BayesShrink, sigma given; in YCbCr for colour", _gaussian(_wavelet)),
)
GAUSSIAN = (NONE, BM3D, *REST)
POISSON = (
    NONE,
    Baseline("Anscombe + BM3D", "bm3d", "default profile, peak given, exact unbiased inverse", _poisson(_bm3d)),
    Baseline(
        "Anscombe + non-local means",
        "scikit-image",
        "as for Gaussian noise, peak given, exact unbiased inverse",
        _poisson(_non_local_means),
    ),
)
SALT_PEPPER = (
    NONE,
    Baseline(
        "iterated Gaussian fill",
        "pixelrl",
        "pixelrl.imaging.filters.fill_extremes (5x5, sigma 1) until no pixel is 0 or 1",
        _fill,
    ),
    Baseline("Telea inpainting", "opencv-python-headless", "of the pixels that are 0 or 1, radius 3", _telea),
    Baseline("median 3x3", "pixelrl", "pixelrl.imaging.filters.median, once", lambda noisy, density: median(noisy, 3)),
    Baseline("median 5x5", "pixelrl", "pixelrl.imaging.filters.median, once", lambda noisy, density: median(noisy, 5)),
)

Published = dict[str, tuple[float | None, float | None, float | None]]
"""PSNR in dB at the three levels, by method."""
PUBLISHED_GAUSSIAN: Published = {
    "BM3D": (31.07, 28.57, 25.62),
    "WNNM": (31.37, 28.83, 25.87),
    "TNRD": (31.42, 28.92, 25.97),
    "MLP": (None, 28.96, 26.03),
    "CNN (IRCNN)": (31.63, 29.15, 26.19),
    "CNN (IRCNN) + aug.": (31.66, 29.18, 26.20),
    "PixelRL": (31.17, 28.75, 25.78),
    "PixelRL + convGRU": (31.26, 28.83, 25.87),
    "PixelRL + convGRU + RMC": (31.40, 28.85, 25.88),
    "PixelRL + convGRU + RMC + aug.": (31.49, 28.94, 25.95),
    "DnCNN-S": (31.73, 29.23, 26.23),
    "FFDNet": (31.63, 29.19, 26.29),
    "DRUNet": (31.91, 29.48, 26.59),
}
PUBLISHED_POISSON: Published = {"CNN": (31.62, 28.20, 25.93), "CNN + aug.": (31.66, 28.26, 25.96)}
PUBLISHED_SALT_PEPPER: Published = {
    "CNN": (40.16, 29.19, 23.58),
    "CNN + aug.": (40.40, 29.40, 23.76),
    "PixelRL": (36.51, 27.91, 22.73),
    "PixelRL + convGRU": (37.86, 29.26, 23.54),
    "PixelRL + convGRU + RMC": (38.46, 29.78, 23.78),
    "PixelRL + convGRU + RMC + aug.": (38.82, 29.92, 23.81),
}


@dataclass(frozen=True)
class Comparison:
    """One table: a task at three levels of noise."""

    title: str
    folder: str
    task: Task
    unit: str
    policy: str
    baselines: tuple[Baseline, ...]
    published: Published
    note: str = ""
    channelwise: str = ""
    """A policy for grey pictures that is measured, too, on each channel by itself."""
    first: int | None = None
    """How many of the photographs are looked at, from the first one on; None for all of them."""


COMPARISONS = {
    "gaussian-gray": Comparison(
        "Gaussian noise, grey (BSD68)",
        "gray/test",
        GaussianDenoising(),
        "sigma",
        "denoise-gray",
        GAUSSIAN,
        PUBLISHED_GAUSSIAN,
        "The published BM3D, WNNM, TNRD, MLP and DnCNN-S are those of the DnCNN authors' own table "
        "(github.com/cszn/DnCNN). CNN and PixelRL are the paper's, quoted second-hand; [parity.md](parity.md) has the "
        "released PixelRL models measured. FFDNet and DRUNet are quoted second-hand and unchecked.",
    ),
    "gaussian-color": Comparison(
        "Gaussian noise, colour (CBSD68)",
        "color/test",
        GaussianDenoising(),
        "sigma",
        "denoise-color",
        (NONE, *REST),
        {},
    ),
    "gaussian-color-12": Comparison(
        "Gaussian noise, colour: the first 12 photographs of CBSD68",
        "color/test",
        GaussianDenoising(),
        "sigma",
        "denoise-color",
        (NONE, BM3D),
        {},
        "BM3D for colour is slow, so it was given the first 12 photographs alone; so were the others of this table.",
        first=12,
    ),
    "poisson-gray": Comparison(
        "Poisson noise, grey (BSD68)",
        "gray/test",
        PoissonDenoising(),
        "peak",
        "poisson-gray",
        POISSON,
        PUBLISHED_POISSON,
        "The published rows are the paper's, quoted second-hand and unchecked; its own PixelRL rows are missing here.",
    ),
    "poisson-color": Comparison(
        "Poisson noise, colour (CBSD68)",
        "color/test",
        PoissonDenoising(),
        "peak",
        "poisson-color",
        (NONE, POISSON[-1]),
        {},
        channelwise="poisson-gray",
    ),
    "saltpepper-gray": Comparison(
        "Salt & pepper noise, grey (BSD68)",
        "gray/test",
        SaltPepperDenoising(),
        "density",
        "saltpepper-gray",
        SALT_PEPPER,
        PUBLISHED_SALT_PEPPER,
        "The published rows are the paper's.",
    ),
    "saltpepper-color": Comparison(
        "Salt & pepper noise, colour (CBSD68)",
        "color/test",
        SaltPepperDenoising(),
        "density",
        "saltpepper-color",
        SALT_PEPPER,
        {},
        "Every value of a pixel is hit by itself.",
        channelwise="saltpepper-gray",
    ),
}
