"""Learning from trials of regions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pixelrl.errors import UsageError
from pixelrl.imaging.filters import box
from pixelrl.policies import Consulting, Lookahead
from pixelrl.policies.estimating import Understood
from pixelrl.tasks.denoising import GaussianDenoising
from pixelrl.training.learner import Learner
from pixelrl.training.recipe import LearnerSettings
from pixelrl.training.trials import TrialLearner, compared

NAMES = ("grey level -16", "do nothing", "grey level +16", "Gaussian 1.5", "box")
SETTINGS = LearnerSettings(gradient="trials", towards="estimate", gamma=1.0, sharing=5)


def task(num_steps: int = 3) -> GaussianDenoising:
    return GaussianDenoising(sigma=(20.0, 30.0), num_steps=num_steps, actions=NAMES)


def policy() -> Consulting:
    """What it takes for the clean image is the mean of 9x9 pixels."""
    torch.manual_seed(0)
    made = Consulting(len(NAMES), width=8, deep_width=8, depths=(1, 1, 1), num_steps=3).train()

    def understood(image: Tensor, _: Tensor) -> Understood:
        return Understood(image, F.pixel_unshuffle(box(image, 9), 2))

    made.understood = understood  # type: ignore[method-assign]
    return made


def batch() -> torch.Tensor:
    clean = torch.full((3, 1, 32, 32), 0.4)
    clean[:, :, 8:20, 8:20] = 0.7
    return clean


def test_scores_learn_to_prefer_what_was_worth_more() -> None:
    """Everywhere the second action was tried instead of the first."""
    chosen, tried = torch.zeros(1, 1, 6, 6, dtype=torch.uint8), torch.ones(1, 1, 6, 6, dtype=torch.uint8)
    for worth, direction in ((2.0, 1.0), (-2.0, -1.0)):
        scores = torch.zeros(1, 3, 1, 6, 6, requires_grad=True)
        compared(scores, chosen, tried, torch.full((1, 1, 6, 6), worth)).backward()  # type: ignore[no-untyped-call]
        assert scores.grad is not None
        down = -scores.grad.sum((0, 2, 3, 4))
        assert down[1] * direction > 0
        assert down[0] == pytest.approx(-down[1])
        assert down[2] == 0
        # At equal scores the gradient is that of REINFORCE for two actions: half of the advantage.
        assert down[1].item() == pytest.approx(worth / 2, rel=1e-4)


def test_where_nothing_else_was_tried_nothing_is_learned() -> None:
    chosen = torch.zeros(1, 1, 6, 6, dtype=torch.uint8)
    tried = chosen.clone()
    tried[..., :3] = 2
    scores = torch.zeros(1, 3, 1, 6, 6, requires_grad=True)
    compared(scores, chosen, tried, torch.ones(1, 1, 6, 6)).backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert not scores.grad[..., 5].any()
    assert scores.grad[..., 0].any()


def test_the_judge_learns_and_the_encoder_does_not() -> None:
    acting, learner_task = policy(), task()
    learner = TrialLearner(acting, learner_task, SETTINGS)
    generator, reached = torch.Generator().manual_seed(0), set()
    for _ in range(8):
        ((loss, logged),) = learner.updates(learner_task.begin(batch(), generator), generator)
        loss.backward()  # type: ignore[no-untyped-call]
        assert 0 < logged["tried"] < 1
        assert 0 <= logged["dissent"] <= 1
    for name, weight in acting.named_parameters():
        if weight.grad is not None and weight.grad.any():
            reached.add(name.split(".")[0])
    assert reached == {"judge", "log_factors"}


def test_a_few_trials_make_an_episode_worth_more() -> None:
    """Of a policy that at first judges the wrong way round: by its judge, outcomes far from the estimate are best."""
    acting, learner_task = policy(), task()
    with torch.no_grad():
        acting.log_factors.fill_(-4.0)
    learner, generator = TrialLearner(acting, learner_task, SETTINGS), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam([*acting.judge.parameters(), acting.log_factors], lr=0.02)

    def earned() -> float:
        fixed = torch.Generator().manual_seed(5)
        rewards = []
        for _ in range(12):
            ((_, logged),) = learner.updates(learner_task.begin(batch(), fixed), fixed)
            rewards.append(logged["reward"])
        return sum(rewards)

    before = earned()
    for _ in range(40):
        ((loss, _),) = learner.updates(learner_task.begin(batch(), generator), generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert earned() > before


def test_the_same_generator_gives_the_same_loss() -> None:
    learner_task = task()
    learner = TrialLearner(policy(), learner_task, SETTINGS)
    start = learner_task.begin(batch(), torch.Generator().manual_seed(1))
    losses = [next(learner.updates(start, torch.Generator().manual_seed(2)))[0].item() for _ in range(2)]
    assert losses[0] == losses[1]


def test_what_it_cannot_teach() -> None:
    with pytest.raises(UsageError, match=r'"trials" is for policies of the kind "consulting" only'):
        TrialLearner(Lookahead(len(NAMES), width=8, deep_width=8, depths=(1, 1, 1)), task(), SETTINGS)
    with pytest.raises(UsageError, match=r"t_max = 2 is less than an episode of 3 steps"):
        TrialLearner(policy(), task(), LearnerSettings(gradient="trials", t_max=2))
    with pytest.raises(UsageError, match=r"needs values, which this policy has not"):
        Learner(policy(), task(), LearnerSettings())
