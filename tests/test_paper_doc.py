"""docs/paper.md is what docs/paper.json says, and the trainings on it are those of the recipes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pixelrl.training.recipe import read_recipe
from pixelrl.training.shipped import shipped_recipes

ROOT = Path(__file__).parents[1]


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    sys.modules.pop("paper", None)
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


def test_the_figure_is_drawn(paper: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra `plot`")
    paper.draw(json.loads(paper.STORE.read_text()), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
