"""What is seen in samples of a huge picture: who works on its blocks, and what all of them are told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mode
from typing import TYPE_CHECKING

from pixelrl.cli.choosing import Chosen, chosen_for, doubts, estimated_names
from pixelrl.cli.common import LEFT_ALONE
from pixelrl.cli.one import told_in_words
from pixelrl.cli.options import Settings, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixelrl.agent import Agent
    from pixelrl.blocks.held import Held
    from pixelrl.blocks.plan import Layout, Once, Plan
    from pixelrl.tasks.conditioning import Given

Report = dict[str, object]

NO_TEXT = (
    "no text seen at the places that were looked at, so restore-color, which changes least where there is none; if "
    "there is some with hard edges elsewhere, --policy restore-gray is better at it"
)


@dataclass(frozen=True)
class Looked:
    """What is told once.

    Attributes:
        policy: its name or file.
        plan: for all blocks.
        report: what was seen and told, for ``--json``.
        words: the same in words that begin with a comma, or none.
        notes: what else there is to say.
    """

    policy: str
    plan: Plan
    report: Report
    words: str
    notes: list[str]


def look(work: Work, settings: Settings, held: Held, side: int) -> Looked:
    """Look at samples of a picture.

    Where the noise, its peak or the text says which policy a picture is given to, that of all channels is the one which
    most of them need, as the samples of each show.

    Args:
        work: the options.
        settings: the command's.
        held: the picture.
        side: of the blocks.

    Raises:
        InputError: no picture, or with values that are not finite.
        UsageError: a policy that must see the whole picture, or an option that does not fit.
    """
    from pixelrl.auto import shown_in_colour
    from pixelrl.blocks.plan import Layout, Once, looked_at, same_size

    array = Once(held.array)
    layout = Layout.of(array, held.axes, True)
    policy, own, notes = settings.policies[layout.together], list[Chosen](), list[str]()
    if settings.by_text and not layout.together:
        policy, note = _by_text(work, settings, array, layout)
        notes += note
    elif settings.by_noise or settings.by_peak:
        own = [_by_noise(work, settings, array, layout, channel) for channel in range(layout.channels)]
        policy = _most(own)
    elif layout.together and not settings.by_text:
        parts, scale = looked_at(array, layout, 0, work.white)
        policy = settings.policies[shown_in_colour(same_size(parts), scale)]
    agent = settings.agent(policy, work)
    layout = Layout.of(array, held.axes, agent.num_channels == 3)
    if len(own) == 1:  # of colours, which a policy for grey pictures takes one by one
        own *= layout.channels
    given = []
    for channel in range(layout.channels):
        parts, scale = looked_at(array, layout, channel, work.white)
        doubt = doubts(same_size(parts), scale, agent, settings)
        notes += [] if doubt is None or doubt in notes else [doubt]
        if not own:
            given.append(agent.conditioning.in_shares(settings.given, scale))
        else:  # what a channel of other noise is told by this policy is estimated
            given.append(own[channel].tell if own[channel].agent is agent else {})
    legibility = work.legibility if work.legibility is not None else (0.0 if agent.legible else None)
    white: Given = "auto" if work.white is None else work.white
    plan = agent.plan_blocks(array, held.axes, given, work.steps, white, legibility, side)
    return _said(settings, policy, agent, plan, own, notes)


def _by_text(work: Work, settings: Settings, array: Once, layout: Layout) -> tuple[str, list[str]]:
    """The policy for the text that is seen, and what there is to say of it if not all of the picture was looked at."""
    from pixelrl.auto import choose_by_text
    from pixelrl.blocks.plan import looked_at

    seen, looked = [], 0
    for channel in range(layout.channels):
        parts, scale = looked_at(array, layout, channel, work.white)
        looked += sum(part.size for part in parts)
        seen.append(choose_by_text(parts, scale, lambda name: settings.agent(name, work)))
    policy = mode(one.policy for one in seen)
    if looked == math.prod(layout.shape):
        return policy, []
    found = f"{policy} is taken by the text at the places that were looked at"
    return policy, [found if any(one.found for one in seen) else NO_TEXT]


def _by_noise(work: Work, settings: Settings, array: Once, layout: Layout, channel: int) -> Chosen:
    from pixelrl.blocks.plan import looked_at, same_size

    parts, scale = looked_at(array, layout, channel, work.white)
    return chosen_for([same_size(parts)], scale, scale, work, settings)


def _most(chosen: Sequence[Chosen]) -> str:
    """The policy that most channels need."""
    from pixelrl.auto import most

    choices = [one.choice for one in chosen if one.choice is not None]
    return most(choices).policy if choices else mode(one.agent.name for one in chosen)


def _said(
    settings: Settings, policy: str, agent: Agent, plan: Plan, own: Sequence[Chosen], notes: Sequence[str]
) -> Looked:
    given = settings.given
    channels: list[Report] = []
    said = list(notes)
    for number, told in enumerate(plan.told):
        name = f"channel {number}"
        peak = own[number].peak if own else None
        condition = agent.conditioning.in_units(told.values, told.scale) if peak is None else {"peak": peak}
        channels.append(
            {"name": name, "policy": agent.name, "condition": condition, **(own[number].seen if own else {})}
        )
        remark = told.remark or (LEFT_ALONE if told.idle and not given else None)
        if remark is not None:
            said.append(f"{name}: {remark}" if len(plan.told) > 1 else remark)
    conditions = [channel["condition"] for channel in channels]
    names = dict.fromkeys(name for condition in conditions for name in condition)  # type: ignore[attr-defined]
    unsaid = estimated_names(agent, names, given)
    report: Report = {"condition": conditions, "estimated": unsaid, "channels": channels, "notes": said}
    report |= own[0].seen if len(own) == 1 else {}
    return Looked(policy, plan, report, told_in_words(channels, unsaid), said)


def alike(before: Plan, plan: Plan) -> bool:
    """Whether two plans tell the same but for rounding: another processor may see the noise differently in its last
    bits."""
    if len(before.told) != len(plan.told):
        return False
    for one, other in zip(before.told, plan.told, strict=True):
        if (one.values.keys(), len(one.planes)) != (other.values.keys(), len(other.planes)):
            return False
        pairs = [(one.values[name], other.values[name]) for name in one.values]
        pairs += [*zip(one.planes, other.planes, strict=True), (one.black, other.black), (one.white, other.white)]
        if not all(math.isclose(*pair, rel_tol=1e-4, abs_tol=1e-7) for pair in pairs):
            return False
        # A space may hold numbers in brackets, which follow from those.
        if (one.space.partition("(")[0], one.idle) != (other.space.partition("(")[0], other.idle):
            return False
    return True
