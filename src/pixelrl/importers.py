"""Read the weights that the paper's authors released: Chainer's ``.npz`` files, one array per parameter."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pixelrl.actions import PAPER_NINE
from pixelrl.checkpoint import PolicyCard
from pixelrl.errors import UsageError
from pixelrl.policies.fcn import FCN
from pixelrl.validation import as_path

_CHAINER_LAYERS = {
    "enter": "conv1",
    "shared.0": "diconv2/diconv",
    "shared.2": "diconv3/diconv",
    "shared.4": "diconv4/diconv",
    "actor.0": "diconv5_pi/diconv",
    "actor.2": "diconv6_pi/diconv",
    "critic.0": "diconv5_V/diconv",
    "critic.2": "diconv6_V/diconv",
    "to_value": "conv7_V",
}
"""Chainer's name of each of our layers. The GRU's layers are called conv7_ and what we call them."""

_DAMAGE = (
    ValueError,
    EOFError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise for archives that are damaged or encrypted, or hold anything but numbers."""

_Array = npt.NDArray[Any]

NUM_STEPS = 5
"""T, with which all of these weights were trained."""


def import_chainer(path: str | Path) -> tuple[FCN, PolicyCard]:
    """Read one of the authors' files for grey images: plain, with convGRU, or with convGRU and RMC.

    Which of them it is follows from the names of the arrays. Every array must be of use, and every
    parameter is filled.

    Returns:
        The policy in evaluation mode and its card, named after the file.

    Raises:
        UsageError: the file is no readable ``.npz`` of plain arrays, or a name, shape or value in it is not
            right (the message names the first one and what was expected).
    """
    path = as_path(path, "weights")
    arrays = _read_arrays(path)
    recurrent = any(name.startswith(("conv7_U", "conv7_W", "conv8_pi/")) for name in arrays)
    convolution = any(name.startswith("conv_R/") for name in arrays)
    policy = FCN(len(PAPER_NINE), recurrent=recurrent, reward_map_convolution=convolution)
    expected = _expected(policy)
    for name, parameter in expected.items():
        if name not in arrays:
            raise UsageError(f"{path} has no array {name!r}; expected is one of shape {tuple(parameter.shape)}")
    for name in arrays:
        if name not in expected:
            raise UsageError(f"{path} has an unknown array {name!r}; expected are only {', '.join(expected)}")
    for name, parameter in expected.items():
        _check(arrays[name], tuple(parameter.shape), f"{path}: array {name!r}")
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(arrays[name]))
    card = PolicyCard(
        name=path.stem,
        kind="fcn",
        arguments={"recurrent": recurrent, "reward_map_convolution": convolution},
        action_names=PAPER_NINE,
        num_steps=NUM_STEPS,
        condition=None,
        training={"imported_from": path.name},
    )
    return policy.eval(), card


def _read_arrays(path: Path) -> dict[str, _Array]:
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise UsageError(f"{path} is not a whole .npz file; expected is one that Chainer saved")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: np.asarray(archive[name]) for name in archive.files}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except _DAMAGE as error:
        raise UsageError(f"{path} is not a whole .npz file of plain arrays of numbers: {error}") from error


def _expected(policy: FCN) -> dict[str, Tensor]:
    """Every parameter of ``policy`` under Chainer's name."""
    layers = _CHAINER_LAYERS | {"to_logits": "conv7_pi/model" if policy.gru is None else "conv8_pi/model"}
    found: dict[str, Tensor] = {}
    for name, parameter in policy.named_parameters():
        layer, _, kind = name.rpartition(".")
        if layer.startswith("gru."):
            found[f"conv7_{layer.removeprefix('gru.')}/W"] = parameter
        elif kind == "reward_kernel":
            found["conv_R/W"] = parameter
        else:
            found[f"{layers[layer]}/{'W' if kind == 'weight' else 'b'}"] = parameter
    return found


def _check(array: _Array, shape: tuple[int, ...], where: str) -> None:
    if array.shape != shape:
        raise UsageError(f"{where} has shape {array.shape}; expected is {shape}")
    if array.dtype != np.float32:
        raise UsageError(f"{where} holds {array.dtype}; expected is float32")
    if not np.isfinite(array).all():
        raise UsageError(f"{where} holds values that are not finite; expected are finite numbers only")
