"""What goes from one process to another, pickled: between processes of one user that run the same program."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

Outcome = tuple[bool, Any]
"""Whether a job has a result, and that, or the exception that it ended with."""


def outcome(run: Callable[[Any], Any], job: Any) -> bytes:
    """Do a job: its `Outcome`, pickled."""
    try:
        return pickle.dumps((True, run(job)))
    except Exception as error:
        return pickle.dumps((False, portable(error)))


def portable(error: Exception) -> Exception:
    """An exception itself if it survives a journey, else a RuntimeError of the same words."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # what was pickled here
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
