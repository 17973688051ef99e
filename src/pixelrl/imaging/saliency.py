"""Where the eye goes first: models of saliency, their plug-in interface, and what agents are told of an object.

A model is any callable from an RGB image ``(h, w, 3)``, float32 in [0, 1], to a map ``(h, w)``. The built-in ones need
no download: ``contrast`` is centre-surround contrast over scales (Itti, Koch and Niebur, PAMI 1998), and
``frequency-tuned`` is Achanta et al., CVPR 2009. Both compare colours in CIELAB and give distances in its units.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from pixelrl.errors import UsageError
from pixelrl.imaging.color import lab_distance, opponent, srgb_to_lab
from pixelrl.plugins import resolve

SaliencyMap = Float[Tensor, "b 1 h w"]
SaliencyModel = Callable[[Tensor], SaliencyMap]
"""Images ``(b, 3, h, w)`` in sRGB to their maps."""

CENTRES, DEEPER = (2, 3, 4), (3, 4)
"""Levels of the pyramid whose contrast counts, and by how many levels their surroundings are coarser (Itti et al.)."""


def contrast(image: Tensor) -> SaliencyMap:
    """Centre-surround contrast: distances in Lab between levels of a pyramid, averaged over pairs of levels.

    Centres are 4 to 16 pixels wide, surroundings 32 to 256, as in Itti's model of pictures of 640x480: the texture of
    single pixels has no part in it.
    """
    pyramid = [image]
    for _ in range(max(CENTRES) + max(DEEPER)):
        pyramid.append(F.avg_pool2d(_even(pyramid[-1]), 2))
    levels = {i: srgb_to_lab(level) for i, level in enumerate(pyramid) if i >= min(CENTRES)}
    finest = levels[min(CENTRES)]
    total = torch.zeros_like(finest[:, :1])
    for centre in CENTRES:
        for deeper in DEEPER:
            around = F.interpolate(levels[centre + deeper], levels[centre].shape[-2:], mode="bilinear")
            distance = lab_distance(levels[centre], around)
            total += F.interpolate(distance, finest.shape[-2:], mode="bilinear")
    return F.interpolate(total / (len(CENTRES) * len(DEEPER)), image.shape[-2:], mode="bilinear")


def frequency_tuned(image: Tensor) -> SaliencyMap:
    """The distance in Lab of every slightly blurred pixel to the mean of its image (Achanta et al. 2009)."""
    lab = srgb_to_lab(image)
    kernel = image.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    weight = torch.outer(kernel, kernel).expand(3, 1, 5, 5)
    blurred = F.conv2d(F.pad(lab, (2, 2, 2, 2), mode="replicate"), weight, groups=3)
    return lab_distance(blurred, lab.mean((-2, -1), keepdim=True).expand_as(blurred))


MODELS: dict[str, SaliencyModel] = {"contrast": contrast, "frequency-tuned": frequency_tuned}


def slopes(model: SaliencyModel, image: Float[Tensor, "b 3 h w"], weight: Float[Tensor, "b 1 h w"]) -> Tensor:
    """How much the weighted sum of a model's map rises with each value of the image, at first order: ``(b, 3, h, w)``.

    It says what every pixel can do for the saliency of all. A built-in model gives its gradient. Any other is a black
    box: the image is cut into `BLOCKS` x `BLOCKS` blocks, and the map is asked for with one block at a time changed in
    one channel, towards the middle of the range; the block's pixels share what that brings.

    Args:
        model: see `find_model`.
        image: in [0, 1].
        weight: of every value of the map.
    """
    image = image.detach()
    if any(model is built_in for built_in in MODELS.values()):
        with torch.enable_grad():
            values = image.clone().requires_grad_()
            total = (weight * model(values)).sum()
        return torch.autograd.grad(total, values)[0]
    result, before = torch.zeros_like(image), model(image)
    height, width = image.shape[-2:]
    rows, columns = (torch.linspace(0, n, min(BLOCKS, n) + 1).round().int().tolist() for n in (height, width))
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            for channel in range(3):
                block = (slice(None), channel, slice(top, bottom), slice(left, right))
                step = torch.where(image[block].mean((1, 2), keepdim=True) < 0.5, 0.1, -0.1)
                changed = image.clone()
                changed[block] += step
                rise = (weight * (model(changed) - before)).sum((1, 2, 3))[:, None, None]
                result[block] = rise / step / ((bottom - top) * (right - left))
    return result


BLOCKS = 6
"""Blocks a side in which a model that is a black box is asked for its `slopes`: 109 maps an image."""


def shared_slopes(
    model: SaliencyModel, image: Float[Tensor, "b 3 h w"], direction: Float[Tensor, "b 1 h w"], radius: int
) -> Float[Tensor, "b 3 h w"]:
    """The `slopes` towards the direction that is wanted, as neighbours on a side of the object share them.

    By itself, every pixel would make the most of where it lies between the levels of the model's pyramid, and the
    picture would fall into blocks. So a slope is replaced by the mean over those pixels of a square window that are on
    the same side, twice, so that it fades without an edge.

    Args:
        model: see `find_model`.
        image: in [0, 1].
        direction: see `object_planes`; its sign says which side a pixel is on.
        radius: the window has ``2 * radius + 1`` pixels a side; 0 shares nothing.
    """
    found = slopes(model, image, direction)
    if not radius:
        return found
    rising = direction > 0
    shared = torch.zeros_like(found)
    for side in (rising.to(found), (~rising).to(found)):
        values, near = found, _windowed(side, radius).clamp_min(1e-6)
        for _ in range(2):
            values = side * _windowed(values * side, radius) / near
        shared += values
    return shared


def _windowed(planes: Tensor, radius: int) -> Tensor:
    """The mean over a square window, of which what lies outside the image is 0."""
    rows = F.avg_pool2d(planes, (2 * radius + 1, 1), 1, (radius, 0))
    return F.avg_pool2d(rows, (1, 2 * radius + 1), 1, (0, radius))


def find_model(name: str) -> SaliencyModel:
    """A built-in model's name, ``onnx:FILE``, or ``module:function`` for a model of the user's own.

    An ONNX model takes ``(1, 3, h, w)`` RGB in [0, 1] and gives a map of that height and width, with any leading ones.

    Raises:
        UsageError: none of them, or one that cannot be loaded.
    """
    if name.startswith("onnx:"):
        return _one_by_one(_onnx(Path(name.removeprefix("onnx:"))))
    models: dict[str, Callable[..., Any]] = MODELS  # a user's sees one image at a time, as an array
    found = resolve(name, models, callable, "a function", "saliency model", may_import=True)
    return found if name in MODELS else _one_by_one(found)


def object_planes(
    image: Float[Tensor, "b 3 h w"], mask: Bool[Tensor, "b 1 h w"], strength: Float[Tensor, "b 1"]
) -> Float[Tensor, "b 8 h w"]:
    """In which direction every pixel's saliency shall change, and of what colours the two sides are.

    The first plane, the direction, is the strength inside the object and, with the other sign, outside; there times the
    object's area over that of the rest if that is the larger one, so that the rest weighs no more in all than the
    object. The others are the same for all pixels of an image: the strength without its sign, and the mean colours of
    the surroundings and of the object, as `pixelrl.imaging.color.opponent`.

    Args:
        image: sRGB.
        mask: where the object is. A random object may fill a crop; then there are no surroundings, and their colour, 0,
            stands for no pixel.
        strength: positive to emphasise the object, negative to attenuate it.
    """
    area = mask.to(image).mean((2, 3), keepdim=True)
    strength = strength[:, :, None, None]
    direction = strength * torch.where(mask, 1.0, -(area / (1 - area).clamp_min(1e-6)).clamp_max(1))
    colors = opponent(image)
    planes = (direction, strength.abs(), mean_over(~mask, colors), mean_over(mask, colors))
    return torch.cat([plane.expand(-1, -1, *image.shape[-2:]) for plane in planes], 1)


def mean_over(side: Bool[Tensor, "*b _ h w"], values: Float[Tensor, "*b _ h w"]) -> Float[Tensor, "*b _ 1 1"]:
    """The mean of values over a side's pixels; 0 where it has none."""
    return (values * side).sum((-2, -1), keepdim=True) / side.sum((-2, -1), keepdim=True).clamp_min(1)


def superpixels(image: Float[Tensor, "3 h w"], number: int) -> npt.NDArray[np.int64]:
    """About ``number`` superpixels of an image (SLIC, Achanta et al., PAMI 2012), numbered from 0: ``(h, w)``."""
    from skimage.segmentation import slic

    pixels = image.clamp(0, 1).movedim(0, -1).cpu().numpy()
    found: npt.NDArray[np.int64] = slic(pixels, n_segments=number, compactness=10, start_label=0)
    return found


def means_of(planes: Iterable[npt.NDArray[np.floating]], segments: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The mean of every plane ``(h, w)`` over every superpixel: ``(superpixels, planes)``."""
    flat = segments.ravel()
    sums = np.stack([np.bincount(flat, plane.ravel()) for plane in planes], 1)
    means: npt.NDArray[np.float64] = sums / np.bincount(flat)[:, None].clip(1)
    return means


def _even(image: Tensor) -> Tensor:
    down, right = (side % 2 for side in image.shape[-2:])
    return F.pad(image, (0, right, 0, down), mode="replicate") if down or right else image


def _one_by_one(model: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating]]) -> SaliencyModel:
    def run(image: Tensor) -> SaliencyMap:
        maps = []
        for each in image.detach().clamp(0, 1).movedim(1, -1).cpu().numpy():
            given = model(each)
            try:
                map_ = np.asarray(given, np.float32)
            except (TypeError, ValueError) as error:
                what = f"an object of type {type(given).__name__}"
                raise UsageError(
                    f"the saliency model gave {what}; it must give an array {each.shape[:2]} of numbers"
                ) from error
            if map_.shape != each.shape[:2] or not np.isfinite(map_).all():
                shapes = f"{map_.shape} for an image of {each.shape[:2]}"
                raise UsageError(f"the saliency model gave {shapes}, or values that are not finite")
            maps.append(map_)
        return torch.from_numpy(np.stack(maps))[:, None].to(image.device)

    return run


def _onnx(file: Path) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating]]:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError('saliency onnx:FILE needs onnxruntime: pip install "pixelrl[onnx]"') from error
    if not os.path.isfile(file):
        raise UsageError(f"saliency model {file} does not exist")
    try:
        session = onnxruntime.InferenceSession(str(file))
    except Exception as error:  # onnxruntime has a dozen kinds of its own for files that are no model
        raise UsageError(f"saliency model {file} cannot be read as ONNX: {error}") from error
    name = session.get_inputs()[0].name

    def run(image: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        try:
            result = np.asarray(session.run(None, {name: np.moveaxis(image, -1, 0)[None]})[0])
        except Exception as error:  # kinds of its own again, for images that the model does not take
            raise UsageError(f"saliency model {file} does not take an image of {image.shape[:2]}: {error}") from error
        while result.ndim > 2 and result.shape[0] == 1:
            result = result[0]
        return result

    return run
