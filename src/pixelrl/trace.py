"""Traces: what happened to a picture, in one file from which the result can be rebuilt without a network."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch

from pixelrl.actions import ActionSet
from pixelrl.errors import UsageError
from pixelrl.imaging.color import OPPONENT, kind_of_space
from pixelrl.pictures.arrays import Array
from pixelrl.pictures.atomic import written_whole
from pixelrl.pictures.display import orientation_exif, orientation_of, upright
from pixelrl.pictures.formats import Picture
from pixelrl.pictures.scale import FULL, Scale
from pixelrl.pictures.values import array_to_tensor, tensor_to_array
from pixelrl.precision import Precision
from pixelrl.rollout import Trajectory
from pixelrl.types import Image
from pixelrl.validation import as_path, check_kind

_FORMAT, _SCALED_FORMAT = 1, 2
"""Fields that were added since (space, mask, alpha, orientation, profile, legibility, precision) may be missing, and
old readers pass over them: the number is for changes after which an old reader would be wrong, as about values in
other units."""

TRACES = "result.trace() or pixelrl.load_trace(path)"
"""Where traces come from."""


@dataclass(frozen=True)
class Trace:
    """One picture and the operation of every pixel at every step.

    Attributes:
        pixels: the input, ``(h, w)`` or ``(h, w, c)``, in the dtype it came in.
        actions: uint8 ``(t, g, h, w)``, indices into ``action_names``; g is 1 or c.
        action_names: the named operations.
        policy: the name of the policy that chose them.
        condition: what it was told beside the picture, for instance ``{"sigma": 25.0}``; empty if nothing.
        space: the space on whose values the operations are carried out (`pixelrl.imaging.color.to_space`).
        mask: bool ``(h, w)``, the object that was emphasised or attenuated; None where the policy takes none.
        alpha: the picture's alpha channel, ``(h, w)`` in the dtype of ``pixels``, which no operation changes, or None.
        orientation: how the stored pixels are to be turned for display, as EXIF numbers it (1 to 8).
        icc_profile: the colour profile of the pixels; None for sRGB, or where nothing is known.
        scale: which values of ``pixels`` are black and white; None for those of their dtype.
        legibility: how plain the policy was told that its maps shall be, from 0 (the best quality) to 1; None for one
            that cannot be told, and in files from before there was such a thing.
        precision: in which numbers the policy's encoder computed, ``fp32`` or ``bf16``; None where that is not known.
    """

    pixels: Array
    actions: npt.NDArray[np.uint8]
    action_names: tuple[str, ...]
    policy: str
    condition: Mapping[str, float] = field(default_factory=dict)
    space: str = "srgb"
    mask: npt.NDArray[np.bool_] | None = None
    alpha: Array | None = None
    orientation: int = 1
    icc_profile: bytes | None = None
    scale: Scale | None = None
    legibility: float | None = None
    precision: Precision | None = None

    def of(self, picture: Picture) -> Trace:
        """The same episode, with what the file of its picture says besides pixels: alpha, orientation and profile."""
        turn, profile = orientation_of(picture.exif), picture.icc_profile
        return replace(self, alpha=picture.alpha, orientation=turn, icc_profile=profile)

    def upright(self) -> Trace:
        """The episode turned as people see the picture, for maps and pictures of it.

        It is not for replay: filters would sum in another order, and the last bits may differ.
        """
        orientation, mask, alpha = self.orientation, self.mask, self.alpha
        return replace(
            self,
            pixels=upright(self.pixels, orientation, (0, 1)),
            actions=upright(self.actions, orientation),
            mask=None if mask is None else upright(mask, orientation),
            alpha=None if alpha is None else upright(alpha, orientation),
            orientation=1,
        )

    def trajectory(self) -> Trajectory:
        """As tensors, ``b`` = 1."""
        actions = torch.from_numpy(self.actions)[:, None]
        return Trajectory(array_to_tensor(self.pixels, self.scale), actions, self.action_names, self.space)

    def replay(self) -> Array:
        """Carry the recorded operations out again: the result, bit for bit, in the input's dtype and shape."""
        return self.packed(self.trajectory().final())

    def packed(self, image: Image) -> Array:
        """An image ``(1, c, h, w)`` that came of this one, in the input's dtype, shape and units."""
        return tensor_to_array(image, str(self.pixels.dtype), self.pixels.ndim, self.scale, self.pixels)

    def result(self) -> Picture:
        """What `replay` returns as a picture for a file, with alpha, orientation and profile of the input.

        Raises:
            InputError: pixels that no picture file holds: neither one channel nor three.
        """
        pixels, alpha = self.replay(), self.alpha
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[..., 0]
        if pixels.dtype.kind == "f":
            pixels, alpha = pixels.astype(np.float32), None if alpha is None else alpha.astype(np.float32)
        return Picture(pixels, alpha, self.icc_profile, orientation_exif(self.orientation))


def save_trace(path: str | Path, trace: Trace) -> None:
    """Write a trace (compressed ``.npz``, to a temporary name and then renamed).

    Raises:
        UsageError: the place cannot be written, or it is no trace.
    """
    path = as_path(path, "trace")
    check_kind(trace, Trace, TRACES)
    scaled = trace.scale is not None and trace.scale != Scale.full(str(trace.pixels.dtype))
    header = {
        "format": _SCALED_FORMAT if scaled else _FORMAT,
        "action_names": trace.action_names,
        "policy": trace.policy,
        "condition": dict(trace.condition),
        "space": trace.space,
        "orientation": trace.orientation,
    }
    if trace.scale is not None and scaled:
        header["scale"] = [trace.scale.black, trace.scale.white]
    if trace.legibility is not None:
        header["legibility"] = trace.legibility
    if trace.precision is not None:
        header["precision"] = trace.precision
    try:
        with written_whole(path) as temporary, temporary.open("xb") as file:
            arrays = {"header": np.array(json.dumps(header)), "pixels": trace.pixels, "actions": trace.actions}
            arrays |= {
                name: array for name, array in (("mask", trace.mask), ("alpha", trace.alpha)) if array is not None
            }
            if trace.icc_profile is not None:
                arrays["icc_profile"] = np.frombuffer(trace.icc_profile, np.uint8)
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise UsageError(f"trace {path} cannot be written: {error.strerror}") from error


class DamagedTraceError(UsageError):
    """There is no trace, or none that can be read: nothing is lost by doing the same again."""


def load_trace(path: str | Path) -> Trace:
    """Read a trace.

    Raises:
        DamagedTraceError: missing, truncated, or not a trace.
        UsageError: it names operations that this version does not know, or has a format of another one.
    """
    path = as_path(path, "trace")
    if not os.path.isfile(path):
        raise DamagedTraceError(f"trace {path} does not exist")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            pixels, actions = file["pixels"], file["actions"]
            mask, alpha, profile = (file.get(name) for name in ("mask", "alpha", "icc_profile"))
        names = tuple(str(name) for name in header["action_names"])
        policy, version = str(header["policy"]), header["format"]
        condition = {str(name): float(value) for name, value in header["condition"].items()}
        space, orientation = str(header.get("space", "srgb")), header.get("orientation", 1)
        scale = Scale(*map(float, header["scale"])) if "scale" in header else None
        legibility = None if header.get("legibility") is None else float(header["legibility"])
        precision = header.get("precision")
    except Exception as error:  # numpy, zipfile and zlib raise a dozen kinds on damaged bytes, zlib.error among them
        said = f"{path} is not a trace of pixelrl, or is truncated; give one that --trace wrote"
        raise DamagedTraceError(said) from error
    if version not in (_FORMAT, _SCALED_FORMAT):
        known = f"{_FORMAT} and {_SCALED_FORMAT}"
        raise UsageError(f"trace {path} has format {version!r}; this version of pixelrl reads {known}")
    ActionSet(names)  # refuses names that this version does not know
    channels = pixels.shape[-1] if pixels.ndim == 3 else 1
    whole = (
        str(pixels.dtype) in FULL
        and (scale is None or (math.isfinite(scale.white - scale.black) and scale.black < scale.white))
        and (legibility is None or 0 <= legibility <= 1)
        and precision in (None, *get_args(Precision))
        and _has_space(space, channels)
        and (mask is None or (mask.dtype == bool and mask.shape == pixels.shape[:2]))
        and (alpha is None or (alpha.dtype == pixels.dtype and alpha.shape == pixels.shape[:2]))
        and (profile is None or (profile.dtype == np.uint8 and profile.ndim == 1))
        and type(orientation) is int
        and 1 <= orientation <= 8
        and pixels.ndim in (2, 3)
        and pixels.size > 0
        and actions.dtype == np.uint8
        and actions.ndim == 4
        and actions.shape[1] in (1, channels)
        and actions.shape[2:] == pixels.shape[:2]
        and (actions.size == 0 or int(actions.max()) < len(names))
    )
    if not whole:
        raise DamagedTraceError(f"trace {path} is damaged: its picture and its action maps do not belong together")
    icc_profile = None if profile is None else profile.tobytes()
    beside = (mask, alpha, orientation, icc_profile, scale, legibility, precision)
    return Trace(pixels, actions, names, policy, condition, space, *beside)


def _has_space(space: str, channels: int) -> bool:
    """Whether it is one, for pictures of so many channels."""
    try:
        kind = kind_of_space(space)
    except UsageError:
        return False
    return channels == 3 or kind not in ("prophoto", OPPONENT) or (kind == OPPONENT and channels == 1)
