"""What a policy is told of images: from what a caller gives to numbers, planes, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from PIL import Image as PillowImage
from torch import Tensor

from pixelrl.checkpoint import PolicyCard
from pixelrl.edits import DO_NOTHING, Mask
from pixelrl.errors import InputError, UsageError
from pixelrl.imaging.color import to_space
from pixelrl.imaging.noise import covered, in_common
from pixelrl.pictures.arrays import AnyImage, Unpacked
from pixelrl.pictures.masks import pillow_mask
from pixelrl.pictures.values import plain
from pixelrl.tasks.conditioning import Conditioning, is_auto
from pixelrl.types import Condition, Image
from pixelrl.validation import brief, finite_number

FAR = 10.0
"""How many times weaker than any in its training noise may be for a policy to work on it. Told ten times the largest
peak of its training, poisson-gray gained 2 to 4 dB on four photographs; told fifty times, 0.2 dB to -1.9 dB."""

AnyMask = npt.NDArray[np.generic] | PillowImage.Image | Tensor


class Conditions(NamedTuple):
    """What a policy is told of the images of a batch.

    Attributes:
        values: the numbers, by name, of each image.
        region: the object in all of them, for a policy that takes one.
        planes: both, as the policy sees them.
        space: that of the values in which they hold.
    """

    values: list[dict[str, float]]
    region: Mask | None
    planes: Condition
    space: str


@dataclass(frozen=True)
class Telling:
    """Tells one policy of images.

    Attributes:
        card: the policy's.
        conditioning: that which the card names.
    """

    card: PolicyCard
    conditioning: Conditioning

    def given(self, condition: object, short: Mapping[str, object]) -> dict[str, object]:
        """What a caller gives, by the names of the conditioning's quantities.

        Args:
            condition: a number, numbers by name, or "auto".
            short: numbers by name, or "auto", which the policy may not even have.

        Raises:
            UsageError: a quantity that this policy does not take, or one that is given twice.
        """
        names = [quantity.name for quantity in self.conditioning.quantities]
        takes, policy = " and ".join(names) or "no noise level", self.card.name
        given: dict[str, object] = {name: value for name, value in short.items() if not is_auto(value)}
        if isinstance(condition, Mapping):
            by_name = {str(name): value for name, value in condition.items()}
        elif is_auto(condition):
            by_name = {}
        elif len(names) == 1:
            by_name = {names[0]: condition}
        else:
            instead = "give each by its name" if names else "leave it out"
            raise UsageError(f"condition = {brief(condition)} cannot be used: policy {policy} takes {takes}; {instead}")
        for name in given.keys() & by_name.keys():
            raise UsageError(f"{name} is given twice, also in condition; leave one out")
        given |= by_name
        for name, value in given.items():
            if name not in names:
                what = brief(value)
                raise UsageError(f"{name} = {what} cannot be used: policy {policy} takes {takes}; leave {name} out")
        return given

    def every(self, condition: Mapping[str, float]) -> dict[str, float]:
        """The numbers by name, of which none may be missing.

        Raises:
            UsageError: one is missing, is no number, or is one that the policy does not take.
        """
        given = self.given(condition, {})
        numbers = {quantity.name: finite_number(given.get(quantity.name)) for quantity in self.conditioning.quantities}
        told = {name: number for name, number in numbers.items() if number is not None}
        for name in numbers.keys() - told.keys():
            raise UsageError(f"condition has no number for {name}; give it, or leave condition out")
        return told

    def conditions(
        self,
        image: Image,
        given: Mapping[str, object],
        mask: npt.NDArray[np.generic] | None,
        opacity: Float[Tensor, "b 1 h w"] | None,
    ) -> Conditions:
        """What is told of every image of a batch.

        Args:
            image: ``(b, c, h, w)``, in sRGB.
            given: as `given` returns it; the rest is estimated.
            mask: the object; found if left out, for a policy that takes one.
            opacity: of the pixels, if they are not all opaque.

        Raises:
            InputError: a mask of another size, empty or full, or no object to be found.
            UsageError: a mask for a policy that takes none, or a number out of range.
        """
        if not self.conditioning.takes_mask:  # an object may be half transparent, noise does not count there
            image = covered(image, None if opacity is None else opacity.to(image.device))
        seen = to_space(image, self.card.told_space)
        values = self.conditioning.values(seen, given)
        region = self.region(seen, mask)
        alike = all(one == values[0] for one in values)  # a batch has one space
        space = self.card.space_for(self.conditioning.space(image, values[0]) if alike else None)
        return Conditions(values, region, self.planes(image, values, region), space)

    def planes(
        self, image: Image, values: Mapping[str, float] | Sequence[Mapping[str, float]], mask: Mask | None = None
    ) -> Condition:
        """What the policy sees of numbers and mask: ``(b, k, h, w)``, or ``(b, k, 1, 1)`` alike for all pixels.

        A policy for colour learned noise of each channel's own. Noise that they have in common it is told as strong as
        that is in the brightness (`pixelrl.imaging.noise.in_common`).

        Args:
            image: ``(b, c, h, w)``, in sRGB.
            values: of every quantity, for all images or for each of them.
            mask: the object in all images, for policies that take one.
        """
        planes = self.conditioning.condition(to_space(image, self.card.told_space), values, mask)
        if self.conditioning.of_own_noise and self.card.arguments.get("num_channels") == 3:
            planes = in_common(image)[:, None, None, None].to(planes) * planes
        return planes

    def region(self, image: Image, mask: npt.NDArray[np.generic] | None) -> Mask | None:
        """The mask as a tensor, or the object that is found, for a policy that takes one.

        Raises:
            InputError: as `conditions`.
            UsageError: a mask for a policy that takes none.
        """
        if not self.conditioning.takes_mask:
            if mask is not None:
                raise UsageError(f"a mask cannot be used: policy {self.card.name} takes none; leave it out")
            return None
        if mask is not None:
            return object_mask(mask, *image.shape[-2:])
        if len(image) != 1:
            raise InputError(f"{len(image)} images have no common object; give a mask")
        return self.conditioning.find_object(image)

    def still(self, values: Sequence[Mapping[str, float]]) -> Bool[Tensor, " b"]:
        """For each image of a batch, whether what is told leaves nothing to do.

        So it does where the noise is so much weaker than any in the training that the policy would add to it.
        """
        left = [self.conditioning.idle(one) or any(weak for _, weak in self._untrained(one)) for one in values]
        return torch.tensor([one and DO_NOTHING in self.card.action_names for one in left])

    def beyond(self, values: Sequence[Mapping[str, float]]) -> str | None:
        """What is to be said of numbers beyond the training that the images of a batch are told."""
        return joined(*dict.fromkeys(words for one in values for words, _ in self._untrained(one)))

    def _untrained(self, values: Mapping[str, float]) -> list[tuple[str, bool]]:
        """What is to be said of numbers beyond the training, each with whether the noise is so weak that it is left."""
        found = []
        for quantity in self.conditioning.quantities:
            limits, value = self.card.trained(quantity.name) if quantity.noise else None, values[quantity.name]
            if limits is None or limits[0] <= value <= limits[1] or value == 0:
                continue
            weak = value > FAR * limits[1] if quantity.noise == "falls" else value < limits[0] / FAR
            number = f"{value:.4g}" if value < 1000 else f"{value:.0f}"
            words = f"{quantity.name} {number} is beyond the {limits[0]:g} to {limits[1]:g} of the training"
            found.append((f"{words}: so weak a noise is left as it is" if weak else words, weak))
        return found


def joined(*remarks: str | None) -> str | None:
    """Several remarks as one; None if there is none."""
    return "; ".join(remark for remark in remarks if remark is not None) or None


def mask_array(mask: AnyMask | None, came: Unpacked[AnyImage]) -> npt.NDArray[np.generic] | None:
    """A mask as an array ``(h, w)`` on the stored pixels of the image; None if there is none.

    Raises:
        InputError: it is no mask.
    """
    if isinstance(mask, PillowImage.Image):
        height, width = came.tensor.shape[-2:]
        return pillow_mask(mask, (height, width), came.orientation)
    if isinstance(mask, Tensor):
        mask = mask.detach().cpu().numpy()
    if mask is not None and not isinstance(mask, np.ndarray):
        raise InputError(f"{type(mask).__name__} is no mask; give an array or a tensor (h, w), or a Pillow image")
    if mask is not None and mask.ndim != 2:
        raise InputError(f"a mask of shape {mask.shape} is no mask; it must be (h, w)")
    return None if mask is None else plain(mask)


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
