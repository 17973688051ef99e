"""How far a piece of work is: told as a share, by whoever does it, to whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], object]
"""Called with the share of the work that is done, up to 1, after every step, and every tile of a large image. What it
raises ends the episode."""


def counter(progress: Progress | None, parts: float) -> Callable[..., None]:
    """A function to call after each of so many parts of the work, or after some: it says which share is done."""
    done = 0.0

    def count(number: float = 1.0) -> None:
        nonlocal done
        done += number
        if progress is not None:
            progress(min(1.0, done / parts))

    return count


def part(progress: Progress | None, index: int, parts: int) -> Progress | None:
    """The progress of one of several parts of equal length, as that of the whole."""
    return None if progress is None else lambda share: progress((index + share) / parts)
