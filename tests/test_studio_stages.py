"""Tasks that follow one another on one picture, without a browser."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelrl.agent import Agent
from pixelrl.cli import main
from pixelrl.errors import UsageError
from pixelrl.pictures.display import orientation_exif
from pixelrl.pictures.files import decode, encode, read_picture
from pixelrl.pictures.formats import Picture
from pixelrl.studio.changes import Remove, Undo
from pixelrl.studio.session import Session
from pixelrl.studio.stages import chain, follow, older
from pixelrl.studio.store import KEPT_WITHOUT_EDITS, Store
from pixelrl.studio.studio import Limits, Studio
from tabs import TOKEN, Tab, call, served
from test_studio import agent, begun, box_edit, edit, noise, png, quiet, store

__all__ = ["agent", "store"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("sessions")) as (base, _):
        yield base


def went_on(session: Session, agent: Agent, level: float = 12.0) -> Session:
    """The stage after this one."""
    basis = session.basis()
    stage = Session(follow(session.folder, basis), basis.picture)
    stage.run(agent, level, quiet)
    return stage


def go_on(tab: Tab, policy: str, level: object = "auto") -> None:
    assert tab.session is not None
    last = tab.session["stages"][-1]["id"]
    tab.wait(tab.post("/api/go-on", after=last, policy=policy, level=level)["job"])


def two_stages(address: str, *shape: int) -> tuple[Tab, str, str]:
    """A tab that has cleaned a picture of a shape twice and shows the second stage, and the ids of both."""
    tab = Tab(address)
    tab.open(png(noise(*shape)))
    tab.run("denoise-gray", 20)
    first = tab.id
    go_on(tab, "denoise-gray", 10)
    return tab, first, tab.id


def photo(dtype: str, *shape: int) -> Picture:
    """A noisy picture, turned, with a profile and an alpha channel."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    full = np.iinfo(dtype).max
    clean = 0.3 + 0.4 * np.sin(x / 9) * np.cos(y / 7)
    clean = clean if len(shape) == 2 else np.stack([clean, clean[::-1], 1 - clean], -1)
    noisy = clean + np.random.default_rng(0).normal(0, 0.06, shape)
    alpha = np.full(shape[:2], full, dtype)
    alpha[:9, :9] = 0
    pixels = (noisy.clip(0, 1) * full).astype(dtype)
    return Picture(pixels, alpha, exif=orientation_exif(6))


@pytest.mark.parametrize(
    ("picture", "first", "second", "command"),
    [
        (photo("uint8", 40, 52, 3), "denoise-color", "enhance-local-xpro", ["enhance", "--style", "local-xpro"]),
        (photo("uint16", 40, 52), "denoise-gray", "poisson-gray", ["denoise", "--policy", "poisson-gray"]),
    ],
    ids=["8 bits", "16 bits"],
)  # fmt: skip
def test_a_stage_has_the_bits_of_the_command_line(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    picture: Picture, first: str, second: str, command: list[str],
) -> None:  # fmt: skip
    tab = Tab(address)
    tab.open(encode(picture, "png")[0])
    tab.run(first, 20)
    tab.append(box_edit(5, 6, 30, 20))
    tab.wait()
    (tmp_path / "between.png").write_bytes(tab.get("/api/export/picture").content)
    assert tab.get("/api/export/stage").headers["x-name"] == "photo-stage1.png"
    between = decode(tab.get("/api/export/stage").content, "between").pixels
    go_on(tab, second)
    tab.append(box_edit(1, 2, 9, 12, {"force": "do nothing"}))
    tab.wait()
    tab.change("undo")
    tab.wait()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pixelrl", command[0], "between.png", *command[1:], "-o", "out.png"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    taken, result = read_picture("between.png"), decode(tab.get("/api/export/picture").content, "result")
    expected = read_picture("out.png")
    assert taken.pixels.dtype == result.pixels.dtype == picture.pixels.dtype
    assert np.array_equal(taken.pixels, between)
    assert not np.array_equal(result.pixels, taken.pixels)
    assert np.array_equal(result.pixels, expected.pixels)
    assert np.array_equal(result.alpha, picture.alpha)  # type: ignore[arg-type]
    assert result.exif == picture.exif


def test_saving_keeps_the_format_of_the_file_that_was_opened(address: str) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a description"
    Image.fromarray(noise(32, 40, 3)).save(file, "JPEG", exif=exif, comment=b"a comment")
    tab = Tab(address)
    tab.open(file.getvalue(), "photo.jpg")
    tab.run("denoise-color", 20)
    go_on(tab, "denoise-color", 10)
    assert tab.session is not None
    assert (tab.session["format"], tab.session["name"]) == ("jpg", "photo.jpg")
    saved = tab.get("/api/export/picture")
    assert saved.headers["x-name"] == "photo-result.jpg"
    image = Image.open(io.BytesIO(saved.content))
    assert image.format == "JPEG"
    assert image.getexif()[0x010E] == "a description"
    assert image.info["comment"] == b"a comment"
    assert tab.get("/api/export/trace").headers["x-name"] == "photo-stage2.npz"
    with zipfile.ZipFile(io.BytesIO(tab.get("/api/export/edits").content)) as archive:
        said = archive.read("how-to.txt").decode()
    assert "photo-stage2.npz edits.json" in said
    assert "denoise photo-stage1.png --policy denoise-color" in said


def test_a_stage_knows_whether_it_is_of_an_older_result(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(30, 36))
    second = went_on(first, agent)
    third = went_on(second, agent, 5.0)
    assert [stage.id for stage in chain(second.folder)] == [one.folder.id for one in (first, second, third)]

    def marks() -> list[bool]:
        return older(chain(store.open(third.folder.id)))  # as it stands on the disk

    assert marks() == [False, False, False]
    edit(first, box_edit(2, 2, 20, 20))
    assert marks() == [False, True, True]
    edit(first, box_edit(2, 2, 20, 20, off=True))
    first.change(Remove(1))
    assert marks() == [False, False, False]  # an edit that is off changes nothing
    first.change(Undo())
    assert marks() == [False, True, True]
    first.change(Remove(1))
    first.run(agent, 25.0, quiet)  # the same again
    assert marks() == [False, False, False]
    first.run(agent, 40.0, quiet)
    assert marks() == [False, True, True]
    edit(second, box_edit(1, 1, 4, 4))
    second.run(agent, 12.0, quiet, basis=first.basis())
    assert marks() == [False, False, True]
    assert len(second.edits) == 1
    assert np.array_equal(second.picture.pixels, first.result()[1])
    again = Session(store.open(second.folder.id), store.open(second.folder.id).picture(10**6))
    again.resume(quiet)
    assert np.array_equal(again.result()[1], second.result()[1])


def test_later_stages_are_done_again_with_their_edits(address: str) -> None:
    tab, first, second = two_stages(address, 40, 52)
    go_on(tab, "poisson-gray", 90)
    third = tab.id
    tab.append(box_edit(1, 1, 9, 9))
    tab.wait()
    before = decode(tab.get("/api/export/stage").content, "before").pixels
    tab.session = {"id": first}
    tab.state()
    tab.append(box_edit(5, 6, 40, 30, {"force": "grey level +16"}))
    tab.wait()
    state = tab.state()["session"]
    assert [stage["older"] for stage in state["stages"]] == [False, True, True]
    assert [stage["edits"] for stage in state["stages"]] == [1, 0, 1]
    tab.session = {"id": third}
    assert np.array_equal(decode(tab.get("/api/export/stage").content, "same").pixels, before)  # nothing by itself
    tab.state()
    tab.wait(tab.post("/api/renew")["job"])
    assert tab.id == third  # what is shown stays
    assert [stage["older"] for stage in tab.session["stages"]] == [False, False, False]
    assert len(tab.edits) == 1
    expected = {}
    for name, identity in (("first", first), ("second", second), ("third", third)):
        tab.session = {"id": identity}
        expected[name] = decode(tab.get("/api/export/stage").content, name).pixels
    assert not np.array_equal(expected["third"], before)
    # As if it had been so from the beginning.
    anew = Tab(address)
    anew.open(png(expected["first"]))
    anew.run("denoise-gray", 10)
    assert np.array_equal(decode(anew.get("/api/export/stage").content, "anew").pixels, expected["second"])
    go_on(anew, "poisson-gray", 90)
    anew.append(box_edit(1, 1, 9, 9))
    anew.wait()
    assert np.array_equal(decode(anew.get("/api/export/stage").content, "anew").pixels, expected["third"])


def test_two_tabs_do_not_go_on_twice(address: str) -> None:
    tab = Tab(address)
    tab.open(png(noise(24, 30)))
    tab.run("denoise-gray", 20)
    other = Tab(address)
    other.session = tab.session
    go_on(tab, "denoise-gray", 10)
    assert other.session is not None
    answer = other.send("/api/go-on", after=other.id, policy="denoise-gray", level=5)
    assert (answer.status_code, answer.json()["reason"]) == (409, "stale")
    assert len(other.state()["session"]["stages"]) == 2
    answer = tab.send("/api/go-on", after=tab.id, policy="no-such-policy")
    assert answer.status_code == 400


def test_the_last_stage_can_be_removed_and_brought_back(address: str) -> None:
    tab, first, second = two_stages(address, 24, 30)
    tab.append(box_edit(1, 1, 9, 9))
    assert "is open" in tab.send("/api/forget", id=second).json()["error"]  # it is what this tab shows
    tab.session = {"id": first}
    tab.post("/api/forget", id=second)
    assert len(tab.state()["session"]["stages"]) == 1
    tab.post("/api/restore", id=second)
    assert [stage["edits"] for stage in tab.state()["session"]["stages"]] == [0, 1]
    tab.post("/api/forget", id=second)
    tab.state()
    go_on(tab, "poisson-gray", 90)
    assert "taken this one's place" in tab.send("/api/restore", id=second).json()["error"]
    third = tab.id
    go_on(tab, "denoise-gray", 10)
    fourth = tab.id
    tab.session = {"id": first}
    assert "other stages follow" in tab.send("/api/forget", id=third).json()["error"]
    listed = {offer["picture"]: offer for offer in call(address, "GET", "/api/sessions", TOKEN).json()}
    assert listed[first]["id"] == fourth
    assert listed[first]["policies"] == ["denoise-gray", "poisson-gray", "denoise-gray"]


def test_the_list_of_sessions_holds_pictures(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    stage = went_on(session, agent)
    for _ in range(KEPT_WITHOUT_EDITS + 3):
        begun(store, agent, noise(8, 8))
    store.tidy()  # a picture with later stages is not removed, although nothing was edited
    assert store.offered()[0].id == session.folder.id
    assert len(store.offered()) == KEPT_WITHOUT_EDITS + 1
    found = store.earlier(png(noise(20, 24)))
    assert found is not None
    assert found.id == session.folder.id
    assert store.earlier(stage.folder.input.read_bytes()) is None  # not a picture that anybody opened
    store.forget(session.folder.id)
    assert session.folder.id not in [folder.id for folder in store.offered()]
    with pytest.raises(UsageError, match="no session"):
        store.open(stage.folder.id)
    store.restore(session.folder.id)
    assert [one.id for one in chain(store.open(stage.folder.id))] == [session.folder.id, stage.folder.id]


def test_another_task_for_a_later_stage_begins_a_session_with_copies_of_those_before(address: str) -> None:
    tab = Tab(address)
    tab.open(png(noise(24, 30)))
    tab.run("denoise-gray", 20)
    tab.append(box_edit(1, 1, 9, 9))
    first = tab.id
    go_on(tab, "denoise-gray", 10)
    second = tab.id
    tab.run("poisson-gray", 90)
    assert tab.session is not None
    assert [stage["policy"] for stage in tab.session["stages"]] == ["denoise-gray", "poisson-gray"]
    assert [stage["edits"] for stage in tab.session["stages"]] == [1, 0]
    assert not {first, second} & {stage["id"] for stage in tab.session["stages"]}
    assert not any(stage["older"] for stage in tab.session["stages"])
    tab.session = {"id": second}
    assert [stage["policy"] for stage in tab.state()["session"]["stages"]] == ["denoise-gray", "denoise-gray"]


def test_a_studio_that_is_killed_anywhere_loses_no_stage(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(30, 36))
    second = went_on(first, agent)
    edit(second, box_edit(1, 1, 4, 4))
    shown = second.result()[1]
    # Killed while a third stage was begun.
    begun_only = follow(second.folder, second.basis())
    assert len(chain(store.open(first.folder.id))) == 2
    # Killed after a newer picture was written down, and before the run on it.
    edit(first, box_edit(2, 2, 20, 20))
    second.folder.write_input(png(first.result()[1]))
    again = Studio(store, Limits(), "cpu")
    session = again.opened(second.folder.id, quiet)
    assert np.array_equal(session.result()[1], shown)
    assert len(session.edits) == 1
    assert older(chain(session.folder)) == [False, True]
    session.run(agent, 12.0, quiet, basis=again.opened(first.folder.id, quiet).basis())
    assert older(chain(session.folder)) == [False, False]
    again.close()
    assert begun_only.path.is_dir()  # somebody may just be beginning it


def test_a_picture_is_open_in_one_studio(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    second.folder.claim()
    other = Studio(store, Limits(), "cpu")
    with pytest.raises(UsageError, match="open in another studio"):
        other.opened(first.folder.id, quiet)
    with pytest.raises(UsageError, match="is open"):
        store.forget(first.folder.id)
    second.close()
    other.opened(first.folder.id, quiet)
    other.close()


def test_sessions_from_before_there_were_stages_go_on(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(20, 24))
    path = session.folder.path / "session.json"
    known = json.loads(path.read_text())
    path.write_text(
        json.dumps({name: known[name] for name in known if name not in ("ran", "number", "source", "kept_as")})
    )
    studio = Studio(store, Limits(), "cpu")
    again = studio.opened(session.folder.id, quiet)
    assert again.folder.document.ran == ""
    stage = went_on(again, agent)
    again.run(agent, 25.0, quiet)
    assert older(chain(stage.folder)) == [False, False]
    studio.close()
