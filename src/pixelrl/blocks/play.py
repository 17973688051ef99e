"""An episode on one block of a huge picture, in bounded memory.

Unlike `pixelrl.rollout.rollout` it keeps no trajectory, holds outcomes of one tile at a time only, and computes at each
step no more of the surroundings than the steps that are left can see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.blocks.cut import Box, Reach
from pixelrl.policies import Policy
from pixelrl.rl.choice import best
from pixelrl.types import Condition, Image


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
    regions = [core.grown(reach.margin(step), window) for step in range(reach.steps + 1)]
    tiles = [region.parts(tile) for region in regions]
    total = sum(len(each) for each in tiles)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        tell(done / total)

    held = _Part(image, window)
    if not reach.steps:
        return held.crop(core).clone()
    memory: _Part | None = None
    for part in tiles[0]:
        seen = part.grown(reach.perceive, window)
        planes = condition.expand(-1, -1, seen.rows.length, seen.columns.length)
        memory = _filled(memory, policy.perceive(held.crop(seen), planes), seen, part, regions[0], policy.stride)
        count()
    assert memory is not None
    told = policy.default_legibility if legibility is None else legibility
    memory = _Part(policy.told(memory.values, told), memory.box)
    for known, region, parts in zip(regions, regions[1:], tiles[1:], strict=False):
        after: _Part | None = None
        remembered: _Part | None = None
        for part in parts:
            seen = part.grown(reach.forward, known)
            filtered = seen.grown(reach.operation, held.box)
            outcomes = actions.outcomes(held.crop(filtered))[(..., *seen.inside(filtered))]
            own = memory.crop(seen.coarser(policy.stride))
            logits, _, next_memory = policy(held.crop(seen), outcomes, own)
            result = actions.select(outcomes, best(logits))
            after = _filled(after, result, seen, part, region, 1)
            remembered = _filled(remembered, next_memory, seen, part, region, policy.stride)
            del logits, outcomes, next_memory, result
            count()
        assert after is not None
        assert remembered is not None
        held, memory = after, remembered
    return held.crop(core).clone()


def _filled(into: _Part | None, values: Tensor, seen: Box, part: Box, region: Box, stride: int) -> _Part:
    """Keep of the values of ``seen`` those of a part, at a stride, in what is held of a region; made if it is not."""
    seen, part, region = (box.coarser(stride) for box in (seen, part, region))
    if into is None:
        shape = (*values.shape[:2], region.rows.length, region.columns.length)
        into = _Part(values.new_empty(shape), region)
    into.crop(part).copy_(_Part(values, seen).crop(part))
    return into
