"""What a user holds: ``pixelrl.load("denoise-gray")(image) -> Result``.

An `Agent` takes images of any kind, and estimates what it is not told. Huge pictures, block by block, are
`pixelrl.block_agent`'s; what it is by itself, and its episodes on tensors, is `pixelrl.tensor_agent`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.block_agent import BlockAgent
from pixelrl.checkpoint import find_policy, load_policy
from pixelrl.edits import edits_of, laid
from pixelrl.errors import InputError, UsageError
from pixelrl.imaging.color import to_space
from pixelrl.pictures.arrays import AnyImage, unpack
from pixelrl.pictures.scale import Scale, given_scale
from pixelrl.playing import TILE
from pixelrl.progress import Progress
from pixelrl.result import AnyEdits, Result
from pixelrl.rollout import Watch
from pixelrl.tasks.conditioning import Given
from pixelrl.telling import FAR, AnyMask, Conditions, joined, mask_array, object_mask
from pixelrl.types import Image
from pixelrl.validation import brief, is_word

__all__ = ["FAR", "TILE", "Agent", "AnyMask", "choose_device", "load", "object_mask"]


class Agent(BlockAgent):
    """A policy with its actions, ready for images.

    Args:
        policy: in evaluation mode.
        card: what the policy's file says.
        device: where to compute.
        precision: ``auto``, ``fp32`` or ``bf16`` (`load`).

    Raises:
        UsageError: another precision, or bf16 for a policy that knows fp32 alone.
    """

    def __call__(
        self,
        image: AnyImage,
        sigma: Given = "auto",
        peak: Given = "auto",
        steps: int | None = None,
        tile: int | None = TILE,
        edits: AnyEdits = (),
        watch: Watch | None = None,
        strength: Given = "auto",
        mask: AnyMask | None = None,
        condition: Given | Mapping[str, Given] = "auto",
        progress: Progress | None = None,
        white: Given | Scale = "auto",
        legibility: float | None = None,
        begun: Callable[[str], object] | None = None,
    ) -> Result[AnyImage]:
        """Let every pixel act.

        Args:
            image: a numpy array or a tensor, a Pillow image, or a list of images of one size; see
                `pixelrl.pictures.arrays.unpack` for shapes and dtypes. Alpha is kept as it is. Floats are nominally in
                [0, 1], taken and returned unclipped; integers come back clipped and rounded. Pillow images of the modes
                1 and P come back in grey or RGB. A grey policy runs on each channel.
            sigma: short for ``condition={"sigma": ...}``: the level of Gaussian noise in 8-bit grey levels, of which
                there are 255 from black to white.
            peak: likewise, the level of Poisson noise: the mean number of photons at white.
            steps: T; None for the number the policy was trained for.
            tile: side in pixels of the tiles for the network; None for the whole image at once.
            edits: a person's edits, or the path of a file with some, live: the policy sees what comes of them, and
                reacts.
            watch: called at every step, see `run`.
            strength: likewise, how much saliency policies emphasise the object, up to 1; negative to attenuate it.
            mask: for policies that take one, the object: an array or a tensor ``(h, w)``, bool or a number that is not
                0 inside; or a Pillow image (`pixelrl.pictures.masks.inside_of`). Left out, the most salient object of a
                single image is taken (`pixelrl.imaging.objects.salient_object`).
            condition: what the policy is told beside the image: a number, or numbers by name, as many as its
                `conditioning` has. What is left out or "auto" is estimated from each image, or has its default.
            progress: called with the share of the work that is done, up to 1, after every step, and every tile of a
                large image. What it raises ends the run.
            white: the value that stands for white (black is 0), or which values are black and white. If left out, it is
                told by the values (`pixelrl.pictures.scale.scale_of`): 255, 65535 and 1, unless they are in other
                units, which the remark says then. The result is in the units that came in.
            legibility: how plain the maps of operations shall be, from 0 (the best quality) to 1 (the plainest maps);
                None for what the policy's makers recommend (`Agent.legibility`).
            begun: called before the first step with the space (`Trajectory.space`) of the images that ``watch`` is
                given.

        Raises:
            InputError: not an image, or with values that are not finite; a mask of another size, empty or full.
            UsageError: white, steps, legibility or a condition out of range, a condition or a legibility that this
                policy does not take, or an edit that does not fit the image or the policy's operations.
        """
        legibility = self.check_legibility(legibility)
        unpacked = unpack(image, given_scale(white))
        tensor = unpacked.tensor.to(self.device)
        edits = laid(edits_of(edits), (tensor.shape[-2], tensor.shape[-1]), unpacked.orientation)
        given = self._telling.given(condition, {"sigma": sigma, "peak": peak, "strength": strength})
        values, region, planes, space = self._conditions(tensor, given, mask_array(mask, unpacked), unpacked.opacity)
        if begun is not None:
            begun(space)
        play = self._play(steps, tile, edits, watch, space, legibility)
        still = self._telling.still(values)
        trajectory, final = play.but_still(*self.policy_for(tensor.shape[1]), tensor, planes, still, progress)
        remark = joined(unpacked.remark, self.policy.remark(tensor), self._telling.beyond(values))
        told = (tuple(values), region, remark, legibility, self.precision)
        return Result(unpacked.pack(final), trajectory, self.name, *told, unpacked)

    def ensemble(
        self,
        image: AnyImage,
        sigma: Given = "auto",
        peak: Given = "auto",
        steps: int | None = None,
        tile: int | None = TILE,
        strength: Given = "auto",
        mask: AnyMask | None = None,
        condition: Given | Mapping[str, Given] = "auto",
        progress: Progress | None = None,
        white: Given | Scale = "auto",
    ) -> tuple[AnyImage, dict[str, float]]:
        """The mean result over the image's eight symmetries, and its condition: better, eight times slower.

        No single action led to a pixel's mean, so there is no trajectory, and a policy that can be told how plain its
        maps shall be is told 0, the best quality. Arguments and errors are those of `__call__`.
        Of a batch whose images have conditions of their own, the mean condition is returned.
        """
        unpacked = unpack(image, given_scale(white))
        tensor = unpacked.tensor.to(self.device)
        given = self._telling.given(condition, {"sigma": sigma, "peak": peak, "strength": strength})
        values, _, planes, space = self._conditions(tensor, given, mask_array(mask, unpacked), unpacked.opacity)
        mean = {name: fmean(one[name] for one in values) for name in values[0]}
        result, still = tensor.clone(), self._telling.still(values)
        if not still.all():
            result[~still] = self.ensembled(tensor[~still], planes[~still], steps, tile, progress, space)
        return unpacked.pack(result), mean

    def estimate(
        self, images: Sequence[AnyImage], white: Given | Scale = "auto", condition: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """What would be told of images that have their noise in common, such as planes of a stack.

        It is the median of what is estimated from each; single-coloured ones, which have no noise, do not count.

        Args:
            images: as `__call__` takes them.
            white: likewise, for all of them.
            condition: the numbers that are known already.

        Raises:
            InputError: none, not images, or with values that are not finite.
        """
        if not isinstance(images, Sequence) or isinstance(images, (str, bytes)):
            raise InputError(f"{type(images).__name__} is no list of images; give a list, also of a single one")
        if not images:
            raise InputError("nothing can be estimated of no images; give at least one")
        unpacked = [unpack(image, given_scale(white)) for image in images]
        known = self._telling.given({} if condition is None else condition, {})
        telling = [one for one in unpacked if one.tensor.min() < one.tensor.max()] or unpacked[:1]
        values = [
            value
            for one in telling
            for value in self._conditions(one.tensor.to(self.device), known, None, one.opacity).values
        ]
        return {name: median(value[name] for value in values) for name in values[0]}

    def remark(
        self, image: AnyImage, white: Given | Scale = "auto", condition: Mapping[str, float] | None = None
    ) -> str | None:
        """What a person should know of an image before the result disappoints them; None if there is nothing.

        Such as that its values were taken for others than those of its dtype. A policy for salt & pepper noise says so
        where it sees hardly any, and one that is told of more or less noise than in its training.

        Args:
            image: as `__call__` takes it.
            white: likewise.
            condition: what the policy is told of it, every number, if that is to be judged, too.

        Raises:
            InputError: not an image, or with values that are not finite.
        """
        unpacked = unpack(image, given_scale(white))
        beyond = None if condition is None else self._telling.beyond([self._telling.every(condition)])
        return joined(unpacked.remark, self.policy.remark(unpacked.tensor.to(self.device)), beyond)

    def _conditions(
        self,
        image: Image,
        given: Mapping[str, object],
        mask: npt.NDArray[np.generic] | None,
        opacity: Float[Tensor, "b 1 h w"] | None,
    ) -> Conditions:
        self.policy_for(image.shape[1])
        return self._telling.conditions(image, given, mask, opacity)

    def find_object(self, image: AnyImage, white: Given | Scale = "auto") -> npt.NDArray[np.bool_]:
        """The object of an image that is taken where no mask is given: bool ``(h, w)``.

        Raises:
            InputError: not one image, or nothing stands out in it.
            UsageError: the policy takes no mask.
        """
        if not self.takes_mask:
            raise UsageError(f"policy {self.name} takes no mask, so it has no object")
        tensor = unpack(image, given_scale(white)).tensor.to(self.device)
        self.policy_for(tensor.shape[1])
        region = self._telling.region(to_space(tensor, self.card.told_space), None)
        assert region is not None
        found: npt.NDArray[np.bool_] = region.cpu().numpy()
        return found


def load(policy: str | Path, device: str = "auto", precision: str = "auto") -> Agent:
    """Load a shipped policy by name, or a policy file.

    Args:
        policy: one of `pixelrl.shipped_policies()`, or the path of a file made by ``pixelrl train`` or ``import``.
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.
        precision: in which numbers the encoder computes. ``auto`` is bf16 on CPUs with instructions for it, which takes
            half of the encoder's time and costs less than 0.01 dB, else fp32; ``fp32`` gives the same picture on all.

    Raises:
        UsageError: no such policy, a file that is not one, a device that is not there, or another precision.
    """
    chosen = choose_device(device)
    network, card = load_policy(find_policy(policy), chosen)
    return Agent(network, card, chosen, precision)


def choose_device(device: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` as a device.

    Raises:
        UsageError: another word, or ``cuda`` where PyTorch finds none.
    """
    if not is_word(device, ("auto", "cpu", "cuda")):
        raise UsageError(f"device {brief(device)} is unknown; give auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda' is not available: PyTorch finds no CUDA GPU here; give cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
