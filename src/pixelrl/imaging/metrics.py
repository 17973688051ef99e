"""Measures of quality: per image, unreduced."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.types import Image


def to_8_bit(image: Image) -> Image:
    """Clip to [0, 1] and round to the nearest of 256 levels; still float, in grey levels 0-255."""
    return (image.clamp(0, 1) * 255).round()


def psnr(image: Image, target: Image) -> Float[Tensor, " b"]:
    """PSNR in dB at peak 255, over all pixels and channels of each image, after `to_8_bit` of both.

    Identical images give infinity.
    """
    error = (to_8_bit(image) - to_8_bit(target)).double().square().mean((1, 2, 3))
    return 10 * torch.log10(255**2 / error)


def ssim(image: Image, target: Image) -> Float[Tensor, " b"]:
    """SSIM as Wang et al. (2004) define it: 11x11 Gaussian window of sigma 1.5, K = (0.01, 0.03), 8-bit values.

    Population statistics, mean over channels; the window's border is left out. Images smaller than 11 pixels on a
    side have no SSIM: NaN.
    """
    from skimage.metrics import structural_similarity  # takes a second to import, and few need it

    values = []
    for one, other in zip(to_8_bit(image).cpu().numpy(), to_8_bit(target).cpu().numpy(), strict=True):
        if min(one.shape[-2:]) < 11:
            values.append(float("nan"))
            continue
        value = structural_similarity(
            one.astype(np.float64),
            other.astype(np.float64),
            channel_axis=0,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        values.append(float(value))
    return torch.tensor(values, dtype=torch.float64)
