"""What a command reads, it never writes over; and a command that is refused leaves all files alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixelrl
from pixelrl.actions import PAPER_NINE
from pixelrl.checkpoint import PolicyCard, save_policy
from pixelrl.trace import save_trace

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A file of each kind that commands read."""
    folder = tmp_path_factory.mktemp("made")
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
    card = PolicyCard("small", "lookahead", arguments, PAPER_NINE, 2, "sigma", {})
    save_policy(folder / "small.safetensors", card.build(), card)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    Image.fromarray(255 - pixels).save(folder / "clean.png")
    Image.fromarray(np.uint8(255) * (pixels > 99)).save(folder / "mask.png")
    save_trace(folder / "t.npz", pixelrl.load(folder / "small.safetensors")(pixels, sigma=9).trace())
    (folder / "edits.json").write_text("[]\n")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def here(made: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, data in made.items():
        Path(name).write_bytes(data)
    os.link("edits.json", "linked.json")
    return tmp_path


DENOISE = "denoise photo.png --policy small.safetensors --sigma 9 -o out.png"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"{DENOISE} --edits edits.json --report edits.json", "--report edits.json is also the edits"),
        (f"{DENOISE} --edits edits.json --trace edits.json", "--trace edits.json is also the edits"),
        (f"{DENOISE} --edits edits.json --trace linked.json", "--trace linked.json is also the edits"),
        (f"{DENOISE} --trace small.safetensors", "--trace small.safetensors is also the policy"),
        (f"{DENOISE} --report small.safetensors", "--report small.safetensors is also the policy"),
        (f"{DENOISE} --trace photo.png", "--trace photo.png is also the picture"),
        (f"{DENOISE} --trace out.png", "--trace out.png is also the picture"),
        (f"{DENOISE} --trace new --report new", "--report new is also what --trace names"),
        ("restore photo.png -o out.png --mask mask.png --report mask.png", "--report mask.png is also the mask"),
        ("restore photo.png -o mask.png --mask mask.png", "-o mask.png is also the mask"),
        ("saliency photo.png -o out.png --mask mask.png --save-mask mask.png", "--save-mask mask.png is also the mask"),
        ("edit t.npz edits.json -o out.png --trace edits.json", "--trace edits.json is also the edits"),
        ("edit t.npz edits.json -o out.png --trace out.png", "--trace out.png is also the picture"),
        ("noise photo.png -o photo.png", "-o photo.png is also a picture"),
        ("compare photo.png clean.png -o photo.png", "-o photo.png is also a picture"),
        ("compare photo.png --target clean.png -o clean.png", "-o clean.png is also the target"),
        ("explain t.npz --reference clean.png -o clean.png", "-o clean.png is also the reference"),
        ("show t.npz --reference clean.png -o clean.png", "-o clean.png is also the reference"),
        (
            "evaluate small.safetensors --data . --sigma 9 --limit 1 --json small.safetensors",
            "--json small.safetensors is also the policy",
        ),
    ],
)
def test_what_is_read_is_not_written_over(
    run: Run, here: Path, made: dict[str, bytes], command: str, words: str
) -> None:
    code, _, err = run(*command.split(), "--overwrite")
    assert (code, f"{words}; give another name" in err) == (2, True), err
    assert {name: Path(name).read_bytes() for name in made} == made
    assert not Path("out.png").exists()


def test_a_picture_may_be_replaced_by_its_result(run: Run, here: Path, made: dict[str, bytes]) -> None:
    assert run(*DENOISE.replace("out", "photo").split(), "--overwrite")[0] == 0
    assert Path("photo.png").read_bytes() != made["photo.png"]


@pytest.mark.parametrize("content", ['{"a":1}', "1;2;3", "line 1\nlast line without newline", '{"input": 1}\n1;2', ""])
def test_what_is_no_report_stays_as_it_is(run: Run, here: Path, content: str) -> None:
    Path("notes").write_text(content)
    code, _, err = run(*DENOISE.split(), "--report", "notes", "--skip-existing")
    if not content:
        assert code == 0
        return
    assert (code, "notes is no report of pixelrl" in err) == (2, True)
    assert Path("notes").read_text() == content


def test_a_torn_line_of_a_report_goes(run: Run, here: Path) -> None:
    assert run(*DENOISE.split(), "--report", "r")[0] == 0
    whole = Path("r").read_text()
    for torn in (whole[:1], whole[:9], whole[:-1]):
        Path("r").write_text(whole + torn)
        assert run(*DENOISE.split(), "--report", "r", "--skip-existing")[0] == 0
        assert Path("r").read_text() == whole
        Path("r").write_text(torn)
        assert run(*DENOISE.split(), "--report", "r", "--skip-existing")[0] == 0
        assert Path("r").read_text().startswith(whole[:9])


@pytest.mark.parametrize("fault", ["-o z.txt", "-o z.png --edits bad.json", "-o z.png --steps 1 --white 0"])
def test_a_command_that_is_refused_leaves_the_report(run: Run, here: Path, fault: str) -> None:
    Path("bad.json").write_text("{}")
    assert run(*DENOISE.split(), "--report", "r")[0] == 0
    before = Path("r").read_bytes()
    command = DENOISE.replace("-o out.png", fault).split()
    assert run(*command, "--report", "r", "--overwrite")[0] == 2
    assert Path("r").read_bytes() == before
    assert run(*command, "--report", "new", "--overwrite")[0] == 2
    assert not Path("new").exists()


def test_maps_that_are_there_stop_a_drawing_before_it_is_written(run: Run, here: Path) -> None:
    Path("maps").mkdir()
    Path("maps/step-02.png").write_text("mine")
    code, _, err = run("show", "t.npz", "-o", "new.png", "--maps", "maps")
    assert (code, "step-02.png exists" in err) == (2, True)
    assert [path.name for path in Path("maps").iterdir()] == ["step-02.png"]
    assert not Path("new.png").exists()
    assert run("show", "t.npz", "-o", "new.png", "--maps", "maps", "--overwrite")[0] == 0
    assert len([*Path("maps").iterdir()]) == 2


@pytest.mark.parametrize(
    "command",
    [
        ["denoise", "photo.png", "-o", "", "--overwrite"],
        ["denoise", "", "-o", "out"],
        ["noise", ""],
        ["compare", "photo.png", "", "-o", "sheet.png"],
        ["denoise", "photo.png", "-o", "out.png", "--trace", ""],
    ],
)
def test_an_empty_name_is_no_folder(run: Run, here: Path, made: dict[str, bytes], command: list[str]) -> None:
    code, _, err = run(*command)
    assert (code, "the name is empty" in err) == (2, True), err
    assert {name: Path(name).read_bytes() for name in made} == made


def test_a_report_to_where_messages_go_removes_none(here: Path) -> None:
    command = [sys.executable, "-m", "pixelrl", *DENOISE.split(), "--report", "/dev/stdout", "--overwrite"]
    with open("log", "ab") as log:
        subprocess.run(command, stdout=log, check=True)
    assert len(Path("log").read_text().splitlines()) == 2
