"""What a user holds: ``pixelrl.load("denoise-gray")(image) -> Result``."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Generic, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from skimage.restoration import estimate_sigma
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.arrays import Array, array_to_tensor, arrays_to_pillow, pillow_to_arrays, tensor_to_array
from pixelrl.checkpoint import PolicyCard, load_policy
from pixelrl.errors import InputError, UsageError
from pixelrl.policies import Policy
from pixelrl.rollout import Trajectory, rollout
from pixelrl.trace import Trace
from pixelrl.types import Condition, Image

TILE = 1024
"""Side in pixels of the tiles that the network sees of large images. It bounds memory; `pixelrl.policies.tiling` says
what it changes (for the lookahead policy no bit, on x86 CPUs with AVX2)."""

AnyImage = TypeVar("AnyImage", npt.NDArray[np.generic], PillowImage.Image, Tensor)
Sigma = float | Literal["auto"]


@dataclass(frozen=True)
class Result(Generic[AnyImage]):
    """What an agent did to an image.

    Attributes:
        image: the result, of the type, dtype and shape that came in.
        trajectory: the operation of every pixel at every step; ``trajectory.actions`` is ``(t, b, g, h, w)``.
        policy: the name of the policy.
        sigma: the noise level that the policy was told, in grey levels, or None if it takes none.
    """

    image: AnyImage
    trajectory: Trajectory
    policy: str
    sigma: float | None
    _pixels: Array

    def trace(self) -> Trace:
        """The episode as it is saved by `pixelrl.save_trace`.

        Raises:
            ValueError: a batch of several images has no single trace.
        """
        actions = self.trajectory.actions
        if actions.shape[1] != 1:
            raise ValueError(f"a trace holds one image, not a batch of {actions.shape[1]}")
        maps = actions[:, 0].to(torch.uint8).cpu().numpy()
        return Trace(self._pixels, maps, self.trajectory.action_names, self.policy, self.sigma)


class Agent:
    """A policy with its actions, ready for images.

    Args:
        policy: in evaluation mode.
        card: what the policy's file says.
        device: where to compute.
    """

    def __init__(self, policy: Policy, card: PolicyCard, device: torch.device) -> None:
        self.policy, self.card, self.device = policy.to(device), card, device
        self.actions = ActionSet(card.action_names)

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.card.name

    def __call__(
        self, image: AnyImage, sigma: Sigma = "auto", steps: int | None = None, tile: int | None = TILE
    ) -> Result[AnyImage]:
        """Let every pixel act.

        Args:
            image: numpy ``(h, w)`` or ``(h, w, c)`` of uint8, uint16 or float; a Pillow image (alpha is kept as it
                is); or a float tensor ``(b, c, h, w)``. Floats are nominally in [0, 1], taken and returned unclipped;
                integers come back clipped and rounded. A grey policy runs on each channel.
            sigma: noise level in 8-bit grey levels, or "auto" to estimate it. Ignored by policies that take none.
            steps: T; None for the number the policy was trained for.
            tile: side in pixels of the tiles for the network; None for the whole image at once.

        Raises:
            InputError: not an image, or with values that are not finite.
            UsageError: sigma or steps out of range.
        """
        tensor, pixels, alpha = _unpack(image)
        tensor = tensor.to(self.device)
        level = self.noise_level(tensor, sigma)
        condition = tensor.new_full((len(tensor), 1), (level or 0.0) / 255)
        trajectory, final = self.run(tensor, condition, steps, tile)
        return Result(_pack(final, image, alpha), trajectory, self.name, level, pixels)

    def noise_level(self, image: Image, sigma: Sigma) -> float | None:
        """The sigma that the policy is told: as given, or estimated; None if it takes none.

        Raises:
            UsageError: not a number of at least 0 nor "auto".
        """
        if self.card.condition is None:
            return None
        if sigma == "auto":
            return estimate_noise(image)
        if isinstance(sigma, bool) or not isinstance(sigma, (int, float)) or not 0 <= sigma < float("inf"):
            raise UsageError(f'sigma = {sigma!r} is not a noise level; give grey levels of at least 0, or "auto"')
        return float(sigma)

    def run(
        self, image: Image, condition: Condition, steps: int | None = None, tile: int | None = TILE
    ) -> tuple[Trajectory, Image]:
        """Play one greedy episode on ``(b, c, h, w)``; a grey policy has one agent for each of the c channels.

        Raises:
            InputError: a number of channels that the policy cannot take.
            UsageError: fewer than 0 steps.
        """
        num_steps = self.card.num_steps if steps is None else steps
        if num_steps < 0:
            raise UsageError(f"steps = {num_steps} is too few; give 0 or more")
        if tile is not None and tile < 1:
            raise UsageError(f"tile = {tile} is too small; give pixels, or None for the whole image at once")
        batch, channels, height, width = image.shape
        trained = int(cast(int, self.card.arguments.get("num_channels", 1)))
        if channels != trained and trained != 1:
            raise InputError(f"policy {self.name} takes {trained} channels, the image has {channels}")
        folded = image.reshape(-1, trained, height, width)
        conditions = condition.repeat_interleave(len(folded) // batch, 0)
        side = None if tile is None or max(height, width) <= tile else tile
        # Many small planes at a time, or one large one: as much memory either way.
        at_once = max(1, (tile or TILE) ** 2 // (height * width))
        maps, finals = [], []
        for planes, levels in zip(torch.split(folded, at_once), torch.split(conditions, at_once), strict=True):
            trajectory, final = rollout(self.policy, self.actions, planes, levels, num_steps, side)
            maps.append(trajectory.actions)
            finals.append(final)
        actions = torch.cat(maps, 1)
        if channels != trained:
            actions = actions.reshape(num_steps, batch, channels, height, width)
        return Trajectory(image, actions, self.actions.names), torch.cat(finals).view_as(image)


def load(policy: str | Path, device: str = "auto") -> Agent:
    """Load a shipped policy by name, or a policy file.

    Args:
        policy: one of `shipped_policies()`, or the path of a file made by ``pixelrl train`` or ``import``.
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Raises:
        UsageError: no such policy, a file that is not one, or a device that is not there.
    """
    chosen = choose_device(device)
    shipped = shipped_policies()
    if str(policy) in shipped:
        path = shipped[str(policy)]
    else:
        path = Path(policy)
        if not path.exists():
            names = ", ".join(shipped) or "none"
            raise UsageError(f"policy {str(policy)!r} is neither a file nor a shipped policy; shipped are {names}")
    network, card = load_policy(path, chosen)
    return Agent(network, card, chosen)


def shipped_policies() -> dict[str, Path]:
    """Name and file of every policy in the package."""
    folder = Path(str(resources.files("pixelrl"))) / "weights"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def choose_device(device: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` as a device.

    Raises:
        UsageError: another word, or ``cuda`` where PyTorch finds none.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device {device!r} is unknown; give auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda' is not available: PyTorch finds no CUDA GPU here; give cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def estimate_noise(image: Image) -> float:
    """Sigma in grey levels, from the finest wavelet coefficients: the mean over images and channels.

    The median absolute deviation of Donoho and Johnstone (1994), scikit-image's `estimate_sigma`. Images smaller
    than 2x2 have no such coefficients: 0.
    """
    if min(image.shape[-2:]) < 2:
        return 0.0
    planes = image.flatten(0, 1).cpu().numpy()
    with warnings.catch_warnings():
        # Of planes up to four pixels wide it thinks that they might be colours; a plane without any detail has no
        # coefficients to take a median of, and no noise: NaN, which counts as 0.
        warnings.simplefilter("ignore")
        sigmas = estimate_sigma(planes, channel_axis=0)
    return 255 * float(np.mean(np.nan_to_num(sigmas)))


def _unpack(image: npt.NDArray[np.generic] | PillowImage.Image | Tensor) -> tuple[Image, Array, Array | None]:
    """The tensor, the pixels as an array for the trace, and the alpha channel: copies, for callers reuse buffers."""
    if isinstance(image, Tensor):
        if image.ndim != 4 or not image.is_floating_point() or image.numel() == 0:
            given = f"{image.dtype} of shape {tuple(image.shape)}"
            raise InputError(f"a tensor must be floating point (b, c, h, w) with pixels, not {given}")
        if not torch.isfinite(image).all():
            raise InputError("the image has values that are NaN or infinite; replace them first")
        copy = image.detach().to(torch.float32, copy=True).contiguous()
        return copy, copy[0].cpu().movedim(0, -1).numpy().copy(), None
    if isinstance(image, PillowImage.Image):
        array, alpha = pillow_to_arrays(image)
        return array_to_tensor(array), array.copy(), alpha
    if isinstance(image, np.ndarray):
        return array_to_tensor(image), image.copy(), None
    raise InputError(f"{type(image).__name__} is not an image; give a numpy array, a Pillow image or a tensor")


def _pack(final: Image, like: AnyImage, alpha: Array | None) -> AnyImage:
    if isinstance(like, Tensor):
        return final.to(like.device, like.dtype)
    if isinstance(like, PillowImage.Image):
        ndim = 2 if final.shape[1] == 1 else 3
        array = tensor_to_array(final, "float32" if like.mode == "F" else str(np.asarray(like).dtype), ndim)
        return arrays_to_pillow(array, alpha, like)
    return tensor_to_array(final, str(like.dtype), like.ndim)
