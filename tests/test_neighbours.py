"""What neighbours do, against loops over every pixel and its window."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pixelrl.rl.neighbours import choices, dissent, expected_dissent, votes
from pixelrl.training.sampling import sampler


def neighbours(y: int, x: int, h: int, w: int, window: int) -> list[tuple[int, int]]:
    half = window // 2
    rows, columns = range(max(0, y - half), min(h, y + half + 1)), range(max(0, x - half), min(w, x + half + 1))
    return [(v, u) for v in rows for u in columns if (v, u) != (y, x)]


@pytest.mark.parametrize(("h", "w", "window"), [(9, 7, 5), (3, 4, 5), (2, 2, 5), (1, 6, 5), (6, 8, 3), (8, 8, 7)])
def test_votes_are_means_over_the_neighbours(h: int, w: int, window: int, generator: torch.Generator) -> None:
    shares = torch.rand(2, 3, 2, h, w, generator=generator)
    result = votes(shares, window)
    assert result.shape == shares.shape
    for y in range(h):
        for x in range(w):
            around = [shares[..., v, u] for v, u in neighbours(y, x, h, w, window)]
            torch.testing.assert_close(result[..., y, x], torch.stack(around).mean(0), rtol=1e-4, atol=1e-5)


def test_a_pixel_alone_has_no_votes() -> None:
    assert votes(torch.ones(1, 2, 1, 1, 1)).flatten().tolist() == [0, 0]


def test_choices_are_ones() -> None:
    actions = torch.tensor([[0, 2], [1, 1]], dtype=torch.uint8)[None, None]
    assert choices(actions, 3)[0, :, 0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [1, 1]], [[0, 1], [0, 0]]]


def test_dissent_by_hand() -> None:
    """Of a 2 x 3 picture everybody is a neighbour: five of them."""
    actions = torch.tensor([[0, 0, 1], [0, 2, 2]], dtype=torch.uint8)[None, None]
    expected = torch.tensor([[3, 3, 5], [3, 4, 4]]) / 5
    torch.testing.assert_close(dissent(actions)[0, 0], expected)
    assert not dissent(torch.full((1, 2, 9, 9), 1, dtype=torch.uint8)).any()


def test_channels_are_not_neighbours() -> None:
    actions = torch.zeros(1, 2, 6, 6, dtype=torch.uint8)
    actions[:, 1] = 1
    assert not dissent(actions).any()


def test_what_is_expected_is_what_sampling_averages_to(generator: torch.Generator) -> None:
    logits = 2 * torch.randn(1, 3, 1, 3, 4, generator=generator)
    drawn = sampler(generator)(logits.expand(40_000, -1, -1, -1, -1))
    shares = votes(choices(drawn, 3)).mean(0)
    # A share is a mean of at most eleven draws; of 40,000 of those the standard deviation is below 0.0025.
    torch.testing.assert_close(expected_dissent(logits)[0], 1 - shares, rtol=0, atol=0.01)


def test_what_neighbours_do_is_a_constant() -> None:
    logits = torch.randn(1, 3, 1, 4, 4).requires_grad_()
    assert not expected_dissent(logits).requires_grad


def test_the_price_falls_as_neighbours_agree() -> None:
    half: Tensor = torch.zeros(1, 2, 1, 5, 5)
    sure = half.clone()
    sure[:, 0] = 9
    assert (expected_dissent(half) == 0.5).all()
    assert (expected_dissent(sure)[:, 0] < 0.01).all()
    assert (expected_dissent(sure)[:, 1] > 0.99).all()
