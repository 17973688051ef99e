"""The losses of actor-critic learning: pure functions, each a mean over batch, agents and pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelrl.types import ActionMap, AgentMap, Logits


def log_prob(logits: Logits, actions: ActionMap) -> AgentMap:
    """``log pi(a)`` of the actions taken."""
    log_pi = logits.log_softmax(1)
    return log_pi.gather(1, actions.long()[:, None])[:, 0]


def entropy(logits: Logits) -> AgentMap:
    """``-sum_a pi(a) log pi(a)`` in nats."""
    log_pi = logits.log_softmax(1)
    return -(log_pi.exp() * log_pi).sum(1)


def sampled_policy_loss(logits: Logits, actions: ActionMap, advantages: AgentMap) -> Tensor:
    """``-log pi(a) A``: the sampled policy gradient. The advantage is a constant, whatever graph it came with."""
    return -(log_prob(logits, actions) * advantages.detach()).mean()


def expected_reward(logits: Logits, rewards: Logits) -> AgentMap:
    """``sum_a pi(a) r(a)``: the exact expectation of the immediate reward, with its gradient to the logits.

    Args:
        logits: ``(b, n, g, h, w)``.
        rewards: the reward of every action, same shape; a constant.
    """
    return (logits.softmax(1) * rewards.detach()).sum(1)


def all_action_policy_loss(
    logits: Logits, actions: ActionMap, rewards: Logits, future_advantages: AgentMap | None
) -> Tensor:
    """``-(sum_a pi(a) q(a)) - log pi(a_t) A'``: exact for the immediate reward, sampled for the future.

    All-action policy gradient (Sutton et al. 2001; Allen et al. 2017, "mean actor-critic") where the reward of
    every action is known; only what comes after the step needs the sampled action.

    Args:
        logits: ``(b, n, g, h, w)``.
        actions: the actions taken.
        rewards: the immediate reward q of every action, same shape as ``logits``.
        future_advantages: A' = G_t - F_t, what came after the step less what was to be expected of it, or None at the
            last step, where no future is left.
    """
    loss = -expected_reward(logits, rewards).mean()
    if future_advantages is not None:
        loss = loss + sampled_policy_loss(logits, actions, future_advantages)
    return loss


def value_loss(values: AgentMap, returns: AgentMap) -> Tensor:
    """``(V - R)^2 / 2``. Not detached: this is what trains the kernel of reward map convolution."""
    return torch.square(values - returns).mean() / 2
