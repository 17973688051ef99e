"""One thread that does what takes long, one thing at a time, and says how far it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from pixelrl.errors import PixelRLError
from pixelrl.studio.runs import Progress
from pixelrl.studio.session import Session

_LOG = logging.getLogger(__name__)


class CancelledError(Exception):
    """The work at hand is no longer wanted."""


class BusyError(Exception):
    """Something else is being done; one sentence."""


@final
@dataclass
class Job:
    """Something that takes long."""

    kind: str
    do: Callable[[Progress], None]
    share: float = 0.0
    label: str = "waiting"
    cancelled: threading.Event = field(default_factory=threading.Event)

    def progress(self, share: float, label: str) -> None:
        """Remember how far it is; ends the work if it was cancelled."""
        if self.cancelled.is_set():
            raise CancelledError
        self.share, self.label = share, label


@final
class Worker(threading.Thread):
    """Runs the job that was given, or else what the session still has to do.

    Args:
        session: gives the session at hand, or None.
        react: lets the policy do what the session still wants of it (`Session.must_react`).
    """

    def __init__(self, session: Callable[[], Session | None], react: Callable[[Session, Progress], None]) -> None:
        super().__init__(name="pixelrl studio", daemon=True)
        self.session, self.react = session, react
        self.job: Job | None = None
        self.error: str | None = None
        """Why the last job failed, in a sentence; None once another one begins."""
        self._wake = threading.Condition()
        self._ended = False

    def submit(self, kind: str, do: Callable[[Progress], None]) -> Job:
        """Give it a job.

        Raises:
            BusyError: it has one.
        """
        with self._wake:
            if self.job is not None and self.job.kind != "live":
                raise BusyError(f"the studio is busy ({self.job.kind}); wait until it is done, or cancel it")
            if self.job is not None:
                self.job.cancelled.set()
                self._wake.wait_for(lambda: self.job is None, timeout=30)
            if self.job is not None:
                raise BusyError("the studio is busy; try again in a moment")
            self.job, self.error = Job(kind, do), None
            self._wake.notify_all()
            return self.job

    def cancel(self) -> None:
        """Ask the job at hand to end; it does so at the next step."""
        with self._wake:
            if self.job is not None:
                self.job.cancelled.set()

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
            session = self.session()
            if job is not None:
                self._do(job)
            elif session is not None and session.must_react():
                self._react(session)
            elif not self._advance(session):
                with self._wake:
                    if self.job is None and not self._ended:
                        self._wake.wait(timeout=0.1 if session is not None and session.waiting() else 2)

    def _react(self, session: Session) -> None:
        with self._wake:
            if self.job is not None:
                return
            job = self.job = Job("live", lambda progress: self.react(session, progress))
        self._do(job)
        if self.error is not None:
            session.give_up()

    def _advance(self, session: Session | None) -> bool:
        if session is None:
            return False
        try:
            more = session.advance()
            time.sleep(0.003)  # locks are not fair: a request that waits for this slice's end must get its turn
            return more
        except Exception:  # a preview that fails must not end the thread: the export computes everything anew
            _LOG.exception("the exact replay failed")
            session.give_up()
            return False

    def _do(self, job: Job) -> None:
        self.error = None
        try:
            job.do(job.progress)
        except CancelledError:
            pass
        except PixelRLError as error:
            self.error = str(error)
        except MemoryError:
            self.error = "there is not enough memory for this picture; a smaller one is needed"
        except Exception as error:
            _LOG.exception("a job failed")
            self.error = f"this is a fault of the studio ({type(error).__name__}: {error}); the terminal says more"
        finally:
            with self._wake:
                self.job = None
                self._wake.notify_all()
