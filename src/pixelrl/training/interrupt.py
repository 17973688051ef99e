"""Ctrl-C, or being told to end (SIGTERM), as a request that is heard when there is time for it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks for a stop after the iteration at hand; a second one interrupts at once.

    So does SIGTERM, which ``kill`` and the schedulers of clusters send before they take a machine away. Gives a
    function that says whether a stop was asked for. Outside the main thread it is never True.
    """
    requested = False

    def ask(number: int, frame: object) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True

    try:
        old = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: nothing to listen to
        yield lambda: False
        return
    try:
        yield lambda: requested
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)
