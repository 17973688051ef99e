"""A fast preview of edits in *replay*: only what they can have changed is computed again, a cell at a time.

Filters may round the last bit of a window otherwise than that of the whole picture (`pixelrl.imaging.filters`), so a
preview equals the replay up to rounding. What is exported is always the replay itself (`pixelrl.studio.session`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.edits import Edit, Editor
from pixelrl.errors import UsageError
from pixelrl.studio.kept import Kept
from pixelrl.types import Image

CELL = 256
"""Side in pixels of the cells. Small ones show a first result sooner, large ones have less margin to compute."""


class Box(NamedTuple):
    """A part of a picture in pixels; x1 and y1 are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def pixels(self) -> int:
        """How many it holds."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def grown(self, margin: int, width: int, height: int) -> Box:
        """With a margin around it, but inside the picture."""
        x0, y0 = max(0, self.x0 - margin), max(0, self.y0 - margin)
        return Box(x0, y0, min(width, self.x1 + margin), min(height, self.y1 + margin))

    def crop(self, tensor: Tensor) -> Tensor:
        """A view of this part; the last two dimensions are height and width."""
        return tensor[..., self.y0 : self.y1, self.x0 : self.x1]

    def within(self, outer: Box) -> Box:
        """The same part in the coordinates of ``outer``."""
        return Box(self.x0 - outer.x0, self.y0 - outer.y0, self.x1 - outer.x0, self.y1 - outer.y0)

    def meets(self, other: Box) -> bool:
        """Whether they share a pixel."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1


def parse_box(text: str | None) -> Box | None:
    """``x0,y0,x1,y1`` of a query; raises UsageError for what is no box."""
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(r"\d{1,9}", part) for part in parts):
        raise UsageError(f"box = {text!r} must be x0,y0,x1,y1 in whole pixels")
    x0, y0, x1, y1 = (int(part) for part in parts)
    return Box(x0, y0, x1, y1)


def bounds(inside: npt.NDArray[np.bool_]) -> Box | None:
    """The smallest box around what is True; None if nothing is."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


@final
class Frames:
    """The images of an episode before the first and after every step, and the actions between them.

    Args:
        images: T + 1 of ``(1, c, h, w)``, float32.
        actions: uint8 ``(t, 1, g, h, w)``.
    """

    def __init__(self, images: Sequence[Image | Kept], actions: Tensor | Kept) -> None:
        self.kept = [image if isinstance(image, Kept) else Kept(image) for image in images]
        self.kept_actions = actions if isinstance(actions, Kept) else Kept(actions)

    @property
    def images(self) -> list[Image]:
        """The images themselves."""
        return [kept.tensor for kept in self.kept]

    @property
    def actions(self) -> Tensor:
        """The actions themselves."""
        return self.kept_actions.tensor

    def copy(self) -> Frames:
        """One that can be changed without changing this one."""
        # The input is the same in every episode of a picture, and never written to.
        return Frames([self.kept[0], *(image.copy() for image in self.kept[1:])], self.kept_actions.copy())

    def let_go(self) -> None:
        """Take little memory until they are looked at again."""
        for kept in (*self.kept, self.kept_actions):
            kept.let_go()


class Preview:
    """The frames of an episode, brought from one list of edits to another, cell by cell.

    Args:
        recorded: the frames without edits. It is not changed.
        names: the operations.
        space: of the values that agents work on.
    """

    def __init__(self, recorded: Frames, names: Sequence[str], space: str) -> None:
        self.recorded, self.actions, self.space = recorded, ActionSet(names), space
        self.frames = recorded.copy()
        self.height, self.width = recorded.images[0].shape[-2:]
        self.margin = self.actions.reach * len(recorded.actions)
        self.edits: tuple[Edit, ...] = ()
        self.todo: set[tuple[int, int]] = set()
        """Row and column of the cells that may not yet show what `edits` ask for."""

    def become(self, frames: Frames) -> None:
        """Show other frames, to which nothing is left to do. What it shares with the recorded one is copied."""
        recorded = self.recorded
        later = zip(frames.kept[1:], recorded.kept[1:], strict=True)
        images = [frames.kept[0], *(mine.copy() if mine is theirs else mine for mine, theirs in later)]
        shared = frames.kept_actions is recorded.kept_actions
        self.frames = Frames(images, frames.kept_actions.copy() if shared else frames.kept_actions)
        self.todo.clear()

    def change(self, edits: Sequence[Edit], dirty: Sequence[Edit]) -> None:
        """Show these edits from now on; ``dirty`` are those among them, and among the former ones, that differ."""
        self.edits = tuple(edits)
        rows, columns = -(-self.height // CELL), -(-self.width // CELL)
        for edit in dirty:
            box = Box(0, 0, self.width, self.height) if edit.mask is None else bounds(edit.mask.numpy())
            if box is None:
                continue
            for row in range(box.y0 // CELL, min(rows, -(-box.y1 // CELL))):
                for column in range(box.x0 // CELL, min(columns, -(-box.x1 // CELL))):
                    if edit.mask is None or bool(self._cell(row, column).crop(edit.mask).any()):
                        self.todo.add((row, column))

    def work(self, seconds: float, near: tuple[float, float] | None = None) -> list[Box]:
        """Do cells, at least one, until the time is up, those near a point first; returns what has changed."""
        changed, until = self._forget(), time.perf_counter() + seconds
        while self.todo:
            x, y = near if near is not None else (self.width / 2, self.height / 2)
            cell = min(self.todo, key=lambda at: ((at[0] + 0.5) * CELL - y) ** 2 + ((at[1] + 0.5) * CELL - x) ** 2)
            self.todo.discard(cell)
            box = self._do(self._cell(*cell))
            if box is not None:
                changed.append(box)
            if time.perf_counter() > until:
                break
        return changed

    def _forget(self) -> list[Box]:
        """If no edit is left near what is to do, it is as it was recorded."""
        if not self.todo:
            return []
        cells = [self._cell(*at) for at in self.todo]
        x0, y0 = min(cell.x0 for cell in cells), min(cell.y0 for cell in cells)
        whole = Box(x0, y0, max(cell.x1 for cell in cells), max(cell.y1 for cell in cells))
        whole = whole.grown(self.margin, self.width, self.height)
        if local(self.edits, whole.grown(self.margin, self.width, self.height)):
            return []
        pairs = zip(self.frames.images[1:], self.recorded.images[1:], strict=True)
        for shown, recorded in (*pairs, (self.frames.actions, self.recorded.actions)):
            whole.crop(shown)[:] = whole.crop(recorded)
        self.todo.clear()
        return [whole]

    def _cell(self, row: int, column: int) -> Box:
        x0, y0 = column * CELL, row * CELL
        return Box(x0, y0, min(self.width, x0 + CELL), min(self.height, y0 + CELL))

    def _do(self, cell: Box) -> Box | None:
        """Bring one cell, and what its changes reach, to the edits. Cells that are still to do keep their actions.

        At step t nothing changes that is farther than t reaches from the cell, and computing it needs one reach more.
        """
        window = cell.grown(self.margin, self.width, self.height)
        settled = np.ones((window.y1 - window.y0, window.x1 - window.x0), bool)
        for row, column in self.todo:
            other = self._cell(row, column)
            if other.meets(window):
                part = other.grown(0, window.x1, window.y1).within(window)
                settled[max(0, part.y0) : part.y1, max(0, part.x0) : part.x1] = False
        editor = Editor(local(self.edits, window), self.actions.names, *settled.shape, self.space)
        allowed = torch.from_numpy(settled)
        before, changed, everything = window.crop(self.frames.images[0]), None, np.zeros_like(settled)
        for t, recorded in enumerate(self.recorded.actions):
            shown = window.crop(self.frames.actions[t])
            wanted = editor.replay(t, before, window.crop(recorded))
            wanted = torch.where(allowed, wanted, shown)
            touched = np.logical_or.reduce((wanted != shown)[0].numpy())
            if changed is not None and changed.any():
                side = 2 * self.actions.reach + 1
                touched |= cv2.dilate(changed.view(np.uint8), np.ones((side, side), np.uint8)).view(bool)
            known = window.crop(self.frames.images[t + 1])
            after = self._step(before, wanted, known, touched) if touched.any() else known
            changed = (
                np.logical_or.reduce((after != known)[0].numpy()) if after is not known else np.zeros_like(settled)
            )
            everything |= changed | touched
            before = after.clone() if after is known else after
            window.crop(self.frames.actions[t])[:] = wanted
            known[:] = after
        box = bounds(everything)
        return (
            None
            if box is None
            else Box(*(box.x0 + window.x0, box.y0 + window.y0, box.x1 + window.x0, box.y1 + window.y0))
        )

    def _step(self, before: Image, wanted: Tensor, known: Image, touched: npt.NDArray[np.bool_]) -> Image:
        """``known`` with the touched pixels computed again: each operation only around the pixels that take it."""
        after, height, width = known.clone(), *touched.shape
        chosen = wanted[0].numpy()
        for index in np.unique(chosen[:, touched]):
            takers = (chosen == index) & touched
            box = bounds(np.logical_or.reduce(takers))
            if box is None:
                continue
            around = box.grown(self.actions.actions[int(index)].reach, width, height)
            outcome = box.within(around).crop(self.actions.outcome(int(index), around.crop(before).contiguous()))
            part = box.crop(after)
            part[:] = torch.where(box.crop(torch.from_numpy(takers))[None], outcome, part)
        return after


def local(edits: Sequence[Edit], window: Box) -> list[Edit]:
    """The edits that meet a window, in its coordinates. Their regions are masks, or the whole picture."""
    found = []
    for edit in edits:
        if edit.mask is None:
            found.append(edit)
        elif bool(window.crop(edit.mask).any()):
            found.append(replace(edit, mask=window.crop(edit.mask)))
    return found


def as_mask(edit: Edit, height: int, width: int) -> Edit:
    """The same edit with its region as a mask, unless that is the whole picture.

    Raises:
        UsageError: the region does not fit the picture.
    """
    everywhere = edit.box is None and edit.polygon is None and edit.mask is None
    if everywhere and edit.share == 1.0:  # a feather needs an edge
        return edit
    return replace(edit, box=None, polygon=None, mask=edit.region(height, width), share=1.0, feather=0)


def difference(old: Sequence[Edit], new: Sequence[Edit]) -> list[Edit]:
    """The edits by which the results of two lists may differ: all between their common beginning and common end."""
    start = 0
    while start < min(len(old), len(new)) and old[start] is new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] is new[-1 - end]:
        end += 1
    return [*old[start : len(old) - end], *new[start : len(new) - end]]
