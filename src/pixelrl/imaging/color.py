"""Colour spaces as pure functions on ``(..., 3, h, w)``; nothing is clipped, values outside [0, 1] have their mirror.

sRGB is IEC 61966-2-1, ProPhoto RGB is ISO 22028-2 (ROMM), Lab is CIE 1976 for white D65, as in scikit-image, to which
the tests hold it. ProPhoto's white is D50; it is adapted to D65 by Bradford's method.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pixelrl.imaging.anscombe import NAME as ANSCOMBE
from pixelrl.imaging.anscombe import Anscombe
from pixelrl.imaging.parts import by_strips

Pixels = Float[Tensor, "*b 3 h w"]

LAB_SCALE = 100.0
"""The functions here divide Lab by this: a distance of 0.01 is one unit, about a just noticeable difference."""

_SRGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_PROPHOTO_TO_XYZ_D50 = np.array(
    [[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0, 0, 0.8252100]]
)
_D50_TO_D65 = np.array(
    [[0.9555766, -0.0230393, 0.0631636], [-0.0282895, 1.0099416, 0.0210077], [0.0122982, -0.0204830, 1.3299098]]
)
_PROPHOTO_TO_XYZ = _D50_TO_D65 @ _PROPHOTO_TO_XYZ_D50
_PROPHOTO_TO_SRGB = np.linalg.inv(_SRGB_TO_XYZ) @ _PROPHOTO_TO_XYZ
_SRGB_TO_PROPHOTO = np.linalg.inv(_PROPHOTO_TO_SRGB)
_WHITE_D65 = (0.95047, 1.0, 1.08883)


RGB_SPACES, OPPONENT = ("srgb", "prophoto"), "opponent"
SPACES = (*RGB_SPACES, OPPONENT)
"""The spaces of the values that agents work on, by name. Pictures are taken for sRGB. Beside these there are the
spaces of `pixelrl.imaging.anscombe.Anscombe`, written with their numbers, and `opponent_of` them."""

CHANNEL_NAMES = {OPPONENT: ("brightness", "blue to red", "green to magenta")}
OPPONENT_SCALE = 3**-0.5
_BLUE_TO_RED, _GREEN_TO_MAGENTA = 6**-0.5, 18**-0.5

COLOURED = 0.01
"""The share of the pixels that may have a colour in a picture that counts as grey."""


def grey(image: Float[Tensor, "b c h w"]) -> Bool[Tensor, " b"]:
    """Which images have equal channels, but for few pixels: of one channel, and black-and-white ones stored as RGB.

    A date that is stamped on one in colours does not make it a picture in colour.
    """
    coloured = (image[:, 1:] != image[:, :1]).any(1).flatten(1)
    return coloured.float().mean(1) <= COLOURED


def opponent_of(space: str) -> str:
    """The opponent colours of the values of another space: ``opponent`` itself for those of sRGB."""
    return OPPONENT if space == "srgb" else f"{OPPONENT} {space}"


def kind_of_space(space: str) -> str:
    """One of `SPACES`, or `pixelrl.imaging.anscombe.NAME` of a space with numbers; of opponent colours `OPPONENT`.

    Raises:
        UsageError: it is no space.
    """
    if space in SPACES:
        return space
    Anscombe.parse(_before_opponent(space))
    return OPPONENT if space.startswith(OPPONENT) else ANSCOMBE


def _before_opponent(space: str) -> str:
    """The space of whose values this one has the opponent colours, or itself."""
    return "srgb" if space == OPPONENT else space.removeprefix(f"{OPPONENT} ")


def channel_names(space: str, channels: int) -> tuple[str, ...]:
    """What people call the channels of an image in a space, of which each has its agent.

    Raises:
        UsageError: it is no space.
    """
    if channels == 3:
        return CHANNEL_NAMES.get(kind_of_space(space), ("red", "green", "blue"))
    return tuple(f"channel {number + 1}" for number in range(channels))


def to_space(image: Float[Tensor, "b c h w"], space: str) -> Float[Tensor, "b c h w"]:
    """sRGB values as values of a space. Of grey pictures, the opponent colours are the one of brightness.

    Raises:
        UsageError: it is no space.
    """
    kind = kind_of_space(space)
    if kind == OPPONENT:
        values = to_space(image, _before_opponent(space))
        return values if values.shape[-3] == 1 else by_strips(to_opponent, values)
    if kind == ANSCOMBE:
        return by_strips(Anscombe.parse(space).to, image)
    return by_strips(srgb_to_prophoto, image) if space == "prophoto" else image


def from_space(image: Float[Tensor, "b c h w"], space: str) -> Float[Tensor, "b c h w"]:
    """Values of a space as sRGB values: the inverse of `to_space`, to 1e-6.

    Of an Anscombe space it is the inverse for values without noise.

    Raises:
        UsageError: it is no space.
    """
    kind = kind_of_space(space)
    if kind == OPPONENT:
        values = image if image.shape[-3] == 1 else by_strips(from_opponent, image)
        return from_space(values, _before_opponent(space))
    if kind == ANSCOMBE:
        return by_strips(Anscombe.parse(space).back, image)
    return by_strips(prophoto_to_srgb, image) if space == "prophoto" else image


def outcome_in_srgb(
    image: Float[Tensor, "b c h w"], space: str, initial: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b c h w"]:
    """What became of a picture, by `from_space`; values that no operation has changed are its own, bit for bit.

    That makes a difference for an Anscombe space: such values have their noise still, and its inverse is for others.
    Opponent colours would come back with rounding errors; of these, a pixel is its own if none of the three changed.

    Args:
        image: values of the space.
        space: see `to_space`.
        initial: the picture with which the episode began, in sRGB.

    Raises:
        UsageError: it is no space.
    """
    kind = kind_of_space(space)
    if kind not in (ANSCOMBE, OPPONENT):
        return from_space(image, space)

    def known(image: Tensor, initial: Tensor) -> Tensor:
        same = image == to_space(initial, space)
        same = same.all(-3, keepdim=True) if kind == OPPONENT else same
        return torch.where(same, initial, from_space(image, space))

    return by_strips(known, image, initial)


def srgb_to_lab(image: Pixels) -> Pixels:
    """sRGB values to Lab / 100. It has a gradient."""
    return _xyz_to_lab(_mixed(_srgb_to_linear(image), _SRGB_TO_XYZ))


def prophoto_to_lab(image: Pixels) -> Pixels:
    """ProPhoto RGB values to Lab / 100. It has a gradient."""
    return _xyz_to_lab(_mixed(_prophoto_to_linear(image), _PROPHOTO_TO_XYZ))


def prophoto_to_srgb(image: Pixels) -> Pixels:
    """ProPhoto RGB values to sRGB values; colours that sRGB has not lie outside [0, 1]."""
    return _odd(_mixed(_prophoto_to_linear(image), _PROPHOTO_TO_SRGB), _linear_to_srgb)


def srgb_to_prophoto(image: Pixels) -> Pixels:
    """sRGB values to ProPhoto RGB values, the inverse of `prophoto_to_srgb`."""
    linear = _mixed(_srgb_to_linear(image), _SRGB_TO_PROPHOTO)
    return _odd(linear, lambda v: torch.where(v >= 1 / 512, _power(v.clamp_min(1e-6), 1 / 1.8), 16 * v))


def opponent(image: Pixels) -> Pixels:
    """Brightness, red against green and yellow against blue: linear in sRGB's values, Lab / 100 at a glance."""
    red, green, blue = image.unbind(-3)
    luma = 0.3 * red + 0.59 * green + 0.11 * blue
    return torch.stack([luma, 1.2 * (red - green), 1.2 * (luma - blue)], -3)


def to_opponent(image: Pixels) -> Pixels:
    """RGB values as their mean and two differences, red less blue and both less green (Dabov et al., ICIP 2007).

    The three directions are orthogonal and have one measure: a distance here is `OPPONENT_SCALE` times that in RGB. The
    differences have 0.5 added, so that colours of [0, 1] have all three values there.
    """
    mean, red, magenta = opponent_change(image).unbind(-3)
    return torch.stack([mean, red + 0.5, magenta + 0.5], -3)


def opponent_change(change: Pixels) -> Pixels:
    """How opponent colours change where RGB values do; exactly 0 where these do not."""
    red, green, blue = change.unbind(-3)
    differences = (red - blue) * _BLUE_TO_RED, (red + blue - 2 * green) * _GREEN_TO_MAGENTA
    return torch.stack([(red + green + blue) / 3, *differences], -3)


def from_opponent(image: Pixels) -> Pixels:
    """The inverse of `to_opponent`, to 1e-6."""
    mean, red, magenta = image.unbind(-3)
    red, magenta = (red - 0.5) * (3 * _BLUE_TO_RED), (magenta - 0.5) * (3 * _GREEN_TO_MAGENTA)
    return torch.stack([mean + red + magenta, mean - 2 * magenta, mean - red + magenta], -3)


def lab_distance(lab: Float[Tensor, "*#b 3 h w"], other: Float[Tensor, "*#b 3 h w"]) -> Float[Tensor, "*b 1 h w"]:
    """How far apart the colours of each pixel are (CIE 1976's Delta E), of two images in Lab / 100."""
    return LAB_SCALE * length(lab - other)


def length(vectors: Pixels) -> Float[Tensor, "*b 1 h w"]:
    """Euclidean, over the channels. `torch.linalg.vector_norm` takes ten times as long for dimensions so far out."""
    x, y, z = vectors.unbind(-3)
    # The smallest number keeps the root's gradient finite at 0.
    return (x.square() + y.square() + z.square()).clamp_min(1e-14).sqrt().unsqueeze(-3)


def _srgb_to_linear(image: Pixels) -> Pixels:
    return _odd(image, lambda v: torch.where(v > 0.04045, _power((v.clamp_min(1e-3) + 0.055) / 1.055, 2.4), v / 12.92))


def _linear_to_srgb(linear: Pixels) -> Pixels:
    return torch.where(linear > 0.0031308, 1.055 * _power(linear.clamp_min(1e-6), 1 / 2.4) - 0.055, 12.92 * linear)


def _prophoto_to_linear(image: Pixels) -> Pixels:
    return _odd(image, lambda v: torch.where(v >= 16 / 512, _power(v.clamp_min(1e-3), 1.8), v / 16))


def _xyz_to_lab(xyz: Pixels) -> Pixels:
    f = []
    for plane, white in zip(xyz.unbind(-3), _WHITE_D65, strict=True):
        ratio = plane / white
        f.append(torch.where(ratio > 0.008856, _power(ratio.clamp_min(1e-3), 1 / 3), 7.787 * ratio + 16 / 116))
    x, y, z = f
    return torch.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], -3)


def _power(base: Tensor, exponent: float) -> Tensor:
    """Of positive numbers: on CPUs twice as fast as ``base ** exponent``, and as exact to 1e-6."""
    return (base.log() * exponent).exp()


def _mixed(image: Pixels, matrix: np.ndarray) -> Pixels:
    red, green, blue = image.unbind(-3)  # plane by plane: a matrix product would lose digits under autocast
    return torch.stack([float(r) * red + float(g) * green + float(b) * blue for r, g, b in matrix], -3)


def _odd(image: Tensor, curve: Callable[[Tensor], Tensor]) -> Tensor:
    """The curve, continued to negative values by ``f(-v) = -f(v)``."""
    return torch.copysign(curve(image.abs()), image)
