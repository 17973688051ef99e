"""Run a policy on an image of any size in bounded memory.

Each tile is computed with a halo of at least the policy's reach and only its core is kept. Where the halo meets the
image's border it stops there, so the network's own padding acts exactly as it does on the whole image.

The convolution library may choose another order of summation for another size, which depends on the machine: the last
bits of the logits may then differ in tiles, and with them the choice between actions that are equal to within rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.imaging.parts import Strip, widened
from pixelrl.policies.base import Memory, Policy
from pixelrl.types import ActionMap, Condition, Image, Logits, Outcomes


def tiles(length: int, side: int, reach: int, alignment: int) -> Iterator[Strip]:
    """Cut one axis into tiles whose starts, halos included, are multiples of ``alignment``."""
    side = max(alignment, side // alignment * alignment)
    for start in range(0, length, side):
        yield widened(start, min(length, start + side), reach, length, alignment)


def even_side(length: int, side: int) -> int:
    """The side of tiles of about equal length along an axis: as few as there may be, at most an eighth longer.

    What is left over at the end would be a tile of its own, the smaller the more of it computed for its surroundings.
    """
    number = max(1, -(-length // (side + side // 8)))
    return -(-length // number)


def _windows(policy: Policy, image: Image, side: int) -> Iterator[tuple[Strip, Strip]]:
    height, width = image.shape[-2:]
    down, right = (max(policy.reach, -(-policy.least_pixels // max(1, across))) for across in (width, height))
    step = policy.alignment
    # Up to the next multiple, or there would be one more.
    high, wide = (-(-even_side(length, side) // step) * step for length in (height, width))
    for rows in tiles(height, max(step, high), down, step):
        for columns in tiles(width, max(step, wide), right, step):
            yield rows, columns


_MOST_VALUES = 24_000_000
"""Of an image, up to which a step is done in tiles as large as those in which the policy looks at it."""


def side_of_steps(image: Image, side: int) -> int:
    """The side of the tiles of a step, which takes more memory than perceiving: for the outcomes of all actions.

    Smaller tiles compute more of their surroundings. They are taken where the image itself takes much memory.
    """
    values = image.shape[1] * image.shape[2] * image.shape[3]
    return side if image.shape[1] == 1 or values <= _MOST_VALUES else max(1, side * 5 // 8)


def number_of_tiles(policy: Policy, image: Image, side: int) -> int:
    """How many tiles of ``side`` pixels an image is cut into."""
    return sum(1 for _ in _windows(policy, image, side))


def tiled_perceive(
    policy: Policy, image: Image, condition: Condition, side: int, after_tile: Callable[[], object] = lambda: None
) -> Memory:
    """`Policy.perceive` in tiles of ``side`` pixels; ``after_tile`` is called after each."""
    s = policy.stride
    planes = condition.expand(-1, -1, *image.shape[-2:])
    memory: Memory | None = None
    for rows, columns in _windows(policy, image, side):
        window = (..., rows.seen, columns.seen)
        part = policy.perceive(image[window], planes[window])
        if memory is None:
            height, width = (-(-n // s) for n in image.shape[-2:])
            memory = part.new_empty((*part.shape[:2], height, width))
        down, right = rows.coarser(s), columns.coarser(s)
        memory[..., down.own, right.own] = part[..., down.inner, right.inner]
        after_tile()
    if memory is None:
        raise ValueError(f"cannot perceive an image of shape {tuple(image.shape)}: it has no pixels")
    return memory


class Rest(NamedTuple):
    """What was done at the step before, where that says what is done now (`Policy.rests`)."""

    actions: ActionMap
    nothing: int
    """The index of the action that changes nothing."""
    margin: int
    """How far in pixels the actions reach: what is seen of an outcome depends on that much more of the image."""

    def here(self, rows: Strip, columns: Strip) -> bool:
        """Whether nobody did anything that this tile can see."""
        down, right = (slice(max(0, t.halo_start - self.margin), t.halo_stop + self.margin) for t in (rows, columns))
        return bool((self.actions[..., down, right] == self.nothing).all())


Window = Callable[[slice, slice], Tensor]
"""Gives the outcomes of some rows and columns of an image (`pixelrl.actions.ActionSet.outcomes_of`)."""


def tiled_forward(
    policy: Policy,
    choose: Callable[[Logits], ActionMap] | None,
    image: Image,
    outcomes: Outcomes | Window,
    memory: Memory,
    side: int,
    after_tile: Callable[[], object] = lambda: None,
    rest: Rest | None = None,
    result: Image | None = None,
) -> tuple[ActionMap, Memory]:
    """`Policy.forward` and the choice of actions in tiles: no tensor of logits of the whole image is ever held.

    Args:
        policy: in evaluation mode.
        choose: how actions follow from logits; None for the likeliest, as `Policy.chosen` has them.
        image: ``(b, c, h, w)``.
        outcomes: of every action, or what gives those of a tile.
        memory: of the step. What the policy does not change in it is not copied: the next step's takes its place.
        side: of the tiles in pixels.
        after_tile: called after each.
        rest: tiles that rest are not looked at.
        result: if given, what comes of the choices is written there; of the image's shape.

    Returns:
        The actions, and the next step's memory.
    """
    s = policy.stride
    window_of = outcomes if callable(outcomes) else partial(_window, outcomes)
    chosen: ActionMap | None = None
    changed = 0 if policy.changes is None else memory.shape[1] - policy.changes
    after = torch.empty_like(memory[:, changed:])
    for rows, columns in _windows(policy, image, side):
        window, core, inner = (
            (..., rows.seen, columns.seen),
            (..., rows.own, columns.own),
            (..., rows.inner, columns.inner),
        )
        down, right = rows.coarser(s), columns.coarser(s)
        part = memory[..., down.seen, right.seen]
        if rest is not None and rest.here(rows, columns):
            remembered, picked, came = policy.rested(part), rest.actions[core], image[core]
        else:
            seen = window_of(*window[1:])
            chosen_here, remembered = asked(policy, choose, image[window], seen, part)
            picked, came = chosen_here[inner], None
            if result is not None:
                came = ActionSet.select(seen[inner], picked)
            del seen
        after[..., down.own, right.own] = remembered[:, changed:, down.inner, right.inner]
        if chosen is None:
            chosen = picked.new_empty((*picked.shape[:2], *image.shape[-2:]))
        chosen[core] = picked
        if result is not None and came is not None:
            result[core] = came
        after_tile()
    if chosen is None:
        raise ValueError(f"cannot act on an image of shape {tuple(image.shape)}: it has no pixels")
    if changed:
        memory[:, changed:] = after
    return chosen, memory if changed else after


def _window(outcomes: Outcomes, rows: slice, columns: slice) -> Float[Tensor, "b n c _ _"]:
    return outcomes[..., rows, columns]


def asked(
    policy: Policy,
    choose: Callable[[Logits], ActionMap] | None,
    image: Image,
    outcomes: Outcomes,
    memory: Memory,
) -> tuple[ActionMap, Memory]:
    """What is chosen by a policy's logits, or what it has `Policy.chosen`, and the memory after it."""
    if choose is None:
        return policy.chosen(image, outcomes, memory)
    logits, _, after = policy(image, outcomes, memory)
    return choose(logits), after
