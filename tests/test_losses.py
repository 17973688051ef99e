"""The losses, against numbers worked by hand and against exact enumeration of the actions."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pixelrl.rl.losses import (
    all_action_policy_loss,
    entropy,
    expected_reward,
    log_prob,
    sampled_policy_loss,
    value_loss,
)

SHAPE = (2, 3, 4, 5, 6)
"""b, n, g, h, w, all different: whatever is taken along a wrong axis does not fit."""


def two_actions() -> Tensor:
    """One agent whose probabilities are 3/4 and 1/4."""
    return torch.tensor([math.log(3), 0.0]).view(1, 2, 1, 1, 1).requires_grad_()


def one(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), float(value))


def chosen(action: int) -> Tensor:
    return torch.full((1, 1, 1, 1), action)


def test_log_prob_is_gathered_along_the_actions(generator: torch.Generator) -> None:
    logits = torch.randn(SHAPE, generator=generator)
    b, n, g, h, w = SHAPE
    actions = torch.randint(n, (b, g, h, w), generator=generator).to(torch.uint8)
    result = log_prob(logits, actions)
    assert result.shape == actions.shape
    for place in torch.cartesian_prod(*(torch.arange(size) for size in actions.shape)).tolist():
        image, agent, y, x = place
        scores = logits[image, :, agent, y, x].tolist()
        expected = scores[actions[image, agent, y, x]] - math.log(sum(math.exp(score) for score in scores))
        assert result[image, agent, y, x].item() == pytest.approx(expected, abs=1e-5)


def test_log_prob_by_hand() -> None:
    assert log_prob(two_actions(), chosen(0)).item() == pytest.approx(math.log(3 / 4))
    assert log_prob(two_actions(), chosen(1)).item() == pytest.approx(math.log(1 / 4))


def test_entropy_by_hand() -> None:
    assert entropy(two_actions()).item() == pytest.approx(0.5623351)  # 3/4 ln 4/3 + 1/4 ln 4
    uniform = entropy(torch.zeros(SHAPE))
    torch.testing.assert_close(uniform, torch.full((2, 4, 5, 6), math.log(3)))
    assert entropy(torch.tensor([1000.0, 0.0]).view(1, 2, 1, 1, 1)).item() == 0


def test_sampled_policy_loss_by_hand() -> None:
    logits = two_actions()
    loss = sampled_policy_loss(logits, chosen(1), one(2))
    assert loss.item() == pytest.approx(2 * math.log(4))
    loss.backward()
    # d(-A log pi_a)/d logits = A (pi - one_hot(a))
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx([1.5, -1.5])


def test_a_good_action_becomes_more_likely() -> None:
    logits = two_actions()
    sampled_policy_loss(logits, chosen(1), one(2)).backward()
    assert logits.grad is not None
    better = logits.detach() - 0.1 * logits.grad
    assert log_prob(better, chosen(1)) > log_prob(logits, chosen(1))


def test_the_advantage_is_a_constant() -> None:
    logits, value = two_actions(), one(3).requires_grad_()
    sampled_policy_loss(logits, chosen(0), one(5) - value).backward()
    assert value.grad is None
    all_action_policy_loss(logits, chosen(0), torch.ones(1, 2, 1, 1, 1), one(5) - value).backward()
    assert value.grad is None


def test_the_policy_losses_are_means(generator: torch.Generator) -> None:
    b, n, g, h, w = SHAPE
    logits = torch.randn(SHAPE, generator=generator)
    actions = torch.randint(n, (b, g, h, w), generator=generator)
    advantages = torch.randn(b, g, h, w, generator=generator)
    mean = sum((-log_prob(logits, actions) * advantages).flatten().tolist()) / (b * g * h * w)
    assert sampled_policy_loss(logits, actions, advantages).item() == pytest.approx(mean, rel=1e-4)


def test_expected_reward_by_hand() -> None:
    logits = two_actions()
    rewards = torch.tensor([1.0, 5.0]).view(1, 2, 1, 1, 1).requires_grad_()
    value = expected_reward(logits, rewards)
    assert value.item() == pytest.approx(3 / 4 * 1 + 1 / 4 * 5)
    value.sum().backward()
    assert rewards.grad is None
    # d sum(pi r)/d logit_k = pi_k (r_k - 2)
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx([-3 / 4, 3 / 4])


def expectation(logits: Tensor, loss: Callable[[Tensor, int], Tensor]) -> Tensor:
    """``sum_a pi(a) d loss(a) / d logits``: what sampling averages to, by trying every action of the one agent."""
    probabilities = logits.softmax(1).flatten()
    total = torch.zeros_like(logits)
    for action, probability in enumerate(probabilities.tolist()):
        free = logits.clone().requires_grad_()
        loss(free, action).backward()
        assert free.grad is not None
        total += probability * free.grad
    return total


@pytest.mark.parametrize("baseline", [0.0, 0.7, -20.0])
def test_all_action_gradient_is_the_expected_sampled_gradient(baseline: float, generator: torch.Generator) -> None:
    logits = torch.randn(1, 5, 1, 1, 1, generator=generator, dtype=torch.float64)
    rewards = torch.randn(1, 5, 1, 1, 1, generator=generator, dtype=torch.float64)
    sampled = expectation(logits, lambda z, a: sampled_policy_loss(z, chosen(a), rewards[:, a] - baseline))
    free = logits.clone().requires_grad_()
    all_action_policy_loss(free, chosen(3), rewards, None).backward()
    assert free.grad is not None
    assert free.grad.abs().max() > 0.01
    torch.testing.assert_close(free.grad, sampled)


@pytest.mark.parametrize("baseline", [0.0, 0.7, -20.0])
def test_with_a_future_the_expectation_is_the_same(baseline: float, generator: torch.Generator) -> None:
    """Two steps: what comes after an action depends on it, and only that part is sampled."""
    logits = torch.randn(1, 5, 1, 1, 1, generator=generator, dtype=torch.float64)
    rewards = torch.randn(1, 5, 1, 1, 1, generator=generator, dtype=torch.float64)
    futures = torch.randn(1, 5, 1, 1, 1, generator=generator, dtype=torch.float64)
    sampled = expectation(logits, lambda z, a: sampled_policy_loss(z, chosen(a), (rewards + futures)[:, a]))
    mixed = expectation(logits, lambda z, a: all_action_policy_loss(z, chosen(a), rewards, futures[:, a] - baseline))
    torch.testing.assert_close(mixed, sampled)


def test_value_loss_by_hand() -> None:
    value, target = one(3).requires_grad_(), one(1).requires_grad_()
    loss = value_loss(value, target)
    assert loss.item() == 2
    loss.backward()
    assert value.grad is not None
    assert target.grad is not None  # not detached: it trains the kernel of reward map convolution
    assert (value.grad.item(), target.grad.item()) == (2, -2)


def test_value_loss_is_a_mean() -> None:
    values = torch.tensor([1.0, 2.0, 0.0, 0.0]).view(1, 2, 1, 2)
    assert value_loss(values, torch.zeros(1, 2, 1, 2)).item() == pytest.approx(5 / 4 / 2)
