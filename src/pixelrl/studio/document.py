"""What a session remembers beside pixels: the edits, what the policy is told, and what can be undone.

A `Document` is a value: every change gives a new one with the next `revision`, which is written to the disk before it
replaces the former. An edit in it never changes either. It has a number that no other edit of the session ever gets,
and an edit that is replaced gets a new one: so whoever names an edit by its number means exactly what was shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, final

import msgspec

from pixelrl.errors import UsageError

FORMAT = 2
MOST_EDITS = 300
MOST_UNDO = 200
_MOST_TOKENS = 100

Settings = dict[str, Any]
"""What a policy is told: its ``level``, the ``region`` of the object as edits have it (None: the most salient), and the
``legibility`` of its maps (None: what the policy's makers recommend)."""
Entry = dict[str, Any]
"""An edit as JSON has it (``docs/edits.md``)."""
Former = tuple[int, ...] | Settings
"""What one step of undo brings back: the numbers of the edits in their order, or the settings that were changed."""


class StaleError(UsageError):
    """A change that was meant for another state than the present one, and cannot be merged with it; one sentence."""


@final
class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What ``session.json`` holds.

    Attributes:
        name: of the picture's file.
        suffix: of the copy in the folder.
        policy: of the recorded run, None before there is one.
        level: of the recorded run.
        region: of the object in the recorded run.
        legibility: of the maps in the recorded run.
        requested: the settings of a run that is still to be done.
        mode: how edits are applied.
        entries: every edit by its number: those in `order`, and those that undo or redo can bring back.
        order: the numbers of the edits that apply, in their order.
        undo: what the last changes replaced, the latest last.
        redo: what undo replaced, the latest last.
        revision: grows by one with every change that a person makes.
        count: the number of the next edit.
        tokens: of the latest changes, each with the number of the edit that it added: so that none is made twice.
        changed: when it was saved, in seconds since 1970.
        ran: what no other run has (`stages.digest`); empty before there is one, and in files of before.
        weights: what no other policy has, of the recorded run's (`runs.weights_digest`); empty before there is one, in
            files of before, and where it is not known.
        trace: the name of the file of the recorded run.
        number: which stage of its picture this is, from 1.
        source: of a later stage, which result of the stage before it is made from (`stages.result_key`).
        kept_as: of a later stage, the suffix of the file that was opened; None for `suffix`.
    """

    name: str
    suffix: str
    policy: str | None = None
    level: Any = "auto"
    region: Any = None
    legibility: float | None = None
    requested: Settings | None = None
    mode: Literal["replay", "live"] = "replay"
    entries: dict[int, Entry] = {}
    order: tuple[int, ...] = ()
    undo: tuple[Former, ...] = ()
    redo: tuple[Former, ...] = ()
    revision: int = 0
    count: int = 1
    tokens: dict[str, int | None] = {}
    changed: float = 0.0
    ran: str = ""
    weights: str = ""
    trace: str = "trace.npz"
    number: int = 1
    source: str = ""
    kept_as: str | None = None

    @property
    def edits(self) -> list[Entry]:
        """Those that apply, in their order."""
        return [self.entries[number] for number in self.order]

    @property
    def edited(self) -> bool:
        """Whether there is an edit in it, or one that undo or redo would bring back."""
        return bool(self.entries or self.undo or self.redo)

    def settings(self) -> Settings:
        """Those that are wanted: what was asked for last, whether it has been done or not."""
        return self._recorded() | (self.requested or {})

    def _recorded(self) -> Settings:
        """Those of the recorded run."""
        return {"level": self.level, "region": self.region, "legibility": self.legibility}

    # --- Changes ----------------------------------------------------------------------------------

    def appended(self, entry: Entry) -> Document:
        """With one more edit, the last; its number is `count` of this one."""
        if len(self.order) >= MOST_EDITS:
            raise UsageError(f"{len(self.order)} edits are enough; {MOST_EDITS} are possible")
        return self._ordered((*self.order, self.count), {self.count: entry})

    def replaced(self, number: int, entry: Entry) -> Document:
        """With another edit in the place of one."""
        at = self._place(number)
        return self._ordered((*self.order[:at], self.count, *self.order[at + 1 :]), {self.count: entry})

    def removed(self, number: int) -> Document:
        """Without one of the edits."""
        at = self._place(number)
        return self._ordered((*self.order[:at], *self.order[at + 1 :]))

    def moved(self, number: int, before: int | None) -> Document:
        """With an edit right before another, or (None) the last."""
        at = self._place(number)
        rest = (*self.order[:at], *self.order[at + 1 :])
        to = len(rest) if before is None else self._place(before) - (self._place(before) > at)
        return self._ordered((*rest[:to], number, *rest[to:]))

    def cleared(self) -> Document:
        """Without edits."""
        return self._ordered(())

    def asked(self, settings: Settings) -> Document:
        """With other settings for the next run; those that are not given stay."""
        former = self._now(settings)
        return self if former == settings else self._remembering(former)._requesting(settings)

    def switched(self, mode: Literal["replay", "live"]) -> Document:
        """With edits applied in another way."""
        return self if mode == self.mode else self._with(mode=mode, revision=self.revision + 1)

    def undone(self) -> Document:
        """As before the last change; this one if there is none."""
        return self._travelled("undo", "redo")

    def redone(self) -> Document:
        """With the last `undone` taken back; this one if there is none."""
        return self._travelled("redo", "undo")

    # --- What is no change of a person ------------------------------------------------------------

    def run(
        self,
        policy: str,
        level: object,
        wanted: Settings,
        ran: str = "",
        source: str | None = None,
        weights: str = "",
        trace: str = "",
    ) -> Document:
        """A run has been recorded that began when ``wanted`` was wanted; what came since is still to be done.

        A ``source`` that is not given stays what it was, and so does the name of the ``trace``.
        """
        now = self.settings()
        # Whoever told something else meanwhile meant it with the level of this run, not with that of the one before.
        same_level = {"level": level} if now["level"] == wanted["level"] else {}
        requested = None if now == wanted else now | same_level
        kept: dict[str, Any] = {name: wanted[name] for name in ("region", "legibility")}
        kept |= {"ran": ran, "source": self.source if source is None else source, "weights": weights}
        kept |= {"trace": trace or self.trace}
        return self._with(policy=policy, level=level, requested=requested, **kept)

    def identified(self, policy: str, ran: str) -> Document:
        """With the recorded run called by its policy and by what no other run has."""
        return self._with(policy=policy, ran=ran, weights="")

    def given_up(self) -> Document:
        """The run that was still to be done is wanted no more; redo asks for it again."""
        recorded, wanted, undo = self._recorded(), self.settings(), self.undo
        lost = {name: value for name, value in wanted.items() if value != recorded[name]}
        given_up = self._with(requested=None)
        while undo and undo[-1] == given_up._now(undo[-1]):
            undo = undo[:-1]  # what asked for it
        return given_up._with(undo=undo, redo=(*self.redo, *([lost] if lost else []))[-MOST_UNDO:])

    def without(self, numbers: Iterable[int]) -> Document:
        """As if these edits had never been."""
        gone = set(numbers)

        def left(former: Former) -> Former:
            return former if isinstance(former, dict) else tuple(n for n in former if n not in gone)

        entries = {number: entry for number, entry in self.entries.items() if number not in gone}
        undo, redo = tuple(map(left, self.undo)), tuple(map(left, self.redo))
        order = tuple(n for n in self.order if n not in gone)
        return self._with(entries=entries, order=order, undo=undo, redo=redo, revision=self.revision + 1)

    def with_token(self, token: str | None, added: int | None) -> Document:
        """With the token of the change that was just made, and the number of the edit that it added."""
        if token is None:
            return self
        return self._with(tokens=dict([*self.tokens.items(), (token, added)][-_MOST_TOKENS:]))

    # --- Inside -----------------------------------------------------------------------------------

    def _with(self, **fields: Any) -> Document:
        return msgspec.structs.replace(self, **fields)

    def _place(self, number: int) -> int:
        if number not in self.order:
            raise StaleError("this edit is not there any more, or it has been changed meanwhile; look again")
        return self.order.index(number)

    def _ordered(self, order: tuple[int, ...], new: Mapping[int, Entry] = {}) -> Document:
        if order == self.order:
            return self
        later = self._remembering(self.order)
        return later._with(order=order, entries={**self.entries, **new}, count=self.count + len(new))._tidied()

    def _remembering(self, former: Former) -> Document:
        """Before something changes: it can be undone, and what was undone before cannot be redone."""
        return self._with(undo=(*self.undo, former)[-MOST_UNDO:], redo=(), revision=self.revision + 1)

    def _requesting(self, settings: Settings) -> Document:
        """Nothing is left to do if that makes them those of the recorded run again."""
        wanted = self.settings() | settings
        return self._with(requested=None if wanted == self._recorded() else wanted)

    def _now(self, former: Former) -> Former:
        """What would bring back what this is about, as it is now."""
        return {key: self.settings()[key] for key in former} if isinstance(former, dict) else self.order

    def _travelled(self, source: str, target: str) -> Document:
        steps: tuple[Former, ...] = getattr(self, source)
        while steps and steps[-1] == self._now(steps[-1]):
            steps = steps[:-1]  # settings that were asked for and then given up
        if not steps:
            return self
        former = steps[-1]
        kept = {source: steps[:-1], target: (*getattr(self, target), self._now(former))}
        later = self._with(revision=self.revision + 1, **kept)
        return later._requesting(former) if isinstance(former, dict) else later._with(order=former)

    def _tidied(self) -> Document:
        """Without the edits that nothing can bring back."""
        lists = (self.order, *(former for former in (*self.undo, *self.redo) if not isinstance(former, dict)))
        alive = set().union(*lists)
        return self._with(entries={number: entry for number, entry in self.entries.items() if number in alive})


# --- On the disk ----------------------------------------------------------------------------------


def encoded(document: Document) -> bytes:
    """As ``session.json`` has it."""
    return msgspec.json.encode({"format": FORMAT, **msgspec.structs.asdict(document)})


def decoded(data: bytes) -> Document:
    """From ``session.json``, of this format or of the first, which held whole lists of edits.

    Raises:
        ValueError: it is damaged, or of a format that is not known.
    """
    try:
        content = json.loads(data)  # not msgspec: the first format might hold NaN, and what is sound in it must be read
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        version = content.pop("format", None)
        if version == 1:
            content = _from_first_format(content)
        elif version != FORMAT:
            raise ValueError("another format")
        else:
            content["entries"] = _with_all_named(content)
        return msgspec.convert(content, Document, str_keys=True)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not the fields of a session: {error}") from error


def _with_all_named(content: dict[str, Any]) -> dict[str, object]:
    """The edits by number; one that is none, or that is not there, is empty: it is left out when its list is read."""
    entries = {number: entry if isinstance(entry, dict) else {} for number, entry in content.get("entries", {}).items()}
    lists = [content.get("order", ()), *content.get("undo", ()), *content.get("redo", ())]
    named = (number for former in lists if not isinstance(former, dict) for number in former)
    return {**{str(number): {} for number in named}, **entries}


def _from_first_format(content: dict[str, Any]) -> dict[str, Any]:
    entries: dict[int, object] = {}
    numbers: dict[tuple[str, int], int] = {}

    def former(change: Any) -> object:
        """An edit is the same in two lists if its JSON is, and it is as many times in the list before that place."""
        if isinstance(change, dict):
            return change
        found, seen = [], dict.fromkeys(("",), 0)
        for entry in change:
            text = json.dumps(entry, sort_keys=True)
            seen[text] = seen.get(text, 0) + 1
            number = numbers.setdefault((text, seen[text]), len(numbers) + 1)
            entries[number] = entry if isinstance(entry, dict) else {}
            found.append(number)
        return found

    undo, redo = [former(c) for c in content.pop("undo", [])], [former(c) for c in content.pop("redo", [])]
    order = former(content.pop("edits", []))
    requested = content.pop("asked", None)
    known = {"entries": entries, "order": order, "undo": undo, "redo": redo, "count": len(numbers) + 1}
    return {**content, **known, "requested": requested}
