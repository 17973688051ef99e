"""Values in which Poisson-Gaussian noise has the same level everywhere: the generalised Anscombe transform.

Of ``y = gain * Poisson(p) + Normal(offset, read)`` the transform ``2 sqrt(y' + 3/8 + r^2)``, with ``y'`` and ``r`` the
value and the read noise in photons, has a standard deviation of nearly 1 (Starck, Murtagh and Bijaoui 1998). Back goes
the *exact unbiased inverse* (Makitalo and Foi 2013): the mean of transformed noisy values becomes the mean of the
values, which the algebraic inverse misses by a quarter of a photon. It is computed here from the distribution itself,
so that it also holds for values that a file has clipped at black and white.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt
import torch

from pixelrl.errors import UsageError
from pixelrl.types import Image

_Array = npt.NDArray[np.float64]

NAME = "anscombe"
_NUMBER = r"([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)"

NODES = 2048
"""Means for which the inverse is tabulated; between them it is linear."""
FEW = 50.0
"""Photons up to which Poisson's distribution is summed up; beyond, it is a normal one with its skewness."""
_QUADRATURE = 64


@dataclass(frozen=True)
class Anscombe:
    """A space of values, for pictures of [0, 1].

    Attributes:
        gain: the value of one photon, above 0.
        read: the standard deviation of the noise without light.
        offset: the value without light.
        low: the transformed value that becomes 0.
        high: the transformed value that becomes 1; above ``low``. The noise has the level ``1 / (high - low)``.
        black: values are clipped from below at this one; minus infinity if they are not.
        white: values are clipped from above at this one; infinity if they are not.
    """

    gain: float
    read: float
    offset: float
    low: float
    high: float
    black: float = -math.inf
    white: float = math.inf

    def __post_init__(self) -> None:
        finite = all(math.isfinite(value) for value in astuple(self)[:5])
        if not (finite and self.gain > 0 and self.read >= 0 and self.low < self.high and self.black < self.white):
            raise UsageError(f"{self} is no space of values")

    def __str__(self) -> str:
        """Its name in traces: all of its numbers, in full."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return f"{NAME}({','.join(f'{name}={value!r}' for name, value in pairs if math.isfinite(value))})"

    @classmethod
    def parse(cls, text: str) -> Anscombe:
        """The inverse of `str`.

        Raises:
            UsageError: it is no such text.
        """
        names = [field.name for field in fields(cls)]
        pattern = ",".join(f"{name}={_NUMBER}" for name in names[:5])
        pattern += "".join(f"(?:,{name}={_NUMBER})?" for name in names[5:])
        found = re.fullmatch(rf"{NAME}\({pattern}\)", text)
        try:
            return cls(**{name: float(v) for name, v in zip(names, found.groups(), strict=True) if v})  # type: ignore[union-attr]
        except (AttributeError, ValueError) as error:
            raise UsageError(f"{text[:200]!r} is no space of values") from error

    def to(self, image: Image) -> Image:
        """Pictures' values to these."""
        return ((_stabilized(self, image.double()) - self.low) / (self.high - self.low)).float()

    def back(self, image: Image) -> Image:
        """These values, of which the noise was removed, to those of pictures; of any shape."""
        transformed, means = (torch.from_numpy(nodes).to(image.device) for nodes in _inverse_table(self))
        wanted = image.double() * (self.high - self.low) + self.low
        place = torch.searchsorted(transformed, wanted.contiguous()).clamp(1, len(means) - 1)
        left, right = transformed[place - 1], transformed[place]
        share = ((wanted - left) / (right - left)).clamp(0, 1)
        inside = means[place - 1] + share * (means[place] - means[place - 1])
        # Beyond the table it goes on as the algebraic inverse does.
        nearest = wanted.clamp(transformed[0], transformed[-1])
        return (inside + self.gain / 4 * (wanted.clamp_min(0).square() - nearest.clamp_min(0).square())).float()


def stabilized(gain: float, read: float, offset: float, image: Image) -> Image:
    """``2 sqrt(y + 3/8 + r^2)`` with the value y and the read noise r in photons: noise has a deviation of about 1."""
    return 2 * ((image - offset) / gain + 3 / 8 + (read / gain) ** 2).clamp_min(0).sqrt()


def _stabilized(space: Anscombe, image: Image) -> Image:
    return stabilized(space.gain, space.read, space.offset, image)


@functools.lru_cache(maxsize=64)
def _inverse_table(space: Anscombe) -> tuple[_Array, _Array]:
    """Means of transformed noisy values, rising, and the means of the values to which they belong."""
    read, most = space.read / space.gain, (space.high / 2) ** 2
    if math.isfinite(space.white):  # of what is much brighter than white, all is clipped alike
        most = min(most, (space.white - space.offset) / space.gain)
    most = max(most, 1.0)
    most += 2 + 2 * math.sqrt(most + read**2)
    photons = np.linspace(0, math.sqrt(most), NODES) ** 2
    transformed = np.empty(NODES)
    few = photons <= FEW
    transformed[few] = _mean_of_few(space, photons[few])
    transformed[~few] = _mean_of_many(space, photons[~few])
    rising = np.concatenate([[True], transformed[1:] > np.maximum.accumulate(transformed)[:-1] + 1e-9])
    return transformed[rising], space.offset + space.gain * photons[rising]


def _seen(space: Anscombe, photons: _Array) -> _Array:
    """The transformed value of a stored one that stands for so many photons."""
    values = np.clip(space.offset + space.gain * photons, space.black, space.white)
    return _stabilized(space, torch.from_numpy(values)).numpy()


def _mean_of_few(space: Anscombe, means: _Array) -> _Array:
    counts = np.arange(int(FEW + 10 * math.sqrt(FEW)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(_QUADRATURE)
    seen = _seen(space, counts[:, None] + space.read / space.gain * nodes) @ (weights / weights.sum())
    logarithms = np.array([math.lgamma(count + 1) for count in counts])
    with np.errstate(divide="ignore", invalid="ignore"):
        likely = np.where(means[:, None] > 0, counts * np.log(means[:, None]), np.where(counts > 0, -np.inf, 0.0))
    mean: _Array = np.exp(likely - means[:, None] - logarithms) @ seen
    return mean


def _mean_of_many(space: Anscombe, means: _Array) -> _Array:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_QUADRATURE)
    variance = (means + (space.read / space.gain) ** 2)[:, None]
    skewness = means[:, None] / variance**1.5
    deviations = nodes + skewness / 6 * (nodes**2 - 1)  # Cornish and Fisher 1937
    mean: _Array = _seen(space, means[:, None] + np.sqrt(variance) * deviations) @ (weights / weights.sum())
    return mean
