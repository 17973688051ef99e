"""The command line as a user meets it: exit codes, sentences, files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import pixelrl.agent
from pixelrl.actions import PAPER_NINE
from pixelrl.checkpoint import PolicyCard, save_policy

SMALL = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def policy(tmp_path: Path, randomise) -> Path:
    card = PolicyCard("small", "lookahead", SMALL, PAPER_NINE, 2, "sigma", {})
    network = card.build()
    randomise(network)
    path = tmp_path / "small.safetensors"
    save_policy(path, network, card)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    for name, shape in (("a.png", (20, 30)), ("inner/b.jpg", (16, 16, 3)), ("c.webp", (15, 10, 3))):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).save(folder / name)
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def tree(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A grey and a colour picture with salt & pepper on one pixel in ten."""
    folder, random = tmp_path / "noisy", np.random.default_rng(0)
    folder.mkdir()
    for name, shape in (("grey.png", (40, 56)), ("colour.png", (40, 56, 3))):
        clean = np.full(shape, 120, np.uint8) + np.arange(56, dtype=np.uint8).reshape(56, *(1,) * (len(shape) - 2))
        hits = random.random(shape) < 0.1
        Image.fromarray(np.where(hits, 255 * random.integers(0, 2, shape), clean).astype(np.uint8)).save(folder / name)
    return folder


@pytest.mark.parametrize(
    ("noise", "level", "policies"),
    [
        ("gaussian", "sigma", ["denoise-color", "denoise-gray"]),
        ("poisson", "peak", ["poisson-gaussian-color", "poisson-gaussian-gray"]),  # much is clipped
        ("saltpepper", None, ["saltpepper-color", "saltpepper-gray"]),
    ],
)
def test_the_kind_of_noise_chooses_the_policy(
    run: Run, noisy: Path, tmp_path: Path, noise: str, level: str | None, policies: list[str]
) -> None:
    code, text, _ = run("denoise", noisy, "-o", tmp_path / "out", "--noise", noise, "--json")
    assert code == 0
    reports = [json.loads(line) for line in text.splitlines()]
    assert [r["policy"] for r in reports] == policies
    assert all(r["estimated"] == ([] if level is None else [level]) for r in reports)
    if noise == "saltpepper":
        for name in ("grey.png", "colour.png"):
            ramp = 120 + np.arange(56).reshape(56, *(1,) * (pixels(noisy / name).ndim - 2))
            assert np.abs(pixels(tmp_path / "out" / name).astype(float) - ramp).mean() < 1.5


def test_an_ensemble_is_no_single_run_and_has_no_trace(run: Run, policy: Path, photos: Path, tmp_path: Path) -> None:
    common = (photos / "a.png", "--policy", policy, "--sigma", 20)
    assert run("denoise", *common, "-o", tmp_path / "one.png")[0] == 0
    assert run("denoise", *common, "-o", tmp_path / "eight.png", "--ensemble")[0] == 0
    assert not np.array_equal(pixels(tmp_path / "one.png"), pixels(tmp_path / "eight.png"))
    code, _, err = run("denoise", *common, "-o", tmp_path / "x.png", "--ensemble", "--trace", tmp_path / "t.npz")
    assert code == 2
    assert "--trace" in err


def test_a_file_with_its_trace(run: Run, policy: Path, photos: Path, tmp_path: Path) -> None:
    out, trace, strip, again = (tmp_path / n for n in ("o.png", "t.npz", "strip.png", "again.png"))
    code, text, _ = run("denoise", photos / "a.png", "-o", out, "--policy", policy, "--trace", trace, "--steps", 3)
    assert code == 0
    assert "(estimated)" in text
    assert pixelrl.load_trace(trace).actions.shape == (3, 1, 20, 30)
    assert run("replay", trace, "-o", again)[0] == 0
    assert np.array_equal(pixels(again), pixels(out))
    assert run("show", trace, "-o", strip, "--reference", photos / "a.png")[0] == 0
    assert pixels(strip).shape[1] > 300


def test_a_folder_is_mirrored_and_json_printed(run: Run, policy: Path, photos: Path, tmp_path: Path) -> None:
    code, text, _ = run("denoise", photos, "-o", tmp_path / "out", "--policy", policy, "--sigma", 10, "--json")
    assert code == 0
    assert tree(tmp_path / "out") == ["a.png", "c.webp", "inner/b.jpg"]
    reports = [json.loads(line) for line in text.splitlines()]
    assert [Path(r["input"]).name for r in reports] == ["a.png", "c.webp", "b.jpg"]
    assert all(r["sigma"] == 10 and not r["estimated"] for r in reports)


def test_patterns_and_suffix(run: Run, policy: Path, photos: Path, tmp_path: Path) -> None:
    code, *_ = run("denoise", photos / "*.png", "-o", tmp_path / "out", "--policy", policy, "--suffix", "_clean")
    assert code == 0
    assert tree(tmp_path / "out") == ["a_clean.png"]


def test_nothing_is_overwritten_unasked(run: Run, policy: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.png"
    out.write_bytes(b"mine")
    arguments = ("denoise", photos / "a.png", "-o", out, "--policy", policy, "--sigma", 5)
    code, _, err = run(*arguments)
    assert (code, out.read_bytes()) == (2, b"mine")
    assert "--overwrite" in err
    assert run(*arguments, "--skip-existing")[0] == 0
    assert out.read_bytes() == b"mine"
    assert run(*arguments, "--overwrite")[0] == 0
    assert pixels(out).shape == (20, 30)
    assert run(*arguments, "--overwrite", "--skip-existing")[0] == 2


def test_a_folder_with_existing_results_is_refused_before_any_work(
    run: Run, policy: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c.webp").write_bytes(b"mine")
    code, _, err = run("denoise", photos, "-o", tmp_path / "out", "--policy", policy, "--sigma", 5)
    assert (code, "--skip-existing" in err) == (2, True)
    assert [name for name in tree(tmp_path / "out") if name != "c.webp"] == []


def test_help_does_not_load_pytorch() -> None:
    probe = "import sys, pixelrl, pixelrl.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


def test_bad_inputs_are_named_and_the_others_done(run: Run, policy: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "text.png").write_text("hello")
    (photos / "empty.jpg").touch()
    whole = (photos / "inner/b.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    code, text, err = run("denoise", photos, tmp_path / "none.png", "-o", out, "--policy", policy, "--sigma", 5)
    assert code == 3
    for name in ("text.png", "empty.jpg", "cut.jpg", "none.png"):
        assert err.count(name) == 1
    assert len(text.splitlines()) == 3
    assert tree(out) == ["a.png", "c.webp", "inner/b.jpg"]


def test_several_frames_are_never_replaced_by_the_first(run: Run, policy: Path, photos: Path) -> None:
    frames = [Image.fromarray(np.full((16, 16), 40 * i, np.uint8)) for i in range(6)]
    for name in ("pages.tif", "film.webp"):
        frames[0].save(photos / name, save_all=True, append_images=frames[1:])
    tifffile.imwrite(photos / "stack.tif", np.stack(frames), imagej=True, truncate=True)
    code, out, _ = run("denoise", photos, "-o", photos, "--overwrite", "--policy", policy, "--sigma", 9)
    assert code == 0
    assert out.count("6 pictures") == 3
    for name in ("pages.tif", "stack.tif"):
        assert tifffile.imread(photos / name).shape == (6, 16, 16)
    with Image.open(photos / "film.webp") as film:
        assert film.n_frames == 6


def test_further_pictures_of_a_photo_are_not_overwritten(run: Run, policy: Path, tmp_path: Path) -> None:
    views = [Image.fromarray(np.full((16, 16, 3), 40 * i, np.uint8)) for i in range(2)]
    photo = tmp_path / "stereo.jpg"
    views[0].save(photo, "MPO", save_all=True, append_images=views[1:])
    before, common = photo.read_bytes(), ("--policy", policy, "--sigma", 9)
    code, _, err = run("denoise", photo, "-o", tmp_path, "--overwrite", *common)
    assert (code, "it holds further pictures, which would be lost" in err) == (3, True)
    assert photo.read_bytes() == before
    code, out, _ = run("denoise", photo, "-o", tmp_path / "out.jpg", *common)
    assert (code, "further pictures in the file (MPO) are left out" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["denoise", "PHOTO", "-o", "OUT", "--sigma", "-3"], "-3"),
        (["denoise", "PHOTO", "-o", "OUT", "--sigma", "loud"], "loud"),
        (["denoise", "PHOTO", "-o", "OUT", "--policy", "nonsense"], "denoise-gray"),
        (["denoise", "PHOTO", "-o", "OUT", "--policy", "PHOTO"], "not a policy"),
        (["denoise", "PHOTO", "-o", "OUT", "--steps", "-1"], "steps"),
        (["denoise", "PHOTO", "-o", "OUT", "--steps", "1" + 400 * "0"], "steps"),
        (["denoise", "PHOTO", "-o", "OUT", "--white", "nan"], "no finite number"),
        (["denoise", "PHOTO", "-o", "OUT", "--white", "inf"], "no finite number"),
        (["studio", "--max-megapixels", "nan"], "no finite number"),
        (["train", "RECIPE", "-o", "OUT", "--minutes", "nan"], "no finite number"),
        (["evaluate", "denoise-gray", "--data", "FOLDER", "--sigma", "5", "--seed", "1" + 400 * "0"], "64 bits"),
        (["denoise", "PHOTO", "-o", "PHOTO/inside"], "cannot be made"),
        (["denoise", "FOLDER", "-o", "OUT.png"], "give a folder"),
        (["denoise", "FOLDER", "-o", "OUT", "--trace", "OUT.npz"], "one picture"),
        (["denoise", "PHOTO", "-o", "OUT.png", "--trace", "OUT.png"], "another name"),
        (["denoise", "PHOTO", "-o", "OUT.png", "--trace", "PHOTO/t.npz"], "cannot be made"),
        (["denoise", "PHOTO", "-o", "OUT.gif"], ".gif"),
        (["denoise", "PHOTO", "-o", "OUT.png", "--suffix", "/../../evil"], "slashes"),
        (["evaluate", "denoise-gray", "--data", "FOLDER", "--sigma", "nan"], "finite"),
        (["evaluate", "denoise-gray", "--data", "FOLDER", "--density", "0.3"], "must be told sigma"),
        (["evaluate", "denoise-gray", "--data", "FOLDER", "--sigma", "5", "--json", "PHOTO/e"], "cannot be made"),
        (["denoise", "PHOTO"], "-o"),
        (["denoise", "-o", "OUT"], "INPUT"),
        (["show", "PHOTO", "-o", "OUT.png"], "not a trace"),
        (["show", "nowhere.npz", "-o", "OUT.png"], "does not exist"),
        (["replay", "nowhere.npz", "-o", "OUT.png"], "does not exist"),
        (["denoise", "PHOTO", "-o", "OUT", "--noise", "poisson", "--sigma", "9"], "takes peak; leave --sigma out"),
        (["denoise", "PHOTO", "-o", "OUT", "--noise", "saltpepper", "--peak", "9"], "takes no noise level"),
        (["denoise", "PHOTO", "-o", "OUT", "--noise", "poisson", "--policy", "denoise-gray"], "give one"),
        (["denoise", "PHOTO", "-o", "OUT", "--noise", "rain"], "rain"),
        (["denoise", "PHOTO", "-o", "OUT", "--noise", "poisson", "--peak", "0"], "peak"),
        (["evaluate", "denoise-gray", "--data", "FOLDER", "--sigma", "5", "--peak", "5"], "give one of"),
        (["evaluate", "denoise-gray", "--data", "FOLDER"], "--sigma"),
        (["evaluate", "denoise-gray", "--data", "nowhere", "--sigma", "5"], "nowhere"),
        (["train", "nowhere.toml", "-o", "OUT"], "nowhere.toml"),
        (["train", "PHOTO", "-o", "OUT"], "TOML"),
        (["import", "PHOTO", "-o", "OUT.safetensors"], "npz"),
        (["import", "nowhere.npz", "-o", "OUT.safetensors"], "nowhere.npz"),
        (["no-such-command"], "no-such-command"),
    ],
)  # fmt: skip
def test_wrong_usage(run: Run, photos: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    places = {"PHOTO": photos / "a.png", "FOLDER": photos, "OUT": tmp_path / "out"}
    filled = [
        argument if argument == argument.lower() else argument.replace(key, str(place))
        for argument in arguments
        for key, place in [next(((k, p) for k, p in places.items() if argument.startswith(k)), ("", Path()))]
    ]
    before = tree(tmp_path)
    code, out, err = run(*filled)
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert out == ""
    assert tree(tmp_path) == before


def test_an_unknown_key_of_a_recipe_is_named(run: Run, tmp_path: Path) -> None:
    for setting, words in (
        ("learner.gama=1", "learner.gama"),
        ("data.batch=much", "data.batch"),
        ("seed", "key=value"),
    ):
        code, _, err = run("train", "denoise-gray", "-o", tmp_path / "run", "--set", setting)
        assert (code, words in err) == (2, True)
    code, _, err = run("train", "denoise-gray", "-o", tmp_path / "run", "--set", f"data.folder={tmp_path / 'none'}")
    assert (code, "does not exist" in err) == (2, True)
    assert tree(tmp_path) == []


def test_an_interrupt_leaves_whole_files(
    run: Run, policy: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = pixelrl.agent.Agent.__call__, []

    def second_is_interrupted(self, *arguments, **settings):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, *arguments, **settings)

    monkeypatch.setattr(pixelrl.agent.Agent, "__call__", second_is_interrupted)
    code, _, err = run("denoise", photos, "-o", tmp_path / "out", "--policy", policy, "--sigma", 5)
    assert code == 130
    assert "1 of 3" in err
    assert tree(tmp_path / "out") == ["a.png"]


def test_train_stop_resume_and_use(run: Run, photos: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'name = "tiny"\n[task]\nkind = "gaussian-denoising"\nnum_steps = 2\n'
        '[policy]\nkind = "lookahead"\nwidth = 8\ndeep_width = 8\ndepths = [1, 1, 1]\nhead_width = 4\n'
        f'[data]\nfolder = "{photos}"\ncrop = 8\nbatch = 2\nvalidation = 1\n'
        "[warm_start]\niterations = 3\n[reinforcement]\niterations = 3\n"
    )
    where = tmp_path / "run"
    assert run("train", recipe, "-o", where, "--minutes", 0.00001)[0] == 0
    code, _, err = run("train", recipe, "-o", where)
    assert (code, "--resume" in err) == (2, True)
    assert run("train")[0] == 2
    code, _, err = run("train", "--resume", where, "--set", "learner.gamma=0.5")
    assert (code, "learner.gamma = 0.95, not 0.5" in err) == (2, True)
    assert run("train", "--resume", where, "--minutes", 0.00001, "--set", "reinforcement.iterations=4")[0] == 0
    code, out, _ = run("train", recipe, "-o", where, "--resume")  # with the recipe, it is what counts
    assert code == 0
    made = Path(out.strip())
    scores = tmp_path / "scores.json"
    code, out, _ = run("evaluate", made, "--data", photos, "--sigma", 15, "--limit", 2, "--json", scores)
    assert code == 0
    content = json.loads(scores.read_text())
    assert (len(content["pictures"]), content["level"], content["policy"]) == (2, 15.0, "tiny")
    assert f"{content['mean']['psnr']:.3f}" in out
    mean = sum(p["psnr"] for p in content["pictures"]) / 2
    assert content["mean"]["psnr"] == pytest.approx(mean)
    bits = sum(p["bits_per_pixel"] for p in content["pictures"]) / 2
    assert content["mean"]["bits_per_pixel"] == pytest.approx(bits)
    assert out.splitlines()[-1].split()[-1] == f"{bits:.2f}"
    first, other = (p["agreement"] for p in content["pictures"])
    assert content["mean"]["agreement"] == pytest.approx([(a + b) / 2 for a, b in zip(first, other, strict=True)])
    code, out, _ = run("evaluate", made, "--data", photos, "--sigma", 15, "--limit", 1, "--ensemble")
    assert code == 0
    assert out.splitlines()[-1].split()[-1] == "-"  # the mean of eight results has no maps


def test_a_run_remembers_its_recipe(run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was set on the command line, too, and from whichever folder it is gone on with."""
    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\n[task]\nkind = "gaussian-denoising"\n[policy]\nkind = "fcn"\nwidth = 2\n'
        "[data]\ncrop = 8\nvalidation = 1\n[reinforcement]\niterations = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    settings = ("--set", f"data.folder={photos.relative_to(tmp_path)}", "--set", "data.batch=2", "--minutes", 0.00001)
    code, _, err = run("train", "tiny.toml", "-o", "run", *settings)
    assert (code, "pixelrl train --resume run goes on" in err) == (0, True)
    monkeypatch.chdir(photos)
    code, out, _ = run("train", "--resume", tmp_path / "run")
    assert (code, out.strip()) == (0, str(tmp_path / "run" / "policy.safetensors"))
    assert run("train", "--resume", "-o", tmp_path / "run")[0] == 0
    assert run("train", "--resume", tmp_path / "run", "-o", "other")[0] == 2
    assert run("train", "--resume", photos)[0] == 2


def test_weights_that_a_training_has_no_place_for_are_named(run: Run, photos: Path, tmp_path: Path) -> None:
    """A policy with two blocks more than the recipe starts as another one than it looks, and says so once."""
    blocks = {"deep": [1, 3, 1], "shallow": [1, 1, 1]}
    for name, depths in blocks.items():
        (tmp_path / f"{name}.toml").write_text(
            f'name = "{name}"\n[task]\nkind = "gaussian-denoising"\n[policy]\nkind = "lookahead"\nwidth = 8\n'
            f'deep_width = 8\ndepths = {depths}\nhead_width = 4\n[data]\nfolder = "{photos}"\ncrop = 8\nbatch = 2\n'
            "validation = 1\n[warm_start]\niterations = 1\n[reinforcement]\niterations = 0\n"
        )
    code, out, err = run("train", tmp_path / "deep.toml", "-o", tmp_path / "deep")
    assert (code, "left out" in err) == (0, False)
    starts = ("-o", tmp_path / "shallow", "--set", f"initial={out.strip()}")
    code, _, err = run("train", tmp_path / "shallow.toml", *starts)
    left_out = "encoder.deep.1.first.weight, encoder.deep.1.first.bias, encoder.deep.1.second.weight"
    assert (code, f"has no place for; they are left out: {left_out}" in err) == (0, True)
    assert "and 2 more" in err
    assert "left out" not in run("train", "--resume", tmp_path / "shallow")[2]
    code, _, err = run("train", tmp_path / "deep.toml", "-o", tmp_path / "deeper", "--set", f"initial={out.strip()}")
    assert (code, "left out" in err) == (0, False)


def test_help_and_policies(run: Run) -> None:
    assert "denoise" in run("--help")[1]
    assert "denoise-gray" in run("policies")[1]


def test_a_policy_file_that_was_replaced_is_read_again(run: Run, tmp_path: Path) -> None:
    """Two commands in one process: the second one's policy is the file as it is then."""
    picture, policy = tmp_path / "in.png", tmp_path / "p.safetensors"
    Image.new("L", (9, 7), 100).save(picture)
    for number, action in enumerate(("grey level +1", "grey level -1")):
        card = PolicyCard("mine", "fcn", {"width": 4}, (action,), 2, None, {})
        save_policy(policy, card.build(), card)
        assert run("denoise", picture, "--policy", policy, "-o", tmp_path / f"{number}.png")[0] == 0
    assert [pixels(tmp_path / f"{n}.png")[0, 0] for n in (0, 1)] == [102, 98]
