"""The policy whose agents plan, and consult their neighbours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pixelrl.actions import ActionSet
from pixelrl.imaging.metrics import agreement, bits_per_pixel
from pixelrl.policies import Consulting
from pixelrl.policies.consulting import PLAINEST, share_of_miss
from pixelrl.policies.judge import FEATURES, PLACE, look
from pixelrl.policies.misses import MISS_OF_HIT, USUAL_MISS, relative_miss, usual_miss, usual_miss_of_impulses
from pixelrl.policies.tiling import tiled_forward, tiled_perceive
from pixelrl.policies.votes import FAR_WEIGHT, NEAR_WEIGHT, doubled, votes_of
from pixelrl.rl.choice import best
from pixelrl.rollout import greedy, rollout
from pixelrl.threads import threads

NAMES = ("grey level -16", "grey level -4", "do nothing", "grey level +4", "grey level +16", "Gaussian 1.5", "box")
SMALL = {"width": 8, "deep_width": 8, "depths": (1, 1, 1)}


def fresh(num_channels: int = 1, names: tuple[str, ...] = NAMES) -> Consulting:
    """Its estimate is the image that it is given first."""
    torch.manual_seed(0)
    return Consulting(len(names), num_channels, **SMALL).eval()


def for_specks(num_channels: int = 1, unit: str = "density") -> Consulting:
    torch.manual_seed(0)
    return Consulting(len(NAMES), num_channels, **SMALL, estimator="impulses", unit=unit).eval()


def specks(density: float, height: int = 96, width: int = 96, channels: int = 1) -> Tensor:
    uniform = torch.rand((1, channels, height, width), generator=torch.Generator().manual_seed(0))
    return torch.where(uniform < density, (uniform < density / 2).float(), 0.5)


def sigma(level: float = 25.0) -> Tensor:
    return torch.full((1, 1, 1, 1), level / 255)


def noisy(height: int = 48, width: int = 64, channels: int = 1) -> tuple[Tensor, Tensor]:
    """A bright square before a dark ground, clean and with noise."""
    clean = torch.full((1, channels, height, width), 0.3)
    clean[..., height // 4 : height // 2, width // 4 : width // 2] = 0.7
    return clean, clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))


def towards(policy: Consulting, clean: Tensor, image: Tensor, legibility: float) -> Tensor:
    """The actions of an episode on a noisy image whose estimate is the clean one."""
    memory, actions, maps = policy.told(policy.perceive(clean, sigma()), legibility), ActionSet(NAMES), []
    for _ in range(policy.num_steps):
        outcomes = actions.outcomes(image)
        logits, _, memory = policy(image, outcomes, memory)
        maps.append(greedy(logits))
        image = actions.select(outcomes, maps[-1])
    return torch.stack(maps)


@torch.no_grad()
def test_at_legibility_zero_every_agent_goes_to_the_estimate() -> None:
    clean, image = noisy()
    policy, outcomes = fresh(), ActionSet(NAMES).outcomes(image)
    logits = policy(image, outcomes, policy.perceive(clean, sigma())).logits
    torch.testing.assert_close(logits, -255 * (outcomes - clean[:, None]).abs())


@torch.no_grad()
def test_plainer_maps_cost_fewer_bits() -> None:
    clean, image = noisy()
    bits = [bits_per_pixel(towards(fresh(), clean, image, degree)) for degree in (0.0, 0.1, 0.6, 1.0)]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] < bits[0] / 4


@torch.no_grad()
def test_agents_that_consult_agree_more_than_agents_that_do_not() -> None:
    clean, image = noisy()
    policy, outcomes = fresh(), ActionSet(NAMES).outcomes(image)
    memory = policy.told(policy.perceive(clean, sigma()), 0.5)
    scores, distances = policy.scores(image, outcomes, memory)
    everywhere = doubled((scores + distances.cell)[:, :, 0], image)[:, :, None] - distances.own
    alone, together = best(everywhere)[None], best(policy.settled(scores, distances))[None]
    assert agreement(together)[0] > agreement(alone)[0] + 0.1


@torch.no_grad()
def test_the_judge_knows_outcomes_and_not_their_names(randomise: Callable[[nn.Module], None]) -> None:
    """With the operations in another order, the same ones are chosen."""
    clean, image = noisy()
    policy = fresh()
    randomise(policy.judge)
    order = torch.tensor([3, 6, 0, 1, 5, 2, 4])
    memory, outcomes = policy.told(policy.perceive(clean, sigma()), 0.4), ActionSet(NAMES).outcomes(image)
    logits = policy(image, outcomes, memory).logits
    torch.testing.assert_close(policy(image, outcomes[:, order], memory).logits, logits[:, order])


@torch.no_grad()
def test_channels_do_not_hear_each_other() -> None:
    clean, image = noisy(channels=3)
    policy = fresh(3)
    memory = policy.told(policy.perceive(clean, sigma()), 0.5)
    logits = policy(image, ActionSet(NAMES).outcomes(image), memory).logits
    other = image.clone()
    other[:, 1] = 1 - other[:, 1]
    changed = policy(other, ActionSet(NAMES).outcomes(other), memory).logits
    assert torch.equal(logits[:, :, 0], changed[:, :, 0])
    assert not torch.equal(logits[:, :, 1], changed[:, :, 1])


@torch.no_grad()
def test_in_tiles_it_consults_as_in_one_piece() -> None:
    clean, image = noisy(180, 230)
    policy, outcomes = fresh(), ActionSet(NAMES).outcomes(image)
    memory = policy.told(policy.perceive(clean, sigma()), 0.6)
    whole = greedy(policy(image, outcomes, memory).logits)
    in_tiles, _ = tiled_forward(policy, greedy, image, outcomes, memory, 64)
    assert (whole != in_tiles).float().mean() < 1e-4
    assert tiled_perceive(policy, image, sigma(), 64).shape == memory.shape


@pytest.mark.parametrize("legibility", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("height", "width", "channels"), [(1, 1, 1), (7, 5, 3), (149, 523, 1), (130, 40, 3)])
@torch.no_grad()
def test_piece_by_piece_the_choice_is_that_of_the_logits(
    height: int, width: int, channels: int, legibility: float, randomise: Callable[[nn.Module], None]
) -> None:
    clean, image = noisy(height, width, channels)
    policy, outcomes = fresh(channels), ActionSet(NAMES).outcomes(image)
    randomise(policy.judge)
    memory = policy.told(policy.perceive(clean, sigma()), legibility)
    logits, _, after = policy(image, outcomes, memory)
    chosen, remembered = policy.chosen(image, outcomes, memory)
    assert (chosen != best(logits)).float().mean() < 1e-4  # where two are equal to within rounding
    assert torch.equal(remembered, after)


@torch.no_grad()
def test_the_number_of_threads_changes_no_choice(randomise: Callable[[nn.Module], None]) -> None:
    _, image = noisy(300, 600, 3)
    policy = fresh(3)
    randomise(policy)
    trajectories = []
    for number in (1, 2):
        with threads(number):
            trajectories.append(rollout(policy, ActionSet(NAMES), image, sigma(), 2, legibility=0.3)[0])
    assert torch.equal(trajectories[0].actions, trajectories[1].actions)


@torch.no_grad()
def test_a_longer_episode_goes_on_with_the_last_step() -> None:
    _, image = noisy()
    _, final = rollout(fresh(), ActionSet(NAMES), image, sigma(), 8, legibility=0.5)
    assert final.isfinite().all()


def test_the_usual_miss_follows_the_noise() -> None:
    assert usual_miss(sigma(25)).item() == pytest.approx(USUAL_MISS)
    assert usual_miss(sigma(100)).item() == pytest.approx(2 * USUAL_MISS)
    assert usual_miss(torch.zeros(1, 1, 1, 1)).item() == pytest.approx(USUAL_MISS)  # told nothing


def test_the_usual_miss_follows_the_density() -> None:
    for channels in (1, 3):
        misses = [usual_miss_of_impulses(specks(d, channels=channels)).mean().item() for d in (0.1, 0.5, 0.9)]
        expected = MISS_OF_HIT * relative_miss(torch.tensor([0.1, 0.5, 0.9]), channels)
        assert misses == pytest.approx(expected.tolist(), rel=0.02)
        assert misses[1] > 2.5 * misses[0]
        assert misses[2] > 2 * misses[1]
    one, three = (relative_miss(torch.tensor(0.1), channels) for channels in (1, 3))
    assert three < 0.7 * one  # two other channels tell of a value that was hit
    clean = usual_miss_of_impulses(torch.full((1, 1, 5, 7), 0.5))
    assert clean.shape == (1, 1, 3, 4)
    assert 0 < clean.amin() == clean.amax() < 1 / 255


def test_the_price_follows_the_density_where_it_is() -> None:
    """Half the picture has many specks; a price is paid in each half as if there were no other. Without, it is one."""
    image = torch.cat([specks(0.1, 96, 160), specks(0.9, 96, 160)], 3)
    for unit, highest in (("density", 46.0), ("condition", 1.0)):
        policy = for_specks(unit=unit)
        with torch.no_grad():
            memory = policy.perceive(image, torch.zeros(1, 1, 1, 1))
        price = policy.price(torch.tensor([0.5]), memory, image)
        assert price.shape == image.shape
        left, right = price[..., :120].mean(), price[..., 200:].mean()
        assert right / left == pytest.approx(highest, rel=0.15)


def test_a_policy_without_a_unit_has_that_of_before() -> None:
    assert Consulting(len(NAMES), **SMALL).unit == "condition"
    with pytest.raises(ValueError, match="unit = 'dB' is unknown; known are condition, density"):
        for_specks(unit="dB")
    with pytest.raises(ValueError, match="is for the estimator 'impulses', not for 'plain'"):
        Consulting(len(NAMES), **SMALL, unit="density")


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 3])
def test_in_tiles_the_unit_is_that_of_the_whole(channels: int) -> None:
    image, policy = specks(0.4, 180, 230, channels), for_specks(channels)
    image[..., :100] = 0.5
    condition = torch.zeros(1, 1, 1, 1)
    whole, tiles = policy.perceive(image, condition), tiled_perceive(policy, image, condition, 64)
    assert torch.equal(whole[:, -3], tiles[:, -3])


def test_the_price_grows_with_legibility() -> None:
    degrees = torch.tensor([0.0, 0.01, 0.5, 1.0])
    policy, image = fresh(), torch.full((4, 1, 8, 8), 0.5)
    price = policy.price(degrees, policy.perceive(image, sigma().expand(4, 1, 1, 1)), image)[:, 0, 0, 0]
    assert price[0] == 0
    assert price.tolist() == sorted(price.tolist())
    torch.testing.assert_close(price, 255 * (USUAL_MISS * share_of_miss(PLAINEST * degrees)).square())


def test_votes_are_of_neighbours_only() -> None:
    """All choose the first action but one, whose neighbours do not see their own choice."""
    choice = torch.zeros(1, 1, 20, 20, dtype=torch.uint8)
    choice[..., 10, 10] = 1
    votes = votes_of(choice, 2, 5, 11)
    at = {(y, x): votes[0, 1, y, x].item() for y, x in ((10, 10), (10, 12), (10, 13), (10, 16))}
    assert votes[0, 0, 10, 10].item() == pytest.approx(NEAR_WEIGHT + FAR_WEIGHT)
    assert at[10, 10] == pytest.approx(0, abs=1e-6)
    assert at[10, 12] == pytest.approx(NEAR_WEIGHT / 24 + FAR_WEIGHT / 120, abs=1e-6)
    assert at[10, 13] == pytest.approx(FAR_WEIGHT / 120, abs=1e-6)
    assert at[10, 16] == pytest.approx(0, abs=1e-6)


def test_what_is_seen_by_hand() -> None:
    """Everywhere one unit too bright, and everywhere right."""
    goal, unit = torch.full((1, 1, 20, 20), 0.5), torch.full((1, 1, 20, 20), 0.1)
    seen = look(torch.cat([goal + 0.1, goal], 1), goal, unit, torch.full_like(goal, 0.7))
    assert seen.squashed.shape == (1, 2, FEATURES, 10, 10)
    assert seen.place.shape == (1, PLACE, 10, 10)
    torch.testing.assert_close(seen.own[0, :, 3, 3], torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.around[0, :, 3, 3], torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)
    halves = torch.tensor([1 / 2, 1 / 9, 1 / 2, 1 / 2, 1 / 9, 1 / 9, 1 / 2, 1 / 2])
    torch.testing.assert_close(seen.squashed[0, 0, :, 5, 5], halves, atol=1e-5, rtol=0)
    assert seen.squashed[0, 1].abs().max() < 1e-5
    torch.testing.assert_close(seen.place[0, :, 4, 4], torch.tensor([0, 0, 0.2, 1.0]), atol=1e-5, rtol=0)


def test_the_first_of_equals_is_best() -> None:
    logits = torch.randint(0, 4, (2, 6, 3, 9, 7), generator=torch.Generator().manual_seed(0)).float()
    chosen = best(logits)
    assert chosen.dtype == torch.uint8
    first = (logits == logits.amax(1, keepdim=True)).int().argmax(1)
    assert torch.equal(chosen.long(), first)


@pytest.mark.parametrize("wrong", [{"estimator": "lab"}, {"default_legibility": 1.5}, {"num_steps": 0}])
def test_what_cannot_be_built(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|cannot consult"):
        Consulting(len(NAMES), 3, **SMALL, **wrong)  # type: ignore[arg-type]
