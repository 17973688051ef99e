"""The pictures on which episodes are played."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from numbers import Integral
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pixelrl.errors import UsageError
from pixelrl.tasks import Task
from pixelrl.training.data import Photo, load_pairs, load_photos
from pixelrl.validation import brief, listed

Pictures = str | Path | tuple[str | Path, str | Path] | Sequence[Photo] | None
"""A folder of pictures; two folders, before and after, for a task that learns from pairs; pictures in memory; or None
for the photographs that scikit-image's wheel holds."""

BUILT_IN = ("astronaut", "chelsea", "coffee", "rocket")
"""Of `skimage.data`: colour photographs of 300 to 640 pixels a side."""


def photos_for(task: Task, pictures: Pictures, channels: int) -> Sequence[Photo]:
    """The pictures for a task: grey, in colour, or pairs of pictures in colour.

    Args:
        task: what is played on them.
        pictures: where they are.
        channels: 1 for grey, 3 for colour.

    Raises:
        UsageError: the task needs other pictures than these, or they cannot be read.
    """
    if not isinstance(channels, Integral) or channels not in (1, 3):
        raise UsageError(f"channels = {brief(channels)} is unknown; give 1 for grey pictures, 3 for colour")
    if channels == 1 and task.in_color:
        raise UsageError(f"{type(task).__name__} is played on pictures in colour; give channels=3")
    if pictures is None:
        return built_in(channels, task.from_pairs)
    if isinstance(pictures, str | Path) and not task.from_pairs:
        return load_photos(pictures, channels)
    given = [pictures] if isinstance(pictures, str | Path) else listed(pictures)
    if given is None:
        raise UsageError(f"pictures = {brief(pictures)} are none; give a folder of them, or a list of photos")
    folders = [each for each in given if not isinstance(each, Photo)]
    if folders:
        if not task.from_pairs or len(folders) != 2 or len(given) != 2:
            places = "two folders, before and after" if task.from_pairs else "one folder"
            raise UsageError(f"{type(task).__name__} takes {places}, or pictures in memory")
        return load_pairs(folders[0], folders[1])
    photos, planes = [each for each in given if isinstance(each, Photo)], 6 if task.from_pairs else channels
    for photo in photos:
        if len(photo.pixels) != planes:
            raise UsageError(f"picture {photo.name} has {len(photo.pixels)} channels; give {planes}")
    if not photos:
        raise UsageError("the list of pictures is empty; give at least one")
    return photos


@cache
def built_in(channels: int, pairs: bool) -> tuple[Photo, ...]:
    """scikit-image's photographs, or pairs of which the first is `faded`."""
    from skimage import data  # slow to import, and whoever has pictures does not need it

    photos = []
    for name in BUILT_IN:
        pixels = getattr(data, name)()
        if channels == 1:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
        elif pairs:
            pixels = np.concatenate([faded(pixels), pixels], -1)
        photos.append(Photo(name, torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))))
    return tuple(photos)


def faded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photograph ``(h, w, 3)``, 8 bit, with two thirds of its colour and four fifths of its contrast."""
    grey = pixels.mean(-1, keepdims=True)
    paler: NDArray[np.float64] = grey + (pixels - grey) * 2 / 3
    return np.rint(0.8 * paler + 0.1 * 255).astype(np.uint8)
