"""A region of which only a share of the pixels is left, evenly spread: what stands between all of it and nothing."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool
from torch import Tensor

_ORDERS = 4
"""The pattern repeats after 2 to the power of this many pixels."""


def thinned(inside: Bool[Tensor, "h w"], share: float, feather: int) -> Bool[Tensor, "h w"]:
    """The pixels of a region that an ordered dither takes: the same ones always, so that replays have the same bits.

    B. E. Bayer, An optimum method for two-level rendition of continuous-tone pictures, ICC 1973.

    Args:
        inside: the region.
        share: of its pixels that are taken, 0 to 1; told apart in 256 degrees.
        feather: pixels over which the share grows from the region's edge on. The picture's border is no edge.
    """
    height, width = inside.shape
    wanted: float | npt.NDArray[np.float64] = share
    if feather and not bool(inside.all()):
        distance = cv2.distanceTransform(
            np.ascontiguousarray(inside.numpy()).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        exact = np.sqrt(np.rint(distance.astype(np.float64) ** 2))  # its square is whole: the last bits are no matter
        wanted = share * np.minimum(1.0, exact / (feather + 1))
    y, x = np.arange(height)[:, None], np.arange(width)[None]
    rank = np.zeros((height, width), np.int64)
    for bit in range(_ORDERS):  # the lowest bits of the place say the most
        across, down = (x >> bit) & 1, (y >> bit) & 1
        rank = 4 * rank + 2 * (across ^ down) + down
    taken = (rank + 0.5) / 4**_ORDERS < wanted
    return inside & torch.from_numpy(taken)
