"""A small network that sees how strong the noise is at every place of a picture, and whether it comes in blotches.

Rules for white noise fail on pictures from files: a camera's processing makes the noise of neighbours alike, so the
finest details hold little of it, and on coarser scales it looks like texture. What is measured here is what such rules
look at, the energy of details on four scales in brightness and in differences of colours, in every block of 8x8 pixels
and in the flattest blocks of the picture. What follows from it, the network has learned on synthetic noise of many
kinds (`pixelrl.tasks.CameraDenoising`; ``tools/train_noise.py``).
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

from pixelrl.imaging.color import grey
from pixelrl.imaging.noise import channel_sigmas
from pixelrl.imaging.parts import strips
from pixelrl.types import Image

WEIGHTS = Path(__file__).parent / "network.safetensors"
FLOOR = 0.1 / 255
"""The smallest level that is told from none, the network's unit of noise."""
WINDOW = 5.0
"""Standard deviation in pixels of the Gaussian window over which a level is meant."""
BLOCK, SCALES = 8, 4
"""Side in pixels of the blocks that have an answer each, and the number of scales, each half as fine as the last."""
UNSEEN, SHARED, SEEN = 2.0, (0.15, 0.35), (0.6, 1.2)
"""Grey levels of noise that is not seen in photographs, and the correlation and the level from which on it is added.

Real cameras' noise is coarser than the synthetic noise that the network has learned, and part of it looks like texture:
in photographs whose noise is known (PolyU) it sees 0.63 of the level at the median, less where the noise is weak.
"""
FINE, COARSE = (3.0, 12.0), (0.2, 0.4)
"""How many times the level of the finest details noise has at most, at two correlations of neighbours.

Fine textures of clean pictures, which the network may take for noise, have more.
"""
FEW, SAMPLE = 0.001, 1 << 20
"""The share of the values at each end that may stay beyond 0 to 1, as a hot pixel is no range; and how many values of
an image are looked at for that, at most."""
GREY_COARSE, GREY_FINE, GREY_SURE = (0.25, 0.4), (0.25, 0.5), 0.2
"""In a grey picture, no colours say what is texture and what is noise. So its finest details say how strong the noise
is, unless neighbours share it, from the one correlation to the other, and the finest details hold less of it than the
second shares of the level: then the network does. Up to the share `GREY_SURE` of that, the noise counts as white.
Chosen on 44 clean photographs, with white noise and without, and 31 of PolyU."""
_QUANTILES = (0.05, 0.2, 0.5)
"""Of the blocks of the whole picture, in each kind of detail."""
_FEATURES = 9 * SCALES * (1 + len(_QUANTILES)) + 3 + 5

Blocks = Float[Tensor, "b _ hb wb"]


class NoiseNetwork(nn.Module):
    """From a colour picture to the level of its noise, in blocks of `BLOCK` pixels."""

    mean: Tensor
    """Of each feature, over the examples of the training."""
    scale: Tensor
    """The standard deviation of each."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(_FEATURES, 1, 1))
        self.register_buffer("scale", torch.ones(_FEATURES, 1, 1))
        self.layers = nn.Sequential(
            nn.Conv2d(_FEATURES, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, 4, 1),
        )

    def forward(self, image: Image) -> tuple[Float[Tensor, "b 3 hb wb"], Float[Tensor, "b 1 hb wb"]]:
        """The expected standard deviation in each channel, and the correlation with the next pixel.

        Args:
            image: ``(b, 3, h, w)``, h and w multiples of 16.
        """
        return self.answer(features(image))

    def answer(self, seen: Blocks) -> tuple[Float[Tensor, "b 3 hb wb"], Float[Tensor, "b 1 hb wb"]]:
        """`forward` of what `features` gives."""
        answer: Tensor = self.layers((seen - self.mean) / self.scale)
        return FLOOR * (answer[:, :3] + 3).clamp(-3, 8).exp(), answer[:, 3:].clamp(-1, 1)


def features(image: Image) -> Blocks:
    """What the network sees of ``(b, 3, h, w)``, h and w multiples of 16: of the order of 1, `_FEATURES` a block."""
    energies = []
    coarse = _opponent(image)
    for scale in range(SCALES):
        coarse, details = _haar(coarse)
        power = details.square()
        if scale == 0:
            shapes = F.avg_pool2d(details.abs(), BLOCK // 2)
        side = BLOCK >> (scale + 1)
        energies.append(F.avg_pool2d(power, side) if side else F.interpolate(power, scale_factor=2))
    finest = shapes.square() / energies[0].clamp_min(1e-9)
    finest = finest.view(len(image), 3, 3, *finest.shape[-2:]).mean(2)
    logs = ((torch.cat(energies, 1) + FLOOR**2).log() - math.log(FLOOR**2)) / 8 - 0.5
    # Areas of one value, painted or clipped, show no noise that may be elsewhere.
    dead = energies[0].amax(1, keepdim=True) < (FLOOR / 4) ** 2
    flat = torch.where(dead & ~dead.all((2, 3), keepdim=True), math.nan, logs).flatten(2)
    whole = torch.nanquantile(flat, torch.tensor(_QUANTILES).to(flat), 2).permute(1, 2, 0).flatten(1)
    mean = F.avg_pool2d(image, BLOCK)
    clipped = torch.stack([(image <= 0).any(1).float(), (image >= 1).any(1).float()], 1)
    everywhere = whole[:, :, None, None].expand(-1, -1, *logs.shape[-2:])
    return torch.cat([logs, everywhere, finest, 2 * mean - 1, F.avg_pool2d(clipped, BLOCK)], 1)


def _opponent(image: Image) -> Image:
    """Brightness, R - B and R - 2 G + B, of length 1 each: white noise stays what it is."""
    red, green, blue = image.unbind(1)
    return torch.stack(
        [
            (red + green + blue) / math.sqrt(3),
            (red - blue) / math.sqrt(2),
            (red - 2 * green + blue) / math.sqrt(6),
        ],
        1,
    )


def _haar(image: Image) -> tuple[Image, Image]:
    """One step of Haar's wavelets: the coarser image, and its three kinds of detail ``(b, 3 c, h / 2, w / 2)``."""
    a, b, c, d = (image[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    details = torch.stack([a + b - c - d, a - b + c - d, a - b - c + d], 2) / 2
    return (a + b + c + d) / 2, details.flatten(1, 2)


def noise_maps(image: Image) -> tuple[Image, Float[Tensor, " b"]]:
    """How strong the noise is, and how alike that of neighbours.

    Args:
        image: ``(b, c, h, w)``, c being 1 or 3.

    Returns:
        The standard deviation of the noise at every pixel in every channel, a share of the range of values, meant over
        `WINDOW`; and for each image the correlation between a pixel's noise and the next pixel's, 0 for white noise.
    """
    network, colours = _network(image.device), image.expand(-1, 3, -1, -1)
    height, width = image.shape[-2:]
    down, right = -height % 16, -width % 16
    mode = "reflect" if down < height and right < width else "replicate"
    within, span = _within(F.pad(colours, (0, right, 0, down), mode=mode))
    with torch.no_grad():
        level, correlation = network(within)
    variance = (span * level).square()
    weight = variance.mean(1, keepdim=True)
    shared = (correlation * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-12)
    if image.shape[1] == 1:
        variance = variance.mean(1, keepdim=True)
    overall = variance.mean((1, 2, 3)).sqrt()
    unseen = rise(shared, *SHARED) * rise(255 * overall, *SEEN) * (UNSEEN / 255) ** 2
    variance = variance + unseen[:, None, None, None]
    # What hardly shows in the finest details is texture, unless neighbours share it: then it cannot be told from that.
    finest = channel_sigmas(image).square().mean(1).sqrt().to(variance)
    most = finest * (FINE[0] + (FINE[1] - FINE[0]) * rise(shared, *COARSE)) + 1
    excess = torch.where(shared < COARSE[1], 255 * variance.mean((1, 2, 3)).sqrt() / most, 1.0).clamp_min(1)
    variance = variance / excess.square()[:, None, None, None]
    level = 255 * variance.mean((1, 2, 3)).sqrt()
    coarse = rise(shared, *GREY_COARSE) * (1 - rise(finest / level.clamp_min(1e-3), *GREY_FINE))
    of_grey, factor = grey(image), (finest + coarse * (level - finest)) / level.clamp_min(1e-3)
    variance = variance * torch.where(of_grey, factor, 1.0).square()[:, None, None, None]
    shared = torch.where(of_grey & (coarse <= GREY_SURE), 0.0, shared)
    fine = F.interpolate(variance, scale_factor=BLOCK, mode="bilinear")[..., :height, :width]
    return _blurred(fine, WINDOW).clamp_min(0).sqrt(), shared


def _within(image: Image) -> tuple[Image, Float[Tensor, "b 1 1 1"]]:
    """The images in values of 0 to 1, but for a few, and how many of the old units one of theirs is.

    The network knows noise that was clipped at 0 and 1, and takes what it sees near them to be less than there was. So
    what lies beyond, as it may where values are floats, has to come inside first. Images that are inside are as before.
    """
    values = image.flatten(1)
    if values.numel() == 0 or (values.min() >= 0 and values.max() <= 1):
        return image, image.new_ones(len(image), 1, 1, 1)
    values = values[:, :: -(-values.shape[1] // SAMPLE)]
    low, high = values.quantile(values.new_tensor([FEW, 1 - FEW]), 1)
    low, high = low.clamp_max(0), high.clamp_min(1)
    low, span = low[:, None, None, None], (high - low)[:, None, None, None]
    return (image - low) / span, span


def rise(values: Tensor, low: float, high: float) -> Tensor:
    """From 0 below the one to 1 above the other, straight between."""
    return ((values - low) / (high - low)).clamp(0, 1)


def _blurred(image: Image, sigma: float) -> Image:
    radius = math.ceil(3 * sigma)
    side = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).to(image) / sigma).square())
    side = (side / side.sum())[None, None, None]
    height, width = image.shape[-2:]
    result = torch.empty_like(image)
    planes, blurred = image.flatten(0, 1)[:, None], result.flatten(0, 1)[:, None]
    parts = [*strips(height, width, radius)]
    # Large planes one by one and in strips: PyTorch's convolutions take up sixteen times as much as the plane has.
    at_once = len(planes) if len(parts) == 1 else 1
    for rows in parts:
        above, below = max(0, rows.start - radius), min(height, rows.stop + radius)
        missing = (0, 0, above - (rows.start - radius), rows.stop + radius - below)
        for own, into in zip(planes.split(at_once), blurred.split(at_once), strict=True):  # type: ignore[no-untyped-call]
            part = F.conv2d(F.pad(own[..., above:below, :], (radius, radius, 0, 0), mode="replicate"), side)
            part = F.pad(part, missing, mode="replicate")
            into[..., rows.own, :] = F.conv2d(part, side.transpose(2, 3))
    return result


@functools.cache
def _network(device: torch.device) -> NoiseNetwork:
    network = NoiseNetwork()
    network.load_state_dict({name: weight.float() for name, weight in load_file(WEIGHTS).items()})
    return network.to(device).eval()
