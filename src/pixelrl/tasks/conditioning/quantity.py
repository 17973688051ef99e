"""A number that a person may give, and the words for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

from pixelrl.errors import UsageError
from pixelrl.validation import brief

Given = float | Literal["auto"]
"""A number that a person gives, or "auto" for the one that is estimated."""


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
        words = f"{self.name} = {brief(value)} is not a {self.label}"
        raise UsageError(f'{words}; give {self.unit + "," if self.unit else "a number"} {most}, or "auto"')


def is_auto(value: object) -> bool:
    """Whether this stands for the value that is estimated."""
    return isinstance(value, str) and value == "auto"
