"""The pictures of a recipe: crops to learn from in each phase, and those on which the policy is validated."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.tasks import Task
from pixelrl.training.data import Crops, Photo, load_pairs, load_photos, rescaled, split
from pixelrl.training.recipe import Recipe
from pixelrl.validation import shown

VALIDATION_SIDE = 160
"""Side in pixels of the crops on which a policy is validated, at most."""


class Pictures(NamedTuple):
    """What a policy is trained and validated on.

    Attributes:
        crops: to learn from, by phase.
        validation: float crops ``(1, c, h, w)``, by the ending of their columns in the log: "", or "_more" for those of
            ``data.more_validation``.
    """

    crops: dict[str, Crops]
    validation: dict[str, list[Tensor]]


def pictures_of(recipe: Recipe, task: Task, device: torch.device) -> Pictures:
    """Read all pictures of a recipe.

    Raises:
        UsageError: a folder that is missing or empty, or one that does not suit the task, or a policy for pictures of
            another number of channels.
    """
    if task.from_pairs and (recipe.data.more or recipe.data.more_validation):
        raise UsageError("data.more and data.more_validation are not for tasks that learn from pairs; omit them")
    channels = _channels(recipe, task)
    photos = _photos(recipe, task, channels)
    train, validation = split(photos, recipe.data.validation)
    more = (load_photos(d, channels) if d else [] for d in (recipe.data.more, recipe.data.more_validation))
    more_train, more_validation = more
    scaled, data = rescaled([*train, *more_train], recipe.data.scales), recipe.data
    sizes = {"warm_start": (data.crop, "data.crop"), "reinforcement": (data.crop, "data.crop")}
    if recipe.reinforcement.crop:
        sizes["reinforcement"] = recipe.reinforcement.crop, "reinforcement.crop"
    crops = {
        phase: Crops(scaled, size, data.batch, device, data.recolor, setting, data.tilt)
        for phase, (size, setting) in sizes.items()
    }
    held_out = {
        suffix: [_centre(photo.pixels, VALIDATION_SIDE).to(device) for photo in photos]
        for suffix, photos in (("", validation), ("_more", more_validation))
    }
    return Pictures(crops, held_out)


def _channels(recipe: Recipe, task: Task) -> int:
    """How many channels the policy's pictures have; 1 if the recipe does not say it."""
    channels: object = recipe.policy.get("num_channels", 1)
    if type(channels) is not int or channels not in (1, 3):
        raise UsageError(f"policy.num_channels = {shown(channels)} must be 1, for grey pictures, or 3, for colour")
    if channels == 1 and task.in_color:
        raise UsageError("this task is for pictures in colour; set policy.num_channels = 3")
    return channels


def _photos(recipe: Recipe, task: Task, channels: int) -> list[Photo]:
    data = recipe.data
    if task.from_pairs:
        if not (data.before and data.after):
            raise UsageError("data.before and data.after are not set; give two folders of pictures of the same names")
        return load_pairs(data.before, data.after, data.names or None)
    if not data.folder:
        raise UsageError("data.folder is not set; give a folder of clean pictures, --set data.folder=FOLDER")
    return load_photos(data.folder, channels)


def _centre(photo: Tensor, side: int) -> Tensor:
    """A float ``(1, c, h, w)`` crop of at most ``side`` pixels from the middle."""
    top, left = (max(0, (n - side) // 2) for n in photo.shape[-2:])
    return photo[None, :, top : top + side, left : left + side].float() / 255
