"""Traces, read and written as ``pixelrl.trace`` does: what happened to a picture, to be rebuilt without a network."""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pixelrl_onnx.arrays import FULL, Array, to_pixels, to_planes
from pixelrl_onnx.episode import Maps, replay
from pixelrl_onnx.errors import UsageError

_FORMATS = (1, 2)
"""2 if the picture's values are in units other than those of their dtype."""


@dataclass(frozen=True)
class Trace:
    """One picture and the operation of every pixel at every step; the attributes are those of ``pixelrl.Trace``.

    Attributes:
        pixels: the input, ``(h, w)`` or ``(h, w, c)``, in the dtype it came in.
        actions: uint8 ``(t, g, h, w)``, indices into ``action_names``.
        action_names: the named operations.
        policy: the name of the policy that chose them.
        condition: what it was told, for instance ``{"sigma": 25.0}``.
        space: the space on whose values the operations are carried out.
        scale: which values of ``pixels`` are black and white; None for those of their dtype.
        legibility: how plain the maps were to be; None where that is not known.
        precision: in which numbers the estimate was computed; None where that is not known.
        alpha: ``(h, w)`` in the dtype of ``pixels``, or None.
        orientation: how the stored pixels are to be turned for display, as EXIF numbers it.
        icc_profile: the colour profile of the pixels, or None.
        mask: bool ``(h, w)``, an object in the picture, or None.
    """

    pixels: Array
    actions: Maps
    action_names: tuple[str, ...]
    policy: str
    condition: Mapping[str, float] = field(default_factory=dict)
    space: str = "srgb"
    scale: tuple[float, float] | None = None
    legibility: float | None = None
    precision: str | None = None
    alpha: Array | None = None
    orientation: int = 1
    icc_profile: bytes | None = None
    mask: npt.NDArray[np.bool_] | None = None

    def replay(self) -> Array:
        """Carry the recorded operations out again: the result, in the input's dtype and shape.

        Raises:
            UsageError: an operation or a space that this runner does not know.
        """
        scale = self.scale or (0.0, FULL[self.pixels.dtype.name])
        final = replay(to_planes(self.pixels, scale), self.actions, self.action_names, self.space)
        return to_pixels(final, self.pixels, scale)


def save_trace(path: str | Path, trace: Trace) -> None:
    """Write a trace (compressed ``.npz``, to a temporary name and then renamed).

    Raises:
        UsageError: the place cannot be written.
    """
    scaled = trace.scale not in (None, (0.0, FULL[trace.pixels.dtype.name]))
    header: dict[str, object] = {
        "format": _FORMATS[scaled],
        "action_names": trace.action_names,
        "policy": trace.policy,
        "condition": dict(trace.condition),
        "space": trace.space,
        "orientation": trace.orientation,
    }
    more = {"scale": trace.scale if scaled else None, "legibility": trace.legibility, "precision": trace.precision}
    header |= {name: value for name, value in more.items() if value is not None}
    arrays = {"header": np.array(json.dumps(header)), "pixels": trace.pixels, "actions": trace.actions}
    arrays |= {name: array for name, array in (("mask", trace.mask), ("alpha", trace.alpha)) if array is not None}
    if trace.icc_profile is not None:
        arrays["icc_profile"] = np.frombuffer(trace.icc_profile, np.uint8)
    try:
        with written_whole(Path(path)) as temporary, temporary.open("xb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise UsageError(f"trace {path} cannot be written: {error.strerror}") from error


def load_trace(path: str | Path) -> Trace:
    """Read a trace of this runner or of pixelrl.

    Raises:
        UsageError: missing, truncated, or not a trace.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"trace {path} does not exist")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            pixels, actions = file["pixels"], file["actions"]
            mask, alpha, profile = (file.get(name) for name in ("mask", "alpha", "icc_profile"))
        version = header["format"]
        black_white = [float(value) for value in header.get("scale", ())]
        trace = Trace(
            pixels,
            actions,
            tuple(str(name) for name in header["action_names"]),
            str(header["policy"]),
            {str(name): float(value) for name, value in header["condition"].items()},
            str(header.get("space", "srgb")),
            (black_white[0], black_white[1]) if black_white else None,
            header.get("legibility"),
            header.get("precision"),
            alpha,
            int(header.get("orientation", 1)),
            None if profile is None else profile.tobytes(),
            mask,
        )
    except Exception as error:  # numpy, zipfile and zlib raise a dozen kinds on damaged bytes
        raise UsageError(f"{path} is not a trace of pixelrl, or is truncated; give one that --trace wrote") from error
    if version not in _FORMATS:
        raise UsageError(f"trace {path} has format {version!r}; this version of pixelrl-onnx reads 1 and 2")
    if not _whole(trace):
        raise UsageError(f"trace {path} is damaged: its picture and its action maps do not belong together")
    return trace


def _whole(trace: Trace) -> bool:
    pixels, actions, scale = trace.pixels, trace.actions, trace.scale
    channels = pixels.shape[-1] if pixels.ndim == 3 else 1
    return (
        pixels.dtype.name in FULL
        and pixels.ndim in (2, 3)
        and pixels.size > 0
        and (scale is None or (math.isfinite(scale[1] - scale[0]) and scale[0] < scale[1]))
        and actions.dtype == np.uint8
        and actions.ndim == 4
        and actions.shape[1] in (1, channels)
        and actions.shape[2:] == pixels.shape[:2]
        and (actions.size == 0 or int(actions.max()) < len(trace.action_names))
        and (trace.alpha is None or trace.alpha.shape == pixels.shape[:2])
    )


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it is renamed in the end, or removed if anything goes wrong."""
    temporary = path.parent / f".pixelrl-{secrets.token_hex(8)}.tmp"
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
