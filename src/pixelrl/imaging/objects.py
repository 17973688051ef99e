"""The object of a photograph, found without a network: what stands out, or else what lies in the middle.

Superpixels that differ from what reaches the border of the picture stand out (*robust background detection*: Zhu,
Liang, Wei and Sun, "Saliency Optimization from Robust Background Detection", CVPR 2014). Where that leaves no clear
object, as in close-ups, photographs are taken of what is in their middle. Either way the guess is rough, and
*GrabCut* (Rother, Kolmogorov and Blake, SIGGRAPH 2004; OpenCV's) finds colours and outline of the object from it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from pixelrl.errors import InputError
from pixelrl.imaging.color import LAB_SCALE, srgb_to_lab
from pixelrl.imaging.saliency import means_of, superpixels

SIDE = 240
"""The larger side in pixels at which an object is looked for; finer than that, its outline is smooth."""
SUPERPIXELS = 250
ALIKE = 10.0
"""How many units of Lab are a difference between superpixels."""
CLEAR, WHOLE = 0.75, 0.85
"""A map is trusted if the two classes of Otsu's threshold explain so much of its variance, and its brighter one is one
piece but for the rest of it."""
IN_THE_MIDDLE, SHARE = 0.7, 0.3
"""Where it is not: the weight of the middle, and the share of the picture that an object is taken to fill at first."""
ROUNDS = 4

Plane = npt.NDArray[np.float64]


def salient_object(image: Float[Tensor, "1 3 h w"]) -> Bool[Tensor, "h w"]:
    """The object of a picture: one connected piece without holes.

    Raises:
        InputError: nothing stands out, as in a picture of one colour.
    """
    height, width = image.shape[-2:]
    nothing = InputError("no object stands out in this picture; give a mask")
    image = image.detach().float().clamp(0, 1).cpu()
    if (image.amax((2, 3)) - image.amin((2, 3))).max() < 1 / 255:
        raise nothing
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = F.interpolate(image, size=size, mode="area")
    chance, share = _guess(small)
    inside = _cut(small, chance, share)
    if not inside.any():
        raise nothing
    inside = _largest(inside, chance)
    outline = cv2.resize(inside.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
    contours, _ = cv2.findContours(outline.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros((height, width), np.uint8)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    if not filled.any() or filled.all():
        raise nothing
    return torch.from_numpy(filled > 0)


def standing_out(image: Float[Tensor, "1 3 h w"]) -> Plane:
    """How much every pixel stands out, from 0 to 1: robust background detection, ``(h, w)``.

    A superpixel is background as far as the region of its colour touches the border of the picture, for the region's
    size. One that differs from near background stands out. Both are weighed against each other so that neighbours of
    one colour agree, which is a system of linear equations.
    """
    segments = superpixels(image[0], SUPERPIXELS)
    height, width = segments.shape
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    means = means_of([*(LAB_SCALE * srgb_to_lab(image)[0].numpy()), rows, columns], segments)
    number = len(means)
    touching = np.zeros((number, number), bool)
    for one, other in (
        (segments[1:], segments[:-1]),
        (segments[:, 1:], segments[:, :-1]),
        (segments[1:, 1:], segments[:-1, :-1]),
        (segments[1:, :-1], segments[:-1, 1:]),
    ):
        touching[one.ravel(), other.ravel()] = True
    touching |= touching.T
    np.fill_diagonal(touching, False)
    at_border = np.zeros(number, bool)
    at_border[np.concatenate([segments[0], segments[-1], segments[:, 0], segments[:, -1]])] = True
    unlike = np.linalg.norm(means[:, None, :3] - means[None, :, :3], axis=-1)
    apart = np.linalg.norm(means[:, None, 3:] - means[None, :, 3:], axis=-1)

    # The shortest way from each to each, by difference of colour; the border is one place.
    linked = touching | (at_border[:, None] & at_border)
    nearest = np.where(touching, unlike, np.inf).min(1)
    small = nearest[np.isfinite(nearest)].mean() if np.isfinite(nearest).any() else 0.0
    way = np.where(linked, np.maximum(0, unlike - small), np.inf)
    np.fill_diagonal(way, 0)
    for via in range(number):
        np.minimum(way, way[:, via : via + 1] + way[via], out=way)
    same = np.exp(-np.square(way / ALIKE) / 2)
    at_edge = same[:, at_border].sum(1) / np.sqrt(same.sum(1))
    background = 1 - np.exp(-np.square(at_edge) / 2)

    differing = (unlike * np.exp(-np.square(apart / 0.25) / 2) * background).sum(1)
    differing /= differing.max() + 1e-9
    links = np.where(touching, np.exp(-np.square(unlike / ALIKE) / 2) + 0.1, 0)
    system = np.diag(links.sum(1) + 5 * background + differing + 1e-6) - links
    found = np.linalg.solve(system, differing).clip(0)
    result: Plane = (found / (found.max() + 1e-9))[segments]
    return result


def _guess(image: Float[Tensor, "1 3 h w"]) -> tuple[Plane, float]:
    """How likely the object is at every pixel, and the share of the picture that it fills."""
    from skimage.filters import threshold_otsu  # slow to import, like all of scikit-image, and needed here alone

    map_ = standing_out(image)
    if map_.min() < map_.max():
        bright = map_ > threshold_otsu(map_)
        area = bright.mean()
        between = area * (1 - area) * np.square(map_[bright].mean() - map_[~bright].mean())
        if between > CLEAR * map_.var() and _largest(bright, map_).sum() > WHOLE * bright.sum():
            return map_, float(area)
    values, place = np.unique(map_, return_inverse=True)
    rank = place.reshape(map_.shape) / max(1, len(values) - 1)
    height, width = map_.shape
    rows, columns = np.mgrid[:height, :width]
    down, right = ((rows + 0.5) / height - 0.5) / 0.28, ((columns + 0.5) / width - 0.5) / 0.22
    middle = np.exp(-(np.square(down) + np.square(right)) / 2)
    return (1 - IN_THE_MIDDLE) * (map_ + rank) / 2 + IN_THE_MIDDLE * middle, SHARE


def _cut(image: Float[Tensor, "1 3 h w"], chance: Plane, share: float) -> npt.NDArray[np.bool_]:
    """The pixels of the object's colours, by GrabCut from a first guess."""
    pixels = np.ascontiguousarray((image[0].movedim(0, -1).numpy() * 255).round().astype(np.uint8)[..., ::-1])
    kinds = np.full(chance.shape, cv2.GC_PR_BGD, np.uint8)
    kinds[chance >= np.quantile(chance, 1 - share)] = cv2.GC_PR_FGD
    kinds[chance >= np.quantile(chance, 1 - share / 6)] = cv2.GC_FGD
    kinds[chance <= np.quantile(chance, 0.3)] = cv2.GC_BGD
    rim = max(1, round(0.03 * min(chance.shape)))
    kinds[:rim] = kinds[-rim:] = kinds[:, :rim] = kinds[:, -rim:] = cv2.GC_BGD
    background = np.isin(kinds, (cv2.GC_BGD, cv2.GC_PR_BGD))
    if background.all() or not background.any():
        return ~background
    cv2.setRNGSeed(0)  # OpenCV draws the first centres of the colours from its own generator
    cv2.grabCut(pixels, kinds, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(kinds, (cv2.GC_FGD, cv2.GC_PR_FGD))
    smooth = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    return smooth if smooth.any() else inside


def _largest(inside: npt.NDArray[np.bool_], weight: Plane) -> npt.NDArray[np.bool_]:
    """The connected piece with the largest sum of weights."""
    number, pieces = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)
    totals = np.bincount(pieces.ravel(), weight.ravel(), minlength=number)
    totals[0] = -1
    result: npt.NDArray[np.bool_] = pieces == int(totals.argmax())
    return result
