"""A share of many jobs, for batch systems that run one command many times."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pixelrl.errors import UsageError

J = TypeVar("J")


@dataclass(frozen=True)
class Shard:
    """Share ``number`` of ``total``, counted from 1. Every job belongs to exactly one of them."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``"2/8"``.

        Raises:
            UsageError: it is not of this form, or counts from 0.
        """
        number, slash, total = text.partition("/")
        if not (slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
            raise UsageError(f"{text!r} is no share; give its number and how many there are, from 1/8 to 8/8")
        return cls(int(number), int(total))

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def of(self, jobs: Sequence[J]) -> Sequence[J]:
        """Every ``total``-th of jobs that are the same in all shares: equally many for each."""
        return jobs[self.number - 1 :: self.total]

    def has(self, name: str) -> bool:
        """Whether what has this name belongs to this share, whatever else there is.

        So nothing is left out, and nothing done twice, where more came in between the starts of two shares.
        """
        return zlib.crc32(name.encode(errors="surrogateescape")) % self.total == self.number - 1
