"""Run a policy on an image of any size in bounded memory.

Each tile is computed with a halo of at least the policy's reach and only its core is kept. Where the halo meets the
image's border it stops there, so the network's own padding acts exactly as it does on the whole image.

The convolution library may choose another order of summation for another size, which depends on the machine: the last
bits of the logits may then differ in tiles, and with them the choice between actions that are equal to within rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from pixelrl.policies.base import Memory, Policy
from pixelrl.types import ActionMap, Condition, Image, Logits, Outcomes


class Tile(NamedTuple):
    """Start and stop in pixels of a tile's core and of the core with its halo, along one axis."""

    start: int
    stop: int
    halo_start: int
    halo_stop: int


def tiles(length: int, side: int, reach: int, alignment: int) -> Iterator[Tile]:
    """Cut one axis into tiles whose starts, halos included, are multiples of ``alignment``."""
    side = max(alignment, side // alignment * alignment)
    halo = -(-reach // alignment) * alignment
    for start in range(0, length, side):
        stop = min(length, start + side)
        yield Tile(start, stop, max(0, start - halo), min(length, start + side + halo))


_LEAST_PIXELS = 2560
"""In a tile with its halo, unless the image has less.

PyTorch's CPU convolutions leave single inputs of up to 20480 values to another library, which sums in another order.
The layer with the fewest values that this changes has 128 channels at a quarter of the resolution: 8 a pixel.
"""


def _windows(policy: Policy, image: Image, side: int) -> Iterator[tuple[Tile, Tile]]:
    height, width = image.shape[-2:]
    down, right = (max(policy.reach, -(-_LEAST_PIXELS // max(1, across))) for across in (width, height))
    for rows in tiles(height, side, down, policy.alignment):
        for columns in tiles(width, side, right, policy.alignment):
            yield rows, columns


def number_of_tiles(policy: Policy, image: Image, side: int) -> int:
    """How many tiles of ``side`` pixels an image is cut into."""
    return sum(1 for _ in _windows(policy, image, side))


def _outer(tile: Tile, stride: int) -> slice:
    return slice(tile.halo_start // stride, -(-tile.halo_stop // stride))


def _inner(tile: Tile, stride: int) -> slice:
    """Where the core lies inside the tile's own result."""
    offset = tile.halo_start // stride
    return slice(tile.start // stride - offset, -(-tile.stop // stride) - offset)


def _core(tile: Tile, stride: int) -> slice:
    return slice(tile.start // stride, -(-tile.stop // stride))


def tiled_perceive(
    policy: Policy, image: Image, condition: Condition, side: int, after_tile: Callable[[], object] = lambda: None
) -> Memory:
    """`Policy.perceive` in tiles of ``side`` pixels; ``after_tile`` is called after each."""
    s = policy.stride
    planes = condition.expand(-1, -1, *image.shape[-2:])
    memory: Memory | None = None
    for rows, columns in _windows(policy, image, side):
        window = (..., _outer(rows, 1), _outer(columns, 1))
        part = policy.perceive(image[window], planes[window])
        if memory is None:
            height, width = (-(-n // s) for n in image.shape[-2:])
            memory = part.new_empty((*part.shape[:2], height, width))
        core = part[..., _inner(rows, s), _inner(columns, s)]
        memory[..., _core(rows, s), _core(columns, s)] = core
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

    def here(self, rows: Tile, columns: Tile) -> bool:
        """Whether nobody did anything that this tile can see."""
        down, right = (slice(max(0, t.halo_start - self.margin), t.halo_stop + self.margin) for t in (rows, columns))
        return bool((self.actions[..., down, right] == self.nothing).all())


def tiled_forward(
    policy: Policy,
    choose: Callable[[Logits], ActionMap],
    image: Image,
    outcomes: Outcomes,
    memory: Memory,
    side: int,
    after_tile: Callable[[], object] = lambda: None,
    rest: Rest | None = None,
) -> tuple[ActionMap, Memory]:
    """`Policy.forward` and the choice of actions in tiles: no tensor of logits of the whole image is ever held.

    ``after_tile`` is called after each. Tiles that ``rest`` are not looked at.
    """
    s = policy.stride
    chosen: ActionMap | None = None
    after = torch.empty_like(memory)
    for rows, columns in _windows(policy, image, side):
        window = (..., _outer(rows, 1), _outer(columns, 1))
        part = memory[..., _outer(rows, s), _outer(columns, s)]
        if rest is not None and rest.here(rows, columns):
            remembered, picked = policy.rested(part), rest.actions[window]
        else:
            logits, _, remembered = policy(image[window], outcomes[window], part)
            picked = choose(logits)
        after[..., _core(rows, s), _core(columns, s)] = remembered[..., _inner(rows, s), _inner(columns, s)]
        picked = picked[..., _inner(rows, 1), _inner(columns, 1)]
        if chosen is None:
            chosen = picked.new_empty((*picked.shape[:2], *image.shape[-2:]))
        chosen[..., _core(rows, 1), _core(columns, 1)] = picked
        after_tile()
    if chosen is None:
        raise ValueError(f"cannot act on an image of shape {tuple(image.shape)}: it has no pixels")
    return chosen, after
