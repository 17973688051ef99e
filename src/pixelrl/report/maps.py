"""What is drawn of a trace: its action maps, counted and as pictures, and the images between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage

from pixelrl.actions import find_action
from pixelrl.errors import InputError
from pixelrl.imaging.metrics import agreement, psnr, step_bits, to_8_bit
from pixelrl.pictures.arrays import Array
from pixelrl.pictures.display import in_srgb
from pixelrl.pictures.values import array_to_tensor, plain
from pixelrl.report.sheet import Picture
from pixelrl.trace import TRACES, Trace
from pixelrl.types import Image
from pixelrl.validation import check_kind

Counts = npt.NDArray[np.int64]
ActionIndices = npt.NDArray[np.uint8]


def action_colour(name: str) -> tuple[int, ...]:
    """The colour of an action, red, green and blue of 8 bits."""
    return tuple(bytes.fromhex(find_action(name).color[1:]))


def action_map_image(actions: ActionIndices, action_names: Sequence[str]) -> Picture:
    """An action map ``(h, w)`` as an RGB picture of w x h pixels, in the actions' own colours and no others."""
    palette = np.array([action_colour(name) for name in action_names], dtype=np.uint8)
    return PillowImage.fromarray(palette[actions])


def shares(trace: Trace) -> npt.NDArray[np.float64]:
    """The fraction of agents that took each action at each step: ``(t, n)``, each row sums to 1."""
    n = len(trace.action_names)
    rows = [np.bincount(step.ravel(), minlength=n) / step.size for step in trace.actions]
    return np.array(rows, dtype=np.float64).reshape(len(trace.actions), n)


def plainness(trace: Trace) -> tuple[list[float], list[float]]:
    """How easily the maps can be read: at each step, the bits per pixel and the share of neighbours that agree.

    See `pixelrl.imaging.metrics.step_bits` and `agreement` there; NaN where a picture is too small for them.
    """
    maps = torch.from_numpy(trace.actions)[:, None]
    return step_bits(maps)[:, 0].tolist(), agreement(maps)[:, 0].tolist()


def majority(actions: ActionIndices, cell: int, num_actions: int) -> ActionIndices:
    """Shrink an action map ``(h, w)`` by showing the most frequent action of every cell x cell square.

    Equal counts go to the action listed first. Squares at the right and lower border may be incomplete. The
    result is ``(ceil(h / cell), ceil(w / cell))``. Nearest-neighbour shrinking would show a chance sample, and
    averaged colours would belong to no action.
    """
    return np.asarray(_cell_counts(actions, cell, num_actions).argmax(-1), dtype=np.uint8)


def telling_window(trace: Trace, half: int) -> tuple[int, int, int, int]:
    """Where most is to be seen: diverse choices on a part of the picture that is not flat.

    The entropy of the actions' shares, summed over the steps, times the contrast of the input. Windows of 2 ``half``
    pixels a side, or less where the picture is smaller, are tried every ``half`` pixels. The result is
    ``(left, top, right, bottom)``, the last two exclusive.
    """
    _, _, h, w = trace.actions.shape
    entropy = np.zeros((-(-h // half), -(-w // half)))
    for step in trace.actions:
        counts = np.sum([_cell_counts(agents, half, len(trace.action_names)) for agents in step], axis=0)
        window = _windows(counts)
        share = window / window.sum(-1, keepdims=True)
        entropy -= (share * np.log(np.maximum(share, 1e-12))).sum(-1)
    # A grey level more, so that in a flat picture the choices decide.
    telling = entropy * (_windows(_contrast(trace, half)) / 4 + 1 / 255)
    row, col = np.unravel_index(telling.argmax(), telling.shape)
    wide, high = min(w, 2 * half), min(h, 2 * half)
    left, top = min(int(col) * half, w - wide), min(int(row) * half, h - high)
    return left, top, left + wide, top + high


def _windows(cells: npt.NDArray[np.generic]) -> npt.NDArray[Any]:
    """The sums over the 2 x 2 cells that begin at each: ``(rows, columns, ...)`` to the same shape."""
    padded: npt.NDArray[Any] = np.pad(cells, ((0, 1), (0, 1), *((0, 0) for _ in cells.shape[2:])))
    sums: npt.NDArray[Any] = padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]
    return sums


def _contrast(trace: Trace, cell: int) -> npt.NDArray[np.float32]:
    """How much neighbouring parts of a picture differ in brightness, the mean over cells: ``(h / cell, w / cell)``.

    Parts are a fourth of a cell wide, so that noise has little share in it.
    """
    grey = array_to_tensor(trace.pixels, trace.scale)[0].clamp(0, 1).mean(0).numpy()
    h, w = grey.shape
    part = max(1, cell // 4)
    parts = cv2.resize(grey, (-(-w // part), -(-h // part)), interpolation=cv2.INTER_AREA)
    down, right = (np.abs(np.diff(parts, axis=axis, append=np.take(parts, [-1], axis))) for axis in (0, 1))
    cells: npt.NDArray[np.float32] = cv2.resize(
        down + right, (-(-w // cell), -(-h // cell)), interpolation=cv2.INTER_AREA
    )
    return cells


def clean_target(trace: Trace, reference: Array | None) -> Image | None:
    """The clean picture as a tensor, where there is one.

    Raises:
        InputError: it has another shape than the trace's picture, or is not an image.
        UsageError: the trace is none.
    """
    check_kind(trace, Trace, TRACES)
    if reference is None:
        return None
    reference = plain(reference)
    if reference.shape != trace.pixels.shape:
        raise InputError(f"the clean picture is {reference.shape}; it must be {trace.pixels.shape}, as the input")
    return array_to_tensor(reference, trace.scale)


def photo(image: Image, profile: bytes | None, shrink: int = 1) -> Picture:
    """An image, ``b`` = 1, as a picture of 8 bits in sRGB, shrunk by averaging.

    Of an image that is neither grey nor RGB it is the first channel. ``profile`` is the ICC profile of its values,
    or None.
    """
    planes = to_8_bit(image)[0].byte().cpu().numpy()
    array = np.moveaxis(planes, 0, -1) if len(planes) == 3 else planes[0]
    return in_srgb(PillowImage.fromarray(np.ascontiguousarray(array)).reduce(shrink), profile)


def enlarged(picture: Picture, factor: int) -> Picture:
    """A picture whose pixels have become squares."""
    return picture.resize((picture.width * factor, picture.height * factor), PillowImage.Resampling.NEAREST)


def caption(label: str, image: Image, target: Image | None) -> str:
    """The label and, where the clean picture is known, the PSNR in dB (`pixelrl.imaging.metrics.psnr`); ``b`` = 1."""
    return label if target is None else f"{label}   {psnr(image, target).item():.2f} dB"


def _cell_counts(actions: ActionIndices, cell: int, num_actions: int) -> Counts:
    """How often each action occurs in every cell: ``(ceil(h / cell), ceil(w / cell), n)``."""
    rows, cols = (np.arange(length) // cell for length in actions.shape)
    shape = (int(rows[-1]) + 1, int(cols[-1]) + 1, num_actions)
    bins = (rows[:, None] * shape[1] + cols) * num_actions + actions
    return np.bincount(bins.ravel(), minlength=shape[0] * shape[1] * shape[2]).reshape(shape)
