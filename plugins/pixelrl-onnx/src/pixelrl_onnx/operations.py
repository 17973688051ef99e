"""The named operations, with the definitions of ``pixelrl.actions``.

An operation maps a plane, float32 ``(h, w)``, to a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from pixelrl_onnx.errors import UsageError
from pixelrl_onnx.filters import Plane, bilateral, box, gaussian, line, median, padded

Operation = Callable[[Plane], Plane]

DO_NOTHING = "do nothing"


def _add(plane: Plane, levels: int) -> Plane:
    return plane + np.float32(levels / 255)


def _fill_extremes(plane: Plane) -> Plane:
    known = ((plane > 0) & (plane < 1)).astype(np.float32)
    total = gaussian(known, 1.0)
    mean = gaussian(plane * known, 1.0) / np.maximum(total, np.float32(1e-6))
    return np.where((known > 0) | (total < np.float32(1e-6)), plane, mean)


def _fill_from_unlike(plane: Plane) -> Plane:
    height, width = plane.shape
    wide = padded(plane, 2)
    total, norm = np.zeros_like(plane), np.zeros_like(plane)
    for y in range(-2, 3):
        for x in range(-2, 3):
            there = wide[2 + y : 2 + y + height, 2 + x : 2 + x + width]
            unlike = (np.abs(there - plane) > np.float32(0.1)).astype(np.float32)
            weight = np.float32(math.exp(-0.5 * (x * x + y * y))) * unlike
            total += weight * there
            norm += weight
    return np.where(norm > 0, total / np.maximum(norm, np.float32(1e-6)), plane)


OPERATIONS: dict[str, Operation] = {
    **{f"grey level {levels:+d}": partial(_add, levels=levels) for levels in (-64, -16, -4, -1, 1, 4, 16, 64)},
    DO_NOTHING: np.copy,
    "Gaussian 0.5": partial(gaussian, sigma=0.5),
    "Gaussian 1.5": partial(gaussian, sigma=1.5),
    "Gaussian 3": partial(gaussian, sigma=3.0, size=13),
    "Gaussian 8": partial(gaussian, sigma=8.0, size=33),
    "Gaussian 3 wide": partial(gaussian, sigma=3.0, size=19),
    "box": box,
    **{f"line {angle}": partial(line, angle=angle) for angle in (0, 45, 90, 135)},
    "median": median,
    "bilateral 0.1": partial(bilateral, sigma_color=0.1),
    "bilateral 1.0": partial(bilateral, sigma_color=1.0),
    "fill extremes": _fill_extremes,
    "fill from unlike": _fill_from_unlike,
}
"""Every operation by the name that policies and traces have for it."""


def find_operations(names: Sequence[str]) -> list[Operation]:
    """The operations of these names.

    Raises:
        UsageError: this runner does not know one of them.
    """
    for name in names:
        if name not in OPERATIONS:
            raise UsageError(f"the operation {name!r} is not among those of this runner; use pixelrl itself for it")
    return [OPERATIONS[name] for name in names]
