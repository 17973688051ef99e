"""An encoder that gets rows in strips says what it says of the whole image, bit for bit."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pixelrl.policies import Lookahead, estimating
from pixelrl.policies.strips import rows_of_strips
from pixelrl.precision import Precision


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 0.3 + 0.5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("estimator", ["plain", "impulses"])
@pytest.mark.parametrize("deepest", [0, 2])
@pytest.mark.parametrize(("height", "width"), [(802, 131), (799, 132)])
def test_strips_change_no_bit(
    height: int,
    width: int,
    deepest: int,
    estimator: str,
    precision: Precision,
    monkeypatch: pytest.MonkeyPatch,
    randomise: Callable[[torch.nn.Module], None],
) -> None:
    policy = Lookahead(9, 1, 16, 32, (1, 2, 1), 4, estimator=estimator, deepest=deepest, deepest_width=96)
    randomise(policy)
    policy.precision = precision
    image, condition = noise(1, 1, height, width), torch.rand(1, 1, height, width)
    taken: list[tuple[int, int]] = []

    def watched(*args: int) -> list[tuple[int, int]]:
        taken.extend(rows_of_strips(*args))
        return taken

    monkeypatch.setattr(estimating, "rows_of_strips", watched)
    with torch.no_grad():
        whole = policy.perceive(image, condition)
        assert not taken
        monkeypatch.setattr(estimating, "STRIP", 2**15)
        assert torch.equal(policy.perceive(image, condition), whole)
    assert len(taken) == 3


def test_with_a_gradient_the_image_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, image = Lookahead(9, 1, 8, 8, (1, 1, 1), 4), noise(1, 1, 200, 64)
    monkeypatch.setattr(estimating, "rows_of_strips", None)
    monkeypatch.setattr(estimating, "STRIP", 2**12)
    policy.perceive(image, torch.zeros(1, 1, 1, 1))


@pytest.mark.parametrize("height", [1, 50, 64, 333, 1000])
@pytest.mark.parametrize("width", [1, 100, 5000])
def test_strips_cover_an_image(height: int, width: int) -> None:
    parts = list(rows_of_strips(height, width, 2**14, 48, 4))
    assert (parts[0][0], parts[-1][1]) == (0, height)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(parts))
    assert all(start % 4 == 0 for start, _ in parts)
    assert len(parts) == 1 or min(stop - start for start, stop in parts) >= 48
