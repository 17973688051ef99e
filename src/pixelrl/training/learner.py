"""The learner: from the steps of an episode to a loss (n-step advantage actor-critic, one agent per pixel)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.errors import UsageError
from pixelrl.policies import Policy
from pixelrl.rl.losses import all_action_policy_loss, entropy, expected_reward, sampled_policy_loss, value_loss
from pixelrl.rl.returns import n_step_returns
from pixelrl.rollout import Actor, Step, episode
from pixelrl.tasks import Episode, Task
from pixelrl.training.parallel import ALONE, Processes
from pixelrl.training.recipe import LearnerSettings
from pixelrl.training.sampling import sampler
from pixelrl.types import AgentMap

Logged = dict[str, float]

LEAST_ERROR = 1 / 255**2
"""Added to a mean square before its logarithm, so that an image which is all but right does not outweigh the others."""
LOGGED = ("estimate_loss", "policy_loss", "value_loss", "entropy", "reward")
"""Every name that a learner logs something by."""


class Learner:
    """Losses of one policy on one task.

    Args:
        policy: in training mode.
        task: gives rewards and the number of steps.
        settings: see `LearnerSettings`.
        processes: which part of the batch the episodes are that this learner is given. A loss is the mean over that
            part; all parts are equal, so the mean of the processes' gradients is the gradient for the whole batch.
    """

    def __init__(self, policy: Policy, task: Task, settings: LearnerSettings, processes: Processes = ALONE) -> None:
        self.policy, self.task, self.settings, self.processes = policy, task, settings, processes
        self.actions = ActionSet(task.action_names)

    def estimate_loss(self, start: Episode) -> tuple[Tensor, Logged]:
        """The distance of the policy's estimate to the target, in the norm of the settings: the supervised warm start.

        Raises:
            UsageError: the policy forms no estimate.
        """
        memory = self.policy.perceive(start.image, start.condition)
        estimate = self.policy.estimate(memory, start.image)
        if estimate is None:
            raise UsageError("this policy forms no estimate; set warm_start.iterations to 0")
        weight = start.reward_scale[:, :, None, None]
        miss = self.task.compared(estimate) - self.task.compared(start.target)
        if self.settings.estimate_norm == 0:
            # A tenth makes gradients about as large as the other norms' are, for which recipes limit them.
            loss = 0.1 * (miss.square().mean((1, 2, 3)) + LEAST_ERROR).log().mean()
        elif self.settings.estimate_norm == 2:
            loss = 255 * (weight * miss.square()).mean()
        else:  # the reward scale weighs squares, so its root weighs distances
            loss = (weight.sqrt() * miss.abs()).mean()
        return loss, {"estimate_loss": loss.item()}

    def updates(self, start: Episode, generator: torch.Generator) -> Iterator[tuple[Tensor, Logged]]:
        """Play one episode with sampled actions, and yield a loss every ``t_max`` steps.

        A legible policy is told another legibility for every image, drawn at random.

        The caller backpropagates each loss (and may change the weights) before asking for the next.
        """
        memory = self.policy.perceive(start.image, start.condition)
        if self.policy.legible:
            memory = self.policy.told(memory, self._draw(len(start.image), generator))
        actor = Actor(self.policy, sampler(generator, self.processes), memory)
        steps: list[Step] = []
        for t, step in enumerate(episode(start.image, self.actions, actor, self.task.num_steps)):
            steps.append(step)
            ended = t + 1 == self.task.num_steps
            if ended or len(steps) == self.settings.t_max:
                loss, logged = self._segment_loss(steps, start, None if ended else self._bootstrap(step, actor))
                yield loss, logged
                # The weights have changed: nothing of the graph before this point may be used again.
                steps, actor.memory = [], actor.memory.detach()

    def _draw(self, images: int, generator: torch.Generator) -> Float[Tensor, " b"]:
        """A legibility for every image, evenly distributed from 0 to 1."""
        # As in `sampler`, every process draws for the whole batch.
        whole = torch.rand(self.processes.world * images, generator=generator, device=generator.device)
        return self.processes.mine(whole)

    def _bootstrap(self, last: Step, actor: Actor) -> AgentMap:
        """V of the state after the last step, a constant."""
        with torch.no_grad():
            value: AgentMap | None = self.policy(last.after, self.actions.outcomes(last.after), actor.memory).value
        assert value is not None, "a policy in training mode gives values"
        return value

    def _segment_loss(self, steps: list[Step], start: Episode, bootstrap: AgentMap | None) -> tuple[Tensor, Logged]:
        settings = self.settings
        scale = start.reward_scale[:, :, None, None]
        rewards = [
            _per_agent(scale * self.task.step_reward(start, s.before, s.after), s.decision.actions.shape[1])
            for s in steps
        ]
        returns = n_step_returns(rewards, bootstrap, settings.gamma, self.policy.reward_kernel)
        policy_loss = value_part = entropy_part = torch.zeros((), device=scale.device)
        for t, step in enumerate(steps):
            actions, logits, value = step.decision
            assert logits is not None, "a step of a policy has logits"
            assert value is not None, "a policy in training mode gives values"
            if settings.gradient == "sampled":
                policy_loss = policy_loss + sampled_policy_loss(logits, actions, returns[t] - value)
            else:
                all_rewards = self.task.action_rewards(start, step.before, step.outcomes)
                all_rewards = _per_agent(scale[:, None] * all_rewards, logits.shape[2])
                future = None
                if settings.gamma and (t + 1 < len(steps) or bootstrap is not None):
                    future = (returns[t] - rewards[t]) - (value - expected_reward(logits, all_rewards))
                policy_loss = policy_loss + all_action_policy_loss(logits, actions, all_rewards, future)
            value_part = value_part + value_loss(value, returns[t])
            entropy_part = entropy_part + entropy(logits).mean()
        loss = policy_loss + settings.vf_coef * value_part - settings.ent_coef * entropy_part
        return loss, {
            "policy_loss": policy_loss.item(),
            "value_loss": value_part.item() / len(steps),
            "entropy": entropy_part.item() / len(steps),
            "reward": torch.stack(rewards).sum(0).mean().item(),
        }


def _per_agent(rewards: Tensor, num_agents: int) -> Tensor:
    """Average over the channels ``(..., c, h, w)`` where one agent acts on all of them."""
    return rewards.mean(-3, keepdim=True) if num_agents == 1 else rewards
