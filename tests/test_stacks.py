"""Files of several pictures: each is denoised, and axes, sizes, names, times and bit depth come back."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from skimage import data

from pixelrl.pictures.stacks import TiffStack, open_stack

CLEAN = data.camera()[96:144, 160:224] / 255
COLOURS = data.astronaut()[20:68, 180:244] / 255
GAUSSIAN = ("denoise", "--noise", "gaussian")


def psnr(image: np.ndarray, white: float, clean: np.ndarray = CLEAN) -> float:
    return float(-10 * np.log10(np.mean((np.clip(image / white, 0, 1) - clean) ** 2)))


def stack(outer: tuple[int, ...], white: float, sigmas: tuple[float, ...], dtype: str = "uint16") -> np.ndarray:
    """Noisy planes; the last of the outer axes is the channel, with a sigma of its own."""
    noise = np.random.default_rng(0).normal(0, 1 / 255, (*outer, *CLEAN.shape))
    shares = CLEAN + noise * np.array(sigmas)[:, None, None]
    return (np.rint(np.clip(shares, 0, 1) * white) if dtype != "float32" else shares * white).astype(dtype)


def each_better(before: np.ndarray, after: np.ndarray, white: float, by: float) -> None:
    assert (after.shape, after.dtype) == (before.shape, before.dtype)
    for old, new in zip(before.reshape(-1, *CLEAN.shape), after.reshape(-1, *CLEAN.shape), strict=True):
        assert psnr(new, white) > psnr(old, white) + by


@pytest.mark.parametrize("options", [{}, {"truncate": True}, {"compression": "zlib"}], ids=str)
def test_imagej_hyperstack(run, tmp_path, options) -> None:
    came = stack((2, 3, 2), 4095, (12, 40))
    said = {"axes": "TZCYX", "spacing": 0.5, "unit": "um", "finterval": 2.0, "fps": 0.5, "min": 0.0, "max": 4095.0}
    said |= {"Info": "taken by hand", "Labels": [f"plane {i}" for i in range(12)], "Ranges": (0.0, 4095.0, 0.0, 300.0)}
    said |= {"LUTs": [np.arange(768, dtype=np.uint8).reshape(3, 256)] * 2, "mode": "composite"}
    tifffile.imwrite(tmp_path / "a.tif", came, imagej=True, metadata=said, resolution=(9.5, 9.5), **options)
    code, out, _ = run(*GAUSSIAN, tmp_path / "a.tif", "-o", tmp_path / "b.tif")
    assert code == 0
    assert "12 pictures (T 2, Z 3, C 2)" in out
    assert "white is 4095 (12 bits)" in out
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(tmp_path / "b.tif") as after:
        assert after.is_imagej
        assert after.series[0].axes == "TZCYX"
        each_better(came, after.asarray(), 4095, 2)
        assert json.dumps(after.imagej_metadata, default=str) == json.dumps(before.imagej_metadata, default=str)
        assert "Labels" in after.imagej_metadata
        for tag in ("XResolution", "YResolution", "ResolutionUnit"):
            assert after.pages[0].tags[tag].value == before.pages[0].tags[tag].value
        assert after.byteorder == before.byteorder
        assert int(after.pages[0].compression) == int(before.pages[0].compression)


def test_ome_tiff(run, tmp_path) -> None:
    came = stack((2, 3), 65535, (10, 25, 50))
    said = {"axes": "TCYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "TimeIncrement": 1.5}
    said |= {"Channel": {"Name": ["DAPI & co", "GFP", "Cy5"]}, "Description": "gepr\u00fcft"}
    tifffile.imwrite(tmp_path / "a.ome.tif", came, ome=True, metadata=said)
    code, out, _ = run(*GAUSSIAN, tmp_path / "a.ome.tif", "-o", tmp_path / "b.ome.tif", "--json")
    assert code == 0
    report = json.loads(out)
    assert report["axes"] == {"T": 2, "C": 3}
    assert [channel["name"] for channel in report["channels"]] == ["DAPI & co", "GFP", "Cy5"]
    sigmas = [channel["condition"]["sigma"] for channel in report["channels"]]
    assert sigmas == pytest.approx([10, 25, 50], rel=0.35)  # clipped noise looks weaker
    assert report["estimated"] == ["sigma"]
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as before, tifffile.TiffFile(tmp_path / "b.ome.tif") as after:
        assert after.ome_metadata == before.ome_metadata
        assert after.series[0].axes == "TCYX"
        each_better(came, after.asarray(), 65535, 1)


def test_with_nothing_said_the_noise_of_each_channel_decides(run, tmp_path) -> None:
    came = stack((2, 2), 255, (0, 30), "uint8")
    came[1, 1] = 77  # an empty plane says nothing of its channel
    tifffile.imwrite(tmp_path / "a.tif", came, imagej=True, metadata={"axes": "ZCYX"})
    code, out, _ = run("denoise", tmp_path / "a.tif", "-o", tmp_path / "b.tif", "--json")
    assert code == 0
    clean, noisy = json.loads(out)["channels"]
    assert clean["condition"]["sigma"] < noisy["condition"]["sigma"] / 3
    assert noisy["condition"]["sigma"] == pytest.approx(30, rel=0.35)
    assert "noise" in noisy
    after = tifffile.imread(tmp_path / "b.tif")
    assert psnr(after[0, 1], 255) > psnr(came[0, 1], 255) + 3
    code, out, _ = run("denoise", tmp_path / "a.tif", "-o", tmp_path / "c.tif")
    assert "channel 1: " in out
    assert "channel 2: " in out


def test_the_level_is_told_once_per_channel(run, tmp_path, monkeypatch) -> None:
    told = []
    from pixelrl.agent import Agent

    called = Agent.__call__

    def watched(self, image, *args, **kwargs):
        told.append(dict(kwargs["condition"]))
        return called(self, image, *args, **kwargs)

    monkeypatch.setattr(Agent, "__call__", watched)
    tifffile.imwrite(tmp_path / "a.tif", stack((2, 2), 255, (10, 30), "uint8"), imagej=True, metadata={"axes": "ZCYX"})
    assert run(*GAUSSIAN, tmp_path / "a.tif", "-o", tmp_path / "b.tif")[0] == 0
    assert len(told) == 4
    assert told[0] == told[2] != told[1] == told[3]
    told.clear()
    assert run(*GAUSSIAN, tmp_path / "a.tif", "-o", tmp_path / "c.tif", "--sigma", 20)[0] == 0
    assert told == [{"sigma": 20.0}] * 4


def test_photons_of_each_channel(run, tmp_path) -> None:
    rng = np.random.default_rng(0)
    came = np.stack([[rng.poisson(CLEAN * peak) for peak in (40, 900)] for _ in range(2)]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", came, imagej=True, metadata={"axes": "TCYX"})
    code, out, _ = run("denoise", tmp_path / "a.tif", "-o", tmp_path / "b.tif", "--noise", "poisson", "--json")
    assert code == 0
    few, many = json.loads(out)["channels"]
    assert few["condition"]["peak"] < 100  # photons are counted, so the peak is white, whichever that is
    assert many["condition"]["peak"] > 4 * few["condition"]["peak"]
    after = tifffile.imread(tmp_path / "b.tif")
    for c, peak in enumerate((40, 900)):
        each_better(came[:, c], after[:, c], peak, 3 if peak == 40 else 0)
    options = ("--gain", 1, "--read", 0, "--offset", 0)
    code, out, _ = run("denoise", tmp_path / "a.tif", "-o", tmp_path / "c.tif", "--json", *options)
    assert code == 0
    report = json.loads(out)
    assert report["estimated"] == []
    for channel in report["channels"]:
        assert channel["condition"] == pytest.approx({"gain": 1, "read": 0, "offset": 0}, abs=1e-6)
    each_better(came[:, 1], tifffile.imread(tmp_path / "c.tif")[:, 1], 900, 0)


@pytest.mark.parametrize(
    "options",
    [{}, {"truncate": True}, {"metadata": None}, {"metadata": {"axes": "TYX"}}, {"bigtiff": True}, {"byteorder": ">"}],
    ids=str,
)
def test_other_tiff_stacks(run, tmp_path, options) -> None:
    came = stack((3, 1), 900, (25,), "float32")[:, 0] - 300
    tifffile.imwrite(tmp_path / "a.tif", came, photometric="minisblack", **options)
    code, out, _ = run(*GAUSSIAN, tmp_path / "a.tif", "-o", tmp_path / "b.tif")
    assert code == 0
    assert "3 pictures" in out
    assert "black is" in out
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(tmp_path / "b.tif") as after:
        each_better(came + 300, after.asarray() + 300, 900, 3)
        assert after.series[0].axes == before.series[0].axes
        assert len(after.pages) == 3


@pytest.mark.parametrize("planar", [False, True])
def test_pages_in_colour(run, tmp_path, planar) -> None:
    noise = np.random.default_rng(0).normal(0, 25 / 255, (2, *COLOURS.shape))
    came = np.rint(np.clip(COLOURS + noise, 0, 1) * 255).astype(np.uint8)
    stored = np.moveaxis(came, -1, 1) if planar else came
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored,
        photometric="rgb",
        planarconfig="separate" if planar else "contig",
        metadata={"axes": "ZSYX" if planar else "ZYXS"},
    )
    code, out, _ = run(*GAUSSIAN, tmp_path / "a.tif", "-o", tmp_path / "b.tif", "--json", "--sigma", 25)
    assert code == 0
    assert json.loads(out)["policy"] == "denoise-color"
    with tifffile.TiffFile(tmp_path / "b.tif") as after:
        assert after.series[0].axes == ("ZSYX" if planar else "ZYXS")
        pages = after.asarray()
    for page, old in zip(np.moveaxis(pages, 1, -1) if planar else pages, came, strict=True):
        assert page.dtype == np.uint8
        assert psnr(page, 255, COLOURS) > psnr(old, 255, COLOURS) + 4


def test_pages_with_alpha_keep_it_and_what_nobody_sees_does_not_count(run, tmp_path) -> None:
    noise = np.random.default_rng(0).normal(0, 10 / 255, (2, *COLOURS.shape))
    came = np.rint(np.clip(COLOURS + noise, 0, 1) * 255).astype(np.uint8)
    alpha = np.full(came.shape[:3], 255, np.uint8)
    alpha[:, :, :30] = 0
    came[:, :, :30] = np.random.default_rng(1).integers(0, 256, came[:, :, :30].shape)
    both = np.concatenate([came, alpha[..., None]], -1)
    tifffile.imwrite(tmp_path / "a.tif", both, photometric="rgb", extrasamples=["unassalpha"])
    code, out, _ = run(*GAUSSIAN, tmp_path / "a.tif", "-o", tmp_path / "b.tif", "--json")
    assert code == 0
    assert json.loads(out)["sigma"] == pytest.approx(10, rel=0.4)
    after = tifffile.imread(tmp_path / "b.tif")
    assert np.array_equal(after[..., 3], alpha)
    for new, old in zip(after[:, :, 30:, :3], came[:, :, 30:], strict=True):
        assert psnr(new, 255, COLOURS[:, 30:]) > psnr(old, 255, COLOURS[:, 30:]) + 1


def test_channels_within_a_page_are_channels(run, tmp_path) -> None:
    came = stack((2,), 255, (15, 40), "uint8")
    tifffile.imwrite(
        tmp_path / "a.tif", came, photometric="minisblack", planarconfig="separate", metadata={"axes": "CYX"}
    )
    code, out, _ = run(*GAUSSIAN, tmp_path / "a.tif", "-o", tmp_path / "b.tif", "--json")
    assert code == 0
    assert len(json.loads(out)["channels"]) == 2
    with tifffile.TiffFile(tmp_path / "b.tif") as after:
        assert after.series[0].axes == "CYX"
        each_better(came, after.asarray(), 255, 2)


def test_pages_of_different_kinds(run, tmp_path) -> None:
    grey = stack((1,), 255, (25,), "uint8")[0]
    noise = np.random.default_rng(0).normal(0, 25 / 255, COLOURS.shape)
    colours = np.rint(np.clip(COLOURS + noise, 0, 1) * 255).astype(np.uint8)[:40]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(grey, metadata=None, extratags=[(285, 2, 6, b"first\0", True)])
        writer.write(colours, photometric="rgb", metadata=None)
    assert run(*GAUSSIAN, tmp_path / "a.tif", "-o", tmp_path / "b.tif")[0] == 0
    with tifffile.TiffFile(tmp_path / "b.tif") as after:
        assert psnr(after.pages[0].asarray(), 255) > psnr(grey, 255) + 3
        assert after.pages[0].tags["PageName"].value == "first"
        assert psnr(after.pages[1].asarray(), 255, COLOURS[:40]) > psnr(colours, 255, COLOURS[:40]) + 4


def test_pages_that_only_others_decode(run, tmp_path) -> None:
    came = stack((2, 1), 255, (25,), "uint8")[:, 0]
    pages = [PillowImage.fromarray(page) for page in came]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    assert run(*GAUSSIAN, tmp_path / "a.tif", "-o", tmp_path / "b.tif")[0] == 0
    with tifffile.TiffFile(tmp_path / "b.tif") as after:
        each_better(came, np.stack([page.asarray() for page in after.pages]), 255, 3)


def test_one_plane_keeps_what_its_file_says(run, tmp_path) -> None:
    came = stack((1,), 4095, (25,))[0]
    tifffile.imwrite(tmp_path / "i.tif", came, imagej=True, resolution=(4, 4), metadata={"unit": "um", "Info": "x"})
    tifffile.imwrite(tmp_path / "o.ome.tif", came, ome=True, metadata={"PhysicalSizeX": 0.5})
    for name, attribute in (("i.tif", "imagej_metadata"), ("o.ome.tif", "ome_metadata")):
        assert run(*GAUSSIAN, tmp_path / name, "-o", tmp_path / f"clean-{name}")[0] == 0
        with tifffile.TiffFile(tmp_path / name) as before, tifffile.TiffFile(tmp_path / f"clean-{name}") as after:
            assert getattr(after, attribute) == getattr(before, attribute)
            assert psnr(after.asarray(), 4095) > psnr(came, 4095) + 3
    code, out, _ = run(*GAUSSIAN, tmp_path / "i.tif", "-o", tmp_path / "i.png", "--trace", tmp_path / "i.npz")
    assert code == 0
    assert "ImageJ" in out


def test_another_depth_is_said_in_the_metadata(run, tmp_path) -> None:
    came = stack((2, 1), 4095, (25,))[:, 0]
    tifffile.imwrite(tmp_path / "a.ome.tif", came, ome=True, metadata={"axes": "ZYX", "SignificantBits": 12})
    assert run(*GAUSSIAN, tmp_path / "a.ome.tif", "-o", tmp_path / "b.ome.tif", "--bit-depth", 32)[0] == 0
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as after:
        assert 'Type="float"' in after.ome_metadata
        assert "SignificantBits" not in after.ome_metadata
        planes = after.series[0].asarray()
        assert planes.dtype == np.float32
        assert min(psnr(plane, 1) for plane in planes) > psnr(came[0], 4095) + 3


def test_progress_goes_over_the_planes(tmp_path) -> None:
    from pixelrl.cli.options import Settings
    from pixelrl.cli.places import Job
    from pixelrl.cli.stack import work_on_stack

    tifffile.imwrite(tmp_path / "a.tif", stack((4, 1), 255, (25,), "uint8")[:, 0], photometric="minisblack")
    shares: list[float] = []
    opened = open_stack(tmp_path / "a.tif")
    assert opened is not None
    with opened:
        job = Job(tmp_path / "a.tif", tmp_path / "b.tif")
        work_on_stack(job, opened, work(tmp_path), Settings(("denoise-gray",) * 2, {}), (), shares.append)
    assert shares == sorted(shares)
    assert {round(share, 2) for share in shares} >= {0.25, 0.5, 0.75, 1.0}


def work(folder: Path):
    from dataclasses import fields

    from pixelrl.cli.options import Work

    given = {field.name: None for field in fields(Work)} | {
        "device": "cpu",
        "ensemble": False,
        "overwrite": False,
        "precision": "auto",
    }
    return Work(**given | {"inputs": (), "output": folder})


def test_planes_are_read_one_by_one(tmp_path) -> None:
    came = stack((3, 1), 255, (25,), "uint8")[:, 0]
    for name, options in (("a", {}), ("b", {"truncate": True}), ("c", {"imagej": True, "truncate": True})):
        tifffile.imwrite(tmp_path / f"{name}.tif", came, photometric="minisblack", **options)
        for source in (tmp_path / f"{name}.tif", (tmp_path / f"{name}.tif").read_bytes()):
            opened = open_stack(source)
            assert isinstance(opened, TiffStack)
            with opened:
                assert [np.array_equal(opened.picture(i).pixels, came[i]) for i in (2, 0, 1)] == [True] * 3
    # What is no stack, and what is damaged, is not for this module to say.
    tifffile.imwrite(tmp_path / "one.tif", came[0])
    assert open_stack(tmp_path / "one.tif") is None
    (tmp_path / "no.tif").write_bytes(b"II*\0 no more")
    assert open_stack(tmp_path / "no.tif") is None


def test_what_a_stack_cannot_be(run, tmp_path) -> None:
    came = stack((3, 1), 255, (25,), "uint8")[:, 0]
    tifffile.imwrite(tmp_path / "a.tif", came, photometric="minisblack", metadata={"axes": "ZYX"})
    for arguments, words in (
        (("denoise", "-o", tmp_path / "b.png"), "3 (Z 3); give a name that ends in .tif"),
        (("denoise", "-o", tmp_path / "b.tif", "--trace", tmp_path / "t.npz"), "--trace is for one picture"),
        (("saliency", "-o", tmp_path / "b.tif"), "each has an object of its own"),
    ):
        code, _, err = run(arguments[0], tmp_path / "a.tif", *arguments[1:])
        assert code == 2
        assert words in err
        assert not (tmp_path / "b.tif").exists()


@pytest.mark.parametrize(
    "options",
    [{}, {"imagej": True}, {"bigtiff": True}, {"truncate": True}, {"imagej": True, "truncate": True}],
    ids=str,
)
def test_what_is_cut_off_is_refused(run, tmp_path, options) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack((3, 1), 255, (25,), "uint8")[:, 0], photometric="minisblack", **options)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "d.tif").write_bytes(whole[: -CLEAN.size // 2])
    code, _, err = run(*GAUSSIAN, tmp_path / "d.tif", "-o", tmp_path / "b.tif")
    assert code == 3
    assert "cut off" in err or "truncated" in err
    assert not (tmp_path / "b.tif").exists()


def test_further_pages_that_are_cut_off_are_named(run, tmp_path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", stack((3, 1), 255, (25,), "uint8")[:, 0], photometric="minisblack", metadata=None
    )
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "d.tif").write_bytes(whole[: -CLEAN.size])
    code, out, _ = run(*GAUSSIAN, tmp_path / "d.tif", "-o", tmp_path / "b.tif")
    assert code == 0
    assert "further pages of the file are damaged or cut off, and left out" in out
    code, _, err = run(*GAUSSIAN, tmp_path / "d.tif", "-o", tmp_path / "d.tif", "--overwrite")
    assert code == 3
    assert "further pictures, which would be lost" in err


def test_a_folder_with_a_stack_in_it(run, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    came = stack((2, 1), 255, (25,), "uint8")[:, 0]
    tifffile.imwrite(tmp_path / "in" / "a.tif", came)
    PillowImage.fromarray(came[0]).save(tmp_path / "in" / "b.png")
    code, _, err = run(*GAUSSIAN, tmp_path / "in", "-o", tmp_path / "out", "--format", "png")
    assert code == 3
    assert "a.tif" in err
    assert "give a name that ends in .tif" in err
    assert (tmp_path / "out" / "b.png").exists()
    assert run(*GAUSSIAN, tmp_path / "in", "-o", tmp_path / "out", "--overwrite")[0] == 0
    each_better(came, tifffile.imread(tmp_path / "out" / "a.tif"), 255, 3)


def test_other_commands_work_on_every_plane(run, tmp_path) -> None:
    came = np.rint(np.stack([COLOURS, COLOURS[::-1]]) * 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", came, photometric="rgb")
    assert run("enhance", tmp_path / "a.tif", "-o", tmp_path / "b.tif", "--style", "local-xpro")[0] == 0
    assert run("restore", tmp_path / "a.tif", "-o", tmp_path / "c.tif")[0] == 0
    for name in ("b.tif", "c.tif"):
        assert tifffile.imread(tmp_path / name).shape == came.shape
    changed = np.abs(tifffile.imread(tmp_path / "b.tif").astype(int) - came).mean((1, 2, 3))
    assert min(changed) > 1


# --- Animations -----------------------------------------------------------------------------------


def frames() -> list[np.ndarray]:
    noise = np.random.default_rng(0).normal(0, 25 / 255, (3, *COLOURS.shape))
    return [np.rint(np.clip(np.roll(COLOURS, 8 * i, 1) + noise[i], 0, 1) * 255).astype(np.uint8) for i in range(3)]


@pytest.mark.parametrize(("came", "target"), [("webp", "webp"), ("png", "png"), ("gif", "png"), ("gif", "webp")])
def test_every_frame_of_an_animation(run, tmp_path, came, target) -> None:
    images = [PillowImage.fromarray(frame) for frame in frames()]
    options = {"lossless": True} if came == "webp" else {}
    images[0].save(
        tmp_path / f"a.{came}", save_all=True, append_images=images[1:], duration=[40, 80, 120], loop=2, **options
    )
    code, out, _ = run(*GAUSSIAN, tmp_path / f"a.{came}", "-o", tmp_path / f"b.{target}", "--sigma", 25)
    assert code == 0
    assert "3 pictures (3 frames)" in out
    with PillowImage.open(tmp_path / f"b.{target}") as after:
        assert after.n_frames == 3
        assert after.info["loop"] == (3 if came == "gif" else 2)
        for i, frame in enumerate(frames()):
            after.seek(i)
            after.load()
            clean = np.roll(COLOURS, 8 * i, 1)
            assert after.info["duration"] == 40 * (i + 1)
            assert psnr(np.asarray(after.convert("RGB")), 255, clean) > psnr(frame, 255, clean) + 3


def test_stacks_and_animations_through_pipes(tmp_path) -> None:
    images = [PillowImage.fromarray(frame) for frame in frames()]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], lossless=True)
    tifffile.imwrite(tmp_path / "a.tif", stack((2, 1), 255, (25,), "uint8")[:, 0], photometric="minisblack")
    for name in ("a.webp", "a.tif"):
        command = [sys.executable, "-m", "pixelrl", "denoise", "-", "-o", "-", "--sigma", "25"]
        done = subprocess.run(command, input=(tmp_path / name).read_bytes(), capture_output=True, check=False)
        assert done.returncode == 0
        assert b"frames)" in done.stderr or b"(page 2)" in done.stderr
        with PillowImage.open(io.BytesIO(done.stdout)) as after:
            assert after.format == {"a.webp": "WEBP", "a.tif": "TIFF"}[name]
            assert after.n_frames == {"a.webp": 3, "a.tif": 2}[name]


def test_an_animation_is_never_cut_to_its_first_frame(run, tmp_path) -> None:
    images = [PillowImage.fromarray(frame) for frame in frames()]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
    for name, words in (("b.jpg", "give a name that ends in .png or .webp"), ("b.gif", "the suffix '.gif'")):
        code, _, err = run(*GAUSSIAN, tmp_path / "a.gif", "-o", tmp_path / name)
        assert code == 2
        assert words in err
    (tmp_path / "in").mkdir()
    (tmp_path / "a.gif").rename(tmp_path / "in" / "a.gif")
    assert run(*GAUSSIAN, tmp_path / "in", "-o", tmp_path / "out")[0] == 0
    with PillowImage.open(tmp_path / "out" / "a.png") as after:
        assert after.n_frames == 3
