"""What a full disk, a kill, a second studio or a damaged file does to sessions of the studio; without a browser."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from pixelrl.agent import Agent
from pixelrl.errors import UsageError
from pixelrl.studio.changes import Redo, Undo
from pixelrl.studio.document import StaleError
from pixelrl.studio.folder import Folder
from pixelrl.studio.lock import Lock
from pixelrl.studio.serve import serve
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.stages import chain, older, require_whole
from pixelrl.studio.state import session_state
from pixelrl.studio.store import KEPT_FORGOTTEN, KEPT_WITHOUT_EDITS, Store
from pixelrl.studio.studio import Limits, Studio
from test_studio import agent, begun, box_edit, edit, noise, png, quiet, store
from test_studio_stages import went_on

__all__ = ["agent", "store"]


def studio_with(store: Store, agent: Agent, **limits: int) -> Studio:
    """A studio that offers this policy; its worker does nothing yet."""
    studio = Studio(store, Limits(**limits), "cpu")
    studio.agents._agents["small"] = agent
    studio.agents.known.append("small")
    return studio


def resumed(store: Store, session: Session) -> Session:
    """The session as another studio opens it."""
    folder = store.open(session.folder.id)
    again = Session(folder, folder.picture(10**6))
    again.resume(quiet)
    return again


def cut(path: Path, amount: int) -> None:
    """Without its last bytes, as after a disk was full."""
    path.write_bytes(path.read_bytes()[:-amount])


# --- Stages -----------------------------------------------------------------------------------------------------------


def notes(studio: Studio, session: Session) -> list[str]:
    """What the page is told of a session in words."""
    return cast(list[str], studio.going.state(session)["notes"])


def test_a_damaged_stage_is_named_and_those_after_it_stay(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    third = went_on(second, agent, 5.0)
    edit(second, box_edit(1, 1, 9, 9))
    shown = third.result()[1]
    for session in (first, second, third):
        session.close()
    cut(second.folder.path / "session.json", 20)
    stages = chain(store.open(third.folder.id))
    assert older(stages) == [False, True]
    studio = studio_with(store, agent)
    session = studio.opened(third.folder.id, quiet)
    assert "stage 2 of this picture is damaged" in notes(studio, session)[0]
    job = studio.going.renew(third.folder.id)
    with pytest.raises(UsageError, match="stage 2 of this picture is damaged"):
        job.do(quiet)
    with pytest.raises(UsageError, match="stage 2 of this picture is damaged"):
        studio.going.go_on(third.folder.id, third.folder.id, "small", 5.0)
    with pytest.raises(UsageError, match="a stage before this one is damaged"):
        store.branch(session.folder)
    studio.close()
    assert np.array_equal(resumed(store, third).result()[1], shown)


def put_away(store: Store, agent: Agent) -> tuple[Session, Session]:
    """A picture with two stages, which nobody has open."""
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    first.close()
    second.close()
    return first, second


def test_a_damaged_last_stage_is_named(store: Store, agent: Agent) -> None:
    first, second = put_away(store, agent)
    cut(second.folder.path / "session.json", 20)
    studio = studio_with(store, agent)
    again = studio.opened(first.folder.id, quiet)
    assert "a later stage of this picture is damaged" in notes(studio, again)[0]
    with pytest.raises(UsageError, match="a later stage of this picture is damaged"):
        studio.going.go_on(first.folder.id, first.folder.id, "small", 5.0)
    assert second.folder.trace.is_file()
    shutil.rmtree(second.folder.path)  # as a person who has looked into the folder
    assert notes(studio, again) == []
    studio.close()


def test_a_stage_that_a_killed_studio_had_not_written_down_stops_nobody(store: Store, agent: Agent) -> None:
    first, second = put_away(store, agent)
    (second.folder.path / "session.json").unlink()
    assert second.folder.trace.is_file()
    studio = studio_with(store, agent)
    opened = studio.opened(first.folder.id, quiet)
    assert notes(studio, opened) == []
    require_whole(chain(opened.folder))
    studio.close()


def test_a_stage_of_a_damaged_first_one_is_refused_in_a_sentence(store: Store, agent: Agent) -> None:
    first, second = put_away(store, agent)
    cut(first.folder.path / "session.json", 20)
    studio = studio_with(store, agent)
    with pytest.raises(UsageError, match="stage 1 of this picture is damaged"):
        studio.opened(second.folder.id, quiet)
    studio.close()


# --- Runs -------------------------------------------------------------------------------------------------------------


def no_room(*_: object) -> None:
    raise UsageError("the session folder cannot be written: No space left on device")


def test_a_run_that_cannot_be_written_down_leaves_the_one_before(
    store: Store, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begun(store, agent, noise(20, 24))
    edit(session, box_edit(1, 1, 9, 9))
    shown, files = session.result()[1], sorted(session.folder.path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_save", no_room)  # the disk is full just after the trace
        with pytest.raises(UsageError, match="No space left"):
            session.run(agent, 60.0, quiet)
    assert np.array_equal(session.result()[1], shown)
    assert sorted(session.folder.path.iterdir()) == files
    session.close()
    again = resumed(store, session)
    assert (again.folder.document.level, dict(again.recorded.trace.condition)) == (25.0, {"sigma": 25.0})
    assert np.array_equal(again.result()[1], shown)
    again.run(agent, 60.0, quiet)
    assert not np.array_equal(again.result()[1], shown)
    assert [path.name for path in again.folder.path.glob("*.npz")] == [again.folder.document.trace]
    assert np.array_equal(resumed(store, session).result()[1], again.result()[1])


def test_a_kill_between_run_and_document_leaves_the_run_before(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    shown, document = session.result()[1], session.folder.path / "session.json"
    before, trace = document.read_bytes(), session.folder.trace.read_bytes()
    session.run(agent, 60.0, quiet)
    newer = session.folder.trace
    session.close()
    document.write_bytes(before)  # as a kill leaves it: both traces, and the document of the former one
    store.open(session.folder.id).trace.write_bytes(trace)
    again = resumed(store, session)
    assert np.array_equal(again.result()[1], shown)
    again.folder.claim()
    assert not newer.exists()
    assert again.folder.trace.is_file()
    again.close()


def test_a_stage_that_cannot_be_done_again_keeps_its_picture(
    store: Store, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    shown, picture = second.result()[1], second.picture.pixels
    edit(first, box_edit(1, 1, 15, 15))
    with monkeypatch.context() as patch:
        patch.setattr("pixelrl.studio.session.save_trace", no_room)
        with pytest.raises(UsageError, match="No space left"):
            second.run(agent, 12.0, quiet, basis=first.basis())
    assert np.array_equal(second.picture.pixels, picture)
    assert np.array_equal(second.recorded.trace.pixels, picture)
    assert np.array_equal(resumed(store, second).result()[1], shown)
    second.run(agent, 12.0, quiet, basis=first.basis())
    assert np.array_equal(second.picture.pixels, first.result()[1])
    assert older(chain(second.folder)) == [False, False]


def test_sessions_whose_run_has_the_former_name_go_on(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    shown, folder = session.result()[1], session.folder
    session.close()
    known = json.loads((folder.path / "session.json").read_text())
    folder.trace.rename(folder.path / "trace.npz")
    (folder.path / "session.json").write_text(json.dumps({name: known[name] for name in known if name != "trace"}))
    assert [one.id for one in store.offered()] == [folder.id]
    again = resumed(store, session)
    assert np.array_equal(again.result()[1], shown)
    again.run(agent, 60.0, quiet)
    assert not (folder.path / "trace.npz").exists()
    assert np.array_equal(resumed(store, session).result()[1], again.result()[1])
    (folder.path / "session.json").write_text(json.dumps({**known, "trace": "../../photo.npz"}))
    with pytest.raises(UsageError, match="is damaged"):
        store.open(folder.id)


# --- Several tabs and studios -----------------------------------------------------------------------------------------


def test_stages_are_done_again_while_another_tab_opens_a_picture(
    store: Store, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    edit(first, box_edit(1, 1, 15, 15))
    first.close()
    second.close()
    studio = studio_with(store, agent, sessions=2)
    studio.opened(second.folder.id, quiet)
    studio.opened(first.folder.id, quiet)
    others = iter(range(2))
    plain = Agent.__call__

    def meanwhile(self: Agent, *given: object, **named: object) -> object:
        result = plain(self, *given, **named)
        for number in others:
            studio.open(png(noise(9, 9)), f"other{number}.png")
        return result

    monkeypatch.setattr(Agent, "__call__", meanwhile)
    studio.worker.start()
    job = studio.going.renew(first.folder.id)
    while job.number not in studio.worker.outcomes:
        time.sleep(0.02)
    assert studio.worker.outcomes[job.number].error is None
    assert older(chain(store.open(first.folder.id))) == [False, False]
    assert not studio.worker.works_on(second.folder.id)
    studio.close()


def test_a_closed_session_writes_no_run(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    edit(first, box_edit(1, 1, 15, 15))
    basis = first.basis()
    second.close()
    other = store.open(second.folder.id)
    other.claim()
    before = {path: path.read_bytes() for path in other.path.iterdir()}
    with pytest.raises(StaleError, match="put away meanwhile"):
        second.run(agent, 60.0, quiet, basis=basis)
    assert {path: path.read_bytes() for path in other.path.iterdir()} == before
    other.release()


def test_another_task_for_a_stage_is_not_tidied_away_while_it_runs(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    for _ in range(KEPT_WITHOUT_EDITS + 1):
        begun(store, agent, noise(8, 8)).close()
    branch = Session(store.branch(second.folder), second.picture)
    store.tidy()
    branch.run(agent, 5.0, quiet)
    assert [stage.document.level for stage in chain(store.open(branch.folder.id))] == [25.0, 5.0]
    branch.close()


# --- Forgetting -------------------------------------------------------------------------------------------------------


def test_what_one_studio_forgot_no_other_one_removes(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    edit(session, box_edit(1, 1, 4, 4))
    session.close()
    store.forget(session.folder.id)
    gone = session.folder.path.with_name(f"{session.folder.id}.forgotten")
    other = Studio(Store(store.root), Limits(), "cpu")
    other.open(png(noise(9, 9)), "other.png")
    other.close()
    store.restore(session.folder.id)
    assert len(resumed(store, session).edits) == 1
    # Long after, and forgotten by this one.
    store.forget(session.folder.id)
    long_ago = time.time() - 2 * KEPT_FORGOTTEN
    os.utime(gone, (long_ago, long_ago))
    store.tidy()
    assert gone.is_dir()
    Store(store.root).tidy()  # as if the one that forgot it had been killed
    assert not gone.exists()


def test_a_studio_that_ends_removes_what_it_forgot(store: Store, agent: Agent) -> None:
    ours, theirs = begun(store, agent, noise(20, 24)), begun(store, agent, noise(20, 24))
    other = Store(store.root)
    for session in (ours, theirs):
        session.close()
        store.forget(session.folder.id)
    other.restore(theirs.folder.id)
    other.forget(theirs.folder.id)
    store.purge()
    other.restore(theirs.folder.id)
    with pytest.raises(UsageError, match="cannot be brought back"):
        store.restore(ours.folder.id)


def test_a_picture_of_which_a_stage_was_removed_is_not_tidied_away(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    edit(second, box_edit(1, 1, 15, 15))
    first.close()
    second.close()
    store.forget(second.folder.id)
    for _ in range(KEPT_WITHOUT_EDITS + 1):
        begun(store, agent, noise(8, 8)).close()
    store.tidy()
    store.restore(second.folder.id)
    assert len(resumed(store, second).edits) == 1


# --- Damaged sessions -------------------------------------------------------------------------------------------------


def as_json(session: Session) -> tuple[Path, dict[str, Any]]:
    """A session's document on the disk."""
    path = session.folder.path / "session.json"
    return path, json.loads(path.read_text())


@pytest.mark.parametrize("damage", ["null", "gone", "gone and undone"])
def test_a_single_damaged_edit_is_left_out(store: Store, agent: Agent, damage: str) -> None:
    session = begun(store, agent, noise(20, 24))
    edit(session, box_edit(1, 1, 4, 4), box_edit(2, 2, 5, 5))
    if damage == "gone and undone":
        session.change(Undo())
        session.change(Undo())
    session.close()
    path, known = as_json(session)
    if damage == "null":
        known["entries"]["1"] = None
    else:
        del known["entries"]["1"]
    path.write_text(json.dumps(known))
    assert [one.id for one in store.offered()] == [session.folder.id]
    assert store.damaged() == []
    again = resumed(store, session)
    if damage == "gone and undone":
        again.change(Redo())
        again.change(Redo())
    else:
        assert (again.folder.path / "session-before.json").is_file()
    assert again.folder.document.edits == [box_edit(2, 2, 5, 5)]
    assert "left out" in again.notices[0]


@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_a_session_whose_run_cannot_be_read_keeps_its_edits(store: Store, agent: Agent, damage: str) -> None:
    session = begun(store, agent, noise(20, 24))
    edit(session, box_edit(1, 1, 4, 4), box_edit(2, 2, 5, 5))
    session.change(Undo())
    shown, data = session.result()[1], session.folder.input.read_bytes()
    session.close()
    if damage == "gone":
        session.folder.trace.unlink()
    else:
        cut(session.folder.trace, 50)
    assert [one.id for one in store.offered()] == [session.folder.id]
    found = store.earlier(data)
    assert found is not None
    studio = studio_with(store, agent)
    again = studio.opened(session.folder.id, quiet)
    assert again.phase is Phase.UNRUN
    assert "run small again" in again.notices[0]
    assert again.fitting(agent.actions.names, 3) == session.folder.document.order
    assert session_state(again)["ran"] is False
    studio.run(again.folder.id, "small", 25.0).do(quiet)
    assert again.notices == []  # there is another run
    assert np.array_equal(again.result()[1], shown)
    again.change(Redo())
    assert len(again.edits) == 2
    assert [path.name for path in again.folder.path.glob("*.npz")] == [again.folder.document.trace]
    studio.close()


def test_a_stage_whose_run_is_gone_is_done_again(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    edit(second, box_edit(1, 1, 9, 9))
    third = went_on(second, agent, 5.0)
    shown = third.result()[1]
    for session in (first, second, third):
        session.close()
    second.folder.trace.unlink()
    os.utime(second.folder.path, (0, 0))  # so that nobody may just be beginning it
    studio = studio_with(store, agent)
    store.tidy()
    studio.opened(first.folder.id, quiet)
    assert older(chain(store.open(first.folder.id))) == [False, True, True]
    studio.going.renew(first.folder.id).do(quiet)
    assert older(chain(store.open(first.folder.id))) == [False, False, False]
    studio.close()
    assert len(resumed(store, second).edits) == 1
    assert np.array_equal(resumed(store, third).result()[1], shown)


def test_a_session_that_is_removed_meanwhile_is_not_damaged(
    store: Store, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(store, agent, noise(20, 24)).close()
    plain = Store.open

    def meanwhile(self: Store, identity: str) -> Folder:
        shutil.rmtree(self.root / identity)
        return plain(self, identity)

    monkeypatch.setattr(Store, "open", meanwhile)
    assert store.damaged() == []


def test_a_session_that_cannot_be_opened_is_listed_and_can_be_forgotten(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    session.close()
    cut(session.folder.path / "session.json", 20)
    studio = studio_with(store, agent)
    (listed,) = studio.offered()
    assert (listed["picture"], listed["damaged"]) == (session.folder.id, str(session.folder.path))
    with pytest.raises(UsageError, match="is damaged"):
        studio.resume(session.folder.id)
    studio.forget(session.folder.id)
    assert studio.offered() == []
    store.restore(session.folder.id)
    assert len(studio.offered()) == 1
    studio.close()


# --- The folder -------------------------------------------------------------------------------------------------------


def test_files_of_a_persons_own_are_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"port": "my notes", "mine.forgotten/a.txt": "mine", "mine/stages/old.forgotten/a.txt": "mine"}
    for name, text in own.items():
        path = store.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path.parent, (0, 0))
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    serve(None, None, "127.0.0.1", 0, store.root, 10**6, browser=False, device="cpu")
    assert {name: (store.root / name).read_text() for name in own} == own
    assert (store.root / ".pixelrl-port").read_text().isdecimal()


def test_another_task_on_a_full_disk_leaves_nothing(
    store: Store, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    before = sorted(store.root.rglob("*"))

    def full(source: Path, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"12")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        for session in (first, second):
            with pytest.raises(UsageError, match="cannot be written"):
                store.branch(session.folder)
    assert sorted(store.root.rglob("*")) == before


def test_what_a_killed_studio_had_begun_is_tidied_away(store: Store, agent: Agent) -> None:
    whole = begun(store, agent, noise(20, 24))
    whole.close()
    lost, young, held = (store.root / f"0123456789abcde{n}" for n in range(3))
    for path in (lost, young, held):
        path.mkdir()
        (path / "input.png").write_bytes(b"picture")
    kept = store.root / "0123456789abcde3"
    kept.mkdir()
    (kept / "trace.npz").write_bytes(b"what a policy did")
    folder = Folder(held, whole.folder.document)
    folder.claim()
    for path in (lost, held, kept, whole.folder.path):
        os.utime(path, (0, 0))
    store.tidy()
    assert sorted(store.root.iterdir()) == sorted([young, held, kept, whole.folder.path])
    folder.release()


def test_a_look_at_a_lock_keeps_nobody_out(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    looking = Lock(session.folder.path / "lock", shared=True)  # as `held` does, here for longer than a moment
    assert not session.folder.held  # nor does one who looks take another one for somebody who has it open
    timer = threading.Timer(0.5, looking.release)
    timer.start()
    session.folder.claim()
    timer.join()
    with pytest.raises(UsageError, match="open in another studio"):
        store.open(session.folder.id).claim()
    session.close()
