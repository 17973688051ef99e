"""Which values stand for black and white: 12 bits in 16, counts of photons, and floats in any unit.

Policies know pictures from 0 to 1. What comes in other units is scaled for them, and scaled back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixelrl.errors import UsageError
from pixelrl.validation import brief, finite_number

FULL = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0, "float64": 1.0}
"""The value that stands for white, by dtype, where nothing says otherwise."""

_CAMERAS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""White of cameras and microscopes of 8, 10, 12, 14 and 16 bits."""
_NORMAL = (-0.5, 1.5)
"""Floats within these, noise and a little more, are pictures from 0 to 1 as they are."""
_DARK, _VERY_DARK = 1 / 3, 1 / 32
"""A picture that stays below this share of a white is not meant for it: of one that was guessed, and of the dtype's.
Policies lose 0.03 dB on a picture of half the contrast, 0.2 dB on a fourth, and much on an eighth."""
_CELL = 4
"""Pixels a side of the areas whose means are looked at, so that noise and single bright pixels count little."""
_SAMPLE = 1 << 18


@dataclass(frozen=True)
class Scale:
    """The values that stand for black and white.

    Attributes:
        black: becomes 0 for a policy.
        white: becomes 1.
    """

    black: float
    white: float

    @classmethod
    def full(cls, dtype: str) -> Scale:
        """All that a dtype holds, of integers; 0 to 1 of floats."""
        return cls(0.0, FULL.get(dtype, 1.0))

    @classmethod
    def of(cls, pixels: npt.NDArray[np.generic], white: float | None = None) -> Scale:
        """The scale of one picture, ``(h, w)`` or ``(h, w, c)``, by `scale_of`."""
        return scale_of([pixels] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0), white)

    @property
    def words(self) -> str:
        """What a person is told of it."""
        bits = {white: f" ({2 * i + 8} bits)" for i, white in enumerate(_CAMERAS)}
        black = f"black is {self.black:.6g} and " if self.black else ""
        return f"{black}white is {self.white:.6g}{bits.get(self.white, '') if not black else ''}"

    def remark(self, dtype: str) -> str | None:
        """`words`, where it is not what the dtype says by itself."""
        return None if self == Scale.full(dtype) else f"values scaled: {self.words}"


def given_white(white: object) -> float | None:
    """The white that a person gives; None for "auto".

    Raises:
        UsageError: it is not a number above 0.
    """
    if isinstance(white, str) and white == "auto":
        return None
    if (number := finite_number(white)) is not None and number > 0:
        return number
    raise UsageError(f'white = {brief(white)} is no value that stands for white; give a number above 0, or "auto"')


def given_scale(white: object) -> Scale | float | None:
    """The same, or which values are black and white.

    Raises:
        UsageError: it is neither a `Scale` nor a number above 0.
    """
    return white if isinstance(white, Scale) else given_white(white)


def scale_of(planes: Iterable[npt.NDArray[np.generic]], white: float | None = None) -> Scale:
    """The scale of planes ``(h, w)`` of one picture or stack, of one dtype in `FULL`.

    8-bit integers are what they are. 16-bit ones that end at 10, 12 or 14 bits are taken for so many, but for values
    that were stretched from fewer bits, and those that use hardly any of their range are taken for it. Floats near 0
    to 1 are that; others begin at 0, unless they go well below it or stay far from it, and end at the white of a
    camera of 8, 10, 12, 14 or 16 bits, unless they stay far below that.

    Args:
        planes: finite.
        white: what stands for white, where a person says so; black is 0 then.
    """
    if white is not None:
        return Scale(0.0, white)
    seen = [(str(plane.dtype.name), *_range(plane)) for plane in planes]
    dtypes, lows, highs, brights, tops, steps = zip(*seen, strict=True)
    if dtypes[0] == "uint16" and math.gcd(*steps) == 1:  # not 8 bits that were stretched, or one value everywhere
        return _of_integers(max(brights), max(tops))
    if dtypes[0].startswith("float"):
        return _of_floats(min(lows), max(highs), max(brights))
    return Scale.full(dtypes[0])


def _of_integers(bright: float, top: float) -> Scale:
    white = min(white for white in _CAMERAS if top <= white)
    dark = bright < (_VERY_DARK if white == FULL["uint16"] else _DARK) * white
    return Scale(0.0, max(1.0, bright) if dark else white)


def _of_floats(low: float, high: float, bright: float) -> Scale:
    usual = low >= _NORMAL[0] and high <= _NORMAL[1] and max(-low, bright) >= _VERY_DARK
    if usual or high <= low:  # or one value everywhere
        return Scale(0.0, 1.0)
    if low < -high / 4 or low > 0.75 * high:
        return Scale(low, high)
    white = next((white for white in _CAMERAS if high <= 1.25 * white), high)
    return Scale(0.0, high if high < _DARK * white else white)


def _range(plane: npt.NDArray[np.generic]) -> tuple[float, float, float, float, int]:
    """What can be said of the values of a plane.

    Returns:
        What the means of nearly all areas lie between; what nearly all values lie below; the largest one; and what
        divides all of them, if they are integers (1 for floats).
    """
    if plane.dtype == np.uint8:
        return 0.0, 255.0, 255.0, 255.0, 1
    h, w = (side // _CELL * _CELL for side in plane.shape)
    means: npt.NDArray[np.generic] = plane
    if h and w:
        cells = plane[:h, :w].reshape(h // _CELL, _CELL, w // _CELL, _CELL)
        means = cells.mean((1, 3), dtype=np.float64)
    low, high = np.percentile(means.astype(np.float64, copy=False), (0.1, 99.9))
    sample = plane.ravel()[:: max(1, plane.size // _SAMPLE)]
    bright = np.percentile(sample.astype(np.float64), 99.9)
    step = int(np.gcd.reduce(sample)) if plane.dtype.kind == "u" else 1
    return float(low), float(high), float(bright), float(plane.max()), step
