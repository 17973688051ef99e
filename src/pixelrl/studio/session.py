"""A session: one picture, one recorded run of a policy, and a person's edits of it. No network code, no threads.

Whoever calls it from several threads needs no locks of their own: what takes long is done in `Session.run`,
`Session.live` and slices of `Session.advance`, and the others wait for no more than a slice.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import torch

from pixelrl.actions import ActionSet
from pixelrl.agent import Agent, Level
from pixelrl.arrays import Array, tensor_to_array
from pixelrl.color import from_space, to_space
from pixelrl.edits import Edit, Editor, parse_edits
from pixelrl.errors import UsageError
from pixelrl.image_formats import Picture
from pixelrl.rollout import Decision, Step, Trajectory, episode
from pixelrl.studio.preview import Film, Preview, as_mask, bounds, difference
from pixelrl.studio.screen import Recorded, Screen
from pixelrl.studio.store import Folder
from pixelrl.trace import Trace, load_trace, save_trace
from pixelrl.types import Image, Outcomes

MOST_EDITS = 300
MOST_UNDO = 200
SOON = 0.15
"""Seconds of work on the preview before an edit is answered; the rest of it comes while it is looked at."""
_REMEMBERED = 64
_QUIET = 0.5
"""Seconds after an edit in which the exact result is not begun: the next edit may come."""

Progress = Callable[[float, str], None]
"""Told the share that is done and what is being done; what it raises ends the work."""
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
        self._settling: Iterator[Step] | None = None
        self._settled: Film | None = None
        self._exact = True
        self._failed = False
        self._edited_at = 0.0
        self._parsed: OrderedDict[str, Edit] = OrderedDict()
        self._near: tuple[float, float] | None = None

    # --- Runs -------------------------------------------------------------------------------------

    def run(self, agent: Agent, level: Level, progress: Progress) -> None:
        """Let a policy work on the picture. Edits stay; they must fit its operations.

        Raises:
            PixelRLError: the picture or the level do not suit the policy.
        """
        edits = self._checked(self.folder.notes.edits, agent.actions.names)
        recorded = self._play(agent, level, (), progress)
        save_trace(self.folder.trace, recorded.trace)
        with self.lock:
            self.folder.notes.policy, self.folder.notes.level = agent.name, level
            self.folder.save()
            self._take(recorded, edits)

    def resume(self, progress: Progress) -> None:
        """Go on with what the folder holds."""
        trace = load_trace(self.folder.trace)
        if trace.pixels.shape != self.picture.pixels.shape:
            raise UsageError("the session is damaged: its trace is of another picture; run the policy again")
        edits = self._checked(self.folder.notes.edits, trace.action_names)
        images = []
        recorded = trace.trajectory()
        start = to_space(recorded.initial, trace.space)
        # As if it were sRGB: images as the operations see them, not as people do.
        for t, image in enumerate(Trajectory(start, recorded.actions, recorded.action_names).images()):
            images.append(image)
            progress(t / max(1, len(trace.actions)), "replaying the recorded steps")
        film = Film(images, torch.from_numpy(trace.actions)[:, None])
        with self.lock:
            self._take(Recorded(trace, film), edits)

    def live(self, agent: Agent, progress: Progress) -> None:
        """Let the policy react to the edits. If they change meanwhile, the result is dropped."""
        with self.lock:
            assert self.recorded is not None
            edits, level = self.edits, self._told()
        reaction = self._play(agent, level, edits, progress) if edits else self.recorded
        with self.lock:
            if edits is self.edits:
                self.reaction = reaction
                self._note(None)

    def _told(self) -> Level:
        """The level that the recorded run was told: the live run must not guess another one."""
        assert self.recorded is not None
        values = list(self.recorded.trace.condition.values())
        return values[0] if values else "auto"

    def _play(self, agent: Agent, level: Level, edits: Sequence[Edit], progress: Progress) -> Recorded:
        channels = 1 if self.picture.pixels.ndim == 2 else self.picture.pixels.shape[2]
        steps, done = agent.card.num_steps, 0
        planes: list[list[Image]] = [[] for _ in range(steps + 1)]

        def watch(t: int, step: Step) -> None:
            nonlocal done
            if t == 0:
                planes[0].append(step.before)
            planes[t + 1].append(step.after)
            done += step.before.shape[0] * step.before.shape[1]
            progress(done / (steps * channels), f"step {t + 1} of {steps}")

        progress(0.0, "looking at the picture")
        told = {} if agent.card.condition is None else {agent.card.condition: level}
        result = agent(self.picture.pixels, edits=edits, watch=watch, **told)  # type: ignore[arg-type]
        shape = (1, channels, self.height, self.width)
        images = [torch.cat(group).reshape(shape) for group in planes]
        return Recorded(result.trace(), Film(images, result.trajectory.actions))

    def _take(self, recorded: Recorded, edits: tuple[Edit, ...]) -> None:
        self.recorded, self.reaction = recorded, None
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
            notes.undo = [*notes.undo, notes.edits][-MOST_UNDO:]
            notes.redo = []
            self._change(content, edits, near, seconds)

    def undo(self, seconds: float = SOON) -> None:
        """The list of edits as it was before the last change."""
        self._go(self.folder.notes.undo, self.folder.notes.redo, seconds)

    def redo(self, seconds: float = SOON) -> None:
        """Take back the last `undo`."""
        self._go(self.folder.notes.redo, self.folder.notes.undo, seconds)

    def _go(self, source: list[list[object]], target: list[list[object]], seconds: float) -> None:
        with self.lock:
            if not source:
                return
            edits = self._checked(source[-1], self._names())
            target.append(self.folder.notes.edits)
            self._change(source.pop(), edits, None, seconds)

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
        for index, entry in enumerate(content):
            try:
                edits.append(self._parse(entry))
            except UsageError as error:
                raise UsageError(f"edit {index}: {str(error).removeprefix('edit 0: ')}") from None
        Editor(edits, names, self.height, self.width)
        return tuple(edits)

    def _parse(self, entry: object) -> Edit:
        region = entry.get("region") if isinstance(entry, dict) else None
        mask = region.get("mask") if isinstance(region, dict) else None
        if isinstance(region, dict) and "mask" in region and not self.folder.has_mask(mask):
            raise UsageError("region.mask must be the name of a region that was painted or selected in this session")
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
        if not _integers(box, 4):
            raise UsageError("box must be [x0, y0, x1, y1] in whole pixels")
        x0, y0, x1, y1 = (int(n) for n in box)  # type: ignore[attr-defined]
        if not (0 <= x0 < x1 <= self.width and 0 <= y0 < y1 <= self.height):
            raise UsageError(f"box = {box} does not lie inside the picture of {self.width}x{self.height}")
        if not _integers(runs, None) or sum(runs) != (x1 - x0) * (y1 - y0):  # type: ignore[call-overload]
            raise UsageError("runs must be a list of lengths that add up to the pixels of the box")
        lengths = np.array(runs, dtype=np.int64)
        inside = np.zeros((self.height, self.width), bool)
        flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        inside[y0:y1, x0:x1] = flat.reshape(y1 - y0, x1 - x0)
        return self._keep(inside)

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
        value = int(actions[y, x])
        same = (actions == value).astype(np.uint8)
        _, labels = cv2.connectedComponents(same, connectivity=4)
        kept = self._keep(labels == labels[y, x])
        return {**kept, "action": self._names()[value]}

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
            return self.reaction is not None if self.mode == "live" else self._exact

    def _unsettle(self) -> None:
        self._settling, self._settled, self._failed = None, None, False
        self._exact = not self.edits and not self._pending()

    def _pending(self) -> bool:
        return self.preview is not None and bool(self.preview.todo)

    def must_react(self) -> bool:
        """Whether the policy has yet to react to the edits (*live*)."""
        with self.lock:
            return self.mode == "live" and self.recorded is not None and self.reaction is None and not self._failed

    def waiting(self) -> bool:
        """Whether the exact result is still to come."""
        with self.lock:
            return self.preview is not None and self.mode == "replay" and not (self._exact or self._failed)

    def give_up(self) -> None:
        """After a fault, or when a person does not want to wait: try no more before the next change."""
        with self.lock:
            self._settling, self._settled, self._failed = None, None, True

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
                self._settling, self._settled = self._begin()
            settling, settled = self._settling, self._settled
        step = next(settling, None)
        with self.lock:
            if settling is not self._settling or settled is None:
                return True
            if step is not None:
                settled.images.append(step.after)
                settled.actions = torch.cat([settled.actions, step.decision.actions[None]])
                return True
            self._compare(settled)
            self.preview.become(settled)
            self._settling, self._settled, self._exact = None, None, True
            return False

    def _begin(self) -> tuple[Iterator[Step], Film]:
        """The replay with the edits, from the first step that they name: before it, everything is as recorded."""
        assert self.recorded is not None
        film = self.recorded.film
        steps = len(film.actions)
        first = min((0 if edit.steps == "all" else min(edit.steps) - 1 for edit in self.edits), default=steps)
        first = min(first, steps)
        editor = Editor(self.edits, self._names(), self.height, self.width)

        def act(t: int, image: Image, outcomes: Outcomes) -> Decision:
            return Decision(editor.replay(first + t, image, film.actions[first + t]))

        start = Film(film.images[: first + 1], film.actions[:first])
        return episode(film.images[first], ActionSet(self._names()), act, steps - first), start

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

    def result(self) -> tuple[Trace, Array]:
        """What happened with the edits, and the pixels that came of it, exactly: it may take seconds.

        In *replay* this is what ``pixelrl edit`` gives, in *live* what ``pixelrl denoise --edits`` does.
        """
        with self.lock:
            self._names()
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
            trajectory: Trajectory = recorded.trace.trajectory().edited(edits)
            edited = replace(recorded.trace, actions=trajectory.actions[:, 0].numpy())
            return edited, edited.replay()
        return replace(recorded.trace, actions=film.actions[:, 0].numpy().copy()), self._pixels(film)

    def _pixels(self, film: Film) -> Array:
        final = from_space(film.images[-1], self.space)
        return tensor_to_array(final, str(self.picture.pixels.dtype), self.picture.pixels.ndim)


def _integers(value: object, count: int | None) -> bool:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        return False
    return all(type(n) is int and 0 <= n < 2**40 for n in value)
