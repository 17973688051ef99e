"""Photographs from elsewhere: cut as benchmarks/photos.toml says, and measured as docs/photos.md says."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PLAN = tomllib.loads((ROOT / "benchmarks" / "photos.toml").read_text())


def test_no_photograph_has_two_uses() -> None:
    uses = [name for part in ("train", "validation", "test") for name in PLAN[part]["names"]]
    assert len(uses) == len(set(uses))
    assert len(PLAN["test"]["names"]) == 24
    assert 2 * len(PLAN["validation"]["names"]) == 16


def test_pictures_are_reduced_and_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import training_photos

    photo = np.random.default_rng(0).integers(0, 256, (800, 1600, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    half = training_photos._reduced(tmp_path / "photo.png", "train", PLAN)
    by_hand = photo.reshape(400, 2, 800, 2, 3).mean((1, 3))
    assert np.abs(half - by_hand).max() <= 0.5 + 1e-6
    tiles = training_photos._cut(half, "train", PLAN)
    assert sum(tile.shape[0] * tile.shape[1] for tile in tiles) == 400 * 800
    assert max(max(tile.shape[:2]) for tile in tiles) < 1.5 * PLAN["tile"]
    left, right = training_photos._cut(half, "validation", PLAN)
    assert np.array_equal(np.hstack([left, right]), half)
    (whole,) = training_photos._cut(training_photos._reduced(tmp_path / "photo.png", "test", PLAN), "test", PLAN)
    assert whole.shape[0] * whole.shape[1] == pytest.approx(PLAN["test_pixels"], rel=0.02)
    (middle,) = training_photos._cut(photo, "test", PLAN)
    assert np.array_equal(middle, photo[240:560, 560:1040])


def test_a_missing_package_is_said(tmp_path: Path) -> None:
    tool = [sys.executable, str(ROOT / "tools" / "training_photos.py"), str(tmp_path / "out")]
    found = subprocess.run([*tool, "--packages", str(tmp_path)], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "holds no package plasma-workspace-wallpapers_*.deb" in found.stderr


def test_the_document_is_what_the_measurements_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import photos

    measured = json.loads((ROOT / "docs" / "photos.json").read_text())
    assert photos.render(measured) == (ROOT / "docs" / "photos.md").read_text()
