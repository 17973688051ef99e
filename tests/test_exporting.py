"""Exported policies and the runner without PyTorch do what pixelrl does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import pixelrl
import pixelrl.agent
import pixelrl_onnx
import pixelrl_onnx.agent
from pixelrl.actions import ACTIONS
from pixelrl.agent import Agent
from pixelrl.exporting import calibration
from pixelrl.exporting import export as exporting
from pixelrl.exporting.export import export
from pixelrl.imaging import color, noise
from pixelrl.imaging.anscombe import Anscombe
from pixelrl.noise.poisson_gaussian import clipped_space
from pixelrl.pictures import atomic
from pixelrl.tasks import conditioning
from pixelrl_onnx import episode, spaces, trace
from pixelrl_onnx.noise import estimate_sigma, in_common
from pixelrl_onnx.operations import OPERATIONS

Run = Callable[..., tuple[int, str, str]]

CLEAN = data.astronaut()[20:116, 160:270]


def noisy(clean: np.ndarray, sigma: float = 25.0) -> np.ndarray:
    return (clean / 255 + np.random.default_rng(0).normal(0, sigma / 255, clean.shape)).astype(np.float32)


def stored(image: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def in_space(name: str, space: str) -> Agent:
    """A shipped policy with its weights, whose agents work on values of ``srgb`` or of ``opponent``."""
    shipped = pixelrl.load(name, "cpu", "fp32")
    card = replace(shipped.card, space=space, arguments=shipped.card.arguments | {"opponent": space == "opponent"})
    policy = card.build()
    policy.load_state_dict(shipped.policy.state_dict())
    return Agent(policy.eval(), card, torch.device("cpu"), "fp32")


AGENTS = {
    "grey": lambda: pixelrl.load("denoise-gray", "cpu", "fp32"),
    "rgb": lambda: in_space("denoise-color", "srgb"),
    "opponent": lambda: in_space("denoise-color", "opponent"),
}
SPACES = {"rgb": "srgb", "opponent": "opponent"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    for name, agent in AGENTS.items():
        export(agent(), folder / name)
    return folder


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("size", [(40, 51), (3, 7), (1, 1)])
def test_operations_have_the_bits_of_those_of_the_package(name: str, size: tuple[int, int]) -> None:
    plane = np.random.default_rng(1).normal(0.5, 0.4, size).astype(np.float32).clip(-0.2, 1)
    plane[0] = 0
    np.testing.assert_array_equal(
        OPERATIONS[name](plane), ACTIONS[name].apply(torch.from_numpy(plane)[None, None])[0, 0]
    )


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("do nothing", "fill from unlike")])
@pytest.mark.parametrize("size", [(40, 51), (3, 7), (1, 1)])
def test_without_opencv_operations_are_those_of_the_package(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = np.random.default_rng(1).uniform(-1, 2, size).astype(np.float32)
    wanted = OPERATIONS[name](plane)
    monkeypatch.setattr("pixelrl_onnx.filters.cv2", None)
    np.testing.assert_allclose(OPERATIONS[name](plane), wanted, atol=2e-6)


@pytest.mark.parametrize("size", [(96, 110), (97, 61), (2, 3), (1, 5)])
def test_the_level_of_the_noise_is_that_of_the_package(size: tuple[int, int]) -> None:
    planes = noisy(CLEAN).clip(0, 1).transpose(2, 0, 1)[:, : size[0], : size[1]].copy()
    assert estimate_sigma(planes) == pytest.approx(noise.estimate_sigma(torch.from_numpy(planes)[None]), rel=1e-4)


@pytest.mark.parametrize("space", SPACES.values())
def test_text_goes_as_with_the_package_and_what_is_far_from_it_stays(space: str, tmp_path: Path) -> None:
    agent = in_space("restore-color", space)
    export(agent, tmp_path)
    runner, stamped = pixelrl_onnx.load(tmp_path, 1), data.astronaut()[0:128, 130:290].copy()
    picture = Image.fromarray(stamped)
    ImageDraw.Draw(picture).text((8, 20), "Museum 1983", "white", ImageFont.load_default(22))
    stamped = np.asarray(picture)
    wanted = agent(stamped, legibility=0).image
    result = runner(stamped).image
    assert (result != wanted).mean() < 0.002
    assert (wanted != stamped)[20:44].mean() > 0.05
    assert np.array_equal(result[100:], stamped[100:])


@pytest.mark.parametrize("bounds", [(), (0.0,), (0.0, 1.0)])
@pytest.mark.parametrize("numbers", [(1 / 3, 1e-7, -0.25, 0.5, 17.25), (0.01, 0.02, 0.05, 3.0, 21.0)])
def test_values_of_another_space_have_the_bits_of_those_of_the_package(
    numbers: tuple[float, ...], bounds: tuple[float, ...]
) -> None:
    there, here = Anscombe(*numbers, *bounds), spaces.Anscombe(*numbers, *bounds)
    assert str(there) == str(here)
    assert spaces.find_space(str(there)) == here
    values = np.random.default_rng(2).uniform(-0.5, 1.5, (3, 40, 51)).astype(np.float32)
    np.testing.assert_array_equal(here.to(values), there.to(torch.from_numpy(values)).numpy())
    np.testing.assert_array_equal(here.back(values), there.back(torch.from_numpy(values)).numpy())


@pytest.mark.parametrize("before", ["srgb", str(Anscombe(0.01, 0.02, 0.05, 3.0, 21.0, 0.0, 1.0))])
@pytest.mark.parametrize("channels", [1, 3])
def test_opponent_colours_have_the_bits_of_those_of_the_package(before: str, channels: int) -> None:
    name = color.opponent_of(before)
    here = spaces.find_space(name)
    assert isinstance(here, spaces.Opponent)
    assert str(here) == name
    values = np.random.default_rng(2).uniform(-0.5, 1.5, (channels, 40, 51)).astype(np.float32)
    there, tensor = here.to(values), torch.from_numpy(values)[None]
    np.testing.assert_array_equal(there, color.to_space(tensor, name)[0].numpy())
    np.testing.assert_array_equal(here.back(there), color.from_space(torch.from_numpy(there)[None], name)[0].numpy())
    there[-1, :20] += np.float32(0.1)
    final = episode.in_srgb(there, here, values)
    np.testing.assert_array_equal(final, color.outcome_in_srgb(torch.from_numpy(there)[None], name, tensor)[0].numpy())
    np.testing.assert_array_equal(final[:, 20:], values[:, 20:])
    if channels == 3:
        np.testing.assert_array_equal(spaces.opponent_change(values), color.opponent_change(tensor)[0].numpy())


@pytest.mark.parametrize("sigma", [1.0, 25.0, 50.0])
def test_the_space_for_clipped_noise_is_that_of_the_package(sigma: float) -> None:
    assert str(spaces.clipped_space(sigma / 255)) == str(clipped_space(sigma / 255))


@pytest.mark.parametrize("start", ["", "opponent "])
@pytest.mark.parametrize("text", ["anscombe", "anscombe(gain=1.0)", "anscombe(gain=0,read=0,offset=0,low=0,high=1)"])
def test_a_space_that_is_none_is_refused_here_and_there(text: str, start: str) -> None:
    text = start + text
    for parse, error in ((color.kind_of_space, pixelrl.UsageError), (spaces.find_space, pixelrl_onnx.UsageError)):
        with pytest.raises(error, match="space"):
            parse(text)


def test_the_numbers_that_the_runner_repeats_are_those_of_the_package() -> None:
    here = pixelrl_onnx.agent
    assert (here.FAR, here.CLIPPED, here.SEEN) == (pixelrl.agent.FAR, conditioning.CLIPPED, conditioning.SEEN)
    assert (here.CARD, here.ENCODER) == (exporting.CARD, exporting.ENCODER)
    assert (exporting.FORMAT, exporting.OPPONENT_FORMAT) == here.FORMATS


def test_a_runner_from_before_opponent_colours_reads_all_exports_but_those_of_them(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelrl_onnx.agent.FORMATS", (1,))
    for name in ("grey", "rgb"):
        assert "space" not in json.loads((exported / name / "policy.json").read_text())
        pixelrl_onnx.load(exported / name)
    with pytest.raises(pixelrl_onnx.UsageError, match=r"another format; this version of pixelrl-onnx reads 1$"):
        pixelrl_onnx.load(exported / "opponent")


@pytest.mark.parametrize("written_whole", [atomic.written_whole, trace.written_whole])
def test_files_are_there_whole_or_not_at_all(written_whole: Callable, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with written_whole(path) as temporary:
        temporary.write_text("first")

    def interrupted() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half of the sec")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "first")]


@pytest.mark.parametrize("policy", AGENTS)
@pytest.mark.parametrize("kind", ["floats", "clipped", "grey", "clipped grey", "odd"])
def test_the_result_is_that_of_the_package(exported: Path, policy: str, kind: str) -> None:
    """All but rare ties, which are within the rounding of two convolution libraries."""
    agent, runner = AGENTS[policy](), pixelrl_onnx.load(exported / policy, 1)
    clean = CLEAN[:61, :47] if kind == "odd" else CLEAN[..., 0] if "grey" in kind else CLEAN
    image, clipped = noisy(clean), "clipped" in kind
    image = stored(image) if clipped else image
    wanted, found = agent(image, legibility=0), runner(image)
    assert found.image.shape == image.shape
    assert found.image.dtype == image.dtype
    assert found.condition["sigma"] == pytest.approx(wanted.condition["sigma"], rel=1e-4)
    differing = (wanted.trajectory.actions[:, 0].numpy() != found.actions).mean()
    assert differing < 2e-3
    space = found.trace().space
    assert (space.startswith("opponent"), "anscombe(" in space) == (policy == "opponent", clipped)
    if clipped:  # it names the level of the noise, which is estimated to its last digits here and there
        assert space.partition("anscombe(")[0] == wanted.trace().space.partition("anscombe(")[0]
    else:
        assert space == wanted.trace().space
    white = 255 if clipped else 1
    wrong = [np.square(each.image / white - clean / 255).mean() for each in (wanted, found)]
    assert abs(10 * np.log10(wrong[0] / wrong[1])) < 0.005


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_the_runner_sees_what_channels_have_in_common_as_the_package_does(shared: float) -> None:
    rng = np.random.default_rng(4)
    drawn = shared**0.5 * rng.normal(size=(1, 130, 140)) + (1 - shared) ** 0.5 * rng.normal(size=(3, 130, 140))
    planes = (np.array([0.4, 0.5, 0.6])[:, None, None] + 0.1 * drawn).astype(np.float32)
    wanted = noise.in_common(torch.from_numpy(planes)[None]).item()
    assert wanted == pytest.approx((1 + 2 * shared) ** 0.5, rel=0.05)
    assert in_common(planes) == pytest.approx(wanted, rel=1e-4)
    for grey in (planes[:1], np.repeat(planes[:1], 3, 0)):
        assert in_common(grey) == pytest.approx(3**0.5)
        assert noise.in_common(torch.from_numpy(grey)[None]).item() == pytest.approx(3**0.5)


@pytest.mark.parametrize("eight", [False, True])
def test_an_encoder_that_goes_to_an_eighth_of_the_resolution_is_exported(
    eight: bool, tmp_path: Path, randomise: Callable[[torch.nn.Module], None]
) -> None:
    shipped = pixelrl.load("denoise-gray", "cpu", "fp32").card
    sizes = {"width": 8, "deep_width": 12, "depths": [1, 3, 1], "deepest": 2, "deepest_width": 20}
    card = replace(shipped, arguments=shipped.arguments | sizes)
    policy = card.build().eval()
    randomise(policy)
    agent = Agent(policy, card, torch.device("cpu"), "fp32")
    export(agent, tmp_path, calibration.calibrated(agent) if eight else None)
    image = noisy(CLEAN[..., 0])[:93, :107]
    seen = torch.from_numpy(image)[None, None]
    wanted = agent.clean_estimate(seen, agent.condition(seen, {"sigma": 25.0}))[0].numpy()
    found = pixelrl_onnx.load(tmp_path, 1).estimate(image[None], {"sigma": 25.0})
    tolerance = 0.1 * (wanted - image).std() if eight else 1e-5 * np.abs(wanted).max()
    assert np.sqrt(np.square(found - wanted).mean()) < tolerance


@pytest.mark.parametrize("policy", ["grey", "opponent"])
@pytest.mark.parametrize("value", [np.uint8(0), np.float32(0.1)])
def test_without_noise_nothing_is_done(exported: Path, value: np.generic, policy: str) -> None:
    image = np.full((20, 21) if policy == "grey" else (20, 21, 3), value)
    result = pixelrl_onnx.load(exported / policy)(image)
    np.testing.assert_array_equal(result.image, image)
    assert result.trace().space == SPACES.get(policy, "srgb")
    np.testing.assert_array_equal(result.trace().replay(), image)
    assert {result.action_names[i] for i in np.unique(result.actions)} == {"do nothing"}


def test_without_opencv_the_result_is_the_same_but_for_ties(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, image = pixelrl_onnx.load(exported / "grey", 1), noisy(CLEAN[..., 0])
    wanted = runner(image, sigma=25)
    monkeypatch.setattr("pixelrl_onnx.filters.cv2", None)
    found = runner(image, sigma=25)
    assert (wanted.actions != found.actions).mean() < 2e-3
    assert np.abs(wanted.image - found.image).mean() < 1e-4


def test_colours_of_16_bits_take_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pixelrl_onnx.pictures import Picture, read_picture, write_picture

    for ending in (".png", ".tif"):
        write_picture(tmp_path / f"deep{ending}", Picture(CLEAN.astype(np.uint16) * 257))
        monkeypatch.setattr("pixelrl_onnx.pictures.cv2", None)
        with pytest.raises(pixelrl_onnx.InputError, match="opencv"):  # and are not brought to 8 bits unasked
            read_picture(tmp_path / f"deep{ending}")
        monkeypatch.undo()


def test_tiles_do_not_show(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, image = pixelrl_onnx.load(exported / "grey", 1), noisy(CLEAN[..., 0])
    whole = runner(image, sigma=25)
    monkeypatch.setattr("pixelrl_onnx.agent.TILE", 32)
    tiled = runner(image, sigma=25)
    assert (whole.actions != tiled.actions).mean() < 2e-3
    assert np.abs(whole.image - tiled.image).mean() < 1e-4


@pytest.mark.parametrize("policy", SPACES)
@pytest.mark.parametrize("kind", ["clipped", "in units", "grey", "floats"])
def test_traces_go_to_the_package(exported: Path, tmp_path: Path, policy: str, kind: str) -> None:
    image = noisy(CLEAN[..., 1] if kind == "grey" else CLEAN)
    image = image if kind == "floats" else stored(image)
    result = pixelrl_onnx.load(exported / policy)(image, sigma=25, white=250 if kind == "in units" else None)
    pixelrl_onnx.save_trace(tmp_path / "here.npz", result.trace())
    np.testing.assert_array_equal(pixelrl.load_trace(tmp_path / "here.npz").replay(), result.image)
    np.testing.assert_array_equal(pixelrl_onnx.load_trace(tmp_path / "here.npz").replay(), result.image)


@pytest.mark.parametrize(
    ("agent", "legibility"),
    [
        (AGENTS["rgb"], 0.5),
        (AGENTS["opponent"], 0.5),
        (lambda: pixelrl.load("saltpepper-gray", "cpu"), 0),
        (lambda: pixelrl.load("restore-gray", "cpu"), 0),
    ],
)
def test_traces_come_from_the_package(agent: Callable[[], Agent], legibility: float, tmp_path: Path) -> None:
    image = stored(noisy(CLEAN))
    theirs = agent()(image, legibility=legibility)
    pixelrl.save_trace(tmp_path / "there.npz", theirs.trace())
    np.testing.assert_array_equal(pixelrl_onnx.load_trace(tmp_path / "there.npz").replay(), theirs.image)


def test_opponent_colours_of_values_with_photons_replay(tmp_path: Path) -> None:
    """As policies for Poisson-Gaussian noise leave them, which themselves are not exported."""
    image = stored(noisy(CLEAN))
    maps = np.random.default_rng(3).integers(0, len(OPERATIONS), (4, 3, *image.shape[:2]), np.uint8)
    space = color.opponent_of(str(Anscombe(0.01, 0.02, 0.05, 3.0, 21.0)))
    theirs = pixelrl.Trace(image, maps, tuple(OPERATIONS), "any", space=space)
    pixelrl.save_trace(tmp_path / "there.npz", theirs)
    np.testing.assert_array_equal(pixelrl_onnx.load_trace(tmp_path / "there.npz").replay(), theirs.replay())


def test_what_the_runner_cannot_do_is_refused(exported: Path, tmp_path: Path) -> None:
    runner, image = pixelrl_onnx.load(exported / "grey"), stored(noisy(CLEAN))
    for words, call in {
        "takes sigma": lambda: runner(image, peak=3),
        "not a noise level": lambda: runner(image, sigma=-1),
        "only 0": lambda: runner(image, legibility=0.5),
        "steps": lambda: runner(image, steps=-1),
        "end at 4080": lambda: runner(image.astype(np.uint16) * 16),
        "not from 0 to 1": lambda: runner(image * np.float32(1)),
        "is not an image": lambda: runner(image[None]),
        "no exported policy": lambda: pixelrl_onnx.load(tmp_path),
        "does not exist": lambda: pixelrl_onnx.load_trace(tmp_path / "none.npz"),
    }.items():
        with pytest.raises(pixelrl_onnx.PixelRLError, match=words):
            call()
    look = pixelrl.load("enhance-local-xpro", "cpu")(image, steps=1)
    pixelrl.save_trace(tmp_path / "look.npz", look.trace())
    with pytest.raises(pixelrl_onnx.UsageError, match="not among those of this runner"):
        pixelrl_onnx.load_trace(tmp_path / "look.npz").replay()


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("enhance-local-xpro", "less than a gain"),
        ("saltpepper-gray", "shown more than the picture"),
        ("denoise-photo", "takes PyTorch"),
        ("saliency-edit", "forms no estimate"),
    ],
)
def test_policies_that_cannot_be_exported_are_refused(policy: str, reason: str, tmp_path: Path, run: Run) -> None:
    code, _, said = run("export", policy, "-o", tmp_path / "out")
    assert code == 2
    assert reason in said
    assert not (tmp_path / "out").exists()


def test_eight_bits_are_next_to_fp32(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other numbers are in docs/export.md; here one picture, calibrated on pictures that are given."""
    monkeypatch.setattr("pixelrl.exporting.calibration.CROPS", 12)
    (tmp_path / "clean").mkdir()
    Image.fromarray(data.camera()).save(tmp_path / "clean" / "camera.png")
    given = ("--int8", "--pictures", tmp_path / "clean")
    code, said, _ = run("export", "denoise-gray", "-o", tmp_path / "out", *given)
    assert (code, "int8" in said) == (0, True)
    clean = CLEAN[..., 0]
    exact = pixelrl.load("denoise-gray", "cpu", "fp32")(noisy(clean), sigma=25, legibility=0)
    found = pixelrl_onnx.load(tmp_path / "out", 1)(noisy(clean), sigma=25)
    wrong = [np.square(image - clean / 255).mean() for image in (exact.image, found.image)]
    assert 0 < np.abs(exact.image - found.image).mean() < 0.01
    assert 10 * np.log10(wrong[1] / wrong[0]) < 0.05
    assert found.trace().precision is None  # older readers know of no int8
    assert run("export", "restore-gray", "-o", tmp_path / "no", "--int8")[0] == 2
    assert run("export", "denoise-gray", "-o", tmp_path / "no", "--pictures", tmp_path / "clean")[0] == 2


def test_eight_bits_are_calibrated_on_what_the_encoder_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is red, green and blue also where the agents work on opponent colours."""
    monkeypatch.setattr("pixelrl.exporting.calibration.CROPS", 2)
    Image.fromarray(CLEAN.repeat(2, 0).repeat(2, 1)).save(tmp_path / "clean.png")
    found = {name: calibration.calibrated(AGENTS[name](), tmp_path) for name in SPACES}
    for name, eight in found["rgb"].items():
        assert found["opponent"][name].seen == pytest.approx(eight.seen, rel=1e-3)


def test_the_command_lines(tmp_path: Path, run: Run) -> None:
    code, said, _ = run("export", "poisson-gray", "-o", tmp_path / "out")
    assert (code, "legibility 0, fp32" in said) == (0, True)
    assert json.loads((tmp_path / "out" / "policy.json").read_text())["condition"] == "peak"
    assert run("export", "poisson-gray", "-o", tmp_path / "out")[0] == 2
    Image.fromarray(stored(noisy(CLEAN))).save(tmp_path / "noisy.png")
    there = str(Path(pixelrl_onnx.__file__).parents[1])
    script = f"import sys; sys.path.insert(0, {there!r}); from pixelrl_onnx.cli import main; main()"

    def runner(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)

    denoised = ("denoise", "noisy.png", "-o", "clean.png", "--policy", "out", "--trace", "trace.npz")
    assert runner(*denoised).returncode == 2  # the peak is not estimated here
    done = runner(*denoised, "--peak", "30")
    assert (done.returncode, "peak 30" in done.stdout) == (0, True), done.stderr
    assert runner(*denoised, "--peak", "30").returncode == 2  # nothing is overwritten
    assert runner("replay", "trace.npz", "-o", "again.png").returncode == 0
    np.testing.assert_array_equal(*(np.asarray(Image.open(tmp_path / name)) for name in ("clean.png", "again.png")))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    assert runner("denoise", "broken.png", "-o", "x.png", "--policy", "out").returncode == 3


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_pictures_of_16_bits_keep_them(exported: Path, tmp_path: Path, ending: str) -> None:
    import cv2

    from pixelrl_onnx.pictures import Picture, read_picture, write_picture

    deep = (noisy(CLEAN).clip(0, 1) * 65535).astype(np.uint16)
    for pixels, alpha in ((deep, None), (deep[..., 0].copy(), None), (deep, deep[..., 1].copy())):
        write_picture(tmp_path / f"x{ending}", Picture(pixels, alpha), overwrite=True)
        back = read_picture(tmp_path / f"x{ending}")
        np.testing.assert_array_equal(back.pixels, pixels)
        assert (alpha is None and back.alpha is None) or np.array_equal(back.alpha, alpha)
    assert cv2.imread(str(tmp_path / f"x{ending}"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
