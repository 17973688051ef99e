"""An episode: every pixel's operation at every step, chosen or as recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pixelrl_onnx.arrays import Planes
from pixelrl_onnx.filters import Plane
from pixelrl_onnx.operations import DO_NOTHING, Operation, find_operations
from pixelrl_onnx.spaces import Opponent, Space, find_space

Maps = npt.NDArray[np.uint8]
"""``(t, g, h, w)``, indices into the operations; g is 1 or c."""
Choose = Callable[[int, Planes, list[Operation]], tuple[Maps, Planes]]
"""From a step's number and image to the maps ``(g, h, w)`` of its operations and the image after them."""


def replay(initial: Planes, maps: Maps, names: Sequence[str], space: str) -> Planes:
    """Carry recorded operations out on ``(c, h, w)``: the result, in sRGB, bit for bit as pixelrl's.

    Raises:
        UsageError: an operation or a space that this runner does not know.
    """
    operations, values = find_operations(names), find_space(space)
    image = initial if values is None else values.to(initial)
    for chosen in maps:
        image = carried_out(image, chosen, operations)
    return in_srgb(image, values, initial)


def in_srgb(image: Planes, space: Space | None, initial: Planes) -> Planes:
    """Values of a space as those of the picture, of which those that nothing has changed keep their very bits.

    Of opponent colours, a pixel keeps them if none of its values has changed.
    """
    if space is None:
        return image
    same = image == space.to(initial)
    return np.where(same.all(0) if isinstance(space, Opponent) else same, initial, space.back(image))


def carried_out(image: Planes, chosen: npt.NDArray[np.uint8], operations: Sequence[Operation]) -> Planes:
    """The image after one step; only operations that somebody chose are computed."""
    result = np.empty_like(image)
    for c, plane in enumerate(image):
        own = chosen[c if len(chosen) == len(image) else 0]
        for index in np.unique(own):
            np.copyto(result[c], operations[index](plane), where=own == index)
    return result


def nearest(image: Planes, goals: Planes, operations: Sequence[Operation]) -> tuple[npt.NDArray[np.uint8], Planes]:
    """For each agent the operation whose outcome is nearest to the estimate, and the image after it.

    Args:
        image: ``(c, h, w)``.
        goals: the estimate, ``(c, h, w)``, or ``(k, h, w)`` of an image of one channel: then the mean distance counts.
        operations: n of them; of equally near ones the first is chosen.
    """
    chosen, after = np.zeros(image.shape, np.uint8), np.empty_like(image)
    for c, plane in enumerate(image):
        goal = goals if len(image) == 1 else goals[c : c + 1]
        least = np.full(plane.shape, np.inf, np.float32)
        for index, operation in enumerate(operations):
            outcome = operation(plane)
            distance = _distance(outcome, goal)
            nearer = distance < least
            np.copyto(after[c], outcome, where=nearer)
            np.copyto(chosen[c], np.uint8(index), where=nearer)
            np.minimum(least, distance, out=least)
    return chosen, after


def _distance(outcome: Plane, goal: Planes) -> Plane:
    # In grey levels, as pixelrl counts it, so that what is equal there by rounding is equal here.
    apart = np.abs(outcome - goal) * np.float32(255)
    return np.asarray(apart[0] if len(goal) == 1 else apart.mean(0), np.float32)


def idle(chosen: npt.NDArray[np.uint8], names: Sequence[str]) -> bool:
    """Whether nobody does anything."""
    return DO_NOTHING in names and bool((chosen == names.index(DO_NOTHING)).all())
