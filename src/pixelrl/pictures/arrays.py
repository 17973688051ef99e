"""Between the images that people hold and the tensors that the package computes with: what comes in comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from PIL import Image as PillowImage
from torch import Tensor

from pixelrl.errors import InputError
from pixelrl.pictures.channels import CANNOT_HOLD, MODES, TRANSPARENT, Array, pillow_channels, split_alpha
from pixelrl.pictures.display import orientation_of_pillow
from pixelrl.pictures.scale import FULL, Scale, scale_of
from pixelrl.pictures.values import finite, float_planes, in_dtype, plain, scaled, scaled_back
from pixelrl.types import Image

__all__ = ["SHAPES", "AnyImage", "Array", "Unpacked", "unpack"]

AnyImage = TypeVar("AnyImage", npt.NDArray[np.generic], PillowImage.Image, Tensor, list[Any], tuple[Any, ...])
"""What agents take and give back: an array, a Pillow image, a tensor, or a list of these."""

_TENSOR_FULL = FULL | {"bfloat16": 1.0}

SHAPES = "(h, w), (h, w, c), (c, h, w), (b, h, w, c) or (b, c, h, w) with 1 to 4 channels c"
"""The shapes of images."""


class Form(ABC):
    """How an image came in, so that a result can be given back alike."""

    @abstractmethod
    def pack(self, result: Image) -> Any:
        """A result ``(b, c, h, w)`` in this form."""


@dataclass(frozen=True)
class Unpacked(Generic[AnyImage]):
    """An image that a person gave.

    Attributes:
        tensor: its colours, float32 ``(b, c, h, w)``, c being 1 or 3.
        scales: for each image of the batch, which of its values became 0 and 1.
        remark: what a person is to be told of the scales, or None where they are those of the dtype.
        form: how it came in.
        pixels: the colours of a single image, ``(h, w)`` or ``(h, w, c)``, in the dtype that came in; None for several.
        alpha: the alpha channel of a single image, ``(h, w)``, or None.
        opacity: the alpha of all images, ``(b, 1, h, w)``, 1 being the largest there is; None without alpha.
        orientation: how the image says that it is to be turned for display, as EXIF numbers it.
        icc_profile: its colour profile, or None.
    """

    tensor: Image
    scales: tuple[Scale, ...]
    remark: str | None
    form: Form
    pixels: Array | None
    alpha: Array | None = None
    opacity: Float[Tensor, "b 1 h w"] | None = None
    orientation: int = 1
    icc_profile: bytes | None = None

    def pack(self, result: Image) -> AnyImage:
        """A result ``(b, c, h, w)`` of the type, dtype, shape and mode that came in, with the alpha that came in."""
        packed: AnyImage = self.form.pack(result)
        return packed


def unpack(image: AnyImage, scale: Scale | float | None = None) -> Unpacked[AnyImage]:
    """Take an image apart; nothing of what comes out changes with it, for callers reuse buffers.

    Args:
        image: a numpy array or a tensor of one of `SHAPES`; of uint8, uint16 or floats, in either order of bytes.
            Where channels could be first or last, they are last in arrays and first in tensors. With 2 or 4 channels,
            the last is alpha. Or a Pillow image; or a list of images of one size.
        scale: which values are black and white, or which value is white, for all images of a batch. If left out, it
            is told by the values (`pixelrl.pictures.scale.scale_of`), for those of an array together: 255, 65535 and 1
            are white, unless the values are in other units.

    Raises:
        InputError: anything else, no pixels, or values that are masked or not finite.
    """
    if isinstance(image, Tensor):
        return _unpack_tensor(image, scale)
    if isinstance(image, np.ndarray):
        return _unpack_array(plain(image), scale)
    if isinstance(image, PillowImage.Image):
        return _unpack_pillow(image, scale)
    if isinstance(image, (list, tuple)):
        return _unpack_list(image, scale)
    kind = type(image).__name__
    raise InputError(f"{kind} is not an image; give a numpy array, a Pillow image, a tensor or a list of these")


@dataclass(frozen=True)
class _Layout:
    """Where batch and channels are in a shape: ``channels`` is None, 1 (first) or 3 (last), batch counted."""

    batch: bool
    channels: int | None

    @classmethod
    def of(cls, shape: Sequence[int], kind: str, *, first: bool) -> _Layout:
        """``first`` says where channels are looked for first."""
        if 0 in shape:
            raise InputError(f"{kind} of shape {tuple(shape)} has no pixels")
        if len(shape) == 2:
            return cls(batch=False, channels=None)
        if len(shape) in (3, 4):
            whole = (1, *shape) if len(shape) == 3 else tuple(shape)
            for axis in (1, 3) if first else (3, 1):
                if whole[axis] <= 4:
                    return cls(batch=len(shape) == 4, channels=axis)
        raise InputError(f"{kind} of shape {tuple(shape)} is not an image; it must be {SHAPES}")

    def planes(self, image: Any, library: Any) -> Any:
        """As ``(b, c, h, w)``; ``library`` is numpy or torch."""
        image = image if self.batch else image[None]
        return image[:, None] if self.channels is None else library.moveaxis(image, self.channels, 1)

    def restored(self, planes: Any, library: Any) -> Any:
        """The inverse of `planes`."""
        image = planes[:, 0] if self.channels is None else library.moveaxis(planes, 1, self.channels)
        return image if self.batch else image[0]


def _has_alpha(planes: Any) -> bool:
    return planes.shape[1] in (2, 4)


def _scale(planes: Array, scale: Scale | float | None) -> Scale:
    """The scale of finite values ``(b, c, h, w)``, as it was given or as they tell."""
    if isinstance(scale, Scale):
        return scale
    return scale_of((plane for group in planes for plane in group), scale)


@dataclass(frozen=True)
class _Units:
    """What it takes to give values back in units that are not the dtype's.

    Attributes:
        scale: which values became 0 and 1.
        before: the image, ``(b, c, h, w)``.
        came: its values.
    """

    scale: Scale
    before: Image
    came: Array

    def back(self, result: Image) -> Array:
        """The values of a result, in the dtype that came."""
        before, after = (image.detach().cpu().numpy() for image in (self.before, result))
        return scaled_back(after, before, self.came, self.scale)


@dataclass(frozen=True)
class _TensorForm(Form):
    layout: _Layout
    dtype: torch.dtype
    device: torch.device
    alpha: Tensor | None
    units: _Units | None

    def pack(self, result: Image) -> Tensor:
        scale = _TENSOR_FULL[_name(self.dtype)]
        if self.units is None:
            values = result if scale == 1 else (result.clamp(0, 1) * scale).round()
        else:
            values = torch.from_numpy(self.units.back(result))
        values = values.to(self.device, self.dtype)
        if self.alpha is not None:
            values = torch.cat([values, self.alpha], 1)
        restored: Tensor = self.layout.restored(values, torch)
        return restored.contiguous()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _unpack_tensor(image: Tensor, given: Scale | float | None) -> Unpacked[Any]:
    name = _name(image.dtype)
    if name not in _TENSOR_FULL:
        raise InputError(f"a tensor of {name} is not an image here; convert it to {', '.join(_TENSOR_FULL)}")
    layout = _Layout.of(image.shape, "a tensor", first=True)
    planes: Tensor = layout.planes(image.detach(), torch)
    alpha = planes[:, -1:].clone() if _has_alpha(planes) else None
    colours = planes if alpha is None else planes[:, :-1]
    values = finite(colours.to(torch.float32, copy=True).contiguous(), "tensor")
    known = colours if name in FULL else values  # numpy has no bfloat16
    own: Array = known.cpu().numpy()
    scale = _scale(own, given)
    values, units = _in_units(values, own, scale)
    form, pixels, veil = _TensorForm(layout, image.dtype, image.device, alpha, units), None, None
    if len(planes) == 1:
        pixels = np.moveaxis(own[0], 0, -1).copy()
        pixels = pixels[..., 0] if layout.channels is None else pixels
        veil = None if alpha is None else alpha[0, 0].to(known.dtype).cpu().numpy().copy()
    return Unpacked(values, (scale,) * len(planes), scale.remark(own.dtype.name), form, pixels, veil, _opacity(alpha))


def _in_units(values: Tensor, planes: Array, scale: Scale) -> tuple[Image, _Units | None]:
    """Values as an image, and what it takes to give them back where the scale is not the dtype's."""
    image = scaled(values, planes, scale)
    if scale == Scale.full(planes.dtype.name):
        return image, None
    return image, _Units(scale, image, planes.astype(planes.dtype.newbyteorder("="), copy=True))


@dataclass(frozen=True)
class _ArrayForm(Form):
    layout: _Layout
    dtype: np.dtype[Any]
    alpha: Array | None
    units: _Units | None

    def pack(self, result: Image) -> Array:
        if self.units is None:
            values = in_dtype(result.detach().cpu().numpy(), self.dtype)
        else:
            values = self.units.back(result).astype(self.dtype)
        if self.alpha is not None:
            values = np.concatenate([values, self.alpha], 1).astype(self.dtype)  # which loses the order of bytes
        return np.ascontiguousarray(self.layout.restored(values, np))


def _unpack_array(image: Array, given: Scale | float | None) -> Unpacked[Any]:
    layout = _Layout.of(image.shape, "an array", first=False)
    planes: Array = layout.planes(image, np)
    alpha = planes[:, -1:].copy() if _has_alpha(planes) else None
    colours = planes if alpha is None else planes[:, :-1]
    values, pixels, veil = float_planes(colours), None, None
    scale = _scale(colours, given)
    values, units = _in_units(values, colours, scale)
    if len(planes) == 1:
        own = np.moveaxis(planes[0], 0, -1).astype(image.dtype.newbyteorder("="))
        pixels, veil = split_alpha(own)
        pixels = own if own.shape[2] == 1 and layout.channels is not None else pixels
    form, remark = _ArrayForm(layout, image.dtype, alpha, units), scale.remark(image.dtype.name)
    opacity = None if alpha is None else _opacity(torch.from_numpy(alpha.astype(np.float32)))
    return Unpacked(values, (scale,) * len(planes), remark, form, pixels, veil, opacity)


def _opacity(alpha: Tensor | None) -> Float[Tensor, "b 1 h w"] | None:
    if alpha is None:
        return None
    alpha = alpha.float()
    return (alpha / alpha.max().clamp_min(1e-6)).clamp(0, 1)


@dataclass(frozen=True)
class _PillowForm(Form):
    form: Form
    mode: str
    info: dict[str | tuple[int, int], Any] = field(repr=False)

    def pack(self, result: Image) -> PillowImage.Image:
        array = self.form.pack(result)
        image = PillowImage.fromarray(array.astype(np.int32) if self.mode == "I" else array)
        if image.mode != self.mode and self.mode in MODES and self.mode not in CANNOT_HOLD:
            image = image.convert(self.mode)
        image.info = {key: value for key, value in self.info.items() if key != "transparency"}
        return image


def _unpack_pillow(image: PillowImage.Image, given: Scale | float | None) -> Unpacked[Any]:
    array = pillow_channels(image)
    unpacked = _unpack_array(array[..., 0] if array.shape[2] == 1 else array, given)
    mode = TRANSPARENT.get(image.mode, image.mode) if "transparency" in image.info else image.mode
    return replace(
        unpacked,
        form=_PillowForm(unpacked.form, mode, dict(image.info)),
        orientation=orientation_of_pillow(image),
        icc_profile=None if image.mode == "CMYK" else image.info.get("icc_profile"),
    )


@dataclass(frozen=True)
class _ListForm(Form):
    kind: type
    forms: tuple[Form, ...]

    def pack(self, result: Image) -> Any:
        return self.kind(form.pack(result[i : i + 1]) for i, form in enumerate(self.forms))


def _unpack_list(images: Sequence[Any], given: Scale | float | None) -> Unpacked[Any]:
    kind = "list" if isinstance(images, list) else "tuple"
    if not images:
        raise InputError(f"an empty {kind} has no images; give at least one")
    parts = []
    for number, image in enumerate(images, 1):
        if not isinstance(image, (np.ndarray, PillowImage.Image, Tensor)):
            raise InputError(f"a {kind} of images holds a {type(image).__name__} as number {number}; give images only")
        part: Unpacked[Any] = unpack(image, given)
        if len(part.tensor) != 1:
            raise InputError(f"number {number} of the {kind} is a batch of {len(part.tensor)}; give single images")
        parts.append(part)
    sizes = {part.tensor.shape[1:] for part in parts}
    if len(sizes) > 1:
        raise InputError(f"the images of a {kind} must be of one size and kind; give those of other sizes one by one")
    form = _ListForm(list if kind == "list" else tuple, tuple(part.form for part in parts))
    tensor = torch.cat([part.tensor.to(parts[0].tensor.device) for part in parts])
    scales = tuple(part.scales[0] for part in parts)
    remark = "; ".join(dict.fromkeys(part.remark for part in parts if part.remark is not None)) or None
    veils = [torch.ones_like(part.tensor[:, :1]) if part.opacity is None else part.opacity for part in parts]
    veiled = any(part.opacity is not None for part in parts)
    opacity = torch.cat([veil.to(tensor.device) for veil in veils]) if veiled else None
    rest = {} if len(parts) == 1 else _SEVERAL
    return replace(parts[0], tensor=tensor, scales=scales, remark=remark, form=form, opacity=opacity, **rest)


_SEVERAL: dict[str, Any] = {"pixels": None, "alpha": None, "orientation": 1, "icc_profile": None}
