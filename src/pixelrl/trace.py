"""Traces: what happened to a picture, in one file from which the result can be rebuilt without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pixelrl.actions import ActionSet
from pixelrl.errors import UsageError
from pixelrl.imaging.color import SPACES
from pixelrl.pictures.arrays import SCALES, Array, array_to_tensor, tensor_to_array
from pixelrl.pictures.atomic import written_whole
from pixelrl.rollout import Trajectory

_FORMAT = 1


@dataclass(frozen=True)
class Trace:
    """One picture and the operation of every pixel at every step.

    Attributes:
        pixels: the input, ``(h, w)`` or ``(h, w, c)``, in the dtype it came in.
        actions: uint8 ``(t, g, h, w)``, indices into ``action_names``; g is 1 or c.
        action_names: the named operations.
        policy: the name of the policy that chose them.
        condition: what it was told, for instance ``{"sigma": 25.0}``; empty if nothing.
        space: the RGB space on whose values the operations are carried out (`pixelrl.imaging.color.SPACES`).
        mask: bool ``(h, w)``, the object that was emphasised or attenuated; None where the policy takes none.
    """

    pixels: Array
    actions: npt.NDArray[np.uint8]
    action_names: tuple[str, ...]
    policy: str
    condition: Mapping[str, float] = field(default_factory=dict)
    space: str = "srgb"
    mask: npt.NDArray[np.bool_] | None = None

    def trajectory(self) -> Trajectory:
        """As tensors, ``b`` = 1."""
        actions = torch.from_numpy(self.actions)[:, None]
        return Trajectory(array_to_tensor(self.pixels), actions, self.action_names, self.space)

    def replay(self) -> Array:
        """Carry the recorded operations out again: the result, bit for bit, in the input's dtype and shape."""
        return tensor_to_array(self.trajectory().final(), str(self.pixels.dtype), self.pixels.ndim)


def save_trace(path: Path, trace: Trace) -> None:
    """Write a trace (compressed ``.npz``, to a temporary name and then renamed).

    Raises:
        UsageError: the place cannot be written.
    """
    header = {
        "format": _FORMAT,
        "action_names": trace.action_names,
        "policy": trace.policy,
        "condition": dict(trace.condition),
        "space": trace.space,
    }
    try:
        with written_whole(path) as temporary, temporary.open("xb") as file:
            arrays = {"header": np.array(json.dumps(header)), "pixels": trace.pixels, "actions": trace.actions}
            if trace.mask is not None:
                arrays["mask"] = trace.mask
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise UsageError(f"trace {path} cannot be written: {error.strerror}") from error


def load_trace(path: Path) -> Trace:
    """Read a trace.

    Raises:
        UsageError: missing, truncated, or not a trace; or it names operations that this version does not know.
    """
    if not path.is_file():
        raise UsageError(f"trace {path} does not exist")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            pixels, actions = file["pixels"], file["actions"]
            mask = file.get("mask")
        names = tuple(str(name) for name in header["action_names"])
        policy, version = str(header["policy"]), header["format"]
        condition = {str(name): float(value) for name, value in header["condition"].items()}
        space = str(header.get("space", "srgb"))
    except Exception as error:  # numpy, zipfile and zlib raise a dozen kinds on damaged bytes, zlib.error among them
        raise UsageError(f"{path} is not a trace of pixelrl, or is truncated; give one that --trace wrote") from error
    if version != _FORMAT:
        raise UsageError(f"trace {path} has format {version!r}; this version of pixelrl reads {_FORMAT}")
    ActionSet(names)  # refuses names that this version does not know
    channels = pixels.shape[-1] if pixels.ndim == 3 else 1
    whole = (
        str(pixels.dtype) in SCALES
        and space in SPACES
        and (mask is None or (mask.dtype == bool and mask.shape == pixels.shape[:2]))
        and pixels.ndim in (2, 3)
        and pixels.size > 0
        and actions.dtype == np.uint8
        and actions.ndim == 4
        and actions.shape[1] in (1, channels)
        and actions.shape[2:] == pixels.shape[:2]
        and (actions.size == 0 or int(actions.max()) < len(names))
    )
    if not whole:
        raise UsageError(f"trace {path} is damaged: its picture and its action maps do not belong together")
    return Trace(pixels, actions, names, policy, condition, space, mask)
