"""The studio behind the server: the session at hand, the policies, the worker, the limits."""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import cast, final

import numpy as np
import numpy.typing as npt

from pixelrl.actions import ACTIONS
from pixelrl.agent import TILE, Agent, load
from pixelrl.checkpoint import shipped_policies
from pixelrl.edits import DO_NOTHING
from pixelrl.errors import InputError, PixelRLError, UsageError
from pixelrl.pictures.display import orientation_of
from pixelrl.studio.notes import check_level
from pixelrl.studio.preview import Box, bounds
from pixelrl.studio.runs import Progress
from pixelrl.studio.session import Session
from pixelrl.studio.store import Folder, Store
from pixelrl.studio.words import place, words
from pixelrl.studio.work import CancelledError, Worker
from pixelrl.tasks.conditioning import Given

Json = dict[str, object]


@final
@dataclass(frozen=True)
class Limits:
    """What the studio takes on."""

    pixels: int = 24_000_000
    upload: int = 300_000_000
    request: int = 16_000_000
    """Bytes of a request that is no picture."""
    at_once: int = 8
    """Requests that are answered at the same time."""


@final
class Studio:
    """One person's studio.

    Args:
        store: the sessions on the disk.
        limits: what it takes on.
        device: where policies compute.
    """

    def __init__(self, store: Store, limits: Limits, device: str = "auto") -> None:
        self.store, self.limits, self.device = store, limits, device
        self.session: Session | None = None
        self.worker = Worker(lambda: self.session, self._react)
        self._agents: dict[str, Agent] = {}
        self._loading = threading.Lock()

    # --- Sessions ---------------------------------------------------------------------------------

    def open(self, data: bytes, name: str, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Begin with the bytes of a picture file, and perhaps an object ``(h, w)`` in it; raises InputError."""
        folder, picture = self.store.create(data, name, self.limits.pixels)
        session = Session(folder, picture)
        if mask is not None:
            try:
                session.begin_with(mask)
            except InputError:
                self.store.forget(folder.id)
                raise
        self._set(session)
        self.store.tidy(keep=folder.id)

    def resume(self, identity: object) -> None:
        """Go on with a session from the disk."""
        folder = self.store.open(identity)
        session = Session(folder, folder.picture(self.limits.pixels))

        def do(progress: Progress) -> None:
            session.resume(progress)
            self.session = session

        self.worker.submit("opening a session", do)

    def forget(self, identity: object) -> None:
        """Remove a session from the disk."""
        if self.session is not None and self.session.folder.id == identity:
            raise UsageError("this session is open; open another picture first")
        self.store.forget(identity)

    def run(self, policy: object, level: object) -> None:
        """Let a policy work on the picture; another policy than before begins a session of its own."""
        session = self.current()
        if not isinstance(policy, str) or policy not in shipped_policies():
            raise UsageError(f"policy = {policy!r} is unknown; give one of {', '.join(shipped_policies())}")
        check_level(level)

        def do(progress: Progress) -> None:
            progress(0.0, "loading the policy")
            agent = self.agent(policy)
            _check_memory(agent, session)
            target, former = session, session.folder.notes.policy
            if former is not None and former != policy:
                target = Session(self.store.branch(session.folder), session.picture)
            try:
                target.run(agent, cast(Given, level), progress)
            except BaseException:
                if target is not session:
                    self.store.forget(target.folder.id)
                raise
            self.session = target

        self.worker.submit("running a policy", do)

    def cancel(self) -> None:
        """What is being done is no longer wanted."""
        session, job = self.session, self.worker.job
        if session is not None and job is not None and job.kind == "live":
            session.give_up()
        self.worker.cancel()

    def current(self) -> Session:
        """The session at hand; raises UsageError if there is none."""
        if self.session is None:
            raise UsageError("there is no picture yet; open one first")
        return self.session

    def _set(self, session: Session) -> None:
        self.worker.cancel()
        self.session = session
        self.worker.wake()

    def _react(self, session: Session, progress: Progress) -> None:
        edits, asked = session.edits, session.folder.notes.asked

        def watched(share: float, label: str) -> None:
            other = session.folder.notes.asked is not asked or (asked is None and session.edits is not edits)
            if other or session is not self.session:
                raise CancelledError
            progress(share, label)

        assert session.recorded is not None
        agent = self.agent(session.recorded.trace.policy)
        if asked is not None:
            session.run(agent, cast(Given, asked["level"]), watched)
        elif session.must_react():
            session.live(agent, watched)

    # --- Policies ---------------------------------------------------------------------------------

    def agent(self, name: str) -> Agent:
        """A shipped policy, loaded once."""
        with self._loading:
            if name not in self._agents:
                self._agents[name] = load(name, self.device)
            return self._agents[name]

    def policies(self) -> list[Json]:
        """What can be run, for people to choose from; a file that cannot be read is left out."""
        found: list[Json] = []
        for name in sorted(shipped_policies(), key=place):
            try:
                agent = self.agent(name)
            except PixelRLError:
                continue
            condition = _control(agent)
            channels, steps = agent.num_channels, agent.card.num_steps
            takes: Json = {"condition": condition, "object": agent.takes_mask, "channels": channels}
            found.append({"name": name, **words(name)._asdict(), "steps": steps, **takes})
        return found

    # --- What the page shows ----------------------------------------------------------------------

    def state(self, since: int | None = None) -> Json:
        """All that the page needs to know, but for pixels."""
        job, session = self.worker.job, self.session
        return {
            "session": None if session is None else self._session(session),
            "changed": [] if session is None or since is None else [list(box) for box in session.changed_since(since)],
            "job": None if job is None else {"kind": job.kind, "share": job.share, "label": job.label},
            "error": self.worker.error,
        }

    def _session(self, session: Session) -> Json:
        with session.lock:
            notes, pixels = session.folder.notes, session.picture.pixels
            known: Json = {
                "id": session.folder.id,
                "name": notes.name,
                "format": notes.suffix[1:],
                "width": session.width,
                "height": session.height,
                "orientation": orientation_of(session.picture.exif),
                "channels": 1 if pixels.ndim == 2 else pixels.shape[2],
                "depth": {"uint8": "8 bit", "uint16": "16 bit"}.get(str(pixels.dtype), "float"),
                "notes": list(session.picture.notes),
                "policy": notes.policy,
                **notes.settings(),
                "mode": notes.mode,
                "revision": session.revision,
                "undo": len(notes.undo),
                "redo": len(notes.redo),
                "ran": session.recorded is not None,
            }
            if session.recorded is None:
                return known
            trace = session.recorded.trace
            return known | {
                "policy": trace.policy,
                "condition": dict(trace.condition),
                "object": trace.mask is not None,
                "runs": session.runs,
                "steps": len(trace.actions),
                "agents": trace.actions.shape[1],
                "actions": [_action(name) for name in trace.action_names],
                "edits": [_edit(entry, edit.mask) for entry, edit in zip(notes.edits, session.edits, strict=True)],
                "exact": session.exact,
                "waiting": session.waiting() or session.must_react(),
                "shares": session.shares(),
            }

    def offered(self) -> list[Json]:
        """Sessions on the disk, the latest first."""
        current = None if self.session is None else self.session.folder.id
        return [_offer(folder) for folder in self.store.offered() if folder.id != current]


def _control(agent: Agent) -> Json | None:
    """The control of what a policy may be told, in the words of its conditioning; None if there is nothing to give."""
    if not agent.conditioning.quantities:
        return None
    quantity = agent.conditioning.quantities[0]
    return {
        "name": quantity.name,
        "label": quantity.label,
        "help": quantity.help,
        "unit": quantity.unit or f"numbers from {quantity.low:g} to {quantity.high:g}",
        "low": quantity.low,
        "high": quantity.high if math.isfinite(quantity.high) else None,
        "slider": quantity.slider,
        "usual": quantity.default,
    }


def _offer(folder: Folder) -> Json:
    notes = folder.notes
    return {
        "id": folder.id,
        "name": notes.name,
        "policy": notes.policy,
        "edits": len(notes.edits),
        "changed": notes.changed,
    }


def _edit(entry: object, mask: object) -> Json:
    import torch

    if not isinstance(mask, torch.Tensor):
        return {"edit": entry, "box": None, "pixels": None}
    box = bounds(mask.numpy())
    return {"edit": entry, "box": None if box is None else list(box), "pixels": int(mask.sum())}


def _action(name: str) -> Json:
    action = ACTIONS[name]
    return {"name": name, "color": action.color, "symbol": symbol(name), "explanation": action.explanation}


def symbol(name: str) -> str:
    """At most four characters that stand for an operation inside a pixel."""
    if name == DO_NOTHING:
        return "·"
    *words, last = name.split()
    letters = "".join(word[0] for word in words if word != "and").upper()
    if re.fullmatch(r"[+-]\d+", last):
        return last.replace("-", "−")
    if words and re.fullmatch(r"\d+(\.\d+)?", last):
        return letters[0] + last
    if words and (change := re.fullmatch(r"([x+-])(\d*\.?\d+)", last)):
        kind, number = change[1], float(change[2])
        up = kind == "+" or (kind == "x" and number >= 1)
        large = number >= 0.1 if kind != "x" else not 0.9 < number < 1.1
        return (letters if len(letters) > 1 else words[0][:2].title()) + ("↓↑⇓⇑"[2 * large + up])
    return (letters + last[0].upper())[:4] if words else last[:3]


def _check_memory(agent: Agent, session: Session) -> None:
    """Raise InputError where the run would need more memory than there is."""
    values = session.height * session.width * (1 if session.picture.pixels.ndim == 2 else 3)
    at_once = values if agent.num_channels > 1 else session.height * session.width
    images = 4 * (agent.card.num_steps + 1)  # recorded, shown, reaction, exact
    network = (
        90 * len(agent.actions) * min(TILE * TILE, session.height * session.width)
    )  # bytes of a tile's comparisons
    need = 4 * (at_once * (len(agent.actions) + 8) + values * images) + network
    free = _free_memory()
    if free is not None and need > free:
        has = f"{need / 1e9:.1f} GB of memory are needed for it and {free / 1e9:.1f} GB are free"
        raise InputError(f"{session.folder.notes.name}: {has}; cut the picture up")


def _free_memory() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


def parse_box(text: str | None) -> Box | None:
    """``x0,y0,x1,y1`` of a query."""
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(r"\d{1,9}", part) for part in parts):
        raise UsageError(f"box = {text!r} must be x0,y0,x1,y1 in whole pixels")
    x0, y0, x1, y1 = (int(part) for part in parts)
    return Box(x0, y0, x1, y1)
