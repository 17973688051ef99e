"""Many pictures on the command line: what goes wrong with one ends none of the others, and everything is counted."""

from __future__ import annotations

import io
import json
import os
import queue
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixelrl.agent
import pixelrl.cli.progress
from pixelrl.actions import PAPER_NINE
from pixelrl.checkpoint import PolicyCard, save_policy

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
    card = PolicyCard("small", "lookahead", arguments, PAPER_NINE, 2, "sigma", {})
    path = tmp_path_factory.mktemp("policy") / "small.safetensors"
    save_policy(path, card.build(), card)
    return path


@pytest.fixture
def clean(run: Run, policy: Path) -> Run:
    """`pixelrl denoise` with the small policy and a known level."""
    return lambda *arguments: run("denoise", *arguments, "--policy", policy, "--sigma", 9)


def picture(*shape: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.jpg", "c.webp"):
        picture(12, 10, 3).save(folder / name)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_exif_beyond_what_a_jpeg_holds_costs_no_picture(clean: Run, folder: Path, tmp_path: Path) -> None:
    segment = b"\xff\xe1" + (2 + 6 + 40_000).to_bytes(2, "big") + b"Exif\0\0" + b"II*\0\x08\0\0\0" + bytes(39_992)
    data = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(data[:2] + 2 * segment + data[2:])
    code, out, _ = clean(folder, "-o", tmp_path / "out", "--quality", 95)  # else the file would stay the same
    assert code == 0
    assert names(tmp_path / "out") == ["a.png", "b.jpg", "c.webp"]
    (line,) = (line for line in out.splitlines() if "b.jpg" in line)
    assert "EXIF data (over 64 KB): left out" in line


def test_other_files_are_counted_in_a_closing_line(clean: Run, folder: Path, tmp_path: Path) -> None:
    for name in ("d.jp2", "e.psd", "f.svg", "notes.txt"):
        (folder / name).write_bytes(b"?")
    (folder / "bad.png").write_bytes(b"?")
    code, out, err = clean(folder, "-o", tmp_path / "out")
    assert code == 3
    assert len(out.splitlines()) == 3
    assert err.splitlines()[-1] == "pixelrl: 4 pictures, 4 other files skipped; 3 done, 1 failed"
    code, out, err = clean(folder, "none.png", "-o", tmp_path / "out", "--skip-existing", "--json")
    assert code == 3
    reports = [json.loads(line) for line in out.splitlines()]
    assert [sum(key in report for report in reports) for key in ("error", "skipped")] == [2, 3]
    assert [report["input"] for report in reports if "error" in report] == ["none.png", str(folder / "bad.png")]
    code, _, err = clean(folder / "*", "-o", tmp_path / "out", "--skip-existing")
    assert err.splitlines()[-1] == "pixelrl: 4 pictures, 4 other files skipped; 0 done, 1 failed, 3 left alone"


def test_inputs_without_pictures_are_named_and_not_counted_as_pictures(
    clean: Run, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling.png").symlink_to("nowhere")
    (folder / "a.webp").write_bytes((folder / "a.png").read_bytes())  # becomes a.png, too
    given = [f"{tmp_path}/empty/", str(tmp_path / "dangling.png"), str(tmp_path / "no*.png")]
    report = tmp_path / "report.jsonl"
    options = ("-o", tmp_path / "out", "--format", "png", "--report", report, "--json")
    code, out, err = clean(*given, folder, *options)
    assert code == 3
    assert err.splitlines()[-1] == "pixelrl: 4 pictures, 3 inputs without pictures; 3 done, 1 failed"
    wrong = [*given, str(folder / "a.webp")]
    for lines in (out.splitlines(), report.read_text().splitlines()):
        reports = [json.loads(line) for line in lines]
        assert [one["input"] for one in reports if one.get("error")] == wrong
        assert len(reports) == 7
    code, _, err = clean(*given[:2], "-o", tmp_path / "other")
    assert (code, err.splitlines()[-1]) == (3, "pixelrl: 0 pictures, 2 inputs without pictures; 0 done")
    code, _, err = clean(given[0], folder / "a.png", "-o", tmp_path / "other")
    assert (code, err.splitlines()[-1]) == (3, "pixelrl: 1 picture, 1 input without pictures; 1 done")


def test_a_folder_that_cannot_be_read_is_counted_apart(
    clean: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = os.walk

    def half(top, onerror):
        onerror(PermissionError(13, "Permission denied", f"{top}/closed"))
        return walk(top)

    monkeypatch.setattr("os.walk", half)
    code, _, err = clean(folder, "-o", tmp_path / "out")
    assert (code, err.splitlines()[-1]) == (3, "pixelrl: 3 pictures, 1 folder not readable; 3 done")


def test_a_fault_in_one_picture_ends_none_of_the_others(
    clean: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, errors = pixelrl.agent.Agent.__call__, [ZeroDivisionError("oops"), RuntimeError("out of memory")]

    def sometimes(self, *arguments, **settings):
        if errors:
            raise errors.pop(0)
        return original(self, *arguments, **settings)

    monkeypatch.setattr(pixelrl.agent.Agent, "__call__", sometimes)
    code, out, err = clean(folder, "-o", tmp_path / "out", "--json")
    assert code == 1  # a fault of ours
    assert names(tmp_path / "out") == ["c.webp"]
    assert f"{folder / 'a.png'}: ZeroDivisionError: oops (this is a fault of pixelrl" in err
    assert f"{folder / 'b.jpg'}: there is not enough memory for it" in err
    assert [("error" in json.loads(line)) for line in out.splitlines()] == [True, True, False]


def test_an_edit_or_a_format_that_fits_one_picture_fails_the_other(clean: Run, folder: Path, tmp_path: Path) -> None:
    picture(40, 40, 4).save(folder / "d.png")
    edits = tmp_path / "edits.json"
    edits.write_text('[{"region": {"box": [0, 0, 30, 30]}, "do": {"force": "box"}}]')
    code, _, err = clean(folder, "-o", tmp_path / "out", "--edits", edits)
    assert code == 3
    assert names(tmp_path / "out") == ["d.png"]
    for name in ("a.png", "b.jpg", "c.webp"):
        assert f"{folder / name}: edit" in err
    code, _, err = clean(folder, "-o", tmp_path / "out2", "--format", "jpeg")
    assert code == 3
    assert names(tmp_path / "out2") == ["a.jpg", "b.jpg", "c.jpg"]
    assert "d.jpg: JPEG cannot hold this 8-bit picture of 40 x 40 with transparency" in err


def test_names_that_are_too_long(clean: Run, folder: Path, tmp_path: Path) -> None:
    long = "n" * 246 + ".png"
    picture(9, 9).save(folder / long)
    code, _, err = clean(folder, "-o", tmp_path / "out", "--suffix", "_clean")
    assert code == 3
    assert names(tmp_path / "out") == ["a_clean.png", "b_clean.jpg", "c_clean.webp"]
    assert f"{folder / long}: its result's name would have 256 bytes; at most 255 are possible" in err
    for arguments in (
        ("n" * 300 + ".png", "-o", tmp_path / "o.png"),
        (folder / "a.png", "-o", tmp_path / ("n" * 300 + ".png")),
        (folder / "a.png", "-o", tmp_path / "o.png", "--trace", tmp_path / ("n" * 300)),
        (folder / "a.png", "-o", tmp_path / "o.png", "--edits", tmp_path / ("n" * 300)),
    ):
        code, _, err = clean(*arguments)
        assert code in (2, 3)
        assert "nnn" in err
        assert len(err.splitlines()) == 1


def test_a_second_run_leaves_its_own_results_alone(clean: Run, folder: Path) -> None:
    for _ in range(2):
        code, out, err = clean(folder, "-o", folder / "clean", "--overwrite")
        assert code == 0
        assert len(out.splitlines()) == 3
        assert names(folder / "clean") == ["a.png", "b.jpg", "c.webp"]
    assert "3 pictures, 3 results of an earlier run left out; 3 done" in err
    for _ in range(2):
        code, out, err = clean(folder / "*", "-o", folder, "--suffix", "_x", "--overwrite")
        assert code == 0
        assert len(out.splitlines()) == 3
    assert "3 results of an earlier run left out" in err
    assert not [name for name in names(folder) if "_x_x" in name]


def test_signs_of_life_inside_one_picture(
    clean: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, shares, said = pixelrl.agent.Agent.__call__, [], queue.SimpleQueue()
    complain = pixelrl.cli.progress.complain

    def slow(self, *arguments, progress, **settings):
        def watched(share: float) -> None:
            shares.append(share)
            progress(share)
            for _ in range(2):  # the first may have been on its way
                said.get(timeout=300)

        return original(self, *arguments, progress=watched, **settings)

    monkeypatch.setattr(pixelrl.agent.Agent, "__call__", slow)
    monkeypatch.setattr("pixelrl.cli.progress.HEARTBEAT", 0.1)
    monkeypatch.setattr("pixelrl.cli.progress.complain", lambda words: said.put(complain(words)))
    code, _, err = clean(folder, "-o", tmp_path / "out")
    assert code == 0
    np.testing.assert_allclose(shares, 3 * [1 / 3, 2 / 3, 1])  # to perceive, and two steps
    first = rf"pixelrl: {re.escape(str(folder / 'b.jpg'))}: 33 % after \d+ s, about \d+ s left \(picture 2 of 3\)"
    assert re.search(first, err), err
    assert err.splitlines()[-1] == "pixelrl: 3 pictures; 3 done"


def test_two_inputs_never_become_one_result(clean: Run, folder: Path, tmp_path: Path) -> None:
    picture(12, 10, 3).save(folder / "b.png")
    code, _, err = clean(folder, "-o", tmp_path / "out", "--format", "png")
    assert code == 3
    assert names(tmp_path / "out") == ["a.png", "b.png", "c.png"]
    assert f"{folder / 'b.png'}: its result would be {tmp_path / 'out' / 'b.png'}, like that of" in err


def test_names_that_the_output_cannot_print(clean: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "写真.png", os.fsdecode(b"caf\xe9.png")):
        picture(9, 9).save(folder / name)
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="cp1252", write_through=True))
    assert clean(folder, "-o", tmp_path / "out")[0] == 0
    assert len(printed.getvalue().splitlines()) == 3
    assert rb"\u5199\u771f.png" in printed.getvalue()
    assert len(names(tmp_path / "out")) == 3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_output_ends_no_folder(
    clean: Run, run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "pixelrl: standard output cannot be written (No space left on device)"
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code, _, err = clean(folder, "-o", tmp_path / "out")
    assert (code, err.splitlines()) == (1, [lost, "pixelrl: 3 pictures; 3 done"])
    assert len(names(tmp_path / "out")) == 3
    for arguments in (["--help"], ["policies"]):
        with open("/dev/full", "w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            assert run(*arguments) == (1, "", f"{lost}\n")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code, _, err = clean(folder / "a.png", "-o", "-")
    assert (code, "-o -: standard output cannot be written (No space left" in err) == (2, True)


def test_a_closed_pipe_ends_no_folder(
    clean: Run, run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed() -> None:
        read, write = os.pipe()
        os.close(read)
        monkeypatch.setattr(sys, "stdout", os.fdopen(write, "w"))

    closed()
    assert clean(folder, "-o", tmp_path / "out") == (0, "", "pixelrl: 3 pictures; 3 done\n")
    assert len(names(tmp_path / "out")) == 3
    closed()
    assert run("policies")[1:] == ("", "")  # quiet


def test_results_are_printed_where_stdout_is_though_a_bar_is_shown(
    clean: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    code, out, err = clean(folder, "-o", tmp_path / "out", "--json")
    assert code == 0
    assert [json.loads(line)["sigma"] for line in out.splitlines()] == [9, 9, 9]
    assert "of 3" in err


@pytest.fixture
def standard(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], io.BytesIO]:
    """Give standard input some bytes, and catch those of standard output."""

    def replace(given: bytes) -> io.BytesIO:
        out = io.BytesIO()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, write_through=True))
        return out

    return replace


@pytest.mark.parametrize(("kind", "wanted"), [("PNG", None), ("JPEG", None), ("WEBP", None), ("PNG", "tiff")])
def test_pictures_come_from_stdin_and_go_to_stdout(
    clean: Run, tmp_path: Path, standard: Callable[[bytes], io.BytesIO], kind: str, wanted: str | None
) -> None:
    given = io.BytesIO()
    picture(12, 10, 3).save(given, kind)
    (tmp_path / "in").write_bytes(given.getvalue())
    out = standard(given.getvalue())
    code, _, err = clean("-", "-o", "-", *(("--format", wanted) if wanted else ()))
    assert code == 0
    assert "standard input" in err or "- -> -" in err
    with Image.open(io.BytesIO(out.getvalue())) as image:
        assert (image.format, image.size) == ((wanted or kind).upper(), (10, 12))
    assert not (tmp_path / "-").exists()


def test_standard_streams_where_they_make_no_sense(
    clean: Run,
    folder: Path,
    tmp_path: Path,
    standard: Callable[[bytes], io.BytesIO],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for arguments, words in [
        (("-", "-o", tmp_path / "out"), "standard input has no name"),
        (("-", folder / "a.png", "-o", tmp_path / "out"), "give it alone"),
        ((folder, "-o", "-"), "standard output holds one picture"),
        ((folder / "a.png", "-o", "-", "--json"), "--json"),
        ((folder / "a.png", "-o", "x.png", "--condition", "bias=2.5"), "--condition bias=2.5 cannot be used: policy"),
        ((folder / "a.png", "-o", "x.png", "--trace", "-"), "--trace -: this cannot be written to standard output"),
        ((folder / "a.png", "-o", "x.png", "--edits", "-"), "--edits -: this is not read from standard input"),
    ]:
        standard(b"")
        code, _, err = clean(*arguments)
        assert (code, words in err) == (2, True), err
    for stream, arguments in (("stdin", ("-", "-o", tmp_path / "x.png")), ("stdout", (folder / "a.png", "-o", "-"))):
        standard(b"")
        monkeypatch.setattr(sys, stream, None)  # as Python finds a stream that is closed
        code, _, err = clean(*arguments)
        assert (code, "or closed" in err) == (2, True), err
    standard(b"no picture")
    code, _, err = clean("-", "-o", tmp_path / "x.png")
    assert (code, "standard input: its first bytes" in err) == (3, True)


def test_format_quality_and_depth(clean: Run, folder: Path, tmp_path: Path) -> None:
    sizes = {}
    for quality in (20, 95):
        assert clean(folder, "-o", tmp_path / f"{quality}", "--format", "jpeg", "--quality", quality)[0] == 0
        sizes[quality] = (tmp_path / f"{quality}" / "a.jpg").stat().st_size
    assert sizes[20] < sizes[95]
    edits = tmp_path / "edits.json"
    edits.write_text('[{"do": {"force": "box"}}]')
    deeper = ("--bit-depth", 16, "--edits", edits)
    assert clean(folder / "a.png", "-o", tmp_path / "deep.png", *deeper)[0] == 0
    deep = pixelrl.pictures.files.read_picture(tmp_path / "deep.png").pixels
    assert deep.dtype == np.uint16
    assert (deep % 257).any()  # not just 8 bits, stretched
    assert clean(tmp_path / "deep.png", "-o", tmp_path / "flat.png", "--bit-depth", 8)[0] == 0
    assert pixelrl.pictures.files.read_picture(tmp_path / "flat.png").pixels.dtype == np.uint8
    code, _, err = clean(folder / "a.png", "-o", tmp_path / "x.png", "--quality", 50)
    assert (code, "--quality is for JPEG and WebP" in err) == (2, True)
    code, _, err = clean(folder / "a.png", "-o", tmp_path / "x.png", "--format", "jpeg")
    assert (code, "--format jpeg and the ending of -o" in err) == (2, True)
    code, _, err = clean(folder / "a.png", "-o", tmp_path / "x.jpg", "--bit-depth", 16)
    assert (code, "JPEG cannot hold this 16-bit picture" in err) == (2, True)


def test_a_trace_makes_its_folder(clean: Run, folder: Path, tmp_path: Path) -> None:
    assert clean(folder / "a.png", "-o", tmp_path / "o.png", "--trace", tmp_path / "new" / "deep" / "t.npz")[0] == 0
    assert (tmp_path / "new" / "deep" / "t.npz").exists()


def test_mistakes_are_told_before_pytorch_loads(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"?")
    commands = [
        ("denoise", "nofile.png", "-o", "x.png"),
        ("denoise", folder / "a.png", "-o", folder / "b.jpg"),
        ("denoise", folder / "a.png", "-o", "x.png", "--policy", "nonsense"),
        ("denoise", folder / "a.png", "-o", "x.png", "--noise", "poisson", "--sigma", "9"),
        ("denoise", tmp_path / "bad.png", "-o", "x.png"),
        ("saliency", folder / "a.png", "-o", "x.png", "--mask", "none.png"),
        ("show", "none.npz", "-o", "x.png"),
        ("replay", "none.npz", "-o", "x.png"),
        ("explain", "none.npz", "-o", "x.html"),
        ("edit", "none.npz", "none.json", "-o", "x.png"),
        ("evaluate", "nonsense", "--data", folder, "--sigma", "9"),
        ("train", "none.toml", "-o", "run"),
        ("import", "none.npz", "-o", "x.safetensors"),
        ("studio", "none.png"),
        ("policies",),
    ]
    probe = """
import json, sys, pixelrl.cli
for command in json.load(sys.stdin):
    sys.argv = ["pixelrl", *command]
    try:
        pixelrl.cli.main()
    except SystemExit as stop:
        assert "torch" not in sys.modules, command
        assert bool(stop.code) == (command[0] != "policies"), (command, stop.code)
"""
    given = json.dumps([[str(argument) for argument in command] for command in commands]).encode()
    done = subprocess.run([sys.executable, "-c", probe], input=given, capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == len(commands) - 1, done.stderr
