"""n-step returns and reward map convolution, against numbers worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pixelrl.rl.returns import identity_kernel, n_step_returns, reward_map_convolution


def one(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), float(value))


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[None, None, None]


def at(y: int, x: int) -> Tensor:
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[..., y, x] = 1
    return kernel


@pytest.mark.parametrize(
    ("bootstrap", "expected"),
    [
        (8.0, [3.75, 5.5, 7.0]),  # 3 + 8/2 = 7; 2 + 7/2 = 5.5; 1 + 5.5/2 = 3.75
        (0.0, [2.75, 3.5, 3.0]),
        (None, [2.75, 3.5, 3.0]),  # 3; 2 + 3/2 = 3.5; 1 + 3.5/2 = 2.75
    ],
)
def test_by_hand(bootstrap: float | None, expected: list[float]) -> None:
    future = None if bootstrap is None else one(bootstrap)
    returns = n_step_returns([one(1), one(2), one(3)], future, gamma=0.5)
    assert [r.item() for r in returns] == expected


def test_gamma_zero_leaves_the_rewards() -> None:
    rewards = [row(1, 2), row(3, 4)]
    for reward, value in zip(rewards, n_step_returns(rewards, row(9, 9), gamma=0.0), strict=True):
        assert torch.equal(reward, value)


def test_nothing_is_convolved_where_the_episode_ends() -> None:
    first, last = row(1, 1, 1), row(10, 20, 30)
    returns = n_step_returns([first, last], None, gamma=0.5, kernel=at(1, 2))
    assert torch.equal(returns[1], last)
    assert torch.equal(returns[0], row(1 + 10, 1 + 15, 1))  # every pixel takes its right neighbour's 10, 20, 30


def test_the_bootstrap_is_convolved() -> None:
    (value,) = n_step_returns([row(0, 0, 0)], row(2, 4, 6), gamma=0.5, kernel=at(1, 2))
    assert torch.equal(value, row(2, 3, 0))


def test_a_shifted_kernel_moves_the_return() -> None:
    returns = torch.arange(12.0).view(1, 1, 3, 4) + 1
    right = reward_map_convolution(returns, at(1, 2))
    assert torch.equal(right[..., :-1], returns[..., 1:])
    assert not right[..., -1].any()  # zero beyond the border
    below = reward_map_convolution(returns, at(2, 1))
    assert torch.equal(below[..., :-1, :], returns[..., 1:, :])
    assert not below[..., -1, :].any()


def test_every_map_is_convolved_alone(generator: torch.Generator) -> None:
    returns = torch.randn(2, 3, 5, 7, generator=generator)
    kernel = torch.randn(1, 1, 3, 3, generator=generator)
    together = reward_map_convolution(returns, kernel)
    for image in range(2):
        for agent in range(3):
            alone = reward_map_convolution(returns[image, agent][None, None], kernel)
            torch.testing.assert_close(together[image, agent], alone[0, 0])


def test_the_identity_kernel_changes_nothing(generator: torch.Generator) -> None:
    rewards = list(torch.randn(4, 2, 3, 9, 8, generator=generator))
    bootstrap = torch.randn(2, 3, 9, 8, generator=generator)
    plain = n_step_returns(rewards, bootstrap, 0.95)
    convolved = n_step_returns(rewards, bootstrap, 0.95, identity_kernel())
    for one_way, other in zip(plain, convolved, strict=True):
        torch.testing.assert_close(one_way, other, rtol=0, atol=1e-6)


def test_the_identity_kernel_is_the_papers_delta() -> None:
    kernel = identity_kernel()
    assert kernel.shape == (1, 1, 33, 33)
    assert kernel.sum() == 1
    assert kernel[0, 0, 16, 16] == 1


def test_the_gradient_reaches_the_kernel() -> None:
    kernel = identity_kernel(3).requires_grad_()
    first, last = n_step_returns([row(5, 5, 5), row(1, 2, 4)], None, gamma=0.5, kernel=kernel)
    assert not last.requires_grad
    first.sum().backward()
    # Of the sum over pixels: gamma times what each tap sees. Left: 1 + 2; centre: 1 + 2 + 4; right: 2 + 4.
    expected = torch.zeros(3, 3)
    expected[1] = torch.tensor([1.5, 3.5, 3.0])
    assert kernel.grad is not None
    torch.testing.assert_close(kernel.grad[0, 0], expected)
