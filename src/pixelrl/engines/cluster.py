"""Workers of a dask cluster that work jobs off. The scheduler sees jobs and results, which are small, and no pixels.

Dask itself begins a job anew whose worker was lost, and gives up one that cost several workers
(``distributed.scheduler.allowed-failures``, three by default). Jobs that only waited on those workers count as having
cost them, too. So what was given up is tried again in the end, alone.
"""

from __future__ import annotations

import functools
import pickle
import secrets
import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from pixelrl.engines import Fault
from pixelrl.engines.portable import outcome
from pixelrl.errors import PixelRLError, UsageError

if TYPE_CHECKING:
    from distributed import Client

J = TypeVar("J")
R = TypeVar("R")

PATIENCE = 10.0
"""Seconds until a scheduler that does not answer counts as none."""
AHEAD = 2
"""Jobs that are given to the cluster for each of its threads, so that none waits for the next."""
LEAST = 8
"""Jobs that are given to a cluster without workers: it may start some when there is work."""
LOOK_AGAIN = 1.0
"""Seconds after which the number of threads is asked for again; workers come and go."""


def work_off(run: Callable[[J], R], jobs: Iterable[J], address: str) -> Generator[tuple[J, R | Fault], None, None]:
    """See `pixelrl.engines.dask`."""
    client = _connect(address)
    from distributed import KilledWorker, as_completed

    # The mark makes it another run than one of the same words before, whose worker may have kept an older policy.
    data = pickle.dumps((secrets.token_hex(8), run))
    source, flying, given_up, landed = (
        iter(jobs),
        dict[Any, J](),
        list[J](),
        as_completed(loop=client.loop, with_results=True),
    )
    landed.raise_errors = False
    exhausted, proven, last, room, looked = False, False, False, 0, -LOOK_AGAIN

    def give(job: J) -> None:
        future = client.submit(_do, data, job, pure=False)
        flying[future] = job
        landed.add(future)

    try:
        while True:
            if not exhausted and time.monotonic() - looked > LOOK_AGAIN:
                room, looked = _room(client, address), time.monotonic()
            while not exhausted and len(flying) < room:
                try:
                    give(next(source))
                except StopIteration:
                    exhausted = True
            if not flying:
                if not given_up:
                    return
                last = True
                give(given_up.pop())
            future, result = next(landed)
            job = flying.pop(future)
            if future.status == "finished":
                proven, (done, value) = True, pickle.loads(result)  # noqa: S301  # of this user's own workers
                yield job, value if done else Fault(value)
                continue
            if future.status != "error":
                raise _lost(address)
            error = future.exception()
            if isinstance(error, KilledWorker):
                if last:
                    yield job, Fault(None)
                else:
                    given_up.append(job)
            elif proven:
                yield job, Fault(error)
            elif isinstance(error, PixelRLError):
                raise error
            else:
                raise UsageError(
                    f"--dask {address}: a worker cannot begin ({type(error).__name__}: {error}); "
                    "install the same version of pixelrl there"
                )
    finally:
        if flying and client.status == "running":
            client.cancel(list(flying))
        client.close()


def _connect(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError('--dask needs dask: pip install "pixelrl[dask]"') from error
    try:
        return Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--dask {address}: no scheduler answers there; give its address, such as tcp://10.0.0.1:8786"
        ) from error


def _room(client: Client, address: str) -> int:
    """How many jobs may be with the cluster at once."""
    try:
        threads: dict[str, int] = client.ncores()
    except OSError as error:
        raise _lost(address) from error
    return max(LEAST, AHEAD * sum(threads.values()))


def _lost(address: str) -> UsageError:
    return UsageError(f"--dask {address}: the scheduler was lost; the same command with --skip-existing does the rest")


def _do(data: bytes, job: Any) -> bytes:
    """What a worker does for one job."""
    return outcome(_loaded(data), job)


@functools.lru_cache(maxsize=2)
def _loaded(data: bytes) -> Callable[[Any], Any]:
    _, run = pickle.loads(data)  # noqa: S301  # of the user who gave the job
    return run  # type: ignore[no-any-return]
