"""Data from outside, such as recipes, edits and requests, checked against a msgspec Struct; faults in one sentence.

A Struct's fields carry their ranges in their types, and in their types' description what they must be, in words that
end the sentence: ``data.crop = 0 must be a whole number of pixels, at least 1``.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import numbers
import os
import re
import typing
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pixelrl.errors import PixelRLError, UsageError

Checked = TypeVar("Checked", bound=msgspec.Struct)

LONGEST = 100
"""Characters of a value that are shown in a message."""


def checked(content: object, kind: type[Checked], where: str = "", prefix: str = "") -> Checked:
    """Content of any shape as a Struct.

    Args:
        content: dictionaries, lists, numbers, strings and the like.
        kind: a Struct that forbids unknown fields.
        where: what the whole is, for a content that is no object: "an edit".
        prefix: the name of the field that ``content`` is in something larger: "region".

    Raises:
        UsageError: it does not fit. The first fault's field, value and what it must be are named.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise UsageError(_sentence(error, content, kind, where or prefix, prefix)) from error
    except RecursionError as error:
        raise UsageError(f"{where or prefix} is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise UsageError(f"{where or prefix} has half of a pair of surrogates, which is no character") from error


def check_arguments(
    kind: type, arguments: Mapping[str, object], table: str, others: Collection[str] = (), given: Collection[str] = ()
) -> None:
    """Refuse what the constructor of a class does not take, before it is called.

    Looked at are names, and values where the constructor's hints say that it takes truth values, numbers, strings, or
    lists of them. Whether a number is in its range is the constructor's to say. Of a user's own class only names
    are looked at: its hints were never meant to be kept to.

    Args:
        kind: the class that a table of a recipe is for.
        arguments: what the table holds.
        table: its name; messages begin with it: "policy".
        others: what may stand in the table beside the constructor's own arguments.
        given: arguments that come from elsewhere, and that nobody is told of.

    Raises:
        UsageError: a name is unknown or missing, or a value is of another type.
    """
    parameters = inspect.signature(kind).parameters
    known = [name for name in (*parameters, *others) if name not in given]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in arguments:
            if name not in known and name not in given:
                there = ", ".join(f"{table}.{each}" for each in known) or "none"
                raise UsageError(f"{table}.{name} is unknown; known are {there}")
    try:
        hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]  # of the very class that is called
    except Exception:  # of a user's own class, whose hints may name anything
        hints = {}
    own = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    for name, parameter in parameters.items():
        hint = hints.get(name) if own else None
        what = _described(hint)
        if name not in arguments:
            required = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if required and parameter.default is parameter.empty:
                raise UsageError(f"{table}.{name} is missing; {f'it must be {what}' if what else 'give it'}")
        elif what and arguments[name] is not parameter.default and not _fits(arguments[name], hint):
            example = ""
            if isinstance(parameter.default, tuple) and not any(isinstance(each, str) for each in parameter.default):
                example = f", for instance {shown(parameter.default)}"
            raise UsageError(f"{table}.{name} = {shown(arguments[name])} must be {what}{example}")


_SIMPLE: dict[object, tuple[type, str, str]] = {
    bool: (bool, "true or false", "truth values"),
    int: (numbers.Integral, "a whole number", "whole numbers"),
    float: (numbers.Real, "a number", "numbers"),
    str: (str, "a string", "strings"),
}
"""Hints of constructors: what fits them, and what one and several are called."""


def _parts(hint: object) -> tuple[object, int | None] | None:
    """The hint of a list's parts, and how many there must be if that is said; None for what is no list of one kind."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    kinds = set(parts) - {...}
    if origin not in (tuple, list, Sequence) or len(kinds) != 1 or not kinds <= _SIMPLE.keys():
        return None
    return parts[0], len(parts) if origin is tuple and ... not in parts else None


def _described(hint: object) -> str | None:
    """What fits a hint, in words; None for hints that are not looked at."""
    if hint in _SIMPLE:
        return _SIMPLE[hint][1]
    parts = _parts(hint)
    if parts is None:
        return None
    return f"a list of {'' if parts[1] is None else f'{parts[1]} '}{_SIMPLE[parts[0]][2]}"


def _fits(value: object, hint: object) -> bool:
    if hint in _SIMPLE:
        return isinstance(value, _SIMPLE[hint][0]) and (hint is bool or not isinstance(value, bool))
    parts = _parts(hint)
    assert parts is not None, "only what is described is looked at"
    if not isinstance(value, Sequence) and hasattr(value, "tolist"):
        value = value.tolist()  # an array of numpy, from Python
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return len(value) == (len(value) if parts[1] is None else parts[1]) and all(_fits(each, parts[0]) for each in value)


def shown(value: object) -> str:
    """A value for a message, as JSON and TOML write it; not all of one that is long."""
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "a value too long to be shown"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def brief(value: object) -> str:
    """A value of Python for a message, as Python writes it, on one line; not all of one that is long."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of more digits than Python writes
        return "a number too long to be shown"
    return text if len(text) <= 60 else f"{text[:60]}…"


def is_word(value: object, words: Collection[str]) -> bool:
    """Whether a value that a caller gave is one of some words. An array is none; to compare it gives another array."""
    return isinstance(value, str) and value in words


def listed(value: Any) -> tuple[Any, ...] | None:
    """The parts of a list, a set, an array or a tensor that a caller gave; None for what has no parts, or is text."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, (str, bytes, Mapping)):
        return None
    try:
        parts = iter(value)  # also of what has a length and an item for each number, such as a data set of torch
    except TypeError:
        return None
    return tuple(parts)


def as_path(value: object, what: str, fault: type[PixelRLError] = UsageError) -> Path:
    """A path that a caller gave.

    Args:
        value: as it was given.
        what: what it is the path of; the message begins with it.
        fault: the kind of error that it is.

    Raises:
        PixelRLError: it is no path, or one that no file can have; of the kind ``fault``.
    """
    if not isinstance(value, (str, os.PathLike)) or not isinstance(name := os.fspath(value), str):
        raise fault(f"{what} {brief(value)} is no path; give a string or a pathlib.Path")
    try:
        possible = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # half of a pair of surrogates
        possible = False
    if not possible:
        raise fault(f"{what} {brief(name)} has a character that no file's name can have; give another name")
    return Path(name)


def check_kind(value: object, kind: type, what: str) -> None:
    """Refuse a value that is not what a function takes.

    Args:
        value: as it was given.
        kind: the class that it must be of.
        what: what the function takes, and where it comes from; it ends the message.

    Raises:
        UsageError: it is something else.
    """
    if not isinstance(value, kind):
        raise UsageError(f"{type(value).__name__} is no {kind.__name__}; give {what}")


def scalar(value: Any) -> Any:
    """The number in an array or a tensor of no dimensions; whatever else is given, as it is."""
    return value.tolist() if getattr(value, "ndim", None) == 0 and hasattr(value, "tolist") else value


def finite_number(value: object) -> float | None:
    """A finite number that a caller gave, as a float; None for whatever else it is, such as True.

    An array or a tensor of no dimensions is a number.
    """
    value = scalar(value)
    if isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer larger than any float
            return number if math.isfinite(number := float(value)) else None
    return None


def check_box(box: Sequence[int], name: str, size: tuple[int, int] | None = None) -> None:
    """Refuse a box that holds no pixel, or that does not lie inside a picture.

    Args:
        box: x0, y0, x1, y1 in pixels, x1 and y1 exclusive.
        name: what the box is, with its numbers; messages begin with it.
        size: height and width of the picture; None where they are not known yet: the corners alone are looked at.

    Raises:
        UsageError: it is so, and which of the two is said; or it is no box.
    """
    corners = listed(box) or ()
    if len(corners) != 4 or not all(isinstance(corner, Integral) for corner in corners):
        raise UsageError(f"{name} must be x0, y0, x1, y1, four whole numbers of pixels")
    x0, y0, x1, y1 = corners
    for axis, first, end in (("x", x0, x1), ("y", y0, y1)):
        if end <= first:
            raise UsageError(
                f"{name} holds no pixel: {axis}1 = {end} must be larger than {axis}0 = {first}; "
                "give the left upper corner first"
            )
    if size is not None and not (min(x0, y0) >= 0 and x1 <= size[1] and y1 <= size[0]):
        raise UsageError(f"{name} does not lie inside the picture of {size[1]}x{size[0]}")


def _sentence(error: msgspec.ValidationError, content: object, kind: type, where: str, prefix: str) -> str:
    if error.__cause__ is not None:  # refused by the Struct's own __post_init__, in its own words
        return str(error.__cause__)
    match = re.fullmatch(r"(.*?)(?: - at `\$((?:\.\w+)*).*`)?", str(error), re.DOTALL)
    assert match is not None, "the pattern takes everything"
    message, path = match[1], match[2] or ""
    names, value, description = [prefix] if prefix else [], content, ""
    struct: type | None = kind
    for name in path.split(".")[1:]:
        assert struct is not None
        assert isinstance(value, dict), "msgspec names fields of objects only"
        names.append(name)
        value = value[name]
        struct, description = _field(struct, name)
    field = ".".join(names)
    inside = f"{field}." if field else ""
    known = ", ".join(inside + name for name in getattr(struct, "__struct_fields__", ()))
    if (unknown := re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL)) is not None:
        return f"{inside}{unknown[1]} is unknown; known are {known}"
    if (missing := re.fullmatch(r"Object missing required field `(\w*)`", message)) is not None and struct is not None:
        return f"{inside}{missing[1]} is missing; it must be {_field(struct, missing[1])[1]}"
    right = f"be {description}" if description else f"have some of the fields {known}"
    return f"{field or where} = {shown(value)} must {right}"


def _field(struct: type, name: str) -> tuple[type | None, str]:
    """The Struct that a field holds, if any, and the description of its type."""
    found, description = None, ""
    waiting: list[Any] = [typing.get_type_hints(struct, include_extras=True)[name]]
    while waiting:
        hint = waiting.pop(0)
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            found = hint
        for meta in getattr(hint, "__metadata__", ()):
            description = description or getattr(meta, "description", None) or ""
        if getattr(hint, "__origin__", None) not in (tuple, list, dict):  # what is inside is named by the whole
            waiting += getattr(hint, "__args__", ())
    return found, description
