"""Pictures in Zarr on the command line: block by block, by several processes, and gone on with."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import pixelrl
from conftest import Run
from pixelrl.auto import Choice, choose_for
from pixelrl.cli import huge
from pixelrl.tasks.text_masks import text_mask

zarr = pytest.importorskip("zarr")

WORDS = ("--sigma", "25", "--steps", "2", "--device", "cpu", "--precision", "fp32")


def noisy(*shape: int) -> np.ndarray[Any, Any]:
    clean = 120 + 60 * np.sin(np.arange(shape[-1]) / 9)
    return np.clip(clean + np.random.default_rng(1).normal(0, 25, shape), 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 pixels, and levels below 100."""
    monkeypatch.setattr(huge, "SIDE", 64)
    monkeypatch.setattr("pixelrl.blocks.ome.SMALLEST", 100)


def slide(path: Path, pixels: np.ndarray[Any, Any], axes: str, version: str = "0.5") -> Path:
    """An OME-Zarr picture as others write it."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    array = group.create_array("full", shape=pixels.shape, dtype=pixels.dtype, chunks=pixels.shape)
    array[...] = pixels
    image = {
        "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in axes],
        "datasets": [{"path": "full", "coordinateTransformations": [{"type": "scale", "scale": [0.25] * len(axes)}]}],
        "name": "a slide",
        "version": version,
    }
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    else:
        group.attrs["multiscales"] = [image]
    return path


def whole(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What becomes of a picture that fits into the memory."""
    agent = pixelrl.load("denoise-gray", "cpu", "fp32")
    return agent(pixels, sigma=25, steps=2, legibility=0).image


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_slide_becomes_a_slide_with_the_bits_of_the_whole(run: Run, tmp_path: Path, version: str) -> None:
    pixels = noisy(150, 130)
    source = slide(tmp_path / "a.ome.zarr", pixels, "yx", version)
    code, out, err = run("denoise", source, "-o", tmp_path / "b.ome.zarr", *WORDS, "--json")
    assert code == 0, err
    assert json.loads(out)["left"] == 0
    result = zarr.open_group(tmp_path / "b.ome.zarr", mode="r")
    assert np.array_equal(result["0"][...], whole(pixels))
    assert result["0"].shards == (64, 64)
    (image,) = result.attrs["ome"]["multiscales"]
    assert image["name"] == "a slide"
    assert image["axes"][0]["unit"] == "micrometer"
    assert [one["path"] for one in image["datasets"]] == ["0", "1"]
    assert image["datasets"][1]["coordinateTransformations"][0]["scale"] == [0.5, 0.5]
    fine = result["0"][...].astype(float)
    mean = fine.reshape(75, 2, 65, 2).mean((1, 3))
    assert np.array_equal(result["1"][...], np.rint(mean))
    assert not list((tmp_path).glob("*.begun"))


def test_channels_and_depths_are_pictures_of_their_own(run: Run, tmp_path: Path) -> None:
    pixels = np.stack([noisy(2, 40, 70), noisy(2, 40, 70)[:, ::-1]])
    source = slide(tmp_path / "a.zarr", pixels, "czyx")
    assert run("denoise", source, "-o", tmp_path / "b.zarr", *WORDS)[0] == 0
    result = zarr.open_group(tmp_path / "b.zarr", mode="r")["0"][...]
    assert np.array_equal(result[1, 0], whole(pixels[1, 0]))
    assert np.array_equal(result[0, 1], whole(pixels[0, 1]))


@pytest.mark.parametrize(("shape", "policy"), [((70, 3), "denoise-gray"), ((66, 70, 3), "denoise-color")])
def test_three_columns_are_no_colours(run: Run, tmp_path: Path, shape: tuple[int, ...], policy: str) -> None:
    zarr.save_array(tmp_path / "a.zarr", noisy(*shape))
    code, out, _ = run("denoise", tmp_path / "a.zarr", "-o", tmp_path / "b.zarr", *WORDS, "--json")
    assert (code, json.loads(out)["policy"]) == (0, policy)


def test_shares_and_processes_do_all_of_it(run: Run, tmp_path: Path) -> None:
    pixels = noisy(150, 130)
    zarr.save_array(tmp_path / "a.zarr", pixels)  # a plain array
    target = tmp_path / "b.zarr"
    code, out, _ = run("denoise", tmp_path / "a.zarr", "-o", target, *WORDS, "--shard", "1/2")
    assert (code, target.exists()) == (0, False)
    assert "5 of 9 blocks done now, 4 left" in out
    begun = tmp_path / "b.zarr.begun"
    written = {path: path.stat().st_mtime_ns for path in (begun / "0" / "c").rglob("*") if path.is_file()}
    assert len(written) == 5
    code, _, err = run("denoise", tmp_path / "a.zarr", "-o", target, *WORDS[2:], "--sigma", "30")
    assert code == 2
    assert "was begun with other options" in err
    code, out, _ = run("denoise", tmp_path / "a.zarr", "-o", target, *WORDS, "--workers", "1")
    assert "4 of 9 blocks done now; complete" in out
    kept = {path.relative_to(begun): time for path, time in written.items()}
    assert all((target / path).stat().st_mtime_ns == time for path, time in kept.items())
    assert np.array_equal(zarr.open_group(target, mode="r")["0"][...], whole(pixels))


def test_runs_that_begin_together_go_by_one_plan(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second to come with a plan goes by the first one's, or is told."""
    zarr.save_array(tmp_path / "a.zarr", noisy(70, 60))
    assert run("denoise", tmp_path / "a.zarr", "-o", tmp_path / "b.zarr", *WORDS, "--shard", "1/2")[0] == 0
    plan = (tmp_path / "b.zarr.begun" / ".done" / "plan.json").read_bytes()
    written_whole = huge.written_whole

    @contextlib.contextmanager
    def too_late(path: Path, **options: bool) -> Iterator[Path]:
        with written_whole(path, **options) as temporary:
            yield temporary
            if path.name == "plan.json":
                path.write_bytes(plan)

    monkeypatch.setattr(huge, "written_whole", too_late)
    (tmp_path / "b.zarr.begun" / ".done" / "plan.json").unlink()
    code, _, err = run("denoise", tmp_path / "a.zarr", "-o", tmp_path / "b.zarr", *WORDS[2:], "--sigma", "30")
    assert (code, "was begun with other options" in err) == (2, True)
    assert (tmp_path / "b.zarr.begun" / ".done" / "plan.json").read_bytes() == plan
    assert sorted(path.name for path in (tmp_path / "b.zarr.begun" / ".done").glob(".pixelrl-*")) == []


def test_a_block_that_was_half_done_is_done_again(run: Run, tmp_path: Path) -> None:
    """A marker is written after the block; what was lost before it is computed anew."""
    pixels = noisy(100, 70)
    zarr.save_array(tmp_path / "a.zarr", pixels)
    words = ("denoise", tmp_path / "a.zarr", "-o", tmp_path / "b.zarr", *WORDS)
    run(*words, "--shard", "1/2")
    begun = tmp_path / "b.zarr.begun"
    done = sorted(path.name for path in (begun / ".done").iterdir() if path.name.isdigit())
    assert done == ["0", "2"]
    (begun / ".done" / "0").unlink()
    (begun / "0" / "c" / "0" / "0").unlink()
    assert "3 of 4 blocks done now; complete" in run(*words)[1]
    assert np.array_equal(zarr.open_group(tmp_path / "b.zarr", mode="r")["0"][...], whole(pixels))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("denoise", "a.zarr", "-o", "b.png"), "give a name ending in .zarr or .tif"),
        (
            ("denoise", "a.zarr", "-o", "b.zarr", "--ensemble"),
            "--ensemble is not for pictures that are worked on",
        ),
        (
            ("denoise", "a.zarr", "-o", "b.zarr", "--format", "png"),
            "--format is not for pictures that are worked on",
        ),
        (("denoise", "a.zarr", "-o", "a.zarr"), "exists; give another name"),
        (("saliency", "a.zarr", "-o", "b.zarr"), "cannot work block by block"),
        (("denoise", "none.zarr", "-o", "b.zarr"), "is no picture in Zarr"),
        (("denoise", "group.zarr", "-o", "b.zarr"), "is no OME-Zarr picture: it names no levels"),
    ],
)
def test_what_cannot_be_is_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    zarr.save_array(tmp_path / "a.zarr", noisy(20, 30, 3))
    zarr.open_group(tmp_path / "group.zarr", mode="w")
    (tmp_path / "none.zarr").mkdir()
    code, _, err = run(*words)
    assert code in (2, 3)
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "group.zarr", "none.zarr"]


def salted(clean: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(2)
    return np.where(rng.random(clean.shape) < 0.3, 255 * rng.integers(0, 2, clean.shape), clean).astype(np.uint8)


def ramp(*shape: int) -> np.ndarray[Any, Any]:
    return np.broadcast_to(np.linspace(60, 180, shape[1], dtype=np.uint8).reshape(-1, *[1] * (len(shape) - 2)), shape)


def photons() -> np.ndarray[Any, Any]:
    return np.clip(np.random.default_rng(3).poisson(ramp(160, 200) / 6) * 6, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "policy", "ending"),
    [
        (salted(ramp(100, 120)), "saltpepper-gray", "zarr"),
        (salted(ramp(100, 120, 3)), "saltpepper-color", "tif"),
        (noisy(100, 120), "denoise-gray", "zarr"),
        (photons(), "poisson-gaussian-gray", "zarr"),
        (ramp(100, 120), "denoise-gray", "tif"),  # next to no noise, so it stays as it is
    ],
)
def test_the_noise_is_seen_as_in_a_picture(
    run: Run, tmp_path: Path, pixels: np.ndarray[Any, Any], policy: str, ending: str
) -> None:
    source, alone = tmp_path / f"a.{ending}", tmp_path / "a.png"
    if ending == "zarr":
        zarr.save_array(source, pixels)
    else:
        Image.fromarray(pixels).save(source)
    Image.fromarray(pixels).save(alone)
    words = ("--steps", "1", "--legibility", "0", "--device", "cpu", "--precision", "fp32", "--json")
    code, out, err = run("denoise", source, "-o", tmp_path / "b.zarr", *words)
    assert code == 0, err
    report = json.loads(out)
    single = json.loads(run("denoise", alone, "-o", tmp_path / "b.png", *words)[1])
    assert report["policy"] == single["policy"] == policy
    assert (report["condition"], report["estimated"]) == ([single["condition"]], single["estimated"])
    assert (report["noise"], report["why"]) == (single["noise"], single["why"])
    assert report["notes"] == single["notes"]
    result = zarr.open_group(tmp_path / "b.zarr", mode="r")["0"][...]
    assert np.array_equal(result, np.asarray(Image.open(tmp_path / "b.png")))


@pytest.mark.parametrize("options", [(), ("--sigma", "25"), ("--noise", "poisson", "--peak", "60")])
def test_a_black_and_white_picture_in_rgb_is_a_grey_one(run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    zarr.save_array(tmp_path / "a.zarr", np.stack([noisy(150, 160)] * 3, 2))
    words = ("--steps", "1", "--legibility", "0", "--device", "cpu", "--json", *options)
    code, out, err = run("denoise", tmp_path / "a.zarr", "-o", tmp_path / "b.zarr", *words)
    assert code == 0, err
    assert json.loads(out)["policy"].endswith("-gray")


def test_it_is_seen_at_some_places_and_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelrl.blocks.plan.SAMPLE", 64)
    monkeypatch.setattr("pixelrl.blocks.plan.SAMPLES", 4)
    pixels = np.stack([salted(ramp(200, 240)), ramp(200, 240)])
    source = slide(tmp_path / "a.zarr", pixels, "cyx")
    code, out, _ = run("denoise", source, "-o", tmp_path / "b.zarr", "--steps", "1")
    assert code == 0
    assert "channel 0: salt & pepper: specks of exactly black and white: saltpepper-gray" in out
    assert "channel 1: next to no noise" in out
    assert "channel 1: hardly any salt & pepper noise seen" in out
    result = zarr.open_group(tmp_path / "b.zarr", mode="r")["0"][...]
    assert np.array_equal(result[1], pixels[1])
    code, out, _ = run("denoise", source, "-o", tmp_path / "c.zarr", "--steps", "0", "--strength", "0.5")
    assert code == 0
    assert out.count("because of --strength denoise-photo was taken, which does not fill them; leave --strength") == 1


def test_the_noise_of_a_huge_picture_is_described(run: Run, tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "a.zarr", salted(ramp(100, 120)))
    Image.fromarray(salted(ramp(100, 120))).save(tmp_path / "a.png")
    (code, out, err), single = run("noise", tmp_path / "a.zarr"), run("noise", tmp_path / "a.png")[1]
    assert code == 0, err
    assert out == single.replace("a.png", "a.zarr")
    assert "salt & pepper: specks of exactly black and white" in out
    source = slide(tmp_path / "two.zarr", np.stack([noisy(100, 120), ramp(100, 120)]), "cyx")
    code, out, _ = run("noise", source, "--json")
    assert code == 0
    reports = [json.loads(line) for line in out.splitlines()]
    assert [report["channel"] for report in reports] == [0, 1]
    assert reports[0]["rms"] > 20 > 1 > reports[1]["rms"]
    code, _, err = run("noise", source, "-o", tmp_path / "drawn.png")
    assert code == 2
    assert "has 2 channels, and -o draws one; leave it out" in err


def test_numbers_count_as_the_picture_does(run: Run, tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "a.zarr", photons())
    Image.fromarray(photons()).save(tmp_path / "a.png")
    words = (
        "--gain",
        "6",
        "--read",
        "2",
        "--steps",
        "1",
        "--legibility",
        "0",
        "--device",
        "cpu",
        "--precision",
        "fp32",
        "--json",
    )
    code, out, err = run("denoise", tmp_path / "a.zarr", "-o", tmp_path / "b.zarr", *words)
    assert code == 0, err
    single = json.loads(run("denoise", tmp_path / "a.png", "-o", tmp_path / "b.png", *words)[1])
    assert json.loads(out)["condition"] == [pytest.approx(single["condition"])]
    result = zarr.open_group(tmp_path / "b.zarr", mode="r")["0"][...]
    assert np.array_equal(result, np.asarray(Image.open(tmp_path / "b.png")))


def test_text_is_seen_as_in_a_picture(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Image.fromarray(ramp(100, 240).copy())
    ImageDraw.Draw(drawn).text((10, 30), "Photo 1024", fill=255, font=ImageFont.load_default(24))
    soft, hard = np.asarray(drawn), ramp(100, 240).copy()
    hard[text_mask(100, 240, 3, [], 14).numpy()] = 255
    for name, pixels, policy in (("soft", soft, "restore-color"), ("hard", hard, "restore-gray")):
        zarr.save_array(tmp_path / f"{name}.zarr", pixels)
        code, out, err = run("restore", tmp_path / f"{name}.zarr", "-o", tmp_path / f"{name}-out.zarr", "--json")
        assert code == 0, err
        report = json.loads(out)
        assert (report["policy"], report["text"]["found"], report["notes"]) == (policy, True, [])
    monkeypatch.setattr("pixelrl.blocks.plan.SAMPLE", 32)
    monkeypatch.setattr("pixelrl.blocks.plan.SAMPLES", 1)
    hard[30:] = ramp(100, 240)[30:]  # none in the middle
    zarr.save_array(tmp_path / "top.zarr", hard)
    code, out, _ = run("restore", tmp_path / "top.zarr", "-o", tmp_path / "top-out.zarr")
    assert code == 0
    assert ", text found on " in out
    assert "no text seen at the places that were looked at, so restore-color" in out


def test_what_another_processor_sees_a_little_differently_is_gone_on_with(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zarr.save_array(tmp_path / "a.zarr", noisy(100, 70))
    words = ("denoise", tmp_path / "a.zarr", "-o", tmp_path / "b.zarr", "--steps", "1")
    run(*words, "--shard", "1/2")
    for factor, code in ((1.1, 2), (1 + 1e-6, 0)):
        with monkeypatch.context() as patch:
            choice = functools.partial(_seen_otherwise, choose_for, factor)
            patch.setattr("pixelrl.auto.choose_for", choice)
            assert run(*words)[0] == code


def _seen_otherwise(choose: Any, factor: float, *arguments: Any) -> Choice:
    choice: Choice = choose(*arguments)
    return replace(choice, told={name: factor * number for name, number in choice.told.items()})
