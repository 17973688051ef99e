"""A policy on pictures that are larger than the memory, block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pixelrl.blocks.plan import SIDE, Plan, Target, Told, Values, check_side
from pixelrl.blocks.work import do_block, plan_blocks
from pixelrl.errors import UsageError
from pixelrl.imaging.color import to_space
from pixelrl.pictures.arrays import unpack
from pixelrl.pictures.scale import Scale, given_scale
from pixelrl.playing import TILE
from pixelrl.progress import Progress, part
from pixelrl.tasks.conditioning import Given
from pixelrl.telling import joined
from pixelrl.tensor_agent import TensorAgent


class BlockAgent(TensorAgent):
    """A policy with its actions, ready for tensors and for huge pictures; arguments and errors are `TensorAgent`'s."""

    def blocks(
        self,
        source: Values,
        target: Target,
        axes: str | None = None,
        condition: Given | Mapping[str, Given] = "auto",
        steps: int | None = None,
        white: Given | Scale = "auto",
        legibility: float | None = None,
        side: int = SIDE,
        halo: int | None = None,
        tile: int = TILE,
        progress: Progress | None = None,
    ) -> Plan:
        """Let every pixel act of a picture that is larger than the memory, block by block.

        A block is read with its surroundings, plays the whole episode, and is written once. Memory is needed for one
        block, whatever the size of the picture. The result is, bit for bit, that of the whole picture under the same
        condition, however it is cut. What depends on all of a picture is told once by samples: the level of the noise,
        alike for all pixels, and which values are black and white.

        Args:
            source: an array of uint8, uint16 or floats with ``shape``, ``dtype`` and slices: a memory map of numpy, an
                array of zarr.
            target: another one, of the same shape and dtype.
            axes: a letter for each axis: y and x; c for channels, which a policy for colour sees together if there are
                three, and each of which is a grey picture else; any other for depth, time and the like. If left out,
                "yx", "yxc" or "cyx" by the shape.
            condition: as for `pixelrl.Agent.__call__`; each number that is not given is estimated for each channel.
            steps: T; None for the number the policy was trained for.
            white: as there; told by samples if left out.
            legibility: as there. At 0 agents look least far, and less is computed twice.
            side: of the blocks in pixels, a multiple of 64.
            halo: how many pixels of the surroundings a block sees; None for as many as the very bits of the whole
                picture take. With fewer, pixels near the borders of blocks may differ.
            tile: side in pixels, a multiple of 64, of what the network sees at a time.
            progress: called with the share of the work that is done.

        Returns:
            The plan, which says what was told.

        Raises:
            InputError: not a picture, or with values that are not finite.
            UsageError: a policy that must see the whole picture, or an argument that does not fit.
        """
        plan = self.plan_blocks(source, axes, condition, steps, white, legibility, side, halo, tile)
        shape, dtype = plan.layout.shape, plan.layout.dtype
        alike = not isinstance(target, Tensor) and tuple(getattr(target, "shape", ())) == tuple(shape)
        if not alike or np.dtype(target.dtype).name != dtype:
            raise UsageError(f"the target must be of the source's shape {tuple(shape)} and dtype {dtype}")
        todo = plan.blocks
        for block in todo:
            do_block(self, plan, block, source, target, part(progress, block.number, len(todo)) or _quiet)
        return plan

    def plan_blocks(
        self,
        source: Values,
        axes: str | None = None,
        condition: Given | Mapping[str, Given] | Sequence[Mapping[str, float]] = "auto",
        steps: int | None = None,
        white: Given | Scale = "auto",
        legibility: float | None = None,
        side: int = SIDE,
        halo: int | None = None,
        tile: int = TILE,
    ) -> Plan:
        """What `blocks` does first: look at samples, and say how each block is to be done. Arguments are as there.

        ``condition`` may be one for each channel, too.

        Raises:
            InputError: not a picture, or with values that are not finite.
            UsageError: a policy that must see the whole picture, or an argument that does not fit.
        """
        num_steps, told = self._num_steps(steps), self.check_legibility(legibility)
        given = (
            [self._telling.given(one, {}) for one in condition]
            if isinstance(condition, Sequence) and not isinstance(condition, str)
            else self._telling.given(condition, {})
        )
        check_side(side), check_side(tile)
        return plan_blocks(self, source, axes, given, num_steps, told, given_scale(white), side, halo, tile)

    def tell_samples(
        self,
        parts: Sequence[npt.NDArray[Any]],
        whole: npt.NDArray[Any],
        given: Mapping[str, object],
        scale: Scale,
    ) -> Told:
        """What is told of a huge picture by samples of it, which are of one size, and stand below each other in one.

        Numbers are the median of the samples'. Of a condition that has a level for every pixel, the root mean square.
        """
        tensors = [unpack(each, scale).tensor.to(self.device) for each in parts]
        each = [self.conditioning.values(to_space(one, self.card.told_space), given)[0] for one in tensors]
        values = {name: median(one[name] for one in each) for name in each[0]}
        image = unpack(whole, scale).tensor.to(self.device)
        space = self.card.space_for(self.conditioning.space(image, values))
        planes = self._telling.planes(image, values)
        level = planes if planes.shape[-2:] == (1, 1) else planes.square().mean((-2, -1), keepdim=True).sqrt()
        remark = joined(scale.remark(whole.dtype.name), self.policy.remark(image), self._telling.beyond([values]))
        idle = bool(self._telling.still([values])[0])
        return Told(values, level.flatten().tolist(), space, scale.black, scale.white, idle, remark)


def _quiet(share: float) -> None:
    """Progress that nobody asked for."""
