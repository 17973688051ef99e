"""docs/real.md is what real.json and robust.json say, and what is measured there is what the command gives."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image as PillowImage

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    pytest.importorskip("bm3d", reason="the baselines need the extra `dev`")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")

    def load(name: str) -> ModuleType:
        sys.modules.pop(name, None)
        return __import__(name)

    return load


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with one picture of CC15 and one of W2S, noisy and clean."""
    y, x = np.mgrid[:40, :48]
    clean = 120 + 40 * np.sin(x / 7) * np.cos(y / 9)
    noisy = clean + np.random.default_rng(0).normal(0, 15, clean.shape)
    for folder, kind, color in (("cc15", "real", True), ("w2s-val", "noisy", False)):
        (tmp_path / folder).mkdir()
        for name, values in ((kind, noisy), ("mean", clean)):
            pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
            picture = np.stack([pixels, pixels[::-1], 255 - pixels], 2) if color else pixels
            PillowImage.fromarray(picture).save(tmp_path / folder / f"070_0_{name}.png")
    return tmp_path


@pytest.mark.parametrize(("name", "section"), [("real", "real pictures"), ("robust", "other pictures")])
def test_the_tables_are_what_the_measurements_say(
    benchmarks: Callable[[str], ModuleType], name: str, section: str
) -> None:
    page = (DOCS / "real.md").read_text(encoding="utf-8")
    between = page.split(f"<!-- {section} -->")[1].split(f"<!-- end of {section} -->")[0]
    store = DOCS / f"{name}.json"
    measured = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    assert between.strip() == benchmarks(name).render(measured).strip()


def test_the_page_of_tables_and_the_table_say_the_same() -> None:
    rows = json.loads((DOCS / "real.json").read_text(encoding="utf-8"))["cc15"]
    mean = np.mean([values["psnr"] for values in rows["pixelrl denoise, told nothing"]["values"].values()])
    page = (DOCS / "quality.md").read_text(encoding="utf-8")
    line = next(line for line in page.splitlines() if "told nothing" in line)
    assert f"**{mean:.2f}**" in line


def test_every_crop_is_shown_and_said(benchmarks: Callable[[str], ModuleType]) -> None:
    page = (DOCS / "before-after.md").read_text(encoding="utf-8")
    crops = benchmarks("before_after").CROPS
    assert len(crops) == 12
    assert {path.stem for path in (DOCS / "before-after").iterdir()} == set(crops)
    for name in crops:
        assert f"(before-after/{name}.jpg)" in page.split(f"<!-- {name} -->")[1].split(f"<!-- end of {name} -->")[0]
        words = page.split(f"<!-- end of {name} -->")[1].split("\n**")[0].split("\n##")[0].strip()
        assert len(words) > 20, f"nothing is said of {name}"


def test_pairs_and_their_scores(benchmarks: Callable[[str], ModuleType], pair: Path) -> None:
    real = benchmarks("real")
    assert not real.SETS["w2s-choices"].pairs(pair)
    assert list(real.SETS["w2s"].pairs(pair)) == ["070_0"]
    noisy, mean = real.SETS["cc15"].pairs(pair)["070_0"]
    rows = {method.name: method for method in real.methods(color=True)}
    before = real.score(rows[real.NOISY], noisy, mean, False)["psnr"]
    error = np.mean((np.asarray(PillowImage.open(noisy), float) - np.asarray(PillowImage.open(mean), float)) ** 2)
    assert before == pytest.approx(10 * np.log10(255**2 / error))
    for name in (real.AUTOMATIC, "denoise-color, 15", f"{real.NLM}, 15", "CBM3D, 15"):
        assert real.score(rows[name], noisy, mean, False)["psnr"] > before + 3, name


def test_an_affine_change_costs_nothing_where_it_is_fitted(benchmarks: Callable[[str], ModuleType]) -> None:
    real = benchmarks("real")
    target = np.random.default_rng(1).integers(0, 256, (16, 16)).astype(np.uint8)
    changed = 0.5 * target + 20
    noise = np.random.default_rng(2).normal(0, 1, target.shape)
    assert real.psnr(changed, target, fitted=False) < 15
    assert real.psnr(changed + noise, target, fitted=True) > 40


def test_a_row_goes_on_where_it_was(benchmarks: Callable[[str], ModuleType], tmp_path: Path) -> None:
    kept = benchmarks("kept")
    asked: list[str] = []

    def runs(*names: str) -> dict[str, Callable[[], dict[str, float]]]:
        return {name: lambda name=name: asked.append(name) or {"psnr": 30.0} for name in names}

    def measure(made_by: str, *names: str, again: bool = False) -> list[str]:
        asked.clear()
        kept.measured(tmp_path / "kept.json", "set", "row", made_by, "data", runs(*names), again)
        return list(asked)

    assert measure("one", "a", "b") == ["a", "b"]
    assert measure("one", "a", "b", "c") == ["c"]
    assert measure("one", "a", "b", "c") == []
    assert measure("two", "a", "b") == ["a", "b"]
    assert measure("two", "a", "b", again=True) == ["a", "b"]
    assert list(kept.stored(tmp_path / "kept.json")["set"]["row"]["values"]) == ["a", "b"]


def test_means_of_parts_and_bounds(benchmarks: Callable[[str], ModuleType]) -> None:
    real = benchmarks("real")

    def row(**psnr: float) -> dict[str, object]:
        return {"made_by": "x", "data": "y", "values": {name: {"psnr": value} for name, value in psnr.items()}}

    rows = {
        real.NOISY: row(a=20.0, b=24.0),
        "denoise-color, 5": row(a=30.0, b=28.0),
        "denoise-color, 15": row(a=26.0, b=34.0),
        "CBM3D, 15": row(a=40.0),
    }
    text = real.render({"cc15": rows})
    assert "| the noisy picture | 22.00 |" in text
    assert "| denoise-color, the best sigma for all (bound) | 30.00 (15) |" in text
    assert "| denoise-color, the best sigma for each picture (bound) | 32.00 |" in text
    assert "CBM3D, the best" not in text  # it was not measured on the whole set
    assert "CC15, CBM3D, 15 on 1 of them alone: 40.00; the noisy picture 20.00." in text
    assert "| *published: MCWNNM (its authors' files)* | *36.88* |" in text


def test_equal_pictures_count_as_so_much(benchmarks: Callable[[str], ModuleType]) -> None:
    robust = benchmarks("robust")
    pixels = np.full((8, 8, 3), 100, np.uint8)
    assert robust.psnr(pixels, pixels) is None
    values = {"a": {"psnr": None}, "b": {"psnr": 40.0}}
    table = robust.render({"clean": {"colour, told nothing": {"values": values}}})
    assert "| colour, told nothing | 2 | 1 | 50.00 | 40.00 |" in table


def test_dark_pictures_have_the_mean_that_is_said(benchmarks: Callable[[str], ModuleType]) -> None:
    robust = benchmarks("robust")
    y, x = np.mgrid[:64, :64]
    clean = (100 + 60 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint8)
    for name, mean in robust.MEANS.items():
        values = robust.bias(clean, "a", mean=mean, options=("--sigma", "25"))
        assert (values["noisy bias"] > 3) == (name == "dark"), "clipping lifts black and lowers white"
        assert abs(values["noisy bias"]) > 3
