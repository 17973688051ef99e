"""A session: one picture, one recorded run of a policy, and a person's edits of it. No network code, no threads.

Whoever calls it from several threads needs no locks of their own: what takes long is done in `Session.run`,
`Session.live` and slices of `Session.advance`, and the others wait for no more than a slice.

Every change is on the disk before anything is computed from it. Where a session stands is its `Phase`, and
`pixelrl.studio.phases` has the way from a change to the exact result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from pixelrl.agent import Agent, object_mask
from pixelrl.edits import Edit, within
from pixelrl.errors import UsageError
from pixelrl.pictures.formats import Picture
from pixelrl.pictures.scale import Scale
from pixelrl.studio.changes import Change, Redo, Switch, Tell, Undo, changed
from pixelrl.studio.document import Document
from pixelrl.studio.folder import Folder
from pixelrl.studio.parsing import EditParser
from pixelrl.studio.phases import Phase as Phase
from pixelrl.studio.phases import Phased
from pixelrl.studio.preview import Box
from pixelrl.studio.regions import chosen
from pixelrl.studio.runs import Progress, Wish, play, replayed, shown_as_it_comes, weights_digest
from pixelrl.studio.screen import Screen
from pixelrl.studio.stages import Basis, digest, lossless
from pixelrl.tasks.conditioning import Given
from pixelrl.trace import DamagedTraceError, load_trace, save_trace

SOON = 0.15
"""Seconds of work on the preview before an edit is answered; the rest of it comes while it is looked at."""


class Session(Phased):
    """See the module.

    Args:
        folder: where everything that must not be lost is kept.
        picture: the folder's picture.
    """

    def __init__(self, folder: Folder, picture: Picture) -> None:
        super().__init__(folder, picture)
        self.notices: list[str] = []
        """What a person must be told of the session itself, one sentence each."""
        self._unread = ""
        """The notice that the run cannot be read, until there is another one."""
        self.found = ""
        """What was seen in the picture where that said which policy ran, and whether it was another than before."""
        self.earlier: dict[str, object] | None = None
        """Another session of the same picture with edits in it, as the page is told of it."""
        self.policy_files: Mapping[str, Path] = {}
        """Where a person's own policies lie, by name."""
        self.parser = EditParser(folder, self.height, self.width)

    # --- Runs -------------------------------------------------------------------------------------

    def run(
        self,
        agent: Agent,
        level: Given,
        progress: Progress,
        seen: Box | None = None,
        onto: Screen | None = None,
        basis: Basis | None = None,
    ) -> None:
        """Let a policy work on the picture, with the object and the legibility that are wanted, if it takes them.

        Edits stay; they must fit its operations.

        Args:
            agent: the policy.
            level: what it is told.
            progress: told how far it is; what it raises ends the run.
            seen: the region that is looked at, which is done first.
            onto: the screen on which steps are shown as they arrive; this one, if it is left out.
            basis: of a later stage, the newer result of the stage before that it is to take as its picture.

        Raises:
            PixelRLError: the picture, the level, the object or an edit does not suit the policy.
        """
        names = agent.actions.names
        with self.lock:
            if self.recorded is None:  # those of a session whose run cannot be read have not been looked at yet
                self._leave_out_unfit(names)
            self.parser.edits(self.folder.document.edits, names)
            wanted = self.folder.document.settings()
        region = wanted["region"]
        mask = chosen(self.folder, region, self.height, self.width) if agent.takes_mask and region is not None else None
        legibility = wanted["legibility"] if agent.legible else None
        wish, screen = Wish(level, mask, legibility=legibility), onto or self
        picture = self.picture if basis is None else basis.picture
        try:
            recorded = shown_as_it_comes(agent, picture, wish, seen, progress, screen.arrives, self.folder.path)
        finally:
            screen.arrived = None
        weights = weights_digest(agent)
        _, ran = recorded.bits, digest(recorded.trace)  # measured now, and not while the page waits for its state
        with self.lock:
            self._require_open()
            edits = self.parser.edits(self.folder.document.edits, names)
            if basis is not None:  # before the trace, which says itself of which picture it is
                self.folder.write_input(lossless(picture)[1])
            # Beside the former one: which of them it is, the document says, and nothing can come between.
            former, name = self.folder.trace, f"trace-{ran}.npz"
            source = None if basis is None else basis.source
            before = self.folder.document
            try:
                save_trace(self.folder.path / name, recorded.trace)
                self._save(before.run(agent.name, level, wanted, ran, source, weights, name))
            except BaseException:
                self._remove_trace(name)
                raise
            self._remove_trace(former.name)
            if before.policy == agent.name and before.weights not in ("", weights):
                new = f"the policy {agent.name} has changed since it ran here; this is what it does now"
                self.found = "; ".join(filter(None, (self.found, new)))
            self.picture = picture
            self.notices = [said for said in self.notices if said != self._unread]
            self._take(recorded, edits)

    def _remove_trace(self, name: str) -> None:
        """Remove a run that is not the recorded one."""
        if name != self.folder.trace.name:
            with suppress(OSError):  # then it is removed when the session is opened again
                (self.folder.path / name).unlink(missing_ok=True)

    def resume(self, progress: Progress) -> None:
        """Go on with what the folder holds. Edits that are no use are left out, with a notice.

        Where the run cannot be read, there is none, with a notice; the edits are kept for the next one.

        Raises:
            PixelRLError: the run is one that this version cannot carry out.
        """
        try:
            trace = load_trace(self.folder.trace)
            if trace.pixels.shape != self.picture.pixels.shape:
                raise DamagedTraceError("the trace is of another picture")
        except DamagedTraceError:
            again = f"run {self.folder.document.policy} again, and what you changed is there again"
            self._unread = f"what the policy did here cannot be read any more: {again}"
            self.notices.append(self._unread)
            return
        if self.folder.document.number > 1:  # a newer picture may have come before a studio was killed
            self.picture = self.picture.with_pixels(trace.pixels)
        trace = trace.of(self.picture)  # traces of before do not say how the picture lies
        recorded = replayed(trace, progress, self.folder.path)
        _, ran = recorded.bits, digest(trace)
        with self.lock:
            document = self._leave_out_unfit(trace.action_names)
            if document.ran not in ("", ran):  # killed between the trace and the document, when these had fixed names
                document = document.identified(trace.policy, ran)
                self._save(document)
            self._take(recorded, self.parser.edits(document.edits, trace.action_names))

    def require_same(self, agent: Agent) -> None:
        """Raise UsageError where a policy is not the one of the recorded run, but another one of its name."""
        with self.lock:
            assert self.recorded is not None
            trace, known = self.recorded.trace, self.folder.document.weights
        fits = (*agent.actions.names, agent.card.num_steps) == (*trace.action_names, len(trace.actions))
        if not fits or known not in ("", weights_digest(agent)):
            raise UsageError(f"the policy {agent.name} has changed since it ran here; run it again to go on with it")

    def live(self, agent: Agent, progress: Progress) -> None:
        """Let the policy react to the edits. If they change meanwhile, the result is dropped.

        Raises:
            UsageError: it is another policy than that of the recorded run, which has its name.
        """
        self.require_same(agent)
        with self.lock:
            assert self.recorded is not None
            edits, recorded = self.edits, self.recorded
        kept = within(edits, len(recorded.trace.actions))  # edits of a policy of more steps may have stayed
        # Told the same as the recorded run: it must not guess again.
        trace = recorded.trace
        picture, scale = self.picture, trace.scale or Scale.full(str(trace.pixels.dtype))
        told = trace.legibility if agent.legible else None
        wish = Wish(trace.condition, trace.mask, kept, scale, told)
        reaction = play(agent, picture, wish, progress, folder=self.folder.path) if kept else recorded
        with self.lock:
            if edits is self.edits:
                self.reaction = reaction
                self._note(None)

    def begin_with(self, mask: npt.NDArray[np.bool_]) -> None:
        """Take this object, ``(h, w)``, in the first run of a policy that takes one; raises InputError."""
        inside = object_mask(mask, self.height, self.width)
        with self.lock:
            region = {"mask": self.folder.add_mask(inside.numpy())}
            self._save(msgspec.structs.replace(self.folder.document, region=region))

    def wanted_object(self) -> npt.NDArray[np.bool_]:
        """The object that is wanted, ``(h, w)``; nothing is inside while it is still to be found."""
        with self.lock:
            inside, document = self.recorded_object(), self.folder.document
            region = document.settings()["region"]
            if region == document.region:
                return inside
            return np.zeros_like(inside) if region is None else chosen(self.folder, region, self.height, self.width)

    # --- Changes ----------------------------------------------------------------------------------

    def change(
        self,
        change: Change,
        base: int | None = None,
        token: str | None = None,
        near: tuple[float, float] | None = None,
        seconds: float = SOON,
    ) -> int | None:
        """Make a change. When this returns, it is on the disk; its nearest part is shown, the rest by `advance`.

        Args:
            change: what to change.
            base: the revision that the person saw; None for the present one.
            token: of this change, in which no other is like it: if it was made already, it is not made again.
            near: a point in the picture (x, y), around which to begin.
            seconds: of work on the preview.

        Returns:
            The number of the edit that the change added, if any.

        Raises:
            StaleError: the change was meant for another state, and cannot be merged.
            PixelRLError: nothing was run yet, or the change is not valid or does not fit.
        """
        with self.lock:
            names, before = self._names(), self.folder.document
            if token is not None and token in before.tokens:
                return before.tokens[token]
            if isinstance(change, Tell):
                self._check_told(change)
            document, added = changed(before, change, base)
            if isinstance(change, Undo | Redo):
                document = self._without_unfit(document, names)
            if document is before:
                return None
            edits = self.parser.edits(document.edits, names)
            self._save(document.with_token(token, added))
            if document.order != before.order:
                self._show(edits, near, seconds)
            elif isinstance(change, Switch):
                self._stalled = False
                self._note(None)
            return added

    def _check_told(self, change: Tell) -> None:
        """Raise PixelRLError where there is no object to choose, or not this one."""
        settings = change.settings()
        if "region" in settings:
            self.recorded_object()  # refuses where there is none
        if settings.get("region") is not None:
            chosen(self.folder, settings["region"], self.height, self.width)

    def _without_unfit(self, document: Document, names: Sequence[str]) -> Document:
        """The document without those edits in its list that are not valid, with a notice; itself if all are."""
        unfit = self.parser.unfit(document, names)
        if not unfit:
            return document
        count = "an edit was" if len(unfit) == 1 else f"{len(unfit)} edits were"
        self.notices.append(f"{count} left out, because this cannot be: {'; '.join(unfit.values())}")
        return document.without(unfit)

    def _leave_out_unfit(self, names: Sequence[str]) -> Document:
        """Save the document without those edits that are not valid, if there are any; returns it."""
        document = self._without_unfit(self.folder.document, names)
        if document is not self.folder.document:
            self.folder.keep_former()
            self._save(document)
        return self.folder.document

    def fitting(self, names: Sequence[str], steps: int) -> tuple[int, ...]:
        """The numbers of the edits that name only these operations, and one of so many steps."""
        with self.lock:
            document = self.folder.document
            unfit = self.parser.unfit(document, names)
            fit = [number for number in document.order if number not in unfit]
            edits = self.parser.edits([document.entries[number] for number in fit], names)
            pairs = zip(fit, edits, strict=True)
            return tuple(number for number, edit in pairs if edit.steps == "all" or min(edit.steps) <= steps)

    def outlined(self, number: int) -> Edit:
        """The edit of this number with all of its region, as it was drawn; raises UsageError if there is none."""
        with self.lock:
            document = self.folder.document
            if number not in document.order:
                raise UsageError(f"there is no edit {number} any more")
            drawn = {key: value for key, value in document.entries[number].items() if key not in ("share", "feather")}
            return self.parser.edits([drawn], self._names())[0]
