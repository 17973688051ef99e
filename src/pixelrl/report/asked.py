"""What a policy thought while an episode was played: it is asked again, for traces hold no probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pixelrl.agent import TILE, Agent, load
from pixelrl.checkpoint import shipped_policies
from pixelrl.errors import InputError, UsageError
from pixelrl.imaging.color import to_space
from pixelrl.imaging.noise import covered
from pixelrl.policies import Policy
from pixelrl.policies.tiling import number_of_tiles, tiled_perceive
from pixelrl.progress import Progress, counter
from pixelrl.rollout import Actor, Decision, sparing_episode
from pixelrl.trace import Trace
from pixelrl.types import Condition, Image, Logits


def asked_again(
    trace: Trace,
    agent: Agent,
    read: Callable[[Logits], Tensor],
    tile: int | None = TILE,
    condition: Condition | None = None,
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """Ask a policy at every step of a recorded episode, while the recorded actions are done.

    A grey policy is asked on each channel, as when the episode was played: then ``b`` is c, otherwise 1.

    Args:
        trace: the episode.
        agent: the policy.
        read: what to make of the logits ``(b, n, g, h, w)``: ``(b, k, h, w)``; with tiles, integers.
        tile: as for `Agent`.
        condition: what the policy was told, as `condition_of` gives it; needed if the trace is a part of a picture, of
            which that is said. If left out, it is that of the trace.
        progress: called with the share of the work that is done, after every step and every tile.

    Yields:
        what ``read`` returned at each step.

    Raises:
        UsageError: the policy does not fit the trace.
    """
    policy, seen = fitting(trace, agent)
    trajectory = trace.trajectory()
    channels, (height, width) = trajectory.initial.shape[1], trajectory.initial.shape[-2:]
    image = to_space(trajectory.initial, trace.space).reshape(-1, seen, height, width).to(agent.device)
    recorded = trajectory.actions.to(agent.device)
    if seen == 1:
        recorded = recorded.expand(-1, -1, channels, -1, -1).reshape(-1, channels, 1, height, width)
    told = condition_of(trace, agent) if condition is None else condition
    told = told.to(agent.device).repeat_interleave(len(image), 0)
    side = None if tile is None or max(height, width) <= tile else tile
    with torch.no_grad():
        tiles = 1 if side is None else number_of_tiles(policy, image, side)
        count = counter(progress, (1 + trajectory.num_steps) * tiles)
        if side is None:
            memory = policy.perceive(image, told)
            count()
        else:
            memory = tiled_perceive(policy, image, told, side, count)
        # Of traces from before policies could be told: then they gave their best quality.
        memory = policy.told(memory, 0.0 if trace.legibility is None else trace.legibility)
        actor = Actor(policy, read, memory)
        answer = image

        def act(t: int, image: Image) -> Decision:
            nonlocal answer
            if side is None:
                answer = actor(t, image, agent.actions.outcomes(image)).actions
                count()
            else:
                answer = actor.in_tiles(image, agent.actions, side, count)[0].actions
            return Decision(recorded[t])

        for _ in sparing_episode(image, agent.actions, act, trajectory.num_steps):
            yield answer


def fitting(trace: Trace, agent: Agent) -> tuple[Policy, int]:
    """The policy as it was used on the picture of a trace, and how many channels it saw together.

    Raises:
        UsageError: the policy does not fit the trace: it cannot have made it.
    """
    if agent.card.action_names != trace.action_names:
        raise UsageError(f"the policy {agent.name} has other operations than the trace")
    if not agent.works_in(trace.space):
        made = f"the trace was made on {trace.space}, on which the policy {agent.name} does not work, or no longer"
        raise UsageError(f"{made}; run it again, or give the policy file of then")
    channels = 1 if trace.pixels.ndim == 2 else trace.pixels.shape[2]
    try:
        policy, seen = agent.policy_for(channels)
    except InputError as error:
        raise UsageError(str(error)) from error
    agents = policy.num_agents * (channels // seen)
    if agents != trace.actions.shape[1]:
        raise UsageError(f"the policy {agent.name} has {agents} agents per pixel, the trace {trace.actions.shape[1]}")
    _told(trace, agent)
    return policy, seen


def chooser(trace: Trace, agent: Agent | None = None) -> Agent:
    """The policy that can be asked what it thought in a recorded episode.

    Args:
        trace: the episode.
        agent: the policy that chose; None to look for the trace's policy among the shipped ones.

    Raises:
        UsageError: none is shipped of that name, it does not fit the trace (`fitting`), or it never learned to choose.
    """
    if agent is None:
        known = shipped_policies()
        if trace.policy not in known:
            names = ", ".join(known)
            raise UsageError(f"no policy named {trace.policy!r} is shipped ({names}); give its file as --policy")
        agent = load(trace.policy, "cpu")
    require_choosing(trace, agent)
    fitting(trace, agent)
    return agent


def require_choosing(trace: Trace, agent: Agent) -> None:
    """Refuse to ask a policy how sure it was in a recorded episode if reinforcement has not taught it to choose.

    Raises:
        UsageError: it never learned that, or not for the legibility that it was told.
    """
    if not agent.learned_to_choose(trace.legibility or 0.0):
        never = not agent.learned_to_choose(1.0)
        who = f"{agent.name} never learned to choose; it" if never else f"{agent.name}, told legibility 0,"
        raise UsageError(f"{who} takes what lies nearest to its estimate")


def condition_of(trace: Trace, agent: Agent) -> Condition:
    """What the policy was told in a recorded episode, as it saw it: ``(1, k, h, w)``, or ``(1, k, 1, 1)``.

    Raises:
        UsageError: the trace does not say it.
    """
    needed = _told(trace, agent)
    image = trace.trajectory().initial.to(agent.device)
    mask = None if trace.mask is None else torch.from_numpy(trace.mask)
    if trace.alpha is not None and mask is None:  # as `pixelrl.telling.Telling.conditions` has it
        image = covered(image, torch.from_numpy(trace.alpha != 0)[None, None].to(image))
    return agent.condition(image, {name: trace.condition[name] for name in needed}, mask)


def _told(trace: Trace, agent: Agent) -> list[str]:
    """The names of the numbers that the policy was told; UsageError if the trace lacks one, or the mask."""
    needed = [quantity.name for quantity in agent.conditioning.quantities]
    missing = [name for name in needed if name not in trace.condition]
    if missing or agent.takes_mask != (trace.mask is not None):
        what = " and ".join(missing) or "mask"
        raise UsageError(f"the trace does not say which {what} the policy {agent.name} was told")
    return needed
