"""Operations that compare a pixel with a window around it: even light, local contrast, black and white, morphology.

All map float32 ``(b, c, h, w)`` to a new tensor of the same shape, each channel by itself; none has a gradient. Windows
are ``size`` x ``size`` pixels, size odd. At the border means are taken of the mirrored image, as in `filters`, and
smallest and largest values of what lies inside.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pixelrl.imaging.filters import box
from pixelrl.types import Image

FLATTEST = 0.02
"""Standard deviations below this are taken for it, so that noise in an even area is not made into a pattern."""


def even_light(image: Tensor, size: int = 33) -> Image:
    """The image less its mean over the window, plus 0.5: slow changes of light vanish.

    Raises ``ValueError`` as `pixelrl.imaging.filters.box` does.
    """
    return image - box(image, size) + 0.5


@torch.no_grad()
def local_contrast(image: Tensor, size: int = 33) -> Image:
    """``0.5 + 0.25 (x - mean) / std`` with the window's mean and standard deviation (at least `FLATTEST`).

    Raises ``ValueError`` as `pixelrl.imaging.filters.box` does.
    """
    mean = box(image, size)
    variance = box(image.detach().square(), size) - mean.square()
    return 0.5 + 0.25 * (image - mean) / variance.clamp_min(FLATTEST**2).sqrt()


@torch.no_grad()
def black_or_white(image: Tensor, size: int = 17, steepness: float = 10.0) -> Image:
    """Black below the window's mean and white above, by a ramp that is ``1 / steepness`` wide.

    Thresholding against the local mean (as in Niblack, 1986, with k = 0). Raises ``ValueError`` as
    `pixelrl.imaging.filters.box` does.
    """
    return ((image - box(image, size)) * steepness + 0.5).clamp(0, 1)


def erode(image: Tensor, size: int = 3) -> Image:
    """The smallest value of the window: what is dark grows."""
    return -dilate(-image, size)


@torch.no_grad()
def dilate(image: Tensor, size: int = 3) -> Image:
    """The largest value of the window: what is bright grows."""
    if image.device.type != "cpu":
        return F.max_pool2d(image, size, 1, size // 2)
    window, result = np.ones((size, size), np.uint8), torch.empty(image.shape, dtype=torch.float32)
    sources = image.detach().contiguous().flatten(0, 1).numpy()
    for source, target in zip(sources, result.flatten(0, 1).numpy(), strict=True):
        cv2.dilate(source, window, dst=target)
    return result


def opened(image: Tensor, size: int = 3) -> Image:
    """Eroded, then dilated: bright specks that are smaller than the window vanish."""
    return dilate(erode(image, size), size)


def closed(image: Tensor, size: int = 3) -> Image:
    """Dilated, then eroded: dark specks that are smaller than the window vanish."""
    return erode(dilate(image, size), size)
