"""Regions of a picture as they come from the page: painted, grown around a pixel, or as edits name them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pixelrl.agent import object_mask
from pixelrl.edits import Edit, parse_region
from pixelrl.errors import UsageError
from pixelrl.studio.folder import Folder
from pixelrl.studio.preview import Box, bounds
from pixelrl.validation import check_box


def painted(box: Sequence[int], runs: Sequence[int], height: int, width: int) -> npt.NDArray[np.bool_]:
    """``(height, width)``, True inside ``box`` where, row by row, ``runs`` of pixels are out, in, out, ...

    Raises:
        UsageError: they do not fit the picture or each other.
    """
    x0, y0, x1, y1 = box
    check_box(box, f"box = {list(box)}", (height, width))
    if min(runs, default=0) < 0 or sum(runs) != (x1 - x0) * (y1 - y0):
        raise UsageError("runs must be a list of lengths that add up to the pixels of the box")
    lengths = np.array(runs, dtype=np.int64)
    inside = np.zeros((height, width), bool)
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    inside[y0:y1, x0:x1] = flat.reshape(y1 - y0, x1 - x0)
    return inside


def touching(actions: npt.NDArray[np.uint8], x: int, y: int) -> npt.NDArray[np.bool_]:
    """Of an action map ``(h, w)``, the pixels around one that do the same as it, as far as they touch."""
    _, labels = cv2.connectedComponents((actions == actions[y, x]).astype(np.uint8), connectivity=4)
    inside: npt.NDArray[np.bool_] = labels == labels[y, x]
    return inside


def kept(folder: Folder, inside: npt.NDArray[np.bool_]) -> dict[str, object]:
    """Keep a region as a mask: its name, the box around it and the number of its pixels; raises UsageError if empty."""
    box = bounds(inside)
    if box is None:
        raise UsageError("the region is empty; paint at least one pixel")
    return {"mask": folder.add_mask(inside), "box": list(box), "pixels": int(inside.sum())}


def check_mask(folder: Folder, region: object) -> None:
    """Raise UsageError for a region that names a mask which is not the session's own."""
    if isinstance(region, dict) and "mask" in region and not folder.has_mask(region["mask"]):
        raise UsageError("region.mask must be the name of a region that was painted or selected in this session")


def chosen(folder: Folder, region: object, height: int, width: int) -> npt.NDArray[np.bool_]:
    """The object, ``(height, width)``, that a person chose by a region as edits have it.

    Raises:
        PixelRLError: it is not valid, does not fit the picture, or is empty or all of it.
    """
    check_mask(folder, region)
    return object_mask(parse_region(region, folder.path, height, width).numpy(), height, width).numpy()


def area(edit: Edit, height: int, width: int) -> tuple[Box, npt.NDArray[np.uint8]]:
    """Where an edit of a picture applies: a box around it, and inside that ``(h, w)``, 1 where it does, or else 0.

    Args:
        edit: with its region as a mask, or without one where it applies to the whole picture.
        height: of the picture.
        width: of the picture.
    """
    if edit.mask is None:
        return Box(0, 0, width, height), np.ones((height, width), np.uint8)
    inside = edit.mask.numpy()
    box = bounds(inside) or Box(0, 0, 1, 1)
    return box, inside[box.y0 : box.y1, box.x0 : box.x1].astype(np.uint8)
