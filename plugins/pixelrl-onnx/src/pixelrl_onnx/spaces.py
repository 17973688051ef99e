"""The values that operations are carried out on: opponent colours, and those for noise that a file has clipped.

Opponent colours are those of ``pixelrl.imaging.color``. For noise that was clipped at black and white there is the
Anscombe space of ``pixelrl.imaging.anscombe``. Its values are nearly the picture's own; what counts is the way back,
which gives the mean that the values had before they were clipped (Foi 2009; Makitalo and Foi 2013). A space is written
with all its numbers, so that a trace replays alone.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt

from pixelrl_onnx.errors import UsageError

Values = npt.NDArray[np.float32]
_Array = npt.NDArray[np.float64]

OPPONENT = "opponent"
_BLUE_TO_RED, _GREEN_TO_MAGENTA = 6**-0.5, 18**-0.5
_NUMBER = r"([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)"
_NODES, _FEW, _QUADRATURE = 2048, 50.0, 64
"""Means for which the inverse is tabulated; photons up to which Poisson's distribution is summed up; nodes of a sum."""
_SHORTEST_GAIN = 1e-4
"""The gain of the space for clipped noise, as a share of its deviation."""


@dataclass(frozen=True)
class Anscombe:
    """A space of values; see ``pixelrl.imaging.anscombe.Anscombe``."""

    gain: float
    read: float
    offset: float
    low: float
    high: float
    black: float = -math.inf
    white: float = math.inf

    def __str__(self) -> str:
        """Its name in traces: all of its numbers, in full."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return f"anscombe({','.join(f'{name}={value!r}' for name, value in pairs if math.isfinite(value))})"

    def to(self, image: Values) -> Values:
        """Pictures' values to these."""
        return ((self.stabilized(image.astype(np.float64)) - self.low) / (self.high - self.low)).astype(np.float32)

    def back(self, image: Values) -> Values:
        """These values, of which the noise was removed, to those of pictures."""
        transformed, means = _inverse_table(self)
        wanted = image.astype(np.float64) * (self.high - self.low) + self.low
        place = np.clip(np.searchsorted(transformed, wanted), 1, len(means) - 1)
        left, right = transformed[place - 1], transformed[place]
        share = np.clip((wanted - left) / (right - left), 0, 1)
        inside = means[place - 1] + share * (means[place] - means[place - 1])
        # Beyond the table it goes on as the algebraic inverse does.
        nearest = np.clip(wanted, transformed[0], transformed[-1])
        beyond = self.gain / 4 * (np.square(np.maximum(wanted, 0)) - np.square(np.maximum(nearest, 0)))
        return np.asarray(inside + beyond, np.float32)

    def stabilized(self, values: _Array) -> _Array:
        """``2 sqrt(y + 3/8 + r^2)`` with the value y and the read noise r in photons."""
        photons = (values - self.offset) / self.gain + 3 / 8 + (self.read / self.gain) ** 2
        return np.asarray(2 * np.sqrt(np.maximum(photons, 0)), np.float64)


@dataclass(frozen=True)
class Opponent:
    """Brightness and two differences of colour, of the picture's own values or of those of another space.

    Images are planes ``(3, h, w)``, or ``(1, h, w)`` of a grey picture, of which there is the one of brightness alone.

    Attributes:
        before: the space of the values that they are made of; None for the picture's own.
    """

    before: Anscombe | None = None

    def __str__(self) -> str:
        """Its name in traces."""
        return OPPONENT if self.before is None else f"{OPPONENT} {self.before}"

    def to(self, image: Values) -> Values:
        """Pictures' values to these."""
        values = image if self.before is None else self.before.to(image)
        return to_opponent(values) if len(values) == 3 else values

    def back(self, image: Values) -> Values:
        """These values to those of pictures."""
        values = from_opponent(image) if len(image) == 3 else image
        return values if self.before is None else self.before.back(values)


Space = Anscombe | Opponent


def to_opponent(image: Values) -> Values:
    """Red, green and blue as their mean and two differences, which have 0.5 added."""
    mean, red, magenta = opponent_change(image)
    return np.stack([mean, red + np.float32(0.5), magenta + np.float32(0.5)])


def opponent_change(change: Values) -> Values:
    """How opponent colours change where red, green and blue do; exactly 0 where these do not."""
    red, green, blue = change
    differences = (
        (red - blue) * np.float32(_BLUE_TO_RED),
        (red + blue - np.float32(2) * green) * np.float32(_GREEN_TO_MAGENTA),
    )
    return np.stack([(red + green + blue) / np.float32(3), *differences])


def from_opponent(image: Values) -> Values:
    """The inverse of `to_opponent`."""
    mean, red, magenta = image
    red = (red - np.float32(0.5)) * np.float32(3 * _BLUE_TO_RED)
    magenta = (magenta - np.float32(0.5)) * np.float32(3 * _GREEN_TO_MAGENTA)
    return np.stack([mean + red + magenta, mean - np.float32(2) * magenta, mean - red + magenta])


def clipped_space(sigma: float) -> Anscombe:
    """The space for white noise of this level, as a share of white, that was clipped at 0 and 1."""
    ends = Anscombe(_SHORTEST_GAIN * sigma, sigma, 0.0, 0.0, 1.0).stabilized(np.array([0.0, 1.0]))
    return Anscombe(_SHORTEST_GAIN * sigma, sigma, 0.0, float(ends[0]), float(ends[1]), 0.0, 1.0)


def find_space(name: str) -> Space | None:
    """The space of a name; None for the values of the picture itself.

    Raises:
        UsageError: it is no space, or one that this runner does not know.
    """
    if name == "srgb":
        return None
    if name == OPPONENT:
        return Opponent()
    before = name.removeprefix(f"{OPPONENT} ")
    return _find_anscombe(name) if before == name else Opponent(_find_anscombe(before))


def _find_anscombe(name: str) -> Anscombe:
    names = [field.name for field in fields(Anscombe)]
    pattern = ",".join(f"{each}={_NUMBER}" for each in names[:5])
    pattern += "".join(f"(?:,{each}={_NUMBER})?" for each in names[5:])
    found = re.fullmatch(rf"anscombe\({pattern}\)", name)
    if found is None:
        raise UsageError(f"the space of values {name[:60]!r} is not among those of this runner; use pixelrl itself")
    space = Anscombe(**{each: float(value) for each, value in zip(names, found.groups(), strict=True) if value})
    finite = all(math.isfinite(value) for value in astuple(space)[:5])
    if not (finite and space.gain > 0 and space.read >= 0 and space.low < space.high and space.black < space.white):
        raise UsageError(f"{name[:60]!r} is no space of values")
    return space


@functools.lru_cache(maxsize=64)
def _inverse_table(space: Anscombe) -> tuple[_Array, _Array]:
    """Means of transformed noisy values, rising, and the means of the values to which they belong."""
    read, most = space.read / space.gain, (space.high / 2) ** 2
    if math.isfinite(space.white):  # of what is much brighter than white, all is clipped alike
        most = min(most, (space.white - space.offset) / space.gain)
    most = max(most, 1.0)
    most += 2 + 2 * math.sqrt(most + read**2)
    photons = np.linspace(0, math.sqrt(most), _NODES) ** 2
    transformed = np.empty(_NODES)
    few = photons <= _FEW
    transformed[few] = _mean_of_few(space, photons[few])
    transformed[~few] = _mean_of_many(space, photons[~few])
    rising = np.concatenate([[True], transformed[1:] > np.maximum.accumulate(transformed)[:-1] + 1e-9])
    return transformed[rising], space.offset + space.gain * photons[rising]


def _seen(space: Anscombe, photons: _Array) -> _Array:
    """The transformed value of a stored one that stands for so many photons."""
    return space.stabilized(np.clip(space.offset + space.gain * photons, space.black, space.white))


def _mean_of_few(space: Anscombe, means: _Array) -> _Array:
    counts = np.arange(int(_FEW + 10 * math.sqrt(_FEW)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(_QUADRATURE)
    seen = _seen(space, counts[:, None] + space.read / space.gain * nodes) @ (weights / weights.sum())
    logarithms = np.array([math.lgamma(count + 1) for count in counts])
    with np.errstate(divide="ignore", invalid="ignore"):
        likely = np.where(means[:, None] > 0, counts * np.log(means[:, None]), np.where(counts > 0, -np.inf, 0.0))
    return np.asarray(np.exp(likely - means[:, None] - logarithms) @ seen)


def _mean_of_many(space: Anscombe, means: _Array) -> _Array:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_QUADRATURE)
    variance = (means + (space.read / space.gain) ** 2)[:, None]
    skewness = means[:, None] / variance**1.5
    deviations = nodes + skewness / 6 * (nodes**2 - 1)  # Cornish and Fisher 1937
    return np.asarray(_seen(space, means[:, None] + np.sqrt(variance) * deviations) @ (weights / weights.sum()))
