"""What a policy is told beside the picture: its conditioning, one class per kind.

A kind names the numbers that a person may give, estimates them where nobody does, and turns them into the planes that
the network sees. Everything else follows from that: what an `pixelrl.agent.Agent` takes, the controls of the studio,
and what a trace remembers.

A kind of your own is a subclass of `Conditioning`, set as `pixelrl.tasks.Task.conditioning`. It may have one number, or
several (gain and read noise), or none where the planes follow from the picture alone (a map of the noise).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Literal, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.imaging.anscombe import NAME as ANSCOMBE
from pixelrl.imaging.noise import estimate_sigma
from pixelrl.imaging.objects import salient_object
from pixelrl.imaging.saliency import object_planes
from pixelrl.noise.model import NEXT_TO_NONE, fit, overall
from pixelrl.noise.network import noise_maps, rise
from pixelrl.noise.poisson_gaussian import (
    MOST_PHOTONS,
    PoissonGaussian,
    clipped_space,
    estimate_peak,
    estimate_poisson_gaussian,
)
from pixelrl.pictures.scale import Scale
from pixelrl.plugins import resolve_class
from pixelrl.types import Condition, Image

Given = float | Literal["auto"]
"""A number that a person gives, or "auto" for the one that is estimated."""
Values = Mapping[str, Float[Tensor, " b"]]
"""The numbers of a conditioning by name, each for every image of a batch."""


@dataclass(frozen=True)
class Quantity:
    """One number that a person may give, and the words for it.

    Attributes:
        name: its keyword and option, and what files call it: ``sigma``.
        label: in front of its control, and in refusals: "noise level".
        help: one line that explains it.
        unit: what it counts, "grey levels"; "" if it is a number without unit.
        low: the smallest value.
        high: the largest value, or infinity, which is no value itself.
        slider: the smallest and the largest value and the step of a slider, within the limits.
        default: the value where nobody gives one; None if it is estimated from the picture.
        nonzero: whether 0 is no value, though it lies between the limits.
        noise: whether a level of noise "rises" or "falls" as the number does; None for what is no such level.
        of_values: whether it is a share of white that files and people count in the picture's own units: a "value" of
            the picture, a "difference" of two, or "" for neither.
    """

    name: str
    label: str
    help: str
    unit: str
    low: float
    high: float
    slider: tuple[float, float, float]
    default: float | None = None
    nonzero: bool = False
    noise: Literal["rises", "falls"] | None = None
    of_values: Literal["", "value", "difference"] = ""

    def parse(self, value: object) -> float:
        """The number that a person gave, of Python or numpy.

        Raises:
            UsageError: it is no number, or beyond the limits.
        """
        number = math.nan
        if isinstance(value, Real) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:  # an integer of hundreds of digits
                number = math.inf
        if self.low <= number <= self.high and math.isfinite(number) and not (self.nonzero and number == 0):
            return number
        most = f"at least {self.low:g}" if math.isinf(self.high) else f"from {self.low:g} to {self.high:g}"
        most += ", not 0" if self.nonzero else ""
        shown = repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}..."
        words = f"{self.name} = {shown} is not a {self.label}"
        raise UsageError(f'{words}; give {self.unit + "," if self.unit else "a number"} {most}, or "auto"')


class Conditioning(ABC):
    """A kind of conditioning. It has no state; a subclass takes no arguments."""

    name: str
    """What policy files call a built-in kind, and messages each."""
    quantities: tuple[Quantity, ...] = ()
    """The numbers that a person may give."""
    num_planes: int = 1
    """k, the number of planes that `encode` gives."""
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


def is_auto(value: object) -> bool:
    """Whether this stands for the value that is estimated."""
    return isinstance(value, str) and value == "auto"


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


@final
class Sigma(Conditioning):
    """The level of Gaussian noise.

    Where a file has clipped noise at black and white, the agents work on values whose way back undoes what that does to
    the mean (Foi, "Clipped noisy images", 2009): dark places would stay too bright.
    """

    name = "sigma"
    space_kind = ANSCOMBE
    quantities = (
        Quantity(
            "sigma",
            "noise level",
            "Standard deviation of Gaussian noise.",
            "grey levels",
            0.0,
            math.inf,
            (0.0, 60.0, 0.5),
            noise="rises",
        ),
    )

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """Sigma as a share of the range of values, which is that of the image in all of its spaces."""
        return constant(image, [values["sigma"] / 255])

    def space(self, image: Image, values: Mapping[str, float]) -> str | None:
        """That for clipped noise, where the image has such; None elsewhere."""
        sigma = values["sigma"]
        clipped = ((image == 0) | (image == 1)).float().mean().item() > CLIPPED
        if not (sigma and clipped) or image.amin() < 0 or image.amax() > 1:
            return None
        if estimate_sigma(image) < SEEN * sigma:  # of noise that is not there, nothing was clipped
            return None
        return str(clipped_space(sigma / 255))

    def idle(self, values: Mapping[str, float]) -> bool:
        """Without noise."""
        return values["sigma"] == 0

    def estimate(self, image: Image) -> dict[str, float]:
        """By `pixelrl.imaging.noise.estimate_sigma`."""
        return {"sigma": estimate_sigma(image)}


CLIPPED, SEEN = 0.005, 0.6
"""The share of values that are quite black or white from which on noise counts as clipped, and the share of the told
level that must be seen."""


@final
class Peak(Conditioning):
    """The level of Poisson noise."""

    name = "peak"
    quantities = (
        Quantity(
            "peak",
            "noise level",
            "Mean number of photons at white.",
            "photons at white",
            1e-3,
            math.inf,
            (1.0, 300.0, 1.0),
            noise="falls",
        ),
    )

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """The standard deviation of the noise where the clean image is 1/2."""
        return constant(image, [(0.5 / values["peak"]).sqrt()])

    def estimate(self, image: Image) -> dict[str, float]:
        """By `pixelrl.noise.poisson_gaussian.estimate_peak`."""
        return {"peak": estimate_peak(image)}

    def idle(self, values: Mapping[str, float]) -> bool:
        """With so many photons that there is no noise."""
        return values["peak"] >= MOST_PHOTONS


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


@final
class NoiseMap(Conditioning):
    """The level of the noise at every pixel and in every channel of a colour picture, as it is seen in the picture.

    `pixelrl.noise.network.noise_maps` gives the map. A sigma that is told scales it to that root mean square; where
    next to no noise is seen, sigma is told for all pixels alike. Noise that neighbours share hides in what the policy
    takes for detail, so it is told more of it: `COARSER`.
    """

    name = "noise-map"
    space_kind = ANSCOMBE
    quantities = (
        Quantity(
            "strength",
            "strength",
            "How much to remove: 1 for the noise that is told, less to keep more of it, more to smooth.",
            "",
            0.0,
            2.0,
            (0.0, 2.0, 0.05),
            default=1.0,
        ),
        Quantity(
            "sigma",
            "noise level",
            "Root mean square of the noise; how it is spread over the picture is seen by itself.",
            "grey levels",
            0.0,
            math.inf,
            (0.0, 60.0, 0.5),
            noise="rises",
        ),
    )
    num_planes = 3

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """The levels as a share of the range of values, times the strength."""
        levels, correlation = noise_maps(image)
        coarse = COARSER * rise(correlation.double(), *SHARED)
        sigma = values["sigma"] + coarse.to(values["sigma"]) * (values["sigma"] > 0)
        told = (sigma / 255 * values["strength"]).to(image)[:, None, None, None]
        level = overall(image, levels)
        levels = levels.expand(-1, self.num_planes, -1, -1)
        return told * torch.where(level < LITTLE / 255, 1.0, levels / level.clamp_min(1e-6))

    def space(self, image: Image, values: Mapping[str, float]) -> str | None:
        """That of `Sigma` where the noise is white; what clipping does to noise that neighbours share is not known."""
        space = Sigma().space(image, values)
        if space is None:  # most often so, and then the network need not look again
            return None
        return space if noise_maps(image)[1].amax() <= SHARED[0] else None

    def idle(self, values: Mapping[str, float]) -> bool:
        """Without noise, or where none of it is to be removed."""
        return values["sigma"] * values["strength"] == 0

    def estimate(self, image: Image) -> dict[str, float]:
        """The root mean square of the map where noise can be seen, 0 if there is next to none, and strength 1."""
        levels, correlation = noise_maps(image)
        none = fit(image, levels, correlation.item()).rms < NEXT_TO_NONE
        return {"strength": 1.0, "sigma": 0.0 if none else 255 * overall(image, levels).item()}


@final
class PhotonNoise(Conditioning):
    """The noise of photons and of reading them out; the agents work on values in which it has one level.

    All numbers are shares of white, the value 1 of images. All images of a batch are taken for the same noise.
    """

    name = "poisson-gaussian"
    space_kind = ANSCOMBE
    quantities = (
        Quantity(
            "gain",
            "gain",
            "The value of one photon; 0 for noise that does not depend on the brightness.",
            "a share of white",
            0.0,
            1e3,
            (0.0, 0.2, 0.001),
            of_values="difference",
        ),
        Quantity(
            "read",
            "read noise",
            "Standard deviation of the noise without light.",
            "a share of white",
            0.0,
            1e3,
            (0.0, 0.1, 0.001),
            of_values="difference",
        ),
        Quantity(
            "offset",
            "offset",
            "The value without light.",
            "a share of white",
            -1e3,
            1e3,
            (0.0, 0.2, 0.001),
            of_values="value",
        ),
    )

    def encode(self, image: Image, values: Values, mask: Bool[Tensor, "b 1 h w"] | None) -> Condition:
        """The level of the noise in the space's values, as a share of their range."""
        told = _noise({name: column[0].item() for name, column in values.items()})
        if told.gain == told.read == 0:
            return constant(image, [image.new_zeros(len(image))])
        space = told.space(image)
        return constant(image, [image.new_full((len(image),), 1 / (space.high - space.low))])

    def space(self, image: Image, values: Mapping[str, float]) -> str | None:
        """That of `pixelrl.noise.poisson_gaussian.PoissonGaussian.space`; None without noise."""
        return None if self.idle(values) else str(_noise(values).space(image))

    def idle(self, values: Mapping[str, float]) -> bool:
        """Without noise."""
        return values["gain"] == values["read"] == 0

    def values(self, image: Image, given: Mapping[str, object]) -> list[dict[str, float]]:
        """As told, and the rest by `pixelrl.noise.poisson_gaussian.estimate_poisson_gaussian`, for all images alike."""
        fixed = self._parsed(given)
        if len(fixed) < len(self.quantities):
            fixed = asdict(estimate_poisson_gaussian(image, **fixed))
        return [dict(fixed) for _ in image]


def _noise(values: Mapping[str, float]) -> PoissonGaussian:
    return PoissonGaussian(values["gain"], values["read"], values["offset"])


COARSER, SHARED = 5.0, (0.2, 0.35)
"""Grey levels that are told beyond those of the noise where neighbours share it, and from which correlation on.

On photographs of PolyU the best level to tell was 8 to 20 where the noise had 2 to 5. With less, blotches stay.
"""
LITTLE = 0.5
"""Grey levels below which the noise that is seen has no pattern worth following."""

CONDITIONINGS: dict[str, type[Conditioning]] = {
    kind.name: kind for kind in (Sigma, Peak, Strength, NoiseMap, PhotonNoise)
}
"""The built-in kinds by the name that policy files have for them."""


def find_conditioning(reference: str | None) -> Conditioning:
    """The kind that a policy file names (`Conditioning.reference`); None for `Nothing`.

    Raises:
        UsageError: it is unknown, or of a module of the user's own that is not imported (`pixelrl.plugins`).
    """
    if reference is None:
        return Nothing()
    return resolve_class(reference, CONDITIONINGS, Conditioning, "conditioning", may_import=False)()
