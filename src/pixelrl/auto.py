"""Which policy a picture is given to, and what that is told, if nobody says: by the noise or text seen in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, mode
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from pixelrl.agent import Agent
from pixelrl.imaging.color import grey
from pixelrl.imaging.noise import covered, estimate_sigma
from pixelrl.imaging.specks import SPECKS, salt_and_pepper
from pixelrl.noise.estimate import noise_of
from pixelrl.noise.model import NEXT_TO_NONE, NoiseModel
from pixelrl.noise.poisson_gaussian import MOST_PHOTONS, estimate_peak, photon_noise
from pixelrl.pictures.arrays import unpack
from pixelrl.pictures.scale import Scale, given_scale
from pixelrl.policy_files import for_channels
from pixelrl.result import Result
from pixelrl.tasks.conditioning import NoiseMap
from pixelrl.types import Image

MANY_PHOTONS, CLIPPED = 300.0, 0.01
"""The peak of Poisson noise from which on the transform around the Gaussian policy is ahead of ``poisson-gray``; and
the share of values that a file has clipped at white, which its inverse heeds, from which on it is so at every peak.
In colour it is ahead later only, but the peak is then beyond the training."""

NOTICED, LEAST_FOUND = 24 / 255, 0.0001
"""A change as of a letter, of the range of values, and the share of pixels so changed from which on there was text.

A grey photograph without text has fewer, but not every one; a word of five letters 12 pixels high has 150 pixels.
"""
MORE_FOUND = 1.2
"""How many times as many pixels ``restore-color`` changes as ``restore-gray`` if letters have soft rims: of validation
photographs under hard edges at most 1.01 times as many, under soft white letters and subtitles at least 1.33 times but
for two of 32 (docs/restoration.md)."""


@dataclass(frozen=True)
class Choice:
    """A policy for one picture.

    Attributes:
        policy: the name of a shipped policy.
        told: its condition, by name (`pixelrl.agent.Agent.__call__`).
        noise: what is seen in the picture.
        why: in a few words, why this policy.
    """

    policy: str
    told: Mapping[str, float]
    noise: NoiseModel
    why: str

    @property
    def words(self) -> str:
        """What is seen in the picture, in words."""
        return SPECKS if self.why == SPECKS else self.noise.words()


def choose(image: Any, scale: Scale | float | None = None) -> Choice:
    """The policy for a noisy picture.

    Args:
        image: one image, as `pixelrl.agent.Agent.__call__` takes it.
        scale: which values are black and white, or which value is white; told by the values if left out.

    Raises:
        InputError: not an image, or with values that are not finite.
        UsageError: a scale that is none.
    """
    unpacked = unpack(image, None if scale is None else given_scale(scale))
    return choose_for(unpacked.tensor[:1], unpacked.opacity)


def choose_for(image: Image, opacity: Float[Tensor, "1 1 h w"] | None = None) -> Choice:
    """The policy for ``(1, c, h, w)``.

    Noise that neighbours share, or that depends on the brightness, is what cameras and their files make:
    ``denoise-photo``. White noise of one level is Gaussian. White noise that grows with the brightness, in a grey
    picture, is that of the photons that a sensor counts: ``poisson-gaussian-gray``; if its level falls, it is taken for
    Gaussian. Specks of exactly black and white are salt & pepper: ``saltpepper-gray`` or ``saltpepper-color``, which
    are told nothing. A black-and-white picture in RGB is a grey one.
    """
    image = covered(image, opacity)
    noise = noise_of(image, opacity)
    colour = in_colour(image)
    if salt_and_pepper(image):
        return Choice(for_channels("saltpepper")[colour], {}, noise, SPECKS)
    gaussian = for_channels("denoise")[colour]
    if noise.rms < NEXT_TO_NONE:
        return Choice(gaussian, {"sigma": 0.0}, noise, "the picture is left as it is")
    photons = None if colour else photon_noise(image[:, :1])
    if photons is not None:
        return Choice("poisson-gaussian-gray", asdict(photons), noise, "noise of photons, white and by the brightness")
    if not noise.white or (colour and noise.signal_dependent):
        words = "noise as cameras and their files make it"
        return Choice("denoise-photo", NoiseMap().estimate(image), noise, words)
    sigma = estimate_sigma(image)
    return Choice(gaussian, {"sigma": sigma}, noise, "white noise of one level")


def most(choices: Sequence[Choice]) -> Choice:
    """The choice for pictures that have their noise in common: the policy of most of them, told what is told of that
    one of its pictures whose noise is in the middle.

    Clean ones, which are told 0, do not count beside others.
    """
    noisy = [choice for choice in choices if not choice.told or any(choice.told.values())] or choices
    policy = mode(choice.policy for choice in noisy)
    chosen = sorted((one for one in noisy if one.policy == policy), key=lambda one: one.noise.rms)
    return chosen[len(chosen) // 2]


def choose_by_peak(
    image: Any, scale: Scale | float | None = None, peak: float | None = None
) -> tuple[str, dict[str, float], float]:
    """The policy for Poisson noise, its condition, and the peak: mean number of photons at white.

    Args:
        image: as for `choose`.
        scale: as for `choose`.
        peak: as told; estimated if left out.

    Raises:
        InputError: not an image, or with values that are not finite.
    """
    unpacked = unpack(image, scale)
    seen = covered(unpacked.tensor, unpacked.opacity)[:1]
    peak = estimate_peak(seen) if peak is None else peak
    clipped = bool(seen.max() == 1) and (seen == 1).float().mean().item() > CLIPPED
    colour = in_colour(seen)
    if peak < MANY_PHOTONS and not clipped:
        return for_channels("poisson")[colour], {"peak": peak}, peak
    told = {"gain": 1 / peak if peak < MOST_PHOTONS else 0.0, "read": 0.0, "offset": 0.0}
    return for_channels("poisson-gaussian")[colour], told, peak


def in_colour(image: Image) -> bool:
    """Whether there are colours: neither in a grey picture nor in a black-and-white one that is stored as RGB."""
    return not bool(grey(image).all())


def shown_in_colour(image: Any, scale: Scale | float | None) -> bool:
    """The same of what is not transparent in an image, as for `choose`.

    Raises:
        InputError: as for `choose`.
    """
    unpacked = unpack(image, scale)
    return in_colour(covered(unpacked.tensor, unpacked.opacity))


Restored = Result[npt.NDArray[np.generic]]


class ByText(NamedTuple):
    """The policy that takes text off a grey picture.

    Attributes:
        policy: its name.
        found: whether there was any.
        result: what it made of the picture, told legibility 0, if it was asked for that already.
    """

    policy: str
    found: bool
    result: Restored | None


def choose_by_text(parts: Sequence[npt.NDArray[np.generic]], scale: Scale, agent: Callable[[str], Agent]) -> ByText:
    """The policy that takes text off a grey picture.

    ``restore-gray`` is better at the hard edges that it learned, and leaves the rims of all other letters behind. So
    where ``restore-color`` changes clearly more, the picture is that one's; and where ``restore-gray`` finds no text at
    all, too, for far from marks ``restore-color`` keeps every bit.

    Args:
        parts: of the picture, of one size each, ``(h, w)`` or with alpha ``(h, w, 2)``; or all of it.
        scale: which values are black and white.
        agent: gives the agent of a shipped policy by its name.

    Raises:
        InputError: not such an image, or with values that are not finite.
    """
    of_gray, found = _taken_off(parts, scale, agent("restore-gray"))
    if found < LEAST_FOUND:
        return ByText("restore-color", False, None)
    of_color, found_in_color = _taken_off(parts, scale, agent("restore-color"))
    one = len(parts) == 1
    if found_in_color >= MORE_FOUND * found:
        return ByText("restore-color", True, of_color[0] if one else None)
    return ByText("restore-gray", True, of_gray[0] if one else None)


def _taken_off(parts: Sequence[npt.NDArray[np.generic]], scale: Scale, agent: Agent) -> tuple[list[Restored], float]:
    """What a policy makes of parts of a picture, told legibility 0, and the share of their pixels that it changes."""
    results = [agent(part, white=scale, legibility=0) for part in parts]
    return results, fmean(changed_share(part, one.image, scale) for part, one in zip(parts, results, strict=True))


def changed_share(before: npt.NDArray[np.generic], after: npt.NDArray[np.generic], scale: Scale) -> float:
    """The share of the pixels ``(h, w)`` or ``(h, w, c)`` of which some value changed as where a letter goes."""
    noticed = NOTICED * (scale.white - scale.black)
    changed = np.abs(after.astype(np.float32) - before.astype(np.float32)) > noticed
    return float((changed if changed.ndim == 2 else changed.any(2)).mean())
