"""Pictures in Zarr on the command line: block by block, by several processes, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixelrl
from conftest import Run
from pixelrl.cli import huge

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
