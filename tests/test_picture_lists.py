"""Which picture files a list of files, folders and patterns stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelrl.errors import InputError
from pixelrl.pictures.files import list_pictures


@pytest.fixture
def tree(tmp_path, monkeypatch):
    names = "b.png a.PNG notes.txt .hidden.png .cache/c.png sub/a.png sub/deep/d.tiff other/a.png"
    for name in names.split():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "none").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_are_mirrored(tree):
    found, problems = list_pictures(["in"])
    names = ["a.PNG", "b.png", "other/a.png", "sub/a.png", "sub/deep/d.tiff"]
    assert found == [(Path("in", name), Path(name)) for name in names]
    assert problems == []


def test_files_and_patterns_give_names(tree):
    found, problems = list_pictures([Path("in/sub/a.png"), "in/*", "in/**/*.tiff"])
    assert [str(relative) for _, relative in found] == ["a.png", "a.PNG", "b.png", "d.tiff"]
    assert problems == []
    (tree / "in" / "[1].png").touch()  # a name that looks like a pattern
    assert list_pictures(["in/[1].png"]) == ([(Path("in/[1].png"), Path("[1].png"))], [])


def test_what_is_found_twice_counts_once(tree):
    found, problems = list_pictures(["in/b.png", "in/../in/b.png", tree / "in" / "b.png", "in/sub", "in/sub/"])
    assert [str(relative) for _, relative in found] == ["b.png", "a.png", "deep/d.tiff"]
    assert problems == []


def test_problems_do_not_stop_the_other_inputs(tree):
    found, problems = list_pictures(["gone.png", "none", "in/*.jpg", "in/sub/a.png", "in/other/a.png", "in/b.png"])
    assert [str(file) for file, _ in found] == ["in/sub/a.png", "in/b.png"]
    starts = [
        "gone.png: there is no such file",
        "none: there are no pictures",
        "in/*.jpg: no picture matches",
    ]
    starts.append("in/other/a.png: its result would be named a.png, like that of in/sub/a.png")
    assert len(problems) == len(starts)
    for problem, start in zip(problems, starts, strict=True):
        assert isinstance(problem, InputError)
        assert str(problem).startswith(start)
