"""docs/paper.md is what docs/paper.json says, and the trainings on it are those of the recipes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pixelrl.training.recipe import read_recipe
from pixelrl.training.shipped import shipped_recipes

ROOT = Path(__file__).parents[1]


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for module in ("paper", "paper_page"):
        sys.modules.pop(module, None)
    import paper

    return paper


def test_the_page_is_what_the_measurements_say(paper: ModuleType) -> None:
    page = paper.PAGE.read_text()
    assert paper.render(json.loads(paper.STORE.read_text()), page) == page


def test_other_measurements_make_another_page(paper: ModuleType) -> None:
    measured = json.loads(paper.STORE.read_text())
    measured["critics"]["gaussian-gru-rmc-25"]["kernel"]["kernel_sum"] = 77.0
    next(iter(measured["runs"].values()))[-1]["psnr"] = 88.0
    page = paper.render(measured, paper.PAGE.read_text())
    assert "77.00" in page
    assert "88.000" in page


def test_the_store_keeps_what_it_is_given(paper: ModuleType) -> None:
    measured = json.loads(paper.STORE.read_text())
    assert json.loads(paper.dumped(measured)) == measured
    assert list(measured["critics"]) == paper.RELEASED
    assert measured["runs"].keys() <= paper.RUNS.keys()


def test_the_trainings_change_no_more_of_a_recipe_than_the_page_says(paper: ModuleType) -> None:
    for name, (recipe, start, _) in paper.RUNS.items():
        theirs = read_recipe(shipped_recipes()[recipe])
        ours = paper.recipe_of(name, Path("photos"), {start: Path("w.safetensors")})
        assert (ours.task, ours.learner) == (theirs.task, theirs.learner)
        assert ours.reinforcement.power == theirs.reinforcement.power
        assert {**ours.policy, "width": 64} == theirs.policy
        assert ours.initial == ("w.safetensors" if start else "")


def test_the_share_of_the_mean_by_hand(paper: ModuleType) -> None:
    """Equal gradients have no noise; opposite ones have nothing else: (-1) / 1. Of (1, 0) and (1, 1) it is 1 / 1.5."""
    assert paper.mean_share(torch.tensor([[3.0, 4.0], [3.0, 4.0]])) == pytest.approx(1)
    assert paper.mean_share(torch.tensor([[1.0, 2.0], [-1.0, -2.0]])) == pytest.approx(-1)
    assert paper.mean_share(torch.tensor([[1.0, 0.0], [1.0, 1.0]])) == pytest.approx(2 / 3)


def test_the_figure_is_drawn(paper: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra `plot`")
    paper.draw(json.loads(paper.STORE.read_text()), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
