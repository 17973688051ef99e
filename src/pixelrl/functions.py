"""Plain functions in the manner of scikit-image: an array in, an array of floats out.

``pixelrl.denoise(image)`` stands where ``skimage.restoration.denoise_nl_means(image)`` does. What every pixel did is
not given back: that takes an agent (`pixelrl.load`). So policies that can be told how plain their maps shall be are
told 0, the best quality.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from pixelrl.agent import Agent, load
from pixelrl.auto import choose, choose_by_peak, choose_by_text, shown_in_colour
from pixelrl.errors import InputError, UsageError
from pixelrl.pictures.scale import FULL, Scale, given_white
from pixelrl.pictures.values import plain
from pixelrl.policy_files import KINDS, SAYS, find_look, for_channels, shipped_policies
from pixelrl.validation import brief, finite_number, is_word

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.floating[Any]]
Noise = Literal["auto", "gaussian", "camera", "poisson", "poisson-gaussian", "saltpepper"]

GREY_LEVELS = 255
"""From black to white, in the unit that policies are told sigma in."""


def denoise(
    image: Array,
    sigma: float | None = None,
    *,
    channel_axis: int | None = None,
    noise: Noise = "auto",
    peak: float | None = None,
    gain: float | None = None,
    read: float | None = None,
    offset: float | None = None,
    strength: float | None = None,
    white: float | None = None,
    device: str = "auto",
) -> Floats:
    """Remove noise from a picture.

    Every number that is left out is estimated from the picture.

    Args:
        image: ``(h, w)``, or with an axis of channels, which ``channel_axis`` names; of uint8, uint16 or floats. Three
            channels are colours, which the policy sees together where it is one for colour. Of any other number, each
            is a grey picture by itself: there is no alpha here.
        sigma: the standard deviation of Gaussian noise, as the values of ``image`` count: about 25 of uint8, 0.1 of
            floats to 1. So `skimage.restoration.estimate_sigma` gives it.
        channel_axis: which axis holds the channels; None for none.
        noise: its kind: ``gaussian`` (takes sigma), ``camera`` (strength, sigma), ``poisson`` (peak),
            ``poisson-gaussian`` (gain, read, offset) or ``saltpepper``. "auto" is the kind that a given number speaks
            of, whatever is seen, or else the one that is seen in the picture (`pixelrl.choose`).
        peak: photons at white.
        gain: the value of one photon, as the values of ``image`` count.
        read: the standard deviation without light, likewise.
        offset: the value without light, likewise.
        strength: how much of the noise of cameras to remove, from 0 to 2: 1 is as much as is seen.
        white: the value of ``image`` that stands for white; told by the values if left out, as by agents.
        device: as for `pixelrl.load`.

    Returns:
        Floats of the shape of ``image``, not clipped. Integers come back as `skimage.util.img_as_float` has them:
        float64, of which 1 is the largest integer. Floats keep their units and their dtype; float16 becomes float32.

    Raises:
        InputError: not such an image, or with values that are not finite.
        UsageError: another kind of noise, or a number that it does not take or that is out of range.
    """
    numbers = {"sigma": sigma, "peak": peak, "gain": gain, "read": read, "offset": offset, "strength": strength}
    given = {name: _number(name, value) for name, value in numbers.items() if value is not None}
    if given.get("sigma", 0) < 0:
        raise UsageError(f"sigma = {brief(sigma)} is no standard deviation; give a number of at least 0")
    if not is_word(noise, get_args(Noise)):
        raise UsageError(f"noise = {brief(noise)} is no kind of noise; give one of {', '.join(get_args(Noise))}")
    kind = next((SAYS[name] for name in given), noise) if noise == "auto" else noise

    def denoised(floats: Floats, scale: Scale, unit: float) -> Floats:
        if kind == "auto":
            choice = choose(floats, scale)
            return _acted(_agent(choice.policy, device), floats, scale, choice.told)
        if kind == "poisson" and set(given) <= {"peak"}:
            policy, told, _ = choose_by_peak(floats, scale, given.get("peak"))
            return _acted(_agent(policy, device), floats, scale, told)
        agent = _agent(for_channels(KINDS[kind])[shown_in_colour(floats, scale)], device)
        shares = {name: value / unit if name in ("gain", "read", "offset") else value for name, value in given.items()}
        told = {name: float(value) for name, value in agent.conditioning.in_shares(shares, scale).items()}
        if "sigma" in given:
            told["sigma"] = given["sigma"] / unit / (scale.white - scale.black) * GREY_LEVELS
        return _acted(agent, floats, scale, told)

    return _carried_out(image, channel_axis, white, denoised)


def restore(
    image: Array, *, channel_axis: int | None = None, white: float | None = None, device: str = "auto"
) -> Floats:
    """Remove text that was stamped on a picture, wherever it is.

    Args:
        image: as for `denoise`.
        channel_axis: as for `denoise`.
        white: as for `denoise`.
        device: as for `pixelrl.load`.

    Returns:
        As `denoise`.

    Raises:
        InputError: not such an image, or with values that are not finite.
        UsageError: a value for white that is none, or a device that is not there.
    """

    def restored(floats: Floats, scale: Scale, unit: float) -> Floats:
        policy = "restore-color"
        if floats.ndim == 2:
            policy, _, done = choose_by_text([floats], scale, lambda name: _agent(name, device))
            if done is not None:
                return cast(Floats, done.image)
        return _acted(_agent(policy, device), floats, scale, {})

    return _carried_out(image, channel_axis, white, restored)


def enhance(
    image: Array, style: str | Path, *, channel_axis: int = -1, white: float | None = None, device: str = "auto"
) -> Floats:
    """Give a colour picture a look.

    Args:
        image: of three channels, sRGB; of uint8, uint16 or floats.
        style: a shipped look, such as ``local-xpro`` (`pixelrl.shipped_policies`, without ``enhance-``), or the file of
            a policy of your own.
        channel_axis: which axis holds the channels.
        white: as for `denoise`.
        device: as for `pixelrl.load`.

    Returns:
        As `denoise`.

    Raises:
        InputError: not such an image, or with values that are not finite.
        UsageError: no such look, a value for white that is none, or a device that is not there.
    """
    agent = _agent(find_look(style, "style ="), device)
    return _carried_out(
        image, channel_axis, white, lambda floats, scale, unit: _acted(agent, floats, scale, {}), colours=True
    )


def edit_saliency(
    image: Array,
    mask: Array | None = None,
    strength: float = 0.5,
    *,
    channel_axis: int = -1,
    white: float | None = None,
    device: str = "auto",
) -> Floats:
    """Make the eye go to an object in a colour picture, or away from it.

    Args:
        image: of three channels, sRGB; of uint8, uint16 or floats.
        mask: the object, ``(h, w)``: bool, or a number that is not 0 inside. Left out, the most salient object is
            taken, which is a guess.
        strength: how much the picture may change for it, up to 1; negative to draw the eye away.
        channel_axis: which axis holds the channels.
        white: as for `denoise`.
        device: as for `pixelrl.load`.

    Returns:
        As `denoise`.

    Raises:
        InputError: not such an image, values that are not finite, a mask that is empty, full or of another size, or
            nothing that stands out.
        UsageError: a strength out of range, a value for white that is none, or a device that is not there.
    """
    agent = _agent("saliency-edit", device)
    return _carried_out(
        image,
        channel_axis,
        white,
        lambda floats, scale, unit: _acted(agent, floats, scale, {"strength": strength}, mask),
        colours=True,
    )


def _number(name: str, value: object) -> float:
    if (number := finite_number(value)) is not None:
        return number
    raise UsageError(f"{name} = {brief(value)} is no number; give one, or leave it out to have it estimated")


def _acted(agent: Agent, floats: Floats, scale: Scale, told: Mapping[str, float], mask: Array | None = None) -> Floats:
    """What an agent makes of ``(h, w)`` or ``(h, w, 3)``."""
    best = 0.0 if agent.legible else None
    result: Floats = agent(floats, condition=told, white=scale, mask=mask, legibility=best).image  # type: ignore[assignment]
    return result


def _carried_out(
    image: Array,
    channel_axis: int | None,
    white: float | None,
    work: Callable[[Floats, Scale, float], Floats],
    *,
    colours: bool = False,
) -> Floats:
    """Do what is to be done with ``(h, w)`` or ``(h, w, 3)``, whatever the shape and the dtype of an image.

    ``work`` is given floats, which of them are black and white, and what the values that came were divided by.
    """
    image = plain(image)
    if image.dtype.name not in FULL:
        raise InputError(f"an array of {image.dtype.name} is not an image here; convert it to {', '.join(FULL)}")
    planes = _with_channels_last(image, channel_axis, colours=colours)
    if planes.size == 0:
        raise InputError(f"an array of shape {image.shape} has no pixels")
    if not np.isfinite(planes).all():
        raise InputError("the array has values that are NaN or infinite; replace them")
    scale, unit = Scale.of(planes, None if white is None else given_white(white)), FULL[image.dtype.name]
    scale = Scale(scale.black / unit, scale.white / unit)
    floats: Floats = planes.astype("float32" if image.dtype.name in ("float16", "float32") else "float64")
    floats /= unit
    if floats.ndim == 2 or floats.shape[2] == 3:
        result = work(floats, scale, unit)
    else:
        alone = [work(np.ascontiguousarray(floats[..., i]), scale, unit) for i in range(floats.shape[2])]
        result = np.stack(alone, axis=-1)
    if channel_axis is not None:
        result = np.moveaxis(result, -1, channel_axis)
    return np.ascontiguousarray(result)


def _with_channels_last(image: Array, channel_axis: int | None, *, colours: bool) -> Array:
    shape = image.shape
    if channel_axis is None:
        if image.ndim == 2:
            return image
        more = "name the axis of channels, such as channel_axis=-1; of a stack, give each picture by itself"
        raise InputError(f"an array of shape {shape} is not a grey picture (h, w); {more}")
    if not isinstance(channel_axis, Integral):
        raise UsageError(
            f"channel_axis = {brief(channel_axis)} is no axis; give a whole number, such as -1 for the last"
        )
    if image.ndim != 3 or not -3 <= channel_axis < 3:
        raise InputError(f"an array of shape {shape} is not a picture with channels in axis {brief(channel_axis)}")
    if colours and shape[channel_axis] != 3:
        raise InputError(f"an array of shape {shape} has not three channels of colour in axis {channel_axis}")
    return np.moveaxis(image, channel_axis, -1)


def _agent(policy: str | Path, device: str) -> Agent:
    """A policy, loaded once if it is a shipped one: a file of another may change."""
    return _loaded(str(policy), str(device)) if str(policy) in shipped_policies() else load(policy, device)


@functools.lru_cache(maxsize=4)
def _loaded(policy: str, device: str) -> Agent:
    return load(policy, device)
