"""Learning works: on tasks whose best policy is known, small networks find it within seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pixelrl.policies import FCN, Lookahead, Policy
from pixelrl.rollout import rollout
from pixelrl.tasks import Episode, Task
from pixelrl.training.learner import Learner
from pixelrl.training.recipe import LearnerSettings

ENOUGH = 0.95
LEARNING_RATE = 1e-2
POLICIES: dict[str, Callable[[], Policy]] = {
    "fcn": lambda: FCN(3, width=8),
    "recurrent fcn with a convolved reward": lambda: FCN(3, width=8, recurrent=True, reward_map_convolution=True),
    "lookahead": lambda: Lookahead(3, width=8, deep_width=8, depths=(1, 1, 1), head_width=8),
}


class AwayFromGrey(Task):
    """Bright pixels should become ten levels brighter and dark ones ten darker: nothing says so but their content."""

    action_names = ("grey level -1", "do nothing", "grey level +1")
    levels = (0.0,)
    num_steps = 1
    plan = (1,)
    """The best policy: at every step the pixel's own way (1) or the other (-1)."""

    def begin(self, clean: Tensor, generator: torch.Generator) -> Episode:
        """Bright and dark squares of 4x4 pixels; ``clean`` gives the shape alone."""
        b, c, h, w = clean.shape
        squares = torch.rand((b, c, h // 4, w // 4), generator=generator)
        uniform = squares.repeat_interleave(4, 2).repeat_interleave(4, 3)
        image = torch.where(uniform < 0.5, 0.1 + 0.5 * uniform, 0.4 + 0.5 * uniform)  # 0.1 to 0.35, or 0.65 to 0.9
        nothing = clean.new_zeros(len(clean), 1, 1, 1)
        return Episode(image, image + 10 * way(image) / 255, nothing, nothing[..., 0, 0] + 10)

    def degrade(self, clean: Tensor, level: float, generator: torch.Generator) -> Episode:
        return self.begin(clean, generator)


class Detour(AwayFromGrey):
    """Only coming back pays: whoever first goes the other way earns 1 for the step back.

    The first step earns nothing whatever is done, so that it can be learned only from what comes after it.
    """

    num_steps = 2
    plan = (-1, 1)

    def reward(self, before: Tensor, after: Tensor, target: Tensor) -> Tensor:
        was, is_now = (((image - target) * 255).abs().round() for image in (before, after))
        return ((was == 11) & (is_now == 10)).float() / 10


class BrightDetour(Detour):
    """The same with bright pixels only, so that the critic can tell by the level alone whether the detour was made."""

    def begin(self, clean: Tensor, generator: torch.Generator) -> Episode:
        start = super().begin(clean, generator)
        image = 0.55 + 0.4 * start.image
        return replace(start, image=image, target=image + 10 / 255)


def way(image: Tensor) -> Tensor:
    return torch.where(image > 0.5, 1, -1)


def learn(policy: Policy, task: AwayFromGrey, settings: LearnerSettings, iterations: int) -> float:
    """Train, and give the smallest share, over the steps, of the agents that do what is best on new images."""
    generator = torch.Generator().manual_seed(0)
    learner = Learner(policy.train(), task, settings)
    optimiser = torch.optim.Adam(policy.parameters(), lr=LEARNING_RATE)
    shape = torch.zeros(4, 1, 16, 16)
    for _ in range(iterations):
        for loss, _ in learner.updates(task.begin(shape, generator), generator):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    start = task.begin(shape, generator)
    trajectory, _ = rollout(policy.eval(), learner.actions, start.image, start.condition, task.num_steps)
    best = torch.stack([1 + sign * way(start.image) for sign in task.plan])
    return (trajectory.actions == best).double().mean((1, 2, 3, 4)).min().item()


@pytest.mark.parametrize("gradient", ["all-action", "sampled"])
@pytest.mark.parametrize("name", POLICIES)
def test_the_best_action_is_learned(name: str, gradient: str) -> None:
    torch.manual_seed(0)  # initial weights, which PyTorch draws from its global generator
    task, settings = AwayFromGrey(), LearnerSettings(gradient=gradient, ent_coef=0.1)
    assert learn(POLICIES[name](), task, settings, iterations=0) < 0.7
    assert learn(POLICIES[name](), task, settings, iterations=120) > ENOUGH


@pytest.mark.parametrize("gradient", ["all-action", "sampled"])
@pytest.mark.parametrize(
    ("task", "t_max", "iterations"), [(Detour(), 2, 160), (BrightDetour(), 1, 100)], ids=["return", "critic"]
)
def test_what_pays_only_later_is_learned(gradient: str, task: Detour, t_max: int, iterations: int) -> None:
    """By the return (two steps an update), or by the critic's word of it (one)."""
    torch.manual_seed(0)
    settings = LearnerSettings(gradient=gradient, t_max=t_max, ent_coef=0.05)
    assert learn(POLICIES["lookahead"](), task, settings, iterations=0) < 0.7
    assert learn(POLICIES["lookahead"](), task, settings, iterations) > ENOUGH
