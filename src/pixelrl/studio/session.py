"""A session: one picture, one recorded run of a policy, and a person's edits of it. No network code, no threads.

Whoever calls it from several threads needs no locks of their own: what takes long is done in `Session.run`,
`Session.live` and slices of `Session.advance`, and the others wait for no more than a slice.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from pixelrl.agent import Agent, object_mask
from pixelrl.edits import Edit, Editor, parse_edits, within
from pixelrl.errors import UsageError
from pixelrl.imaging.color import from_space
from pixelrl.pictures.arrays import Array, tensor_to_array
from pixelrl.pictures.formats import Picture
from pixelrl.rollout import Trajectory
from pixelrl.studio.exact import Settling
from pixelrl.studio.notes import Change, Settings, check_level
from pixelrl.studio.preview import Film, Preview, as_mask, bounds, difference
from pixelrl.studio.regions import check_mask, chosen, painted, touching
from pixelrl.studio.runs import Progress, play, replayed
from pixelrl.studio.screen import Recorded, Screen
from pixelrl.studio.store import Folder
from pixelrl.tasks.conditioning import Given
from pixelrl.trace import Trace, load_trace, save_trace

MOST_EDITS = 300
SOON = 0.15
"""Seconds of work on the preview before an edit is answered; the rest of it comes while it is looked at."""
_REMEMBERED = 64
_QUIET = 0.5
"""Seconds after an edit in which the exact result is not begun: the next edit may come."""

Bytes = npt.NDArray[np.uint8]


class Session(Screen):
    """See the module.

    Args:
        folder: where everything that must not be lost is kept.
        picture: the folder's picture.
    """

    def __init__(self, folder: Folder, picture: Picture) -> None:
        super().__init__(folder, picture)
        self.edits: tuple[Edit, ...] = ()
        self._settling: Settling | None = None
        self._exact = True
        self._failed = False
        self._edited_at = 0.0
        self._parsed: OrderedDict[str, Edit] = OrderedDict()
        self._near: tuple[float, float] | None = None

    # --- Runs -------------------------------------------------------------------------------------

    def run(self, agent: Agent, level: Given, progress: Progress) -> None:
        """Let a policy work on the picture, with the object that is wanted. Edits stay; they must fit its operations.

        Raises:
            PixelRLError: the picture, the level or the object do not suit the policy.
        """
        notes, names = self.folder.notes, agent.actions.names
        with self.lock:
            self._checked(notes.edits, names)
            wanted = notes.settings()
        region = wanted["region"]
        mask = chosen(self.folder, region, self.height, self.width) if agent.takes_mask and region is not None else None
        recorded = play(agent, self.picture, level, mask, (), progress)
        save_trace(self.folder.trace, recorded.trace)
        with self.lock:
            notes.done(agent.name, level, wanted)
            self.folder.save()
            self._take(recorded, self._checked(notes.edits, names))

    def ask(self, settings: Settings) -> None:
        """Have the policy do it again with other settings: `must_react` until `run` has done it.

        Args:
            settings: those that change.

        Raises:
            PixelRLError: nothing was run yet, or the policy takes no object, or not this one.
        """
        with self.lock:
            self._names()
            if "region" in settings:
                self.recorded_object()  # refuses where there is none
            if settings.get("region") is not None:
                chosen(self.folder, settings["region"], self.height, self.width)
            if "level" in settings:
                check_level(settings["level"])
            former = self.folder.notes.as_now(settings)
            if former != settings:
                self.folder.notes.remember(former)
                self._ask(settings)

    def _ask(self, settings: Settings) -> None:
        self.folder.notes.ask(settings)
        self.folder.save()
        self._failed = False

    def begin_with(self, mask: npt.NDArray[np.bool_]) -> None:
        """Take this object, ``(h, w)``, in the first run of a policy that takes one; raises InputError."""
        inside = object_mask(mask, self.height, self.width)
        with self.lock:
            self.folder.notes.region = {"mask": self.folder.add_mask(inside.numpy())}
            self.folder.save()

    def wanted_object(self) -> npt.NDArray[np.bool_]:
        """The object that is wanted, ``(h, w)``; nothing is inside while it is still to be found."""
        with self.lock:
            inside, notes = self.recorded_object(), self.folder.notes
            region = notes.settings()["region"]
            if region == notes.region:
                return inside
            return np.zeros_like(inside) if region is None else chosen(self.folder, region, self.height, self.width)

    def resume(self, progress: Progress) -> None:
        """Go on with what the folder holds."""
        trace = load_trace(self.folder.trace)
        if trace.pixels.shape != self.picture.pixels.shape:
            raise UsageError("the session is damaged: its trace is of another picture; run the policy again")
        edits = self._checked(self.folder.notes.edits, trace.action_names)
        recorded = replayed(trace, progress)
        with self.lock:
            self._take(recorded, edits)

    def live(self, agent: Agent, progress: Progress) -> None:
        """Let the policy react to the edits. If they change meanwhile, the result is dropped."""
        with self.lock:
            assert self.recorded is not None
            edits, recorded = self.edits, self.recorded
        kept = within(edits, len(recorded.trace.actions))  # edits of a policy of more steps may have stayed
        # Told the same as the recorded run: it must not guess again.
        trace = recorded.trace
        reaction = play(agent, self.picture, trace.condition, trace.mask, kept, progress) if kept else recorded
        with self.lock:
            if edits is self.edits:
                self.reaction = reaction
                self._note(None)

    def _take(self, recorded: Recorded, edits: tuple[Edit, ...]) -> None:
        self.recorded, self.reaction = recorded, None
        self.runs += 1
        self.preview = Preview(recorded.film, recorded.trace.action_names)
        self.edits = edits
        self.preview.change(edits, edits)
        self._unsettle()
        self._note(None)

    # --- Edits ------------------------------------------------------------------------------------

    def set_edits(self, content: object, near: tuple[float, float] | None = None, seconds: float = SOON) -> None:
        """Replace the list of edits. The nearest of what changes is shown at once, the rest by `advance`.

        Raises:
            UsageError: an edit that is not valid or does not fit.
        """
        if not isinstance(content, list):
            raise UsageError("edits are a list of objects")
        with self.lock:
            notes = self.folder.notes
            edits = self._checked(content, self._names())
            if content == notes.edits:
                return
            notes.remember(notes.edits)
            self._change(content, edits, near, seconds)

    def undo(self, seconds: float = SOON) -> None:
        """The list of edits, or what the policy is told, as before the last change."""
        self._go(self.folder.notes.undo, self.folder.notes.redo, seconds)

    def redo(self, seconds: float = SOON) -> None:
        """Take back the last `undo`."""
        self._go(self.folder.notes.redo, self.folder.notes.undo, seconds)

    def _go(self, source: list[Change], target: list[Change], seconds: float) -> None:
        with self.lock:
            as_now = self.folder.notes.as_now
            while source and source[-1] == as_now(source[-1]):
                source.pop()  # settings that were asked for and then given up
            if not source:
                return
            change, former = source[-1], as_now(source[-1])
            edits = self._checked(change, self._names()) if isinstance(change, list) else ()
            target.append(former)
            source.pop()
            if isinstance(change, list):
                self._change(change, edits, None, seconds)
            else:
                self._ask(change)

    def _change(
        self, content: list[object], edits: tuple[Edit, ...], near: tuple[float, float] | None, seconds: float
    ) -> None:
        assert self.preview is not None
        self.folder.notes.edits = content
        self.folder.save()  # before anything is computed: nothing is lost, whatever happens
        self.preview.change(edits, difference(self.edits, edits))
        self.edits, self._near, self._edited_at = edits, near, time.monotonic()
        self.reaction = None
        self._unsettle()
        if self.mode == "replay":
            self._note(self.preview.work(seconds, near))

    def set_mode(self, mode: object) -> None:
        """*replay* or *live*."""
        if mode not in ("replay", "live"):
            raise UsageError(f"mode = {mode!r} must be replay or live")
        with self.lock:
            self.folder.notes.mode = str(mode)
            self.folder.save()
            self._failed = False
            self._note(None)

    def _checked(self, content: Sequence[object], names: Sequence[str]) -> tuple[Edit, ...]:
        """Parsed, and each object the same as before if its JSON is."""
        if len(content) > MOST_EDITS:
            raise UsageError(f"{len(content)} edits are too many; {MOST_EDITS} are possible")
        edits = []
        for place, entry in enumerate(content, 1):
            try:
                edits.append(self._parse(entry))
            except UsageError as error:
                raise UsageError(f"edit {place}: {str(error).removeprefix('edit 1: ')}") from None
        Editor(edits, names, self.height, self.width)
        return tuple(edits)

    def _parse(self, entry: object) -> Edit:
        check_mask(self.folder, entry.get("region") if isinstance(entry, dict) else None)
        key = json.dumps(entry, sort_keys=True)
        if key not in self._parsed:
            self._parsed[key] = as_mask(parse_edits([entry], self.folder.path)[0], self.height, self.width)
        self._parsed.move_to_end(key)
        while len(self._parsed) > _REMEMBERED:
            self._parsed.popitem(last=False)
        return self._parsed[key]

    # --- Regions ----------------------------------------------------------------------------------

    def add_mask(self, box: object, runs: object) -> dict[str, object]:
        """Keep a painted region: inside ``box``, row by row, ``runs`` of pixels that are out, in, out, ...

        Raises:
            UsageError: they do not fit the picture or each other.
        """
        return self._keep(painted(box, runs, self.height, self.width))

    def same_action(self, step: object, x: object, y: object, channel: object) -> dict[str, object]:
        """Keep the region around a pixel whose agents do the same as its own at a step, as far as they touch."""
        film = self.shown()
        agents = film.actions.shape[2]
        if type(step) is not int or not 1 <= step <= len(film.actions):
            raise UsageError(f"step = {step!r} must be 1 to {len(film.actions)}")
        if type(x) is not int or type(y) is not int:
            raise UsageError(f"the pixel ({x!r}, {y!r}) must be two whole numbers")
        self._check_pixel(x, y)
        if type(channel) is not int or not 0 <= channel < agents:
            raise UsageError(f"channel = {channel!r} must be 0 to {agents - 1}")
        with self.lock:
            actions = film.actions[step - 1, 0, channel].numpy().copy()
        return {**self._keep(touching(actions, x, y)), "action": self._names()[int(actions[y, x])]}

    def _keep(self, inside: npt.NDArray[np.bool_]) -> dict[str, object]:
        box = bounds(inside)
        if box is None:
            raise UsageError("the region is empty; paint at least one pixel")
        with self.lock:
            return {"mask": self.folder.add_mask(inside), "box": list(box), "pixels": int(inside.sum())}

    # --- The exact result -------------------------------------------------------------------------

    @property
    def exact(self) -> bool:
        """Whether what is shown is the result itself, not a preview of it."""
        with self.lock:
            if self.folder.notes.asked is not None:
                return False
            return self.reaction is not None if self.mode == "live" else self._exact

    def _unsettle(self) -> None:
        self._settling, self._failed = None, False
        self._exact = not self.edits and not self._pending()

    def _pending(self) -> bool:
        return self.preview is not None and bool(self.preview.todo)

    def must_react(self) -> bool:
        """Whether the policy has yet to do it again with what was asked, or to react to the edits (*live*)."""
        with self.lock:
            reacts = self.mode == "live" and self.reaction is None
            return (self.folder.notes.asked is not None or reacts) and self.recorded is not None and not self._failed

    def waiting(self) -> bool:
        """Whether the exact result is still to come."""
        with self.lock:
            return self.preview is not None and self.mode == "replay" and not (self._exact or self._failed)

    def give_up(self) -> None:
        """After a fault, or when a person does not want to wait: what was asked is asked no more.

        Where that was the exact result or a reaction to edits, nothing more is tried before the next change.
        """
        with self.lock:
            if self.folder.notes.asked is not None:
                self.folder.notes.asked = None
                self.folder.save()
                return
            self._settling, self._failed = None, True

    def advance(self) -> bool:
        """Do a slice of what is left to do in *replay*; returns whether there is more."""
        with self.lock:
            if self.preview is None or self.mode == "live" or self._failed:
                return False
            if self._pending():
                self._note(self.preview.work(0.05, self._near))
                return True
            if not self.edits:
                self._exact = True
            if self._exact or time.monotonic() - self._edited_at < _QUIET:
                return False
            if self._settling is None:
                assert self.recorded is not None
                self._settling = Settling(self.recorded.film, self._names(), self.edits)
            settling = self._settling
        more = settling.step()
        with self.lock:
            if settling is not self._settling or more:
                return True
            self._compare(settling.film)
            self.preview.become(settling.film)
            self._settling, self._exact = None, True
            return False

    def _compare(self, exact: Film) -> None:
        """Tell the screen where the exact result looks different from the preview."""
        assert self.preview is not None
        different = np.zeros((self.height, self.width), bool)
        shown = self.preview.film
        for a, b in zip(shown.images[1:], exact.images[1:], strict=True):
            if a is not b and not torch.equal(a, b):
                different |= (self._seen(a) != self._seen(b)).any(1)[0].numpy()
        different |= (shown.actions != exact.actions).flatten(0, 2).any(0).numpy()
        box = bounds(different)
        if box is not None:
            self._note([box])

    def require_nothing_asked(self) -> None:
        """What is taken along belongs together: refuse while another object or strength is still being worked on.

        Raises:
            UsageError: it is.
        """
        if self.folder.notes.asked is not None:
            raise UsageError("the policy is still at work with what you changed; wait until it is done")

    def result(self) -> tuple[Trace, Array]:
        """What happened with the edits, and the pixels that came of it, exactly: it may take seconds.

        In *replay* this is what ``pixelrl edit`` gives, in *live* what ``--edits`` does on the command line.
        """
        with self.lock:
            self._names()
            self.require_nothing_asked()
            recorded, reaction, edits, exact = self.recorded, self.reaction, self.edits, self._exact
            film = self.preview.film if self.preview is not None else None
            if exact and film is not None and edits:
                film = Film([film.images[-1].clone()], film.actions.clone())  # the next edit writes into the shown one
        assert recorded is not None
        assert film is not None
        if self.mode == "live":
            if reaction is None:
                raise UsageError("the policy is still reacting to the last edit; wait until it is done")
            return reaction.trace, self._pixels(reaction.film)
        if not edits:
            return recorded.trace, self._pixels(recorded.film)
        if not exact:
            trajectory: Trajectory = recorded.trace.trajectory().edited(within(edits, len(recorded.trace.actions)))
            edited = replace(recorded.trace, actions=trajectory.actions[:, 0].numpy())
            return edited, edited.replay()
        return replace(recorded.trace, actions=film.actions[:, 0].numpy().copy()), self._pixels(film)

    def _pixels(self, film: Film) -> Array:
        final = from_space(film.images[-1], self.space)
        return tensor_to_array(final, str(self.picture.pixels.dtype), self.picture.pixels.ndim)
