"""What a person can change in a session: one of these at a time, each based on a revision of the document.

What can be meant in only one way is merged with what came meanwhile: an edit that is added, or one that is named by its
number. What depends on all that was there (`Undo`, `Redo`, `Clear`) must be based on the present revision.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pixelrl.studio.document import Document, Entry, StaleError

Number = Annotated[int, Meta(ge=1, le=2**53)]
Level = Literal["auto"] | Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | Annotated[float, Meta(ge=-1e6, le=1e6)]
"""What a policy is told, of whatever kind it takes; whether it suits, the policy says."""
Legibility = Annotated[int, Meta(ge=0, le=1)] | Annotated[float, Meta(ge=0, le=1)]
"""How plain the maps shall be: 0 best quality, 1 plainest maps."""


class _Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=str.lower):
    """Its name in lower case is its ``type``."""


class Append(_Change, frozen=True):
    """One more edit."""

    edit: Entry


class Replace(_Change, frozen=True):
    """Another edit in the place of one."""

    number: Number
    edit: Entry


class Remove(_Change, frozen=True):
    """No longer this edit."""

    number: Number


class Move(_Change, frozen=True):
    """An edit right before another one, or (None) the last."""

    number: Number
    before: Number | None


class Clear(_Change, frozen=True):
    """No edits."""


class Undo(_Change, frozen=True):
    """As before the last change."""


class Redo(_Change, frozen=True):
    """The last undo taken back."""


class Tell(_Change, frozen=True):
    """Tell the policy something else, and run it again. What is left out stays."""

    level: Level | UnsetType = UNSET
    region: dict[str, Any] | UnsetType | None = UNSET
    legibility: Legibility | UnsetType | None = UNSET

    def settings(self) -> dict[str, Any]:
        """Those that are given."""
        return {key: value for key, value in msgspec.structs.asdict(self).items() if value is not UNSET}


class Switch(_Change, frozen=True):
    """Apply the edits in another way."""

    mode: Literal["replay", "live"]


Change = Append | Replace | Remove | Move | Clear | Undo | Redo | Tell | Switch


def changed(document: Document, change: Change, base: int | None = None) -> tuple[Document, int | None]:
    """The document after a change, and the number of the edit that it added.

    Args:
        document: the present one. It is returned itself where nothing changes.
        change: what to change.
        base: the revision that the person saw; None for the present one.

    Raises:
        StaleError: the change was meant for another state.
        UsageError: there are too many edits.
    """
    match change:
        case Append(edit):
            return document.appended(edit), document.count
        case Replace(number, edit):
            return document.replaced(number, edit), document.count
        case Remove(number):
            return document.removed(number), None
        case Move(number, before):
            return document.moved(number, before), None
        case Tell():
            return document.asked(change.settings()), None
        case Switch(mode):
            return document.switched(mode), None
    if base is not None and base != document.revision:
        raise StaleError("the edits were changed in another tab meanwhile; look, and do it again if you still want it")
    match change:
        case Clear():
            return document.cleared(), None
        case Undo():
            return document.undone(), None
        case Redo():
            return document.redone(), None
