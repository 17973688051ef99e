"""What the noise of a picture is like: its level by brightness, and how far it hangs together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from pixelrl.types import Image

NAMES = {1: ("grey",), 3: ("red", "green", "blue")}
"""What the channels of a picture are called, by their number."""

WHITE = 0.2
"""Correlation of neighbouring pixels up to which noise counts as white."""
DEPENDENT = 1.3
"""How many times the level where it is low the level where it is high must be for noise to depend on brightness."""
UNEVEN = 1.5
"""The same ratio between two channels, from which on each has its level named."""
NEXT_TO_NONE = 1.0
"""A level in grey levels below which there is next to no noise: that of rounding is 0.3."""

WINDOW = 7
"""Side in pixels of the window over which brightness is averaged."""
BINS, NARROWEST, LEAST_SHARE = 16, 2 / 255, 0.02
"""Bins of brightness at most, and the least range of values and the least share of the pixels that one has."""
TRIMMED = 0.1
"""The share of the largest variances of a bin that is left out, and of the smallest: edges and flat patches."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChannelNoise:
    """The noise of one channel.

    Attributes:
        name: "grey", "red", "green" or "blue".
        brightness: nodes, rising, in grey levels (white is 255); empty if nothing could be seen.
        sigma: the standard deviation of the noise at each node, in grey levels.
        share: the share of the pixels looked at that each node stands for; they sum to 1.
        rms: the level over all of these pixels, in grey levels; 0 if there are none.
    """

    name: str
    brightness: tuple[float, ...]
    sigma: tuple[float, ...]
    share: tuple[float, ...]
    rms: float


@dataclass(frozen=True)
class NoiseModel:
    """The noise of a picture.

    Attributes:
        channels: each channel's level by brightness.
        correlation: of the noise of a pixel with that of the next one in its row or column; 0 for white noise.
        clipped: the share of the picture that is quite black or quite white, or transparent: it shows no noise, and
            was left out.
    """

    channels: tuple[ChannelNoise, ...]
    correlation: float
    clipped: float = 0.0

    @property
    def rms(self) -> float:
        """The level over all channels and pixels looked at, in grey levels."""
        return _root_mean_square([channel.rms for channel in self.channels])

    @property
    def correlation_length(self) -> float:
        """How wide its blotches are, in pixels: 1 for white noise.

        The width at half the height of the autocorrelation, taken as a normal curve through `correlation`.
        """
        if self.correlation <= 2**-4:  # of which the width is 1
            return 1.0
        return 2 * math.sqrt(math.log(2) / -math.log(min(self.correlation, 0.999)))

    @property
    def white(self) -> bool:
        """Whether each pixel has noise of its own."""
        return abs(self.correlation) <= WHITE

    @property
    def signal_dependent(self) -> bool:
        """Whether the level depends on the brightness, in any channel."""
        spans = [_span(channel) for channel in self.channels if channel.sigma]
        return any(high > DEPENDENT * max(low, NEXT_TO_NONE) for low, high in spans)

    @property
    def shadows(self) -> float:
        """The level in the darkest third of the pixels, in grey levels."""
        return self._end(1)

    @property
    def highlights(self) -> float:
        """The level in the brightest third of the pixels, in grey levels."""
        return self._end(-1)

    def _end(self, direction: int) -> float:
        levels = []
        for channel in self.channels:
            left, total = 1 / 3, 0.0
            for sigma, share in list(zip(channel.sigma, channel.share, strict=True))[::direction]:
                part = min(share, left)
                left, total = left - part, total + part * sigma**2
            levels.append(math.sqrt(3 * total))
        return _root_mean_square(levels)

    def words(self) -> str:
        """The noise in one plain sentence, without a capital and a full stop."""
        if not any(channel.sigma for channel in self.channels):
            return "no noise to be seen: all of the picture is black, white or transparent"
        number = f"{self.rms:.1f} grey levels"
        left_out = ""
        if self.clipped >= 0.05:
            left_out = f"; {100 * self.clipped:.0f} % of the picture is black, white or transparent and shows none"
        if self.rms < NEXT_TO_NONE:
            return f"next to no noise ({number}){left_out}"
        details = []
        levels = [channel.rms for channel in self.channels]
        if len(levels) > 1 and max(levels) > UNEVEN * max(min(levels), NEXT_TO_NONE):
            details.append(", ".join(f"{channel.rms:.1f} in {channel.name}" for channel in self.channels))
        if self.signal_dependent:
            ends = self.shadows, self.highlights
            if max(ends) > 1.15 * min(ends):
                details.append(f"{ends[0]:.1f} in shadows, {ends[1]:.1f} in highlights")
            else:
                low, high = zip(*(_span(channel) for channel in self.channels if channel.sigma), strict=True)
                details.append(f"from {min(low):.1f} to {max(high):.1f} by brightness")
        inner = f" ({'; '.join(details)})" if details else ""
        kind = "white noise" if self.white else "noise"
        blotches = "" if self.white else f", in blotches of about {_pixels(self.correlation_length)}"
        return f"{kind} of about {number}{inner}{blotches}{left_out}"

    def as_dict(self) -> dict[str, object]:
        """The model as JSON has it; levels and brightness in grey levels."""
        return {
            "words": self.words(),
            "rms": round(self.rms, 3),
            "correlation": round(self.correlation, 3),
            "correlation_length": round(self.correlation_length, 2),
            "white": self.white,
            "signal_dependent": self.signal_dependent,
            "clipped": round(self.clipped, 4),
            "channels": [
                {
                    "name": channel.name,
                    "rms": round(channel.rms, 3),
                    "brightness": [round(value, 1) for value in channel.brightness],
                    "sigma": [round(value, 3) for value in channel.sigma],
                    "share": [round(value, 4) for value in channel.share],
                }
                for channel in self.channels
            ],
        }


def fit(
    image: Image, sigma: Float[Tensor, "1 c h w"], correlation: float, alpha: Float[Tensor, "1 1 h w"] | None = None
) -> NoiseModel:
    """The noise model of an image whose noise level is known for every pixel.

    In every bin of brightness (of the image, averaged over 7x7 pixels) the mean of the variances is taken, without
    the largest and the smallest tenth. Surroundings that are half or more quite black or white are left out: where
    values are clipped, so is the noise.

    Args:
        image: ``(1, c, h, w)``, c being 1 or 3; white is 1.
        sigma: the standard deviation of the noise of every pixel, white being 1.
        correlation: of the noise of neighbouring pixels.
        alpha: 0 to 1, how much each pixel counts; all alike if left out.
    """
    weight = torch.ones_like(image[:, :1]) if alpha is None else alpha.to(image)
    seen = ~clipped(image) & (weight > 0)
    total = _mean_around(weight).clamp_min(1e-6)
    brightness = _mean_around(image * weight) / total
    weights = weight.expand_as(image)
    channels = [
        _channel(name, *(plane[0, c][seen[0, c]].double().cpu().numpy() for plane in (brightness, sigma, weights)))
        for c, name in enumerate(NAMES[image.shape[1]])
    ]
    return NoiseModel(tuple(channels), float(correlation), 1 - seen.float().mean().item())


def overall(image: Image, sigma: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 1 1"]:
    """The root mean square of a map of levels, where noise can be seen: a border makes a picture no cleaner."""
    seen = ~clipped(image)
    seen |= ~seen.any(dim=3, keepdim=True).any(dim=2, keepdim=True).any(dim=1, keepdim=True)
    weight = seen.to(sigma)
    return ((sigma.square() * weight).sum((1, 2, 3), keepdim=True) / weight.sum((1, 2, 3), keepdim=True)).sqrt()


def clipped(image: Image) -> Bool[Tensor, "b c h w"]:
    """Where half or more of the surrounding 7x7 pixels are quite black, or quite white."""
    extremes = ((image == 0).float(), (image == 1).float())
    return torch.stack([_mean_around(extreme) for extreme in extremes]).amax(0) >= 0.5


def _mean_around(image: Image) -> Image:
    """The mean over a window, as far as it lies inside of the image."""
    return F.avg_pool2d(image, WINDOW, 1, WINDOW // 2, count_include_pad=False)


def _channel(name: str, brightness: _Array, sigma: _Array, weight: _Array) -> ChannelNoise:
    """The level in each bin, of the pixels of one channel; white is 1 in what is given."""
    if not brightness.size:
        return ChannelNoise(name, (), (), (), 0.0)
    low, high = float(brightness.min()), float(brightness.max())
    number = max(1, min(BINS, int((high - low) / NARROWEST)))
    index = np.minimum(((brightness - low) / max(high - low, 1e-9) * number).astype(int), number - 1)
    counts: _Array = np.bincount(index, weight, number).astype(np.float64)
    groups = _groups(counts, LEAST_SHARE * counts.sum())
    nodes = []
    for first, last in groups:
        inside = (index >= first) & (index <= last)
        variance, share = sigma[inside] ** 2, weight[inside]
        middle = np.quantile(variance, (TRIMMED, 1 - TRIMMED))
        kept = (variance >= middle[0]) & (variance <= middle[1])
        kept |= not kept.any()  # of two pixels, a tenth and a tenth leave nothing between them
        nodes.append(
            (
                255 * np.average(brightness[inside], weights=share),
                255 * math.sqrt(np.average(variance[kept], weights=share[kept])),
                share.sum() / counts.sum(),
            )
        )
    nodes_of = [tuple(float(value) for value in column) for column in zip(*nodes, strict=True)]
    rms = math.sqrt(sum(level**2 * share for level, share in zip(nodes_of[1], nodes_of[2], strict=True)))
    return ChannelNoise(name, nodes_of[0], nodes_of[1], nodes_of[2], rms)


def _groups(counts: _Array, least: float) -> list[tuple[int, int]]:
    """Runs of bins, first and last, that hold so much each; what is left at the end joins the last run."""
    runs, first, held = [], 0, 0.0
    for i, count in enumerate(counts):
        held += count
        if held >= least:
            runs.append((first, i))
            first, held = i + 1, 0.0
    return [*runs[:-1], (runs[-1][0], len(counts) - 1)]


def _span(channel: ChannelNoise) -> tuple[float, float]:
    """The levels above which, and below which, nine tenths of the pixels are."""
    order = np.argsort(channel.sigma)
    shares = np.cumsum(np.array(channel.share)[order])
    low, high = (order[min(int(np.searchsorted(shares, at)), len(order) - 1)] for at in (0.1, 0.9))
    return channel.sigma[low], channel.sigma[high]


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(sum(value**2 for value in values) / len(values))


def _pixels(length: float) -> str:
    number = f"{length:.0f}" if length >= 1.75 else f"{length:.1f}"
    return f"{number} pixels"
