"""The studio and the object of a saliency policy: chosen, shown, undone, saved, and the same as on the command line."""

from __future__ import annotations

import io
import shlex
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.cli import main
from pixelrl.errors import InputError, PixelRLError, UsageError
from pixelrl.studio.changes import Append, Redo, Switch, Tell, Undo
from pixelrl.studio.exports import EXPORTS
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.store import Store
from pixelrl.studio.studio import Studio
from pixelrl.trace import load_trace
from tabs import Tab, served
from test_studio import NAMES, Limits, begun, box_edit, edit, filled, noise, png, quiet, settled

BOX = [5, 6, 25, 20]
INSIDE = np.zeros((40, 52), bool)
INSIDE[6:20, 5:25] = True


@pytest.fixture(scope="module")
def editor() -> Agent:
    sizes = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 3}
    card = PolicyCard("editor", "steering", sizes, NAMES, 3, "strength", {})
    network = filled(card)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)  # so that it minds what it is told
    return Agent(network, card, torch.device("cpu"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "sessions")


@pytest.fixture
def session(store: Store, editor: Agent) -> Session:
    return begun(store, editor, noise(40, 52, 3), "auto")


def done(session: Session, editor: Agent) -> Session:
    """What the worker does until nothing is left to do."""
    while session.phase in (Phase.RERUN, Phase.REACT):
        session.run(editor, session.folder.document.settings()["level"], quiet)  # type: ignore[arg-type]
    return session


def used(session: Session) -> np.ndarray:
    assert session.recorded is not None
    assert session.recorded.trace.mask is not None
    return session.recorded.trace.mask


# --- Sessions ---------------------------------------------------------------------------------------------------------


def test_another_object_and_strength(session: Session, editor: Agent) -> None:
    pixels = session.picture.pixels
    found = editor(pixels)
    assert np.array_equal(used(session), found.trace().mask)
    assert np.array_equal(session.wanted_object(), used(session))
    assert session.phase is not Phase.RERUN
    session.change(Tell(region={"box": BOX}))
    assert session.phase is Phase.RERUN
    assert session.phase is not Phase.EXACT
    assert np.array_equal(session.wanted_object(), INSIDE)  # at once, before the run
    with pytest.raises(UsageError, match="still at work"):
        session.result()
    done(session, editor)
    assert np.array_equal(used(session), INSIDE)
    expected = editor(pixels, mask=INSIDE)
    assert np.array_equal(session.result()[1], expected.image)
    assert not np.array_equal(expected.image, found.image)
    session.change(Tell(level=-0.7))
    done(session, editor)
    assert np.array_equal(used(session), INSIDE)  # the object stays
    assert np.array_equal(session.result()[1], editor(pixels, mask=INSIDE, strength=-0.7).image)
    session.change(Tell(region=None))
    assert not session.wanted_object().any()  # it is still to be found
    done(session, editor)
    assert np.array_equal(used(session), found.trace().mask)


def test_undo_brings_back_objects_strengths_and_edits_in_turn(session: Session, editor: Agent) -> None:
    found = used(session)
    session.change(Tell(region={"box": BOX}))
    edit(done(session, editor), box_edit(0, 0, 9, 9))
    session.change(Tell(level=0.9))
    done(session, editor)
    assert len(session.edits) == 1  # another run takes no edit away
    last = settled(session).result()
    session.change(Undo())
    done(session, editor)
    assert session.recorded.trace.condition == {"strength": 0.5}
    assert np.array_equal(used(session), INSIDE)
    session.change(Undo())
    assert session.edits == ()
    assert session.phase is not Phase.RERUN
    session.change(Undo())
    assert np.array_equal(used(done(session, editor)), found)
    session.change(Undo())  # there is nothing more
    for _ in range(3):
        session.change(Redo())
    again = settled(done(session, editor)).result()
    assert np.array_equal(again[1], last[1])
    assert np.array_equal(again[0].mask, INSIDE)


def test_a_crash_loses_no_object(session: Session, store: Store, editor: Agent) -> None:
    def reopened() -> Session:
        (offered,) = Store(store.root).offered()
        again = Session(offered, offered.picture(10**6))
        again.resume(quiet)
        return again

    session.change(Tell(region={"box": BOX}))
    again = reopened()  # before it was done: it is done now
    assert again.phase is Phase.RERUN
    assert np.array_equal(used(done(again, editor)), INSIDE)
    again = reopened()
    assert again.phase is not Phase.RERUN
    assert np.array_equal(used(again), INSIDE)
    again.change(Undo())
    assert not np.array_equal(used(done(again, editor)), INSIDE)


def test_what_is_given_up_is_not_asked_any_more(session: Session, editor: Agent) -> None:
    found = used(session)
    edit(session, box_edit(0, 0, 9, 9))
    session.change(Tell(region={"box": BOX}))
    session.give_up()
    assert session.phase is not Phase.RERUN
    assert np.array_equal(session.wanted_object(), found)
    assert settled(session).phase is Phase.EXACT
    session.change(Undo())  # of the edit: the object did not change
    assert session.edits == ()


def test_what_is_asked_during_a_run_comes_after_it(session: Session, editor: Agent) -> None:
    def change_of_mind(share: float, label: str) -> None:
        session.change(Tell(region={"box": BOX}))
        session.change(Append(box_edit(0, 0, 9, 9)), token="once")

    session.change(Tell(level=0.9))
    session.run(editor, 0.9, change_of_mind)
    assert not np.array_equal(used(session), INSIDE)
    assert len(session.edits) == 1
    assert session.phase is Phase.RERUN
    done(session, editor)
    assert np.array_equal(used(session), INSIDE)
    assert session.recorded.trace.condition == {"strength": 0.9}


def test_live_is_told_of_the_same_object(session: Session, editor: Agent) -> None:
    from pixelrl.edits import parse_edits

    session.change(Tell(region={"box": BOX}))
    edit(done(session, editor), box_edit(0, 0, 9, 9))
    session.change(Switch("live"))
    session.live(editor, quiet)
    edits = parse_edits([box_edit(0, 0, 9, 9)], Path())
    assert np.array_equal(session.result()[1], editor(session.picture.pixels, mask=INSIDE, edits=edits).image)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"region": {}}, "the mask is the whole image; it must leave something inside and something outside"),
        ({"region": {"box": [0, 0, 52, 40]}}, "the mask is the whole image"),
        ({"region": {"polygon": [[3.3, 3.3], [3.4, 3.3], [3.3, 3.4]]}}, "the mask is empty"),
        ({"region": {"box": [0, 0, 99, 5]}}, "does not lie inside the picture of 52x40"),
        ({"region": {"mask": "../../secret.png"}}, "must be the name of a region"),
    ],
)
def test_bad_settings_are_refused_and_change_nothing(session: Session, settings: dict, words: str) -> None:
    before = session.result()
    with pytest.raises(PixelRLError, match=words):
        session.change(Tell(**settings))
    assert session.phase is not Phase.RERUN
    assert session.folder.document.undo == ()
    assert np.array_equal(session.result()[1], before[1])


def test_policies_without_an_object_have_none(store: Store) -> None:
    sizes = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 1}
    card = PolicyCard("small", "lookahead", sizes, NAMES, 3, "sigma", {})
    session = begun(store, Agent(filled(card), card, torch.device("cpu")), noise(40, 52))
    for refused in (lambda: session.change(Tell(region={"box": BOX})), session.wanted_object, session.recorded_object):
        with pytest.raises(UsageError, match="policy small takes no object"):
            refused()
    assert "object.png" not in "".join(zipfile.ZipFile(io.BytesIO(EXPORTS["edits"](session).data)).namelist())


# --- The server, and the command line ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("sessions")) as (base, _):
        yield base


Command = Callable[..., int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``pixelrl``; returns the exit code."""

    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["pixelrl", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    return run


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_command_line_gives_the_same_bits(
    address: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = Tab(address)

    def export(what: str) -> bytes:
        answer = tab.get(f"/api/export/{what}")
        assert answer.is_success, answer.text
        return answer.content

    pixels = png(data.astronaut()[60:100, 190:242])  # in pure noise nothing is worth an operation
    (tmp_path / "my photo.png").write_bytes(pixels)
    tab.open(pixels, "my photo.png")
    session = tab.run("saliency-edit")
    assert (session["object"], session["region"], session["level"]) == (True, None, "auto")
    found = decoded(export("picture"))
    painted = tab.post("/api/mask", box=BOX, runs=[0, 20 * 14])
    assert tab.change("tell", region={"mask": painted["mask"]}, level=-0.55).is_success
    assert tab.session["region"] == {"mask": painted["mask"]}
    session = tab.wait()
    assert session["condition"] == {"strength": -0.55}
    shown = tab.get("/api/object")
    assert shown.headers["x-shape"] == "40,52,1"
    assert shown.content == INSIDE.tobytes()
    result = decoded(export("picture"))
    assert not np.array_equal(result, found)
    (tmp_path / "t.npz").write_bytes(export("trace"))
    assert np.array_equal(load_trace(tmp_path / "t.npz").mask, INSIDE)
    (tmp_path / "mask.png").write_bytes(export("object"))
    monkeypatch.chdir(tmp_path)
    words = ("saliency", "my photo.png", "--mask", "mask.png", "--attenuate", "--strength", 0.55, "--device", "cpu")
    assert command(*words, "-o", "out.png") == 0
    assert np.array_equal(decoded(Path("out.png").read_bytes()), result)

    for bad, sentence in (
        ({}, "the mask is the whole image"),
        ({"polygon": [[3.3, 3.3], [3.4, 3.3], [3.3, 3.4]]}, "empty"),
        ("all", "region"),
    ):
        answer = tab.change("tell", region=bad)
        assert answer.status_code == 400
        assert sentence in answer.json()["error"]
    for bad in ("much", True, 1e308):
        assert tab.change("tell", level=bad).status_code == 400
    assert np.array_equal(decoded(export("picture")), result)  # nothing is lost

    assert tab.change("tell", level=0).is_success  # only the policy knows that this is no strength
    while (state := tab.state())["session"]["waiting"]:
        time.sleep(0.05)
    assert state["error"] == 'strength = 0 is not a strength; give a number from -1 to 1, not 0, or "auto"'
    assert state["session"]["level"] == -0.55

    tab.append(box_edit(0, 0, 9, 9))
    assert tab.change("switch", mode="live").is_success
    tab.wait()
    zipfile.ZipFile(io.BytesIO(export("edits"))).extractall()
    lines = [line.strip() for line in Path("how-to.txt").read_text().splitlines() if "pixelrl saliency" in line]
    assert command(*shlex.split(lines[0])[1:], "--device", "cpu") == 0
    assert np.array_equal(decoded(Path("result.png").read_bytes()), decoded(export("picture")))

    session = tab.run("denoise-color", 20)  # sees none of it
    assert session["object"] is False
    assert tab.change("tell", region={"box": BOX}).status_code == 400
    assert tab.get("/api/object").status_code == 400
    assert tab.get("/api/export/object").status_code == 400
    tab.run("saliency-edit", -0.55)  # and the object is kept for one that does
    assert tab.get("/api/object").content == INSIDE.tobytes()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "photo.png").write_bytes(png(noise(40, 52, 3)))
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((40, 52), np.uint8), "the mask is empty; it must leave something inside and something outside"),
        (np.full((40, 52), 255, np.uint8), "the mask is the whole image; it must leave something"),
        (np.full((30, 50), 255, np.uint8), "the mask is 50 x 30 pixels, the image 52 x 40; they must be of one size"),
        (None, "mask.png does not exist or is no file"),
    ],
)
def test_bad_masks_to_begin_with(
    command: Command, photo: Path, capsys: pytest.CaptureFixture[str], mask: np.ndarray | None, words: str
) -> None:
    file, folder = photo.with_name("mask.png"), photo.with_name("sessions")
    if mask is not None:
        file.write_bytes(png(mask))
    assert command("studio", photo, "--mask", file, "--folder", folder, "--no-browser", "--device", "cpu") == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_mask_needs_its_picture(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("studio", "--mask", "mask.png") == 2
    assert "--mask mask.png needs the picture that it belongs to" in capsys.readouterr().err


def test_a_mask_to_begin_with(
    command: Command, photo: Path, editor: Agent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import uvicorn

    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: [socket.close() for socket in sockets])
    photo.with_name("mask.png").write_bytes(png(INSIDE * np.uint8(255)))
    folder = tmp_path / "sessions"
    words = ("studio", photo, "--mask", photo.with_name("mask.png"), "--folder", folder, "--no-browser")
    assert command(*words, "--device", "cpu") == 0
    (path,) = (entry for entry in folder.iterdir() if entry.is_dir())  # beside the note of the port
    kept = Store(folder).open(path.name)
    session = Session(kept, kept.picture(10**6))
    session.run(editor, "auto", quiet)
    assert np.array_equal(used(session), INSIDE)


def test_a_refused_object_leaves_no_session_behind(tmp_path: Path) -> None:
    studio = Studio(Store(tmp_path), Limits(), "cpu")
    with pytest.raises(InputError, match="the mask is empty"):
        studio.open(png(noise(40, 52, 3)), "photo.png", np.zeros((40, 52), bool))
    assert list(tmp_path.iterdir()) == []
    assert studio.sessions() == []
