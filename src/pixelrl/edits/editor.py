"""An edit, and what a list of them makes of the action maps of an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, final

import torch
from jaxtyping import Bool
from torch import Tensor

from pixelrl.actions import DO_NOTHING, LEVEL_STEPS
from pixelrl.edits.given import as_taken, check_field
from pixelrl.errors import UsageError
from pixelrl.imaging.color import OPPONENT, kind_of_space
from pixelrl.imaging.thinning import thinned
from pixelrl.pictures.display import as_stored
from pixelrl.types import ActionMap, Image, Logits
from pixelrl.validation import brief, check_box

Mask = Bool[Tensor, "h w"]


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

    Lists, arrays and tensors are taken for tuples, and those of one number for the number.

    Raises:
        UsageError: an attribute is of another kind, or out of range.
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

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not each.default:
                taken = as_taken(each.name, value)
                object.__setattr__(self, each.name, taken)
                check_field(each.name, taken)

    def region(self, height: int, width: int) -> Mask:
        """Where the edit applies, if it is not off.

        Raises:
            UsageError: a box that does not lie inside the image or holds no pixel, or a mask of another size.
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
        box = self.box if self.box is not None else (0, 0, width, height)
        check_box(box, f"region.box = {brief(list(box) if isinstance(box, tuple) else box)}", (height, width))
        x0, y0, x1, y1 = box
        inside[y0:y1, x0:x1] = True
        return inside


class Editor:
    """Applies edits to the action maps of one episode, step by step.

    Args:
        edits: in the order in which they are applied; a later one may overrule an earlier one.
        action_names: the operations of the episode.
        height: of the image.
        width: of the image.
        space: of the values that the agents work on (`pixelrl.imaging.color.to_space`). Of opponent colours, brightness
            alone is what a person sees as such, and a forced step of grey levels is one of brightness: the agents of
            colour do nothing, as if all of red, green and blue made the step.

    Raises:
        UsageError: an edit that does not fit; its place in the list (from 1) is named.
    """

    def __init__(
        self, edits: Sequence[Edit], action_names: Sequence[str], height: int, width: int, space: str = "srgb"
    ) -> None:
        self.edits, self.names = tuple(edits), tuple(action_names)
        self.opponent = kind_of_space(space) == OPPONENT
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
        self._changed = [False] * len(self.edits)

    def idle(self) -> list[int]:
        """The places (from 1) of the edits that have changed no operation so far; those that are off do not count."""
        places = enumerate(zip(self.edits, self._changed, strict=True), 1)
        return [place for place, (edit, changed) in places if not changed and not edit.off]

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
        bright = image[:, :1] if self.opponent else image.mean(1, keepdim=True)
        value = 255 * bright.clamp(0, 1)  # as a person sees it
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
                if self.opponent and name in LEVEL_STEPS and DO_NOTHING in self.names:
                    instead[:, 1:] = self.names.index(DO_NOTHING)
            before_it, actions = actions, torch.where(meets, instead, actions)
            self._changed[index] = self._changed[index] or not torch.equal(before_it, actions)
        return actions


def idle_words(places: Sequence[int], of: str = "") -> str | None:
    """What there is to say of edits that changed no operation; None if all did.

    Args:
        places: theirs in the list, from 1 (`Editor.idle`).
        of: where the list is, such as " of edits.json".
    """
    if not places:
        return None
    which = f"{', '.join(map(str, places))}{of}"
    said = f"edit {which} changes" if len(places) == 1 else f"edits {which} change"
    return f"{said} nothing: no pixel does another operation for it"


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
