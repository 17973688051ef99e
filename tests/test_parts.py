"""Large images are worked on in parts, which changes no bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pixelrl.actions import ACTIONS, ActionSet
from pixelrl.imaging import parts
from pixelrl.imaging.color import outcome_in_srgb, to_space
from pixelrl.noise.network import _blurred
from pixelrl.policies.consulting import Consulting
from pixelrl.rollout import rollout

NAMES = ("do nothing", "grey level +16", "median", "Gaussian 1.5")
OPERATIONS = ActionSet([name for name in ACTIONS if ACTIONS[name].reach <= 16])


def picture(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 rows at a time, of images for which there would be no strips."""
    monkeypatch.setattr(parts, "STRIP", 64)


@pytest.mark.parametrize("reach", [0, 3, 70])
def test_strips_cover_all_rows_once_with_their_halo(reach: int, small_strips: None) -> None:
    cut = [*parts.strips(300, 40, reach)]
    assert [row for rows in cut for row in range(300)[rows.own]] == [*range(300)]
    for rows in cut:
        assert rows.seen.start <= max(0, rows.start - reach)
        assert rows.seen.stop >= min(300, rows.stop + reach)
        assert rows.seen.start % parts.GRID == 0
        assert range(300)[rows.seen][rows.inner] == range(300)[rows.own]
    assert len(cut) == 5


@pytest.mark.parametrize("agents", [1, 3])
def test_what_agents_do_is_carried_out_in_strips(agents: int, small_strips: None) -> None:
    image = picture(2, 3, 200, 130)
    maps = torch.randint(len(OPERATIONS), (2, agents, 200, 130), generator=torch.Generator().manual_seed(1))
    maps[..., 64:128, :] = OPERATIONS.nothing  # a strip in which nobody does anything
    expected = OPERATIONS.select(OPERATIONS.outcomes(image), maps)
    assert torch.equal(OPERATIONS.carried_out(image, maps.to(torch.uint8)), expected)
    with pytest.raises(ValueError, match="an action map of"):
        OPERATIONS.carried_out(image, maps + 100)


def test_outcomes_of_a_window_are_those_of_the_whole() -> None:
    image = picture(1, 3, 200, 260)
    window = OPERATIONS.outcomes_of(image, slice(61, 130), slice(0, 77))
    assert torch.equal(window, OPERATIONS.outcomes(image)[..., 61:130, :77])


@pytest.mark.parametrize("space", ["prophoto", "anscombe(gain=0.01,read=0.02,offset=0,low=0,high=1)"])
def test_spaces_and_blur_are_the_same_in_strips(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(1, 3, 200, 90)

    def all_of_it() -> list[Tensor]:
        values = to_space(image, space)
        return [values, outcome_in_srgb(values.flip(-1), space, image), _blurred(image, 2.0)]

    whole = all_of_it()
    monkeypatch.setattr(parts, "STRIP", 64)
    for one, other in zip(whole, all_of_it(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.fixture
def policy(randomise: Callable[[torch.nn.Module], None]) -> Consulting:
    policy = Consulting(len(NAMES), 3, 8, 8, (1, 1, 1), 4, num_steps=2).eval()
    randomise(policy)
    return policy


def test_an_episode_in_tiles_and_strips_is_the_same(
    policy: Consulting, small_strips: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, told = picture(1, 3, 150, 140), torch.full((1, 1, 1, 1), 0.1)
    whole, expected = rollout(policy, ActionSet(NAMES), image, told, 2)
    in_tiles, final = rollout(policy, ActionSet(NAMES), image, told, 2, tile=64)
    assert len(whole.actions.unique()) > 2
    assert torch.equal(in_tiles.actions, whole.actions)
    assert torch.equal(final, expected)

    def outcomes(self: ActionSet, image: Tensor) -> Tensor:
        raise AssertionError("a replay needs the outcomes of the actions that were done, where they were done")

    monkeypatch.setattr(ActionSet, "outcomes", outcomes)
    assert torch.equal(in_tiles.final(), final)


def test_channels_one_after_the_other_are_judged_as_together(policy: Consulting) -> None:
    image = picture(2, 3, 41, 50)
    outcomes = ActionSet(NAMES).outcomes(image)
    with torch.no_grad():
        memory = policy.told(policy.perceive(image, torch.full((2, 1, 1, 1), 0.1)), 0.6)
        together = policy.settled(*policy.scores(image, outcomes, memory))
        assert torch.equal(policy(image, outcomes, memory).logits, together)
