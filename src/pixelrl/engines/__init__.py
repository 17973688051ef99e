"""Ways through many jobs: one after the other, in processes of their own, or on a dask cluster.

A job is any value that can be pickled and is small (a path, the place of a block); ``run`` is what does one: a function
of a module, or a `functools.partial` of one. All engines give ``(job, result)`` as soon as a job is done, in no order
that can be relied on, and a `Fault` for the result of a job that failed; no job ends the others. Jobs are taken from
their iterable only when somebody is free to do them. What is computed must not depend on who computes it: that is for
``run`` to see to, by a fixed number of threads.

>>> from pixelrl.engines import through
>>> for job, result in through(run, jobs, workers=4):
...     print(job, result)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

from pixelrl.engines.shard import Shard

__all__ = ["Fault", "Shard", "dask", "processes", "serial", "through"]

J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True)
class Fault:
    """What became of a job that has no result.

    Attributes:
        error: what ``run`` raised. From another process it comes without its traceback, and as a RuntimeError of the
            same words if it cannot be pickled. None where nothing was raised: whoever did the job was lost, and so was
            the next who tried.
    """

    error: Exception | None

    @property
    def lost(self) -> bool:
        """Whether those who worked on it were lost: killed by the system, for want of memory, or by somebody."""
        return self.error is None


def serial(run: Callable[[J], R], jobs: Iterable[J]) -> Generator[tuple[J, R | Fault], None, None]:
    """Do the jobs in this process, one after the other, in their order."""
    for job in jobs:
        try:
            result: R | Fault = run(job)
        except Exception as error:
            result = Fault(error)
        yield job, result


def processes(run: Callable[[J], R], jobs: Iterable[J], workers: int) -> Generator[tuple[J, R | Fault], None, None]:
    """Do the jobs in processes of one thread each, which unpickle ``run`` once; see `pixelrl.engines.pool`.

    Raises:
        PixelRLError: one that was raised as ``run`` was unpickled.
        RuntimeError: the processes cannot be started.
    """
    from pixelrl.engines.pool import work_off

    return work_off(run, jobs, workers)


def dask(run: Callable[[J], R], jobs: Iterable[J], address: str) -> Generator[tuple[J, R | Fault], None, None]:
    """Do the jobs on the cluster of a dask scheduler, whose workers unpickle ``run`` once each.

    Raises:
        UsageError: dask is not installed, there is no scheduler at the address, or its connection was lost.
    """
    from pixelrl.engines.cluster import work_off

    return work_off(run, jobs, address)


def through(
    run: Callable[[J], R], jobs: Iterable[J], *, workers: int | None = None, address: str | None = None
) -> Generator[tuple[J, R | Fault], None, None]:
    """Do the jobs on the cluster at the address, or in so many processes, or in this one if neither is given.

    Close it (`contextlib.closing`) where the loop over it may end early: then nobody goes on working.

    Raises:
        PixelRLError: as `processes` and `dask`.
    """
    if address is not None:
        return dask(run, jobs, address)
    return serial(run, jobs) if workers is None else processes(run, jobs, workers)
