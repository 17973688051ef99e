"""Denoising: Gaussian, Poisson, and salt & pepper (the paper's first application)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.actions import PAPER_NINE
from pixelrl.errors import UsageError
from pixelrl.tasks.base import Episode, Task, checked_steps
from pixelrl.tasks.conditioning import Peak, Sigma
from pixelrl.types import Image


@final
class GaussianDenoising(Task):
    """Additive white Gaussian noise, neither clipped nor quantised (the paper's protocol).

    Args:
        sigma: range of the noise level in grey levels; one set of weights serves all of it.
        num_steps: T.
        actions: names of the operations; the paper's nine if left out.
        stored: share of the training crops whose noisy picture is as an 8-bit file holds it: clipped and rounded.
        low_share: share of the training crops with next to no noise, so that a picture told to be clean stays as it
            is: sigma from the lowest tenth of the range, and for every second of them the lowest there is.
        balanced: whether rewards are scaled so that strong and weak noise count about alike. One level of noise needs
            no balance, and without it rewards are the paper's, which its weight of the entropy belongs to.
        usual: the levels that matter most, a range within sigma: every second of the crops that ``low_share`` leaves
            has its level from there. Without it they are uniform over the range of sigma.

    Raises:
        UsageError: an empty or negative range of sigma, usual levels outside it, a share that is none, or less than
            one step.
    """

    conditioning = Sigma()

    def __init__(
        self,
        sigma: tuple[float, float] = (0.0, 55.0),
        num_steps: int = 5,
        actions: tuple[str, ...] = PAPER_NINE,
        stored: float = 0.0,
        low_share: float = 0.0,
        balanced: bool = True,
        usual: tuple[float, float] | None = None,
    ) -> None:
        low, high = sigma
        if not 0 <= low <= high < math.inf:
            raise UsageError(f"sigma = {list(sigma)} is not a range; give two numbers, 0 <= low <= high")
        if usual is not None and not low <= usual[0] <= usual[1] <= high:
            raise UsageError(
                f"usual = {list(usual)} is not a range within sigma = {list(sigma)}; give two numbers of it"
            )
        self.levels = _within((15.0, 25.0, 50.0), low, high)
        self.sigma, self.num_steps, self.action_names = (low, high), checked_steps(num_steps), tuple(actions)
        self.balanced, self.usual = balanced, usual
        self.stored, self.low_share = _checked_share("stored", stored), _checked_share("low_share", low_share)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Noise of sigma = ``level`` grey levels."""
        return self._noisy(clean, clean.new_full((len(clean),), level, dtype=torch.float64), generator)

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets its own sigma, uniform over the range but for those of ``low_share`` and ``usual``."""
        low, high = self.sigma
        uniform = torch.rand((len(clean),), generator=generator, device=clean.device)
        if share := self.low_share:
            lowest = (0.2 * uniform / share - 0.1).clamp_min(0)
            uniform = torch.where(uniform < share, lowest, self._spread((uniform - share) / max(1 - share, 1e-6)))
        else:
            uniform = self._spread(uniform)
        start = self._noisy(clean, low + (high - low) * uniform.double(), generator)
        return _stored(start, self.stored, generator)

    def _spread(self, uniform: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Where in the range the levels lie that ``low_share`` leaves: the lower half of what is drawn is ``usual``."""
        low, high = self.sigma
        if self.usual is None or low == high:
            return uniform
        first, last = ((level - low) / (high - low) for level in self.usual)
        return torch.where(uniform < 0.5, first + 2 * (last - first) * uniform, 2 * uniform - 1)

    def _noisy(self, clean: Image, sigma: Float[Tensor, " b"], generator: torch.Generator) -> Episode:
        condition = self.conditioning.encode(clean, {"sigma": sigma}, None)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        scale = _balance(condition) if self.balanced else condition.new_ones((len(clean), 1))
        return Episode(clean + condition * noise, clean, condition, scale)


@final
class PoissonDenoising(Task):
    """Poisson noise, ``y = Poisson(peak * x) / peak``, neither clipped nor quantised.

    Args:
        peak: range of the mean number of photons at white; one set of weights serves all of it.
        num_steps: T.
        actions: names of the operations; the paper's nine if left out.
        stored: share of the training crops whose noisy picture is as an 8-bit file holds it: clipped and rounded.

    Raises:
        UsageError: a range of peaks that is empty or not positive, a share that is none, or less than one step.
    """

    conditioning = Peak()

    def __init__(
        self,
        peak: tuple[float, float] = (5.0, 200.0),
        num_steps: int = 5,
        actions: tuple[str, ...] = PAPER_NINE,
        stored: float = 0.0,
    ) -> None:
        low, high = peak
        self.levels = (120.0, 30.0, 10.0)
        if not 0 < low <= high < math.inf:
            raise UsageError(f"peak = {list(peak)} is not a range; give two numbers, 0 < low <= high")
        self.peak, self.num_steps, self.action_names = (low, high), checked_steps(num_steps), tuple(actions)
        self.stored = _checked_share("stored", stored)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Noise of peak ``level``."""
        return self._noisy(clean, clean.new_full((len(clean),), level), generator)

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets its own peak, uniform over the range of its logarithm."""
        low, high = (math.log(peak) for peak in self.peak)
        uniform = torch.rand((len(clean),), generator=generator, device=clean.device)
        return _stored(self._noisy(clean, torch.exp(low + (high - low) * uniform), generator), self.stored, generator)

    def _noisy(self, clean: Image, peak: Float[Tensor, " b"], generator: torch.Generator) -> Episode:
        photons = peak[:, None, None, None]
        condition = self.conditioning.encode(clean, {"peak": peak.double()}, None)
        return Episode(torch.poisson(clean * photons, generator) / photons, clean, condition, _balance(condition))


@final
class SaltPepperDenoising(Task):
    """Salt & pepper noise: a pixel is hit with probability ``density`` and becomes 0 or 1, with equal chance.

    The policy is told nothing of the degradation: a hit pixel shows it.

    Args:
        density: range of the density; one set of weights serves all of it.
        num_steps: T.
        actions: names of the operations; the paper's nine if left out.
        balanced: as for `GaussianDenoising`.

    Raises:
        UsageError: a range of density that does not lie in [0, 1], or less than one step.
    """

    def __init__(
        self,
        density: tuple[float, float] = (0.05, 0.95),
        num_steps: int = 5,
        actions: tuple[str, ...] = PAPER_NINE,
        balanced: bool = True,
    ) -> None:
        low, high = density
        if not 0 <= low <= high <= 1:
            raise UsageError(f"density = {list(density)} is not a range; give two numbers, 0 <= low <= high <= 1")
        self.levels = _within((0.1, 0.5, 0.9), low, high)
        self.density, self.num_steps, self.action_names = (low, high), checked_steps(num_steps), tuple(actions)
        self.balanced = balanced

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Noise of density ``level``."""
        return self._hit(clean, clean.new_full((len(clean), 1), level), generator)

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets its own density, uniform over the range."""
        low, high = self.density
        uniform = torch.rand((len(clean), 1), generator=generator, device=clean.device)
        return self._hit(clean, low + (high - low) * uniform, generator)

    def _hit(self, clean: Image, density: Float[Tensor, "b 1"], generator: torch.Generator) -> Episode:
        uniform = torch.rand(clean.shape, generator=generator, device=clean.device)
        share = density[:, :, None, None]
        noisy = torch.where(uniform < share, (uniform < share / 2).float(), clean)
        # A hit pixel is far off, so rewards are scaled down to those of Gaussian noise: about 1 for an episode.
        scale = torch.square(0.12 / (density + 0.05)) if self.balanced else torch.ones_like(density)
        return Episode(noisy, clean, self.conditioning.condition(noisy, {}), scale)


def _within(levels: tuple[float, ...], low: float, high: float) -> tuple[float, ...]:
    """The levels inside the range that is trained; all of them if none is."""
    return tuple(level for level in levels if low <= level <= high) or levels


def _checked_share(name: str, share: float) -> float:
    if not 0 <= share <= 1:
        raise UsageError(f"{name} = {share} is not a share; give a number from 0 to 1")
    return share


def _stored(start: Episode, share: float, generator: torch.Generator) -> Episode:
    """Clip and round this share of the images to what an 8-bit file holds."""
    if not share:  # draws nothing, so that recipes from before this setting train as they did
        return start
    chosen = torch.rand((len(start.image), 1, 1, 1), generator=generator, device=start.image.device) < share
    as_file = (255 * start.image.clamp(0, 1)).round() / 255
    return replace(start, image=torch.where(chosen, as_file, start.image))


def _balance(deviation: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b 1"]:
    """The reward scale for additive noise of this standard deviation: the paper's at sigma 15, elsewhere near it."""
    return torch.square(20 / 255 / (deviation[:, :, 0, 0] + 5 / 255))
