"""What takes long in the studio: it says how far it is, and ends soon after it was cancelled."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.studio import agents, asked
from pixelrl.studio.exports import Export, report
from pixelrl.studio.runs import Progress
from pixelrl.studio.session import Session
from pixelrl.studio.state import job_state
from pixelrl.studio.store import Store
from pixelrl.studio.studio import Limits, Studio
from pixelrl.studio.work import CancelledError, Job
from tabs import Tab, served
from test_studio import NAMES, box_edit, filled, noise, png


def until_done(studio: Studio, job: Job) -> None:
    while job.number not in studio.worker.outcomes:
        time.sleep(0.01)


def test_a_run_ends_in_the_middle_of_a_step_that_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 1}
    card = PolicyCard("small", "lookahead", arguments, NAMES, 3, "sigma", {})
    agent = Agent(filled(card), card, torch.device("cpu"))
    monkeypatch.setattr(agents, "load", lambda name, device: agent)
    studio = Studio(Store(tmp_path), Limits(), "cpu")
    session = studio.open(png(noise(20, 24)), "photo.png")
    computed: list[str] = []

    def layer_done(module: torch.nn.Module, *_: object) -> None:
        computed.append(type(module).__name__)
        if len(computed) == 3:
            studio.cancel(session.folder.id)

    layers = [module for module in agent.policy.modules() if isinstance(module, torch.nn.Conv2d)]
    for layer in layers:
        layer.register_forward_hook(layer_done)
    assert len(layers) > 6
    studio.worker.start()
    job = studio.run(session.folder.id, "denoise-gray", 25.0)
    until_done(studio, job)
    assert len(computed) == 3  # none after that
    outcome = studio.worker.outcomes[job.number]
    assert (outcome.session, outcome.error) == (None, None)
    assert session.recorded is None
    until = studio.run(session.folder.id, "denoise-gray", 25.0)  # and it can be run again
    until_done(studio, until)
    assert session.recorded is not None
    studio.close()


def test_the_page_is_told_that_it_is_being_cancelled() -> None:
    job = Job(1, "running a policy", "0" * 16, lambda progress: None)
    job.progress(0.25, "step 1 of 4")
    assert job_state(job)["label"] == "step 1 of 4"
    assert job_state(job)["cancelling"] is False
    job.cancelled.set()
    assert job_state(job)["label"] == "cancelling…"
    assert job_state(job)["cancelling"] is True
    with pytest.raises(CancelledError):
        job.progress(0.5, "step 2 of 4")


def test_a_report_says_how_far_it_is_and_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = threading.Event()

    def watched(session: Session, progress: Progress) -> Export:
        places = set[int]()

        def told(share: float, label: str) -> None:
            progress(share, label)
            if int(20 * share) not in places:
                places.add(int(20 * share))
                looked.clear()
                assert looked.wait(300)  # for whoever looks

        return report(session, told)

    monkeypatch.setattr(asked, "report", watched)
    with served(tmp_path / "sessions") as (address, _):
        tab = Tab(address)
        tab.open(png(noise(120, 160)))
        assert tab.send("/api/report").status_code == 400  # nothing was run yet
        tab.run("denoise-gray", 25)
        tab.append(box_edit(5, 5, 50, 50))
        job = tab.post("/api/report")["job"]
        told: list[tuple[float, str]] = []
        while (state := tab.state(job))["outcome"] is None:
            if state["job"] is not None and state["job"]["number"] == job:
                told.append((state["job"]["share"], state["job"]["label"]))
            looked.set()
            time.sleep(0.01)
        assert state["outcome"] == {"session": tab.id, "error": None}
        shares = [share for share, label in told if label == "writing the report"]
        assert shares == sorted(shares)
        assert len(set(shares)) > 3
        page = tab.get("/api/report")
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["x-name"] == "photo-report.html"
        assert "<html" in page.text[:500].lower()
        assert tab.get("/api/report").status_code == 400  # it is given once

        job = tab.post("/api/report")["job"]
        while tab.state(job)["job"]["share"] == 0:
            looked.set()
            time.sleep(0.01)
        tab.post("/api/cancel")
        looked.set()  # it ends where it would tell more
        while (state := tab.state(job))["outcome"] is None:
            assert state["job"]["label"] == "cancelling…"
            time.sleep(0.01)
        assert state["outcome"] == {"session": None, "error": None}
        assert tab.get("/api/report").status_code == 400
