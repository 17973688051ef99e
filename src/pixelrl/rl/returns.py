"""Returns: pure functions on lists of ``(b, g, h, w)`` maps, with the paper's reward map convolution (RMC)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pixelrl.types import AgentMap

Kernel = Float[Tensor, "1 1 k k"]

KERNEL_SIZE = 33


def identity_kernel(size: int = KERNEL_SIZE) -> Kernel:
    """The delta: with it, reward map convolution changes nothing. Training starts from it. ``size`` is odd."""
    kernel = torch.zeros(1, 1, size, size)
    kernel[..., size // 2, size // 2] = 1
    return kernel


def reward_map_convolution(returns: AgentMap, kernel: Kernel) -> AgentMap:
    """``conv_w(R)``: how much the neighbours' returns count for an agent's action. Zero beyond the border.

    Each of the g maps is convolved alone (cross-correlation, as in every deep-learning library).
    """
    planes = returns.flatten(0, 1)[:, None]
    return F.conv2d(planes, kernel, padding=kernel.shape[-1] // 2)[:, 0].view_as(returns)


def n_step_returns(
    rewards: Sequence[AgentMap],
    bootstrap: AgentMap | None,
    gamma: float,
    kernel: Kernel | None = None,
) -> list[AgentMap]:
    """``R_t = r_t + gamma * conv_w(R_{t+1})`` for the steps of one update.

    Args:
        rewards: r_t in order of time.
        bootstrap: V of the state after the last reward, or None where the episode has ended (R = 0).
        gamma: the discount factor.
        kernel: w; None is the identity, and nothing is convolved.

    Returns:
        R_t in order of time. They carry a gradient to ``kernel`` where it requires one.
    """
    future, returns = bootstrap, []
    for reward in reversed(rewards):
        if future is None:
            future = reward
        else:
            future = reward + gamma * (future if kernel is None else reward_map_convolution(future, kernel))
        returns.append(future)
    return returns[::-1]
