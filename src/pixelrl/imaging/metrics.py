"""Measures: of the quality of images, and of how plain maps of actions are. Per image, unreduced."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from pixelrl.imaging.parts import strips
from pixelrl.types import Image

ActionMaps = Integer[Tensor, "t b g h w"]
"""The action of every agent at every step."""


def to_8_bit(image: Image) -> Image:
    """Clip to [0, 1] and round to the nearest of 256 levels; still float, in grey levels 0-255."""
    return (image.clamp(0, 1) * 255).round()


def psnr(image: Image, target: Image) -> Float[Tensor, " b"]:
    """PSNR in dB at peak 255, over all pixels and channels of each image, after `to_8_bit` of both.

    Identical images give infinity.
    """
    error = (to_8_bit(image) - to_8_bit(target)).double().square().mean((1, 2, 3))
    return 10 * torch.log10(255**2 / error)


def ssim(image: Image, target: Image) -> Float[Tensor, " b"]:
    """SSIM as Wang et al. (2004) define it: 11x11 Gaussian window of sigma 1.5, K = (0.01, 0.03), 8-bit values.

    Population statistics, mean over channels; the window's border is left out. Images smaller than 11 pixels on a
    side have no SSIM: NaN.
    """
    from skimage.metrics import structural_similarity  # takes a second to import, and few need it

    values = []
    for one, other in zip(to_8_bit(image).cpu().numpy(), to_8_bit(target).cpu().numpy(), strict=True):
        if min(one.shape[-2:]) < 11:
            values.append(float("nan"))
            continue
        value = structural_similarity(
            one.astype(np.float64),
            other.astype(np.float64),
            channel_axis=0,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        values.append(float(value))
    return torch.tensor(values, dtype=torch.float64)


def step_bits(maps: ActionMaps) -> Float[Tensor, "t b"]:
    """How many bits per pixel it takes to write down the actions of each step, summed over the agents of a pixel.

    It is the conditional entropy ``H(a | l, u) = -sum p(l, u, a) log2 p(a | l, u)`` of an agent's action a, given those
    of the agents to the left of it and above it, with the frequencies in the map itself as probabilities, over the
    pixels that have both neighbours. Where these are none, it is NaN. The number of different pairs (l, u) grows with
    the number of actions, so of maps of a few thousand pixels or less the measure is too low.
    """
    steps, images = maps.shape[:2]
    values = [sum(_conditional_entropy(agents) for agents in image) for step in maps for image in step]
    return torch.tensor(values, dtype=torch.float64).view(steps, images)


def bits_per_pixel(maps: ActionMaps) -> Float[Tensor, " b"]:
    """The bits per pixel of explanation: `step_bits` summed over the steps. 0: one action everywhere at each step."""
    return step_bits(maps).sum(0)


def agreement(maps: ActionMaps) -> Float[Tensor, "t b"]:
    """The share of pairs of neighbours, side by side or one above the other, that do the same, for each step.

    Neighbours are agents of one channel. A picture of a single pixel has no pairs: NaN.
    """
    down, right = maps[..., 1:, :] == maps[..., :-1, :], maps[..., 1:] == maps[..., :-1]
    pairs = torch.cat([down.flatten(2), right.flatten(2)], 2)
    return pairs.double().mean(2).cpu()


def _conditional_entropy(actions: Integer[Tensor, "h w"]) -> float:
    """``H(a | l, u)`` of one map in bits."""
    if min(actions.shape) < 2:
        return float("nan")
    n = int(actions.max()) + 1
    counts = torch.zeros(n**3, dtype=torch.long, device=actions.device)
    for rows in strips(len(actions) - 1, actions.shape[1], 0):
        part = actions[rows.start : rows.stop + 1].long()
        contexts = part[1:, :-1] * n + part[:-1, 1:]
        counts += torch.bincount((contexts * n + part[1:, 1:]).flatten(), minlength=n**3)
    counts = counts.view(n**2, n).double()
    return float((_weighted(counts.sum(1)) - _weighted(counts)) / counts.sum())


def _weighted(counts: Tensor) -> Tensor:
    """``sum c log2 c``, where 0 log 0 is 0."""
    return (counts * counts.clamp_min(1).log2()).sum()
