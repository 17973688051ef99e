"""Many pictures by processes or a dask cluster: the same bits as by one, and no fault costs another picture."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelrl import Agent
from pixelrl.actions import PAPER_NINE
from pixelrl.checkpoint import PolicyCard, save_policy
from pixelrl.errors import UsageError
from pixelrl.evaluate import evaluate_pairs

Run = Callable[..., tuple[int, str, str]]
NUMBER = 6
SMALL = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy, and six pictures in ``in``."""
    home = tmp_path_factory.mktemp("home")
    card = PolicyCard("small", "lookahead", SMALL, PAPER_NINE, 2, "sigma", {})
    save_policy(home / "small.safetensors", card.build(), card)
    (home / "in" / "deep").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(NUMBER):
        noise = generator.integers(0, 256, (24, 32), np.uint8)
        Image.fromarray(noise).save(home / "in" / ("deep" if number % 2 else "") / f"{number}.png")
    return home


@pytest.fixture
def clean(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(home)  # paths that are relative must hold for workers elsewhere, too
    return lambda *arguments: run("denoise", *arguments, "--policy", "small.safetensors", "--sigma", 30)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones, too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines(report: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in report.read_text().splitlines()]


@pytest.fixture
def alone(clean: Run, tmp_path: Path) -> dict[str, bytes]:
    """What one process makes of the pictures."""
    assert clean("in", "-o", tmp_path / "alone")[0] == 0
    return files(tmp_path / "alone")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=60
    ) as cluster:
        os.chdir(before)
        yield cluster.scheduler_address


def test_processes_make_the_same_bits_and_who_starts_them_needs_no_pytorch(
    home: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    program = (
        "import sys, pixelrl.cli\n"
        "if __name__ == '__main__':\n"
        "    try: pixelrl.cli.main()\n"
        "    finally: assert 'torch' not in sys.modules\n"
    )
    (tmp_path / "program.py").write_text(program)
    options = ["--policy", "small.safetensors", "--sigma", "30", "--workers", "2", "--json"]
    command = [sys.executable, str(tmp_path / "program.py"), "denoise", "in", "-o", str(tmp_path / "out"), *options]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (0, ["pixelrl: 6 pictures; 6 done"]), done.stderr
    assert {json.loads(line)["input"] for line in done.stdout.splitlines()} == {f"in/{name}" for name in alone}
    assert files(tmp_path / "out") == alone


DEADLY = """
import os, pathlib, signal
import pixelrl.agent
call = pixelrl.agent.Agent.__call__
def deadly(self, image, **settings):
    once = pathlib.Path({once!r})
    if image.shape[:2] == (41, 41) or image.shape[:2] == (40, 40) and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return call(self, image, **settings)
if os.getpid() != {pid}:
    pixelrl.agent.Agent.__call__ = deadly
"""
"""A module that kills whoever imports it for a picture of 41x41, and once for one of 40x40."""


def test_a_picture_that_kills_who_works_on_it_is_named(
    clean: Run, run: Run, alone: dict[str, bytes], tmp_path: Path
) -> None:
    folder, report, module = tmp_path / "in", tmp_path / "report.jsonl", tmp_path / "deadly.py"
    module.write_text(DEADLY.format(once=str(tmp_path / "once"), pid=os.getpid()))
    folder.mkdir()
    Image.fromarray(np.zeros((41, 41), np.uint8)).save(folder / "41.png")
    (folder / "text.png").write_text("no picture")
    options = ("--policy", "small.safetensors", "--sigma", 30, "--report", report, "--workers", 1)
    code, out, err = run("--import", module, "denoise", folder, "in", "-o", tmp_path / "out", *options)
    assert code == 3
    assert f"{folder / '41.png'}: the processes that worked on it were killed" in err
    assert f"{folder / 'text.png'}: " in err
    assert err.splitlines()[-1] == "pixelrl: 8 pictures; 6 done, 2 failed"
    assert len(out.splitlines()) == NUMBER
    assert files(tmp_path / "out") == alone
    assert len(lines(report)) == 8
    assert {line["input"] for line in lines(report) if line["error"]} == {
        str(folder / "41.png"),
        str(folder / "text.png"),
    }
    for line in lines(report):
        assert list(line)[:6] == ["input", "output", "seconds", "policy", "condition", "error"]


def test_dask_makes_the_same_bits_though_a_worker_is_killed(
    clean: Run, run: Run, alone: dict[str, bytes], tmp_path: Path, scheduler: str
) -> None:
    folder, report, module = tmp_path / "in", tmp_path / "report.jsonl", tmp_path / "deadly_once.py"
    module.write_text(DEADLY.format(once=str(tmp_path / "once"), pid=os.getpid()))
    folder.mkdir()
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / "40.png")
    options = ("--policy", "small.safetensors", "--sigma", 30, "--report", report, "--dask", scheduler)
    code, out, err = run("--import", module, "denoise", "in", folder, "-o", tmp_path / "out", *options)
    assert (code, err.splitlines()[-1]) == (0, "pixelrl: 7 pictures; 7 done")
    assert (tmp_path / "once").exists()
    found = files(tmp_path / "out")
    assert found.pop("40.png")
    assert found == alone
    given = {f"in/{name}" for name in alone} | {str(folder / "40.png")}
    assert {line["input"] for line in lines(report)} == given
    assert {line.split(" -> ")[0] for line in out.splitlines()} == given


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_leaves_whole_files_and_is_gone_on_with(
    clean: Run, home: Path, alone: dict[str, bytes], tmp_path: Path, how: signal.Signals
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(300):  # so many that it is not done when it is stopped
        (folder / f"{number}.png").write_bytes((home / "in" / "0.png").read_bytes())
    report, out = tmp_path / "report.jsonl", tmp_path / "out"
    options = ["--policy", "small.safetensors", "--sigma", "30", "--workers", "1", "--report", str(report)]
    command = [sys.executable, "-m", "pixelrl", "denoise", str(folder), "-o", str(out), *options]
    process = subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True
    )
    assert process.stdout is not None
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)  # then it waits to be read, if this process is late
    assert process.stdout.readline()
    os.killpg(process.pid, how)
    _, err = process.communicate()
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert re.fullmatch(r"pixelrl: interrupted; \d+ of 300 pictures are done", err.splitlines()[-1]), err
    found = {name: data for name, data in files(out).items() if not name.startswith(".pixelrl-")}
    assert 1 <= len(found) < 300
    assert set(found.values()) == {alone["0.png"]}
    with report.open("a") as torn:
        torn.write('{"input": "of a line that')
    code, said, err = clean(folder, "-o", out, "--skip-existing", "--report", report)
    assert code == 0
    assert f"{len(found)} left alone" in err
    assert len(said.splitlines()) == 300
    done = {name: data for name, data in files(out).items() if not name.startswith(".pixelrl-")}
    assert (len(done), set(done.values())) == (300, {alone["0.png"]})
    assert {line["input"] for line in lines(report)} == {str(folder / f"{number}.png") for number in range(300)}


def test_shares_are_all_of_the_pictures(clean: Run, alone: dict[str, bytes], tmp_path: Path) -> None:
    numbers = []
    for number in range(1, 4):
        report = tmp_path / f"{number}.jsonl"
        code, out, err = clean("in", "-o", tmp_path / "out", "--shard", f"{number}/3", "--report", report)
        numbers.append(len(out.splitlines()))
        assert (code, err.splitlines()[-1]) == (
            0,
            f"pixelrl: {numbers[-1]} of 6 pictures in share {number}/3; {numbers[-1]} done",
        )
    assert sum(numbers) == NUMBER
    assert files(tmp_path / "out") == alone
    merged = b"".join((tmp_path / f"{number}.jsonl").read_bytes() for number in range(1, 4))
    assert len({json.loads(line)["output"] for line in merged.splitlines()}) == NUMBER


def test_a_report_is_not_written_over(clean: Run, tmp_path: Path) -> None:
    report, out = tmp_path / "new" / "report.jsonl", tmp_path / "out"
    assert clean("in", "-o", out, "--report", report)[0] == 0
    first = report.read_bytes()
    code, _, err = clean("in", "-o", tmp_path / "other", "--report", report)
    assert (code, f"{report} exists" in err) == (2, True)
    (out / "0.png").unlink()
    assert clean("in", "-o", out, "--report", report, "--skip-existing")[0] == 0
    assert report.read_bytes().startswith(first)
    assert len(lines(report)) == NUMBER + 1  # those that were left alone have a line already
    assert clean("in", "-o", out, "--report", report, "--overwrite")[0] == 0
    assert len(lines(report)) == NUMBER
    report.write_text("something else\n")
    code, _, err = clean("in", "-o", out, "--report", report, "--skip-existing")
    assert (code, "is no report of pixelrl" in err) == (2, True)
    assert report.read_text() == "something else\n"


def test_what_makes_no_sense_is_refused(clean: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments, words in [
        (("in", "-o", out, "--workers", 2, "--dask", "tcp://127.0.0.1:1"), "--workers and --dask both say who works"),
        (("in", "-o", out, "--workers", 0), "--workers"),
        (("in", "-o", out, "--shard", "4/3"), "'4/3' is no share"),
        (("in/0.png", "-o", tmp_path / "o.png", "--shard", "1/3"), "--shard 1/3 is a share of many pictures"),
        (("in/0.png", "-o", "-", "--workers", 2), "--workers is for pictures in files"),
        (("in", "-o", out, "--report", "in/0.png", "--overwrite"), "--report in/0.png is also a picture"),
        (("in", "-o", out, "--report", "in"), "--report in is a folder"),
    ]:
        code, _, err = clean(*arguments)
        assert (code, words in err) == (2, True), err
    assert not out.exists()


def test_evaluate_sees_the_same_noise_in_every_process(run: Run, home: Path, tmp_path: Path) -> None:
    options = ("--data", home / "in", "--sigma", 25, "--limit", 3)
    found = {}
    for name, way in (("one", ()), ("two", ("--workers", 2))):
        code, _, _ = run("evaluate", home / "small.safetensors", *options, *way, "--json", tmp_path / name)
        assert not code
        content = json.loads((tmp_path / name).read_text())
        for score in (content["mean"], *content["pictures"]):
            score.pop("seconds")
        found[name] = content
    assert [score["name"] for score in found["two"]["pictures"]] == ["0.png", "2.png", "4.png"]
    assert found["two"] == found["one"]
    code, _, err = run("evaluate", home / "small.safetensors", *options, "--workers", 2, "--threads", 2)
    assert (code, "give one" in err) == (2, True)


def test_a_pair_that_fails_ends_the_evaluation_wherever_it_is_measured(home: Path, tmp_path: Path) -> None:
    card = PolicyCard("told nothing", "lookahead", SMALL, PAPER_NINE, 2, None, {})
    agent = Agent(card.build(), card, torch.device("cpu"))
    degraded = tmp_path / "degraded"
    degraded.mkdir()
    for number in (0, 2, 4):
        Image.fromarray(np.zeros((24, 32 + number // 4), np.uint8)).save(degraded / f"{number}.png")
    clean = tmp_path / "clean"
    clean.mkdir()
    for number in (0, 2, 4):
        (clean / f"{number}.png").write_bytes((home / "in" / f"{number}.png").read_bytes())
    scores = evaluate_pairs(agent, clean, degraded, workers=1)
    assert replace(next(scores), seconds=0) == replace(next(evaluate_pairs(agent, clean, degraded)), seconds=0)
    with pytest.raises(UsageError, match=r"4.png and its partner in .* are not of one size"):
        list(scores)
