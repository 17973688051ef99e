"""A huge picture as its file holds it, whatever the format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pixelrl.blocks.plan import Values


@dataclass(frozen=True)
class Held:
    """A picture whose values are read where and when they are needed.

    Attributes:
        array: of the finest level.
        axes: a letter for each axis, or None where the file does not say.
        units: what OME-Zarr says of each axis.
        scale: the size of a pixel along each axis, in these units; None where the file does not say.
        name: of the picture, or None.
        icc_profile: its colour profile, or None.
        close: to be called when nothing more is read.
    """

    array: Values
    axes: str | None
    units: list[dict[str, Any]] = field(default_factory=list)
    scale: list[float] | None = None
    name: str | None = None
    icc_profile: bytes | None = None
    close: Callable[[], object] = lambda: None


def in_micrometers(axes: str, x: float | None, y: float | None) -> tuple[list[dict[str, Any]], list[float] | None]:
    """`Held.units` and `Held.scale` of a picture whose pixels are so many micrometers wide and high, if known."""
    known = x is not None and y is not None
    kinds = {"t": "time", "c": "channel"}
    units = [
        {"name": axis, "type": kinds.get(axis, "space")} | ({"unit": "micrometer"} if known and axis in "yx" else {})
        for axis in axes
    ]
    return units, [{"y": y, "x": x}.get(axis) or 1.0 for axis in axes] if known else None
