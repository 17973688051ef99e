"""The documentation as a whole: every page can be found, and what it says of neighbours is of their versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = {
    "hugging face hub": "huggingface_hub",
    "onnx runtime": "onnxruntime",
    "jupyter": "nbclient",
    "dask": "distributed",
}
"""Of neighbours that are called otherwise than what is installed."""


def test_every_page_stands_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    listed = set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))
    assert listed == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_neighbours_have_the_versions_that_are_tested() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name.lower(): version for name, _, version in (line.partition("==") for line in lines) if version}
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", (DOCS / "neighbours.md").read_text(encoding="utf-8"), re.MULTILINE)
    compared = 0
    for neighbour, said in rows[2:]:
        versions = re.findall(r"\d+(?:\.\d+)+", said)
        for name, version in zip(neighbour.lower().split(", "), versions, strict=True):
            name = PACKAGES.get(name, name)
            if name in pinned:
                assert version == pinned[name], f"{neighbour} is tested in version {pinned[name]}"
                compared += 1
    assert compared >= 10


def test_the_extras_are_named() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    page = (DOCS / "neighbours.md").read_text(encoding="utf-8")
    assert all(f"`{extra}`" in page for extra in set(extras) - {"dev", "docs"})
