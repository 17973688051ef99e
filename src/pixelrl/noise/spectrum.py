"""How the noise of a picture is spread over spatial frequencies, seen in its flattest parts."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.noise.model import clipped
from pixelrl.types import Image

SIDE = 32
"""Side of the blocks in pixels."""
LOWEST = 2
"""The lowest frequency, in cycles per block: those below tell how flat a block is."""
SHARE, FEWEST = 0.05, 32
"""The share of the blocks that are looked at, the flattest ones, and how many at least."""


def spectrum(
    image: Image, opacity: Float[Tensor, "1 1 h w"] | None = None
) -> tuple[Float[Tensor, " n"], Float[Tensor, "c n"]] | None:
    """The amplitude of the noise by frequency, averaged over all directions.

    Of blocks of 32x32 pixels, those are taken that vary least at lower frequencies. Under a Hann window their power is
    averaged by its median, so that what few of them hold of the scene does not count.

    Args:
        image: ``(1, c, h, w)``, white being 1.
        opacity: 0 to 1; blocks with transparent pixels are left out.

    Returns:
        Frequencies in cycles per pixel, up to 1/2, and for each channel the amplitude in grey levels: white noise has
        its standard deviation everywhere. None if there is no block without clipped, transparent or constant pixels.
    """
    blocks = image[0].unfold(1, SIDE, SIDE // 2).unfold(2, SIDE, SIDE // 2) if min(image.shape[-2:]) >= SIDE else None
    if blocks is None:
        return None
    blocks = blocks.flatten(1, 2).transpose(0, 1)  # (n, c, SIDE, SIDE)
    bad = clipped(image).any(1, keepdim=True)
    if opacity is not None:
        bad |= opacity == 0
    free = ~bad[0].unfold(1, SIDE, SIDE // 2).unfold(2, SIDE, SIDE // 2).flatten(1, 2)[0].flatten(1).any(1)
    blocks = blocks[free & (blocks.amax((2, 3)) > blocks.amin((2, 3))).all(1)]
    if not len(blocks):
        return None
    window = torch.hann_window(SIDE, periodic=True).to(image)
    window = window[:, None] * window
    waves = torch.fft.fft2((blocks - blocks.mean((2, 3), keepdim=True)) * window)
    powers = waves.abs().square() / window.square().sum()
    steps = torch.fft.fftfreq(SIDE).to(image)
    ring = ((steps[:, None].square() + steps.square()).sqrt() * SIDE).round().long()
    flattest = torch.argsort(powers[:, :, ring < LOWEST].mean((1, 2)))[: max(FEWEST, int(SHARE * len(blocks)))]
    # Of noise, the power at a frequency is distributed exponentially, with a median of ln 2 times the mean.
    typical = powers[flattest].median(0).values / math.log(2)
    rings = range(LOWEST, SIDE // 2 + 1)
    amplitude = torch.stack([typical[:, ring == r].mean(1).sqrt() for r in rings], 1)
    return torch.tensor([r / SIDE for r in rings]), 255 * amplitude.cpu()
