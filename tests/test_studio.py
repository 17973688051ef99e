"""The studio without a browser: sessions, previews, and what the server refuses."""

from __future__ import annotations

import io
import json
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from dng import dng
from pixelrl.actions import ActionSet
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.edits import Edit
from pixelrl.errors import InputError, UsageError
from pixelrl.pictures.display import orientation_exif
from pixelrl.pictures.files import write_picture
from pixelrl.pictures.formats import Picture
from pixelrl.policies import Policy
from pixelrl.rollout import Trajectory
from pixelrl.studio import preview
from pixelrl.studio.changes import Append, Redo, Switch, Undo
from pixelrl.studio.document import MOST_EDITS
from pixelrl.studio.exports import EXPORTS
from pixelrl.studio.preview import Frames, Preview, difference
from pixelrl.studio.seeing import AS_SEEN
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.state import symbol
from pixelrl.studio.store import KEPT_WITHOUT_EDITS, Store
from pixelrl.studio.studio import Limits
from pixelrl.trace import load_trace, save_trace
from tabs import TOKEN, Tab, call, served

NAMES = (
    "grey level -16", "grey level -1", "do nothing", "grey level +1", "Gaussian 1.5", "box", "median", "bilateral 0.1",
    "bilateral 1.0", "fill extremes",
)  # fmt: skip
PROTECT = {"force": "do nothing"}


def quiet(share: float, label: str) -> None:
    """Progress that nobody watches."""


# --- Previews ---------------------------------------------------------------------------------------------------------


def recorded(channels: int, agents: int, generator: torch.Generator, height: int = 70, width: int = 90) -> Trajectory:
    image = torch.rand((1, channels, height, width), generator=generator)
    actions = torch.randint(0, len(NAMES), (4, 1, agents, height, width), generator=generator, dtype=torch.uint8)
    return Trajectory(image, actions, NAMES)


def random_edit(generator: torch.Generator, height: int, width: int) -> Edit:
    def draw(n: int) -> int:
        return int(torch.randint(0, n, (), generator=generator))

    mask = torch.zeros((height, width), dtype=torch.bool)
    y, x = draw(height - 12), draw(width - 12)
    mask[y : y + 4 + draw(20), x : x + 4 + draw(30)] = True
    return [
        Edit(mask=mask, force="do nothing"),
        Edit(mask=mask, steps=(2,), force="median"),
        Edit(mask=mask, steps=(2, 3), stop=True),
        Edit(mask=mask, actions=("box", "median"), force="grey level -16"),
        Edit(mask=mask, brightness=(40.0, 160.0), force="Gaussian 1.5"),
        Edit(steps=(1, 4), forbid=("box", "bilateral 1.0")),
    ][draw(6)]


@pytest.mark.parametrize(("channels", "agents"), [(1, 1), (3, 3), (3, 1)])
def test_the_preview_is_the_replay_up_to_rounding(
    channels: int, agents: int, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "CELL", 32)
    plain = recorded(channels, agents, generator)
    frames = Frames(list(plain.images()), plain.actions)
    untouched = [image.clone() for image in frames.images]
    shown, edits = Preview(frames, NAMES, "srgb"), ()
    for turn in range(10):
        new: tuple[Edit, ...] = (*edits, random_edit(generator, 70, 90)) if turn % 4 != 3 else edits[1:]
        shown.change(new, difference(edits, new))
        edits = new
        # Now and then the next edit comes while the last one is still being computed.
        shown.work(0.0 if turn % 3 == 1 else 60.0, near=(10.0, 60.0))
        if not shown.todo:
            expected = plain.edited(edits)
            assert torch.equal(shown.frames.actions, expected.actions)
            for mine, theirs in zip(shown.frames.images, expected.images(), strict=True):
                torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(untouched, frames.images, strict=True))


def test_a_preview_changes_nothing_beyond_the_reach(generator: torch.Generator) -> None:
    plain = recorded(1, 1, generator)
    shown = Preview(Frames(list(plain.images()), plain.actions), NAMES, "srgb")
    mask = torch.zeros((70, 90), dtype=torch.bool)
    mask[30:34, 40:50] = True
    shown.change([Edit(mask=mask, force="grey level -16")], [Edit(mask=mask, stop=True)])
    (box,) = shown.work(60)
    spread = ActionSet(NAMES).reach * 3
    assert box.x0 >= 40 - spread
    assert box.x1 <= 50 + spread
    far = torch.ones((70, 90), dtype=torch.bool)
    far[box.y0 : box.y1, box.x0 : box.x1] = False
    assert torch.equal(shown.frames.images[-1][..., far], plain.final()[..., far])
    shown.change([], [Edit(mask=mask, stop=True)])
    shown.work(60)
    assert torch.equal(shown.frames.images[-1], plain.final())


# --- Sessions ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def agent() -> Agent:
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 1}
    card = PolicyCard("small", "lookahead", arguments, NAMES, 3, "sigma", {})
    return Agent(filled(card), card, torch.device("cpu"))


def filled(card: PolicyCard) -> Policy:
    """A policy with weights at random."""
    network = card.build()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            fan_in = weight[0].numel() if weight.ndim > 1 else 1
            weight.copy_(torch.randn(weight.shape, generator=generator) / max(1, fan_in) ** 0.5)
    return network.eval()


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()


def noise(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "sessions")


def begun(store: Store, agent: Agent, pixels: np.ndarray, level: float | Literal["auto"] = 25.0) -> Session:
    session = Session(*store.create(png(pixels), "photo.png", 10**6))
    session.run(agent, level, quiet)
    return session


def settled(session: Session) -> Session:
    session._edited_at = 0.0
    while session.advance():
        pass
    assert session.phase is Phase.EXACT
    return session


def edit(session: Session, *entries: dict[str, object], seconds: float = 0.15) -> None:
    for entry in entries:
        session.change(Append(entry), seconds=seconds)


def box_edit(x0: int, y0: int, x1: int, y1: int, do: object = PROTECT, **rest: object) -> dict[str, object]:
    return {"steps": "all", "region": {"box": [x0, y0, x1, y1]}, "do": do, **rest}


@pytest.mark.parametrize(
    "pixels",
    [noise(40, 52), noise(40, 52, 3), noise(40, 52, dtype="uint16"), noise(40, 52, dtype="uint16") // 16],
    ids=["8 bits", "colour", "16 bits", "12 bits"],
)
def test_a_session_from_edit_to_export(store: Store, agent: Agent, pixels: np.ndarray) -> None:
    session = begun(store, agent, pixels)
    assert session.input_frame().max() == session.frame(0, plain=True).max() == 255
    plain = session.result()[1]
    edit(session, box_edit(5, 6, 25, 20))
    assert session.phase is Phase.PREVIEW
    early = session.result()  # before the exact result is there: computed for the export
    late = settled(session).result()
    assert np.array_equal(early[1], late[1])
    assert np.array_equal(late[1], late[0].replay())
    assert np.array_equal(late[1][6:20, 5:25], pixels[6:20, 5:25])
    assert not np.array_equal(late[1], plain)
    session.change(Undo())
    assert np.array_equal(settled(session).result()[1], plain)
    session.change(Redo())
    assert np.array_equal(settled(session).result()[1], late[1])
    assert session.frame(3, plain=False).shape == (40, 52, pixels.shape[2] if pixels.ndim == 3 else 1)
    out = cv2.imdecode(np.frombuffer(EXPORTS["picture"](session).data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert out.dtype == pixels.dtype
    assert np.array_equal(out[..., ::-1] if out.ndim == 3 else out, late[1])


def test_exported_edits_apply_again_to_the_same_bits(store: Store, agent: Agent, tmp_path: Path) -> None:
    from pixelrl.edits import load_edits
    from pixelrl.trace import load_trace

    session = begun(store, agent, noise(40, 52, 3))
    mask = session.add_mask([3, 4, 9, 8], [2, 4, 2, 10, 6])
    assert mask["pixels"] == 14
    same = session.same_action(2, 20, 20, 1)
    edits = [
        {"region": {"mask": mask["mask"]}, "do": {"force": "box"}},
        {
            "steps": [2],
            "region": {"mask": same["mask"]},
            "where": {"action": same["action"]},
            "do": {"forbid": ["median"]},
        },
        {"region": {"polygon": [[20, 5], [45, 9], [30, 35]]}, "do": "stop", "steps": [2]},
    ]
    edit(session, *edits)
    expected = settled(session).result()[1]
    zipfile.ZipFile(io.BytesIO(EXPORTS["edits"](session).data)).extractall(tmp_path)
    (tmp_path / "t.npz").write_bytes(EXPORTS["trace"](session).data)
    again = load_trace(tmp_path / "t.npz").trajectory().edited(load_edits(tmp_path / "edits.json"))
    from pixelrl.pictures.values import tensor_to_array

    assert np.array_equal(tensor_to_array(again.final(), "uint8", 3), expected)


def test_agents_may_work_in_another_space(store: Store) -> None:
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 3}
    card = PolicyCard("tones", "lookahead", arguments, NAMES, 3, None, {}, space="prophoto")
    agent = Agent(filled(card), card, torch.device("cpu"))
    pixels = noise(40, 52, 3)
    session = begun(store, agent, pixels, "auto")
    assert np.array_equal(session.result()[1], agent(pixels).image)
    shown = session.frame(3, plain=False).astype(int)
    assert abs(shown - session.result()[1]).max() <= 1  # 8 bits of the screen and of the file round alike but for ties
    edit(session, box_edit(5, 6, 25, 20))
    early = session.result()
    assert np.array_equal(early[1], settled(session).result()[1])
    assert np.array_equal(early[1][6:20, 5:25], pixels[6:20, 5:25])
    again = Session(session.folder, session.picture)
    again.resume(quiet)
    assert np.array_equal(settled(again).result()[1], early[1])
    assert again.pixel(10, 10)["values"] == session.pixel(10, 10)["values"]


def test_live_lets_the_policy_react(store: Store, agent: Agent) -> None:
    pixels = noise(40, 52)
    session = begun(store, agent, pixels)
    edit(session, box_edit(5, 6, 25, 20))
    session.change(Switch("live"))
    assert session.phase is Phase.REACT
    with pytest.raises(UsageError, match="still reacting"):
        session.result()
    session.live(agent, quiet)
    from pixelrl.edits import parse_edits

    expected = agent(pixels, sigma=25.0, edits=parse_edits([box_edit(5, 6, 25, 20)], Path()))
    assert np.array_equal(session.result()[1], expected.image)
    assert np.array_equal(session.result()[0].actions, expected.trace().actions)
    session.change(Switch("replay"))
    assert np.array_equal(settled(session).result()[1][6:20, 5:25], pixels[6:20, 5:25])


def test_nothing_is_lost(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(40, 52))
    edit(session, box_edit(5, 6, 25, 20))
    edit(session, box_edit(0, 0, 3, 3, "stop"))
    expected = settled(session).result()[1]
    (offered,) = Store(store.root).offered()  # as a new process would find it
    again = Session(offered, offered.picture(10**6))
    again.resume(quiet)
    assert np.array_equal(settled(again).result()[1], expected)
    again.change(Undo())
    assert len(again.edits) == 1
    again.change(Redo())
    assert np.array_equal(settled(again).result()[1], expected)


def test_where_something_changed_is_told(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(40, 52))
    before = session.revision
    assert session.changed_since(before) == []
    edit(session, box_edit(20, 20, 22, 22), seconds=60)
    boxes = session.changed_since(before)
    assert boxes
    assert all(box.x0 >= 10 and box.x1 <= 32 for box in boxes)
    told = session.pixel(21, 21)
    assert told["actions"] == [[NAMES.index("do nothing")]] * 3
    assert len(told["values"]) == 4
    assert [round(sum(row), 6) for row in session.shares()] == [1.0] * 3


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"do": {"force": "sharpen"}}, "'sharpen' is not one of the operations"),
        (box_edit(0, 0, 99, 5), "edit 2: region.box"),
        ({"region": {"mask": "../../secret.png"}, "do": "stop"}, "edit 2: region.mask must be the name"),
        ({"region": {"mask": "/etc/passwd"}, "do": "stop"}, "edit 2: region.mask must be the name"),
        ({"region": {"mask": "masks/0123456789abcdef.png"}, "do": "stop"}, "edit 2: region.mask must be the name"),
    ],
)
def test_bad_edits_are_refused_and_change_nothing(
    store: Store, agent: Agent, entry: dict[str, object], words: str
) -> None:
    session = begun(store, agent, noise(20, 24))
    edit(session, {"do": "stop"})
    before = session.folder.document
    with pytest.raises(UsageError, match=words):
        edit(session, entry)
    assert session.folder.document is before
    assert len(session.edits) == 1


def test_there_is_a_most_of_edits(store: Store, agent: Agent) -> None:
    session = begun(store, agent, noise(8, 8))
    edit(session, *([{"do": "stop"}] * MOST_EDITS))
    with pytest.raises(UsageError, match="300 are possible"):
        edit(session, {"do": "stop"})


@pytest.mark.parametrize("box", [[0, 0, 99, 5], [3, 3, 3, 5], [0, 0, -1, 5]])
def test_bad_regions_are_refused(store: Store, agent: Agent, box: list[int]) -> None:
    session = begun(store, agent, noise(20, 24))
    with pytest.raises(UsageError):
        session.add_mask(box, [0, 25])
    with pytest.raises(UsageError, match="runs"):
        session.add_mask([0, 0, 5, 5], [0, 26])
    with pytest.raises(UsageError, match="empty"):
        session.add_mask([0, 0, 5, 5], [25])


def test_sessions_without_edits_are_tidied_away(store: Store, agent: Agent) -> None:
    kept = begun(store, agent, noise(20, 24))
    edit(kept, box_edit(1, 1, 5, 5))
    for _ in range(KEPT_WITHOUT_EDITS + 3):
        begun(store, agent, noise(8, 8))
    store.tidy()
    offered = [folder.id for folder in store.offered()]
    assert len(offered) == KEPT_WITHOUT_EDITS + 1
    assert kept.folder.id in offered


def header(width: int, height: int) -> bytes:
    """The beginning of a PNG file that says how large it is."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (header(10_000, 10_000), "bad.png: 10000 x 10000 is 100 megapixels; at most 24 are read"),
        (b"just some text", "bad.png: its first bytes are not those of a picture"),
        (b"", "bad.png: the file is empty"),
        (png(noise(30, 30))[:500], "bad.png: the PNG data are truncated"),
    ],
)
def test_what_is_no_picture_leaves_nothing_behind(store: Store, data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        store.create(data, "../../bad.png", Limits().pixels)
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize(("kind", "suffix"), [("BMP", ".bmp"), ("GIF", ".gif"), ("PPM", ".pnm")])
def test_formats_that_are_only_read_are_saved_as_png(store: Store, agent: Agent, kind: str, suffix: str) -> None:
    file = io.BytesIO()
    PillowImage.fromarray(noise(40, 52)).convert("RGB").quantize(16).convert("RGB").save(file, kind)
    folder, picture = store.create(file.getvalue(), f"photo{suffix}", 10**6)
    session = Session(folder, picture)
    session.run(agent, 25.0, quiet)
    export = EXPORTS["picture"](session)
    assert (export.name, export.kind) == ("photo-result.png", "image/png")
    assert cv2.imdecode(np.frombuffer(export.data, np.uint8), cv2.IMREAD_UNCHANGED).shape == (40, 52, 3)
    assert np.array_equal(store.open(folder.id).picture(10**6).pixels, picture.pixels)


@pytest.mark.parametrize(
    ("module", "suffix"), [("PIL.AvifImagePlugin", ".avif"), ("imagecodecs", ".jxl"), ("rawpy", ".dng")]
)
def test_the_files_of_phones_and_cameras_are_opened(store: Store, module: str, suffix: str) -> None:
    reader, file, pixels = pytest.importorskip(module), io.BytesIO(), np.dstack([noise(40, 52)] * 3)
    if suffix == ".avif":
        PillowImage.fromarray(pixels).save(file, "AVIF")
    data = {".jxl": lambda: reader.jpegxl_encode(pixels), ".dng": lambda: dng(np.full((40, 52), 3000, np.uint16))}
    folder, picture = store.create(data[suffix]() if suffix in data else file.getvalue(), "photo.png", 10**6)
    assert folder.document.suffix == suffix
    assert picture.pixels.shape == (40, 52, 3)
    assert np.array_equal(store.open(folder.id).picture(10**6).pixels, picture.pixels)


def test_sessions_of_before_know_how_their_picture_lies(store: Store, agent: Agent, tmp_path: Path) -> None:
    write_picture(tmp_path / "side.png", Picture(noise(40, 52), exif=orientation_exif(6)))
    folder, picture = store.create((tmp_path / "side.png").read_bytes(), "side.png", 10**6)
    session = Session(folder, picture)
    session.run(agent, 25.0, quiet)
    save_trace(folder.trace, replace(load_trace(folder.trace), orientation=1))  # as it was saved once
    again = Session(store.open(folder.id), picture)
    again.resume(quiet)
    assert again.result()[0].orientation == 6


@pytest.mark.parametrize("identity", ["..", "../x", "", "0123456789ABCDEF", "0123456789abcdef/..", "0" * 16])
def test_ids_are_no_paths(store: Store, identity: str) -> None:
    with pytest.raises(UsageError):
        store.open(identity)
    with pytest.raises(UsageError):
        store.forget(identity)


def test_symbols_are_short_and_different() -> None:
    from pixelrl.actions import ACTIONS

    symbols = [symbol(name) for name in ACTIONS]
    assert all(0 < len(text) <= 4 for text in symbols)
    assert len(set(symbols)) == len(symbols)


# --- The server -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("sessions")) as (base, _):
        yield base


def test_the_page_and_its_headers(address: str) -> None:
    for path in ("/", "/static/studio.js", "/static/studio.css"):
        answer = call(address, "GET", path, token=None)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert not any(name.startswith("access-control") for name in answer.headers)
    assert "http" not in call(address, "GET", "/static/studio.css").text  # nothing from elsewhere
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static/", "/etc/passwd", "/static/nothing.js"):
        assert call(address, "GET", path).status_code == 404


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        (None, {}, 401),
        ("another", {}, 401),
        (TOKEN, {"Host": "evil.example"}, 403),
        (TOKEN, {"Host": "127.0.0.1:1"}, 403),
        (TOKEN, {"Host": "localhost.evil.example"}, 403),
        (TOKEN, {"Origin": "http://evil.example"}, 403),
        (TOKEN, {"Origin": "null"}, 403),
        (TOKEN, {"Origin": "http://127.0.0.1:1"}, 403),
        (TOKEN, {"Sec-Fetch-Site": "cross-site"}, 403),
        (TOKEN, {"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/state"), ("POST", "/api/change"), ("OPTIONS", "/api/state")]
)
def test_who_may_not_come_in(
    address: str, method: str, path: str, token: str | None, headers: dict[str, str], status: int
) -> None:
    answer = call(address, method, path, token, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"].count(".") == 0
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_right_origin_may(address: str) -> None:
    assert call(address, "GET", "/api/state", headers={"Origin": address, "Sec-Fetch-Site": "same-origin"}).is_success
    other = address.replace("127.0.0.1", "localhost")
    assert call(address, "GET", "/api/state", headers={"Host": other[7:], "Origin": other}).is_success


def test_uploads_have_a_limit(address: str) -> None:
    assert call(address, "POST", "/api/open", content=b"x" * (10**6 + 1)).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield from (b"x" * 10**5 for _ in range(11))

    assert call(address, "POST", "/api/open", content=chunks()).status_code == 413  # no length is announced
    assert call(address, "POST", "/api/change", content=b"[" * (10**5 + 1)).status_code == 413
    for body in (b"[]", b"{", b"[" * 50_000, b"\xff"):
        assert call(address, "POST", "/api/change", content=body).status_code == 400
    answer = call(address, "POST", "/api/open", content=header(10_000, 10_000), headers={"X-Name": "big.png"})
    assert answer.status_code == 400
    assert "100 megapixels" in answer.json()["error"]


def test_a_whole_visit(address: str) -> None:
    tab = Tab(address)
    names = [policy["name"] for policy in tab.get("/api/policies").json()]
    from pixelrl import shipped_policies

    assert sorted(names) == sorted([*AS_SEEN, *shipped_policies()])
    pixels = noise(48, 64)
    assert tab.open(png(pixels), "Pf%C3%BCtze%201.png")["name"] == "Pfütze 1.png"
    assert tab.change("append", edit={"do": "stop"}).status_code == 400  # nothing was run yet
    assert tab.send("/api/run", policy="../x", level="auto").status_code == 400
    session = tab.run("denoise-gray", 25)
    assert session["condition"] == {"sigma": 25.0}
    assert (session["steps"], session["agents"]) == (5, 1)
    answer = tab.send(
        "/api/change",
        revision=session["revision"],
        token="a-token-of-its-own",
        change={"type": "append", "edit": box_edit(8, 8, 40, 40)},
        near=[24, 24.5],
        since=session["shown"],
    )
    assert answer.json()["changed"]
    tab.wait()
    frame = tab.get("/api/frame/5?box=8,8,40,40")
    assert frame.headers["x-shape"] == "32,32,1"
    assert frame.content == pixels[8:40, 8:40].tobytes()
    assert set(tab.get("/api/map/3?box=8,8,40,40").content) == {
        [action["name"] for action in session["actions"]].index("do nothing")
    }
    for path in (
        "/api/frame/9",
        "/api/map/0",
        "/api/frame/1?box=1,2",
        "/api/frame/1?box=0,0,999,9",
        "/api/pixel?x=-1&y=0",
    ):
        assert tab.get(path).status_code == 400
    assert tab.get("/api/thumb/2").content.startswith(b"\x89PNG")
    assert tab.get("/api/export/secrets").status_code == 404
    first = tab.id
    tab.run("poisson-gray")  # another policy: a session of its own, the first one is kept
    assert tab.id != first
    assert [offer["edits"] for offer in tab.get("/api/sessions").json() if offer["id"] == first] == [1]
    assert tab.get(f"/api/sessions/{first}/thumb").content.startswith(b"\x89PNG")
    tab.resume(first)
    assert tab.id == first
    assert len(tab.edits) == 1
    assert tab.send("/api/forget", id=first).status_code == 400  # it is open
    job = tab.post("/api/run", policy="enhance-local-xpro", level="auto")["job"]
    while (state := tab.state(job))["outcome"] is None:
        time.sleep(0.05)
    assert "is for colour pictures" in state["outcome"]["error"]
    assert "is for colour pictures" in state["error"]
    assert tab.id == first


def test_one_thing_at_a_time() -> None:
    from pixelrl.studio.work import BusyError, Worker

    worker, going, end = Worker(lambda: [], lambda session, progress: None), threading.Event(), threading.Event()
    worker.start()

    def long(progress) -> None:
        going.set()
        while True:
            progress(0.5, "at it")
            end.wait(0.01)

    worker.submit("running", None, long)
    assert going.wait(120)
    with pytest.raises(BusyError, match="busy"):
        worker.submit("running", None, long)
    worker.cancel()
    while worker.job is not None:
        time.sleep(0.01)
    assert worker.errors == {}

    def broken(progress) -> None:
        raise InputError("this does not do")

    job = worker.submit("running", None, broken)
    while worker.job is not None:
        time.sleep(0.01)
    assert worker.outcomes[job.number].error == worker.errors[None] == "this does not do"
    worker.end()
    worker.join(10)


def test_without_starlette_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    import sys

    from pixelrl.cli import main

    monkeypatch.setitem(sys.modules, "starlette", None)
    monkeypatch.setattr(sys, "argv", ["pixelrl", "studio"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert 'pip install "pixelrl[studio]"' in capsys.readouterr().err


def test_pictures_keep_their_metadata(store: Store, agent: Agent) -> None:
    from pixelrl.pictures.files import read_picture, write_picture

    path = store.root.parent / "in.tif"
    write_picture(
        path, Picture(noise(20, 24, 3, dtype="uint16"), alpha=noise(20, 24, dtype="uint16"), icc_profile=b"p" * 200)
    )
    session = Session(*store.create(path.read_bytes(), "in.tif", 10**6))
    session.run(agent, "auto", quiet)
    out = store.root.parent / "out.tif"
    out.write_bytes(EXPORTS["picture"](session).data)
    before, after = read_picture(path), read_picture(out)
    assert after.pixels.dtype == np.uint16
    assert np.array_equal(after.alpha, before.alpha)
    assert after.icc_profile == before.icc_profile
    assert json.loads((session.folder.path / "session.json").read_text())["policy"] == "small"
