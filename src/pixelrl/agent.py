"""What a user holds: ``pixelrl.load("denoise-gray")(image) -> Result``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, cast

import numpy as np
import numpy.typing as npt
import torch

from pixelrl.actions import ActionSet
from pixelrl.checkpoint import PolicyCard, find_policy, load_policy
from pixelrl.edits import Edit, Mask
from pixelrl.errors import InputError, UsageError
from pixelrl.imaging.color import from_space, to_space
from pixelrl.imaging.noise import NOISE_LEVELS
from pixelrl.imaging.saliency import salient_object
from pixelrl.imaging.saliency import told as told_of_pixels
from pixelrl.pictures.arrays import AnyImage, Array, Unpacked, unpack
from pixelrl.policies import Policy
from pixelrl.rollout import Trajectory, Watch, rollout
from pixelrl.trace import Trace
from pixelrl.types import Condition, Image

TILE = 1024
"""Side in pixels of the tiles that the network sees of large images. It bounds memory; `pixelrl.policies.tiling` says
what it changes (rounding at most)."""

STRENGTH = 0.5
"""What saliency policies are told if nothing is said: much, and the picture stays natural."""

Level = float | Literal["auto"]


@dataclass(frozen=True)
class Result(Generic[AnyImage]):
    """What an agent did to an image.

    Attributes:
        image: the result, of the type, dtype and shape that came in.
        trajectory: the operation of every pixel at every step; ``trajectory.actions`` is ``(t, b, g, h, w)``.
        policy: the name of the policy.
        condition: what the policy was told, for instance ``{"sigma": 25.0}``; empty if it takes nothing.
        mask: bool ``(h, w)``, the object that was emphasised or attenuated; None for policies that take no mask.
    """

    image: AnyImage
    trajectory: Trajectory
    policy: str
    condition: Mapping[str, float]
    mask: Mask | None
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
        names, space = self.trajectory.action_names, self.trajectory.space
        mask = None if self.mask is None else self.mask.cpu().numpy()
        return Trace(self._pixels, maps, names, self.policy, dict(self.condition), space, mask)


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

    @property
    def num_channels(self) -> int:
        """Channels that the policy sees together: 3 for colour, 1 for one that runs on each channel by itself."""
        return int(cast(int, self.card.arguments.get("num_channels", 1)))

    @property
    def takes_mask(self) -> bool:
        """Whether it is told of an object in the image, by a mask."""
        return self.card.condition == "strength"

    def __call__(
        self,
        image: AnyImage,
        sigma: Level = "auto",
        peak: Level = "auto",
        steps: int | None = None,
        tile: int | None = TILE,
        edits: Sequence[Edit] = (),
        watch: Watch | None = None,
        strength: Level = "auto",
        mask: npt.NDArray[np.generic] | None = None,
    ) -> Result[AnyImage]:
        """Let every pixel act.

        Args:
            image: numpy ``(h, w)`` or ``(h, w, c)`` of uint8, uint16 or float; a Pillow image (alpha is kept as it
                is); or a float tensor ``(b, c, h, w)``. Floats are nominally in [0, 1], taken and returned unclipped;
                integers come back clipped and rounded. A grey policy runs on each channel.
            sigma: level of Gaussian noise in 8-bit grey levels, or "auto" to estimate it.
            peak: level of Poisson noise, the mean number of photons at white, or "auto" to estimate it.
            steps: T; None for the number the policy was trained for.
            tile: side in pixels of the tiles for the network; None for the whole image at once.
            edits: a person's edits (`pixelrl.load_edits`), live: the policy sees what comes of them, and reacts.
            watch: told of every step, see `run`.
            strength: for saliency policies, how much to emphasise the object, up to 1; negative to attenuate it;
                `STRENGTH` for "auto".
            mask: for saliency policies, the object: ``(h, w)``, bool or a number that is not 0 inside. Left out, the
                most salient object of a single image is taken (`pixelrl.imaging.saliency.salient_object`).

        Raises:
            InputError: not an image, or with values that are not finite; a mask of another size, empty or full.
            UsageError: steps or a level out of range, a level that this policy does not take, or an edit that does not
                fit the image or the policy's operations.
        """
        tensor, pixels, alpha = _unpack(image)
        tensor = tensor.to(self.device)
        told = self._told(tensor, sigma, peak, strength)
        region = self._region(tensor, mask)
        condition = self.condition(tensor, told, region)
        trajectory, final = self.run(tensor, condition, steps, tile, edits, watch)
        return Result(_pack(final, image, alpha), trajectory, self.name, told, region, pixels)

    def ensemble(
        self,
        image: AnyImage,
        sigma: Level = "auto",
        peak: Level = "auto",
        steps: int | None = None,
        tile: int | None = TILE,
    ) -> tuple[AnyImage, dict[str, float]]:
        """The mean result over the image's eight symmetries, and what the policy was told: better, eight times slower.

        No single action led to a pixel's mean, so there is no trajectory. Arguments and errors are those of `__call__`.
        """
        tensor, _, alpha = _unpack(image)
        tensor = tensor.to(self.device)
        told = self._told(tensor, sigma, peak, "auto")
        condition = self.condition(tensor, told, self._region(tensor, None))
        return _pack(self.ensembled(tensor, condition, steps, tile), image, alpha), told

    def _told(self, image: Image, sigma: Level, peak: Level, strength: Level) -> dict[str, float]:
        """What the policy is told, by name: the level that was given or estimated."""
        name, levels = self.card.condition, {"sigma": sigma, "peak": peak, "strength": strength}
        for key, value in levels.items():
            if value != "auto" and key != name:
                takes = "no noise level" if name is None else name
                raise UsageError(f"{key} = {value!r} cannot be used: policy {self.name} takes {takes}; leave {key} out")
        if name is None:
            return {}
        if name not in levels:
            raise UsageError(f"policy {self.name} is told {name}, which is no kind of noise level; use Agent.run")
        value = levels[name]
        number = not isinstance(value, bool) and isinstance(value, (int, float))
        if name == "strength":
            if value == "auto":
                return {name: STRENGTH}
            if not number or not 0 < abs(float(value)) <= 1:
                raise UsageError(
                    f"strength = {value!r} is not a strength; give a number up to 1, negative to attenuate"
                )
            return {name: float(value)}
        kind = NOISE_LEVELS[name]
        if value == "auto":
            return {name: float(kind.estimate(image))}
        low, high = kind.limits
        if not number or not low <= float(value) < high:
            raise UsageError(f'{name} = {value!r} is not a noise level; give {kind.unit}, at least {low:g}, or "auto"')
        return {name: float(value)}

    def _region(self, image: Image, mask: npt.NDArray[np.generic] | None) -> Mask | None:
        """The mask as a tensor, or the most salient object, for a policy that takes one."""
        if not self.takes_mask:
            if mask is not None:
                raise UsageError(f"a mask cannot be used: policy {self.name} takes none; leave it out")
            return None
        if image.shape[1] != self.num_channels:
            raise InputError(f"policy {self.name} takes {self.num_channels} channels, the image has {image.shape[1]}")
        if mask is not None:
            return object_mask(mask, *image.shape[-2:])
        if len(image) != 1:
            raise InputError(f"{len(image)} images have no common object; give a mask")
        return salient_object(image)

    def condition(self, image: Image, told: Mapping[str, float], mask: Mask | None = None) -> Condition:
        """What the policy is told, as it sees it: ``(b, 1)``, or with a mask what is wanted of every pixel.

        Args:
            image: ``(b, c, h, w)``.
            told: by name, as in `Result.condition`.
            mask: as in `Result.mask`.
        """
        if mask is not None:
            masks = mask.to(image.device).expand(len(image), 1, -1, -1)
            return told_of_pixels(image, masks, image.new_full((len(image), 1), told["strength"]))
        for name, value in told.items():
            return image.new_full((len(image), 1), NOISE_LEVELS[name].encode(value))
        return image.new_zeros((len(image), 1))

    def run(
        self,
        image: Image,
        condition: Condition,
        steps: int | None = None,
        tile: int | None = TILE,
        edits: Sequence[Edit] = (),
        watch: Watch | None = None,
    ) -> tuple[Trajectory, Image]:
        """Play one greedy episode on ``(b, c, h, w)``; a grey policy has one agent for each of the c channels.

        ``watch`` is told of every step. The b x c planes of a grey policy may come in several groups, one after the
        other, each with all its steps.

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
        trained = self.num_channels
        if channels != trained and trained != 1:
            raise InputError(f"policy {self.name} takes {trained} channels, the image has {channels}")
        folded = to_space(image, self.card.space).reshape(-1, trained, height, width)
        conditions = condition.repeat_interleave(len(folded) // batch, 0)
        side = None if tile is None or max(height, width) <= tile else tile
        # Many small planes at a time, or one large one: as much memory either way.
        at_once = max(1, (tile or TILE) ** 2 // (height * width))
        maps, finals = [], []
        for planes, levels in zip(torch.split(folded, at_once), torch.split(conditions, at_once), strict=True):
            trajectory, final = rollout(self.policy, self.actions, planes, levels, num_steps, side, edits, watch)
            maps.append(trajectory.actions)
            finals.append(final)
        actions = torch.cat(maps, 1)
        if channels != trained:
            actions = actions.reshape(num_steps, batch, channels, height, width)
        final = from_space(torch.cat(finals).view_as(image), self.card.space)
        return Trajectory(image, actions, self.actions.names, self.card.space), final

    def ensembled(self, image: Image, condition: Condition, steps: int | None = None, tile: int | None = TILE) -> Image:
        """The mean final image of `run` over the eight symmetries of the square (the paper's "+ aug.")."""
        total = torch.zeros_like(image)
        for mirrored in (False, True):
            for quarter_turns in range(4):
                turned, told = (
                    torch.rot90(x.flip(-1) if mirrored else x, quarter_turns, (-2, -1)).contiguous()
                    if x.ndim == 4
                    else x
                    for x in (image, condition)
                )
                _, final = self.run(turned, told, steps, tile)
                back = torch.rot90(final, -quarter_turns, (-2, -1))
                total += back.flip(-1) if mirrored else back
        return total / 8


def object_mask(mask: npt.NDArray[np.generic], height: int, width: int) -> Mask:
    """A mask as saliency policies take it: bool ``(height, width)``, True where it is not 0.

    Raises:
        InputError: it is of another size, empty or full.
    """
    if mask.shape != (height, width):
        sizes = [" x ".join(map(str, reversed(shape))) for shape in (mask.shape, (height, width))]
        raise InputError(f"the mask is {sizes[0]} pixels, the image {sizes[1]}; they must be of one size")
    region = torch.from_numpy(np.asarray(mask) != 0)
    if not region.any() or region.all():
        whole = "empty" if not region.any() else "the whole image"
        raise InputError(f"the mask is {whole}; it must leave something inside and something outside")
    return region


def load(policy: str | Path, device: str = "auto") -> Agent:
    """Load a shipped policy by name, or a policy file.

    Args:
        policy: one of `pixelrl.shipped_policies()`, or the path of a file made by ``pixelrl train`` or ``import``.
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Raises:
        UsageError: no such policy, a file that is not one, or a device that is not there.
    """
    chosen = choose_device(device)
    network, card = load_policy(find_policy(policy), chosen)
    return Agent(network, card, chosen)


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


def _unpack(image: AnyImage) -> tuple[Image, Array, Unpacked[AnyImage]]:
    unpacked = unpack(image)
    pixels = unpacked.pixels if unpacked.pixels is not None else np.zeros((0, 0), np.uint8)
    return unpacked.tensor, pixels, unpacked


def _pack(final: Image, like: AnyImage, unpacked: Unpacked[AnyImage]) -> AnyImage:
    return unpacked.pack(final)
