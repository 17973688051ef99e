"""The level of the noise in an image, estimated."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.imaging.color import grey
from pixelrl.types import Image

NORMAL_QUARTILE = NormalDist().inv_cdf(0.75)
"""The median absolute deviation of a normal distribution with standard deviation 1."""

WINDOW = 9
"""Side of the window, in wavelet coefficients, in which it is seen how flat and how much clipped a picture is."""
FLATTEST, LEAST = 0.1, 2000
"""The share of the coefficients at whose places noise is measured, and how many are needed at least."""
FEWEST = 0.01
"""The share of the coefficients that must be left: those between letters and lines that were drawn say nothing."""
CONSTANT = 5
"""Side in pixels of an area of one value that noise cannot have left: a border, a saturated sky."""
CLIPPED = np.arange(7) / 10
LEFT_OF_MEDIAN = np.array([1, 0.929, 0.836, 0.734, 0.628, 0.518, 0.405])
LEFT_OF_DEVIATION = np.array([1, 0.915, 0.832, 0.750, 0.668, 0.584, 0.496])
"""What is left of a coefficient of noise if this share of the pixels is clipped on one side: of the median absolute
value of the diagonal details, and of the standard deviation of the others. Simulated, and tested to be so."""


class _SharedFrom(NamedTuple):
    side: int
    sigma: float
    ratio: float


SHARED_FROM = _SharedFrom(128, 8.0, 1.3)
"""The shorter side in pixels and the level in grey levels from which on it is asked whether channels have their noise
in common, and how many times as strong that must be in the brightness. Noise of 15 of each channel's own was 1.09 times
at most, in crops of 320x320 of 62 photographs."""

_Plane = npt.NDArray[np.float32]


def estimate_sigma(image: Image) -> float:
    """Standard deviation of white Gaussian noise in grey levels: the root mean square of `channel_sigmas`.

    Where the channels have noise of different levels, this is the one level that a policy for all of them is best told.

    Args:
        image: ``(b, c, h, w)``.
    """
    return float(channel_sigmas(image).square().mean().sqrt())


def in_common(image: Image) -> Float[Tensor, " b"]:
    """How many times as strong noise is in the brightness of a picture as if each channel had noise of its own.

    That is what policies for colour have learned, and there it is 1 in ``(r + g + b) / sqrt(3)``. It is the square root
    of 3 where channels have all of their noise in common, as in grey pictures. In others it is measured, and 1 unless
    `SHARED_FROM` says otherwise: textures are grey, too, and among them weak noise does not show what it is.

    Args:
        image: ``(b, c, h, w)``, c being 1 or 3.
    """
    most = math.sqrt(3)
    factors = torch.where(grey(image), most, 1.0).to(image)
    if min(image.shape[-2:]) < SHARED_FROM.side:
        return factors
    for i in (factors == 1).nonzero().flatten().tolist():
        one = image[i : i + 1]
        own = estimate_sigma(one)
        if own >= SHARED_FROM.sigma:
            ratio = most * estimate_sigma(one.mean(1, keepdim=True)) / own
            factors[i] = min(ratio, most) if ratio > SHARED_FROM.ratio else 1.0
    return factors


def channel_sigmas(image: Image, flattest: float = FLATTEST) -> Float[Tensor, "b c"]:
    """Standard deviation of white Gaussian noise in grey levels, in every channel.

    The median absolute deviation of the finest diagonal wavelet details (Donoho and Johnstone 1994) in the flattest
    tenth of the picture. How flat a place is, the other details of that scale say: of white noise, they are independent
    of the diagonal ones, so choosing by them prefers no noise, weak or strong. Left out are areas of one value and what
    is near them, for there cannot be noise: borders, saturated areas. Details of noise that is clipped at 0 or 1 are
    made as large as they would be without, by the share of the pixels around that are clipped.

    Where next to nothing is left, and for images smaller than 2x2: 0.

    Args:
        image: ``(b, c, h, w)``.
        flattest: the share of the picture in which noise is measured, more where its level may depend on the place.
    """
    planes = image.flatten(0, 1).cpu().numpy()
    sigmas = [255 * _plane_sigma(np.ascontiguousarray(plane), flattest) for plane in planes]
    return image.new_tensor(sigmas).view(image.shape[:2])


def _plane_sigma(plane: _Plane, flattest: float) -> float:
    import pywt  # not needed where the level is given

    height, width = plane.shape
    if min(height, width) < 2:
        return 0.0
    details = pywt.dwt2(plane, "db2", mode="reflect")[1]
    # The coefficient k covers the pixels 2k - 2 to 2k + 1; those at the border see pixels twice.
    inner = slice(1, max(height // 2, 2)), slice(1, max(width // 2, 2))
    across, down, diagonal = (band[inner] for band in details)
    shape = diagonal.shape
    share = _clipped(plane)[1::2, 1::2][: shape[0], : shape[1]]
    seen = ~_constant(plane)[1::2, 1::2][: shape[0], : shape[1]] & (share < CLIPPED[-1])
    hardly = seen & (share < 0.02)
    if hardly.sum() >= 0.2 * seen.sum():
        seen = hardly
    number = int(seen.sum())
    if number < FEWEST * seen.size:
        return 0.0
    activity = (across**2 + down**2) / np.interp(share, CLIPPED, LEFT_OF_DEVIATION) ** 2
    activity = cv2.blur(activity, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)[seen]
    found = (np.abs(diagonal) / np.interp(share, CLIPPED, LEFT_OF_MEDIAN))[seen]
    chosen = min(number, max(LEAST, int(flattest * number)))
    return float(np.median(found[np.argpartition(activity, chosen - 1)[:chosen]])) / NORMAL_QUARTILE


def _clipped(plane: _Plane) -> _Plane:
    """The share of the pixels around each that are quite black or quite white."""
    side = 2 * WINDOW + 1
    extremes = ((plane == 0) | (plane == 1)).astype(np.float32)
    share: _Plane = cv2.blur(extremes, (side, side), borderType=cv2.BORDER_REFLECT)
    return share


def _constant(plane: _Plane) -> npt.NDArray[np.bool_]:
    """The areas of one value, and the pixels so near to them that the windows around those reach in."""
    own = np.ones((CONSTANT, CONSTANT), np.uint8)
    same = (cv2.dilate(plane, own) == cv2.erode(plane, own)).astype(np.uint8)
    near = np.ones((2 * WINDOW + CONSTANT, 2 * WINDOW + CONSTANT), np.uint8)
    areas: npt.NDArray[np.bool_] = cv2.dilate(same, near) > 0
    return areas


def covered(image: Image, opacity: Float[Tensor, "b 1 h w"] | None) -> Image:
    """The image, black where it is transparent: nobody sees the noise that is there, and in black areas there is none.

    An image that is wholly transparent stays as it is.
    """
    if opacity is None:
        return image
    shown = opacity > 0
    return torch.where(shown | ~shown.flatten(1).any(1)[:, None, None, None], image, 0.0)


def anscombe(image: Image, peak: float) -> Image:
    """``2 sqrt(peak * y + 3/8)``: Poisson noise of this peak becomes nearly Gaussian with variance 1."""
    return 2 * (peak * image.clamp_min(0) + 3 / 8).sqrt()
