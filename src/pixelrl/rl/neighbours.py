"""What an agent's neighbours do: the price on disagreement, which makes maps of actions plain enough to be read."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pixelrl.types import ActionMap, AgentMap, Logits

WINDOW = 5
"""Side in pixels of the square around an agent in which its neighbours are."""


def votes(shares: Logits, window: int = WINDOW) -> Logits:
    """The mean over an agent's neighbours: of their probabilities, or of their choices, for every action.

    The neighbours are the pixels of a square window around the agent that lie inside the picture, without the agent
    itself; agents of another channel are no neighbours. An agent without any neighbour gets 0.

    Args:
        shares: ``(b, n, g, h, w)``, a probability of each action, or 1 for the one that is taken and 0 for the others.
        window: its side, an odd number.

    Returns:
        The same shape.
    """
    planes = shares.flatten(1, 2)
    inside = torch.ones_like(planes[:1, :1])

    def total(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, window, stride=1, padding=window // 2, divisor_override=1)

    return ((total(planes) - planes) / (total(inside) - 1).clamp_min(1)).view_as(shares)


def choices(actions: ActionMap, num_actions: int) -> Logits:
    """Choices as shares: 1 for the action that is taken, 0 for the others, ``(b, n, g, h, w)``."""
    return F.one_hot(actions.long(), num_actions).movedim(-1, 1).float()


def dissent(actions: ActionMap, window: int = WINDOW) -> AgentMap:
    """The share of an agent's neighbours that act otherwise than it does; see `votes`."""
    h, w = actions.shape[-2:]
    radius, codes = window // 2, actions.int() + 1
    padded = F.pad(codes, (radius,) * 4)  # with zeros, which no action has
    alike, inside = torch.zeros_like(codes), torch.zeros_like(codes[:1, :1])
    within = F.pad(torch.ones_like(codes[:1, :1]), (radius,) * 4)
    for down in range(window):
        for right in range(window):
            here = (..., slice(down, down + h), slice(right, right + w))
            alike += padded[here] == codes
            inside += within[here]
    # The agent itself is counted in both.
    return 1 - (alike - 1) / (inside - 1).clamp_min(1)


def expected_dissent(logits: Logits, window: int = WINDOW) -> Logits:
    """``1 - v_a`` for every action a: the share of an agent's neighbours that are expected to act otherwise.

    v_a is the neighbours' mean probability of a. Agents draw their actions independently of each other, so this is
    the exact expectation of `dissent` for an agent that takes a. It is a constant: no gradient goes through it.
    """
    return 1 - votes(logits.detach().softmax(1), window)
