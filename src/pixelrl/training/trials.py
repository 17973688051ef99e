"""Learning from trials: regions try another operation, and what comes of it is compared with what would have been.

An episode is played twice with the same noise: greedily, and with one step at which regions try something else, for
their scores are pushed by smooth random numbers. From there on both go on greedily. The environment is deterministic,
so the difference of the returns of both is what the trial was worth, without any noise of the picture or of other
steps: a baseline that is exact for the episode at hand. It is shared among neighbours, as by the paper's reward map
convolution, since maps that can be read are made by regions, and no agent alone can change what a region is worth ::

    A = conv_w(sum_k gamma^k (r_{t+k} - price * (1 - v_{t+k})) of the trial - the same without it)

Where an agent chose b in the trial and a without it, the difference of the two scores is raised if A is positive, and
lowered if it is negative: ``|A| log(1 + exp(-sign(A) (s_b - s_a)))``, whose gradient at equal scores is that of
REINFORCE (Williams 1992) for these two actions, and which vanishes where the better one is preferred already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pixelrl.errors import UsageError
from pixelrl.policies import Memory, Policy
from pixelrl.policies.judge import CellLogits
from pixelrl.rl.choice import best
from pixelrl.rl.returns import n_step_returns
from pixelrl.rollout import Decision, Step
from pixelrl.tasks import Episode, Task
from pixelrl.training.learner import ConsultingLearner, Game, Logged, Played
from pixelrl.training.parallel import ALONE, Processes
from pixelrl.training.recipe import LearnerSettings
from pixelrl.types import ActionMap, AgentMap, Image, Logits, Outcomes

GRIDS = (3, 6, 12)
"""Regions that try something together lie on a grid of so many a side."""
PUSHES = (0.1, 1.2)
"""Standard deviations, from which to which, of what is added to scores where regions try something."""
SHARP = 4.0
"""By this factor scores are sharpened before they are compared."""
AROUND = 5
"""Scores are compared in the mean over so many cells squared: what a region does follows from all of its scores."""


class _Rest(NamedTuple):
    """The return of every agent from a step on, and what all these steps brought."""

    returns: AgentMap
    played: list[Played]


class TrialLearner(ConsultingLearner):
    """Learns from trials of a policy whose agents consult.

    Raises:
        UsageError: another policy, or settings that this learner cannot follow.
    """

    def __init__(self, policy: Policy, task: Task, settings: LearnerSettings, processes: Processes = ALONE) -> None:
        super().__init__(policy, task, settings, processes)
        if settings.t_max < task.num_steps:
            raise UsageError(
                f"learner.t_max = {settings.t_max} is less than an episode of {task.num_steps} steps, which "
                '"trials" learns from as a whole; raise it'
            )

    def updates(self, start: Episode, generator: torch.Generator) -> Iterator[tuple[Tensor, Logged]]:
        """Play one episode, with and without a trial, and yield its loss. No gradient reaches the encoder."""
        with torch.no_grad():
            memory, game = self.perceived(start, generator)
            when, image = self._when(generator, memory), start.image
            for _ in range(when):
                before, memory = self._greedy(image, memory)
                image = before.after
            outcomes = self.actions.outcomes(image)
        scores, distances = self.consulting.scores(image, outcomes, memory)
        with torch.no_grad():
            pushed = scores + self._push(scores, generator)
            memory = self.policy(image, outcomes, memory).memory
            later = self.task.num_steps - 1 - when if self.settings.gamma else 0  # else the future counts nothing
            step, chosen = self._step(image, outcomes, self.consulting.settled(scores, distances))
            other, tried = self._step(image, outcomes, self.consulting.settled(pushed, distances))
            without, with_trial = (self._rest(each, memory, later, game) for each in (step, other))
            advantage = self._shared(with_trial.returns - without.returns)
            # All pictures count alike, whatever their price is.
            advantage = advantage / advantage.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-3)
        loss = compared(scores, *(each[..., ::2, ::2] for each in (chosen, tried, advantage)))
        shares = [each.dissent for each in without.played if each.dissent is not None]
        logged = {
            "policy_loss": loss.item(),
            "reward": torch.stack([each.earned for each in without.played]).sum(0).mean().item(),
            "dissent": torch.stack(shares).mean().item(),
            "tried": (chosen != tried).float().mean().item(),
        }
        yield loss, logged

    def _when(self, generator: torch.Generator, memory: Memory) -> int:
        return int(torch.randint(self.task.num_steps, (), generator=generator, device=memory.device))

    def _step(self, image: Image, outcomes: Outcomes, logits: Logits) -> tuple[Step, ActionMap]:
        actions = best(logits)
        return Step(image, outcomes, Decision(actions, logits), self.actions.select(outcomes, actions)), actions

    def _greedy(self, image: Image, memory: Memory) -> tuple[Step, Memory]:
        outcomes = self.actions.outcomes(image)
        logits, _, after = self.policy(image, outcomes, memory)
        return self._step(image, outcomes, logits)[0], after

    def _rest(self, step: Step, memory: Memory, later: int, game: Game) -> _Rest:
        """What a step brings, and ``later`` greedy ones after it."""
        played = [game.played(step)]
        for _ in range(later):
            step, memory = self._greedy(step.after, memory)
            played.append(game.played(step))
        return _Rest(n_step_returns([each.reward for each in played], None, self.settings.gamma)[0], played)

    def _push(self, scores: CellLogits, generator: torch.Generator) -> CellLogits:
        b, n, g, h, w = scores.shape
        world, device = self.processes.world, scores.device
        side = GRIDS[int(torch.randint(len(GRIDS), (), generator=generator, device=device))]
        coarse = torch.randn((world * b, n * g, side, side), generator=generator, device=device)
        low, high = PUSHES
        strength = low + (high - low) * torch.rand((world * b, 1, 1, 1), generator=generator, device=device)
        coarse = self.processes.mine(coarse * strength)
        return F.interpolate(coarse, (h, w), mode="bilinear", align_corners=True).view_as(scores)

    def _shared(self, returns: AgentMap) -> AgentMap:
        """The mean over an agent's square of ``learner.sharing`` pixels a side."""
        side = self.settings.sharing
        return F.avg_pool2d(returns, side, stride=1, padding=side // 2, count_include_pad=False)


def compared(scores: CellLogits, chosen: Tensor, tried: Tensor, advantage: AgentMap) -> Tensor:
    """The loss: scores are to prefer what was worth more, as much as it was worth.

    Args:
        scores: ``(b, n, g, h / 2, w / 2)``, with a gradient.
        chosen: the actions without the trial, ``(b, g, h / 2, w / 2)``, those of one pixel of each cell.
        tried: those of the trial.
        advantage: of the trial, a constant.
    """
    changed = (chosen != tried).float()
    margin = scores.gather(1, tried.long()[:, None])[:, 0] - scores.gather(1, chosen.long()[:, None])[:, 0]
    around = _mean(margin * changed) / _mean(changed).clamp_min(1e-6)
    losses = F.softplus(-SHARP * advantage.sign() * around) / SHARP
    return (advantage.abs() * changed * losses).mean()


def _mean(planes: AgentMap) -> AgentMap:
    return F.avg_pool2d(planes, AROUND, stride=1, padding=AROUND // 2)
