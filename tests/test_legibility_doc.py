"""docs/legibility.md is what legibility.json and legibility-curves.json say."""

from __future__ import annotations

import json
from pathlib import Path

import pixelrl

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "legibility.md").read_text(encoding="utf-8")


def cells(first: str) -> list[list[str]]:
    """The rows of tables whose first cell is this one, without it."""
    rows = [[cell.strip(" *`") for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"]
    return [row[1:] for row in rows if row[0] == first]


def test_what_learning_brings() -> None:
    ways = json.loads((DOCS / "legibility.json").read_text())
    for name, sigmas in ways.items():
        losses = [sigmas[sigma][f"lost at {bits}"] for sigma in ("15", "25", "50") for bits in (0.8, 2.0, 2.5)]
        assert cells(name) == [["-" if loss is None else f"{loss:.2f}" for loss in losses]], name


def test_what_it_costs() -> None:
    curves = json.loads((DOCS / "legibility-curves.json").read_text())
    for name, curve in curves.items():
        default = curve.pop("default")
        assert default == pixelrl.load(name).legibility
        expected = [
            [level, *(f"{metric:.2f} / {bits:.1f}" for told, bits, metric in points if told in (0, 0.05, 0.2, 0.5, 1))]
            for level, points in curve.items()
        ]
        assert cells(name) == expected, name
        for points in curve.values():
            assert [bits for _, bits, _ in points] == sorted((bits for _, bits, _ in points), reverse=True)
