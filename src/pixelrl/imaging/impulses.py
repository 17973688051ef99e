"""Salt & pepper: which quite black and quite white pixels of an image were hit, and which are the scene's own."""

from __future__ import annotations

import cv2
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.nn import functional as F

WINDOW, OTHERS = 7, 8
PLATEAU_REACH = 2 * (WINDOW // 2)
"""`hit` looks at no pixel farther away than this, in rows or columns."""


def hit(image: Tensor) -> Bool[Tensor, "b c h w"]:
    """Where noise took a value's place: it is 0 or below, or 1 or above, and not part of a plateau.

    (b c h w) to bool of that shape, each channel by itself. A plateau is what windows of 7x7 pixels cover that hold one
    extreme and at most 8 pixels of the other, and no value between: a white sky, with some pepper in it. The pepper
    counts as hit, the white does not. This is a morphological opening (Serra, 1982) that lets a few holes pass. Noise
    on some other scene has such a window at one of 6,000,000 places at a density of 0.95, and far more seldom at lower
    ones.
    """
    extremes = image <= 0, image >= 1
    found = extremes[0] | extremes[1]
    counts = [_counts(extreme) for extreme in extremes]
    full = counts[0] + counts[1] == WINDOW**2
    for extreme, others in zip(extremes, reversed(counts), strict=True):
        core = full & (others <= OTHERS)
        if image.device.type != "cpu" or core.any():  # seldom; elsewhere to ask takes longer than to go on
            found = found & ~(extreme & (_counts(core) > 0))
    return found


def _counts(where: Bool[Tensor, "b c h w"]) -> UInt8[Tensor, "b c h w"]:
    """How many pixels of the window around each are set; outside the image there are none."""
    return (_opencv_counts if where.device.type == "cpu" else _torch_counts)(where)


def _opencv_counts(where: Tensor) -> Tensor:
    counts = torch.empty(where.shape, dtype=torch.uint8)
    if not where.numel():  # which OpenCV refuses
        return counts
    planes = where.byte().flatten(0, 1).numpy()
    for source, target in zip(planes, counts.flatten(0, 1).numpy(), strict=True):
        cv2.boxFilter(source, -1, (WINDOW, WINDOW), dst=target, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return counts


def _torch_counts(where: Tensor) -> Tensor:
    radius = WINDOW // 2
    rows = F.avg_pool2d(where.float(), (1, WINDOW), 1, (0, radius), divisor_override=1)
    return F.avg_pool2d(rows, (WINDOW, 1), 1, (radius, 0), divisor_override=1).byte()
