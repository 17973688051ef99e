"""How many threads PyTorch and OpenCV compute with: as many as the work is worth, and only while it lasts."""

from __future__ import annotations

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
