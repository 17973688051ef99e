"""What the studio says and saves is true: of the policy that ran, of what was given up, of what a file holds."""

from __future__ import annotations

import io
import json
import shlex
import struct
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from pixelrl.agent import Agent, load
from pixelrl.checkpoint import PolicyCard, save_policy
from pixelrl.cli import main
from pixelrl.errors import UsageError
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.formats import Picture
from pixelrl.studio.agents import Agents
from pixelrl.studio.changes import Append, Redo, Switch, Tell, Undo, changed
from pixelrl.studio.document import Document, decoded, encoded
from pixelrl.studio.exports import EXPORTS
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.store import Store
from pixelrl.studio.studio import Limits, Studio
from pixelrl.studio.wished import Wish, _shrunk, wished
from pixelrl.studio.work import Job
from test_studio import NAMES, agent, begun, box_edit, edit, filled, noise, quiet, store

__all__ = ["agent", "store"]


def another(name: str = "small", names: tuple[str, ...] = NAMES, steps: int = 3, gain: float = 0.5) -> Agent:
    """A policy like `agent`, but for what is said and the scale of its weights."""
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 1}
    card = PolicyCard(name, "lookahead", arguments, names, steps, "sigma", {})
    network = filled(card)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(gain)
    return Agent(network, card, torch.device("cpu"))


def file_of(agent: Agent, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    save_policy(path, agent.policy, agent.card)
    return path


def again(store: Store, session: Session) -> Session:
    """The session as it is after a restart of the studio."""
    session.close()
    folder = store.open(session.folder.id)
    opened = Session(folder, folder.picture(10**6))
    opened.resume(quiet)
    return opened


def outcome(studio: Studio, job: Job) -> str | None:
    """The error with which a job ends."""
    while job.number not in studio.worker.outcomes:
        time.sleep(0.02)
    return studio.worker.outcomes[job.number].error


# --- Another policy of the same name ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [another(), another(names=tuple(reversed(NAMES)), gain=1), another(steps=2, gain=1)],
    ids=["other weights", "other operations", "other steps"],
)
def test_a_policy_that_changed_under_its_name_does_not_react(store: Store, agent: Agent, other: Agent) -> None:
    session = begun(store, agent, noise(40, 52))
    edit(session, box_edit(5, 6, 25, 20))
    session.change(Switch("live"))
    session.live(agent, quiet)
    expected = session.result()[1]
    session = again(store, session)
    with pytest.raises(UsageError, match="small has changed since it ran here; run it again"):
        session.live(other, quiet)
    assert session.phase is Phase.REACT  # nothing of the other policy is shown
    session.live(agent, quiet)
    assert np.array_equal(session.result()[1], expected)


def test_a_policy_that_changed_is_run_again_with_a_notice(store: Store, agent: Agent) -> None:
    session = again(store, begun(store, agent, noise(40, 52)))
    session.run(agent, 25.0, quiet)
    assert not session.found
    session.run(another(), 25.0, quiet)
    assert session.found == "the policy small has changed since it ran here; this is what it does now"  # on the page
    edit(session, box_edit(5, 6, 25, 20))
    session.change(Switch("live"))
    session.live(another(), quiet)
    assert session.phase is Phase.EXACT


@pytest.mark.parametrize("steps", [3, 2])
def test_sessions_that_do_not_know_their_policy_go_on_as_far_as_it_fits(store: Store, agent: Agent, steps: int) -> None:
    session = begun(store, agent, noise(40, 52))
    edit(session, box_edit(5, 6, 25, 20))
    session.change(Switch("live"))
    session.close()
    file = session.folder.path / "session.json"
    content = json.loads(file.read_text())
    assert content.pop("weights")
    file.write_text(json.dumps(content))
    session = again(store, session)
    if steps == 3:
        session.live(another(), quiet)
        assert session.phase is Phase.EXACT
    else:
        with pytest.raises(UsageError, match="has changed"):
            session.live(another(steps=2), quiet)


def test_a_policy_that_changed_is_not_asked_how_sure_it_was(store: Store, agent: Agent, tmp_path: Path) -> None:
    session = begun(store, agent, noise(40, 52))
    session.close()
    for policy, said in ((agent, None), (another(), "the policy small has changed since it ran here")):
        studio = Studio(Store(store.root), Limits(), "cpu", [file_of(policy, tmp_path / "small.safetensors")])
        studio.worker.start()
        try:
            studio.opened(session.folder.id, quiet)
            error = outcome(studio, studio.asked.ask_how_sure(session.folder.id, 5, 5))
        finally:
            studio.close()
        assert error is None if said is None else error is not None and said in error


def test_two_policies_of_one_name_are_called_alike_in_any_order(agent: Agent, tmp_path: Path) -> None:
    files = [file_of(agent, tmp_path / "a.safetensors"), file_of(another(), tmp_path / "b.safetensors")]
    for order in (files, files[::-1]):
        agents = Agents("cpu", order, lambda: None)
        for name, policy in (("small", agent), (f"small ({files[1]})", another())):
            for weight, expected in zip(agents.get(name).policy.parameters(), policy.policy.parameters(), strict=True):
                torch.testing.assert_close(weight, expected, atol=1e-3, rtol=1e-3)


# --- What was given up ------------------------------------------------------------------------------------------------


def given_up(store: Store, agent: Agent) -> Session:
    """A session in live whose reaction was given up."""
    session = begun(store, agent, noise(40, 52))
    edit(session, box_edit(5, 6, 25, 20))
    session.change(Switch("live"))
    session.give_up()
    assert session.phase is Phase.STALLED
    return session


def test_who_saves_wants_the_reaction_that_was_given_up(store: Store, agent: Agent) -> None:
    session = given_up(store, agent)
    with pytest.raises(UsageError, match="still reacting"):
        EXPORTS["picture"](session)
    assert session.phase is Phase.REACT  # the sentence is true
    session.live(agent, quiet)
    EXPORTS["picture"](session)


def test_who_goes_on_wants_the_reaction_that_was_given_up(store: Store, agent: Agent, tmp_path: Path) -> None:
    first = given_up(store, agent).folder.id
    studio = Studio(store, Limits(), "cpu", [file_of(agent, tmp_path / "small.safetensors")])
    try:
        session = studio.opened(first, quiet)
        session.give_up()
        job = studio.going.go_on(first, first, "small", 12.0)
        stage = job.do(quiet)
        assert session.reaction is not None
        assert stage is not None
        assert np.array_equal(studio.session(stage).picture.pixels, session.result()[1])
    finally:
        studio.close()


# --- What is saved ----------------------------------------------------------------------------------------------------


def test_the_command_for_edits_names_the_file_of_a_policy_of_ones_own(
    store: Store, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(agent, tmp_path / "my own" / "small.safetensors")
    agent = load(file, "cpu")  # weights are stored in half precision
    session = begun(store, agent, noise(40, 52))
    edit(session, box_edit(5, 6, 25, 20))
    session.change(Switch("live"))
    session.live(agent, quiet)
    expected = session.result()[1]
    session.close()
    studio = Studio(store, Limits(), "cpu", [file])
    try:
        edits = EXPORTS["edits"](studio.opened(session.folder.id, quiet))
    finally:
        studio.close()
    monkeypatch.chdir(tmp_path)
    zipfile.ZipFile(io.BytesIO(edits.data)).extractall()
    Path("photo.png").write_bytes(session.folder.input.read_bytes())
    lines = [line.strip() for line in Path("how-to.txt").read_text().splitlines() if "--policy" in line]
    monkeypatch.setattr(sys, "argv", shlex.split(lines[0]))
    with pytest.raises(SystemExit, match="0"):
        main()
    assert np.array_equal(read_picture(Path("result.png")).pixels, expected)


def test_the_command_for_edits_says_so_where_the_file_is_not_known(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(40, 52))
    said = zipfile.ZipFile(io.BytesIO(EXPORTS["edits"](session).data)).read("how-to.txt").decode()
    assert "--policy POLICY.safetensors" in said
    assert "POLICY.safetensors stands for the file of the policy small." in said


@pytest.mark.parametrize("kind", ["picture", "png"])
def test_saving_names_what_the_file_has_no_place_for(store: Store, agent: Agent, kind: str) -> None:
    file = io.BytesIO()
    PillowImage.fromarray(noise(40, 52)).save(file, "JPEG")
    more = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + b"\0" * 8 + b"<x/>"
    jpeg = file.getvalue()[:2] + b"\xff\xe1" + struct.pack(">H", len(more) + 2) + more + file.getvalue()[2:]
    session = Session(*store.create(jpeg, "photo.jpg", 10**6))
    session.run(agent, 25.0, quiet)
    made = EXPORTS[kind](session)
    assert made.notes == wished(session, Wish("jpeg" if kind == "picture" else "png")).notes
    assert len(made.notes) == 1
    assert "XMP" in made.notes[0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "colour"])
def test_a_smaller_picture_has_the_colours_that_are_seen(dtype: str, channels: tuple[int, ...]) -> None:
    """White on invisible black stays white where it is seen; the half of a block that is transparent has no part."""
    opaque = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    pixels, alpha = np.zeros((8, 8, *channels), dtype), np.zeros((8, 8), dtype)
    pixels[:, :3], alpha[:, :3] = opaque, opaque
    pixels[:, 6:] = opaque  # and invisible white stays as it is
    small = _shrunk(Picture(pixels, alpha), 4)
    assert (small.pixels.shape, small.pixels.dtype) == ((4, 4, *channels), np.dtype(dtype))
    assert small.alpha is not None
    assert small.alpha[0].tolist() == [opaque, pytest.approx(opaque / 2, abs=0.5), 0, 0]
    column = small.pixels.reshape(4, 4, -1)[0, :, 0].tolist()
    assert column == pytest.approx([opaque, opaque, 0, opaque])


# --- A run that was cancelled -----------------------------------------------------------------------------------------


def test_what_was_asked_of_a_cancelled_run_can_be_asked_again() -> None:
    document = Document(name="a.png", suffix=".png", policy="editor", level=0.5)
    document, _ = changed(document, Append({"do": "stop"}))
    asked = changed(changed(document, Tell(region={"mask": "m.png"}))[0], Tell(level=0.9))[0]
    given_up = asked.given_up()
    assert given_up.settings() == document.settings()
    assert given_up.undo == document.undo  # nothing to take back but the edit
    again = changed(given_up, Redo())[0]
    assert again.settings() == asked.settings()
    assert again.requested is not None
    undone = changed(again, Undo())[0]
    assert (undone.settings(), undone.requested, undone.order) == (document.settings(), None, (1,))
    assert changed(undone, Undo())[0].order == ()
    assert decoded(encoded(given_up)) == given_up


def test_a_painted_object_is_there_after_its_run_was_cancelled() -> None:
    """Whether it was chosen or taken back, and whatever is undone meanwhile."""
    document = Document(name="a.png", suffix=".png", policy="editor")
    region = {"mask": "m.png"}
    chosen = changed(document, Tell(region=region))[0]
    ran = chosen.run("editor", "auto", chosen.settings())
    automatic = changed(ran, Undo())[0].given_up()
    assert automatic.settings()["region"] == region
    assert changed(automatic, Redo())[0].settings()["region"] is None
    edited = changed(ran, Append({"do": "stop"}))[0]
    kept = changed(changed(edited, Tell(region=None))[0].given_up(), Undo())[0]
    assert (kept.order, kept.settings()["region"]) == ((), region)
    both = changed(changed(kept, Redo())[0], Redo())[0]
    assert (both.order, both.settings()["region"]) == ((1,), None)
