"""From an agent and a huge picture to a plan, and from a plan to blocks that are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from pixelrl.actions import ActionSet
from pixelrl.blocks.cut import GRID, Reach
from pixelrl.blocks.plan import Block, Layout, Plan, Target, Told, Values, halo_of, looked_at, same_size
from pixelrl.blocks.play import play
from pixelrl.errors import UsageError
from pixelrl.imaging.color import outcome_in_srgb, to_space
from pixelrl.pictures.arrays import unpack
from pixelrl.pictures.scale import Scale
from pixelrl.policies import Policy
from pixelrl.precision import Precision
from pixelrl.types import Image


class Player(Protocol):
    """What blocks need of an agent (`pixelrl.agent.Agent`)."""

    actions: ActionSet
    device: torch.device

    @property
    def name(self) -> str:
        """Of the policy."""

    @property
    def precision(self) -> Precision:
        """In which numbers the encoder computes."""

    @property
    def num_channels(self) -> int:
        """Channels that the policy sees together."""

    @property
    def takes_mask(self) -> bool:
        """Whether it takes an object."""

    def policy_for(self, channels: int) -> tuple[Policy, int]:
        """The policy on so many channels, and how many of them it sees together."""

    def tell_samples(
        self, parts: Sequence[npt.NDArray[Any]], whole: npt.NDArray[Any], given: Mapping[str, object], scale: Scale
    ) -> Told:
        """What is told of a picture of which these are samples."""


def plan_blocks(
    agent: Player,
    source: Values,
    axes: str | None,
    given: Mapping[str, object] | Sequence[Mapping[str, object]],
    steps: int,
    legibility: float | None,
    white: Scale | float | None,
    side: int,
    halo: int | None,
    tile: int,
) -> Plan:
    """Look at samples of a huge picture, and say how all of its blocks are to be done.

    Args:
        agent: who works on them.
        source: the picture.
        axes: see `pixelrl.agent.Agent.blocks`.
        given: numbers of the condition, by name, for all channels or for each; the others are estimated.
        steps: T.
        legibility: what the policy is told.
        white: which values are black and white, or which value is white; told by the samples if left out.
        side: of the blocks.
        halo: pixels around a block, if not as many as are needed.
        tile: side of what the network sees at a time.

    Raises:
        InputError: no picture.
        UsageError: the policy cannot work in blocks, or an argument that does not fit.
    """
    layout = Layout.of(source, axes, agent.num_channels == 3)
    policy, _ = agent.policy_for(3 if layout.together else 1)
    _check(agent, policy)
    needed = Reach.of(policy, agent.actions, steps, legibility).halo
    around, exact = halo_of(needed, halo)
    if not isinstance(given, Mapping) and len(given) != layout.channels:
        raise UsageError(f"there are {len(given)} conditions for {layout.channels} channels; give one for each, or one")
    told = []
    for channel in range(layout.channels):
        parts, scale = looked_at(source, layout, channel, white)
        own = given if isinstance(given, Mapping) else given[channel]
        told.append(agent.tell_samples(parts, same_size(parts), own, scale))
    return Plan(agent.name, layout, steps, legibility, side, around, exact, tile, agent.precision, told)


def _check(agent: Player, policy: Policy) -> None:
    reason = None
    if agent.takes_mask:
        reason = "it works on an object that must be seen whole"
    elif policy.surveys:
        reason = "it must survey the whole picture before every step"
    elif GRID % policy.alignment or GRID % policy.stride:
        reason = f"its tiles begin at multiples of {policy.alignment}, which are no divisors of {GRID}"
    if reason is not None:
        raise UsageError(
            f"policy {agent.name} cannot work block by block: {reason}; give it a picture that fits into the memory"
        )


def do_block(
    agent: Player,
    plan: Plan,
    block: Block,
    source: Values,
    target: Target,
    tell: Callable[[float], object] = lambda share: None,
) -> None:
    """Read a block with what is around it, play the whole episode, and write its core.

    Raises:
        InputError: values that are not finite.
        UsageError: the agent computes in other numbers than the plan says, so that blocks would not fit together.
    """
    if agent.precision != plan.precision:
        raise UsageError(
            f"the blocks of this plan are computed in {plan.precision}, and policy {agent.name} was loaded for "
            f"{agent.precision}; give it precision={plan.precision!r}"
        )
    layout, core, window = plan.layout, block.core, plan.window(block)
    told = plan.told[layout.channel(block.place)]
    if told.idle or not plan.steps:
        layout.write(target, block.place, core, layout.read(source, block.place, core))
        return
    pixels = layout.read(source, block.place, window)
    inner = core.inside(window)
    came = unpack(np.ascontiguousarray(pixels[inner]), told.scale)
    image: Image = unpack(pixels, told.scale).tensor.to(agent.device)
    del pixels
    final = _played(agent, plan, told, to_space(image, told.space), block, tell)
    after = outcome_in_srgb(final, told.space, image[(..., *inner)].contiguous())
    layout.write(target, block.place, core, came.pack(after))


def _played(
    agent: Player, plan: Plan, told: Told, image: Image, block: Block, tell: Callable[[float], object]
) -> Image:
    policy, _ = agent.policy_for(image.shape[1])
    reach = Reach.of(policy, agent.actions, plan.steps, plan.legibility)
    condition = torch.tensor(told.planes, dtype=image.dtype, device=image.device)[None, :, None, None]
    window, core = plan.window(block), block.core
    return play(policy, agent.actions, image, window, core, condition, reach, plan.legibility, plan.tile, tell)
