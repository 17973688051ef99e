"""An object in the picture, as a mask, and how much it is to be emphasised."""

from __future__ import annotations

from typing import final

from jaxtyping import Bool
from torch import Tensor

from pixelrl.imaging.objects import salient_object
from pixelrl.imaging.saliency import object_planes
from pixelrl.tasks.conditioning.base import Conditioning, Values
from pixelrl.tasks.conditioning.quantity import Quantity
from pixelrl.types import Condition, Image


@final
class Strength(Conditioning):
    """How much an object is to be emphasised, or attenuated, and where it is."""

    name = "strength"
    quantities = (
        Quantity(
            "strength",
            "strength",
            "How much the object is emphasised; a negative number attenuates it.",
            "",
            -1.0,
            1.0,
            (-1.0, 1.0, 0.05),
            default=0.5,  # much, and the picture stays natural
            nonzero=True,
        ),
    )
    num_planes = 8
    takes_mask = True

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """See `pixelrl.imaging.saliency.object_planes`."""
        assert mask is not None, "this kind takes a mask"
        return object_planes(image, mask, values["strength"].to(image)[:, None])

    def find_object(self, image: Image) -> Bool[Tensor, "h w"]:
        """The most salient object, `pixelrl.imaging.objects.salient_object`."""
        return salient_object(image)
