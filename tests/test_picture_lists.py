"""Which picture files a list of files, folders and patterns stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelrl.pictures.listing import Listing, list_pictures


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
    listing = list_pictures(["in"])
    names = ["a.PNG", "b.png", "other/a.png", "sub/a.png", "sub/deep/d.tiff"]
    assert listing.files == [(Path("in", name), Path(name)) for name in names]
    assert (listing.problems, listing.results) == ([], [])
    assert listing.others == [Path("in/notes.txt")]


def test_files_and_patterns_give_names(tree):
    listing = list_pictures([Path("in/sub/a.png"), "in/*", "in/**/*.tiff"])
    assert [str(relative) for _, relative in listing.files] == ["a.png", "a.PNG", "b.png", "d.tiff"]
    assert listing.problems == []
    (tree / "in" / "[1].png").touch()  # a name that looks like a pattern
    assert list_pictures(["in/[1].png"]) == Listing([(Path("in/[1].png"), Path("[1].png"))])


def test_what_is_found_twice_counts_once(tree):
    listing = list_pictures(["in/b.png", "in/../in/b.png", tree / "in" / "b.png", "in/sub", "in/sub/"])
    assert [str(relative) for _, relative in listing.files] == ["b.png", "a.png", "deep/d.tiff"]
    assert listing.problems == []


def test_problems_do_not_stop_the_other_inputs(tree):
    listing = list_pictures(["gone.png", "none", "in/*.jpg", "in/sub/a.png", "in/other/a.png", "in/b.png"])
    assert [str(file) for file, _ in listing.files] == ["in/sub/a.png", "in/b.png"]
    starts = [
        "gone.png: there is no such file",
        "none: there are no pictures",
        "in/*.jpg: no picture matches",
    ]
    starts.append("in/other/a.png: its result would be named a.png, like that of in/sub/a.png")
    assert len(listing.problems) == len(starts)
    for problem, start in zip(listing.problems, starts, strict=True):
        assert problem.message.startswith(start)
        assert problem.input == start.split(":")[0]
    assert [problem.kind for problem in listing.problems] == ["input"] * 3 + ["picture"]


def test_a_folder_that_cannot_be_read_is_not_called_empty(tree, monkeypatch):
    def walk(folder, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder)))
        return iter(())

    monkeypatch.setattr("os.walk", walk)
    message = "in/sub: this folder cannot be read; a readable one is needed"
    assert list_pictures(["in/sub/"]).problems == [("in/sub/", message, "folder")]


def test_results_of_an_earlier_run_are_told_apart(tree):
    everything = [Path("in", name) for name in ("a.PNG", "b.png", "other/a.png", "sub/a.png", "sub/deep/d.tiff")]
    listing = list_pictures(["in"], Path("in/sub"))
    assert [file for file, _ in listing.files] == everything[:3]
    assert listing.results == everything[3:]
    assert list_pictures(["in/**/*"], Path("in/sub")).results == everything[3:]
    for inside in ("in", "."):  # where the input lies in the output folder, nothing says what is a result
        assert [file for file, _ in list_pictures(["in"], Path(inside)).files] == everything
    for name in ("b_new.jpg", "other_new.png", "_new.png"):
        (tree / "in" / name).touch()
    listing = list_pictures(["in/*"], Path("in"), "_new")
    assert listing.results == [Path("in/b_new.jpg")]
    assert [str(name) for _, name in listing.files] == ["_new.png", "a.PNG", "b.png", "other_new.png"]
    assert len(list_pictures(["in/*"], Path("in")).files) == 5
