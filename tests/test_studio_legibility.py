"""The studio and how plain the maps shall be: chosen, undone, kept, and the same as on the command line."""

from __future__ import annotations

import io
import json
import shlex
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import plain
from browser import browser_page
from pixelrl.agent import Agent, load
from pixelrl.checkpoint import PolicyCard
from pixelrl.studio.changes import Redo, Switch, Tell, Undo
from pixelrl.studio.document import Document, decoded, encoded
from pixelrl.studio.exports import EXPORTS
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.store import Store
from pixelrl.trace import load_trace
from tabs import Tab, served
from test_legibility import noise
from test_studio import NAMES, begun, box_edit, edit, filled, png, quiet, settled
from test_studio_browser import until

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def agent() -> Agent:
    return plain.agent()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "sessions")


@pytest.fixture
def session(store: Store, agent: Agent) -> Session:
    return begun(store, agent, noise(40, 52))


def done(session: Session, agent: Agent) -> Session:
    """What the worker does until nothing is left to do."""
    while session.phase is Phase.RERUN:
        session.run(agent, session.folder.document.settings()["level"], quiet)
    return session


def small() -> Agent:
    """A policy that cannot be told."""
    sizes = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
    card = PolicyCard("small", "lookahead", sizes, NAMES, 3, "sigma", {})
    return Agent(filled(card), card, torch.device("cpu"))


def told(session: Session) -> float | None:
    assert session.recorded is not None
    return session.recorded.trace.legibility


# --- Sessions ---------------------------------------------------------------------------------------------------------


def test_plainer_maps_are_another_run(session: Session, agent: Agent) -> None:
    assert told(session) == plain.DEFAULT
    before = session.recorded.bits
    session.change(Tell(legibility=1))
    assert session.phase is Phase.RERUN
    done(session, agent)
    assert told(session) == 1
    assert session.recorded.bits < before
    level = session.folder.document.level
    assert np.array_equal(session.result()[1], agent(session.picture.pixels, level, legibility=1).image)
    session.run(agent, 9.0, quiet)  # another level
    assert told(session) == 1


def test_undo_and_redo(session: Session, agent: Agent) -> None:
    first = session.result()[1]
    session.change(Tell(legibility=1.0))
    edit(done(session, agent), box_edit(0, 0, 9, 9))
    session.change(Undo())
    session.change(Undo())
    assert session.phase is Phase.RERUN
    assert np.array_equal(done(session, agent).result()[1], first)
    session.change(Undo())  # there is nothing more
    session.change(Redo())
    assert told(done(session, agent)) == 1
    session.change(Redo())
    assert len(session.edits) == 1
    session.change(Tell(legibility=None))  # as the policy's makers recommend
    assert told(done(session, agent)) == plain.DEFAULT


def test_a_crash_loses_nothing(session: Session, store: Store, agent: Agent) -> None:
    def reopened() -> Session:
        (offered,) = Store(store.root).offered()
        again = Session(offered, offered.picture(10**6))
        again.resume(quiet)
        return again

    session.change(Tell(legibility=0.5))
    again = reopened()  # before it was done: it is done now
    assert again.phase is Phase.RERUN
    assert told(done(again, agent)) == 0.5
    again = reopened()
    assert again.phase is not Phase.RERUN
    assert (told(again), again.folder.document.legibility) == (0.5, 0.5)
    again.change(Undo())
    assert told(done(again, agent)) == plain.DEFAULT


def test_live_is_told_the_same(session: Session, agent: Agent) -> None:
    from pixelrl.edits import parse_edits

    session.change(Tell(legibility=1))
    edit(done(session, agent), box_edit(0, 0, 9, 9))
    session.change(Switch("live"))
    session.live(agent, quiet)
    edits, level = parse_edits([box_edit(0, 0, 9, 9)], Path()), session.folder.document.level
    expected = agent(session.picture.pixels, level, edits=edits, legibility=1)
    assert np.array_equal(session.result()[1], expected.image)
    assert session.result()[0].legibility == 1


def test_sessions_of_before_open() -> None:
    """They have no legibility, neither of the run nor among the settings that were asked for or can be undone."""
    old = {
        "format": 2, "name": "a.png", "suffix": ".png", "policy": "p", "level": 0.5, "region": None, "mode": "replay",
        "requested": {"level": 0.9, "region": None}, "undo": [{"level": 0.5}],
    }  # fmt: skip
    document = decoded(json.dumps(old).encode())
    assert document.settings() == {"level": 0.9, "region": None, "legibility": None}
    run = document.run("p", 0.9, document.settings())
    assert run.requested is None
    assert run.undone().settings() == {"level": 0.5, "region": None, "legibility": None}
    assert decoded(encoded(run)) == run


def test_what_is_told_while_a_run_goes_on_is_meant_with_the_level_of_that_run() -> None:
    """It was done with the level of the run before: the level that was typed was lost."""
    document = Document(name="a.png", suffix=".png").run("p", "auto", Document(name="a.png", suffix=".png").settings())
    wanted = document.settings()
    run = document.asked({"legibility": 0.2}).run("p", 25.0, wanted)
    assert run.settings() == {"level": 25.0, "region": None, "legibility": 0.2}
    assert run.requested is not None
    assert run.run("p", 25.0, run.settings()).requested is None
    # A level that was told later than that of the run counts.
    assert document.asked({"level": 30.0}).run("p", 25.0, wanted).settings()["level"] == 30.0


def test_who_cannot_be_told_runs_as_ever(store: Store) -> None:
    agent = small()
    session = begun(store, agent, noise(40, 52))
    before = session.result()[1]
    session.change(Tell(legibility=0.5))
    done(session, agent)
    assert told(session) is None
    assert np.array_equal(session.result()[1], before)


# --- The server, and the command line ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("studio")
    with served(folder / "sessions", policies=[plain.policy_file(folder)]) as (base, _):
        yield base


def test_the_command_line_gives_the_same_bits(
    address: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = Tab(address)

    def export(what: str) -> bytes:
        answer = tab.get(f"/api/export/{what}")
        assert answer.is_success, answer.text
        return answer.content

    told = {policy["name"]: policy["legibility"] for policy in tab.get("/api/policies").json()}
    assert told["plain"] == plain.DEFAULT
    pixels = png(noise(40, 52))
    (tmp_path / "photo.png").write_bytes(pixels)
    policy = plain.policy_file(tmp_path)
    tab.open(pixels, "photo.png")
    before = tab.run("plain", 25)
    assert before["legibility"] is None
    assert tab.change("tell", legibility=0.75).is_success
    session = tab.wait()
    assert session["legibility"] == 0.75
    assert session["bits"] < before["bits"]
    (tmp_path / "t.npz").write_bytes(export("trace"))
    assert load_trace(tmp_path / "t.npz").legibility == 0.75
    monkeypatch.chdir(tmp_path)
    result = cv2.imdecode(np.frombuffer(export("picture"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(result, load(policy, "cpu")(noise(40, 52), 25, legibility=0.75).image)

    tab.append(box_edit(0, 0, 9, 9))
    assert tab.change("switch", mode="live").is_success
    tab.wait()
    zipfile.ZipFile(io.BytesIO(export("edits"))).extractall()
    lines = [line.strip() for line in Path("how-to.txt").read_text().splitlines() if "--legibility 0.75" in line]
    words = ["plain.safetensors" if word == "plain" else word for word in shlex.split(lines[0])[1:]]
    assert run(*words, "--device", "cpu")[0] == 0
    shown = cv2.imdecode(np.frombuffer(export("picture"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(cv2.imread("result.png", cv2.IMREAD_UNCHANGED), shown)

    for bad in (-0.1, 1.5, 2, "much", True):
        answer = tab.change("tell", legibility=bad)
        assert answer.status_code == 400
        assert "legibility" in answer.json()["error"]
    assert tab.state()["session"]["legibility"] == 0.75


def test_edits_name_the_command_only_with_what_was_told(store: Store, agent: Agent) -> None:
    session = settled(begun(store, agent, noise(40, 52)))
    files = zipfile.ZipFile(io.BytesIO(EXPORTS["edits"](session).data))
    assert f"--legibility {plain.DEFAULT}" in files.read("how-to.txt").decode()


@pytest.mark.parametrize(
    ("policy", "command"),
    [
        ("restore-gray", "pixelrl restore photo.png --policy restore-gray"),
        ("enhance-watercolor", "pixelrl enhance photo.png --style enhance-watercolor"),
    ],
)
def test_edits_name_the_command_of_the_policy(store: Store, policy: str, command: str) -> None:
    shape = (40, 52) if policy.endswith("gray") else (40, 52, 3)
    session = settled(begun(store, load(policy, "cpu"), noise(*shape), "auto"))
    files = zipfile.ZipFile(io.BytesIO(EXPORTS["edits"](session).data))
    assert command in files.read("how-to.txt").decode()


# --- The page ---------------------------------------------------------------------------------------------------------


def slid(page: Any, value: str) -> None:
    page.locator("#plainer").fill(value)
    page.wait_for_selector("#truth.exact")


@pytest.mark.parametrize("width", [1280, *(pytest.param(each, marks=pytest.mark.pages) for each in (820, 390))])
def test_the_slider(address: str, tmp_path: Path, width: int) -> None:
    (tmp_path / f"{width}.png").write_bytes(png(noise(40, 52)))
    with browser_page(width, 844 if width == 390 else 720) as page:
        page.goto(f"{address}/?token=a-token")
        page.set_input_files("#file", tmp_path / f"{width}.png")
        until(page, "name => document.title.startsWith(name)", f"{width}.png")
        page.select_option("#policy", "plain")
        page.click("#run")
        page.wait_for_selector("#timeline:visible")
        page.wait_for_selector("#truth.exact")
        slider = page.locator("#plainer")
        slider.scroll_into_view_if_needed()
        assert slider.is_visible()
        assert float(slider.input_value()) == plain.DEFAULT
        assert page.locator("#plainer-usual").is_disabled()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        said = page.inner_text("#plainer-said")
        assert "easier to read" in said
        slid(page, "1")
        until(page, "said => document.querySelector('#plainer-said').textContent !== said", said)
        assert page.inner_text("#plainer-value") == "1.00"

        page.click("#undo")
        until(page, "usual => Number(document.querySelector('#plainer').value) === usual", plain.DEFAULT)
        page.click("#redo")
        until(page, "() => document.querySelector('#plainer').value === '1'")
        page.wait_for_selector("#truth.exact")
        page.reload()
        page.wait_for_selector("#truth.exact")
        until(page, "() => document.querySelector('#plainer').value === '1'")
        page.click("#plainer-usual")
        until(page, "usual => Number(document.querySelector('#plainer').value) === usual", plain.DEFAULT)
        until(page, "said => document.querySelector('#plainer-said').textContent === said", said)


@pytest.mark.pages
def test_no_slider_where_nothing_can_be_told(address: str, tmp_path: Path) -> None:
    (tmp_path / "other.png").write_bytes(png(noise(40, 52, 3)))
    with browser_page() as page:
        page.goto(f"{address}/?token=a-token")
        page.set_input_files("#file", tmp_path / "other.png")
        until(page, "name => document.title.startsWith(name)", "other.png")
        page.select_option("#policy", "enhance-watercolor")
        page.click("#run")
        page.wait_for_selector("#timeline:visible")
        page.wait_for_selector("#truth.exact")
        assert page.locator("#legend").is_visible()
        assert page.locator("#plainer-field").is_hidden()
