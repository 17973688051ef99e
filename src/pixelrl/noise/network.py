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
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.policies.encoder import Encoder, pad_to_multiple
from pixelrl.types import Image

WEIGHTS = Path(__file__).parent / "network.safetensors"
FLOOR = 0.1 / 255
"""The smallest level that is told from none, the network's unit of noise."""
WINDOW = 5.0
"""Standard deviation in pixels of the Gaussian window over which a level is meant."""
TILE, HALO = 1024, 64
"""Large pictures are seen in tiles of this side, each with so much of its surroundings."""


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


def noise_maps(image: Image) -> tuple[Image, Float[Tensor, " b"]]:
    """How strong the noise is, and how alike that of neighbours.

    Args:
        image: ``(b, c, h, w)``, c being 1 or 3.

    Returns:
        The standard deviation of the noise at every pixel in every channel, a share of the range of values, meant over
        `WINDOW`; and for each image the correlation between a pixel's noise and the next pixel's, 0 for white noise.
    """
    network, colours = _network(image.device), image.expand(-1, 3, -1, -1)
    variances, shared = [], []
    for i in range(len(image)):
        level, correlation = _whole(network, colours[i : i + 1])
        variance = level.square()
        weight = variance.mean(1, keepdim=True)
        shared.append((correlation * weight).sum() / weight.sum().clamp_min(1e-12))
        variances.append(variance)
    variance = torch.cat(variances)
    if image.shape[1] == 1:
        variance = variance.mean(1, keepdim=True)
    return _blurred(variance, WINDOW).clamp_min(0).sqrt(), torch.stack(shared)


@torch.no_grad()
def _whole(network: NoiseNetwork, image: Image) -> tuple[Image, Image]:
    """The network's answer for one image of any size, of its size."""
    height, width = image.shape[-2:]
    levels, correlations = image.new_zeros(image.shape), image.new_zeros((1, 1, height, width))
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            up, before = min(top, HALO), min(left, HALO)
            part = image[..., top - up : top + TILE + HALO, left - before : left + TILE + HALO]
            answers = network(pad_to_multiple(part, 4))
            for whole, answer in zip((levels, correlations), answers, strict=True):
                fine = F.interpolate(answer, scale_factor=2)[..., up : up + TILE, before : before + TILE]
                target = whole[..., top : top + TILE, left : left + TILE]
                target.copy_(fine[..., : target.shape[-2], : target.shape[-1]])
    return levels, correlations


def _blurred(image: Image, sigma: float) -> Image:
    radius = math.ceil(3 * sigma)
    side = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).to(image) / sigma).square())
    side = (side / side.sum())[None, None, None]
    planes = image.flatten(0, 1)[:, None]
    planes = F.conv2d(F.pad(planes, (radius, radius, 0, 0), mode="replicate"), side)
    planes = F.conv2d(F.pad(planes, (0, 0, radius, radius), mode="replicate"), side.transpose(2, 3))
    return planes.view_as(image)


@functools.cache
def _network(device: torch.device) -> NoiseNetwork:
    network = NoiseNetwork()
    network.load_state_dict({name: weight.float() for name, weight in load_file(WEIGHTS).items()})
    return network.to(device).eval()
