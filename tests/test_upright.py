"""Photos on their side and in other colour spaces: files keep what they say, and displays show what it means."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from PIL import ImageCms, ImageOps

from browser import browser_page
from pixelrl.actions import PAPER_NINE
from pixelrl.edits import Edit
from pixelrl.errors import UsageError
from pixelrl.pictures.display import as_stored, in_srgb, orientation_exif, orientation_of, turned_box, upright
from pixelrl.pictures.files import Picture, read_picture, write_picture
from pixelrl.report.animation import frames
from pixelrl.report.page import report_html
from pixelrl.report.strip import strip
from pixelrl.trace import Trace, load_trace, save_trace
from profiles import dark_grey, display_p3
from test_explain import Page

HEIGHT, WIDTH, STEPS = 10, 14, 2
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels(channels: int = 3, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    plane = (40 + 12 * rows + 5 * columns) % 230
    return (plane if channels == 1 else np.stack([plane, 250 - plane, plane // 2], -1)).astype(np.uint8)


def make_trace(orientation: int = 1, profile: bytes | None = None, channels: int = 3, **size: int) -> Trace:
    image = pixels(channels, **size)
    actions = np.random.default_rng(0).integers(0, 9, (STEPS, 1, *image.shape[:2]), dtype=np.uint8)
    return Trace(image, actions, PAPER_NINE, "tiny", {"sigma": 9.0}, orientation=orientation, icc_profile=profile)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_planes_are_turned_as_pillow_turns_pictures(orientation: int) -> None:
    image = pixels(1)
    file = io.BytesIO()
    exif = PillowImage.Exif()
    exif[274] = orientation
    PillowImage.fromarray(image).save(file, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(PillowImage.open(file)))
    assert np.array_equal(upright(image, orientation), expected)
    assert torch.equal(upright(torch.from_numpy(image), orientation), torch.from_numpy(expected.copy()))
    assert np.array_equal(as_stored(expected, orientation), image)
    box = (3, 1, 9, 4)
    x0, y0, x1, y1 = turned = turned_box(box, orientation, image.shape)
    assert np.array_equal(upright(image, orientation)[y0:y1, x0:x1], upright(image[1:4, 3:9], orientation))
    assert turned_box(turned, orientation, expected.shape, back=True) == box
    assert orientation_of(orientation_exif(orientation)) == orientation


def test_orientations_that_say_nothing() -> None:
    for exif in (None, b"", b"no exif at all", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\xff\xff\xff\xff"):
        assert orientation_of(exif) == 1
    for order, head in (("<", b"II*\0"), (">", b"MM\0*")):
        for kind, value, expected in (("H", 6, 6), ("I", 8, 8), ("H", 9, 1), ("H", 0, 1)):
            entry = struct.pack(f"{order}HHI{kind}", 274, 3 if kind == "H" else 4, 1, value).ljust(12, b"\0")
            block = head + struct.pack(f"{order}IH", 8, 2) + bytes(12) + entry
            assert orientation_of(block) == expected
        assert orientation_of(block[:-6]) == 1


def test_only_profiles_of_other_colours_change_pictures() -> None:
    photo, grey = PillowImage.fromarray(pixels()), PillowImage.fromarray(pixels(1))
    for picture, profile in ((photo, None), (photo, SRGB), (photo, b"damaged"), (photo, dark_grey()), (grey, SRGB)):
        assert in_srgb(picture, profile) is picture
    # Display P3's (200, 100, 50) is a redder orange than sRGB's: computed from the two sets of primaries.
    red, green, blue = in_srgb(PillowImage.new("RGB", (1, 1), (200, 100, 50)), display_p3()).getpixel((0, 0))
    assert (red, green) == (pytest.approx(216, abs=2), pytest.approx(93, abs=2))
    assert blue < 35
    # 128 at a gamma of 3 is as bright as 100 in sRGB.
    assert in_srgb(PillowImage.new("L", (1, 1), 128), dark_grey()).getpixel((0, 0)) == (100, 100, 100)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_replay_and_edit_write_what_denoise_writes(run, tmp_path: Path, monkeypatch, suffix: str) -> None:
    monkeypatch.chdir(tmp_path)
    alpha = None if suffix == "jpg" else pixels(1)
    write_picture(Path(f"in.{suffix}"), Picture(pixels(), alpha, display_p3(), orientation_exif(6)))
    arguments = ("--sigma", 20, "--policy", "denoise-color", "--trace", "t.npz")
    assert run("denoise", f"in.{suffix}", "-o", f"out.{suffix}", *arguments)[0] == 0
    assert run("replay", "t.npz", "-o", f"again.{suffix}")[0] == 0
    assert Path(f"again.{suffix}").read_bytes() == Path(f"out.{suffix}").read_bytes()
    Path("e.json").write_text(json.dumps([{"region": {"box": [0, 0, 5, 2]}, "do": {"force": "do nothing"}}]))
    assert run("edit", "t.npz", "e.json", "-o", "edited.tif", "--trace", "e.npz")[0] == 0
    edited = read_picture("edited.tif")
    assert (edited.icc_profile, orientation_of(edited.exif)) == (display_p3(), 6)
    assert alpha is None or np.array_equal(edited.alpha, alpha)
    assert np.array_equal(edited.pixels[:2, :5], read_picture(f"in.{suffix}").pixels[:2, :5])
    assert (load_trace("e.npz").orientation, load_trace("e.npz").icc_profile) == (6, display_p3())


def test_traces_of_before_load_and_are_read_by_what_was_before(tmp_path: Path) -> None:
    trace = replace(make_trace(8, display_p3()), alpha=pixels(1))
    save_trace(tmp_path / "new.npz", trace)
    again = load_trace(tmp_path / "new.npz")
    assert (again.orientation, again.icc_profile) == (8, display_p3())
    assert np.array_equal(again.alpha, trace.alpha)
    with np.load(tmp_path / "new.npz") as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))
    assert header["format"] == 1  # what an old reader asks
    del header["orientation"]
    old = {name: arrays[name] for name in ("pixels", "actions")}
    np.savez(tmp_path / "old.npz", header=np.array(json.dumps(header)), **old)
    before = load_trace(tmp_path / "old.npz")
    assert (before.orientation, before.icc_profile, before.alpha) == (1, None, None)
    assert np.array_equal(before.replay(), trace.replay())
    for wrong in ({"orientation": 9}, {"orientation": True}):
        np.savez(tmp_path / "bad.npz", **{**arrays, "header": np.array(json.dumps(header | wrong))})
        with pytest.raises(UsageError, match="damaged"):
            load_trace(tmp_path / "bad.npz")
    for wrong in ({"alpha": np.zeros((2, 2), np.uint8)}, {"icc_profile": np.zeros((2, 2))}):
        np.savez(tmp_path / "bad.npz", **{**arrays, **wrong})
        with pytest.raises(UsageError, match="damaged"):
            load_trace(tmp_path / "bad.npz")


def shift_only(trace: Trace) -> Trace:
    """The trace without filters, whose result is the same bits whichever way the picture lies."""
    level = PAPER_NINE.index("grey level +1"), PAPER_NINE.index("grey level -1")
    return replace(trace, actions=np.where(trace.actions > 4, *map(np.uint8, level)))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_strips_and_animations_stand_upright(orientation: int) -> None:
    trace = shift_only(make_trace(orientation))
    standing, clean = trace.upright(), pixels()
    assert standing.orientation == 1
    target = upright(clean, orientation, (0, 1))
    assert strip(trace, clean).tobytes() == strip(standing, target).tobytes()
    assert strip(trace).tobytes() != strip(replace(trace, orientation=1)).tobytes()
    drawn = frames(trace, clean), frames(standing, target)
    assert [frame.tobytes() for frame in drawn[0]] == [frame.tobytes() for frame in drawn[1]]


@pytest.mark.parametrize(("channels", "profile"), [(3, display_p3()), (1, dark_grey())])
def test_strips_animations_and_pages_show_colours_in_srgb(channels: int, profile: bytes) -> None:
    trace = make_trace(1, profile, channels)
    expected = in_srgb(PillowImage.fromarray(trace.pixels), profile)
    side = HEIGHT * 37  # the whole factor by which so small a picture is enlarged in an animation
    first = np.asarray(frames(trace)[0])[54 : 54 + side, 20 : 20 + WIDTH * 37]
    assert np.array_equal(first[18::37, 18::37], np.asarray(expected))
    plain = replace(trace, icc_profile=None)
    assert strip(trace).tobytes() != strip(plain).tobytes()
    page, bare = Page(report_html(trace)), Page(report_html(plain))
    shown = page.plane(page.data["views"][0]["shown"])
    assert shown.shape == (STEPS + 1, 3, HEIGHT, WIDTH)
    assert np.array_equal(np.moveaxis(shown[0], 0, -1), np.asarray(expected))
    assert "shown" not in bare.data["views"][0]
    values = [each.plane(each.data["views"][0]["values"]) for each in (page, bare)]
    assert np.array_equal(*values)  # the numbers are those of the file
    for entry in page.data["without"]:
        edited = trace.trajectory().edited([Edit(actions=(PAPER_NINE[entry["action"]],), force="do nothing")])
        result = replace(trace, actions=edited.actions[:, 0].numpy()).replay()
        srgb = np.asarray(in_srgb(PillowImage.fromarray(result), profile))
        assert np.array_equal(np.moveaxis(page.plane(entry["shown"])[0], 0, -1), srgb)


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_pages_stand_upright_and_count_stored_pixels(orientation: int) -> None:
    trace = shift_only(make_trace(orientation))
    clean, region = pixels()[::-1].copy(), (2, 1, 9, 5)
    page = Page(report_html(trace, clean, region=region))
    standing = trace.upright()
    box = turned_box(region, orientation, (HEIGHT, WIDTH))
    other = Page(report_html(standing, upright(clean, orientation, (0, 1)), region=box))
    assert page.data["views"][0]["box"] == list(box)
    same = {"orientation", "turns"}
    assert {k: v for k, v in page.data.items() if k not in same} == {
        k: v for k, v in other.data.items() if k not in same
    }
    for name in page.scripts:
        if name.startswith("plane-"):
            assert page.scripts[name] == other.scripts[name]
    with pytest.raises(UsageError, match=f"region 0,0,{WIDTH + 1},2 does not lie inside the picture of {WIDTH}x"):
        report_html(trace, region=(0, 0, WIDTH + 1, 2))


def test_clean_pictures_are_turned_to_the_stored_pixels(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_trace("t.npz", make_trace(6))
    write_picture(Path("tagged.png"), Picture(pixels(), exif=orientation_exif(6)))
    write_picture(Path("baked.png"), Picture(np.ascontiguousarray(upright(pixels(), 6, (0, 1)))))
    write_picture(Path("wrong.png"), Picture(pixels()))
    for name in ("tagged", "baked"):
        assert run("show", "t.npz", "-o", f"{name}-strip.png", "--reference", f"{name}.png")[0] == 0
    assert Path("tagged-strip.png").read_bytes() == Path("baked-strip.png").read_bytes()
    code, _, said = run("explain", "t.npz", "-o", "r.html", "--reference", "wrong.png")
    assert code == 2
    assert "wrong.png is of shape (10, 14, 3)" in said


def test_the_page_in_a_browser_says_where_pixels_are_stored(tmp_path: Path) -> None:
    trace = make_trace(6, display_p3())
    path = tmp_path / "report.html"
    path.write_text(report_html(trace), encoding="utf-8")
    with browser_page() as page:
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        size = page.evaluate("[document.getElementById('picture').width, document.getElementById('picture').height]")
        assert size == [HEIGHT, WIDTH]
        page.locator("#picture").scroll_into_view_if_needed()
        box = page.locator("#picture").bounding_box()
        # The top right corner of the photo is the first stored pixel; two below it is the third of the first row.
        x, y = box["x"] + box["width"] * (HEIGHT - 0.5) / HEIGHT, box["y"] + box["height"] * 2.5 / WIDTH
        page.mouse.move(x, y)
        assert (page.input_value("#at-x"), page.input_value("#at-y")) == ("2", "0")
        assert f"{trace.pixels[0, 2, 0]:.1f}" in page.inner_text('#story tr[data-step="0"]')
        page.fill("#at-x", "5")
        assert (page.input_value("#at-x"), page.input_value("#at-y")) == ("5", "0")
        assert f"{trace.pixels[0, 5, 0]:.1f}" in page.inner_text('#story tr[data-step="0"]')
        page.check('input[name="step"][value="0"]', force=True)
        shown = np.array(page.evaluate("[...document.getElementById('picture').shown.data]")).reshape(WIDTH, HEIGHT, 4)
        srgb = in_srgb(PillowImage.fromarray(np.ascontiguousarray(upright(trace.pixels, 6, (0, 1)))), display_p3())
        assert np.array_equal(shown[..., :3], np.asarray(srgb))
        notes = page.inner_text("#notes")
        assert "upright" in notes
        assert "sRGB" in notes
