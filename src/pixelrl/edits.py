"""Edits: what a person changes in the choices of the agents, as data (``edits.json``).

An edit says at which steps, where and under which condition agents are overruled, and what they do instead. The same
list is applied in two ways: *replay* edits recorded action maps and asks no network (`pixelrl.Trajectory.edited`),
*live* edits what the policy chooses, which then sees the edited image and reacts (``agent(image, edits=...)``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypedDict, final

import torch
from jaxtyping import Bool
from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.json import schema_components
from torch import Tensor

from pixelrl.actions import DO_NOTHING as DO_NOTHING
from pixelrl.errors import InputError, UsageError
from pixelrl.imaging.thinning import thinned
from pixelrl.pictures.display import as_stored
from pixelrl.types import ActionMap, Image, Logits
from pixelrl.validation import checked

Mask = Bool[Tensor, "h w"]

MOST_CORNERS = 1000
"""Of a polygon: every pixel of its bounding box is tested against every side. Finer outlines are drawn as masks."""
LARGEST = 1_000_000
"""Numbers in edits lie between this and its negative; no picture is as wide, and no grey level as bright."""


@final
@dataclass(frozen=True)
class Edit:
    """One edit.

    Attributes:
        steps: numbers of steps, from 1, or "all".
        box: ``(x0, y0, x1, y1)`` in pixels, x1 and y1 exclusive, or None.
        polygon: corners ``(x, y)`` in pixels, or None; a pixel belongs to it if its centre does.
        mask: the pixels themselves, or None. At most one of box, polygon and mask; none of them is the whole image.
        actions: only agents that would choose one of these operations; None for any.
        brightness: only pixels whose value (mean over the channels) lies in this range of grey levels; None for any.
        force: the operation that is done instead, or None.
        forbid: operations that are not to be chosen: live, the policy's next best one is done, in replay "do nothing".
        stop: from the first of the steps at which an agent is met, it does nothing until the end.
        share: of the region's pixels that the edit applies to, above 0; which ones says a fixed pattern
            (`pixelrl.imaging.thinning.thinned`).
        feather: pixels over which the region fades in from its edge, by the same pattern.
        off: the edit is kept, and does nothing.
    """

    steps: tuple[int, ...] | Literal["all"] = "all"
    box: tuple[int, int, int, int] | None = None
    polygon: tuple[tuple[float, float], ...] | None = None
    mask: Mask | None = None
    actions: tuple[str, ...] | None = None
    brightness: tuple[float, float] | None = None
    force: str | None = None
    forbid: tuple[str, ...] = ()
    stop: bool = False
    share: float = 1.0
    feather: int = 0
    off: bool = False

    def region(self, height: int, width: int) -> Mask:
        """Where the edit applies, if it is not off.

        Raises:
            UsageError: it lies outside the image, or a mask of another size.
        """
        inside = self._outlined(height, width)
        return inside if self.share == 1.0 and not self.feather else thinned(inside, self.share, self.feather)

    def _outlined(self, height: int, width: int) -> Mask:
        """All of the region."""
        if self.mask is not None:
            if tuple(self.mask.shape) != (height, width):
                sizes = f"{self.mask.shape[1]}x{self.mask.shape[0]} pixels, the picture {width}x{height}"
                raise UsageError(f"region.mask has {sizes}; give a mask of the picture's size")
            return self.mask
        if self.polygon is not None:
            from skimage.draw import polygon2mask  # slow to import, and few need it

            corners = [(y, x) for x, y in self.polygon]
            return torch.from_numpy(polygon2mask((height, width), corners))
        inside = torch.zeros((height, width), dtype=torch.bool)
        x0, y0, x1, y1 = self.box if self.box is not None else (0, 0, width, height)
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise UsageError(f"region.box = {[x0, y0, x1, y1]} does not lie inside the picture of {width}x{height}")
        inside[y0:y1, x0:x1] = True
        return inside


class Editor:
    """Applies edits to the action maps of one episode, step by step.

    Args:
        edits: in the order in which they are applied; a later one may overrule an earlier one.
        action_names: the operations of the episode.
        height: of the image.
        width: of the image.

    Raises:
        UsageError: an edit that does not fit; its place in the list (from 1) is named.
    """

    def __init__(self, edits: Sequence[Edit], action_names: Sequence[str], height: int, width: int) -> None:
        self.edits, self.names = tuple(edits), tuple(action_names)
        self.regions: list[Mask] = []
        for place, edit in enumerate(self.edits, 1):
            for name in (*(edit.actions or ()), *edit.forbid, *((edit.force,) if edit.force is not None else ())):
                if name not in self.names:
                    raise UsageError(f"edit {place}: {name!r} is not one of the operations: {', '.join(self.names)}")
            if (edit.stop or edit.forbid) and DO_NOTHING not in self.names:
                raise UsageError(f"edit {place}: stop and forbid need the operation {DO_NOTHING!r}, which is not there")
            if edit.forbid and set(edit.forbid) == set(self.names):
                raise UsageError(f"edit {place}: forbid leaves no operation; keep at least one")
            try:
                self.regions.append(edit.region(height, width))
            except UsageError as error:
                raise UsageError(f"edit {place}: {error}") from error
        self.stopped: list[Tensor | None] = [None] * len(self.edits)

    def alternatives(self, logits: Logits) -> ActionMap:
        """The greedy choice, and for every edit the greedy choice without what it forbids: ``(b, (1 + n) g, h, w)``.

        As one map, so that tiles (`pixelrl.policies.tiling`) need know nothing of edits.
        """
        choices = [logits.argmax(1)]
        for edit in self.edits:
            if edit.forbid and not edit.off:
                allowed = logits.clone()
                allowed[:, [self.names.index(name) for name in edit.forbid]] = -torch.inf
                choices.append(allowed.argmax(1))
            else:
                choices.append(choices[0])
        return torch.cat(choices, 1).to(torch.uint8)

    def live(self, t: int, image: Image, choices: ActionMap) -> ActionMap:
        """The edited action map ``(b, g, h, w)`` of step ``t`` (from 0), from the maps of `alternatives`.

        Steps come in order, each once; ``image`` is the one before the step.
        """
        first, *others = choices.chunk(1 + len(self.edits), 1)
        return self._edited(t, image, first, others)

    def replay(self, t: int, image: Image, actions: ActionMap) -> ActionMap:
        """The edited action map of step ``t``, from a recorded one; as `live`."""
        return self._edited(t, image, actions, None)

    def _edited(self, t: int, image: Image, actions: ActionMap, others: Sequence[ActionMap] | None) -> ActionMap:
        value = 255 * image.mean(1, keepdim=True).clamp(0, 1)  # as a person sees it
        for index, (edit, region) in enumerate(zip(self.edits, self.regions, strict=True)):
            if edit.off:
                continue
            meets = region.to(actions.device).expand(actions.shape)
            if edit.brightness is not None:
                low, high = edit.brightness
                meets = meets & ((value >= low) & (value <= high)).expand(actions.shape)
            if edit.actions is not None:
                listed = torch.tensor([self.names.index(name) for name in edit.actions], device=actions.device)
                meets = meets & torch.isin(actions, listed)
            if edit.steps != "all" and t + 1 not in edit.steps:
                meets = torch.zeros_like(meets)
            if edit.stop:
                before = self.stopped[index]
                meets = meets if before is None else meets | before
                self.stopped[index] = meets
            if edit.forbid:
                banned = torch.tensor([self.names.index(name) for name in edit.forbid], device=actions.device)
                meets = meets & torch.isin(actions, banned)
            if edit.forbid and others is not None:
                instead = others[index]
            else:
                name = edit.force if edit.force is not None else DO_NOTHING
                instead = torch.full_like(actions, self.names.index(name))
            actions = torch.where(meets, instead, actions)
        return actions


def check_steps(edits: Sequence[Edit], num_steps: int) -> None:
    """Refuse edits of steps that an episode does not have: they would do nothing, and say nothing.

    Raises:
        UsageError: there is one; its place in the list (from 1) is named.
    """
    for place, edit in enumerate(edits, 1):
        if edit.steps != "all" and max(edit.steps) > num_steps:
            raise UsageError(f"edit {place}: steps = {list(edit.steps)}, but there are only {num_steps} steps")


def within(edits: Sequence[Edit], num_steps: int) -> tuple[Edit, ...]:
    """What is left of edits in an episode of so many steps: those of later steps are dropped."""
    left = []
    for edit in edits:
        steps = edit.steps if edit.steps == "all" else tuple(step for step in edit.steps if step <= num_steps)
        if steps:
            left.append(replace(edit, steps=steps))
    return tuple(left)


# --- The file -------------------------------------------------------------------------------------

EXAMPLE = '[{"steps": "all", "region": {"box": [0, 0, 8, 8]}, "do": {"force": "do nothing"}}]'

_Step = Annotated[int, Meta(ge=1, le=LARGEST)]
_Pixels = Annotated[int, Meta(ge=0, le=LARGEST)]
_Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
_Box = Annotated[
    tuple[_Pixels, _Pixels, _Pixels, _Pixels],
    Meta(description="[x0, y0, x1, y1], whole pixels, x1 and y1 exclusive"),
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
    path = Path(path)
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
        f"edits = {str(edits)[:60]} are not edits; give a list of pixelrl.Edit, or the path of a file that holds them"
    )


def laid(edits: Sequence[Edit], size: tuple[int, int], orientation: int) -> tuple[Edit, ...]:
    """Edits whose masks lie on stored pixels, as those do that were painted on the picture as it is seen.

    Args:
        edits: with masks as they were read.
        size: height and width of the stored pixels. Masks of this size stay as they are.
        orientation: of the picture, as EXIF numbers it.
    """
    lying = []
    for edit in edits:
        if edit.mask is not None and tuple(edit.mask.shape) != size:
            turned = as_stored(edit.mask, orientation)
            edit = replace(edit, mask=turned) if tuple(turned.shape) == size else edit
        lying.append(edit)
    return tuple(lying)


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
