"""The studio behind the server: the open sessions, the work on them, the limits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, final

import numpy as np
import numpy.typing as npt

from pixelrl.agent import Agent
from pixelrl.errors import PixelRLError, UsageError
from pixelrl.studio.agents import Agents
from pixelrl.studio.asked import Asked
from pixelrl.studio.document import StaleError
from pixelrl.studio.folder import HELD
from pixelrl.studio.going import Going
from pixelrl.studio.preview import Box
from pixelrl.studio.runs import Progress
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.stages import chain
from pixelrl.studio.state import Json, job_state, offer, offer_damaged
from pixelrl.studio.store import Store
from pixelrl.studio.work import CancelledError, Job, Worker
from pixelrl.tasks.conditioning import Given


@final
@dataclass(frozen=True)
class Limits:
    """What the studio takes on.

    Attributes:
        pixels: of a picture; and of all open ones together, but that the latest is open whatever its size.
        upload: bytes of a picture file.
        request: bytes of a request that is no picture.
        at_once: requests that are answered at the same time.
        sessions: that are open at the same time.
        silence: seconds without a byte after which the rest of a request is not waited for.
        slowest: bytes a second that the body of a request must reach on the whole, after the first half minute.
    """

    pixels: int = 24_000_000
    upload: int = 300_000_000
    request: int = 16_000_000
    at_once: int = 8
    sessions: int = 8
    silence: float = 10.0
    slowest: float = 50_000.0


class ClosedError(StaleError):
    """The session that a tab shows is not open, but on the disk; one sentence."""


@final
class Studio:
    """One person's studio. Each tab works on a session of its own, several tabs perhaps on the same.

    Args:
        store: the sessions on the disk.
        limits: what it takes on.
        device: where policies compute.
        policies: files of a person's own policies, beside the shipped ones.

    Raises:
        UsageError: one of them cannot be loaded.
    """

    def __init__(self, store: Store, limits: Limits, device: str = "auto", policies: Sequence[Path] = ()) -> None:
        self.store, self.limits = store, limits
        self.worker = Worker(self.sessions, self.react)
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.RLock()
        self.agents = Agents(device, policies, self.worker.check)
        self.asked, self.going = Asked(self), Going(self)

    # --- Open sessions ----------------------------------------------------------------------------

    def sessions(self) -> list[Session]:
        """Those that are open, the latest used first."""
        with self._lock:
            return [*reversed(self._sessions.values())]

    def session(self, identity: str | None = None, use: bool = False) -> Session:
        """An open session, or (None) the latest used one.

        Args:
            identity: of the session.
            use: whether it is the latest used one from here on.

        Raises:
            ClosedError: it is not open.
            UsageError: none is.
        """
        with self._lock:
            if identity is None:
                if not self._sessions:
                    raise UsageError("there is no picture yet; open one first")
                return next(reversed(self._sessions.values()))
            if identity not in self._sessions:
                raise ClosedError("this picture was put away to make room for another one; open it again")
            if use:
                self._sessions.move_to_end(identity)
            return self._sessions[identity]

    def open(self, data: bytes, name: str, mask: npt.NDArray[np.bool_] | None = None) -> Session:
        """Begin with the bytes of a picture file, and perhaps an object ``(h, w)`` in it; raises InputError."""
        earlier = self.store.earlier(data)
        folder, picture = self.store.create(data, name, self.limits.pixels)
        session = Session(folder, picture)
        session.earlier = None if earlier is None else offer(chain(earlier))
        try:
            folder.claim()
            if mask is not None:
                session.begin_with(mask)
        except PixelRLError:
            self.store.discard(folder)
            raise
        self.add(session)
        self.store.tidy()
        return session

    def resume(self, identity: str, asker: str | None = None) -> Job:
        """Go on with a session from the disk.

        Args:
            identity: of that session.
            asker: the session that is shown where this is asked.

        Raises:
            UsageError: there is none, or it is damaged.
            BusyError: something else is being done.
        """
        self.store.open(identity)
        return self.worker.submit(
            "opening a session", asker, lambda progress: self.opened(identity, progress).folder.id
        )

    def opened(self, identity: str, progress: Progress) -> Session:
        """A session, which is read from the disk if it is not open; errors are those of `Session.resume`.

        A job that asks for it holds it from here on.
        """
        with self._lock:
            self.worker.hold(identity)
            if identity in self._sessions:
                return self._sessions[identity]
        folder = self.store.open(identity)
        # Each stage has a lock of its own; but a picture is one, and whoever has a stage of it open has it.
        stages = chain(folder)
        if any(stage.held for stage in stages if stage.id not in self._sessions):
            raise UsageError(HELD)
        folder.claim()
        try:
            session = Session(folder, folder.picture(self.limits.pixels))
            if folder.finished:
                session.resume(progress)
        except BaseException:
            folder.release()
            raise
        self.add(session)
        return session

    def is_open(self, identity: str) -> bool:
        """Whether a session is open."""
        return identity in self._sessions

    def forget(self, identity: str, asker: str | None = None) -> None:
        """Take a picture with all its stages out of the list, or its last stage; `Store.restore` brings it back."""
        with self._lock:
            gone = [session for session in self._sessions.values() if identity in self._names(session)]
            if asker in [session.folder.id for session in gone]:
                raise UsageError("this session is open; open another picture first")
            for session in gone:
                self._close(session.folder.id)
        self.store.forget(identity)

    @staticmethod
    def _names(session: Session) -> tuple[str, str]:
        """By which a session can be forgotten: its own id, and that of its picture."""
        return session.folder.id, session.folder.root.name

    def close(self) -> None:
        """End the work and close all sessions; what was forgotten here is removed from the disk."""
        self.worker.end()
        if self.worker.is_alive():
            self.worker.join(timeout=5)
        with self._lock:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()
        self.store.purge()

    def add(self, session: Session) -> None:
        """Open a session, and close those that there is no room for any more; all is on the disk."""
        session.policy_files = self.agents.files
        with self._lock:
            self._sessions[session.folder.id] = session
            room, places = self.limits.pixels - session.pixels, self.limits.sessions - 1
            for identity, other in reversed([*self._sessions.items()][:-1]):
                room, places = room - other.pixels, places - 1
                if (room < 0 or places < 0) and not self.worker.works_on(identity):
                    self._close(identity)
        self.worker.wake()

    def _close(self, identity: str) -> None:
        if self.worker.works_on(identity):
            raise UsageError("the studio is at work on this session; wait until it is done, or cancel it")
        self.asked.forget(identity)
        self._sessions.pop(identity).close()

    # --- Work -------------------------------------------------------------------------------------

    def run(self, identity: str, policy: str, level: Given, keep: bool = False, seen: Box | None = None) -> Job:
        """Let a policy work on a session's picture; another policy than before begins a session of its own.

        Args:
            identity: of the session.
            policy: its name, or a task of `AS_SEEN`.
            level: what it is told; nothing for such a task.
            keep: whether a new session begins with those edits of this one whose operations the policy has.
            seen: the region that is looked at, which is done first.

        Raises:
            UsageError: there is no such policy.
            BusyError: something else is being done.
        """
        session = self.session(identity, use=True)
        self.agents.require_known(policy)

        def do(progress: Progress) -> str:
            found = self.agents.found(policy, level, session.picture, progress)
            progress(0.0, "loading the policy")
            agent = self.agents.fitting(found.policy, session)
            region = None if seen is None else seen.grown(0, session.width, session.height)
            if session.folder.document.policy in (None, found.policy):
                session.found = found.said  # before the page can see that it ran
                session.run(agent, found.level, progress, region)
                return identity
            branch = self._branch(session, agent, keep)
            branch.found = found.said
            try:
                branch.run(agent, found.level, progress, region, session)
            except BaseException:
                self.store.discard(branch.folder, whole=True)
                raise
            self.add(branch)
            return branch.folder.id

        return self.worker.submit("running a policy", identity, do)

    def _branch(self, session: Session, agent: Agent, keep: bool) -> Session:
        """A session on the same picture for another policy."""
        with session.lock:
            edits = session.folder.document.order if keep else ()
            kept = session.fitting(agent.actions.names, agent.card.num_steps) if keep else ()
            branch = Session(self.store.branch(session.folder, kept), session.picture)
        if len(kept) < len(edits):
            left = f"{len(edits) - len(kept)} of {len(edits)} edits were not kept: {agent.name} has no such operation"
            branch.notices.append(f"{left} or step; the session before is in the list, with all of them")
        if chain(session.folder)[-1].id != session.folder.id:
            branch.notices.append("the stages that followed are in the session before, which is in the list")
        return branch

    def cancel(self, identity: str) -> None:
        """What is being done for this session is no longer wanted."""
        session, job = self.session(identity), self.worker.job
        if job is not None and job.kind == "live" and job.session == identity:
            session.give_up()
        self.worker.cancel()

    def react(self, session: Session, progress: Progress) -> None:
        """Let the policy do what a session still wants of it; ends when something else is wanted meanwhile."""
        edits, requested = session.edits, session.folder.document.requested

        def watched(share: float, label: str) -> None:
            now = session.folder.document.requested
            if now is not requested or (requested is None and session.edits is not edits):
                raise CancelledError
            progress(share, label)

        assert session.recorded is not None
        agent = self.agents.get(session.recorded.trace.policy)
        if requested is not None:
            session.found = ""
            session.run(agent, cast(Given, requested["level"]), watched)
        elif session.phase is Phase.REACT:
            session.live(agent, watched)

    # --- What the page shows ----------------------------------------------------------------------

    def state(self, identity: str | None = None, since: int | None = None, job: int | None = None) -> Json:
        """All that a page needs to know, but for pixels.

        Args:
            identity: of the session that it shows; None for the latest used one, if there is any.
            since: the revision of what is shown that the page has.
            job: the number of a job whose outcome it waits for.

        Raises:
            ClosedError: the session is not open.
        """
        session = self.session(identity) if identity is not None or self._sessions else None
        now = self.worker.job  # before the outcomes: where there is no job any more, its outcome is there
        outcome = None if job is None else self.worker.outcomes.get(job)
        return {
            "session": None if session is None else self.going.state(session),
            "changed": [] if session is None or since is None else [list(box) for box in session.changed_since(since)],
            "job": job_state(now),
            "outcome": None if outcome is None else {"session": outcome.session, "error": outcome.error},
            "error": self.worker.errors.get(None if session is None else session.folder.id),
        }

    def offered(self) -> list[Json]:
        """Sessions on the disk, those with edits first, and the damaged last."""
        whole = [offer(chain(folder)) for folder in self.store.offered()]
        return whole + [offer_damaged(path) for path in self.store.damaged()]
