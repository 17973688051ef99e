"""Processes of this machine that work jobs off. One that is lost costs its job a second try, and nobody else anything.

Not `concurrent.futures`: it gives up all jobs when one process is killed, and does not say which one it had.

The processes are started anew (spawn), for threads of PyTorch do not survive a fork. A process ends after its job if
the one that started it is gone, so nothing goes on unseen. Ctrl-C reaches all processes of a terminal; only the first
one hears it, and asks the others to stop, which take back what they have half written.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, NoReturn, TypeVar

from pixelrl.engines import Fault
from pixelrl.engines.portable import outcome, portable
from pixelrl.errors import PixelRLError

J = TypeVar("J")
R = TypeVar("R")

TRIES = 2
"""How often a job is begun whose process is lost."""
FAILED_STARTS = 3
"""So many processes in a row that end before they can work: then none will."""
PATIENCE = 10.0
"""Seconds that a process has to stop before it is killed."""


@dataclass
class _Task(Generic[J]):
    job: J
    tries: int = 0


class _Worker(Generic[J]):
    """A process, and the task it has. It is ready when it has said so, and takes nothing before."""

    def __init__(self, data: bytes, task: _Task[J]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.task: _Task[J] | None = task
        self.ready = self.begun = False
        self._process: SpawnProcess = context.Process(target=_serve, args=(theirs, data), daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe ends when the process does

    def begin(self) -> None:
        """Send the task. If nobody is there any more, which is seen where the answer is awaited, it was not tried."""
        assert self.task is not None
        with contextlib.suppress(OSError):
            self.pipe.send(self.task.job)
            self.task.tries += 1
            self.begun = True

    def ask_to_stop(self) -> None:
        self.pipe.close()  # enough for one that waits
        if self.task is not None and self._process.is_alive():
            self._process.terminate()

    def stop(self) -> None:
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._process.close()


def work_off(run: Callable[[J], R], jobs: Iterable[J], workers: int) -> Generator[tuple[J, R | Fault], None, None]:
    """See `pixelrl.engines.processes`."""
    data = pickle.dumps(run)
    source, again = iter(jobs), deque[_Task[J]]()
    team: dict[Connection, _Worker[J]] = {}
    failed_starts = 0

    def next_task() -> _Task[J] | None:
        for job in source:
            return _Task(job)
        return again.popleft() if again else None  # last, when whatever took the memory may be done

    try:
        while True:
            for worker in team.values():
                if worker.task is None and (task := next_task()) is not None:
                    worker.task = task
                    worker.begin()
            while len(team) < workers and (task := next_task()) is not None:
                worker = _Worker(data, task)
                team[worker.pipe] = worker
            if all(worker.task is None for worker in team.values()):
                return
            for pipe in wait(list(team)):
                assert isinstance(pipe, Connection)
                worker = team[pipe]
                try:
                    kind, value = pickle.loads(pipe.recv_bytes())  # noqa: S301  # of our own process
                except (EOFError, OSError):
                    del team[pipe]
                    worker.stop()
                    pipe.close()
                    failed_starts = 0 if worker.begun else failed_starts + 1
                    if failed_starts == FAILED_STARTS:
                        raise RuntimeError("the processes for --workers end before they can work") from None
                    if worker.task is None:
                        continue
                    if worker.task.tries < TRIES:
                        again.append(worker.task)
                    else:
                        yield worker.task.job, Fault(None)
                    continue
                if not worker.ready:
                    if isinstance(value, Exception):
                        raise value
                    worker.ready = True
                    worker.begin()
                    failed_starts = 0 if worker.begun else failed_starts
                    continue
                assert worker.task is not None
                job, worker.task = worker.task.job, None
                yield job, value if kind else Fault(value)
    finally:
        for worker in team.values():
            worker.ask_to_stop()
        for worker in team.values():
            worker.stop()


def _serve(pipe: Connection, data: bytes) -> None:
    """What a process does: say that it is ready, then one job after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    try:
        run: Callable[[Any], Any] = pickle.loads(data)  # noqa: S301  # of the process that started this one
    except PixelRLError as error:
        pipe.send_bytes(pickle.dumps((False, portable(error))))
        return
    with contextlib.suppress(EOFError, OSError):  # whoever started this process needs it no more
        pipe.send_bytes(pickle.dumps((True, None)))
        while True:
            pipe.send_bytes(outcome(run, pipe.recv()))


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)
