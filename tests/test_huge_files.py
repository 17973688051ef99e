"""TIFF and slides block by block: read in parts, and written as a tiled BigTIFF with levels."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tifffile
from PIL import ImageCms

import pixelrl
from conftest import Run
from pixelrl.blocks import names, tiff
from pixelrl.cli import huge

zarr = pytest.importorskip("zarr")

WORDS = ("--sigma", "25", "--steps", "2", "--device", "cpu", "--precision", "fp32")
RGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noisy(*shape: int) -> np.ndarray[Any, Any]:
    clean = 120 + 60 * np.sin(np.arange(shape[1]) / 9).reshape(-1, *[1] * (len(shape) - 2))
    return np.clip(clean + np.random.default_rng(1).normal(0, 25, shape), 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 pixels, levels below 100, and every TIFF is large."""
    monkeypatch.setattr(huge, "SIDE", 64)
    monkeypatch.setattr("pixelrl.blocks.ome.SMALLEST", 100)
    monkeypatch.setattr(names, "LARGE", 1000)


def whole(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What becomes of a picture that fits into the memory."""
    agent = pixelrl.load("denoise-gray" if pixels.ndim == 2 else "denoise-color", "cpu", "fp32")
    return agent(pixels, sigma=25, steps=2, legibility=0).image


def save(path: Path, pixels: np.ndarray[Any, Any], **options: Any) -> Path:
    """A tiled TIFF of pixels of half a micrometer."""
    options = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb" if pixels.ndim == 3 else None} | options
    tifffile.imwrite(path, pixels, resolution=(20000, 20000), resolutionunit=3, **options)
    return path


@pytest.mark.parametrize("shape", [(150, 130), (70, 90, 3)])
def test_a_tiff_becomes_a_tiled_bigtiff_with_levels(run: Run, tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = noisy(*shape)
    save(tmp_path / "a.tif", pixels, iccprofile=RGB)
    words = ("denoise", tmp_path / "a.tif", "-o", tmp_path / "b.tif", *WORDS)
    assert run(*words, "--shard", "1/2")[0] == 0
    assert not (tmp_path / "b.tif").exists()
    code, out, err = run(*words, "--json")
    assert code == 0, err
    assert json.loads(out)["left"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        series, page = file.series[0], file.pages.first
        assert file.is_bigtiff
        assert (page.is_tiled, page.tile) == (True, (256, 256))
        assert page.tags.valueof(34675) == RGB
        assert page.get_resolution("MICROMETER") == pytest.approx((2, 2))
        levels = [level.asarray() for level in series.levels]
        assert np.array_equal(levels[0], whole(pixels))
        if shape == (150, 130):
            assert [level.shape for level in levels] == [(150, 130), (75, 65)]
            fine = levels[0].astype(float).reshape(75, 2, 65, 2)
            assert np.array_equal(levels[1], np.rint(fine.mean((1, 3))))


@pytest.mark.parametrize("compression", ["zlib", None])
def test_a_tiff_becomes_a_zarr_whether_it_is_compressed_or_not(
    run: Run, tmp_path: Path, compression: str | None
) -> None:
    pixels = noisy(60, 130)
    tile = None if compression is None else (32, 32)  # without tiles, and as it lies in the file
    save(tmp_path / "a.tiff", pixels, compression=compression, tile=tile)
    assert run("denoise", tmp_path / "a.tiff", "-o", tmp_path / "b.ome.zarr", *WORDS)[0] == 0
    result = zarr.open_group(tmp_path / "b.ome.zarr", mode="r")
    assert np.array_equal(result["0"][...], whole(pixels))
    (image,) = result.attrs["ome"]["multiscales"]
    assert [axis["unit"] for axis in image["axes"]] == ["micrometer"] * 2
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == pytest.approx([0.5, 0.5])


def test_a_zarr_becomes_an_ome_tiff(run: Run, tmp_path: Path) -> None:
    pixels = np.stack([[noisy(40, 70), noisy(40, 70)[::-1]], [noisy(40, 70), noisy(40, 70)[:, ::-1]]])
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", data=pixels)
    axes = [{"name": axis, "unit": "micrometer"} for axis in "czyx"]
    scale = [{"type": "scale", "scale": [1, 1, 0.25, 0.5]}]
    level = {"path": "0", "coordinateTransformations": scale}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [level]}]}
    assert run("denoise", tmp_path / "a.zarr", "-o", tmp_path / "b.ome.tif", *WORDS)[0] == 0
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as file:
        assert (file.is_ome, file.series[0].axes) == (True, "CZYX")
        result = file.asarray()
        assert file.ome_metadata is not None
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata
    assert np.array_equal(result[1, 1], whole(pixels[1, 1]))
    assert np.array_equal(result[0, 1], whole(pixels[0, 1]))
    held = tiff.open_tiff(tmp_path / "b.ome.tif")
    assert (held.axes, held.scale) == ("czyx", [1, 1, 0.25, 0.5])
    held.close()


def test_with_a_trace_a_large_tiff_is_worked_on_as_a_whole(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.tif", noisy(40, 70))
    words = ("-o", tmp_path / "b.tif", "--trace", tmp_path / "b.npz", *WORDS)
    assert run("denoise", tmp_path / "a.tif", *words)[0] == 0
    assert (tmp_path / "b.npz").exists()


def test_a_slide_is_read_by_openslide(run: Run, tmp_path: Path) -> None:
    openslide = pytest.importorskip("openslide")
    pixels = noisy(70, 90, 3)
    save(tmp_path / "a.tif", pixels, iccprofile=RGB)
    source = (tmp_path / "a.tif").rename(tmp_path / "a.svs")
    with openslide.OpenSlide(source) as opened:
        assert opened.properties["openslide.vendor"] == "generic-tiff"
    assert run("denoise", source, "-o", tmp_path / "b.ome.zarr", *WORDS)[0] == 0
    result = zarr.open_group(tmp_path / "b.ome.zarr", mode="r")
    assert np.array_equal(result["0"][...], whole(pixels))
    (image,) = result.attrs["ome"]["multiscales"]
    assert image["name"] == "a"
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == pytest.approx([0.5, 0.5, 1])


def test_where_nothing_was_scanned_a_slide_has_its_background() -> None:
    from pixelrl.blocks.slides import Slide

    class Scanned:
        dimensions = (4, 2)
        properties: ClassVar = {"openslide.background-color": "0A14FF"}

        def read_region(self, at: tuple[int, int], level: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
            pixels = np.full((size[1], size[0], 4), 200, np.uint8)
            pixels[:, at[0] :, 3] = 0
            pixels[..., 0, 3] = 255
            return pixels

    slide = Slide(Scanned())
    part = slide[0:2, 1:4, 0:3]
    assert (slide.shape, part.shape) == ((2, 4, 3), (2, 3, 3))
    assert part[0, 0].tolist() == [200, 200, 200]
    assert part[1, 1].tolist() == [10, 20, 255]


def test_what_cannot_be_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("alpha.tif"), noisy(40, 50, 4), photometric="rgb", extrasamples=["unassalpha"])
    palette = np.zeros((3, 256), np.uint16)
    save(Path("palette.tif"), noisy(40, 50), photometric="palette", colormap=palette)
    save(Path("piece.tif"), noisy(40, 50), tile=None, rowsperstrip=40)
    save(Path("grey.tif"), noisy(40, 50))
    Path("no.svs").write_bytes(b"nothing")
    Path("no.tif").write_bytes(b"nothing")
    monkeypatch.setattr(tiff, "_PIECE", 1000)
    for source, target, sentence in (
        ("alpha.tif", "b.tif", "has alpha or other channels beside its colours; save it without them"),
        ("palette.tif", "b.zarr", "holds PALETTE values; save it in grey or RGB"),
        ("piece.tif", "b.zarr", "which cannot be read in parts; save it in tiles"),
        ("no.tif", "b.zarr", "cannot be read as a TIFF"),
        ("no.svs", "b.png", "becomes OME-Zarr or a tiled TIFF; give a name ending in .zarr or .tif"),
        ("grey.tif", "grey.tif", "exists; give another name"),
    ):
        code, _, err = run("denoise", source, "-o", target)
        assert code in (2, 3)
        assert sentence in err
        assert len(err.splitlines()) == 1
    assert "slide" in run("denoise", "no.svs", "-o", "b.zarr")[2]
    monkeypatch.setitem(sys.modules, "openslide", None)
    assert 'slides need openslide: pip install "pixelrl[slides]"' in run("denoise", "no.svs", "-o", "b.zarr")[2]
    assert not list(tmp_path.glob("b.*"))
