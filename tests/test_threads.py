"""How many threads are used, and what is left of the caller's settings."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import pixelrl
from pixelrl.cli import main
from pixelrl.pictures.files import Picture, read_picture
from pixelrl.studio.runs import Wish, play
from pixelrl.threads import Team, checked, threads, worthwhile_threads


@pytest.fixture
def two_threads() -> Iterator[None]:
    with threads(2):
        yield


def noise(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)


def test_little_work_takes_one_thread_and_the_setting_comes_back(two_threads: None) -> None:
    assert worthwhile_threads(96 * 96) == 1
    assert worthwhile_threads(512 * 512) == 2  # as PyTorch would by itself
    before = cv2.getNumThreads()
    with threads(1):
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, before)


@pytest.mark.parametrize(("arguments", "side", "used"), [((), 32, 1), ((), 400, 2), (("--threads", 3), 32, 3)])
def test_the_command_line_chooses(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_threads: None, arguments: tuple, side: int, used: int
) -> None:
    seen = []

    def watch(self, *arguments, **settings):
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    Image.fromarray(noise(side)).save(tmp_path / "in.png")
    monkeypatch.setattr(pixelrl.Agent, "__call__", watch)
    assert run("denoise", tmp_path / "in.png", "-o", tmp_path / "out.png", *arguments)[0] == 130
    assert seen == [used]
    assert torch.get_num_threads() == 2


def work(results) -> None:
    results.put(int(pixelrl.load("denoise-gray")(noise(200), sigma=20).image.sum()))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_hang(two_threads: None) -> None:
    here = int(pixelrl.load("denoise-gray")(noise(200), sigma=20).image.sum())  # starts OpenMP's threads
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=work, args=(results,), daemon=True)
    child.start()
    try:
        assert abs(results.get(timeout=300) - here) <= 200 * 200 / 100
    finally:
        child.kill()
        child.join()


def test_threads_do_not_silence_the_callers_warnings(tmp_path: Path) -> None:
    agent, before = pixelrl.load("denoise-gray"), list(warnings.filters)
    Image.fromarray(noise(24)).save(tmp_path / "in.jpg")

    def work_on() -> None:
        for _ in range(5):
            agent(read_picture(tmp_path / "in.jpg").pixels)

    runners = [threading.Thread(target=work_on) for _ in range(6)]
    for runner in runners:
        runner.start()
    while any(runner.is_alive() for runner in runners):
        assert warnings.filters == before
        time.sleep(0.001)
    assert warnings.filters == before


@pytest.mark.parametrize(("side", "used"), [(32, 1), (400, 2)])
def test_the_studio_chooses_and_tells_every_part_of_a_run(two_threads: None, side: int, used: int) -> None:
    seen: list[tuple[float, str, int]] = []
    agent = pixelrl.load("denoise-gray")
    agent.card = dataclasses.replace(agent.card, num_steps=2)
    play(
        agent,
        Picture(noise(side)),
        Wish(20.0),
        lambda share, words: seen.append((share, words, torch.get_num_threads())),
    )
    firsts = [next(each for each in seen if each[0] == share) for share in dict.fromkeys(each[0] for each in seen)]
    shares, words, numbers = zip(*firsts, strict=True)
    np.testing.assert_allclose(shares, [0, 1 / 3, 2 / 3, 1])
    assert words == ("looking at the picture", "step 1 of 2", "step 2 of 2", "step 2 of 2")
    assert numbers[1:] == 3 * (used,)
    assert torch.get_num_threads() == 2


def test_a_team_shares_out_the_work_and_leaves_the_settings_as_they_were(two_threads: None) -> None:
    before, together = cv2.getNumThreads(), threading.Barrier(2, timeout=300)

    def work(piece: int) -> tuple[int, int, int, bool]:
        together.wait()  # passed only if two work at a time
        return piece, torch.get_num_threads(), cv2.getNumThreads(), torch.is_grad_enabled()

    with Team(2) as team:
        assert team.each(work, range(4)) == [(piece, 1, 1, False) for piece in range(4)]
    assert (torch.get_num_threads(), cv2.getNumThreads(), torch.is_grad_enabled()) == (2, before, True)


def test_a_team_of_one_is_the_caller_and_a_fault_comes_through(two_threads: None) -> None:
    with Team(1) as alone:
        assert alone.each(lambda _: threading.get_ident(), range(2)) == [threading.get_ident()] * 2
    with pytest.raises(ZeroDivisionError), Team(2) as team:
        team.each(lambda piece: 1 // piece, [1, 0, 1])


@pytest.mark.parametrize(
    ("code", "given", "policy"),
    [
        ("import pixelrl, torch", None, "PASSIVE"),
        ("import torch, pixelrl", None, None),  # OpenMP has read it before
        ("import pixelrl, torch", "ACTIVE", "ACTIVE"),
    ],
)
def test_threads_of_openmp_sleep_while_they_wait(code: str, given: str | None, policy: str | None) -> None:
    code += "; import os; print(os.environ.get('OMP_WAIT_POLICY'))"
    rest = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    told = {} if given is None else {"OMP_WAIT_POLICY": given}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**rest, **told, "OMP_DISPLAY_ENV": "TRUE"}, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(policy)], done.stderr
    if policy is not None:
        assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr


@pytest.mark.parametrize("number", [1, 2])
def test_a_team_ends_where_a_check_says_so(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the piece at hand, and none of those that wait are begun any more."""
    calls, shutdown, ended = 0, ThreadPoolExecutor.shutdown, threading.Event()

    def ending(self: ThreadPoolExecutor, wait: bool = True, **options: bool) -> None:
        shutdown(self, wait=False, **options)
        ended.set()
        shutdown(self, wait=wait)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", ending)

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise InterruptedError

    worked: list[int] = []

    def work(piece: int) -> None:
        worked.append(piece)
        if piece > 3:  # whoever checks may come to it late
            assert ended.wait(300)

    with pytest.raises(InterruptedError), checked(check), Team(number) as team:
        team.each(work, range(1000))
    assert calls == 3
    assert len(worked) <= 4 + number
    with Team(number) as team:  # outside, nobody checks
        assert team.each(lambda piece: piece + 1, range(3)) == [1, 2, 3]


@pytest.mark.parametrize(
    "command", ["denoise", "restore", "enhance", "saliency", "noise", "train", "evaluate", "studio"]
)
def test_more_threads_or_processes_than_any_machine_needs_are_refused(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """OpenMP ends the program where the system refuses it a thread."""
    for option in ("--threads", "--workers") if command in ("denoise", "evaluate") else ("--threads",):
        monkeypatch.setattr(sys, "argv", ["pixelrl", command, option, "999999999"])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        assert f"'{option}': 999999999 is not in the range 1<=x<=1024" in capsys.readouterr().err
