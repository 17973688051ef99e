"""Where a session stands, and its way from an edit over a preview to the exact result, in slices of work.

`Phase` names the places on that way. `pixelrl.studio.session.Session` adds what policies and a person do to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

from pixelrl.edits import Edit
from pixelrl.errors import UsageError
from pixelrl.pictures.arrays import Array
from pixelrl.pictures.formats import Picture
from pixelrl.studio.document import Document, StaleError
from pixelrl.studio.exact import ExactReplay, Known
from pixelrl.studio.folder import Folder
from pixelrl.studio.preview import Frames, Preview, difference
from pixelrl.studio.screen import Recorded, Screen
from pixelrl.studio.stages import Basis, digest, result_key
from pixelrl.trace import Trace

_QUIET = 0.5
"""Seconds after an edit in which the exact result is not begun: the next edit may come."""


class Phase(Enum):
    """Where a session stands: what is on the screen, and what is left to do."""

    UNRUN = "the picture; no policy has been run on it"
    RERUN = "the former result; the policy has to do it again with other settings"
    REACT = "the former result; the policy has yet to react to the edits (live)"
    PREVIEW = "a preview; the rest of it and the exact result are still to come (replay)"
    STALLED = "a preview or the former result; more failed or was given up, until a change or `retry`"
    EXACT = "the result itself"


class Phased(Screen):
    """A screen that knows what is left to do, and does it: see the module.

    Args:
        folder: where everything that must not be lost is kept.
        picture: the folder's picture.
    """

    def __init__(self, folder: Folder, picture: Picture) -> None:
        super().__init__(folder, picture)
        self.edits: tuple[Edit, ...] = ()
        self._closed = False
        self._exact = True
        self._stalled = False
        self._replay: ExactReplay | None = None
        self._edited_at = 0.0
        self._near: tuple[float, float] | None = None

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        with self.lock:
            if self.recorded is None:
                return Phase.UNRUN
            if self.folder.document.requested is not None:
                return Phase.RERUN
            if self.mode == "live":
                if self.reaction is not None:
                    return Phase.EXACT
                return Phase.STALLED if self._stalled else Phase.REACT
            if self._exact:
                return Phase.EXACT
            return Phase.STALLED if self._stalled else Phase.PREVIEW

    def close(self) -> None:
        """Everything is on the disk; from here on, this object changes nothing there."""
        with self.lock:
            self._closed = True
            self.folder.release()

    def _require_open(self) -> None:
        """Before anything is written: another one may have the folder by now."""
        if self._closed:
            raise StaleError("this picture was put away meanwhile; open it again")

    def _save(self, document: Document) -> None:
        self._require_open()
        self.folder.save(document)

    def _take(self, recorded: Recorded, edits: tuple[Edit, ...]) -> None:
        """Begin with a run and these edits: a preview is shown."""
        self.recorded, self.reaction = recorded, None
        self.runs += 1
        self.preview = Preview(recorded.frames, recorded.trace.action_names, recorded.trace.space)
        self.edits = edits
        self.preview.change(edits, edits)
        self._unsettle()
        self._note(None)

    def _show(self, edits: tuple[Edit, ...], near: tuple[float, float] | None, seconds: float) -> None:
        """Other edits: so many seconds of work on their preview, around a point, and the rest by `advance`."""
        assert self.preview is not None
        before, self.edits = self.edits, edits
        self._near, self._edited_at = near, time.monotonic()
        self.preview.change(edits, difference(before, edits))
        self.reaction = None
        self._unsettle()
        if self.mode == "replay":
            self._note(self.preview.work(seconds, near))

    def _unsettle(self) -> None:
        self._replay, self._stalled = None, False
        self._exact = self._as_recorded()

    def _as_recorded(self) -> bool:
        return not self.edits and not self._pending()

    def _pending(self) -> bool:
        return self.preview is not None and bool(self.preview.todo)

    def give_up(self) -> None:
        """After a fault, or when a person does not want to wait: what was asked is asked no more.

        Where that was the exact result or a reaction to edits, nothing more is tried before a change, or `retry`.
        """
        with self.lock:
            if self.folder.document.requested is not None:
                self._save(self.folder.document.given_up())
                return
            self._replay, self._stalled = None, True

    def retry(self) -> None:
        """What was given up is wanted after all."""
        with self.lock:
            self._stalled = False

    def advance(self) -> bool:
        """In `Phase.PREVIEW`, do a slice of what is left to do; returns whether there is more."""
        with self.lock:
            if self.phase is not Phase.PREVIEW:
                return False
            assert self.preview is not None
            assert self.recorded is not None
            if self._pending():
                self._note(self.preview.work(0.05, self._near))
                return True
            if not self.edits:
                self._exact = True
                return False
            if time.monotonic() - self._edited_at < _QUIET:
                return False
            if self._replay is None:
                self._replay = ExactReplay(self.recorded.frames, self._names(), self.edits, self.recorded.trace.space)
            replay = self._replay
        more = replay.step()
        with self.lock:
            if replay is not self._replay or more:
                return True
            self._compare(replay.frames)
            self.preview.become(replay.frames)
            self._replay, self._exact = None, True
            return False

    def require_nothing_requested(self) -> None:
        """What is taken along belongs together: refuse while another object or strength is still being worked on.

        Raises:
            UsageError: it is.
        """
        if self.folder.document.requested is not None:
            raise UsageError("the policy is still at work with what you changed; wait until it is done")

    def require_result(self) -> None:
        """Refuse where there is no result, or none that belongs to what is asked for; a reaction is tried again then.

        Raises:
            UsageError: nothing was run yet, or the policy is still at work.
        """
        self._names()
        self.require_nothing_requested()
        if self.mode == "live" and self.reaction is None:
            self.retry()
            raise UsageError("the policy is still reacting to the last edit; wait until it is done")

    def result(self, after_step: Callable[[], object] = lambda: None) -> tuple[Trace, Array]:
        """What happened with the edits, and the pixels that came of it, exactly: it may take seconds.

        In *replay* this is what ``pixelrl edit`` gives, in *live* what ``--edits`` does on the command line.

        Args:
            after_step: called after every step that had to be computed; what it raises ends the work.

        Raises:
            UsageError: nothing was run yet, or the policy is still at work.
        """
        with self.lock:
            known = self._known()
        return known.result(after_step)

    def basis(self, after_step: Callable[[], object] = lambda: None) -> Basis:
        """The result as the next stage takes it; arguments and errors as those of `result`."""
        with self.lock:
            known = self._known()
            if not self.folder.document.ran:  # of a session from before there were stages
                recorded = known.recorded.trace
                self._save(self.folder.document.identified(recorded.policy, digest(recorded)))
            source = result_key(self.folder.document)
        return Basis(self.picture.with_pixels(known.result(after_step)[1]), source)

    def _known(self) -> Known:
        self.require_result()
        assert self.recorded is not None
        assert self.preview is not None
        if self.mode == "live":
            return Known(self.reaction or self.recorded, (), None)
        if not self._exact or not self.edits:
            return Known(self.recorded, self.edits, None)
        shown = self.preview.frames  # a copy: the next edit writes into the shown ones
        return Known(self.recorded, self.edits, Frames([shown.images[-1].clone()], shown.actions.clone()))
