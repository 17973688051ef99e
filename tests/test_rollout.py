"""The loop over steps, the choice of actions, and trajectories."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.policies import Lookahead
from pixelrl.policies.wrapped import Still
from pixelrl.rollout import Actor, Decision, Trajectory, episode, greedy, rollout
from pixelrl.training.sampling import sampler
from pixelrl.types import Image, Outcomes

STEPS = ActionSet(("grey level -1", "do nothing", "grey level +1"))


def noise(*shape: int) -> Tensor:
    """Beyond [0, 1] on both sides."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 0.6 + 0.5


@pytest.fixture
def policy(randomise: Callable[[torch.nn.Module], None]) -> Lookahead:
    network = Lookahead(9, width=8, deep_width=8, depths=(1, 1, 1), head_width=4)
    randomise(network)
    return network.eval()


def always(action: int) -> Callable[[int, Image, Outcomes], Decision]:
    return lambda t, image, outcomes: Decision(torch.full(image.shape, action, dtype=torch.uint8))


def test_greedy_is_the_first_of_the_most_likely() -> None:
    logits = torch.tensor([[1.0, 5.0, 2.0], [3.0, 5.0, -1.0]]).view(1, 2, 1, 1, 3)
    chosen = greedy(logits)
    assert chosen.dtype == torch.uint8
    assert chosen.tolist() == [[[[1, 0, 0]]]]


def test_the_sampler_draws_from_the_softmax(generator: torch.Generator) -> None:
    probabilities = torch.tensor([0.05, 0.6, 0.25, 0.1])
    logits = probabilities.log().view(1, 4, 1, 1, 1).expand(1, 4, 2, 300, 300) + 7  # any constant may be added
    chosen = sampler(generator)(logits)
    assert chosen.shape == (1, 2, 300, 300)
    frequencies = torch.bincount(chosen.flatten().long(), minlength=4) / chosen.numel()
    # 180,000 draws: a standard deviation is at most 0.0012.
    torch.testing.assert_close(frequencies, probabilities, rtol=0, atol=0.006)


def test_agents_draw_independently(generator: torch.Generator) -> None:
    chosen = sampler(generator)(torch.zeros(2, 2, 3, 100, 100)).float()
    for one, other in ((chosen[0], chosen[1]), (chosen[:, 0], chosen[:, 1]), (chosen[..., 1:], chosen[..., :-1])):
        agree = (one == other).float().mean().item()
        assert 0.45 < agree < 0.55


def test_the_generator_decides_the_sample() -> None:
    logits = torch.zeros(1, 5, 1, 20, 20)
    one, same, other = (sampler(torch.Generator().manual_seed(seed))(logits) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_an_episode_carries_out_what_is_decided() -> None:
    image = noise(2, 1, 3, 4)
    steps = list(episode(image, STEPS, always(2), 3))
    assert len(steps) == 3
    for t, step in enumerate(steps):
        torch.testing.assert_close(step.before, image + t / 255)
        torch.testing.assert_close(step.after, image + (t + 1) / 255)
        torch.testing.assert_close(step.outcomes[:, 0], step.before - 1 / 255)
        assert torch.equal(step.outcomes[:, 1], step.before)
        assert step.decision.logits is None


def test_decisions_are_told_the_step_and_the_image() -> None:
    seen = []

    def act(t: int, image: Image, outcomes: Outcomes) -> Decision:
        seen.append((t, image.mean().item()))
        return Decision(torch.zeros(image.shape, dtype=torch.uint8))

    list(episode(torch.full((1, 1, 2, 2), 0.5), STEPS, act, 2))
    assert seen == [(0, 0.5), (1, pytest.approx(0.5 - 1 / 255))]


def test_images_carry_no_gradient(policy: Lookahead) -> None:
    policy.train()
    image = noise(1, 1, 5, 6)
    actor = Actor(policy, greedy, policy.perceive(image, torch.zeros(1, 1, 1, 1)))
    for step in episode(image, ActionSet(PAPER_NINE), actor, 2):
        assert step.decision.logits is not None
        assert step.decision.logits.requires_grad
        assert not step.outcomes.requires_grad
        assert not step.after.requires_grad


def test_nothing_is_clipped_between_steps() -> None:
    image = torch.tensor([-0.5, 1.5]).view(1, 1, 1, 2)
    maps = torch.tensor([0, 2] * 4, dtype=torch.uint8).view(4, 1, 1, 1, 2)
    final = Trajectory(image, maps, STEPS.names).final()
    torch.testing.assert_close(final.flatten(), torch.tensor([-0.5 - 4 / 255, 1.5 + 4 / 255]))


@pytest.mark.parametrize("shape", [(1, 1, 7, 9), (3, 1, 8, 8)])
def test_a_trajectory_replays_bit_for_bit(policy: Lookahead, shape: tuple[int, ...]) -> None:
    image = noise(*shape)
    trajectory, final = rollout(policy, ActionSet(PAPER_NINE), image, torch.full((shape[0], 1, 1, 1), 0.1), 5)
    assert trajectory.actions.shape == (5, *shape)
    assert trajectory.actions.dtype == torch.uint8
    assert trajectory.num_steps == 5
    assert len(trajectory.actions.unique()) > 2  # the policy does not do one thing everywhere
    assert torch.equal(trajectory.final(), final)
    images = list(trajectory.images())
    assert len(images) == 6
    assert torch.equal(images[0], image)
    assert torch.equal(images[-1], final)


def test_images_of_a_batch_do_not_meet(policy: Lookahead) -> None:
    images, levels = noise(3, 1, 9, 10), torch.tensor([0.0, 0.1, 0.2]).view(3, 1, 1, 1)
    together, _ = rollout(policy, ActionSet(PAPER_NINE), images, levels, 3)
    for i in range(3):
        alone, _ = rollout(policy, ActionSet(PAPER_NINE), images[i : i + 1], levels[i : i + 1], 3)
        assert torch.equal(alone.actions[:, 0], together.actions[:, i])


def test_no_steps_leave_the_image(policy: Lookahead) -> None:
    image = noise(1, 1, 4, 4)
    trajectory, final = rollout(policy, ActionSet(PAPER_NINE), image, torch.zeros(1, 1, 1, 1), 0)
    assert torch.equal(final, image)
    assert trajectory.num_steps == 0
    assert torch.equal(trajectory.final(), image)
    assert [image.shape for image in trajectory.images()] == [(1, 1, 4, 4)]


def test_a_rollout_makes_no_graph(policy: Lookahead) -> None:
    _, final = rollout(policy, ActionSet(PAPER_NINE), noise(1, 1, 4, 4), torch.zeros(1, 1, 1, 1), 2)
    assert not final.requires_grad


def test_the_policys_memory_is_carried(policy: Lookahead) -> None:
    image = noise(1, 1, 6, 6)
    actor = Actor(policy, greedy, policy.perceive(image, torch.zeros(1, 1, 1, 1)))
    clocks = [actor.memory[0, -1, 0, 0].item()]
    for _ in episode(image, ActionSet(PAPER_NINE), actor, 3):
        clocks.append(actor.memory[0, -1, 0, 0].item())
    assert clocks == pytest.approx([0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("tile", [None, 16])
def test_progress_tells_every_tile_and_step(policy: Lookahead, tile: int | None) -> None:
    image, shares = noise(1, 1, 40, 30), []
    plain, _ = rollout(policy, ActionSet(PAPER_NINE), image, torch.zeros(1, 1, 1, 1), 3, tile)
    told, _ = rollout(policy, ActionSet(PAPER_NINE), image, torch.zeros(1, 1, 1, 1), 3, tile, progress=shares.append)
    assert torch.equal(plain.actions, told.actions)
    parts = 4 * (1 if tile is None else 3 * 2)
    torch.testing.assert_close(shares, [(i + 1) / parts for i in range(parts)])

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollout(policy, ActionSet(PAPER_NINE), image, torch.zeros(1, 1, 1, 1), 3, tile, progress=stop)


class Told(Still):
    """It keeps what it was told of legibility."""

    legible, default_legibility, condition_planes = True, 0.5, 1

    def told(self, memory: Tensor, legibility: float | Tensor) -> Tensor:
        self.heard = legibility
        return memory


@pytest.mark.parametrize(("given", "heard"), [(None, 0.5), (0.0, 0.0), (0.75, 0.75)])
@pytest.mark.parametrize("tile", [None, 16])
def test_a_legible_policy_is_told(given: float | None, heard: float, tile: int | None) -> None:
    policy = Told(3, action=1, num_agents=1).eval()
    rollout(policy, STEPS, noise(1, 1, 20, 20), torch.zeros(1, 1, 1, 1), 1, tile, legibility=given)
    assert policy.heard == heard
