"""Every snippet in the README and the documentation runs as it is typed, from the top.

A block that cannot run here is preceded by a comment that says why: ``<!-- not run: REASON -->``.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from skimage import data

from pixelrl import load_edits

Run = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?P<comment><!--[^>]*-->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"": "shell", "sh": "shell", "python": "python", "json": "json", "toml": "toml"}


class Block(NamedTuple):
    """A snippet: its language, a key of `LANGUAGES`; the first of its lines; why it is not run, or ""."""

    language: str
    line: int
    text: str
    reason: str


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        reason = re.search(r"not run: (.+?) -->", match["comment"] or "")
        line = text[: match.start("text")].count("\n")
        found.append(Block(match["language"], line, match["text"], reason[1] if reason else ""))
    return found


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, as a user might have it, and what goes with it."""
    monkeypatch.chdir(tmp_path)
    clean = data.astronaut()[20:116, 160:280]
    noise = np.random.default_rng(0).normal(0, 15, clean.shape)
    noisy = Image.fromarray(np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8))
    noisy.save("photo.jpg", quality=95)
    noisy.save("photo.png")
    Image.fromarray(clean).save("original.png")
    Image.fromarray(np.uint8(255) * (clean.mean(-1) > 128)).save("sky.png")
    return tmp_path


WITH_SNIPPETS = [document for document in DOCUMENTS if any(not block.reason for block in blocks(document))]


@pytest.mark.parametrize("document", WITH_SNIPPETS, ids=lambda document: document.name)
def test_snippets_run_as_they_are_typed(document: Path, workplace: Path, run: Run) -> None:
    names: dict[str, object] = {}
    for block in blocks(document):
        kind = LANGUAGES[block.language]
        if block.reason:
            continue
        if kind == "python":
            exec(compile("\n" * block.line + block.text, str(document), "exec"), names)
        elif kind == "json":
            Path("edits.json").write_text(block.text, encoding="utf-8")
            load_edits("edits.json")
        elif kind == "toml":
            tomllib.loads(block.text)
        elif kind == "shell":
            for line in block.text.splitlines():
                where = f"{document.name}: {line}"
                if line.startswith("pixelrl ") and "<" not in line:
                    code, _, err = run(*shlex.split(line, comments=True)[1:])
                    assert code == 0, f"{where}\n{err}"
                else:
                    line = line.replace("pixelrl ", f"{sys.executable} -m pixelrl ")
                    assert subprocess.run(line, shell=True, check=False).returncode == 0, where


def test_every_document_with_snippets_is_run() -> None:
    assert {"README.md", "tutorial.md", "guide.md", "python.md", "edits.md", "explain.md", "saliency.md"} <= {
        document.name for document in WITH_SNIPPETS
    }
