"""How many threads PyTorch and OpenCV compute with: as many as the work is worth, and only while it lasts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import cv2
import torch

T = TypeVar("T")
R = TypeVar("R")

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


_CHECK: ContextVar[Callable[[], object]] = ContextVar("check", default=lambda: None)


@contextmanager
def checked(check: Callable[[], object]) -> Iterator[None]:
    """Inside, teams call this after every piece; what it raises ends their work."""
    before = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(before)


class Team:
    """Threads that share out pieces of work. Whoever is ready takes the next, so nobody waits while there are some.

    Threads of PyTorch wait for each other after every operation, so that one which another program keeps from working
    holds up all. Here each computes with one thread of PyTorch and OpenCV. Use it in a ``with`` statement.

    Args:
        number: of threads; with one, all is done by the caller.
    """

    def __init__(self, number: int) -> None:
        self._threads = ThreadPoolExecutor(number, initializer=_begin) if number > 1 else None
        self._opencv = cv2.getNumThreads()

    def each(self, work: Callable[[T], R], pieces: Iterable[T]) -> list[R]:
        """What the work gives for every piece, once all are done. It must not matter which is done first."""
        check, done = _CHECK.get(), []
        for result in map(work, pieces) if self._threads is None else self._threads.map(work, pieces):
            check()
            done.append(result)
        return done

    def __enter__(self) -> Team:
        if self._threads is not None:
            cv2.setNumThreads(1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            cv2.setNumThreads(self._opencv)


def _begin() -> None:
    """What a thread of a team does first. Both are a thread's own."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)


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
