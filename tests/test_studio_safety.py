"""The studio loses no work: changes in order, several tabs, other tasks, crashes, bad numbers, slow senders."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from browser import PATIENCE
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.errors import UsageError
from pixelrl.studio.changes import Append, Clear, Move, Redo, Remove, Replace, Switch, Tell, Undo, changed
from pixelrl.studio.document import MOST_EDITS, Document, StaleError, decoded, encoded
from pixelrl.studio.guard import Guard
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.store import KEPT_WITHOUT_EDITS, Store
from pixelrl.studio.studio import Limits, Studio
from tabs import NO_CERTIFICATES, TOKEN, Tab, call, entered, served
from test_studio import NAMES, begun, box_edit, edit, filled, noise, png, quiet, settled


@pytest.fixture(scope="module")
def agent() -> Agent:
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 1}
    card = PolicyCard("small", "lookahead", arguments, NAMES, 3, "sigma", {})
    return Agent(filled(card), card, torch.device("cpu"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "sessions")


# --- The document -----------------------------------------------------------------------------------------------------


def entry(n: int) -> dict[str, object]:
    return {"steps": [n], "do": "stop"}


def listed(document: Document) -> list[int]:
    return [item["steps"][0] for item in document.edits]


@pytest.fixture
def three() -> Document:
    document = Document(name="photo.png", suffix=".png")
    for n in (1, 2, 3):
        document, number = changed(document, Append(entry(n)))
        assert number == n
    return document


def test_changes_by_number(three: Document) -> None:
    after, number = changed(three, Replace(2, entry(20)))
    assert listed(after) == [1, 20, 3]
    assert number == 4
    assert listed(changed(three, Remove(2))[0]) == [1, 3]
    assert listed(changed(three, Move(3, 1))[0]) == [3, 1, 2]
    assert listed(changed(three, Move(1, 3))[0]) == [2, 1, 3]
    assert listed(changed(three, Move(1, None))[0]) == [2, 3, 1]
    assert listed(changed(three, Clear())[0]) == []
    assert listed(three) == [1, 2, 3]


def test_every_change_can_be_undone_and_redone(three: Document) -> None:
    states = [three]
    for change in (Replace(2, entry(20)), Move(4, 1), Remove(3), Append(entry(9)), Clear(), Append(entry(10))):
        states.append(changed(states[-1], change)[0])
    document = states[-1]
    for former in reversed(states[:-1]):
        document = changed(document, Undo())[0]
        assert listed(document) == listed(former)
    for later in states[1:]:
        document = changed(document, Redo())[0]
        assert listed(document) == listed(later)
    assert document.revision == states[-1].revision + 2 * (len(states) - 1)
    assert decoded(encoded(document)) == document


def test_what_came_meanwhile_is_merged_or_refused_never_dropped(three: Document) -> None:
    seen = three.revision
    meanwhile = changed(three, Replace(2, entry(20)))[0]
    assert listed(changed(meanwhile, Append(entry(4)), seen)[0]) == [1, 20, 3, 4]
    assert listed(changed(meanwhile, Remove(3), seen)[0]) == [1, 20]
    assert listed(changed(meanwhile, Move(3, 1), seen)[0]) == [3, 1, 20]
    for stale in (Remove(2), Replace(2, entry(5)), Move(2, 1), Move(1, 2), Clear(), Undo(), Redo()):
        with pytest.raises(StaleError):
            changed(meanwhile, stale, seen)
    assert listed(meanwhile) == [1, 20, 3]


def test_edits_that_nothing_brings_back_are_not_kept(three: Document) -> None:
    document = three
    for n in range(400):
        document = changed(document, Replace(document.order[-1], entry(n)))[0]
    assert len(document.entries) < 210  # of the list, and of the steps of undo that there are


# --- Sessions ---------------------------------------------------------------------------------------------------------


def test_a_change_that_is_sent_again_is_made_once(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    first = session.change(Append({"do": "stop"}), 0, "the same")
    assert session.change(Append({"do": "stop"}), 0, "the same") == first
    assert len(session.edits) == 1
    again = Session(store.open(session.folder.id), session.picture)  # after a crash, too
    again.resume(quiet)
    assert again.change(Append({"do": "stop"}), 0, "the same") == first
    assert len(again.edits) == 1


def test_a_change_that_cannot_be_written_down_is_not_made(
    store: Store, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begun(store, agent, noise(20, 24))
    edit(session, box_edit(1, 1, 5, 5))
    before = session.folder.document

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(UsageError, match="cannot be written: No space left on device"):
            edit(session, box_edit(2, 2, 6, 6))
    assert session.folder.document is before
    assert len(session.edits) == 1
    edit(session, box_edit(2, 2, 6, 6))
    assert len(store.open(session.folder.id).document.edits) == 2


def test_many_edits_stay_the_same_objects(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    edit(session, *(box_edit(n % 10, 1, n % 10 + 1 + n // 10, 5) for n in range(100)))
    before = session.edits
    edit(session, box_edit(2, 2, 6, 6))
    assert all(a is b for a, b in zip(before, session.edits, strict=False))


def test_phases(store: Store, agent: Agent) -> None:
    session = Session(*store.create(png(noise(20, 24)), "photo.png", 10**6))
    assert session.phase is Phase.UNRUN
    session.run(agent, 25.0, quiet)
    assert session.phase is Phase.EXACT
    edit(session, box_edit(1, 1, 5, 5))
    assert session.phase is Phase.PREVIEW
    session.give_up()
    assert session.phase is Phase.STALLED
    edit(session, box_edit(2, 1, 5, 5))
    assert session.phase is Phase.PREVIEW
    assert settled(session).phase is Phase.EXACT
    session.change(Switch("live"))
    assert session.phase is Phase.REACT
    session.live(agent, quiet)
    assert session.phase is Phase.EXACT
    session.change(Tell(level=30.0))
    assert session.phase is Phase.RERUN
    session.run(agent, 30.0, quiet)
    assert session.phase is Phase.REACT


BAD = {
    "nan": {"region": {"polygon": [[1, 1], [float("nan"), 5], [9, 9]]}, "do": "stop"},
    "brightness": {"where": {"brightness": [0, float("inf")]}, "do": "stop"},
    "huge": {"region": {"polygon": [[1, 1], [10**400, 5], [9, 9]]}, "do": "stop"},
    "gone": {"region": {"mask": "masks/0123456789abcdef.png"}, "do": "stop"},
    "word": "protect",
}


@pytest.mark.parametrize("bad", BAD)
def test_a_session_with_an_edit_that_is_no_use_opens_without_it(store: Store, agent: Agent, bad: str) -> None:
    session = begun(store, agent, noise(20, 24))
    good, last = box_edit(1, 1, 5, 5), box_edit(3, 3, 9, 9)
    former = {  # as the first format had it
        "format": 1, "name": "photo.png", "suffix": ".png", "policy": "small", "level": 25.0, "region": None,
        "asked": None, "mode": "replay", "edits": [good, BAD[bad], last], "undo": [[], [good], [good, BAD[bad]]],
        "redo": [], "changed": 5.0,
    }  # fmt: skip
    path = session.folder.path / "session.json"
    path.write_text(json.dumps(former))
    session.folder.trace.rename(session.folder.path / "trace.npz")
    again = Session(store.open(session.folder.id), session.picture)
    again.resume(quiet)
    assert again.folder.document.edits == [good, last]
    assert "left out" in again.notices[0]
    assert (
        json.loads((session.folder.path / "session-before.json").read_text())["format"] == 1
    )  # nothing is thrown away
    assert decoded(path.read_bytes()).edits == [good, last]
    again.change(Undo())
    again.change(Undo())
    assert again.folder.document.edits in ([good], [])
    edit(again, last)
    assert settled(again).phase is Phase.EXACT


def test_sessions_of_the_first_format_keep_edits_and_undo(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    a, b, c = box_edit(1, 1, 5, 5), box_edit(2, 2, 6, 6), box_edit(3, 3, 7, 7)
    former = {
        "format": 1, "name": "photo.png", "suffix": ".png", "policy": "small", "level": 25.0, "region": None,
        "asked": None, "mode": "replay", "edits": [b, a, a], "undo": [[], [a], [a, b], {"level": 30.0}, [a, b, a]],
        "redo": [[c]], "changed": 5.0,
    }  # fmt: skip
    (session.folder.path / "session.json").write_text(json.dumps(former))
    session.folder.trace.rename(session.folder.path / "trace.npz")
    again = Session(store.open(session.folder.id), session.picture)
    again.resume(quiet)
    assert again.notices == []
    assert again.folder.document.edits == [b, a, a]
    again.change(Redo())
    assert again.folder.document.edits == [c]
    again.change(Undo())
    again.change(Undo())
    assert again.folder.document.edits == [a, b, a]
    again.change(Undo())
    assert again.folder.document.requested == {"level": 30.0, "region": None, "legibility": None}
    again.change(Undo())
    assert again.folder.document.edits == [a, b]


# --- The list of sessions ---------------------------------------------------------------------------------------------


def test_sessions_with_edits_are_not_pushed_out_of_sight(store: Store, agent: Agent) -> None:
    edited = begun(store, agent, noise(20, 24))
    edit(edited, box_edit(1, 1, 5, 5))
    for _ in range(KEPT_WITHOUT_EDITS + 3):
        begun(store, agent, noise(8, 8))
    store.tidy()
    assert store.offered()[0].id == edited.folder.id
    assert len(store.offered()) == KEPT_WITHOUT_EDITS + 1


def test_an_open_session_is_not_tidied_away_nor_opened_twice(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    session.folder.claim()
    for _ in range(KEPT_WITHOUT_EDITS + 3):
        begun(store, agent, noise(8, 8))
    Store(store.root).tidy()  # by another process
    assert session.folder.path.is_dir()
    with pytest.raises(UsageError, match="open in another studio"):
        store.open(session.folder.id).claim()
    with pytest.raises(UsageError, match="is open"):
        store.forget(session.folder.id)
    session.close()
    again = store.open(session.folder.id)
    again.claim()
    again.release()


def test_a_closed_session_writes_nothing_any_more(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    session.close()
    with pytest.raises(StaleError, match="open it again"):
        edit(session, box_edit(1, 1, 5, 5))
    assert store.open(session.folder.id).document.edits == []


def test_what_is_forgotten_can_be_brought_back(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    edit(session, box_edit(1, 1, 5, 5))
    store.forget(session.folder.id)
    assert store.offered() == []
    store.tidy()  # does not remove it for good: it was just now
    store.restore(session.folder.id)
    assert [len(folder.document.edits) for folder in store.offered()] == [1]
    store.forget(session.folder.id)
    store.purge()
    assert list(store.root.iterdir()) == []
    with pytest.raises(UsageError, match="cannot be brought back"):
        store.restore(session.folder.id)


def test_the_session_of_the_same_picture_is_offered(store: Store, agent: Agent) -> None:
    data = png(noise(20, 24))
    session = begun(store, agent, noise(20, 24))
    studio = Studio(store, Limits(), "cpu")
    assert studio.open(data, "photo.png").earlier is None  # it holds no edits
    edit(session, box_edit(1, 1, 5, 5), box_edit(1, 1, 5, 6))
    earlier = studio.open(data, "another name.png").earlier
    assert earlier is not None
    assert (earlier["id"], earlier["edits"]) == (session.folder.id, 2)
    assert studio.open(png(noise(21, 24)), "photo.png").earlier is None
    studio.close()


# --- The server -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with served(folder) as (base, _):
        yield base


def opened(address: str, pixels: np.ndarray, policy: str = "denoise-gray", level: object = 25) -> Tab:
    tab = Tab(address)
    tab.open(png(pixels))
    tab.run(policy, level)
    return tab


def test_thirty_strokes_from_stale_copies_are_thirty_edits(address: str, folder: Path) -> None:
    tab = opened(address, noise(48, 64))
    for n in range(30):
        answer = tab.change("append", revision=0, edit=box_edit(n, 1, n + 3, 5))
        assert answer.is_success, answer.text
    expected = [box_edit(n, 1, n + 3, 5) for n in range(30)]
    assert tab.edits == expected
    assert Store(folder).open(tab.id).document.edits == expected
    assert tab.change("undo", revision=0).status_code == 409
    assert tab.change("undo").is_success
    assert len(tab.edits) == 29


def test_strokes_at_the_same_time_are_all_kept(address: str, folder: Path) -> None:
    tab = opened(address, noise(48, 64))
    others = [Tab(address) for _ in range(6)]
    for other in others:
        other.session = tab.session
    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda n: others[n % 6].append(box_edit(n, 1, n + 3, 5)), range(30)))
    kept = Store(folder).open(tab.id).document
    assert sorted(kept.order) == sorted(numbers)
    assert kept.revision == 30
    assert all(kept.entries[number] == box_edit(n, 1, n + 3, 5) for n, number in enumerate(numbers))


def test_two_tabs_work_each_on_its_own_picture(address: str, folder: Path) -> None:
    first = opened(address, noise(48, 64))
    first.append(box_edit(1, 1, 5, 5))
    second = opened(address, noise(40, 52))
    for n in range(4):
        second.append(box_edit(n, 2, 9, 9))
    first.append(box_edit(20, 20, 60, 40))  # does not fit the other picture, nor belong there
    assert len(first.edits) == 2
    assert len(second.wait()["edits"]) == 4
    assert first.wait()["width"] == 64
    assert first.get("/api/frame/0").headers["x-shape"] == "48,64,1"
    assert second.get("/api/frame/0").headers["x-shape"] == "40,52,1"
    assert sorted(len(offer.document.edits) for offer in Store(folder).offered()) == [2, 4]


def test_a_change_must_say_to_which_session_and_revision(address: str) -> None:
    tab = opened(address, noise(48, 64))
    change = {"type": "append", "edit": {"do": "stop"}}
    for body in (
        {"change": change, "revision": 0, "token": "12345678"},
        {"session": tab.id, "change": change, "token": "12345678"},
        {"session": tab.id, "change": change, "revision": 0},
        {"session": "../../etc", "change": change, "revision": 0, "token": "12345678"},
    ):
        assert call(address, "POST", "/api/change", json=body).status_code == 400
    assert tab.state()["session"]["edits"] == []


def test_where_there_is_no_room_for_both_a_tab_is_told_and_goes_on(folder: Path) -> None:
    with served(folder, Limits(sessions=1)) as (address, _):
        first = opened(address, noise(48, 64))
        first.append(box_edit(1, 1, 5, 5))
        second = opened(address, noise(40, 52))
        second.append(box_edit(1, 1, 5, 5))
        assert first.get("/api/state").status_code == 409
        refused = first.change("append", token="a stroke of mine", edit=box_edit(2, 2, 6, 6))
        assert refused.status_code == 409
        assert refused.json()["reason"] == "closed"
        assert "open it again" in refused.json()["error"]
        first.resume(first.id)
        assert first.change("append", token="a stroke of mine", edit=box_edit(2, 2, 6, 6)).is_success
        assert first.edits == [box_edit(1, 1, 5, 5), box_edit(2, 2, 6, 6)]
        second.resume(second.id)
        assert second.edits == [box_edit(1, 1, 5, 5)]


def test_another_task_keeps_the_edits_that_it_can(address: str, folder: Path) -> None:
    tab = opened(address, noise(48, 64), "saltpepper-gray", "auto")
    first = tab.id
    operations = {action["name"] for action in tab.session["actions"]}
    assert "fill extremes" in operations
    edits = [box_edit(1, 1, 5, 5), box_edit(2, 2, 9, 9, {"force": "fill extremes"}), {"steps": [5], "do": "stop"}]
    for item in edits:
        tab.append(item)
    session = tab.run("denoise-gray")
    assert tab.id != first
    assert session["edits"] == []
    tab.resume(first)
    assert tab.edits == edits
    session = tab.run("denoise-gray", keep=True)
    assert tab.id != first
    have = {action["name"] for action in session["actions"]}
    fits = [e for e in edits if e["do"] == "stop" or e["do"]["force"] in have]
    fits = [e for e in fits if e["steps"] == "all" or e["steps"][0] <= session["steps"]]
    assert tab.edits == fits
    assert 0 < len(fits) < 3
    assert any("edits were not kept" in note for note in session["notes"])
    kept = {offer.id: len(offer.document.edits) for offer in Store(folder).offered()}
    assert kept[first] == 3
    assert kept[tab.id] == len(fits)


def test_edits_that_another_policy_cannot_do_stay_behind(store: Store, agent: Agent) -> None:
    studio = Studio(store, Limits(), "cpu")
    session = studio.open(png(noise(20, 24)), "photo.png")
    session.run(agent, 25.0, quiet)
    names = ("do nothing", "box", "median")
    card = PolicyCard("other", "lookahead", dict(agent.card.arguments), names, 2, "sigma", {})
    other = Agent(filled(card), card, torch.device("cpu"))
    fits = [box_edit(1, 1, 5, 5), box_edit(1, 1, 5, 5, "stop", steps=[2, 3]), {"do": {"forbid": ["median", "box"]}}]
    not_there = [
        {"do": {"force": "bilateral 0.1"}},
        {"where": {"action": "Gaussian 1.5"}, "do": "stop"},
        box_edit(1, 1, 5, 5, "stop", steps=[3]),
        {"do": {"forbid": ["grey level +1"]}},
    ]
    edit(session, *fits, *not_there)
    branch = studio._branch(session, other, keep=True)
    assert branch.folder.document.edits == fits
    assert "4 of 7 edits were not kept" in branch.notices[0]
    branch.run(other, 25.0, quiet)
    assert len(branch.edits) == 3
    branch.close()
    branch = studio._branch(session, other, keep=False)
    assert branch.folder.document.edits == []
    branch.close()
    assert len(session.edits) == 7
    studio.close()


def test_forgetting_can_be_undone(address: str) -> None:
    tab = opened(address, noise(48, 64))
    tab.append(box_edit(1, 1, 5, 5))
    first = tab.id
    other = opened(address, noise(40, 52))
    listed = other.post("/api/forget", id=first)
    assert first not in [offer["id"] for offer in listed]
    assert first in [offer["id"] for offer in other.post("/api/restore", id=first)]
    other.resume(first)
    assert other.edits == [box_edit(1, 1, 5, 5)]


def test_the_same_picture_again_offers_to_go_on(address: str) -> None:
    tab = opened(address, noise(48, 64))
    tab.append(box_edit(1, 1, 5, 5))
    again = Tab(address)
    earlier = again.open(png(noise(48, 64)))["earlier"]
    assert (earlier["id"], earlier["edits"]) == (tab.id, 1)
    again.resume(earlier["id"])
    assert again.edits == [box_edit(1, 1, 5, 5)]


@pytest.mark.parametrize(
    "text",
    [
        '{"region": {"polygon": [[1, 1], [NaN, 5], [9, 9]]}, "do": "stop"}',
        '{"region": {"polygon": [[1, 1], [1e308, 5], [9, 9]]}, "do": "stop"}',
        '{"region": {"polygon": [[1, 1], [1e400, 5], [9, 9]]}, "do": "stop"}',
        f'{{"region": {{"polygon": [[1, 1], [{"9" * 400}, 5], [9, 9]]}}, "do": "stop"}}',
        f'{{"region": {{"polygon": [{",".join(["[1,1]"] * 5000)}]}}, "do": "stop"}}',
        '{"where": {"brightness": [-Infinity, Infinity]}, "do": "stop"}',
        f'{{"where": {{"brightness": [0, {"9" * 400}]}}, "do": "stop"}}',
        f'{{"region": {{"box": [0, 0, {"9" * 400}, 5]}}, "do": "stop"}}',
        f'{{"steps": [{"9" * 400}], "do": "stop"}}',
        f'{{"steps": {"[" * 2000}{"]" * 2000}, "do": "stop"}}',
        '"protect"',
    ],
)
def test_numbers_without_a_meaning_are_refused_and_nothing_is_stored(shared_tab: tuple[Tab, Path], text: str) -> None:
    tab, folder = shared_tab
    body = (
        f'{{"session": "{tab.id}", "revision": 0, "token": "12345678", "change": {{"type": "append", "edit": {text}}}}}'
    )
    answer = call(tab.address, "POST", "/api/change", content=body)
    assert answer.status_code == 400
    assert len(answer.json()["error"]) < 400
    assert tab.state()["session"]["edits"] == []
    assert Store(folder).open(tab.id).document.edits == []


@pytest.fixture(scope="module")
def shared_tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tab, Path]]:
    folder = tmp_path_factory.mktemp("sessions")
    with served(folder) as (address, _):
        yield opened(address, noise(20, 24)), folder


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/run", '"policy": "denoise-gray", "level": 1e308'),
        ("/api/run", '"policy": "denoise-gray", "level": NaN'),
        ("/api/run", f'"policy": "denoise-gray", "level": {"9" * 400}'),
        ("/api/mask", f'"box": [0, 0, 5, {"9" * 400}], "runs": [1]'),
        ("/api/mask", f'"box": [0, 0, 5, 5], "runs": [0, {"9" * 400}]'),
        ("/api/mask", '"box": [0, 0, 5, 5], "runs": [-3, 28]'),
        ("/api/mask", '"box": "all", "runs": [25]'),
        ("/api/mask", '"box": [0, 0, 2.5, 5], "runs": [25]'),
        ("/api/same", f'"step": 1, "x": {"9" * 400}, "y": 1, "channel": 0'),
        ("/api/same", '"step": 1, "x": 1, "y": 1, "channel": true'),
        ("/api/change", '"revision": 0, "token": "12345678", "change": {"type": "tell", "level": 1e308}'),
        ("/api/change", '"revision": 0, "token": "12345678", "change": {"type": "shred"}'),
    ],
)
def test_requests_have_ranges(shared_tab: tuple[Tab, Path], path: str, body: str) -> None:
    tab, _ = shared_tab
    answer = call(tab.address, "POST", path, content=f'{{"session": "{tab.id}", {body}}}')
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]
    assert tab.state()["job"] is None


# --- Whoever sends slowly keeps nobody waiting ------------------------------------------------------------------------


@contextmanager
def connections(address: str, count: int, begin: bytes) -> Iterator[list[socket.socket]]:
    host, port = address.removeprefix("http://").split(":")
    sockets = []
    try:
        for _ in range(count):
            one = socket.create_connection((host, int(port)), timeout=PATIENCE)
            sockets.append(one)
            one.sendall(begin)
        yield sockets
    finally:
        for one in sockets:
            one.close()


def said_something(sockets: list[socket.socket]) -> bool:
    """Whether the server has answered on one of them, or closed it."""
    return bool(select.select(sockets, [], [], 0)[0])


def test_half_open_connections_block_nobody_and_are_closed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pixelrl.studio import protocol

    monkeypatch.setattr(protocol, "HEAD", 5.0)
    with connections(address, 70, b"GET /api/state HTTP/1.1\r\nHost: 127") as halves:
        assert call(address, "GET", "/api/state").status_code == 200
        assert not said_something(halves)  # they were waited for meanwhile
        for half in halves:
            assert half.recv(100) == b""  # closed by the server


def test_slow_bodies_block_nobody_and_are_answered(folder: Path) -> None:
    with served(folder, Limits(silence=5.0)) as (address, _):
        port = address.rpartition(":")[2]
        head = f"POST /api/change HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-PixelRL-Token: {TOKEN}\r\n"
        with connections(address, 9, f"{head}Content-Length: 100\r\n\r\n{{".encode()) as slow:
            assert call(address, "GET", "/api/state").status_code == 200
            assert not said_something(slow)  # they were waited for meanwhile
            for one in slow:
                assert one.recv(2000).startswith(b"HTTP/1.1 408")
        upload = head.replace("/api/change", "/api/open")
        with connections(address, 2, f"{upload}Content-Length: 1000\r\n\r\nx".encode()):
            Tab(address).open(png(noise(8, 8)))  # while others are still sending theirs


# --- The token --------------------------------------------------------------------------------------------------------


def test_the_token_is_exchanged_for_a_cookie(address: str) -> None:
    with httpx.Client(timeout=PATIENCE, verify=NO_CERTIFICATES) as browser:
        answer = browser.get(f"{address}/?token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/#start")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        name, _, value = cookie.partition(";")[0].partition("=")
        for headers, status in (
            ({"Cookie": f"{name}={value}", "X-PixelRL-Page": "1"}, 200),
            ({"Cookie": f"other=1; {name}={value}", "X-PixelRL-Page": "1"}, 200),
            ({"Cookie": f"{name}={value}"}, 401),  # as a browser adds it to what other pages send
            ({"Cookie": f"{name}={value}", "X-PixelRL-Page": "1", "Origin": "http://127.0.0.1:1"}, 403),
            ({"Cookie": f"{name}={value}", "X-PixelRL-Page": "1", "Sec-Fetch-Site": "same-site"}, 403),
            ({"Cookie": f"{name}={value}", "X-PixelRL-Page": "1", "Host": "evil.example"}, 403),
            ({"Cookie": f"{name}=guess", "X-PixelRL-Page": "1"}, 401),
            ({"Cookie": f"{name}={TOKEN}", "X-PixelRL-Page": "1"}, 401),
            ({"Cookie": f"{name}={value}; {name}=guess", "X-PixelRL-Page": "1"}, 401),
            ({"X-PixelRL-Page": "1"}, 401),
            ({"Cookie": f"{name}={value}", "X-PixelRL-Page": "1", "X-PixelRL-Token": "guess"}, 401),
        ):
            assert call(address, "GET", "/api/state", None, headers=headers).status_code == status, headers
    wrong = call(address, "GET", "/?token=guess", None)
    assert wrong.status_code == 303
    assert "set-cookie" not in wrong.headers
    assert call(address, "GET", f"/?token={TOKEN}", None, headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("host", "any_address", "status"),
    [
        ("127.0.0.1:8080", False, None),
        ("LOCALHOST:8080", False, None),
        ("[::1]:8080", False, None),
        ("192.168.1.7:8080", False, 403),
        ("192.168.1.7:8080", True, None),
        ("[fe80::1]:8080", True, None),
        ("192.168.1.7:8081", True, 403),
        ("192.168.1.7", True, 403),
        ("evil.example:8080", True, 403),
        ("192.168.1.7.evil.example:8080", True, 403),
        ("192.168.1:8080", True, 403),
        ("0xc0a80107:8080", True, 403),
        ("3232235783:8080", True, 403),
        ("*:8080", True, 403),
        ("", True, 403),
    ],
)
def test_which_hosts_a_server_on_all_addresses_answers(host: str, any_address: bool, status: int | None) -> None:
    async def app(*_: object) -> None:
        raise AssertionError

    guard = Guard(app, TOKEN, frozenset({"127.0.0.1", "localhost", "::1"}), TOKEN.__eq__, any_address)
    headers = [(b"host", host.encode()), (b"x-pixelrl-token", TOKEN.encode())]
    scope = {"type": "http", "path": "/api/state", "headers": headers, "server": ("0.0.0.0", 8080)}
    refused = guard.refusal(scope)
    assert (None if refused is None else refused[0]) == status
    scope["headers"] = [*headers, (b"host", b"127.0.0.1:8080")]
    assert guard.refusal(scope) is not None


def test_a_printed_address_is_good_for_one_browser(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pixelrl", "studio", "--no-browser", "--folder", str(tmp_path), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None

        def printed() -> tuple[str, str]:
            for line in process.stdout:
                if found := re.search(r"(http://[^/]+)/\?token=\S+", line):
                    return found[0], found[1]
            raise AssertionError

        try:
            first, base = printed()
            mine = entered(first)
            assert call(base, "GET", "/api/state", None, headers=mine).status_code == 200
            late = entered(first)  # as from the list of the addresses that were visited
            assert late["Cookie"] == ""
            assert call(base, "GET", "/api/state", None, headers=late).status_code == 401
            second, _ = printed()  # for another browser, or the same one when it has ended meanwhile
            assert second != first
            assert call(base, "GET", "/api/state", None, headers=entered(second)).status_code == 200
            assert call(base, "GET", "/api/state", None, headers=mine).status_code == 200
            ticket = second.partition("token=")[2]
            assert call(base, "GET", "/api/state", ticket).status_code == 401  # it opens nothing else
        finally:
            process.kill()


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def test_what_was_acknowledged_survives_the_kill_of_the_process(tmp_path: Path) -> None:
    photo, folder = tmp_path / "photo.png", tmp_path / "sessions"
    photo.write_bytes(png(noise(48, 64)))
    words = ["studio", str(photo), "--no-browser", "--folder", str(folder), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

    @contextmanager
    def started() -> Iterator[tuple[Tab, subprocess.Popen[str]]]:
        command = [sys.executable, "-m", "pixelrl", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            found = re.search(r"(http://[^/]+)/\?token=\S+", process.stdout.readline())
            assert found is not None
            tab = Tab(found[1], entered(found[0]))
            try:
                tab.state()
                yield tab, process
            finally:
                process.kill()

    acknowledged: list[dict[str, object]] = []
    with started() as (tab, process):
        tab.run("denoise-gray", 25)
        killer = threading.Timer(0.5, process.send_signal, [signal.SIGKILL])
        try:
            for n in range(MOST_EDITS):
                stroke = box_edit(n % 40, 1, n % 40 + 3, 5 + n % 30)
                tab.append(stroke)
                acknowledged.append(stroke)
                if n == 4:
                    killer.start()
        except httpx.HTTPError:
            pass
        killer.join()
        assert process.wait(PATIENCE) == -signal.SIGKILL
    assert len(acknowledged) > 4
    with started() as (tab, _):
        earlier = tab.session["earlier"]
        assert earlier is not None  # the page offers to go on
        tab.resume(earlier["id"])
        kept = tab.edits
        assert kept[: len(acknowledged)] == acknowledged
        assert len(kept) - len(acknowledged) <= 1  # the one that was not acknowledged any more
        assert tab.append(box_edit(1, 1, 5, 5))
