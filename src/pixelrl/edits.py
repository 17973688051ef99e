"""Edits: what a person changes in the choices of the agents, as data (``edits.json``).

An edit says at which steps, where and under which condition agents are overruled, and what they do instead. The same
list is applied in two ways: *replay* edits recorded action maps and asks no network (`pixelrl.Trajectory.edited`),
*live* edits what the policy chooses, which then sees the edited image and reacts (``agent(image, edits=...)``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.types import ActionMap, Image, Logits

Mask = Bool[Tensor, "h w"]

DO_NOTHING = "do nothing"

MOST_CORNERS = 1000
"""Of a polygon: every pixel of its bounding box is tested against every side. Finer outlines are drawn as masks."""
_LARGEST = 1_000_000
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

    def region(self, height: int, width: int) -> Mask:
        """Where the edit applies.

        Raises:
            UsageError: it lies outside the image, or a mask of another size.
        """
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
        UsageError: an edit that does not fit; its place in the list (from 0) is named.
    """

    def __init__(self, edits: Sequence[Edit], action_names: Sequence[str], height: int, width: int) -> None:
        self.edits, self.names = tuple(edits), tuple(action_names)
        self.regions: list[Mask] = []
        for index, edit in enumerate(self.edits):
            for name in (*(edit.actions or ()), *edit.forbid, *((edit.force,) if edit.force is not None else ())):
                if name not in self.names:
                    raise UsageError(f"edit {index}: {name!r} is not one of the operations: {', '.join(self.names)}")
            if (edit.stop or edit.forbid) and DO_NOTHING not in self.names:
                raise UsageError(f"edit {index}: stop and forbid need the operation {DO_NOTHING!r}, which is not there")
            if edit.forbid and set(edit.forbid) == set(self.names):
                raise UsageError(f"edit {index}: forbid leaves no operation; keep at least one")
            try:
                self.regions.append(edit.region(height, width))
            except UsageError as error:
                raise UsageError(f"edit {index}: {error}") from error
        self.stopped: list[Tensor | None] = [None] * len(self.edits)

    def alternatives(self, logits: Logits) -> ActionMap:
        """The greedy choice, and for every edit the greedy choice without what it forbids: ``(b, (1 + n) g, h, w)``.

        As one map, so that tiles (`pixelrl.policies.tiling`) need know nothing of edits.
        """
        choices = [logits.argmax(1)]
        for edit in self.edits:
            if edit.forbid:
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
            meets = region.to(actions.device).expand(actions.shape)
            if edit.brightness is not None:
                low, high = edit.brightness
                meets = meets & ((value >= low) & (value <= high)).expand(actions.shape)
            if edit.actions is not None:
                wanted = torch.tensor([self.names.index(name) for name in edit.actions], device=actions.device)
                meets = meets & torch.isin(actions, wanted)
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


def load_edits(path: Path) -> tuple[Edit, ...]:
    """Read ``edits.json``; masks are pictures whose paths are relative to it.

    Raises:
        UsageError: no such file, not JSON, or an edit that is not valid: its place in the list (from 0), the field and
            the valid values are named.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"edits {path} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise UsageError(f"edits {path} is nested too deeply; edits are a list of objects") from None
    except ValueError as error:
        raise UsageError(f"edits {path} is not valid JSON: {error}") from error
    return parse_edits(content, path.parent)


def parse_edits(content: object, folder: Path) -> tuple[Edit, ...]:
    """Edits from the parsed JSON; ``folder`` is where masks are looked for. Raises as `load_edits` does."""
    if not isinstance(content, list):
        raise UsageError("edits are a list of objects, for instance " + EXAMPLE)
    edits = []
    for index, entry in enumerate(content):
        try:
            edits.append(_edit(entry, folder))
        except UsageError as error:
            raise UsageError(f"edit {index}: {error}") from error
    return tuple(edits)


def parse_region(content: object, folder: Path, height: int, width: int) -> Mask:
    """The pixels of what an edit may have as its ``region``, bool ``(height, width)``; ``folder`` as in `parse_edits`.

    Raises:
        UsageError: it is not valid, or does not fit the picture.
    """
    return Edit(**_region(content, folder)).region(height, width)  # type: ignore[arg-type]


EXAMPLE = '[{"steps": "all", "region": {"box": [0, 0, 8, 8]}, "do": {"force": "do nothing"}}]'


def _edit(entry: object, folder: Path) -> Edit:
    fields = _table(entry, "an edit", ("steps", "region", "where", "do"))
    where = _table(fields.get("where", {}), "where", ("action", "brightness"))
    actions = where.get("action")
    return Edit(
        steps=_steps(fields.get("steps", "all")),
        **_region(fields.get("region", {}), folder),  # type: ignore[arg-type]
        actions=None if actions is None else _names([actions] if isinstance(actions, str) else actions, "where.action"),
        brightness=_range(where["brightness"]) if "brightness" in where else None,
        **_deed(fields.get("do")),  # type: ignore[arg-type]
    )


def _region(content: object, folder: Path) -> dict[str, object]:
    region = _table(content, "region", ("box", "polygon", "mask"))
    if len(region) > 1:
        raise UsageError(f"region has {' and '.join(region)}; give one of box, polygon and mask, or no region")
    return {
        "box": _box(region["box"]) if "box" in region else None,
        "polygon": _polygon(region["polygon"]) if "polygon" in region else None,
        "mask": _mask(region["mask"], folder) if "mask" in region else None,
    }


def _steps(value: object) -> tuple[int, ...] | Literal["all"]:
    if value == "all":
        return "all"
    if isinstance(value, list) and value and all(_number(n) and type(n) is int and n >= 1 for n in value):
        return tuple(dict.fromkeys(value))
    raise UsageError(f'steps = {_said(value)} must be "all" or a list of step numbers from 1')


def _deed(do: object) -> dict[str, object]:
    if do == "stop":
        return {"stop": True}
    if isinstance(do, dict) and len(do) == 1:
        if isinstance(do.get("force"), str):
            return {"force": do["force"]}
        if "forbid" in do:
            return {"forbid": _names(do["forbid"], "do.forbid")}
    raise UsageError(f'do = {_said(do)} must be {{"force": ACTION}}, {{"forbid": [ACTIONS]}} or "stop"')


def _table(value: object, name: str, known: tuple[str, ...]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise UsageError(f"{name} = {_said(value)} must be an object with some of {', '.join(known)}")
    for key in value:
        if key not in known:
            raise UsageError(f"{key!r} is not a field of {name}; known are {', '.join(known)}")
    return value


def _names(value: object, field: str) -> tuple[str, ...]:
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise UsageError(f"{field} = {_said(value)} must be a list of names of operations")


def _said(value: object) -> str:
    """A value as JSON, for a message: not all of one that is long."""
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _number(value: object) -> bool:
    """Whether it is a number, neither infinite nor NaN, of a size that means something."""
    return type(value) in (int, float) and -_LARGEST <= value <= _LARGEST  # type: ignore[operator]


def _numbers(value: object, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(_number(n) for n in value)


def _box(value: object) -> tuple[int, int, int, int]:
    if isinstance(value, list) and _numbers(value, 4) and all(type(n) is int for n in value):
        return (value[0], value[1], value[2], value[3])
    raise UsageError(f"region.box = {_said(value)} must be [x0, y0, x1, y1], whole pixels, x1 and y1 exclusive")


def _polygon(value: object) -> tuple[tuple[float, float], ...]:
    if isinstance(value, list) and len(value) > MOST_CORNERS:
        raise UsageError(f"region.polygon has {len(value)} corners; give at most {MOST_CORNERS}, or a mask")
    if isinstance(value, list) and len(value) >= 3 and all(_numbers(corner, 2) for corner in value):
        return tuple((float(x), float(y)) for x, y in value)
    limits = f"numbers from {-_LARGEST:,} to {_LARGEST:,}"
    raise UsageError(f"region.polygon = {_said(value)} must be at least three corners [x, y] in pixels, {limits}")


def _range(value: object) -> tuple[float, float]:
    if isinstance(value, list) and _numbers(value, 2) and value[0] <= value[1]:
        return (float(value[0]), float(value[1]))
    raise UsageError(f"where.brightness = {_said(value)} must be [low, high] in grey levels, low no larger than high")


def _mask(value: object, folder: Path) -> Mask:
    from PIL import Image as PillowImage

    if not isinstance(value, str):
        raise UsageError(f"region.mask = {_said(value)} must be the path of a picture; it is white where to edit")
    try:
        with PillowImage.open(folder / value) as picture:
            return torch.from_numpy(np.asarray(picture.convert("L")) >= 128)
    except (OSError, ValueError, PillowImage.DecompressionBombError) as error:
        raise UsageError(f"region.mask = {value!r} cannot be read as a picture: {error}") from error
