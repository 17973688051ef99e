"""Edits as JSON says them (``edits.json``): what may stand there, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import torch
from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.json import schema_components

from pixelrl.edits.editor import Edit, Mask
from pixelrl.errors import InputError, UsageError
from pixelrl.validation import as_path, brief, checked

MOST_CORNERS = 1000
"""Of a polygon: every pixel of its bounding box is tested against every side. Finer outlines are drawn as masks."""
LARGEST = 1_000_000
"""Numbers in edits lie between this and its negative; no picture is as wide, and no grey level as bright."""

EXAMPLE = '[{"steps": "all", "region": {"box": [0, 0, 8, 8]}, "do": {"force": "do nothing"}}]'

_Step = Annotated[int, Meta(ge=1, le=LARGEST)]
# Whether a box lies inside the picture is said of all boxes alike, where the picture is known (`Edit.region`).
_Pixels = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]
_Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
_Box = Annotated[
    tuple[_Pixels, _Pixels, _Pixels, _Pixels],
    Meta(
        description=f"[x0, y0, x1, y1], whole pixels up to {LARGEST}, x1 and y1 exclusive",
        extra_json_schema={"prefixItems": [{"type": "integer", "minimum": 0, "maximum": LARGEST}] * 4},
    ),
]
_Polygon = Annotated[
    list[tuple[_Number, _Number]],
    Meta(
        min_length=3,
        max_length=MOST_CORNERS,
        description=f"3 to {MOST_CORNERS} corners [x, y] in pixels; draw finer outlines as a mask",
    ),
]
_Picture = Annotated[
    str, Meta(description="the path, from this file's folder, of a picture of the same size, white where to edit")
]
_Names = Annotated[list[str], Meta(min_length=1, description="a list of names of operations")]
_Action = Annotated[
    str | _Names | None, Meta(description="the name of an operation that agents would do, or a list of names")
]
_Range = Annotated[
    tuple[_Number, _Number],
    Meta(description="[low, high] in grey levels before the step, low no larger than high"),
]
_Steps = Annotated[
    Literal["all"] | Annotated[list[_Step], Meta(min_length=1)],
    Meta(description='"all" or a list of step numbers from 1'),
]
_Share = Annotated[
    float, Meta(gt=0, le=1, description="of the region's pixels, evenly spread, above 0; 1 for all of them")
]
_Feather = Annotated[
    int, Meta(ge=0, le=1000, description="whole pixels over which the region fades in from its edge; 0 for none")
]
_DO = '{"force": ACTION}, {"forbid": [ACTIONS]} or "stop"'


class RegionEntry(Struct, forbid_unknown_fields=True):
    """Where an edit applies, as JSON says it; the whole picture if all is left out."""

    box: _Box | UnsetType = UNSET
    polygon: _Polygon | UnsetType = UNSET
    mask: _Picture | UnsetType = UNSET

    def __post_init__(self) -> None:
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not UNSET]
        if len(given) > 1:
            raise ValueError(f"region has {' and '.join(given)}; give one of box, polygon and mask, or no region")


class WhereEntry(Struct, forbid_unknown_fields=True):
    """Under which condition an edit applies, as JSON says it."""

    action: _Action = None
    brightness: _Range | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.brightness is not UNSET and self.brightness[0] > self.brightness[1]:
            raise ValueError(f"where.brightness = {list(self.brightness)} must be [low, high], low no larger than high")


class DoEntry(Struct, forbid_unknown_fields=True):
    """What is done instead, as JSON says it: one of the two."""

    force: Annotated[str, Meta(description="the name of an operation")] | UnsetType = UNSET
    forbid: _Names | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.force is UNSET) == (self.forbid is UNSET):
            raise ValueError(f"do must be {_DO}")


class EditEntry(Struct, forbid_unknown_fields=True):
    """One edit as JSON says it; see docs/edits.md."""

    do: Annotated[
        Literal["stop"] | DoEntry, Meta(description=_DO, extra_json_schema={"minProperties": 1, "maxProperties": 1})
    ]
    steps: _Steps = "all"
    region: Annotated[RegionEntry, Meta(extra_json_schema={"maxProperties": 1})] = field(default_factory=RegionEntry)
    where: WhereEntry = field(default_factory=WhereEntry)
    share: _Share = 1.0
    feather: _Feather = 0
    off: Annotated[bool, Meta(description="true for an edit that is kept and does nothing")] = False

    def edit(self, folder: Path) -> Edit:
        """As it is applied; masks are looked for in ``folder``."""
        action, brightness, do = self.where.action, self.where.brightness, self.do
        names = [action] if isinstance(action, str) else action
        return Edit(
            steps="all" if self.steps == "all" else tuple(dict.fromkeys(self.steps)),
            actions=None if names is None else tuple(names),
            brightness=None if brightness is UNSET else brightness,
            force=None if do == "stop" or do.force is UNSET else do.force,
            forbid=() if do == "stop" or do.forbid is UNSET else tuple(do.forbid),
            stop=do == "stop",
            share=self.share,
            feather=self.feather,
            off=self.off,
            **_area(self.region, folder),
        )


class _Area(TypedDict):
    box: tuple[int, int, int, int] | None
    polygon: tuple[tuple[float, float], ...] | None
    mask: Mask | None


def _area(region: RegionEntry, folder: Path) -> _Area:
    return {
        "box": None if region.box is UNSET else region.box,
        "polygon": None if region.polygon is UNSET else tuple(region.polygon),
        "mask": None if region.mask is UNSET else _read_mask(region.mask, folder),
    }


def load_edits(path: str | Path) -> tuple[Edit, ...]:
    """Read ``edits.json``; masks are pictures whose paths are relative to it.

    Raises:
        UsageError: no such file, not JSON, or an edit that is not valid: its place in the list (from 1), the field and
            the valid values are named.
    """
    path = as_path(path, "edits")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"edits {path} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise UsageError(f"edits {path} is nested too deeply; edits are a list of objects") from None
    except ValueError as error:
        raise UsageError(f"edits {path} is not valid JSON: {error}") from error
    return parse_edits(content, path.parent)


def edits_of(edits: Sequence[Edit] | Edit | str | Path) -> tuple[Edit, ...]:
    """Edits as callers give them: a list of `Edit`, one of them, or the path of an ``edits.json``.

    Raises:
        UsageError: it is something else, or a file that `load_edits` refuses.
    """
    if isinstance(edits, (str, Path)):
        return load_edits(edits)
    if isinstance(edits, Edit):
        return (edits,)
    if isinstance(edits, Sequence):
        known = tuple(edit for edit in edits if isinstance(edit, Edit))
        if len(known) == len(edits):
            return known
    raise UsageError(
        f"edits = {brief(edits)} are not edits; give a list of pixelrl.Edit, or the path of a file that holds them"
    )


def parse_edits(content: object, folder: Path) -> tuple[Edit, ...]:
    """Edits from the parsed JSON; ``folder`` is where masks are looked for. Raises as `load_edits` does."""
    if not isinstance(content, list):
        raise UsageError("edits are a list of objects, for instance " + EXAMPLE)
    edits = []
    for place, entry in enumerate(content, 1):
        try:
            edits.append(checked(entry, EditEntry, "an edit").edit(folder))
        except UsageError as error:
            raise UsageError(f"edit {place}: {error}") from error
    return tuple(edits)


def parse_region(content: object, folder: Path, height: int, width: int) -> Mask:
    """The pixels of what an edit may have as its ``region``, bool ``(height, width)``; ``folder`` as in `parse_edits`.

    Raises:
        UsageError: it is not valid, or does not fit the picture.
    """
    return Edit(**_area(checked(content, RegionEntry, prefix="region"), folder)).region(height, width)


def schema() -> dict[str, object]:
    """The JSON schema of ``edits.json``, which docs/edits.schema.json holds."""
    (entries,), definitions = schema_components([list[EditEntry]])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pixelrl edits",
        "description": "What a person changes in the choices of the agents; see docs/edits.md.",
        **entries,
        "$defs": definitions,
    }


def _read_mask(name: str, folder: Path) -> Mask:
    from pixelrl.pictures.masks import read_mask  # the formats of pictures are slow to import, and few need them

    try:
        return torch.from_numpy(read_mask(folder / name).inside)
    except InputError as error:
        raise UsageError(f"region.mask = {name!r} cannot be read as a picture: {error}") from error
