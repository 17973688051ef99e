"""A small network that sees how strong the noise is at every place of a picture, and whether it comes in blotches.

Rules for white noise fail on pictures from files: a camera's processing makes the noise of neighbours alike, so the
finest details hold little of it, and on coarser scales it looks like texture. The network has learned the difference on
synthetic noise of many kinds (`pixelrl.tasks.CameraDenoising`; ``tools/train_noise.py``).
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.policies.encoder import Encoder, pad_to_multiple
from pixelrl.types import Image

WEIGHTS = Path(__file__).parents[1] / "weights" / "noise-estimate.safetensors"
FLOOR = 0.1 / 255
"""The smallest level that is told from none, the network's unit of noise."""
TILE, HALO = 1024, 64


class NoiseNetwork(nn.Module):
    """From a colour picture to the level of its noise, at half the resolution."""

    def __init__(self, width: int = 32, deep_width: int = 64, depths: tuple[int, int, int] = (1, 2, 1)) -> None:
        super().__init__()
        self.encoder = Encoder(12, width, deep_width, depths)
        self.answer = nn.Conv2d(width, 4, 3, padding=1)
        nn.init.zeros_(self.answer.weight)
        assert self.answer.bias is not None
        nn.init.constant_(self.answer.bias[:3], math.log(30.0))
        nn.init.zeros_(self.answer.bias[3:])
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fastest on CPU

    def forward(self, image: Image) -> tuple[Float[Tensor, "b 3 hs ws"], Float[Tensor, "b 1 hs ws"]]:
        """The expected standard deviation in each channel, and the correlation with the next pixel.

        Args:
            image: ``(b, 3, h, w)``, h and w multiples of 4.
        """
        x = F.pixel_unshuffle(image, 2).contiguous(memory_format=torch.channels_last)
        answer = self.answer(self.encoder(x)).float()
        return FLOOR * answer[:, :3].clamp(-3, 8).exp(), answer[:, 3:].clamp(-1, 1)
