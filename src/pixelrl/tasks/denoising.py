"""Denoising: Gaussian, and salt & pepper (the paper's first application)."""

from __future__ import annotations

from typing import final

import torch

from pixelrl.actions import PAPER_NINE
from pixelrl.errors import UsageError
from pixelrl.tasks.base import Episode, Task
from pixelrl.types import Condition, Image


@final
class GaussianDenoising(Task):
    """Additive white Gaussian noise, neither clipped nor quantised (the paper's protocol).

    Args:
        sigma: range of the noise level in grey levels; one set of weights serves all of it.
        num_steps: T.
        actions: names of the operations; the paper's nine if left out.

    Raises:
        UsageError: an empty or negative range of sigma, or less than one step.
    """

    condition_name = "sigma"

    def __init__(
        self,
        sigma: tuple[float, float] = (0.0, 55.0),
        num_steps: int = 5,
        actions: tuple[str, ...] = PAPER_NINE,
    ) -> None:
        low, high = sigma
        self.levels = (15.0, 25.0, 50.0)
        if not 0 <= low <= high:
            raise UsageError(f"sigma = {list(sigma)} is not a range; give two numbers, 0 <= low <= high")
        if num_steps < 1:
            raise UsageError(f"num_steps = {num_steps} is too few; an episode has at least 1 step")
        self.sigma, self.num_steps, self.action_names = (low, high), num_steps, tuple(actions)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Noise of sigma = ``level`` grey levels."""
        return _noisy(clean, torch.full((len(clean), 1), level / 255, device=clean.device), generator)

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets its own sigma, uniform over the range."""
        low, high = (level / 255 for level in self.sigma)
        uniform = torch.rand((len(clean), 1), generator=generator, device=clean.device)
        return _noisy(clean, low + (high - low) * uniform, generator)


@final
class SaltPepperDenoising(Task):
    """Salt & pepper noise: a pixel is hit with probability ``density`` and becomes 0 or 1, with equal chance.

    Nothing is told of the degradation: a hit pixel shows it.

    Args:
        density: range of the density; one set of weights serves all of it.
        num_steps: T.
        actions: names of the operations; the paper's nine if left out.

    Raises:
        UsageError: a range of density that does not lie in [0, 1], or less than one step.
    """

    condition_name = "none"

    def __init__(
        self,
        density: tuple[float, float] = (0.05, 0.95),
        num_steps: int = 5,
        actions: tuple[str, ...] = PAPER_NINE,
    ) -> None:
        low, high = density
        if not 0 <= low <= high <= 1:
            raise UsageError(f"density = {list(density)} is not a range; give two numbers, 0 <= low <= high <= 1")
        if num_steps < 1:
            raise UsageError(f"num_steps = {num_steps} is too few; an episode has at least 1 step")
        self.levels = (0.1, 0.5, 0.9)
        self.density, self.num_steps, self.action_names = (low, high), num_steps, tuple(actions)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Noise of density ``level``."""
        return _hit(clean, torch.full((len(clean), 1), level, device=clean.device), generator)

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets its own density, uniform over the range."""
        low, high = self.density
        uniform = torch.rand((len(clean), 1), generator=generator, device=clean.device)
        return _hit(clean, low + (high - low) * uniform, generator)


def _noisy(clean: Image, sigma: Condition, generator: torch.Generator) -> Episode:
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    # The reward at sigma 15 keeps the paper's scale; elsewhere it is brought near it.
    scale = torch.square(20 / 255 / (sigma + 5 / 255))
    return Episode(clean + sigma[:, :, None, None] * noise, clean, sigma, scale)


def _hit(clean: Image, density: Condition, generator: torch.Generator) -> Episode:
    uniform = torch.rand(clean.shape, generator=generator, device=clean.device)
    share = density[:, :, None, None]
    noisy = torch.where(uniform < share, (uniform < share / 2).float(), clean)
    return Episode(noisy, clean, torch.zeros_like(density), torch.ones_like(density))
