"""docs/results.md is what docs/results.json says, and the baselines beside our policies do what they are called."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import pixelrl
from pixelrl.evaluate import evaluate
from pixelrl.imaging.noise import anscombe
from pixelrl.tasks import GaussianDenoising

ROOT = Path(__file__).parents[1]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("bm3d", reason="the baselines need the extra `dev`")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    sys.modules.pop("results", None)
    import results

    return results


@pytest.fixture
def baselines(results: ModuleType) -> ModuleType:
    return sys.modules["baselines"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two grey photographs of 40x48, smooth with an edge."""
    folder = tmp_path / "data" / "gray" / "test"
    folder.mkdir(parents=True)
    y, x = np.mgrid[:40, :48]
    for name, phase in (("a", 0.0), ("b", 2.0)):
        pixels = 128 + 50 * np.sin(x / 7 + phase) * np.cos(y / 9) + 40 * (x > 20)
        PillowImage.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}.png")
    return tmp_path / "data"


def test_the_document_is_what_the_measurements_say(results: ModuleType) -> None:
    store = ROOT / "docs" / "results.json"
    if not store.exists():
        pytest.skip("docs/results.json is not there: nothing has been measured")
    assert results.render(json.loads(store.read_text())) == (ROOT / "docs" / "results.md").read_text()


@pytest.mark.parametrize(
    "key",
    ["gaussian-gray", "gaussian-color", "poisson-gray", "poisson-color", "saltpepper-gray", "saltpepper-color"],
)
def test_baselines_bring_a_noisy_image_nearer_to_the_clean_one(
    baselines: ModuleType, key: str, generator: torch.Generator
) -> None:
    comparison = baselines.COMPARISONS[key]
    y, x = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    clean = (0.5 + 0.2 * torch.sin(x / 7) * torch.cos(y / 9) + 0.15 * (x > 20))[None, None]
    if "color" in key:
        clean = torch.cat([clean, 1 - clean, clean.flip(-1)], 1)
    level = comparison.task.levels[1]
    noisy = comparison.task.degrade(clean, level, generator).image
    before = noisy.clone()
    for baseline in comparison.baselines:
        result = baseline.run(noisy, level)
        assert result.shape == clean.shape, baseline.name
        assert result.dtype == torch.float32, baseline.name
        assert torch.equal(noisy, before), f"{baseline.name} wrote into its input"
        if baseline.name != "the noisy image":
            assert (result - clean).square().mean() < 0.5 * (noisy - clean).square().mean(), baseline.name


def test_the_inverse_anscombe_transform_by_hand(baselines: ModuleType) -> None:
    # At D = 2 sqrt(3/2): 6/4 + 1/8 - 11/48 + 5/96 - 1/8. At D = sqrt(3/2), the transform of 0, the terms cancel:
    # 3/8 + 1/4 - 11/12 + 5/12 - 1/8.
    assert baselines.inverse_anscombe(2 * math.sqrt(1.5)) == pytest.approx(1.5 - 11 / 48 + 5 / 96)
    assert baselines.inverse_anscombe(np.array([math.sqrt(1.5), 0.5])) == pytest.approx([0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("mean", [0.5, 2.0, 10.0, 100.0])
def test_the_inverse_anscombe_transform_is_unbiased(baselines: ModuleType, mean: float) -> None:
    photons = torch.arange(400, dtype=torch.float64)
    chances = torch.exp(photons * math.log(mean) - mean - torch.lgamma(photons + 1))
    transformed = (chances * anscombe(photons, 1.0)).sum().item()
    assert baselines.inverse_anscombe(transformed) == pytest.approx(mean, rel=0.02)
    assert (transformed / 2) ** 2 - 3 / 8 < mean - 0.1  # what plain inversion would give


def test_fill_ends_where_nothing_is_known(baselines: ModuleType) -> None:
    fill = next(each for each in baselines.SALT_PEPPER if "fill" in each.name)
    black = torch.zeros(1, 1, 12, 12)
    assert torch.equal(fill.run(black, 0.9), black)
    one_known = black.clone()
    one_known[..., 5, 5] = 0.25
    assert torch.allclose(fill.run(one_known, 0.9), torch.full_like(black, 0.25))


def test_policies_are_measured_as_evaluate_measures_them(results: ModuleType, data: Path) -> None:
    file, task = pixelrl.shipped_policies()["denoise-gray"], GaussianDenoising()
    plain, eight = results.policy_methods("denoise-gray", file, task)
    folder = data / "gray" / "test"
    for method, ensemble in ((plain, False), (eight, True)):
        row = results.measure(method, task, 25.0, sorted(folder.iterdir()))
        scores = list(
            evaluate(
                pixelrl.load("denoise-gray", "cpu"),
                folder,
                task,
                25.0,
                ensemble=ensemble,
                legibility=None if ensemble else 0.0,
            )
        )
        assert row["psnr"] == pytest.approx(sum(score.after for score in scores) / 2, abs=1e-4)
        assert row["ssim"] == pytest.approx(sum(score.ssim for score in scores) / 2, abs=1e-4)


def test_a_policy_for_grey_pictures_runs_on_each_channel(
    results: ModuleType, baselines: ModuleType, data: Path, tmp_path: Path
) -> None:
    """On the first of two photographs, as the comparison says."""
    colour = tmp_path / "color" / "test"
    colour.mkdir(parents=True)
    for file in sorted((data / "gray" / "test").iterdir()):
        with PillowImage.open(file) as photo:
            PillowImage.merge("RGB", [photo, photo.transpose(PillowImage.Transpose.ROTATE_180), photo]).save(
                colour / file.name
            )
    comparison = dataclasses.replace(baselines.COMPARISONS["poisson-color"], first=1)
    files = {"poisson-gray": pixelrl.shipped_policies()["poisson-gray"]}
    results.COMPARISONS["poisson-color"] = comparison
    (method,) = (each for each in results.methods_of(comparison, files) if "poisson" in each.name)
    assert method.name == "poisson-gray on each channel"
    noisy = torch.rand(1, 3, 16, 24)
    told = comparison.task.conditioning.condition(noisy, {"peak": 30.0})
    alone = [method.run(noisy[:, c : c + 1], 30.0, told) for c in range(3)]
    assert torch.equal(method.run(noisy, 30.0, told), torch.cat(alone, 1))
    results.run(tmp_path, tmp_path, files, ["poisson-color"], [method.name], [], 1, None)
    measured = results.stored(tmp_path)["poisson-color"][method.name]
    assert {row["images"] for row in measured.values()} == {1}
    assert f"| {method.name} | {measured['120']['psnr']:.2f} / " in (tmp_path / "results.md").read_text()


def test_only_what_is_missing_or_stale_is_measured(
    results: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[tuple[str, float]] = []
    measure = results.measure

    def counted(method: Any, task: Any, level: float, pictures: Any) -> Any:
        measured.append((method.name, level))
        return measure(method, task, level, pictures)

    def run(again: list[str], threads: int = 1) -> int:
        measured.clear()
        results.run(data, tmp_path, {}, ["saltpepper-gray"], ["median*"], again, threads, None)
        return len(measured)

    monkeypatch.setattr(results, "measure", counted)
    assert run([]) == 6
    assert "the policy saltpepper-gray is not shipped; skipped" in capsys.readouterr().out
    assert run([]) == 0
    assert run(["median 3*"]) == 3
    assert run([], threads=2) == 6
    (data / "gray" / "test" / "b.png").unlink()
    assert run([], threads=2) == 6
    assert (tmp_path / "results.md").read_text() == results.render(results.stored(tmp_path))


def row(psnr: float, **changes: object) -> dict[str, object]:
    values: dict[str, object] = {"psnr": psnr, "ssim": 0.5, "seconds": 4.0, "cpu_seconds": 2.0, "images": 68}
    return {**values, "made_by": "x", "machine": "Chip A", "threads": 1, **changes}


def test_the_tables(results: ModuleType) -> None:
    both = {"median 3x3": {"0.1": row(20.0), "0.5": row(12.0)}, "median 5x5": {"0.1": row(19.0), "0.5": row(13.0)}}
    ours = {"saltpepper-gray": {"0.1": row(30.0, machine="Chip B")}, "saltpepper-gray-nine x8": {"0.9": row(21.0)}}
    text = results.render({"saltpepper-gray": {**both, **ours}})
    assert "| saltpepper-gray | 30.00 / 0.5000 | - | - | 2.000 [2] |" in text
    assert "| saltpepper-gray-nine x8 | - | - | 21.00 / 0.5000 | 2.000 [1] |" in text
    assert (
        "| median, at each level the better of 3x3 and 5x5 | 20.00 / 0.5000 | 13.00 / 0.5000 | - | 2.000 [1] |" in text
    )
    assert "- [2] Chip B, 1 thread" in text
    assert "| *published: PixelRL* | *36.51* / - | *27.91* / - | *22.73* / - | - |" in text
    assert "Poisson noise, grey" not in text
