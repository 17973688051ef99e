"""What the page may ask for: the bodies of its requests, with their ranges.

Every change names the session that the tab shows: it is made to that one, or refused.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from pixelrl.errors import UsageError
from pixelrl.studio.changes import Change, Level

Id = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
Coordinate = Annotated[float, Meta(ge=-1e6, le=1e6)]
Pixel = Annotated[int, Meta(ge=0, le=10**6)]
Count = Annotated[int, Meta(ge=0, le=10**9)]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every body may have.

    Attributes:
        session: the id of the session that the tab shows.
        since: the revision of what is shown that the tab has (`Screen.revision`), to be told what changed since.
    """

    session: Id | None = None
    since: Annotated[int, Meta(ge=0, le=2**53)] | None = None


class OfSession(Request, frozen=True, kw_only=True):
    """What concerns the session that the tab shows."""

    session: Id


class ChangeIt(OfSession, frozen=True, kw_only=True):
    """A change.

    Attributes:
        revision: of the document on which the change is based.
        token: of this change, so that it can be sent again when no answer came.
        change: what to change.
        near: a point (x, y) in the picture, around which to show it first.
    """

    revision: Annotated[int, Meta(ge=0, le=2**53)]
    token: Annotated[str, Meta(min_length=8, max_length=64)]
    change: Change
    near: tuple[Coordinate, Coordinate] | None = None


class RunIt(OfSession, frozen=True, kw_only=True):
    """Let a policy work on the picture.

    Attributes:
        policy: its name.
        level: what it is told.
        keep: of edits that another policy's session has, those whose operations this one has too.
        seen: x0, y0, x1, y1 of the part of the picture that the tab shows, which is done first.
    """

    policy: Annotated[str, Meta(max_length=200)]
    level: Level = "auto"
    keep: bool = False
    seen: tuple[Pixel, Pixel, Pixel, Pixel] | None = None


class GoOn(OfSession, frozen=True, kw_only=True):
    """Let a policy work on the result of the picture's last stage.

    Attributes:
        after: the id of that stage.
        policy: its name.
        level: what it is told.
        seen: x0, y0, x1, y1 of the part of the picture that the tab shows, which is done first.
    """

    after: Id
    policy: Annotated[str, Meta(max_length=200)]
    level: Level = "auto"
    seen: tuple[Pixel, Pixel, Pixel, Pixel] | None = None


class MaskIt(OfSession, frozen=True, kw_only=True):
    """Keep a painted region: inside ``box``, row by row, ``runs`` of pixels that are out, in, out, ..."""

    box: tuple[Pixel, Pixel, Pixel, Pixel]
    runs: Annotated[list[Count], Meta(max_length=10**7)]


class SameIt(OfSession, frozen=True, kw_only=True):
    """Keep the region around a pixel whose agents do the same at a step."""

    step: Count
    x: Pixel
    y: Pixel
    channel: Annotated[int, Meta(ge=0, le=255)]


class SureOf(OfSession, frozen=True, kw_only=True):
    """Ask how sure the policy was of a pixel."""

    x: Pixel
    y: Pixel


class Named(Request, frozen=True, kw_only=True):
    """Another session than the one that the tab shows.

    Attributes:
        id: of that other one.
    """

    id: Id


AnyRequest = TypeVar("AnyRequest", bound=Request)


def parsed(body: bytes, kind: type[AnyRequest]) -> AnyRequest:
    """The request in a body.

    Raises:
        UsageError: it is not JSON, or a value is missing or out of range; the field is named.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"the request is not valid: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UsageError("the request is not valid JSON") from None
