"""Ctrl-C as a request that is heard when there is time for it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks for a stop after the iteration at hand; a second one interrupts at once.

    Gives a function that says whether a stop was asked for. Outside the main thread it is never True.
    """
    requested = False

    def ask(number: int, frame: object) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True

    try:
        old = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not the main thread: nothing to listen to
        yield lambda: False
        return
    try:
        yield lambda: requested
    finally:
        signal.signal(signal.SIGINT, old)
