"""A task, a condition, operations, a policy and a saliency model from one outside module, `examples/exposure.py`:
trained for seconds, evaluated, used by `Agent`, on the command line and in the studio. Nothing of it is registered.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import pixelrl
from pixelrl import plugins
from pixelrl.agent import Agent
from pixelrl.cli import main
from pixelrl.edits import Edit
from pixelrl.errors import UsageError
from pixelrl.imaging.saliency import find_model
from pixelrl.studio.store import Store
from pixelrl.studio.studio import Limits, Studio
from tabs import Tab, served

Run = Callable[..., tuple[int, str, str]]

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("do nothing", "exposure:one_stop", "exposure:a_third", "exposure:a_third_less")


def forget() -> None:
    """As in a process that has not seen the module."""
    sys.modules.pop("exposure", None)
    plugins._folders.clear()
    sys.path[:] = [entry for entry in sys.path if entry != str(EXAMPLES)]


@pytest.fixture(autouse=True)
def clean_process() -> Iterator[None]:
    forget()
    yield
    forget()


def command(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pixelrl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for photo in (data.astronaut, data.coffee, data.chelsea, data.rocket):
        Image.fromarray(photo()[40:136, 60:156]).save(folder / f"{photo.__name__}.png")
    return folder


@pytest.fixture(scope="module")
def policy(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by its recipe, with fewer iterations."""
    forget()
    where = tmp_path_factory.mktemp("run")
    settings = {"data.folder": photos, "data.validation": 1, "reinforcement.iterations": 60, "data.batch": 6}
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    assert command("train", EXAMPLES / "exposure.toml", "-o", where, *changes, "--validate-every", 20) == 0
    return where / "policy.safetensors"


@pytest.fixture
def agent(policy: Path) -> Agent:
    plugins.import_named(str(EXAMPLES / "exposure.py"))
    return pixelrl.load(policy, "cpu")


@pytest.fixture
def dark() -> np.ndarray:
    """A photograph, 1.7 stops too dark."""
    photo = data.coffee()[100:150, 200:260]
    return np.rint(photo * 2 ** (-1.7 / 2.2)).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def brightness(pixels: np.ndarray) -> float:
    return float(pixels.mean())


def test_training_learned_something(policy: Path) -> None:
    rows = list(csv.DictReader((policy.parent / "log.csv").read_text().splitlines()))
    scores = [float(row["psnr"]) for row in rows if row["psnr"]]
    assert len(scores) == 3
    assert scores[-1] > 20


def test_the_file_keeps_references_and_imports_nothing(policy: Path) -> None:
    with pytest.raises(UsageError, match=r"'exposure:.*' is code, and a file may not import it; .* --import exposure"):
        pixelrl.load(policy, "cpu")
    plugins.import_named(str(EXAMPLES / "exposure.py"))
    card = pixelrl.load(policy, "cpu").card
    assert card.action_names == NAMES
    assert (card.kind, card.condition) == ("exposure:OneLook", "exposure:Stops")


def test_the_agent_is_told_and_estimates(agent: Agent, dark: np.ndarray, tmp_path: Path) -> None:
    told = agent(dark, condition={"stops": 1.7})
    assert told.condition == {"stops": 1.7}
    assert agent(dark, condition=1.7).image.tobytes() == told.image.tobytes()
    target = data.coffee()[100:150, 200:260].astype(float)
    assert np.abs(told.image - target).mean() < 0.4 * np.abs(dark - target).mean()
    assert brightness(agent(dark, condition={"stops": 0}).image) < 0.9 * brightness(told.image)
    estimated = agent(dark)
    assert 0.5 < estimated.condition["stops"] < 4
    assert brightness(estimated.image) > 1.3 * brightness(dark)
    assert agent(dark, tile=16, condition={"stops": 1.7}).image.tobytes() == told.image.tobytes()
    mean, condition = agent.ensemble(dark, condition={"stops": 1.7})
    assert condition == {"stops": 1.7}
    assert brightness(mean) == pytest.approx(brightness(told.image), rel=0.02)
    pixelrl.save_trace(tmp_path / "t.npz", told.trace())
    back = pixelrl.load_trace(tmp_path / "t.npz")
    assert np.array_equal(back.replay(), told.image)
    assert back.action_names == NAMES
    with pytest.raises(UsageError, match=r"stops = 9 is not a underexposure; give stops, from 0 to 6"):
        agent(dark, condition={"stops": 9})
    with pytest.raises(UsageError, match=r"sigma = 5 cannot be used: policy exposure takes stops"):
        agent(dark, sigma=5)


def test_edits_name_its_operations(agent: Agent, dark: np.ndarray) -> None:
    edit = Edit(forbid=("exposure:one_stop",))
    for trajectory in (
        agent(dark, condition=1.7, edits=[edit]).trajectory,
        agent(dark, condition=1.7).trajectory.edited([edit]),
    ):
        assert not (trajectory.actions == NAMES.index("exposure:one_stop")).any()


def test_the_command_line(policy: Path, dark: np.ndarray, photos: Path, run: Run, tmp_path: Path) -> None:
    Image.fromarray(dark).save(tmp_path / "dark.png")
    denoise = ("denoise", tmp_path / "dark.png", "--policy", policy, "--json")
    code, _, err = run(*denoise, "-o", tmp_path / "no.png")
    assert (code, err.count("\n")) == (2, 1)
    assert "pixelrl --import exposure ..." in err
    mine = ("--import", EXAMPLES / "exposure.py")
    code, out, err = run(
        *mine, *denoise, "-o", tmp_path / "a.png", "--condition", "stops=1.7", "--trace", tmp_path / "a.npz"
    )
    assert code == 0, err
    report = json.loads(out)
    assert (report["condition"], report["estimated"]) == ({"stops": 1.7}, [])
    code, out, _ = run(*mine, *denoise, "-o", tmp_path / "b.png")
    assert (code, json.loads(out)["estimated"]) == (0, ["stops"])
    assert run(*mine, *denoise, "-o", tmp_path / "c.png", "--condition", "stops")[0] == 2
    assert run(*mine, *denoise, "-o", tmp_path / "c.png", "--condition", "stop=1")[0] == 2
    assert run(*mine, "replay", tmp_path / "a.npz", "-o", tmp_path / "again.png")[0] == 0
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert run(*mine, "show", tmp_path / "a.npz", "-o", tmp_path / "strip.png")[0] == 0
    assert run(*mine, "explain", tmp_path / "a.npz", "-o", tmp_path / "a.html", "--policy", policy)[0] == 0
    assert "exposure:one_stop" in (tmp_path / "a.html").read_text()
    scores = tmp_path / "scores.json"
    task = ("--task", "exposure:Underexposed", "--level", 1.7)
    code, out, err = run(*mine, "evaluate", policy, "--data", photos, *task, "--json", scores)
    assert code == 0, err
    mean = json.loads(scores.read_text())["mean"]
    assert mean["psnr"] > mean["psnr_input"] + 3
    code, _, err = run(*mine, "evaluate", policy, "--data", photos, "--sigma", 25)
    assert (code, "must be told stops" in err) == (2, True)


def test_the_studio(policy: Path, dark: np.ndarray, tmp_path: Path) -> None:
    """Opened, run, told, looked into, edited and opened again, by the requests that its page makes."""
    with pytest.raises(UsageError, match="--import exposure"):
        Studio(Store(tmp_path / "sessions"), Limits(), policies=[policy])
    plugins.import_named(str(EXAMPLES / "exposure.py"))
    with served(tmp_path / "sessions", policies=[policy]) as (address, _):
        tab = Tab(address)
        (mine,) = (each for each in tab.get("/api/policies").json() if each["name"] == "exposure")
        assert (mine["steps"], mine["channels"], mine["object"]) == (4, 3, False)
        assert (mine["condition"]["name"], mine["condition"]["label"]) == ("stops", "underexposure")
        tab.open(png(dark))
        session = tab.run("exposure", 1.7)
        assert session["condition"] == {"stops": 1.7}
        assert [action["name"] for action in session["actions"]] == list(NAMES)
        assert [action["symbol"] for action in session["actions"]] == ["·", "OS", "AT", "ATL"]
        frame = np.frombuffer(tab.get("/api/frame/4?box=0,0,60,50").content, np.uint8)
        assert brightness(frame) > 1.5 * brightness(dark)
        assert tab.get("/api/pixel?x=5&y=5").is_success
        assert tab.change("append", edit={"do": {"forbid": ["exposure:one_stop"]}}).is_success
        tab.wait()
        first = NAMES.index("exposure:one_stop")
        assert first not in tab.get("/api/map/1?box=0,0,60,50").content
        assert tab.change("switch", mode="live").is_success
        tab.wait()
        assert first not in tab.get("/api/map/4?box=0,0,60,50").content
        assert tab.change("switch", mode="replay").is_success
        tab.wait()
        kept = tab.id
    with served(tmp_path / "sessions") as (address, _):  # without the policy its session can still be looked at
        tab = Tab(address)
        tab.resume(kept)
        assert len(tab.edits) == 1
        assert tab.send("/api/run", policy="exposure", level=1.0).status_code == 400


def test_in_the_studio_a_policy_may_have_the_name_of_a_shipped_one(tmp_path: Path) -> None:
    shipped = pixelrl.shipped_policies()["denoise-gray"]
    (tmp_path / "mine.safetensors").write_bytes(shipped.read_bytes())
    studio = Studio(Store(tmp_path / "sessions"), Limits(), "cpu", [tmp_path / "mine.safetensors"])
    name = f"denoise-gray ({tmp_path / 'mine.safetensors'})"
    assert studio.agents.known == [*pixelrl.shipped_policies(), name]
    assert studio.agents.get(name).name == name
    assert studio.agents.get("denoise-gray").name == "denoise-gray"
    with pytest.raises(UsageError, match="'mine' is not here; start the studio with --policy and its file"):
        studio.agents.get("mine")
    studio.close()


def test_the_run_is_gone_on_with(policy: Path) -> None:
    """The state remembers in which folder the recipe's module lies."""
    more = ("--set", "reinforcement.iterations=61")
    assert command("train", "--resume", policy.parent, *more) == 0


def test_a_saliency_model_of_ones_own(photos: Path, tmp_path: Path) -> None:
    plugins.import_named(str(EXAMPLES / "exposure.py"))
    image = torch.rand((2, 3, 8, 9), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        find_model("exposure:redness")(image), 10 * (image[:, :1] - image.mean(1, keepdim=True)).clamp_min(0)
    )
    forget()
    settings = ("--set", f"data.folder={photos}", "--set", "reinforcement.iterations=2", "--set", "data.crop=32")
    assert command("train", EXAMPLES / "red_things.toml", "-o", tmp_path / "run", *settings) == 0
    agent = pixelrl.load(tmp_path / "run" / "policy.safetensors", "cpu")  # nothing of one's own is in it
    assert agent(data.coffee()[100:140, 200:240]).mask is not None
