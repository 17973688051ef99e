"""What all kinds of conditioning share: `Conditioning`, of which each is a subclass; and the kind that says nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pixelrl.pictures.scale import Scale
from pixelrl.tasks.conditioning.quantity import Quantity, is_auto
from pixelrl.types import Condition, Image

Values = Mapping[str, Float[Tensor, " b"]]
"""The numbers of a conditioning by name, each for every image of a batch."""


class Conditioning(ABC):
    """A kind of conditioning. It has no state; a subclass takes no arguments."""

    name: str
    """What policy files call a built-in kind, and messages each."""
    quantities: tuple[Quantity, ...] = ()
    """The numbers that a person may give."""
    num_planes: int = 1
    """k, the number of planes that `encode` gives."""
    of_own_noise: bool = False
    """Whether those planes are standard deviations of noise that every channel has by itself: then a policy for colour
    is told more where channels have it in common. False also where `encode` heeds that itself."""
    takes_mask: bool = False
    """Whether it also takes the mask of an object in the picture."""
    space_kind: str | None = None
    """The kind of its spaces (`pixelrl.imaging.color.kind_of_space`), if `space` gives any."""

    @property
    def reference(self) -> str | None:
        """How a policy file names this kind: as in `CONDITIONINGS`, or ``module:Class``; None for `Nothing`."""
        own = type(self)
        return self.name if CONDITIONINGS.get(self.name) is own else f"{own.__module__}:{own.__qualname__}"

    @abstractmethod
    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """What the network sees, of the order of 0 to 1.

        Args:
            image: ``(b, c, h, w)``, in the RGB space in which the agents work.
            values: of every quantity, as float64.
            mask: the object; None for kinds that take none.

        Returns:
            float32 ``(b, k, h, w)``, or ``(b, k, 1, 1)`` where it is the same for all pixels of an image.
        """

    def estimate(self, image: Image) -> dict[str, float]:
        """The values for one image ``(1, c, h, w)`` if nobody gives any: here the defaults of the quantities.

        Raises:
            NotImplementedError: a quantity has no default, and the subclass does not estimate it.
        """
        found = {quantity.name: quantity.default for quantity in self.quantities if quantity.default is not None}
        if len(found) < len(self.quantities):
            raise NotImplementedError(f"{type(self).__name__} has a quantity without a default; estimate it")
        return found

    def idle(self, values: Mapping[str, float]) -> bool:
        """Whether these values say that nothing is to be done, so that the image stays as it is: here never."""
        return False

    def space(self, image: Image, values: Mapping[str, float]) -> str | None:
        """The space of values in which the agents work (`pixelrl.imaging.color.to_space`); None for the policy's own.

        Args:
            image: ``(b, c, h, w)``, in sRGB.
            values: of every quantity.
        """
        return None

    def find_object(self, image: Image) -> Bool[Tensor, "h w"]:
        """The mask for one image ``(1, c, h, w)`` if nobody gives one; only for kinds that take a mask.

        Raises:
            InputError: nothing stands out in the image.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no mask, or does not find one")

    def values(self, image: Image, given: Mapping[str, object]) -> list[dict[str, float]]:
        """The value of every quantity for each image of a batch: as given, or estimated image by image.

        Args:
            image: ``(b, c, h, w)``.
            given: by the names of quantities; those that are left out, or "auto", are estimated.

        Raises:
            UsageError: a value that is not one.
        """
        fixed = self._parsed(given)
        if len(fixed) == len(self.quantities):
            return [dict(fixed) for _ in image]
        return [self.estimate(image[i : i + 1]) | fixed for i in range(len(image))]

    def _parsed(self, given: Mapping[str, object]) -> dict[str, float]:
        """What was given, but for what is to be estimated; raises UsageError for a value that is not one."""
        return {
            quantity.name: quantity.parse(given[quantity.name])
            for quantity in self.quantities
            if not is_auto(given.get(quantity.name, "auto"))
        }

    def in_shares(self, numbers: Mapping[str, float], scale: Scale) -> dict[str, float]:
        """Numbers in a picture's own units as shares of its white, where they count its values; others as they are."""
        return self._converted(numbers, 1 / (scale.white - scale.black), -scale.black / (scale.white - scale.black))

    def in_units(self, numbers: Mapping[str, float], scale: Scale) -> dict[str, float]:
        """The inverse of `in_shares`."""
        return self._converted(numbers, scale.white - scale.black, scale.black)

    def _converted(self, numbers: Mapping[str, float], factor: float, start: float) -> dict[str, float]:
        kinds = {quantity.name: quantity.of_values for quantity in self.quantities}
        add = {"value": start, "difference": 0.0}
        return {
            name: factor * number + add[kind] if (kind := kinds.get(name)) else number
            for name, number in numbers.items()
        }

    def condition(
        self,
        image: Image,
        values: Mapping[str, float] | Sequence[Mapping[str, float]],
        mask: Bool[Tensor, "h w"] | None = None,
    ) -> Condition:
        """`encode` for numbers as people have them.

        Args:
            image: ``(b, c, h, w)``.
            values: of every quantity, for all images or for each of them (as `values` gives them).
            mask: the object in all images, for kinds that take one.
        """
        each = [values] * len(image) if isinstance(values, Mapping) else values
        columns = {
            quantity.name: torch.tensor([one[quantity.name] for one in each], dtype=torch.float64, device=image.device)
            for quantity in self.quantities
        }
        masks = None if mask is None else mask.to(image.device).expand(len(image), 1, -1, -1)
        return self.encode(image, columns, masks)


CONDITIONINGS: dict[str, type[Conditioning]] = {}
"""The built-in kinds by the name that policy files have for them; `pixelrl.tasks.conditioning` lists them."""


def check_condition(condition: Tensor) -> None:
    """Refuse a tensor that is no condition.

    Raises:
        ValueError: it has not four dimensions.
    """
    if condition.ndim != 4:
        shape = tuple(condition.shape)
        raise ValueError(f"a condition is (b, k, h, w), or (b, k, 1, 1) for all pixels alike, not {shape}")


def constant(image: Image, values: Iterable[Float[Tensor, " b"]]) -> Condition:
    """Numbers as planes that are the same for all pixels: ``(b, k, 1, 1)`` of k tensors ``(b,)``."""
    return torch.stack(tuple(values), 1)[:, :, None, None].to(image)


@final
class Nothing(Conditioning):
    """The policy is told nothing: its condition is 0."""

    name = "nothing"
    reference = None

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """Zeros."""
        return image.new_zeros((len(image), 1, 1, 1))
