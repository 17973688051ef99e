"""Pictures of one scene beside each other: how near each comes to the target, and where they differ."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixelrl.imaging.metrics import psnr, ssim, to_8_bit
from pixelrl.report.maps import enlarged, photo
from pixelrl.report.sheet import (
    FRAMES,
    GAP,
    MARGIN,
    MIN_COLUMN,
    PANEL,
    SHEET,
    Frame,
    Panel,
    Picture,
    row,
    shortened,
    stack,
)
from pixelrl.types import Image

Box = tuple[int, int, int, int]
Scores = tuple[float, float]
"""PSNR in dB and SSIM."""

WINDOWS, ZOOM = 2, 4
"""How many details are shown if nobody names them, and how many times they are enlarged."""
LARGEST_ZOOM = 24
_PER_ROW = 6


@dataclass(frozen=True)
class Compared:
    """A picture among others of the same scene.

    Attributes:
        label: what it is called.
        image: upright, ``(1, c, h, w)``.
        icc_profile: of its values; None for sRGB.
    """

    label: str
    image: Image
    icc_profile: bytes | None = None

    def scores(self, target: Compared | None) -> Scores | None:
        """PSNR in dB and SSIM (`pixelrl.imaging.metrics`) to a target, in 8 bits; None without one."""
        if target is None:
            return None
        one, other = in_common(self.image, target.image)
        return psnr(one, other).item(), ssim(one, other).item()


def in_common(*images: Image) -> tuple[Image, ...]:
    """Images of grey and colour with three channels each, if one has them; else as they are."""
    color = any(image.shape[1] == 3 for image in images)
    return tuple(image.expand(-1, 3, -1, -1) if color else image for image in images)


def words(scores: Scores | None) -> str:
    """Scores as they stand under a picture: ``31.22 dB, SSIM 0.912``; "the same" for what is equal in 8 bits."""
    if scores is None:
        return ""
    decibels, similarity = scores
    if decibels == float("inf"):
        return "the same in 8 bits"
    return f"{decibels:.2f} dB" + ("" if similarity != similarity else f", SSIM {similarity:.3f}")


def where_they_differ(images: Sequence[Image], side: int, count: int) -> list[Box]:
    """Windows in which pictures of one size differ most, none over another.

    The squared differences of every two of them are added up, each in units of its own mean: so a picture whose noise
    differs from the others everywhere says nothing, and where the others differ among themselves decides.

    Args:
        images: ``(1, c, h, w)`` each, at least two.
        side: of the windows in pixels; less where the picture is smaller.
        count: of windows, at most.

    Returns:
        ``(left, top, right, bottom)`` of each, the last two exclusive, the most different first.
    """
    height, width = images[0].shape[-2:]
    values = [to_8_bit(image)[0].mean(0).double().cpu().numpy() for image in images]
    total: npt.NDArray[np.float64] = np.zeros((height, width))
    for one, other in itertools.combinations(values, 2):
        squared = (one - other) ** 2
        if squared.any():
            total += squared / squared.mean()
    wide, high = min(side, width), min(side, height)
    sums = np.pad(total, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    boxes: list[Box] = []
    while len(boxes) < count and inside.max() > 0:
        top, left = (int(at) for at in np.unravel_index(inside.argmax(), inside.shape))
        boxes.append((left, top, left + wide, top + high))
        inside[max(0, top - high + 1) : top + high, max(0, left - wide + 1) : left + wide] = 0
    return boxes


def sheet(
    pictures: Sequence[Compared],
    target: Compared | None,
    boxes: Sequence[Box] | None,
    scores: Sequence[Scores | None] | None = None,
) -> Picture:
    """Draw pictures side by side, with their scores, and below each row the same details of all of them, enlarged.

    Large pictures are shrunk by a whole factor, small ones enlarged. Frames say where the details lie.

    Args:
        pictures: of one size.
        target: the clean picture, likewise; it stands at the end.
        boxes: the details, ``(left, top, right, bottom)``; None for where the pictures differ most, if they are not
            shown enlarged already.
        scores: of the pictures (`Compared.scores`), where they are known already; they take seconds of a large one.
    """
    if scores is None:
        scores = [each.scores(target) for each in pictures]
    shown = [*pictures, *([target] if target is not None else [])]
    seconds = [*map(words, scores), *([""] if target is not None else [])]
    columns = min(len(shown), _PER_ROW)
    height, width = shown[0].image.shape[-2:]
    column = min(PANEL, (SHEET - 2 * MARGIN) // columns - GAP)
    shrink = -(-max(height, width) // column)
    grow = max(1, column // max(height, width))
    if boxes is None:
        images = [each.image for each in shown]
        boxes = where_they_differ(images, column // ZOOM, WINDOWS) if grow < ZOOM and len(images) > 1 else []
    frames = [(tuple(at * grow // shrink for at in box), color) for box, color in zip(boxes, itertools.cycle(FRAMES))]
    room = max(MIN_COLUMN, column)
    parts = []
    for first in range(0, len(shown), columns):
        group = shown[first : first + columns]
        said = zip(group, seconds[first : first + columns], strict=True)
        parts.append(row([_whole(each, second, shrink, grow, tuple(frames), room) for each, second in said], room))
        for box, (_, color) in zip(boxes, frames, strict=True):
            parts.append(row([_detail(each, box, color, column) for each in group], room))
    return stack(parts)


def _whole(each: Compared, second: str, shrink: int, grow: int, frames: tuple[Frame, ...], room: int) -> Panel:
    picture = enlarged(photo(each.image, each.icc_profile, shrink), grow)
    return Panel(picture, shortened(each.label, room), second, frames)


def _detail(each: Compared, box: Box, color: str, column: int) -> Panel:
    left, top, right, bottom = box
    largest = max(right - left, bottom - top)
    shrink, grow = -(-largest // column), min(LARGEST_ZOOM, max(1, column // largest))
    picture = enlarged(photo(each.image[..., top:bottom, left:right], each.icc_profile, shrink), grow)
    return Panel(picture, f"{right - left} x {bottom - top} at {left},{top}", outline=color)
