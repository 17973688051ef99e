"""A sign of life: how far the pictures are, on a terminal as a bar, elsewhere as a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from pixelrl.cli.common import complain

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

HEARTBEAT = 15.0
"""Seconds between two lines where there is no terminal."""


class Progress:
    """How far the work on some pictures is. Use it as a context.

    Args:
        total: the number of pictures.
        together: whether several are worked on at a time, so that none of them is shown, but how many are done.
        what: they are.
    """

    def __init__(self, total: int, *, together: bool = False, what: str = "pictures") -> None:
        self.total, self.done = total, 0
        self._name, self._share, self._began = "", 0.0, 0.0
        self._what, self._together, self._worked, self._first = what, together, 0, time.monotonic()
        self._stack, self._over = ExitStack(), threading.Event()
        self._move: Callable[[], object] = lambda: None

    def __enter__(self) -> Progress:
        from rich.console import Console

        console = Console(stderr=True)
        if console.is_terminal:
            self._show_bars(console)
        else:
            beat = threading.Thread(target=self._beat, daemon=True)
            beat.start()
            self._stack.callback(beat.join)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def begin(self, name: str) -> None:
        """The next picture's turn has come."""
        if not self._together:
            self._name, self._share, self._began = name, 0.0, time.monotonic()
        self._move()

    def update(self, share: float) -> None:
        """So much of this picture's work is done, from 0 to 1."""
        self._share = share
        self._move()

    def end(self, *, worked: bool = True) -> None:
        """This picture is done or failed, or left alone, which took no work."""
        self.done, self._name, self._share = self.done + 1, "", 0.0
        self._worked += worked
        self._move()

    def stop(self) -> None:
        """Show nothing any more."""
        self._over.set()
        self._stack.close()

    def _show_bars(self, console: Console) -> None:
        from rich.markup import escape
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        # What is printed on stdout goes there, not to the bars' stderr, unless both are the same terminal.
        same = sys.stdout is not None and sys.stdout.isatty()
        bars = Bars(*columns, TimeRemainingColumn(), console=console, transient=True, redirect_stdout=same)
        self._stack.enter_context(bars)
        every = bars.add_task("", total=self.total, visible=self.total > 1)
        each = bars.add_task("", total=1.0, visible=False)

        def move() -> None:
            name = self._name if len(self._name) <= 40 else f"...{self._name[-37:]}"
            number = min(self.done + 1, self.total)
            words = (
                f"{self.done} of {self.total} {self._what}" if self._together else f"picture {number} of {self.total}"
            )
            bars.update(every, description=words, completed=self.done)
            bars.update(each, description=escape(name), completed=self._share, visible=bool(self._name))

        self._move = move

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT):
            if self._together:
                self._say_how_many()
                continue
            name, share, seconds = self._name, self._share, time.monotonic() - self._began
            if not name:
                continue
            words = f"{name}: {100 * share:.0f} % after {duration(seconds)}"
            if share > 0:
                words += f", about {duration(seconds * (1 - share) / share)} left"
            complain(words + (f" (picture {self.done + 1} of {self.total})" if self.total > 1 else ""))

    def _say_how_many(self) -> None:
        seconds = time.monotonic() - self._first
        words = f"{self.done} of {self.total} {self._what} after {duration(seconds)}"
        if self._worked:
            words += f", about {duration(seconds * (self.total - self.done) / self._worked)} left"
        complain(words)


def duration(seconds: float) -> str:
    """A time in words: 45 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
