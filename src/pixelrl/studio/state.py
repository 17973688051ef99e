"""What the page is told of the studio, as JSON: all but pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from pixelrl.actions import find_action
from pixelrl.agent import Agent
from pixelrl.edits import DO_NOTHING
from pixelrl.errors import InputError
from pixelrl.imaging.color import channel_names
from pixelrl.pictures.display import orientation_of
from pixelrl.studio.folder import Folder
from pixelrl.studio.screen import Arrived
from pixelrl.studio.seeing import NOISE
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.words import time_left, words
from pixelrl.studio.work import Job

Json = dict[str, object]


def session_state(session: Session) -> Json:
    """All that the page needs to know of a session."""
    with session.lock:
        document, pixels, phase = session.folder.document, session.picture.pixels, session.phase
        known: Json = {
            "id": session.folder.id,
            "name": document.name,
            "format": (document.kept_as or document.suffix)[1:],
            "width": session.width,
            "height": session.height,
            "orientation": orientation_of(session.picture.exif),
            "channels": 1 if pixels.ndim == 2 else pixels.shape[2],
            "depth": {"uint8": "8 bit", "uint16": "16 bit"}.get(str(pixels.dtype), "float"),
            "notes": [*session.picture.notes, *session.notices],
            "found": session.found,
            "policy": document.policy,
            **document.settings(),
            "mode": document.mode,
            "revision": document.revision,
            "shown": session.revision,
            "undo": len(document.undo),
            "redo": len(document.redo),
            "ran": session.recorded is not None,
            "earlier": session.earlier if session.recorded is None else None,
            "arriving": None if session.arrived is None else _arriving(session.arrived),
        }
        if session.recorded is None:
            return known
        trace = session.recorded.trace
        return known | {
            "policy": trace.policy,
            "condition": dict(trace.condition),
            "object": trace.mask is not None,
            "bits": session.recorded.bits,
            "runs": session.runs,
            "steps": len(trace.actions),
            "agents": trace.actions.shape[1],
            "agent_names": channel_names(trace.space, trace.actions.shape[1]),
            "actions": [_action(name) for name in trace.action_names],
            "edits": [
                {"number": number, "edit": document.entries[number], **session.extent(number, edit)}
                for number, edit in zip(document.order, session.edits, strict=True)
            ],
            "exact": phase is Phase.EXACT,
            "waiting": phase in (Phase.RERUN, Phase.REACT, Phase.PREVIEW),
            "shares": session.shares(),
        }


def _arriving(arrived: Arrived) -> Json:
    """What has come last of a run that is not over yet."""
    return {"number": arrived.number, "step": arrived.step, "steps": arrived.steps, "box": list(arrived.box)}


def job_state(job: Job | None) -> Json | None:
    """What is being done."""
    if job is None:
        return None
    label = "cancelling…" if job.cancelled.is_set() else job.label
    known: Json = {"number": job.number, "kind": job.kind, "session": job.session, "share": job.share}
    left = None if job.left is None or job.cancelled.is_set() else time_left(job.left)
    return known | {"label": label, "left": left, "cancelling": job.cancelled.is_set()}


def policy_state(agent: Agent) -> Json:
    """A policy that can be run."""
    takes: Json = {"condition": _control(agent), "object": agent.takes_mask, "channels": agent.num_channels}
    takes |= {
        "legibility": agent.legibility,
        "fits": [count for count in (1, 3) if _takes(agent, count)],
        "as_seen": False,
    }
    return {"name": agent.name, **words(agent.name)._asdict(), "steps": agent.card.num_steps, **takes}


def _takes(agent: Agent, count: int) -> bool:
    """Whether a policy takes pictures of so many channels."""
    try:
        agent.policy_for(count)
    except InputError:
        return False
    return True


def as_seen_state(task: str) -> Json:
    """A task of `pixelrl.studio.seeing`, as if it were a policy."""
    takes: Json = {"condition": None, "object": False, "channels": 1, "legibility": None}
    takes |= {"fits": [1, 3] if task == NOISE else [1], "as_seen": True}
    return {"name": task, **words(task)._asdict(), "steps": 0, **takes}


def offer(stages: Sequence[Folder]) -> Json:
    """A session on the disk: the stages of a picture, of which the last is gone on with."""
    documents = [stage.document for stage in stages]
    edits = sum(len(document.order) for document in documents)
    return {
        "id": stages[-1].id,
        "picture": stages[0].id,
        "name": documents[0].name,
        "policies": [document.policy for document in documents],
        "edits": edits,
        "undone": not edits and any(document.edited for document in documents),
        "changed": max(document.changed for document in documents),
    }


def offer_damaged(path: Path) -> Json:
    """A session on the disk that cannot be opened; it can be forgotten."""
    known: Json = {"id": path.name, "picture": path.name, "name": "A damaged session", "damaged": str(path)}
    return known | {"policies": [], "edits": 0, "undone": False, "changed": path.stat().st_mtime}


def _control(agent: Agent) -> Json | None:
    """The control of what a policy may be told, in the words of its conditioning; None if there is nothing to give,
    or what is given is counted in the picture's own units: it is estimated."""
    if not agent.conditioning.quantities or agent.conditioning.quantities[0].of_values:
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


def _action(name: str) -> Json:
    action = find_action(name)
    return {"name": name, "color": action.color, "symbol": symbol(name), "explanation": action.explanation}


def symbol(name: str) -> str:
    """At most four characters that stand for an operation inside a pixel."""
    if name == DO_NOTHING:
        return "·"
    *words, last = name.rpartition(":")[2].replace("_", " ").split()  # a user's own are called module:name
    letters = "".join(word[0] for word in words if word != "and").upper()
    if re.fullmatch(r"[+-]\d+", last):
        return last.replace("-", "−")
    if words and re.fullmatch(r"\d+(\.\d+)?", last):
        return letters[0] + last
    if words and (change := re.fullmatch(r"([x+-])(\d*\.?\d+)", last)):
        kind, number = change[1], float(change[2])
        up = kind == "+" or (kind == "x" and number >= 1)
        step = round(abs(number - 1), 9) if kind == "x" else number
        size = 0 if step < 0.02 else 1 if step < 0.1 else 2  # fine, as the paper's, large
        return (letters if len(letters) > 1 else words[0][:2].title()) + ("↘↗↓↑⇓⇑"[2 * size + up])
    return (letters + last[0].upper())[:4] if words else last[:3]
