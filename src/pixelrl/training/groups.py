"""Learning from a reward that a picture shares: several episodes of each picture, and agents that explore together.

If every agent of a picture tries something else, its score says nothing of any of them. So while training explores, the
picture is cut into squares of a random side, and the agents of a square act as one: their common logits are the mean of
their own, and one action is drawn. From squares as large as the picture it is learned what helps at all, from smaller
ones where. The gradient is that of this joint policy, without bias: ``log pi`` is that of the squares' choices. When
the policy is used, every agent follows its own logits.

Few actions and steps can also be *tried exhaustively*: every sequence of them, each action taken by the whole picture.
Then the best policy of those whose agents all act alike is known for each picture, and is learned by its cross-entropy.
That is a quick start, after which regions learn what the whole picture cannot do alike.

An episode is compared with the other episodes of its picture: the baseline is their mean return (leave-one-out, as in
Kool, van Hoof and Welling, "Buy 4 REINFORCE samples, get a baseline for free!", 2019). Pictures that everything helps,
or nothing, do not count then, and the critic need not know how hard a picture is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from pixelrl.errors import UsageError
from pixelrl.policies import Policy
from pixelrl.rl.losses import entropy, sampled_policy_loss, value_loss
from pixelrl.rl.returns import n_step_returns
from pixelrl.rollout import Decision, episode
from pixelrl.tasks import Episode, Task
from pixelrl.training.learner import Learner, Logged, per_agent
from pixelrl.training.parallel import ALONE, Processes
from pixelrl.training.recipe import LearnerSettings
from pixelrl.types import ActionMap, Image, Logits, Outcomes

MOST_SEQUENCES = 1000
"""Sequences of actions that are tried exhaustively, at most."""


@final
class Regions:
    """A picture's squares, whose agents act as one.

    Args:
        height: of the picture, in pixels.
        width: likewise.
        side: of a square. Those at the border are cut off.
        top: how far the first row of squares begins above the picture, in pixels.
        left: likewise, the first column.
        device: where it is used.
    """

    def __init__(self, height: int, width: int, side: int, top: int, left: int, device: torch.device) -> None:
        self.rows = (torch.arange(height, device=device) + top) // side
        self.columns = (torch.arange(width, device=device) + left) // side
        down, across = (F.one_hot(which).float() for which in (self.rows, self.columns))
        self._down, self._across = (down / down.sum(0)).T, across / across.sum(0)

    def mean(self, maps: Float[Tensor, "*any h w"]) -> Float[Tensor, "*any rows columns"]:
        """The mean over each square, with a gradient."""
        return self._down @ maps @ self._across

    def spread(self, values: Shaped[Tensor, "*any rows columns"]) -> Shaped[Tensor, "*any h w"]:
        """A value for each square, given to its pixels."""
        return values[..., self.rows, :][..., self.columns]


def random_regions(size: tuple[int, int], sides: tuple[int, int], generator: torch.Generator) -> Regions:
    """Squares of a side that is drawn from a range, as likely small as large (by its logarithm), somewhere."""
    low, high = sides
    draws = torch.rand(3, generator=generator, device=generator.device).tolist()
    side = round(math.exp(math.log(low) + draws[0] * math.log(high / low)))
    return Regions(*size, side, int(draws[1] * side), int(draws[2] * side), generator.device)


@final
class GroupLearner(Learner):
    """A `Learner` by whole episodes, of which several are played of each picture, with agents that explore together.

    Args:
        policy: in training mode.
        task: gives rewards and the number of steps.
        settings: with ``gradient`` sampled.
        processes: as for `Learner`.

    Raises:
        UsageError: ``t_max`` cuts episodes, there is too much to try or no temperature for it, or the policy is told
            how plain its maps shall be.
    """

    def __init__(self, policy: Policy, task: Task, settings: LearnerSettings, processes: Processes = ALONE) -> None:
        super().__init__(policy, task, settings, processes)
        if policy.legible:
            raise UsageError("a policy that is told how plain its maps shall be learns without rollouts and region")
        if settings.t_max < task.num_steps:
            raise UsageError(
                f"learner.rollouts and learner.region need whole episodes; set learner.t_max = {task.num_steps} or more"
            )
        if settings.exhaustive and not settings.ent_coef:
            raise UsageError("learner.exhaustive needs a learner.ent_coef above 0, the temperature of the best policy")
        if settings.exhaustive and len(self.actions) ** task.num_steps > MOST_SEQUENCES:
            raise UsageError(
                f"{len(self.actions)} actions in {task.num_steps} steps are too many to try every sequence of them; "
                "set learner.exhaustive = 0, or take fewer"
            )

    def updates(self, start: Episode, generator: torch.Generator) -> Iterator[tuple[Tensor, Logged]]:
        """Play the episodes of every picture and yield their loss, or those of trying everything."""
        if self.settings.exhaustive:
            yield from self._of_everything(start)
        else:
            yield self._of_rollouts(start, generator)

    def _of_rollouts(self, start: Episode, generator: torch.Generator) -> tuple[Tensor, Logged]:
        settings, times = self.settings, self.settings.rollouts
        memory = self.policy.perceive(start.image, start.condition)
        start = repeated(start, times)
        chosen: list[tuple[Regions, Logits, ActionMap]] = []

        def act(t: int, image: Image, outcomes: Outcomes) -> Decision:
            nonlocal memory
            regions = random_regions((image.shape[-2], image.shape[-1]), settings.region, generator)
            if t == 0:  # the episodes of a picture begin alike, so it is looked at once
                memory = self.policy.survey(image[::times], memory)
                logits, value, memory = self.policy(image[::times], outcomes[::times], memory)
                common, value, memory = (
                    each.repeat_interleave(times, 0) for each in (regions.mean(logits), value, memory)
                )
            else:
                memory = self.policy.survey(image, memory)
                logits, value, memory = self.policy(image, outcomes, memory)
                common = regions.mean(logits)
            whole = (self.processes.world * len(common), *common.shape[1:])
            uniform = self.processes.mine(torch.rand(whole, generator=generator, device=logits.device))
            actions = (common - uniform.clamp_min(1e-20).log().neg().log()).argmax(1).to(torch.uint8)
            chosen.append((regions, common, actions))
            return Decision(regions.spread(actions), None, value)

        steps = list(episode(start.image, self.actions, act, self.task.num_steps))
        scale = start.reward_scale[:, :, None, None]
        earned = self.task.episode_rewards(start, [start.image, *(step.after for step in steps)])
        rewards = [per_agent(scale * reward, self.policy.num_agents) for reward in earned]
        returns = n_step_returns(rewards, None, settings.gamma, self.policy.reward_kernel)
        policy_loss = value_part = entropy_part = torch.zeros((), device=scale.device)
        for (regions, common, actions), step, future in zip(chosen, steps, returns, strict=True):
            value = step.decision.value
            assert value is not None, "a policy in training mode gives values"
            baseline = value if times == 1 else mean_of_others(future, times)
            advantages = regions.mean((future - baseline).detach())
            policy_loss = policy_loss + sampled_policy_loss(common, actions, advantages)
            value_part = value_part + value_loss(value, future.expand_as(value))
            entropy_part = entropy_part + entropy(common).mean()
        loss = policy_loss + settings.vf_coef * value_part - settings.ent_coef * entropy_part
        return loss, {
            "policy_loss": policy_loss.item(),
            "value_loss": value_part.item() / len(steps),
            "entropy": entropy_part.item() / len(steps),
            "reward": torch.stack(rewards).sum(0).mean().item(),
        }

    def _of_everything(self, start: Episode) -> Iterator[tuple[Tensor, Logged]]:
        """The loss of a policy whose agents all act alike, as often as the settings say.

        What is best is known: ``q = softmax(R / ent_coef)`` over the sequences has the largest mean return plus
        ``ent_coef`` times the entropy. The loss is the cross-entropy ``-sum q log pi`` (Norouzi et al., "Reward
        augmented maximum likelihood", 2016), whose gradient does not vanish where the policy is certain and wrong.
        """
        n, steps, b = len(self.actions), self.task.num_steps, len(start.image)
        images, outcomes = [start.image], []
        for _ in range(steps):  # b, b n, b n^2, ... images
            outcomes.append(self.actions.outcomes(images[-1]))
            images.append(outcomes[-1].flatten(0, 1))
        alike = [image.repeat_interleave(n ** (steps - t), 0) for t, image in enumerate(images)]
        rewards = self.task.episode_rewards(repeated(start, n**steps), alike)
        earned = torch.stack([self.settings.gamma**t * reward.mean((1, 2, 3)) for t, reward in enumerate(rewards)])
        earned = start.reward_scale * earned.sum(0).view(b, -1)
        best = (earned / self.settings.ent_coef).softmax(1)
        for _ in range(self.settings.exhaustive):
            memory = self.policy.perceive(start.image, start.condition)
            log_pi, entropy_part = earned.new_zeros(b), earned.new_zeros(())
            for image, outcome in zip(images, outcomes, strict=False):
                memory = self.policy.survey(image, memory)
                logits, _, memory = self.policy(image, outcome, memory)
                common = logits.mean((2, 3, 4)).log_softmax(1)
                log_pi = (log_pi[:, None] + common).flatten()
                entropy_part = entropy_part - (common.exp() * common).sum(1).mean()
                memory = memory.repeat_interleave(n, 0)
            loss = -(best * log_pi.view(b, -1)).sum(1).mean()
            logged = {
                "policy_loss": loss.item(),
                "entropy": entropy_part.item() / steps,
                "reward": (log_pi.exp().view(b, -1) * earned).sum(1).mean().item(),
            }
            yield loss, logged


def repeated(start: Episode, times: int) -> Episode:
    """Every picture of a batch so many times, one after the other."""
    return replace(
        start, **{field.name: getattr(start, field.name).repeat_interleave(times, 0) for field in fields(start)}
    )


def mean_of_others(returns: Tensor, group: int) -> Tensor:
    """For each of a batch, the mean over the others of its group; groups of ``group`` > 1 follow each other."""
    grouped = returns.view(-1, group, *returns.shape[1:])
    return ((grouped.sum(1, keepdim=True) - grouped) / (group - 1)).view_as(returns)
