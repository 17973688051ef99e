"""Workers of a dask cluster that work jobs off. The scheduler sees jobs and results, which are small, and no pixels.

Dask itself begins a job anew whose worker was lost, and gives up one that cost several workers
(``distributed.scheduler.allowed-failures``, three by default). Jobs that only waited on those workers count as having
cost them, too. So what was given up is tried again in the end, alone.

For every task dask takes some milliseconds of a processor in client, scheduler and worker. So short jobs are given in
batches, as many as take about `LONG` by what the ones before took.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import pickle
import queue
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, TypeVar

from pixelrl.engines import Fault
from pixelrl.engines.portable import outcome
from pixelrl.errors import PixelRLError, UsageError

if TYPE_CHECKING:
    from distributed import Client

_LOG = logging.getLogger(__name__)

J = TypeVar("J")
R = TypeVar("R")

PATIENCE = 10.0
"""Seconds until a scheduler that does not answer counts as none."""
AHEAD = 2
"""Batches that are given to the cluster for each of its threads, so that none waits for the next."""
LEAST = 8
"""Batches that are given to a cluster without workers: it may start some when there is work."""
LONG, MOST = 0.5, 64
"""Seconds that a batch of short jobs is to take, and how many it may have."""
QUIET = 10.0
"""Seconds without a result after which it is asked whether the cluster has any workers at all."""
LOOK_AGAIN = 1.0
"""Seconds after which the number of threads is asked for again; workers come and go."""


def work_off(run: Callable[[J], R], jobs: Iterable[J], address: str) -> Generator[tuple[J, R | Fault], None, None]:
    """See `pixelrl.engines.dask`."""
    client = _connect(address)
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    # The mark makes it another run than one of the same words before, whose worker may have kept an older policy.
    data = pickle.dumps((secrets.token_hex(8), run))
    source, flying, given_up = iter(jobs), dict[Any, list[J]](), list[J]()
    landed = queue.SimpleQueue[tuple[Any, tuple[list[bytes], float] | Exception]]()
    exhausted, proven, last, room, looked, size, each_takes = False, False, False, 0, -LOOK_AGAIN, 1, 0.0
    alone = False

    async def fetch(future: Any) -> None:
        # The status of a future is not asked for later: with its worker, a result can be lost that is here already.
        try:
            [result] = await client.gather([future], asynchronous=True)
        except asyncio.CancelledError:
            result = CancelledError()
        except Exception as error:  # of whatever kind: it is looked at where it lands
            result = error
        landed.put((future, result))

    def give(batch: list[J]) -> None:
        with _noticing(client, address):
            future = client.submit(_do, data, batch, pure=False)
        flying[future] = batch
        client.loop.add_callback(fetch, future)

    try:
        while True:
            if not exhausted and time.monotonic() - looked > LOOK_AGAIN:
                room, looked = max(LEAST, AHEAD * _threads(client, address)), time.monotonic()
            while not exhausted and len(flying) < room:
                batch = list(itertools.islice(source, size))
                exhausted = len(batch) < size
                if batch:
                    give(batch)
            if not flying:
                if not given_up:
                    return
                last = True
                give([given_up.pop()])
            try:
                future, result = landed.get(timeout=QUIET)
            except queue.Empty:
                if not alone and not _threads(client, address):
                    alone = True
                    _LOG.warning("--dask %s: the cluster has no workers; waiting until it has", address)
                continue
            batch = flying.pop(future)
            if not isinstance(result, Exception):
                outcomes, seconds = result
                proven, each_takes = True, max(seconds / len(batch), each_takes / 2, 1e-9)
                size = max(1, min(MOST, 2 * size, round(LONG / each_takes)))
                for job, each in zip(batch, outcomes, strict=True):
                    done, value = pickle.loads(each)  # noqa: S301  # of this user's own workers
                    yield job, value if done else Fault(value)
            elif isinstance(result, (CancelledError, CommClosedError)):
                raise _lost(address) from result
            elif isinstance(result, KilledWorker):
                if last:
                    yield batch[0], Fault(None)
                else:
                    given_up += batch
            elif proven:
                for job in batch:
                    yield job, Fault(result)
            elif isinstance(result, PixelRLError):
                raise result
            else:
                raise UsageError(
                    f"--dask {address}: a worker cannot begin ({type(result).__name__}: {result}); "
                    "install the same version of pixelrl there"
                )
    finally:
        if flying and client.status == "running":
            client.cancel(list(flying))
        client.close()


def _connect(address: str) -> Client:
    try:
        from distributed import Client
        from distributed.comm import get_address_host_port
    except ImportError as error:
        raise UsageError('--dask needs dask: pip install "pixelrl[dask]"') from error

    class Bounded(Client):  # type: ignore[misc]  # of a package without types
        """One that gives up on a server that is no scheduler: dask waits forever for its greeting.

        If it does not start it is closed. Else it closes itself when it is collected: late, in vain and loudly.
        """

        def start(self, **options: Any) -> None:
            try:
                super().start(**options)
            except BaseException:
                self.close()
                raise

        async def _start(self, *arguments: Any, **options: Any) -> Client:
            started: Client = await asyncio.wait_for(super()._start(*arguments, **options), 2 * PATIENCE)
            return started

    example = "give its address with the port, such as tcp://10.0.0.1:8786"
    try:
        fitting = 0 < get_address_host_port(address)[1] < 1 << 16
    except ValueError:
        fitting = False
    if not fitting:
        raise UsageError(f"--dask {address} is no address of a dask scheduler; {example}")
    try:
        return Bounded(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--dask {address}: no scheduler answers there; {example}") from error


def _threads(client: Client, address: str) -> int:
    """How many the cluster has."""
    with _noticing(client, address):
        threads: dict[str, int] = client.ncores()
    return sum(threads.values())


@contextlib.contextmanager
def _noticing(client: Client, address: str) -> Iterator[None]:
    """Say of a scheduler that it was lost, be it so long ago that the client has given it up: then anything is raised.

    That is where whoever takes the results was busy with the last one meanwhile.
    """
    try:
        yield
    except Exception as error:
        if client.status == "running" and not isinstance(error, OSError):
            raise
        raise _lost(address) from error


def _lost(address: str) -> UsageError:
    return UsageError(f"--dask {address}: the scheduler was lost; the same command with --skip-existing does the rest")


def _do(data: bytes, batch: list[Any]) -> tuple[list[bytes], float]:
    """What a worker does for some jobs, and the seconds that they took."""
    run, began = _loaded(data), time.perf_counter()
    return [outcome(run, job) for job in batch], time.perf_counter() - began


@functools.lru_cache(maxsize=2)
def _loaded(data: bytes) -> Callable[[Any], Any]:
    _, run = pickle.loads(data)  # noqa: S301  # of the user who gave the job
    return run  # type: ignore[no-any-return]
