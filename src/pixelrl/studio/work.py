"""One thread that does what takes long, one thing at a time, and says how far it is."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

from pixelrl.errors import PixelRLError
from pixelrl.memory import give_back
from pixelrl.studio.runs import Progress
from pixelrl.studio.session import Phase, Session

_LOG = logging.getLogger(__name__)
_REMEMBERED = 50
_PACE = 2.0
"""Seconds of work from which on it is said how long the rest will take."""

Do = Callable[[Progress], str | None]
"""What takes long; returns the id of the session that came of it, if any."""


class CancelledError(Exception):
    """The work at hand is no longer wanted."""


class BusyError(Exception):
    """Something else is being done; one sentence."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with a session, with an error in a sentence, or (neither) because it was cancelled."""

    session: str | None = None
    error: str | None = None


@final
@dataclass
class Job:
    """Something that takes long.

    Attributes:
        number: in which no other job is like it.
        kind: what it is, in words; "live" for what the worker does by itself.
        session: the id of the session on which it works, or for which it was asked; None if there is none.
        do: the work.
        share: how much of it is done, from 0 to 1.
        label: what is being done.
        cancelled: whether it is to end.
        held: the ids of other sessions on which it works, too.
    """

    number: int
    kind: str
    session: str | None
    do: Do
    share: float = 0.0
    label: str = "waiting"
    cancelled: threading.Event = field(default_factory=threading.Event)
    held: set[str] = field(default_factory=set)
    _first: tuple[float, float] | None = None

    def progress(self, share: float, label: str) -> None:
        """Remember how far it is; ends the work if it was cancelled."""
        if self.cancelled.is_set():
            raise CancelledError
        self.share, self.label = share, label
        if self._first is None and share > 0:
            self._first = time.monotonic(), share

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take at the pace so far; None while too little is done to say so."""
        if self._first is None:
            return None
        seconds, done = time.monotonic() - self._first[0], self.share - self._first[1]
        return None if seconds < _PACE or done <= 0 else seconds * (1 - self.share) / done


@final
class Worker(threading.Thread):
    """Runs the job that was given, or else what the open sessions still have to do.

    Args:
        sessions: gives the open sessions, the latest used first.
        react: lets the policy do what a session still wants of it (`Phase.RERUN`, `Phase.REACT`).
    """

    def __init__(self, sessions: Callable[[], Sequence[Session]], react: Callable[[Session, Progress], None]) -> None:
        super().__init__(name="pixelrl studio", daemon=True)
        self.sessions, self.react = sessions, react
        self.job: Job | None = None
        self.outcomes: OrderedDict[int, Outcome] = OrderedDict()
        """Of the last jobs that were given, by their number."""
        self.errors: dict[str | None, str] = {}
        """Why the last job of a session failed, in a sentence, until another one begins."""
        self._numbers = itertools.count(1)
        self._wake = threading.Condition()
        self._ended = False

    def submit(self, kind: str, session: str | None, do: Do) -> Job:
        """Give it a job.

        Raises:
            BusyError: it has one.
        """
        with self._wake:
            if self.job is not None and self.job.kind != "live":
                ending = "the studio is still cancelling what it did; try again in a moment"
                busy = f"the studio is busy ({self.job.kind}); wait until it is done, or cancel it"
                raise BusyError(ending if self.job.cancelled.is_set() else busy)
            if self.job is not None:
                self.job.cancelled.set()
                self._wake.wait_for(lambda: self.job is None, timeout=30)
            if self.job is not None:
                raise BusyError("the studio is busy; try again in a moment")
            self.job = Job(next(self._numbers), kind, session, do)
            self.errors.pop(session, None)
            self._wake.notify_all()
            return self.job

    def cancel(self, session: str | None = None) -> None:
        """Ask the job at hand to end; given a session, only if the job is that one's."""
        with self._wake:
            if self.job is not None and (session is None or self.job.session == session):
                self.job.cancelled.set()

    def check(self) -> None:
        """Called by the job at hand, wherever it is: end it if it was cancelled."""
        job = self.job
        if threading.current_thread() is self and job is not None and job.cancelled.is_set():
            raise CancelledError

    def hold(self, session: str) -> None:
        """Called by the job at hand: it works on this session, too, which must stay open until `let_go`."""
        job = self.job
        if threading.current_thread() is self and job is not None:
            job.held.add(session)

    def let_go(self) -> None:
        """Called by the job at hand: the sessions that it held are not needed any more."""
        job = self.job
        if threading.current_thread() is self and job is not None:
            job.held.clear()

    def works_on(self, session: str) -> bool:
        """Whether the job at hand works on this session."""
        job = self.job
        return job is not None and (job.session == session or session in job.held)

    def wake(self) -> None:
        """There may be something to do."""
        with self._wake:
            self._wake.notify_all()

    def end(self) -> None:
        """No more work."""
        self._ended = True
        self.cancel()
        self.wake()

    def run(self) -> None:
        """Until `end`."""
        while not self._ended:
            with self._wake:
                job = self.job
            if job is not None:
                self._do(job)
                continue
            sessions = self.sessions()
            if any([self._tend(session) for session in sessions]):
                continue
            with self._wake:
                if self.job is None and not self._ended:
                    soon = any(session.phase is Phase.PREVIEW for session in sessions)
                    self._wake.wait(timeout=0.1 if soon else 2)

    def _tend(self, session: Session) -> bool:
        """Do something of what a session still has to do; returns whether there is more."""
        if self.job is not None:
            return True
        if session.phase in (Phase.RERUN, Phase.REACT):
            self._react(session)
            return True
        try:
            more = session.advance()
            time.sleep(0.003)  # locks are not fair: a request that waits for this slice's end must get its turn
            return more
        except Exception:  # a preview that fails must not end the thread: the export computes everything anew
            _LOG.exception("the exact replay failed")
            self._give_up(session)
            return False

    def _react(self, session: Session) -> None:
        def do(progress: Progress) -> None:
            self.react(session, progress)

        with self._wake:
            if self.job is not None:
                return
            job = self.job = Job(next(self._numbers), "live", session.folder.id, do)
            self.errors.pop(session.folder.id, None)
        if self._do(job).error is not None:
            self._give_up(session)

    @staticmethod
    def _give_up(session: Session) -> None:
        try:
            session.give_up()
        except PixelRLError:  # it cannot be written down, or the session was closed: then there is nothing to do either
            _LOG.warning("a session could not be saved", exc_info=True)

    def _do(self, job: Job) -> Outcome:
        outcome = Outcome()
        try:
            outcome = Outcome(session=job.do(job.progress))
        except CancelledError:
            pass
        except PixelRLError as error:
            outcome = Outcome(error=str(error))
        except MemoryError:
            outcome = Outcome(error="there is not enough memory for this picture; a smaller one is needed")
        except Exception as error:
            _LOG.exception("a job failed")
            fault = f"this is a fault of the studio ({type(error).__name__}: {error}); the terminal says more"
            outcome = Outcome(error=fault)
        finally:
            with self._wake:
                if outcome.error is not None:
                    self.errors[job.session] = outcome.error
                self.outcomes[job.number] = outcome
                while len(self.outcomes) > _REMEMBERED:
                    self.outcomes.popitem(last=False)
                self.job = None
                self._wake.notify_all()
            give_back()
        return outcome
