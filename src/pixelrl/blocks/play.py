"""An episode on one block of a huge picture, in bounded memory.

Unlike `pixelrl.rollout.rollout` it keeps no trajectory, holds outcomes of one tile at a time only, and computes at each
step no more of the surroundings than the steps that are left can see.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.blocks.cut import Box, Reach
from pixelrl.policies import Policy
from pixelrl.types import Condition, Image

STRIP = 2**18
"""About how many pixels a step works on at a time where it sees no farther than a few rows.

So the outcomes of twenty actions take about 20 MB: larger pieces of memory are given back to the system each time and
come back as pages that must be zeroed, which takes longer than the operations.
"""


class _Part(NamedTuple):
    """What is held of a plane, and where that lies in the picture."""

    values: Tensor
    box: Box

    def crop(self, box: Box) -> Tensor:
        return self.values[(..., *box.inside(self.box))]


@torch.no_grad()
def play(
    policy: Policy,
    actions: ActionSet,
    image: Image,
    window: Box,
    core: Box,
    condition: Condition,
    reach: Reach,
    legibility: float | None,
    tile: int,
    tell: Callable[[float], object] = lambda share: None,
) -> Image:
    """Play a greedy episode on a window of a picture and return what becomes of its core.

    That is, bit for bit, what becomes of it on the whole picture if the window reaches `Reach.halo` beyond the core or
    to the picture's border. Where it does not, the window's border is taken for the picture's.

    Args:
        policy: in evaluation mode; it surveys nothing.
        actions: the action set that the policy was trained with.
        image: the window's values, ``(1, c, h, w)``.
        window: where it lies in the picture; it starts and ends at multiples of `pixelrl.blocks.cut.GRID` or at
            the picture's border.
        core: what is wanted of it.
        condition: ``(1, k, 1, 1)``.
        reach: of the episode.
        legibility: as for `pixelrl.rollout.rollout`.
        tile: side in pixels of what the network sees at a time, a multiple of that.
        tell: called with the share that is done, after every tile.
    """
    fine = math.lcm(policy.alignment, policy.stride)
    # Operations are carried out on columns of the grid, but rows are told exactly.
    regions = [core.grown(reach.margin(step), window, fine) for step in range(reach.steps + 1)]
    needed = core.grown(reach.margin(0), window, fine, fine)
    first = [needed] if policy.perceives_in_strips else needed.parts(tile, tile, fine)
    tiles = [_tiles(region, reach, tile, fine) for region in regions[1:]]
    total, done = sum(box.rows.length * box.columns.length for each in (first, *tiles) for box in each), 0

    def count(part: Box) -> None:
        nonlocal done
        done += part.rows.length * part.columns.length
        tell(done / total)

    held = _Part(image, window)
    if not reach.steps:
        return held.crop(core).clone()
    memory: _Part | None = None
    for part in first:
        seen = part.grown(reach.perceive, window, fine, fine)
        planes = condition.expand(-1, -1, seen.rows.length, seen.columns.length)
        memory = _filled(memory, policy.perceive(held.crop(seen), planes), seen, part, regions[0], policy.stride)
        count(part)
    assert memory is not None
    told = policy.default_legibility if legibility is None else legibility
    memory = _Part(policy.told(memory.values, told), memory.box)
    for known, region, parts in zip(regions, regions[1:], tiles, strict=False):
        after: _Part | None = None
        remembered: _Part | None = None
        for part in parts:
            seen = part.grown(reach.forward, known, fine)
            filtered = seen.grown(reach.operation, held.box, fine)
            outcomes = actions.outcomes(held.crop(filtered))[(..., *seen.inside(filtered))]
            own = memory.crop(seen.coarser(policy.stride))
            chosen, next_memory = policy.chosen(held.crop(seen), outcomes, own)
            result = actions.select(outcomes, chosen)
            after = _filled(after, result, seen, part, region, 1)
            remembered = _filled(remembered, next_memory, seen, part, region, policy.stride)
            del chosen, outcomes, next_memory, result
            count(part)
        assert after is not None
        assert remembered is not None
        held, memory = after, remembered
    return held.crop(core).clone()


def _tiles(region: Box, reach: Reach, tile: int, fine: int) -> list[Box]:
    """What a step works on at a time: strips of all columns, as nothing is computed twice beside them.

    Where much is seen around a pixel, strips would be high: then squares.
    """
    least = 8 * (reach.forward + reach.operation)
    rows = max(STRIP // region.columns.length, least) // fine * fine
    if rows * region.columns.length > 2 * STRIP:
        return region.parts(tile, tile, fine)
    return region.parts(max(rows, fine), region.columns.length, fine)


def _filled(into: _Part | None, values: Tensor, seen: Box, part: Box, region: Box, stride: int) -> _Part:
    """Keep of the values of ``seen`` those of a part, at a stride, in what is held of a region; made if it is not."""
    seen, part, region = (box.coarser(stride) for box in (seen, part, region))
    if into is None:
        shape = (*values.shape[:2], region.rows.length, region.columns.length)
        into = _Part(values.new_zeros(shape), region)
    into.crop(part).copy_(_Part(values, seen).crop(part))
    return into
