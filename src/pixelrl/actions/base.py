"""What an action is: a named image operation that any pixel may pick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from pixelrl.types import Image


@final
@dataclass(frozen=True)
class Action:
    """One row of the table of actions.

    ``apply`` maps float32 (b c h w) to a new tensor of the same shape and device and leaves its input alone.
    """

    name: str
    """What users, recipes and checkpoints call it."""

    apply: Callable[[Image], Image]
    """The operation, carried out on every pixel."""

    reach: int
    """A result depends on no pixel farther away than this, in rows or columns."""

    color: str
    """Its colour in action maps, ``#rrggbb``."""

    explanation: str = ""
    """What it does to a pixel, in one sentence for people who look at pictures; empty if nothing is known."""
