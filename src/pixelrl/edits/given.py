"""What a caller in Python may give as an edit. What stands in files, `pixelrl.edits.entries` has looked at by then."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.validation import brief, finite_number, is_word, listed, scalar


def as_taken(name: str, value: object) -> object:
    """The value that an attribute of `pixelrl.edits.Edit` takes for one that was given.

    Lists, arrays and tensors become tuples, those of one number the number, and a mask of bytes one of truth.
    """
    if name == "mask":
        return value.bool() if isinstance(value, Tensor) and value.dtype == torch.uint8 else value
    parts = listed(value)
    return scalar(value) if parts is None else tuple(_part(part) for part in parts)


def _part(value: Any) -> object:
    """A number, a name or a corner."""
    pair = listed(value)
    return scalar(value) if pair is None else tuple(map(scalar, pair))


def check_field(name: str, value: object) -> None:
    """Refuse a value that an attribute of `pixelrl.edits.Edit` cannot have, as `as_taken` has left it.

    A box is looked at where the picture is known (`pixelrl.edits.Edit.region`).

    Raises:
        UsageError: it is of another kind, or out of range.
    """
    if name in _FIELDS:
        fits, right = _FIELDS[name]
        if not fits(value):
            raise UsageError(f"{name} = {brief(value)} cannot be in an edit; give {right}")


def _steps(value: Any) -> bool:
    if not isinstance(value, tuple):
        return is_word(value, ("all",))
    numbers = [finite_number(step) for step in value]
    return len(value) > 0 and all(number is not None and number >= 1 and number.is_integer() for number in numbers)


def _corners(value: Any) -> bool:
    pairs = [corner if isinstance(corner, tuple) else () for corner in value] if isinstance(value, tuple) else []
    finite = all(finite_number(number) is not None for pair in pairs for number in pair)
    return len(pairs) > 0 and finite and all(len(pair) == 2 for pair in pairs)


def _mask(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bool and value.ndim == 2


def _names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


def _range(value: Any) -> bool:
    def is_level(number: object) -> bool:
        return finite_number(number) is not None or (isinstance(number, Real) and number in (-math.inf, math.inf))

    return isinstance(value, tuple) and len(value) == 2 and all(map(is_level, value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _truth(value: Any) -> bool:
    return isinstance(value, Real) and value in (0, 1)


def _share(value: Any) -> bool:
    number = finite_number(value)
    return number is not None and 0 < number <= 1


def _pixels(value: Any) -> bool:
    number = finite_number(value)
    return number is not None and number >= 0


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "steps": (_steps, 'numbers of steps from 1, or "all"'),
    "polygon": (_corners, "corners (x, y) in pixels, or None"),
    "mask": (_mask, "a bool tensor (h, w), or None"),
    "actions": (_names, "a list of names of operations, or None"),
    "brightness": (_range, "two grey levels, the lower one first, or None"),
    "force": (_text, "the name of an operation, or None"),
    "forbid": (_names, "a list of names of operations"),
    "stop": (_truth, "True or False"),
    "share": (_share, "a number above 0 and at most 1"),
    "feather": (_pixels, "a number of pixels"),
    "off": (_truth, "True or False"),
}
