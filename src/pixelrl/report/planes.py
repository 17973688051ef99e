"""The pictures and maps inside a report: what is shown pixel by pixel, and how it is packed."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from pixelrl.errors import UsageError
from pixelrl.pictures.arrays import Array
from pixelrl.pictures.display import turned_box
from pixelrl.report.maps import majority, telling_window
from pixelrl.report.worth import Box
from pixelrl.trace import Trace
from pixelrl.types import Image
from pixelrl.validation import check_box

LARGEST = 640_000
"""Pixels that a report shows one by one, at most."""
LARGEST_TABLE = 50_000_000
"""Probabilities (pixels x agents x actions x steps) in a report, at most: about 20 MB of the page."""
WINDOW = 512
"""Side in pixels of the window that is shown of larger pictures."""
OVERVIEW = 160_000
"""Pixels of the overview of larger pictures, at most."""

_TENTHS, _LIMIT = 2550, 16_000  # one tenth of a grey level; beyond 1600 grey levels values are cut off


@dataclass
class Planes:
    """Arrays for the page, deflated and in base64, by name."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, array: Array) -> dict[str, object]:
        """Keep an array of uint8 or int16; returns what the page needs to read it: name, type and shape."""
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        self.texts[name] = base64.b64encode(zlib.compress(little.tobytes(), 7)).decode("ascii")
        return {"id": name, "type": str(array.dtype), "shape": list(array.shape)}


@dataclass(frozen=True)
class View:
    """A part of the picture, at a scale.

    Attributes:
        name: ``region`` or ``whole``.
        box: ``(x0, y0, x1, y1)`` in pixels of the upright picture.
        shrink: one dot stands for shrink x shrink pixels.
    """

    name: str
    box: Box
    shrink: int

    def window(self, planes: Tensor) -> Tensor:
        """The view of ``(..., h, w)``, at full resolution."""
        x0, y0, x1, y1 = self.box
        return planes[..., y0:y1, x0:x1]

    def averaged(self, planes: Tensor) -> Tensor:
        """The view of ``(b, c, h, w)``, every dot the mean of its pixels."""
        part = self.window(planes)
        if self.shrink == 1:
            return part
        return F.avg_pool2d(part.float(), self.shrink, ceil_mode=True, count_include_pad=False)

    def values(self, images: Sequence[Image]) -> npt.NDArray[np.int16]:
        """Images ``(1, c, h, w)`` in tenths of grey levels, each after the first as the difference to the one before.

        The result is ``(len(images), c, h', w')``: differences deflate to a third.
        """
        tenths = [(_TENTHS * self.averaged(image)).round().clamp(-_LIMIT, _LIMIT)[0] for image in images]
        stacked = torch.stack(tenths).to(torch.int16).cpu().numpy()
        return np.diff(stacked, axis=0, prepend=np.zeros_like(stacked[:1]))

    def maps(self, trace: Trace) -> npt.NDArray[np.uint8]:
        """The action maps ``(t, g, h', w')``, shrunk ones by `pixelrl.report.strip.majority`."""
        x0, y0, x1, y1 = self.box
        part = trace.actions[..., y0:y1, x0:x1]
        if self.shrink == 1 or part.size == 0:
            return part
        n = len(trace.action_names)
        return np.stack([np.stack([majority(agents, self.shrink, n) for agents in step]) for step in part])


def views_of(trace: Trace, region: Box | None) -> list[View]:
    """What a report shows: the region pixel by pixel, and where that is not the whole picture, an overview of it.

    ``region`` counts stored pixels, the views those of the upright picture.

    Raises:
        UsageError: a region that does not lie inside the picture, holds no pixel, or is too large.
    """
    steps, agents, h, w = trace.actions.shape
    per_pixel = max(1, steps * agents * len(trace.action_names))
    most = min(LARGEST, LARGEST_TABLE // per_pixel)
    if region is not None:
        name = f"region {','.join(map(str, region)) if isinstance(region, Sequence) else region}"
        check_box(region, name, (h, w))
        x0, y0, x1, y1 = region
        if (x1 - x0) * (y1 - y0) > most:
            raise UsageError(f"{name} has more than the {most} pixels that a report can show")
        region = turned_box(region, trace.orientation, (h, w))
    seen = trace.upright()
    h, w = seen.actions.shape[-2:]
    if region is None and h * w <= most:
        region = (0, 0, w, h)
    elif region is None:
        side = min(WINDOW, math.isqrt(most))
        region = telling_window(seen, max(1, side // 2)) if steps else (0, 0, min(w, side), min(h, side))
    views = [View("region", region, 1)]
    if region != (0, 0, w, h):
        views.append(View("whole", (0, 0, w, h), math.ceil(math.sqrt(h * w / OVERVIEW))))
    return views
