"""The one table of actions, and the ordered choice from it that a task makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.actions import arithmetic, blur, local, tone
from pixelrl.actions.base import Action
from pixelrl.errors import UsageError
from pixelrl.imaging.parts import strips, widened
from pixelrl.plugins import resolve
from pixelrl.threads import Team, worthwhile_threads
from pixelrl.types import Image, Outcomes

ROWS: tuple[Action, ...] = (
    *arithmetic.ROWS,
    *blur.ROWS,
    *local.ROWS,
    *tone.PAPER_TWELVE,
    *tone.LARGER,
    *tone.FOR_LOOKS,
)
ACTIONS: dict[str, Action] = {action.name: action for action in ROWS}
"""Every action by name."""

DO_NOTHING = "do nothing"
"""The name of the action that changes nothing."""

PAPER_NINE: tuple[str, ...] = (
    "grey level -1",
    "do nothing",
    "grey level +1",
    "Gaussian 0.5",
    "bilateral 0.1",
    "median",
    "Gaussian 1.5",
    "bilateral 1.0",
    "box",
)
"""The paper's actions for grey images (Furuta et al. 2020), in the order of its released weights' outputs."""

PAPER_THIRTEEN: tuple[str, ...] = ("do nothing", *(action.name for action in tone.PAPER_TWELVE))
"""The paper's actions for colour enhancement."""


@final
class ActionSet:
    """The actions of one task, in the order of the network's outputs.

    Args:
        names: keys of `ACTIONS`, or ``module:name`` for an `Action` of the user's own, which is called by that
            reference everywhere.
        may_import: whether the user's module may be imported now (`pixelrl.plugins`); a recipe's may, a file's not.

    Raises:
        UsageError: the list is empty, or names an action twice or one that is not there.
    """

    def __init__(self, names: Sequence[str], may_import: bool = False) -> None:
        if not names:
            raise UsageError(f"the list of actions is empty; known are {', '.join(ACTIONS)}")
        for i, name in enumerate(names):
            if name in names[:i]:
                raise UsageError(f"action {name!r} is listed twice; each action may appear once")
        self.names: tuple[str, ...] = tuple(names)
        self.actions: tuple[Action, ...] = tuple(find_action(name, may_import) for name in names)
        self.reach: int = max(action.reach for action in self.actions)
        self.nothing: int | None = names.index(DO_NOTHING) if DO_NOTHING in names else None
        """The index of the action that changes nothing, if it is among them."""

    def __len__(self) -> int:
        return len(self.actions)

    def __repr__(self) -> str:
        return f"ActionSet({list(self.names)})"

    def outcome(self, index: int, image: Image) -> Image:
        """The image (b c h w) after one action, on all pixels, in the image's type of numbers.

        Raises:
            UsageError: the operation returns something else than an image like the one that it is given.
        """
        result: object = self.actions[index].apply(image)
        if not isinstance(result, Tensor) or not _like(result, image):
            wanted = _said(image, image)
            raise UsageError(
                f"action {self.names[index]!r} returns {_said(result, image)} for images {wanted}; "
                f"it must return a tensor {wanted}"
            )
        return result.to(image.dtype)

    @torch.no_grad()
    def outcomes(self, image: Image) -> Outcomes:
        """The image after each action: (b c h w) to (b n c h w), without gradient; raises as `outcome`."""
        b, c, h, w = image.shape
        outcomes = image.new_empty((b, len(self), c, h, w))

        def carry_out(index: int) -> None:
            outcomes[:, index] = self.outcome(index, image)

        with Team(worthwhile_threads(image.numel()) if image.device.type == "cpu" else 1) as team:
            team.each(carry_out, range(len(self)))
        return outcomes

    @torch.no_grad()
    def carried_out(self, image: Image, action_map: Tensor) -> Image:
        """The image in which every agent's operation is carried out: `select` of `outcomes`, bit for bit.

        No more is computed and held than the outcomes of a strip of the image, of the actions that occur there.

        Args:
            image: ``(b, c, h, w)``.
            action_map: as for `select`.

        Raises:
            ValueError: another action map.
            UsageError: as `outcome`.
        """
        b, c, height, width = image.shape
        self._check_map(action_map, len(self), b, c, height, width)
        result = image.new_empty(image.shape)
        for rows in strips(height, b * width, self.reach):
            seen, maps = image[..., rows.seen, :].contiguous(), action_map[..., rows.own, :]
            chosen = image[..., rows.own, :]
            for index in torch.unique(maps).tolist():
                if index != self.nothing:
                    outcome = self.outcome(index, seen)[..., rows.inner, :]
                    chosen = torch.where(maps == index, outcome, chosen)
            result[..., rows.own, :] = chosen
        return result

    def outcomes_of(self, image: Image, rows: slice, columns: slice) -> Float[Tensor, "b n c _ _"]:
        """A window of `outcomes`, bit for bit, without computing all of them: ``(b, n, c, rows, columns)``."""
        height, width = image.shape[-2:]
        down, right = (
            widened(*part.indices(length)[:2], self.reach, length)
            for part, length in ((rows, height), (columns, width))
        )
        outcomes = self.outcomes(image[..., down.seen, right.seen].contiguous())
        return outcomes[..., down.inner, right.inner]

    def idle(self, action_map: Tensor) -> bool:
        """Whether every agent does nothing: then the next outcomes are these outcomes."""
        return self.nothing is not None and bool((action_map == self.nothing).all())

    @staticmethod
    def select(outcomes: Outcomes, action_map: Tensor) -> Image:
        """The image in which every agent's pixel is taken from the outcome of its action.

        ``outcomes`` is (b n c h w); ``action_map`` holds integers in 0..n-1 in shape (b g h w), where g is 1
        (one action for all channels of a pixel) or c. Returns (b c h w). Raises ``ValueError`` for any other
        action map.
        """
        b, n, c, h, w = outcomes.shape
        ActionSet._check_map(action_map, n, b, c, h, w)
        index = action_map.long().unsqueeze(1).expand(b, 1, c, h, w)
        return outcomes.gather(1, index).squeeze(1)

    @staticmethod
    def _check_map(action_map: Tensor, n: int, b: int, c: int, h: int, w: int) -> None:
        """Raise ValueError for what is no map of n actions on an image (b c h w)."""
        if action_map.dtype not in _INTEGERS:
            raise ValueError(f"an action map holds integers, not {action_map.dtype}")
        shape = tuple(action_map.shape)
        if shape not in ((b, 1, h, w), (b, c, h, w)):
            raise ValueError(f"an action map here is {(b, 1, h, w)} or {(b, c, h, w)}, not {shape}")
        # Looked at first because gathering out of range makes a GPU unusable for the rest of the process.
        if action_map.numel():
            low, high = (int(bound) for bound in action_map.aminmax())
            if low < 0 or high >= n:
                raise ValueError(f"an action map of {n} actions holds 0 to {n - 1}, not {low} to {high}")


def _like(result: Tensor, image: Image) -> bool:
    """Whether an operation's result is of the image's shape, on its device, and in floating point as it is."""
    return result.shape == image.shape and result.device == image.device and result.is_floating_point()


def _said(result: object, image: Image) -> str:
    """Shape and type of what an operation returned for an image, and the device where it is another one."""
    if not isinstance(result, Tensor):
        return "None" if result is None else f"an object of type {type(result).__name__}"
    place = f" on {result.device}" if result.device != image.device else ""
    return f"{tuple(result.shape)} of {str(result.dtype).removeprefix('torch.')}{place}"


def in_table_order(names: Sequence[str]) -> list[int]:
    """Indices of names in the order of `ACTIONS`, which keeps related ones together; a user's own come last."""
    place = {name: i for i, name in enumerate(ACTIONS)}
    return sorted(range(len(names)), key=lambda i: place.get(names[i], len(place)))


_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def find_action(name: str, may_import: bool = False) -> Action:
    """The action of a name in `ACTIONS`, or of ``module:name``; see `ActionSet`.

    Raises:
        UsageError: there is none.
    """

    def is_action(found: object) -> bool:
        return isinstance(found, Action)

    return resolve(name, ACTIONS, is_action, "a pixelrl.actions.Action", "action", may_import=may_import)
