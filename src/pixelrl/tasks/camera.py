"""Denoising photographs as they come from cameras, in files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.actions import PAPER_NINE
from pixelrl.errors import UsageError
from pixelrl.imaging.camera import LUMA, SHOT, Draw, blurred, jpeg, photographed, resized
from pixelrl.noise.network import WINDOW, noise_maps
from pixelrl.tasks.base import Episode, Task, checked_steps
from pixelrl.tasks.conditioning import NoiseMap
from pixelrl.types import Image

Pixels = Float[Tensor, "3 h w"]

NO_NOISE = 0.5 / 255
"""Root mean square below which a picture counts as clean."""


@dataclass(frozen=True)
class Taken:
    """One picture: noisy, clean, and the level of its noise if that is one number for all pixels."""

    image: Pixels
    target: Pixels
    sigma: float | None = None
    factor: float = 1.0
    """As `pixelrl.imaging.noise.in_common`, of white noise."""


@final
class CameraDenoising(Task):
    """Camera noise (`pixelrl.imaging.camera`), other noise that pictures in files have, and none.

    Of the training crops about half are taken by a camera, a quarter have Gaussian noise, a tenth have correlated
    noise, one in twenty has Poisson noise, and one in ten is clean. Most of the noisy ones are then saved as JPEG; all
    but some of the Gaussian ones are clipped and rounded to 8 bits. One in eight is grey, with three equal channels.

    The policy is told the level of the noise at every pixel and in every channel: the root mean square of the noise
    around it, or sigma itself where noise is Gaussian; for half of the crops, and for clean ones, too, which may
    have textures like noise, what `pixelrl.noise.network` sees.

    Args:
        num_steps: T.
        actions: names of the operations; the paper's nine if left out.
        sigma: the largest level of Gaussian noise, in grey levels.

    Raises:
        UsageError: a sigma that is not positive, or less than one step.
    """

    conditioning = NoiseMap()

    def __init__(self, num_steps: int = 5, actions: tuple[str, ...] = PAPER_NINE, sigma: float = 55.0) -> None:
        if not 0 < sigma < math.inf:
            raise UsageError(f"sigma = {sigma} is not a noise level; give a number above 0")
        self.num_steps, self.action_names, self.sigma = checked_steps(num_steps), tuple(actions), sigma
        self.levels = (1.0, 4.0, 12.0)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """A camera with shot noise of ``level / 1000``, and JPEG of quality 90."""
        taken = []
        for scene in clean:
            image, target = photographed(scene, level / 1000, Draw(generator))
            taken.append(Taken(jpeg(image, 90), target))
        return _episode(taken, clean)

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets noise of its own kind and level."""
        draw = Draw(generator)
        return _episode([self._taken(scene, draw) for scene in clean], clean, draw)

    def _taken(self, scene: Pixels, draw: Draw) -> Taken:
        """One crop of training."""
        scene = _another_size(scene, draw)
        kind = draw.uniform()
        if kind < 0.52:
            taken = _by_camera(scene, draw)
        elif kind < 0.76:
            return _grey(self._gaussian(scene, draw), draw)
        elif kind < 0.86:
            taken = self._correlated(scene, draw)
        elif kind < 0.91:
            peak = math.exp(draw.uniform(math.log(8), math.log(2000)))
            taken = Taken((torch.poisson(scene * peak, draw.generator) / peak).clamp(0, 1), scene)
        else:
            taken = Taken(scene, scene, 0.0)
        return _grey(_filed(taken, draw), draw)

    def _gaussian(self, scene: Pixels, draw: Draw) -> Taken:
        sigma = draw.uniform(0, self.sigma) if draw.chance(0.75) else draw.uniform(0, self.sigma / 8)
        image = scene + sigma / 255 * draw.normal(tuple(scene.shape))
        if draw.chance(0.3):
            return Taken(image, scene, sigma / 255)
        if draw.chance(0.25):
            return _filed(Taken(image.clamp(0, 1), scene), draw)
        return Taken((255 * image.clamp(0, 1)).round() / 255, scene, sigma / 255)

    def _correlated(self, scene: Pixels, draw: Draw) -> Taken:
        noise = draw.normal(tuple(scene.shape))
        if draw.chance(0.4):  # grain: alike in all channels, but for some
            noise = noise[:1] + draw.uniform(0, 0.5) * noise
        noise = blurred(noise, draw.uniform(0.4, 1.4))
        level = draw.uniform(1, 0.6 * self.sigma) / 255
        return Taken((scene + level * noise / noise.std()).clamp(0, 1), scene)


def _by_camera(scene: Pixels, draw: Draw) -> Taken:
    """Taken by a camera, perhaps made smaller afterwards."""
    shot = math.exp(draw.uniform(*(math.log(limit) for limit in SHOT)))
    size = (scene.shape[-2], scene.shape[-1])
    reduced = draw.chance(0.35)
    if reduced:
        factor = draw.uniform(1.1, 2.2)
        scene = resized(scene, (2 * round(factor * size[0] / 2), 2 * round(factor * size[1] / 2)))
    image, target = photographed(scene, shot, draw)
    return Taken(resized(image, size), resized(target, size)) if reduced else Taken(image, target)


def _another_size(scene: Pixels, draw: Draw) -> Pixels:
    """Most scenes are seen from nearer: cameras show softer detail than pictures that were reduced."""
    if draw.chance(0.4):
        return scene
    height, width = scene.shape[-2:]
    factor = 4 ** draw.uniform()
    small = (math.ceil(height / factor), math.ceil(width / factor))
    top, left = (int(draw.uniform(0, whole - part + 1)) for whole, part in zip((height, width), small, strict=True))
    return resized(scene[:, top : top + small[0], left : left + small[1]], (height, width))


def _filed(taken: Taken, draw: Draw) -> Taken:
    """As a file of 8 bits holds it, mostly JPEG. What JPEG does to a clean picture is no noise."""
    clean = (taken.image - taken.target).square().mean().sqrt().item() < NO_NOISE
    if draw.chance(0.7):
        sampling = ("4:2:0", "4:2:0", "4:2:2", "4:4:4", "4:4:4")[int(draw.uniform(0, 5))]
        offset = (int(draw.uniform(0, 8)), int(draw.uniform(0, 8)))
        image = jpeg(taken.image, round(draw.uniform(60, 98.5)), sampling, offset)
    else:
        image = (255 * taken.image.clamp(0, 1)).round() / 255
    return Taken(image, image, 0.0) if clean else Taken(image, taken.target)


def _grey(taken: Taken, draw: Draw) -> Taken:
    """One in eight as a grey picture, in three equal channels."""
    if not draw.chance(0.125):
        return taken
    weights = taken.image.new_tensor(LUMA)
    image, target = (
        torch.einsum("c,chw->hw", weights, x).expand(3, -1, -1).contiguous() for x in (taken.image, taken.target)
    )
    return Taken(image, target, 0.0 if taken.sigma == 0 else None, math.sqrt(3) if taken.sigma else 1.0)


def _episode(taken: list[Taken], like: Image, draw: Draw | None = None) -> Episode:
    """What the policy is told is the measured level; in training often the one that is seen, which may be off."""
    levels = []
    for each in taken:
        if each.sigma is not None and (draw is None or draw.chance(0.6)):
            level = torch.full_like(each.image, each.sigma)
        elif draw is not None and (each.sigma == 0 or draw.chance(0.5)):
            level = noise_maps(each.image[None])[0][0]
        else:
            level = local_level(each.image - each.target)
        if draw is not None:
            level = level * math.exp(0.08 * draw.normal(()).item())
        levels.append(each.factor * level)
    image, target = (torch.stack([getattr(each, name) for each in taken]).to(like) for name in ("image", "target"))
    condition = torch.stack(levels).to(like)
    overall = condition.square().mean((1, 2, 3)).sqrt()[:, None]
    return Episode(image, target, condition, torch.square(20 / 255 / (overall + 5 / 255)))


def local_level(noise: Pixels) -> Pixels:
    """The root mean square around every pixel."""
    return blurred(noise.square(), WINDOW).clamp_min(0).sqrt()
