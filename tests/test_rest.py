"""Where nobody does anything, nothing is computed again, and nothing comes out otherwise for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import plain
from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.edits import Edit
from pixelrl.policies import FCN, Policy, PolicyOutput
from pixelrl.policies.wrapped import InGrey, Still
from pixelrl.rollout import Move, rollout

ACTIONS = ActionSet(PAPER_NINE)
NOTHING = PAPER_NINE.index("do nothing")
STEPS = 6


class Resting(plain.Plain):
    """It counts how many pixels it is asked about, and at how many steps in all, which it remembers."""

    rests = True

    def __init__(self) -> None:
        super().__init__(len(PAPER_NINE))
        self.pixels, self.ages = 0, set[float]()

    def told(self, memory: Tensor, legibility: float | Tensor) -> Tensor:
        memory = super().told(memory, legibility)
        return torch.cat([memory, torch.zeros_like(memory[:, :1])], 1)

    def rested(self, memory: Tensor) -> Tensor:
        return torch.cat([memory[:, :2], memory[:, 2:] + 1], 1)

    def forward(self, image: Tensor, outcomes: Tensor, memory: Tensor) -> PolicyOutput:
        self.pixels += image.shape[-1] * image.shape[-2]
        assert memory[:, 2].unique().numel() == 1  # all pixels are as old
        logits, value, after = super().forward(image, outcomes, memory[:, :2])
        return PolicyOutput(logits, value, torch.cat([after, memory[:, 2:] + 1], 1))


class Restless(Resting):
    """The same, but that it is always asked."""

    rests = False


def half_flat(width: int = 200) -> Tensor:
    """Nothing is to be done on the left, but much on the right."""
    image = torch.full((1, 1, 40, width), 0.5)
    own = torch.Generator().manual_seed(0)
    image[..., width - 40 :] += 0.1 * torch.randn(1, 1, 40, 40, generator=own)
    return image


def played(policy: Policy, image: Tensor, tile: int | None, **options: object) -> tuple[Tensor, Tensor]:
    told = torch.full((1, 1, 1, 1), 0.1)
    trajectory, final = rollout(policy.eval(), ACTIONS, image, told, STEPS, tile, **options)
    return trajectory.actions, final


@pytest.mark.parametrize(("tile", "legibility"), [(None, 0.0), (None, 1.0), (16, 0.5), (64, 1.0)])
def test_nothing_changes_for_it(tile: int | None, legibility: float) -> None:
    resting, restless = Resting(), Restless()
    expected = played(restless, half_flat(), tile, legibility=legibility)
    for one, two in zip(played(resting, half_flat(), tile, legibility=legibility), expected, strict=True):
        assert torch.equal(one, two)
    assert (expected[0][0, ..., :140] == NOTHING).all()
    assert (expected[0][0, ..., 170:] != NOTHING).any()
    if tile == 16:
        assert resting.pixels < 0.7 * restless.pixels


def test_a_tile_wakes_when_its_neighbours_come_near() -> None:
    """What is done on the right spreads to the left step by step, by a filter that every agent takes who can."""

    class Spreading(Resting):
        def forward(self, image: Tensor, outcomes: Tensor, memory: Tensor) -> PolicyOutput:
            _, value, after = super().forward(image, outcomes, memory)
            box = PAPER_NINE.index("box")
            logits = torch.zeros(1, len(PAPER_NINE), 1, *image.shape[-2:])
            logits[:, NOTHING, 0] = 0.5
            logits[:, box] = ((outcomes[:, box] - image).abs() > 1e-4).float()
            return PolicyOutput(logits, value, after)

    class Watchful(Spreading):
        rests = False

    image = torch.full((1, 1, 40, 200), 0.5)
    image[..., 180:] = 0.9
    resting, watchful = Spreading(), Watchful()
    acted, expected = played(resting, image, 16), played(watchful, image, 16)
    assert torch.equal(acted[0], expected[0])
    assert torch.equal(acted[1], expected[1])
    moved = [int((maps != NOTHING).any(0).any(0).any(0).nonzero().min()) for maps in expected[0]]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < moved[0]
    assert resting.pixels < watchful.pixels


def outcomes_counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counted, compute = [], ActionSet.outcomes

    def outcomes(self: ActionSet, image: Tensor) -> Tensor:
        counted.append(1)
        return compute(self, image)

    monkeypatch.setattr(ActionSet, "outcomes", outcomes)
    return counted


@pytest.mark.parametrize("make", [Resting, Restless])
def test_no_filter_runs_on_a_picture_that_did_not_change(
    make: Callable[[], Resting], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, policy, seen = outcomes_counted(monkeypatch), make(), list[Move]()
    image = torch.full((1, 1, 20, 30), 0.25)
    maps, final = played(policy, image, None, watch=lambda t, step: seen.append(step))
    assert (maps == NOTHING).all()
    assert maps.shape == (STEPS, 1, 1, 20, 30)
    assert torch.equal(final, image)
    assert len(counted) == 1
    assert policy.pixels == (1 if policy.rests else STEPS) * 20 * 30
    assert len(seen) == STEPS
    for step in seen:
        assert torch.equal(step.after, image)


def test_edits_wake_everybody() -> None:
    image = torch.full((1, 1, 20, 30), 0.25)
    edits = (Edit(box=(0, 0, 10, 10), steps=(3,), force="grey level +1"),)
    maps = [played(policy, image, None, edits=edits) for policy in (Resting(), Restless())]
    assert torch.equal(maps[0][0], maps[1][0])
    assert torch.equal(maps[0][1], maps[1][1])
    assert (maps[0][0][2, ..., :10, :10] == PAPER_NINE.index("grey level +1")).all()


def test_who_rests() -> None:
    """Only those whose choice does not depend on the step."""
    assert FCN(9).rests
    assert not FCN(9, recurrent=True).rests
    assert Still(9, NOTHING, 1).rests
    assert not plain.Plain(9).rests
    assert InGrey(FCN(9, 3)).rests


def test_no_operation_that_does_nothing() -> None:
    """Then nobody can rest."""
    actions = ActionSet(("box", "median"))
    assert actions.nothing is None
    policy = Still(2, 0, 1).eval()
    trajectory, _ = rollout(policy, actions, half_flat(), torch.zeros(1, 1, 1, 1), 3)
    assert (trajectory.actions == 0).all()
