"""The examples run as they are, and leave pictures."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from test_snippets import ROOT, workplace

__all__ = ["workplace"]

# exposure.py is a module that recipes name, and tests/test_outside_module.py uses all of it; tests/test_envs.py runs
# ppo_pixels.py and looks at what was learned.
PROGRAMS = [
    path
    for path in sorted((ROOT / "examples").glob("*.py"))
    if "__main__" in path.read_text(encoding="utf-8") and path.name != "ppo_pixels.py"
]


# As many as are looked at here.
OPTIONS = {"damaged_codes.py": ["--number", "10"]}


@pytest.mark.parametrize("example", PROGRAMS, ids=lambda example: example.name)
def test_examples_run(example: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(example), "out", *OPTIONS.get(example.name, ())])
    runpy.run_path(str(example), run_name="__main__")
    assert list((workplace / "out").rglob("*.png"))
