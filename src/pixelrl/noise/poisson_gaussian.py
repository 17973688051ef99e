"""Noise of photons and of reading them out, ``y = gain * Poisson(p) + Normal(offset, read)``: microscopes, raw data.

Its variance is linear in the brightness, ``gain * (y - offset) + read^2``, and that line is what a picture shows. Gain
is its slope. Read noise and offset only come as one number, the variance at value 0: it is taken for read noise, or,
where it is negative, for the offset that it then takes. For removing the noise that makes next to no difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from pixelrl.imaging.anscombe import Anscombe, stabilized
from pixelrl.types import Image

_Array = npt.NDArray[np.float64]
_NORMAL = NormalDist()

BLOCK = 8
"""Side in pixels of the blocks that are looked at."""
FLATTEST, LEAST, TOLERANCE = 0.1, 8, 1.3
"""The share of the blocks of one brightness that counts as flat, those with the least structure on coarser scales; how
many at least; and how much more structure further ones may have. In noise alone, those are many: to take only those
with the least would take those with the least noise, where photons are few and single pixels stand out."""
BINS = 16
"""Bins of brightness at most, each with as many blocks."""
CLIPPED, HIDDEN = 0.02, 0.9
"""The share of black or white pixels from which on a bin is left out, as its variance is not that of the noise any
more; and from which on a block is."""
DARKEST = 0.5
"""The least share of the variance seen in the darkest bin that the line has there, or dark values would be taken for
less than no light."""
OUTLIER = 0.1
"""How much more variance than the line says a bin may have, as a share, before it counts less: texture."""
LARGEST_SIGMA = 20 / 255
"""The level that the noise is given in values of 0 to 1; less where the picture needs more room. What it is hardly
matters, so long as all values lie within 0 and 1, where policies were trained."""
NEGLIGIBLE = 0.8 / 255
"""The level, of the range of stabilised values, below which there is nothing to remove."""
DEPENDENT = 1.3
"""How many times the level in the dark the level in the bright parts must be for noise to count as that of photons."""
WHITE, FLAT = 0.15, 0.3
"""The correlation of neighbouring pixels up to which noise counts as white, and the share of the blocks in which that
is measured, those that are flattest."""
VALLEY = 0.7
"""How many values around that of half a photon there may be, for each around that of one, where photons are counted."""
MOST_PHOTONS = 1e6
"""A peak of Poisson noise that nobody sees: its level is a quarter of a grey level at white."""
_SHORTEST_GAIN = 1e-4
"""The least gain of a space, in read noises: with less, the transform is a straight line all the same."""


@dataclass(frozen=True)
class PoissonGaussian:
    """Noise of ``y = gain * Poisson(p) + Normal(offset, read)``, for values of [0, 1].

    Attributes:
        gain: the value of one photon; 0 for noise that does not depend on the brightness.
        read: the standard deviation of the noise without light.
        offset: the value without light.
    """

    gain: float
    read: float
    offset: float

    def deviation(self, value: float) -> float:
        """The standard deviation of the noise where the mean is this value."""
        return math.sqrt(max(self.gain * (value - self.offset), 0) + self.read**2)

    def space(self, image: Image) -> Anscombe:
        """The values of an image with this noise in which the noise has one level everywhere.

        Where an image has pixels that are exactly 0, or exactly 1, it is taken for clipped there.

        Raises:
            ValueError: there is no noise.
        """
        if self.gain == self.read == 0:
            raise ValueError("there is no noise to be stabilised")
        gain = max(self.gain, _SHORTEST_GAIN * self.read)
        ends = torch.stack(image.aminmax()).double()
        low, high = stabilized(gain, self.read, self.offset, ends).tolist()
        # A file's values end at 0; without read noise and offset, so do those of nature.
        clipped = ends[0] == 0 and (self.read > 0 or self.offset > 0)
        black = 0.0 if clipped else -math.inf
        white = 1.0 if ends[1] == 1 else math.inf
        return Anscombe(gain, self.read, self.offset, low, max(high, low + 1 / LARGEST_SIGMA), black, white)


def clipped_space(sigma: float) -> Anscombe:
    """The values of an image whose white noise of this level was clipped at 0 and 1.

    They are the image's own but for a thousandth; what counts is their way back, which gives the mean that the values
    had before they were clipped.
    """
    gain = _SHORTEST_GAIN * sigma
    low, high = stabilized(gain, sigma, 0.0, torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    return Anscombe(gain, sigma, 0.0, low, high, 0.0, 1.0)


def estimate_poisson_gaussian(
    image: Image, gain: float | None = None, read: float | None = None, offset: float | None = None
) -> PoissonGaussian:
    """The noise of an image, from the variance of its finest details in flat places of every brightness.

    Details are those of the diagonal Haar wavelet, and flat places the blocks of `BLOCK` pixels that have the least
    structure on the scales above, which tells nothing of white noise in the details themselves. Noise of which
    neighbours share some is underestimated.

    Args:
        image: ``(b, c, h, w)``, nominally of [0, 1]; all images and channels are taken for the same noise.
        gain: known already, or None.
        read: likewise.
        offset: likewise.

    Returns:
        What is known with what was estimated; all 0 if no noise is seen.
    """
    known = gain is not None or (read or 0) > 0
    bins = _bins(image)
    if gain is not None and read is not None and offset is not None:
        return PoissonGaussian(gain, read, offset)
    if gain is None and read is not None and offset is not None:
        slope, level = _line(*bins, None, (offset, read**2))
    else:
        slope, level = _line(*bins, gain)
    if read is None and offset is None:
        read, offset = (math.sqrt(level), 0.0) if level >= 0 or slope == 0 else (0.0, -level / slope)
    elif read is None:
        assert offset is not None
        read = math.sqrt(max(level + slope * offset, 0))
    elif offset is None:
        offset = (read**2 - level) / slope if slope > 0 else 0.0
    found = PoissonGaussian(slope, read, offset)
    if not known and (slope == read == 0 or _negligible(found, image)):
        return PoissonGaussian(0.0, 0.0, 0.0)
    return found


def photon_noise(image: Image) -> PoissonGaussian | None:
    """The noise of an image, if it is such: growing with the brightness, and white; else None.

    What cameras make of it in a developed picture is not white any more, and Gaussian noise does not grow.

    Args:
        image: ``(b, c, h, w)``, nominally of [0, 1]; all images and channels are taken for the same noise.
    """
    found = estimate_poisson_gaussian(image)
    means = F.avg_pool2d(image, min(BLOCK, *image.shape[-2:])).flatten()
    dark, bright = (found.deviation(means.quantile(share).item()) for share in (0.05, 0.95))
    if found.gain == 0 or bright < DEPENDENT * dark or _correlation(found, image) > WHITE:
        return None
    return found


def estimate_peak(image: Image) -> float:
    """The peak of Poisson noise, the mean number of photons at value 1: from 0.1 to `MOST_PHOTONS`, which is none.

    Args:
        image: as for `estimate_poisson_gaussian`.
    """
    gain = estimate_poisson_gaussian(image, read=0.0, offset=0.0).gain
    return min(max(0.1, 1 / max(gain, 1e-9)), MOST_PHOTONS)


def _negligible(noise: PoissonGaussian, image: Image) -> bool:
    space = noise.space(image)
    return 1 / (space.high - space.low) < NEGLIGIBLE


def _correlation(noise: PoissonGaussian, image: Image) -> float:
    """Of neighbouring pixels, where an image is flat: 0 for white noise.

    Differences of next neighbours are compared with those of the ones after these. Structure makes the latter larger,
    too, so that what is not seen to be white counts as not white.
    """
    values = noise.space(image).to(image).cpu().double().flatten(0, 1)[:, None]
    height, width = (side // BLOCK * BLOCK for side in values.shape[-2:])
    blocks = F.unfold(values[..., :height, :width], BLOCK, stride=BLOCK).transpose(1, 2).reshape(-1, BLOCK, BLOCK)
    unevenness = F.avg_pool2d(blocks[:, None], BLOCK // 2).flatten(1).var(1)
    flat = blocks[unevenness.argsort()[: max(1, int(FLAT * len(blocks)))]]
    near, far = (
        (flat[:, gap:] - flat[:, :-gap]).square().mean() + (flat[..., gap:] - flat[..., :-gap]).square().mean()
        for gap in (1, 2)
    )
    return 1 - float(near / far) if far > 0 else 0.0


def _bins(image: Image) -> tuple[_Array, _Array, _Array]:
    """Means, variances of the noise, and numbers of blocks, of bins of brightness."""
    height, width = (side // BLOCK for side in image.shape[-2:])
    planes = image[..., : BLOCK * height, : BLOCK * width].detach().cpu().double().flatten(0, 1)[:, None]

    def per_block(band: Image) -> Image:
        return F.avg_pool2d(band, band.shape[-1] // width).flatten()

    if not planes.numel():
        return np.zeros(0), np.zeros(0), np.zeros(0)
    coarse, *fine = _haar(planes)
    structure = torch.stack([per_block(band.square()) for band in (*fine[:2], *_haar(coarse)[1:])]).sum(0)
    ends = planes.aminmax()  # what lies beyond black and white says that nothing was clipped there
    dark, bright = (
        per_block(((planes == end) & (planes == last)).double()) for end, last in zip((0, 1), ends, strict=True)
    )
    fineness = per_block(fine[2].square())
    kept = (dark < HIDDEN) & (bright < HIDDEN) & (structure + fineness > 0)  # no areas of one value, such as borders
    blocks = (per_block(planes), fineness, dark, bright, structure)
    mean, variance, black, white, flat = (values[kept].numpy() for values in blocks)
    found = []
    for part in np.array_split(np.argsort(mean), max(1, min(BINS, len(mean) // (4 * LEAST)))):
        ranked = part[np.argsort(flat[part])]
        few = min(max(LEAST, int(FLATTEST * len(part))), len(part))
        chosen = ranked[flat[ranked] <= TOLERANCE * flat[ranked[few - 1]]] if few else ranked
        if len(chosen):
            seen = (values[chosen].mean() for values in (mean, variance, black, white))
            found.append((*seen, len(chosen)))
    bins = np.array(found, float).reshape(-1, 5)
    bins = _not_clipped(bins, 3)
    if len(bins) and _black_is_no_photons(planes, bins):
        bins[:, 2:4] = 0  # nothing to undo: what is clipped at white is not that of Gaussian noise, either
    bins = _not_clipped(bins, 2)
    means, variances, black, white, counts = bins.T
    return means, variances / (_left_by_clipping(black) * _left_by_clipping(white)), counts


def _not_clipped(bins: _Array, end: int) -> _Array:
    """The bins of which next to nothing is clipped at this end, if those are a quarter of them; else all."""
    whole = bins[:, end] <= CLIPPED
    return bins[whole] if whole.sum() > len(bins) / 4 else bins


def _black_is_no_photons(planes: Image, bins: _Array) -> bool:
    """Whether black is not where values end, but where there is no photon.

    Then the variance is a multiple of the mean, and there are few values between those of no photon and of one.
    """
    means, variances, _, _, counts = bins.T
    gain, _ = _line(means, variances, counts, None, (0.0, 0.0))
    fits = np.median(np.abs(variances - gain * means) - OUTLIER * gain * means) <= 0
    between, one = (
        int(((planes > (middle - 0.25) * gain) & (planes < (middle + 0.25) * gain)).sum()) for middle in (0.5, 1)
    )
    return bool(fits and between < VALLEY * one)


def _left_by_clipping(share: _Array) -> _Array:
    """What is left of the variance of Gaussian noise of which this share is clipped at one end."""
    left = []
    for part in share.clip(0, HIDDEN):
        if part == 0:
            left.append(1.0)
            continue
        at = _NORMAL.inv_cdf(1 - part)
        mean, square = at * (1 - part) + _NORMAL.pdf(at), (at**2 + 1) * (1 - part) + at * _NORMAL.pdf(at)
        left.append(square - mean**2)
    return np.array(left)


def _line(
    means: _Array, variances: _Array, counts: _Array, slope: float | None, through: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Slope, at least 0 or as given, and value at 0 of a line through the variances; what has more counts less.

    ``through`` is a point, mean and variance, on the line.
    """
    if not len(means) or not variances.any():
        return slope or 0.0, 0.0
    least = 1e-3 * variances.max()
    weights = counts / np.maximum(variances, least) ** 2
    rise, level = 0.0, 0.0
    for _ in range(30):
        middle = np.average(means, weights=weights), np.average(variances, weights=weights)
        center, height = middle if through is None else through
        spread = np.average((means - center) ** 2, weights=weights)
        if slope is not None:
            rise = slope
        elif spread and (len(means) > 2 or through is not None):
            rise = max(0.0, np.average((means - center) * (variances - height), weights=weights) / spread)
        level = height - rise * center
        line = np.maximum(level + rise * means, least)
        above = variances / line - 1
        weights = counts / line**2 / np.maximum(1, np.where(above > 0, above, above / -2) / OUTLIER)
    if through is not None:
        return float(rise), float(level)
    return float(rise), float(max(level, DARKEST * variances[0] - rise * means[0]))


def _haar(planes: Image) -> tuple[Image, Image, Image, Image]:
    a, b, c, d = (planes[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    return (a + b + c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2
