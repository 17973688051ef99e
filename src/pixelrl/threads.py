"""How many threads PyTorch and OpenCV compute with: as many as the work is worth, and only while it lasts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch

PIXELS_PER_THREAD = 2**16
"""With fewer, waiting for each other at every layer costs more than threads bring, above all on busy cores."""


def worthwhile_threads(pixels: int) -> int:
    """How many threads a picture of so many pixels is worth; at most those that PyTorch would use by itself."""
    return max(1, min(torch.get_num_threads(), pixels // PIXELS_PER_THREAD))


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Compute with so many threads inside; afterwards with as many as before.

    PyTorch's number belongs to the Python thread that sets it, so this must be called where the work is done.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(number)
    cv2.setNumThreads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def one_thread_after_fork() -> None:
    """From now on, let processes that are forked from this one compute with a single thread.

    OpenMP's threads do not survive a fork, and a child that waits for them waits forever. (Children that are spawned,
    and other programs, are not concerned.)
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_single)


def _single() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
