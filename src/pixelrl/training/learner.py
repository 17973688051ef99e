"""The learner: from the steps of an episode to a loss (n-step advantage actor-critic, one agent per pixel).

What an agent plays for, at step t: its reward ``r_t``, which is what the step really earned it (`Task.step_reward`
times `Episode.reward_scale`) less ``price`` times the share of its neighbours that acted otherwise
(`pixelrl.rl.neighbours`). Its return is ``R_t = r_t + G_t``, of which ``G_t = gamma conv_w(R_{t+1})`` is the future
(`pixelrl.rl.returns`).

*Sampled*, the paper's A2C: the policy follows ``log pi(a_t) (R_t - V_t)``, and the value V learns the return R.

*All-action*: the policy follows ``sum_a pi(a) q(a) + log pi(a_t) (G_t - F_t)``, where ``q(a)`` is what the action a
would earn at once (`Task.joint_rewards`), less the price times the share of neighbours that are expected to act
otherwise. Only the future is sampled, so its baseline F must be the expectation of the future alone, and that is what
the value learns here. (V less the expectation of q, for a V that learned R, is the same only if q(a) is the mean of r_t
given a; but a task may judge an action by what it brings if others take it, too.) As F says nothing of r, one more
action is drawn where an update ends before the episode: ``r + F`` of it stands for the return of the rest.

The kernel w of reward map convolution learns, as in the paper, to make the return predictable: here from
``(F_t + sum_a pi(a) q(a) - R_t)^2 / 2``, in which all but w is a constant. The future alone would not do: w = 0 makes
that predictable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.errors import UsageError
from pixelrl.policies import Memory, Policy, PolicyOutput
from pixelrl.policies.consulting import Consulting
from pixelrl.rl.losses import all_action_policy_loss, entropy, expected_reward, sampled_policy_loss, value_loss
from pixelrl.rl.neighbours import dissent, expected_dissent
from pixelrl.rl.returns import n_step_returns
from pixelrl.rollout import Actor, Decision, Step, episode
from pixelrl.tasks import Episode, Task
from pixelrl.training.parallel import ALONE, Processes
from pixelrl.training.recipe import LearnerSettings
from pixelrl.training.sampling import sampler
from pixelrl.types import AgentMap, Logits

Logged = dict[str, float]

LEAST_LEGIBILITY = 1e-3
"""In training; at 0 nothing is to be learned, for a price of 0."""

LEAST_ERROR = 1 / 255**2
"""Added to a mean square before its logarithm, so that an image which is all but right does not outweigh the others."""
LOGGED = ("estimate_loss", "policy_loss", "value_loss", "entropy", "reward", "dissent", "tried")
"""Every name that a learner logs something by."""


class Learner:
    """Losses of one policy on one task.

    Args:
        policy: in training mode.
        task: gives rewards and the number of steps.
        settings: see `LearnerSettings`.
        processes: which part of the batch the episodes are that this learner is given. A loss is the mean over that
            part; all parts are equal, so the mean of the processes' gradients is the gradient for the whole batch.

    Raises:
        UsageError: settings that this policy cannot follow.
    """

    def __init__(self, policy: Policy, task: Task, settings: LearnerSettings, processes: Processes = ALONE) -> None:
        self.policy, self.task, self.settings, self.processes = policy, task, settings, processes
        self.actions = ActionSet(task.action_names)
        if not policy.has_values and settings.gradient not in ("trials", "search"):
            raise UsageError(
                f'learner.gradient = {settings.gradient!r} needs values, which this policy has not; set "search"'
            )
        if policy.legible and settings.disagreement:
            raise UsageError(
                f"learner.disagreement = {settings.disagreement} cannot be used: this policy is told how plain its "
                "maps shall be, and has a price of its own; leave it out"
            )
        if settings.encoder_gradient:
            if policy.encoder_gradient is None:
                raise UsageError(
                    f"learner.encoder_gradient = {settings.encoder_gradient} cannot be used: this policy has no "
                    "encoder that learns from an estimate alone; leave it out"
                )
            policy.encoder_gradient = settings.encoder_gradient
        if settings.gradient != "sampled" and not task.pays_actions:
            raise UsageError(
                f"this task does not know what every action would earn, which learner.gradient = {settings.gradient!r} "
                'needs; set learner.gradient = "sampled"'
            )

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

        A legible policy is told another legibility for every image, drawn at random. The caller backpropagates each
        loss (and may change the weights) before asking for the next.
        """
        memory, game = self.begun(start, self._perceived(start), generator)
        actor = Actor(self.policy, sampler(generator, self.processes), memory)
        steps: list[Step] = []
        for t, step in enumerate(episode(start.image, self.actions, actor, self.task.num_steps)):
            steps.append(step)
            ended = t + 1 == self.task.num_steps
            if ended or len(steps) == self.settings.t_max:
                rest = None if ended else self._bootstrap(step, actor, game, generator)
                yield self._segment_loss(steps, game, rest)
                # The weights have changed: nothing of the graph before this point may be used again.
                steps, actor.memory = [], actor.memory.detach()

    def _perceived(self, start: Episode) -> Memory:
        """What the policy sees as the episode begins, without a graph through what no gradient is to reach."""
        kept = [] if self.policy.encoder_gradient else [w for w in self.policy.estimating() if w.requires_grad]
        for weight in kept:
            weight.requires_grad_(False)
        memory: Memory = self.policy.perceive(start.image, start.condition)
        for weight in kept:
            weight.requires_grad_(True)
        return memory

    def begun(self, start: Episode, memory: Memory, generator: torch.Generator) -> tuple[Memory, Game]:
        """The memory of a policy that has been told how plain its maps shall be, and the game that it plays."""
        scale = start.reward_scale[:, :, None, None]
        if not self.policy.legible:
            return memory, Game(self.task, start, scale, self.settings.disagreement)
        # As in `sampler`, every process draws for the whole batch.
        whole = torch.rand(self.processes.world * len(memory), generator=generator, device=memory.device)
        legibility = self.processes.mine(whole).clamp_min(LEAST_LEGIBILITY)
        price = self.policy.price(legibility, memory, start.image).detach()
        return self.policy.told(memory, legibility), Game(self.task, start, 1 / price, 1.0)

    def _bootstrap(self, last: Step, actor: Actor, game: Game, generator: torch.Generator) -> AgentMap:
        """The return to be expected after the last step, a constant."""
        with torch.no_grad():
            outcomes = self.actions.outcomes(last.after)
            memory = self.policy.survey(last.after, actor.memory)
            output: PolicyOutput = self.policy(last.after, outcomes, memory)
            value = output.value
            assert value is not None, "a policy in training mode gives values"
            if self.settings.gradient == "sampled":
                return value
            # The next step will draw again, by other weights, so the generator stays as it is.
            actions = sampler(generator.clone_state(), self.processes)(output.logits)
            after = self.actions.select(outcomes, actions)
            return game.played(Step(last.after, outcomes, Decision(actions), after)).reward + value

    def _segment_loss(self, steps: list[Step], game: Game, bootstrap: AgentMap | None) -> tuple[Tensor, Logged]:
        settings, kernel = self.settings, self.policy.reward_kernel
        played = [game.played(step) for step in steps]
        rewards = [each.reward for each in played]
        returns = n_step_returns(rewards, bootstrap, settings.gamma, kernel)
        policy_loss = value_part = kernel_part = entropy_part = torch.zeros((), device=rewards[0].device)
        for t, step in enumerate(steps):
            actions, logits, value = step.decision
            assert logits is not None, "a step of a policy has logits"
            assert value is not None, "a policy in training mode gives values"
            if settings.gradient == "sampled":
                policy_loss = policy_loss + sampled_policy_loss(logits, actions, returns[t] - value)
                value_part = value_part + value_loss(value, returns[t])
            else:
                all_rewards, future = game.of_all_actions(step), (returns[t] - rewards[t]).detach()
                more = settings.gamma and (t + 1 < len(steps) or bootstrap is not None)
                policy_loss = policy_loss + all_action_policy_loss(
                    logits, actions, all_rewards, future - value if more else None
                )
                value_part = value_part + value_loss(value, future)
                if kernel is not None:
                    expected = (value + expected_reward(logits, all_rewards)).detach()
                    kernel_part = kernel_part + value_loss(expected, returns[t])
            entropy_part = entropy_part + entropy(logits).mean()
        loss = policy_loss + settings.vf_coef * (value_part + kernel_part) - settings.ent_coef * entropy_part
        return loss, self.logged(policy_loss, value_part, entropy_part, played)

    def logged(self, policy_loss: Tensor, value_part: Tensor, entropy_part: Tensor, played: list[Played]) -> Logged:
        """What is logged of an update, from the sums over its steps."""
        steps = len(played)
        logged = {
            "policy_loss": policy_loss.item(),
            "value_loss": value_part.item() / steps,
            "entropy": entropy_part.item() / steps,
            "reward": torch.stack([each.earned for each in played]).sum(0).mean().item(),
        }
        shares = [each.dissent for each in played if each.dissent is not None]
        return logged | ({"dissent": torch.stack(shares).mean().item()} if shares else {})


class ConsultingLearner(Learner):
    """What those learners share that teach a policy whose agents consult. Its encoder is left as it is.

    Raises:
        UsageError: another policy.
    """

    def __init__(self, policy: Policy, task: Task, settings: LearnerSettings, processes: Processes = ALONE) -> None:
        super().__init__(policy, task, settings, processes)
        if not isinstance(policy, Consulting):
            raise UsageError(f'learner.gradient = "{settings.gradient}" is for policies of the kind "consulting" only')
        self.consulting = policy

    def perceived(self, start: Episode, generator: torch.Generator) -> tuple[Memory, Game]:
        """What the policy remembers as an episode begins, and the game that it plays, towards what the settings say."""
        memory, game = self.begun(start, self.policy.perceive(start.image, start.condition), generator)
        if self.settings.towards == "estimate":
            game.start = replace(start, target=self.consulting.estimate(memory, start.image))
        return memory, game


class Played(NamedTuple):
    """What a step brought every agent: its reward, of which it earned so much in the task, and the share of its
    neighbours that acted otherwise, None if that costs nothing."""

    reward: AgentMap
    earned: AgentMap
    dissent: AgentMap | None


class Game:
    """What steps of one episode earn the agents.

    Args:
        task: gives the rewards.
        start: of the episode.
        scale: what the task's rewards are multiplied by, ``(b, 1, ...)``.
        price: what it costs an agent if all its neighbours act otherwise.
    """

    def __init__(self, task: Task, start: Episode, scale: Tensor, price: float) -> None:
        self.task, self.start, self.scale, self.price = task, start, scale, price

    def played(self, step: Step) -> Played:
        """What the step really brought."""
        actions = step.decision.actions
        earned = per_agent(self.scale * self.task.step_reward(self.start, step.before, step.after), actions.shape[1])
        if not self.price:
            return Played(earned, earned, None)
        share = dissent(actions)
        return Played(earned - self.price * share, earned, share)

    def of_all_actions(self, step: Step, votes: Logits | None = None) -> Logits:
        """What every action would earn every agent at once.

        Args:
            step: with logits.
            votes: the shares of an agent's neighbours that choose each action; None for their expectation.
        """
        logits = step.decision.logits
        assert logits is not None, "a step of a policy has logits"
        rewards = self.task.joint_rewards(self.start, step.before, step.outcomes, step.after)
        earned = per_agent(self.scale[:, None] * rewards, logits.shape[2])
        if not self.price:
            return earned
        return earned - self.price * (expected_dissent(logits) if votes is None else 1 - votes)


def per_agent(rewards: Tensor, num_agents: int) -> Tensor:
    """Average over the channels ``(..., c, h, w)`` where one agent acts on all of them."""
    return rewards.mean(-3, keepdim=True) if num_agents == 1 else rewards
