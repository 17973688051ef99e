"""Training images: a folder of clean pictures, cut at random into augmented crops."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from pixelrl.errors import UsageError
from pixelrl.validation import as_path

Pixels = UInt8[Tensor, "c h w"]


@dataclass(frozen=True)
class Photo:
    """A picture to learn from; no two need to be of one size.

    Attributes:
        name: its file's.
        pixels: 8-bit, grey (c = 1), RGB (c = 3) or a pair of RGB pictures (c = 6).
        scale: at which the picture in the file was reduced to these pixels.
    """

    name: str
    pixels: Pixels
    scale: float = 1.0


def load_photos(folder: str | Path, num_channels: int = 1) -> list[Photo]:
    """Read every picture of a folder as 8 bit, grey or RGB, in the order of their names.

    Raises:
        UsageError: no such folder, or nothing in it that can be read.
    """
    folder = as_path(folder, "data folder")
    if not os.path.isdir(folder):
        raise UsageError(f"data folder {folder} does not exist; give a folder of clean pictures as data.folder")
    read = ((path.name, _read(path, num_channels)) for path in _files(folder))
    photos = [Photo(name, pixels) for name, pixels in read if pixels is not None]
    if not photos:
        raise UsageError(f"data folder {folder} holds no picture that can be read; give one with clean pictures")
    return photos


def load_pairs(before: str | Path, after: str | Path, names: str | Path | None = None) -> list[Photo]:
    """Read pictures and their partners of the same name (the ending may differ), each pair as one photo of 6 channels.

    Args:
        before: folder of pictures.
        after: folder of their partners.
        names: text file of the names to use, without ending, one a line; all of ``before`` if left out.

    Raises:
        UsageError: no such folder; a picture without a partner, of another size, or unreadable: each is named.
    """
    before, after = as_path(before, "data.before"), as_path(after, "data.after")
    names = None if names is None else as_path(names, "data.names")
    for key, folder in (("before", before), ("after", after)):
        if not os.path.isdir(folder):
            raise UsageError(f"data.{key} = {folder} is not a folder; give one of pictures")
    first, second = ({path.stem: path for path in _files(folder)} for folder in (before, after))
    try:
        chosen = sorted(first) if names is None else names.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"data.names = {names} cannot be read as text: {error}") from error
    pairs = []
    for name in chosen:
        for key, folder, files in (("before", before, first), ("after", after, second)):
            if name not in files:
                raise UsageError(f"{name} has no picture in data.{key} = {folder}; pairs have the same name in both")
        photos = [_read(files[name], 3) for files in (first, second)]
        sizes = []
        for photo, files in zip(photos, (first, second), strict=True):
            if photo is None:
                raise UsageError(f"{files[name]} cannot be read as a picture; take it and its partner away")
            sizes.append(f"{photo.shape[2]}x{photo.shape[1]}")
        if sizes[0] != sizes[1]:
            raise UsageError(f"the pictures of {name} are of {sizes[0]} and {sizes[1]} pixels; a pair has one size")
        pixels = torch.cat([photo for photo in photos if photo is not None])
        pairs.append(Photo(first[name].name, pixels))
    if not pairs:
        raise UsageError(f"data.before = {before} holds no picture; give pictures before and after")
    return pairs


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file()]


def _read(path: Path, num_channels: int) -> Pixels | None:
    """8-bit grey or RGB; None if it is no picture."""
    mode = cv2.IMREAD_GRAYSCALE if num_channels == 1 else cv2.IMREAD_COLOR_RGB
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), mode) if path.stat().st_size else None
    return None if pixels is None else torch.from_numpy(np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1)))


def split(photos: Sequence[Photo], num_validation: int) -> tuple[list[Photo], list[Photo]]:
    """Set ``num_validation`` photos aside, spread evenly over the sequence: (training, validation).

    Raises:
        UsageError: nothing would be left to train on.
    """
    if num_validation >= len(photos):
        raise UsageError(
            f"data.validation = {num_validation} leaves nothing of {len(photos)} pictures to train on; make it smaller"
        )
    kept_out = {round((i + 0.5) * len(photos) / num_validation - 0.5) for i in range(num_validation)}
    train = [photo for i, photo in enumerate(photos) if i not in kept_out]
    return train, [photos[i] for i in sorted(kept_out)]


def rescaled(photos: Sequence[Photo], scales: Sequence[float]) -> list[Photo]:
    """Every photo at every scale (at most 1; area interpolation)."""
    result = []
    for photo in photos:
        for scale in scales:
            if scale == 1:
                result.append(photo)
                continue
            planes = [
                cv2.resize(plane.numpy(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                for plane in photo.pixels
            ]
            result.append(Photo(photo.name, torch.from_numpy(np.stack(planes)), scale))
    return result


class Crops:
    """Batches of random square crops, each mirrored or turned at random.

    Args:
        photos: of any sizes.
        size: side of a crop in pixels.
        batch: crops per batch.
        device: where batches are made. The photos are kept there.
        recolor: share of the crops, of RGB photos, that `recolored` changes.
        setting: the recipe's name for ``size``, for errors.
        tilt: 0 for one of the square's eight symmetries; above 0, as in the paper, half of the crops are mirrored left
            to right and half are turned by up to so many degrees (bilinear). A turned crop is cut from a larger piece
            of its photo, so that nothing beyond the photo comes into it.

    Raises:
        UsageError: a photo smaller than a crop, or than what a turned one is cut from; its file, size and scale are
            named.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        size: int,
        batch: int,
        device: torch.device,
        recolor: float = 0.0,
        setting: str = "data.crop",
        tilt: float = 0.0,
    ) -> None:
        steepest = math.radians(min(tilt, 45))  # at which a turned square is widest
        widest = size * (math.cos(steepest) + math.sin(steepest))
        self.margin = math.ceil((widest - size) / 2) if tilt else 0
        self.span = size + 2 * self.margin
        smallest = min(photos, key=lambda photo: min(photo.pixels.shape[-2:]))
        height, width = smallest.pixels.shape[-2:]
        if min(height, width) < self.span:
            scaled, cure = "", f"set {setting} to at most {min(height, width)}, or take the picture away"
            if tilt and min(height, width) >= size:
                cure = f"turned by up to {tilt:g} degrees it takes {self.span} pixels: make {setting} or data.tilt less"
            if smallest.scale != 1:
                scaled, cure = f" at {smallest.scale:g} of data.scales", f"{cure}, or that scale"
            raise UsageError(
                f"{setting} = {size} does not fit into {smallest.name} of {width}x{height} pixels{scaled}; {cure}"
            )
        self.photos = [photo.pixels.to(device) for photo in photos]
        self.size, self.batch, self.recolor, self.tilt = size, batch, recolor, tilt

    def sample(self, generator: torch.Generator) -> Float[Tensor, "b c size size"]:
        """A batch in [0, 1]. ``generator`` is on the CPU, whatever the device."""
        draws = torch.rand((self.batch, 4), generator=generator, dtype=torch.float64).tolist()
        clean = torch.stack([self._tilted(*draw) if self.tilt else self._symmetric(*draw) for draw in draws]) / 255
        if self.recolor and clean.shape[1] == 3:
            chosen = torch.rand(self.batch, generator=generator) < self.recolor
            for i in torch.nonzero(chosen).flatten().tolist():
                clean[i] = recolored(clean[i], generator)
        return clean

    def _symmetric(self, which: float, down: float, right: float, turn: float) -> Float[Tensor, "c size size"]:
        crop, symmetry = self._piece(which, down, right), int(turn * 8)
        return torch.rot90(crop.flip(-1) if symmetry >= 4 else crop, symmetry % 4, (-2, -1)).float()

    def _tilted(self, which: float, down: float, right: float, turn: float) -> Float[Tensor, "c size size"]:
        """``turn`` says all: its quarter whether it is mirrored and whether turned, its place in there the angle."""
        piece, quarter = self._piece(which, down, right).float(), int(turn * 4)
        if quarter % 2:
            piece = piece.flip(-1)
        if quarter >= 2:
            piece = rotated(piece, self.tilt * (2 * (4 * turn - quarter) - 1))
        within = slice(self.margin, self.margin + self.size)
        return piece[:, within, within]

    def _piece(self, which: float, down: float, right: float) -> Pixels:
        """A square of ``span`` pixels out of a photo."""
        photo, span = self.photos[int(which * len(self.photos))], self.span
        top, left = (
            int(share * (side - span + 1)) for share, side in zip((down, right), photo.shape[-2:], strict=True)
        )
        return photo[:, top : top + span, left : left + span]


def rotated(square: Float[Tensor, "c n n"], degrees: float) -> Float[Tensor, "c n n"]:
    """Turned counter-clockwise about its middle, bilinear; 0 beyond the square."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    grid = F.affine_grid(square.new_tensor([[[cos, -sin, 0], [sin, cos, 0]]]), [1, *square.shape], align_corners=False)
    return F.grid_sample(square[None], grid, align_corners=False)[0]


def recolored(crop: Float[Tensor, "3 h w"], generator: torch.Generator) -> Float[Tensor, "3 h w"]:
    """The channels in a random order, and the distance from grey multiplied by a random factor from 0.5 to 2."""
    crop = crop[torch.randperm(3, generator=generator).to(crop.device)]
    factor = 2 ** (2 * torch.rand((), generator=generator).item() - 1)
    grey = crop.mean(0, keepdim=True)
    return (grey + factor * (crop - grey)).clamp(0, 1)
