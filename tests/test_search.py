"""Learning by search among judges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pixelrl.errors import UsageError
from pixelrl.policies import Consulting, Lookahead
from pixelrl.tasks import Episode
from pixelrl.training.learner import Logged
from pixelrl.training.recipe import LearnerSettings
from pixelrl.training.search import LEAST_COST, SPREAD, SearchLearner
from test_trials import NAMES, batch, policy, task

SETTINGS = LearnerSettings(gradient="search", towards="estimate")


def start(seed: int = 1) -> Episode:
    return task().begin(batch(), torch.Generator().manual_seed(seed))


def update(acting: Consulting, seed: int = 2) -> tuple[Tensor, Logged]:
    ((loss, logged),) = SearchLearner(acting, task(), SETTINGS).updates(start(), torch.Generator().manual_seed(seed))
    return loss, logged


def gradient(acting: Consulting, seed: int = 2) -> Tensor:
    acting.zero_grad()
    update(acting, seed)[0].backward()  # type: ignore[no-untyped-call]
    return torch.cat(
        [torch.zeros(each.numel()) if each.grad is None else each.grad.flatten() for each in acting.choosing()]
    )


def test_the_judge_learns_and_the_encoder_does_not() -> None:
    acting = policy()
    before = {name: each.clone() for name, each in acting.state_dict().items()}
    loss, logged = update(acting)
    loss.backward()  # type: ignore[no-untyped-call]
    reached = {name.split(".")[0] for name, weight in acting.named_parameters() if weight.grad is not None}
    assert reached == {"judge", "log_factors"}
    assert 0 <= logged["dissent"] <= 1
    assert logged["reward"] < 0
    for name, each in acting.state_dict().items():  # what was tried is taken back
        assert torch.equal(each, before[name]), name


def test_the_gradient_is_that_of_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an episode costs ``exp(k . w)``, with k another one for each picture, it is the mean of ``(k . e) e``."""
    acting = policy()
    size = sum(each.numel() for each in acting.choosing())
    slopes = torch.randn(3, size, generator=torch.Generator().manual_seed(3))

    def cost(self: SearchLearner, game: object, memory: object, i: int) -> tuple[Tensor, Tensor]:
        weights = nn.utils.parameters_to_vector(acting.choosing()).detach()
        return (slopes[i] @ weights).exp() - LEAST_COST, torch.zeros(())

    monkeypatch.setattr(SearchLearner, "_cost", cost)
    drawn = torch.Generator().manual_seed(2)
    torch.rand(3, generator=drawn)  # the legibility that each is told
    changes = SPREAD * torch.randn(3, size, generator=drawn)
    expected = ((slopes * changes).sum(1, keepdim=True) * changes / SPREAD**2).mean(0)
    assert torch.allclose(gradient(acting), expected, rtol=1e-3, atol=1e-3)


def test_a_cost_is_what_is_left_to_do_and_the_disagreement() -> None:
    """Where nobody does anything, the distance of the noisy picture to the target, in prices."""
    acting, given = policy(), start()
    acting.chosen = lambda image, outcomes, memory: (  # type: ignore[method-assign]
        torch.full(image.shape, NAMES.index("do nothing"), dtype=torch.uint8),
        memory,
    )
    learner = SearchLearner(acting, task(), SETTINGS)
    memory, game = learner.begun(given, acting.perceive(given.image, given.condition), torch.Generator().manual_seed(0))
    for i in range(3):
        cost, dissent = learner._cost(game, memory[i : i + 1], i)
        missed = 255 * (given.image[i] - given.target[i]).square()
        assert dissent == 0
        assert cost.item() == pytest.approx((missed * game.scale[i]).mean().item(), rel=1e-5)


def test_a_few_searches_make_an_episode_cheaper() -> None:
    """Of a policy that at first takes nearly every outcome for as good as any other."""
    acting = policy()
    with torch.no_grad():
        acting.log_factors.fill_(-4.0)
    optimiser = torch.optim.Adam(acting.choosing(), lr=0.05)

    def cost() -> float:
        """The mean logarithm over the same episodes, by the same changes of the weights."""
        return sum(update(acting, seed)[1]["policy_loss"] for seed in range(100, 106)) / 6

    before = cost()
    for seed in range(30):
        optimiser.zero_grad()
        update(acting, seed)[0].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert cost() < before - 0.1


def test_the_same_generator_gives_the_same_gradient() -> None:
    acting = policy()
    assert torch.equal(gradient(acting), gradient(acting))
    assert not torch.equal(gradient(acting), gradient(acting, seed=4))


def test_what_it_cannot_teach() -> None:
    with pytest.raises(UsageError, match=r'"search" is for policies of the kind "consulting" only'):
        SearchLearner(Lookahead(len(NAMES), width=8, deep_width=8, depths=(1, 1, 1)), task(), SETTINGS)
