"""What is freed goes back to the system: glibc keeps much of it, as it does blocks of up to 32 MB."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable


def _of_glibc() -> Callable[[int], object]:
    """Its ``malloc_trim``; nothing where there is another library."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return lambda padding: None


_malloc_trim = _of_glibc()


def trim() -> None:
    """Let the system have the pages that are free now.

    Work on a large picture takes and frees blocks of ever other sizes, between which more than a gigabyte would stay.
    Without glibc nothing happens.
    """
    _malloc_trim(0)


def give_back() -> None:
    """The same, once what nobody holds any more is freed."""
    gc.collect()
    trim()
