"""A small policy of the tests' own that can be told how plain its maps shall be; its files say ``plain:Plain``."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from pixelrl.actions import PAPER_NINE
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard, save_policy
from pixelrl.policies import Policy, PolicyOutput

DEFAULT = 0.25
SIDE = 5


class Plain(Policy):
    """Every agent goes towards the mean of what is around it; the more legible, the more it does as its neighbours."""

    stride, alignment, reach, takes_condition, reward_kernel = 1, 1, SIDE // 2, True, None
    legible, default_legibility = True, DEFAULT

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.num_actions = num_actions
        self.factor = torch.nn.Parameter(torch.tensor(100.0))

    def perceive(self, image: Tensor, condition: Tensor) -> Tensor:
        return torch.cat([self._around(image), torch.zeros_like(image)], 1)

    def told(self, memory: Tensor, legibility: float | Tensor) -> Tensor:
        plane = torch.as_tensor(legibility, device=memory.device).reshape(-1, 1, 1).expand_as(memory[:, 0])
        return torch.stack([memory[:, 0], plane], 1)

    def price(self, legibility: Tensor, condition: Tensor) -> Tensor:
        return 2 * legibility[:, None, None, None]

    def learned_to_choose(self, legibility: float) -> bool:
        return legibility > 0

    def forward(self, image: Tensor, outcomes: Tensor, memory: Tensor) -> PolicyOutput:
        goal, legibility = memory[:, :1], memory[:, 1:]
        miss = (outcomes[:, :, 0] - goal).abs()
        mixed = (1 - legibility) * miss + legibility * self._around(miss)
        return PolicyOutput(-self.factor * mixed[:, :, None], None, memory)

    def estimate(self, memory: Tensor, image: Tensor) -> Tensor:
        return memory[:, :1]

    def _around(self, planes: Tensor) -> Tensor:
        return F.avg_pool2d(planes, SIDE, 1, SIDE // 2, count_include_pad=False)


def card(name: str = "plain", steps: int = 3) -> PolicyCard:
    return PolicyCard(name, "plain:Plain", {}, PAPER_NINE, steps, "sigma", {})


def agent() -> Agent:
    return Agent(Plain(len(PAPER_NINE)).eval(), card(), torch.device("cpu"))


def policy_file(folder: Path) -> Path:
    path = folder / "plain.safetensors"
    save_policy(path, Plain(len(PAPER_NINE)), card())
    return path


def disagreement(actions: Tensor) -> float:
    """Of action maps ``(..., h, w)``, the share of horizontal neighbours that act otherwise."""
    return float((actions[..., 1:] != actions[..., :-1]).float().mean())
