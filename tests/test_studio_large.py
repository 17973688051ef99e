"""Large pictures in the studio: what is kept lies in files, what is looked at comes first, and work ends at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.studio import kept, runs
from pixelrl.studio.changes import Append
from pixelrl.studio.kept import Kept
from pixelrl.studio.preview import Box
from pixelrl.studio.screen import Screen
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.state import job_state, session_state
from pixelrl.studio.store import Store
from pixelrl.studio.studio import Limits, Studio
from pixelrl.studio.words import time_left
from pixelrl.studio.work import CancelledError, Job
from test_studio import NAMES, box_edit, filled, noise, png
from test_studio_jobs import until_done


@pytest.fixture
def in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a tensor is."""
    monkeypatch.setattr(kept, "LEAST", 1)


@pytest.fixture(scope="module")
def agent() -> Agent:
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 1}
    card = PolicyCard("small", "lookahead", arguments, NAMES, 3, "sigma", {})
    return Agent(filled(card), card, torch.device("cpu"))


# --- What is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("least", [1, 10**9])
def test_what_is_kept_is_not_changed_by_a_copy(least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LEAST", least)
    values = torch.rand((3, 40, 50), generator=torch.Generator().manual_seed(0))
    mine = Kept(values, tmp_path).like(values)
    copy = mine.copy()
    copy.tensor[:, 10:20] = 7
    for _ in range(2):  # also when neither is in the memory any more
        assert torch.equal(mine.tensor, values)
        assert (copy.tensor[:, 10:20] == 7).all()
        assert torch.equal(copy.tensor[:, 20:], values[:, 20:])
        mine.let_go()
        copy.let_go()
    assert torch.equal(copy.copy().tensor, copy.tensor)
    assert list(tmp_path.iterdir()) == []  # nothing is left where the process is killed


def test_without_room_on_the_disk_it_is_kept_in_the_memory(
    tmp_path: Path, in_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    assert Kept.empty((4, 5), torch.float32, tmp_path).tensor.shape == (4, 5)
    assert list(tmp_path.iterdir()) == []


def worked_on(folder: Path, agent: Agent) -> tuple[Session, list[np.ndarray]]:
    """A session with a run and two edits, exact, one of which was taken back and made again; and all that it shows."""
    store = Store(folder)
    session = Session(*store.create(png(noise(90, 120)), "photo.png", 10**6))
    session.run(agent, 25.0, lambda share, label: None)
    seen = []
    for box in ((10, 10, 40, 40), (60, 20, 100, 80)):
        session.change(Append(edit=box_edit(*box)))
        while session.advance() or session.phase is Phase.PREVIEW:
            pass
        seen += [session.frame(step, plain) for step in range(4) for plain in (False, True)]
    seen.append(session.result()[1])
    return session, seen


def test_a_session_shows_the_same_from_files(tmp_path: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    _, expected = worked_on(tmp_path / "memory", agent)
    monkeypatch.setattr(kept, "LEAST", 1)
    session, seen = worked_on(tmp_path / "files", agent)
    assert session.recorded is not None
    assert session.recorded.frames.kept[1]._mapping is not None
    for one, other in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    again = Session(session.folder, session.picture)
    again.resume(lambda share, label: None)
    np.testing.assert_array_equal(again.frame(3, True), expected[7])


# --- What comes first -------------------------------------------------------------------------------------------------


def run_of(
    tmp_path: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch, seen: Box | None
) -> tuple[Session, list[tuple[int, Box]], list[tuple[float, str]]]:
    """A session after a run, what arrived meanwhile, and what was told."""
    arrived: list[tuple[int, Box]] = []
    arrives = Screen.arrives

    def noticed(self: Screen, step: int, steps: int, box: Box, image: Tensor) -> None:
        arrives(self, step, steps, box, image)
        assert self.arrived is not None
        assert self.arrived.shown.shape[:2] == (box.y1 - box.y0, box.x1 - box.x0)
        arriving = session_state(session)["arriving"]
        assert arriving == {"number": len(arrived) + 1, "step": step, "steps": 3, "box": list(box)}
        arrived.append((step, box))

    told: list[tuple[float, str]] = []
    session = Session(*Store(tmp_path).create(png(noise(90, 120)), "photo.png", 10**6))
    with monkeypatch.context() as patched:
        patched.setattr(Screen, "arrives", noticed)
        session.run(agent, 25.0, lambda share, label: told.append((share, label)), seen)
    assert session.arrived is None
    return session, arrived, told


def test_what_is_looked_at_comes_first(tmp_path: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LEAST", 1)
    box, whole = Box(20, 10, 60, 50), Box(0, 0, 120, 90)
    session, arrived, told = run_of(tmp_path / "first", agent, monkeypatch, box)
    assert arrived == [(step, part) for part in (box, whole) for step in (1, 2, 3)]
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    labels = list(dict.fromkeys(label for _, label in told))
    parts = ["looking at the picture", "step 2 of 3", "step 3 of 3"]
    expected = [f"in view first: {label}" for label in parts] + parts
    assert [label for label in labels if "step 1" not in label] == expected
    plain, arrived, _ = run_of(tmp_path / "plain", agent, monkeypatch, None)
    assert arrived == [(step, whole) for step in (1, 2, 3)]
    np.testing.assert_array_equal(session.result()[1], plain.result()[1])


@pytest.mark.parametrize("box", [Box(0, 0, 120, 90), Box(0, 0, 120, 60), Box(5, 5, 5, 9)])
def test_most_of_a_picture_is_not_done_twice(
    box: Box, tmp_path: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LEAST", 1)
    _, arrived, _ = run_of(tmp_path, agent, monkeypatch, box)
    assert len(arrived) == 3


def test_a_small_picture_is_done_at_once(tmp_path: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    _, arrived, _ = run_of(tmp_path, agent, monkeypatch, Box(20, 10, 60, 50))
    assert len(arrived) == 3


# --- How long it takes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(2, "a few seconds left"), (11, "about 10 s left"), (54, "about 55 s left"), (70, "about a minute left"),
     (95, "about 2 min left"), (600, "about 10 min left")],
)  # fmt: skip
def test_the_rest_is_said_in_words(seconds: float, words: str) -> None:
    assert time_left(seconds) == words


def test_the_rest_is_told_by_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("pixelrl.studio.work.time.monotonic", lambda: now)
    job = Job(1, "running a policy", "0" * 16, lambda progress: None)
    job.progress(0.0, "looking at the picture")
    now = 110.0  # which is not counted: to load a policy says nothing of its pace
    job.progress(0.1, "step 1 of 5")
    assert job_state(job)["left"] is None
    now = 130.0
    job.progress(0.5, "step 3 of 5")
    assert job.left == pytest.approx(25)
    assert job_state(job)["left"] == "about 25 s left"
    job.cancelled.set()
    assert job_state(job)["left"] is None


# --- When it ends -----------------------------------------------------------------------------------------------------


def test_work_ends_wherever_it_is() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise CancelledError

    done = 0

    def work() -> None:
        nonlocal done
        with runs.Interruptible(check) as inside:
            while True:
                torch.ones(1)
                inside._next = 0.0
                done += 1

    with pytest.raises(CancelledError):
        work()
    assert done == 2
    torch.ones(1)
    assert calls == 3


@pytest.mark.slow
def test_a_run_on_a_large_photo_ends_within_a_second(tmp_path: Path) -> None:
    """Wherever it is. What is counted is the process's own time, for other jobs may keep the cores busy."""
    studio = Studio(Store(tmp_path), Limits(), "cpu")
    rows, columns = np.mgrid[:1500, :2000]
    photo = 100 + 60 * np.sin(rows / 31)[..., None] * np.cos(columns / 23)[..., None] * np.ones(3)
    photo += np.random.default_rng(0).normal(0, 15, photo.shape)
    session = studio.open(png(photo.clip(0, 255).astype(np.uint8)), "photo.png")
    studio.worker.start()
    studio.agents.get("denoise-photo")
    waits: list[Callable[[Job], bool]] = [
        lambda job: time.process_time() - began > 0.5,
        lambda job: job.share > 0.005,
        lambda job: job.share > 0.1 and "step" in job.label,
    ]
    took = []
    for reached in waits:
        began = time.process_time()
        job = studio.run(session.folder.id, "denoise-photo", "auto", seen=Box(400, 400, 900, 800))
        while not reached(job) and job.number not in studio.worker.outcomes:
            time.sleep(0.01)
        assert job.number not in studio.worker.outcomes
        at = time.process_time()
        studio.cancel(session.folder.id)
        until_done(studio, job)
        took.append(time.process_time() - at)
        assert session.recorded is None
    studio.close()
    print(f"seconds from cancelling to the end: {', '.join(f'{seconds:.2f}' for seconds in took)}")
    assert max(took) < 1
