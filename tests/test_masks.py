"""Masks: which pixels a picture means, and how they lie on the picture that they belong to."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixelrl
from pixelrl.edits import load_edits
from pixelrl.errors import InputError
from pixelrl.pictures.display import as_stored, orientation_exif, upright
from pixelrl.pictures.files import Picture, decode, read_picture, write_picture
from pixelrl.pictures.masks import MaskFile, inside_of, read_mask
from pixelrl.trace import load_trace

INSIDE = np.zeros((9, 13), bool)
INSIDE[2:6, 3:11] = True
INSIDE[2, 3] = False  # no symmetry


def inside(image: Image.Image, kind: str = "PNG", **options: object) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return inside_of(decode(file.getvalue(), "mask"))


def test_white_on_black() -> None:
    for white, dtype in ((255, "uint8"), (65535, "uint16"), (1, "float32")):
        grey = np.where(INSIDE, white, 0).astype(dtype)
        assert np.array_equal(inside_of(Picture(grey)), INSIDE)
        assert np.array_equal(inside_of(Picture(np.dstack([grey] * 3))), INSIDE)
    soft = np.where(INSIDE, 140, 120).astype(np.uint8)
    assert np.array_equal(inside_of(Picture(soft)), INSIDE)
    assert np.array_equal(inside(Image.fromarray(INSIDE)), INSIDE)
    large = INSIDE.repeat(8, 0).repeat(8, 1)
    assert np.array_equal(inside(Image.fromarray(large * np.uint8(255)), "JPEG", quality=70), large)


def test_alpha_is_the_object_where_a_background_was_removed() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    cut = Image.fromarray(np.dstack([photo * INSIDE[..., None], INSIDE * np.uint8(250)]))
    assert np.array_equal(inside(cut), INSIDE)
    assert np.array_equal(inside(cut, "WEBP", lossless=True, exact=True), INSIDE)
    opaque = Image.fromarray(np.dstack([INSIDE * np.uint8(255)] * 3 + [np.full((9, 13), 255, np.uint8)]))
    assert np.array_equal(inside(opaque), INSIDE)  # alpha that is everywhere the same says nothing


def test_labels() -> None:
    for number in (1, 2, 100):
        labels = INSIDE * np.uint8(number)
        assert np.array_equal(inside(Image.fromarray(labels)), INSIDE)
        assert np.array_equal(inside_of(Picture(labels.astype(np.uint16))), INSIDE)
    two = INSIDE * np.uint8(1)
    two[4, 4] = 2
    assert np.array_equal(inside(Image.fromarray(two)), INSIDE)
    palette = Image.fromarray(two).convert("P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])  # the colours of a set of labels in use
    assert np.array_equal(inside(palette), INSIDE)
    assert np.array_equal(inside(palette, "GIF"), INSIDE)
    painted = np.zeros((9, 13, 3), np.uint8)
    painted[INSIDE] = (255, 0, 0)
    assert np.array_equal(inside(Image.fromarray(painted)), INSIDE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_lie_on_photos_that_lie_on_their_side(orientation: int) -> None:
    photo = Picture(np.zeros((9, 13, 3), np.uint8), exif=orientation_exif(orientation))
    painted = upright(INSIDE, orientation)
    tagged = MaskFile("m.png", INSIDE, orientation)  # as it is stored, with the tag of the photo
    assert np.array_equal(tagged.over(photo)[0], INSIDE)
    assert tagged.over(photo)[1] == ()
    assert np.array_equal(MaskFile("m.png", INSIDE, 1).over(photo)[0], INSIDE)
    if orientation > 4:
        assert np.array_equal(MaskFile("m.png", painted, 1).over(photo)[0], INSIDE)
        assert MaskFile("m.png", painted, 1).over(photo)[1] == ()
        other = as_stored(painted, 8)  # stored in another way than the photo, and it says so
        assert np.array_equal(MaskFile("m.png", other, 8).over(photo)[0], INSIDE)
    elif orientation > 1:  # it fits either way
        note = MaskFile("m.png", INSIDE, 1).over(photo)[1]
        assert "m.png lies on the pixels as they are stored" in note[0]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (INSIDE[:, :5], "m.png: the mask is 5 x 9 pixels, the image 13 x 9; they must be of one size"),
        (INSIDE.T, "m.png: the mask is 9 x 13 pixels, the image 13 x 9"),
        (INSIDE & False, "m.png: the mask is empty"),
        (INSIDE | True, "m.png: the mask is the whole image"),
    ],
)
def test_masks_that_do_not_fit_are_refused_by_name(mask: np.ndarray, words: str) -> None:
    with pytest.raises(InputError) as caught:
        MaskFile("m.png", mask, 1).over(Picture(np.zeros((9, 13, 3), np.uint8)))
    assert words in str(caught.value)


def test_files(tmp_path: Path) -> None:
    write_picture(tmp_path / "m.png", Picture(INSIDE * np.uint8(255), exif=orientation_exif(6)))
    mask = read_mask(tmp_path / "m.png")
    assert (mask.name, mask.orientation) == (str(tmp_path / "m.png"), 6)
    assert np.array_equal(mask.inside, INSIDE)
    (tmp_path / "t.png").write_text("no picture")
    with pytest.raises(InputError, match=r"t\.png: its first bytes"):
        read_mask(tmp_path / "t.png")


def test_masks_of_edits_follow_the_same_rules(tmp_path: Path) -> None:
    colours = np.full((9, 13, 3), 90, np.uint8)
    for name, image in (
        ("alpha.png", Image.fromarray(np.dstack([colours, INSIDE * np.uint8(255)]))),
        ("labels.png", Image.fromarray(INSIDE * np.uint8(1))),
        ("deep.png", Image.fromarray(np.where(INSIDE, 65535, 20_000).astype(np.uint16))),
    ):
        image.save(tmp_path / name)
        (tmp_path / "e.json").write_text(json.dumps([{"region": {"mask": name}, "do": "stop"}]))
        (edit,) = load_edits(tmp_path / "e.json")
        assert np.array_equal(edit.region(9, 13).numpy(), INSIDE)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of 70 x 50 stored pixels, on its side, with a bright spot."""
    pixels = np.full((50, 70, 3), 90, np.uint8) + np.random.default_rng(0).integers(0, 9, (50, 70, 3), dtype=np.uint8)
    pixels[10:30, 20:50] = (200, 60, 40)
    write_picture(tmp_path / "photo.png", Picture(pixels, exif=orientation_exif(6)))
    return tmp_path / "photo.png"


def test_a_mask_painted_on_the_upright_photo(run, photo: Path, tmp_path: Path) -> None:
    inside = np.zeros((50, 70), bool)
    inside[10:30, 20:50] = True
    painted = upright(inside, 6)
    write_picture(tmp_path / "painted.png", Picture(painted * np.uint8(255)))
    write_picture(tmp_path / "stored.png", Picture(inside * np.uint8(1)))
    Image.fromarray(np.dstack([np.full((70, 50, 3), 7, np.uint8), painted * np.uint8(255)])).save(tmp_path / "cut.png")
    results = []
    for name in ("painted", "stored", "cut"):
        code, _, said = run(
            "saliency", photo, "-o", tmp_path / f"{name}-out.png", "--mask", tmp_path / f"{name}.png",
            "--trace", tmp_path / f"{name}.npz",
        )  # fmt: skip
        assert code == 0, said
        results.append((tmp_path / f"{name}-out.png").read_bytes())
        assert np.array_equal(load_trace(tmp_path / f"{name}.npz").mask, inside)
    assert len(set(results)) == 1


def test_errors_about_masks_name_the_file(run, photo: Path, tmp_path: Path) -> None:
    for name, mask, words in (
        ("empty.png", np.zeros((50, 70), np.uint8), "the mask is empty"),
        ("small.png", np.eye(9, dtype=np.uint8), "the mask is 9 x 9 pixels, the image 70 x 50"),
    ):
        write_picture(tmp_path / name, Picture(mask))
        code, _, said = run("saliency", photo, "-o", tmp_path / "out.png", "--mask", tmp_path / name)
        assert code == 3
        assert f"{tmp_path / name}: {words}" in said
    # Such a photo fits either way, and the mask says nothing.
    write_picture(photo, Picture(read_picture(photo).pixels, exif=orientation_exif(3)), overwrite=True)
    corner = np.zeros((50, 70), np.uint8)
    corner[:20, :20] = 255
    write_picture(tmp_path / "corner.png", Picture(corner))
    code, out, _ = run("saliency", photo, "-o", tmp_path / "out.png", "--mask", tmp_path / "corner.png")
    assert code == 0
    assert "corner.png lies on the pixels as they are stored" in out


def test_masks_of_edits_painted_on_the_upright_photo(run, photo: Path, tmp_path: Path) -> None:
    inside = np.zeros((50, 70), bool)
    inside[10:30, 20:50] = True
    write_picture(tmp_path / "painted.png", Picture(upright(inside, 6) * np.uint8(255)))
    (tmp_path / "e.json").write_text(json.dumps([{"region": {"mask": "painted.png"}, "do": {"force": "do nothing"}}]))
    live, trace, replayed = tmp_path / "live.png", tmp_path / "t.npz", tmp_path / "replayed.png"
    level = ("--sigma", 20)
    assert run("denoise", photo, "-o", live, "--edits", tmp_path / "e.json", *level)[0] == 0
    assert run("denoise", photo, "-o", tmp_path / "plain.png", "--trace", trace, *level)[0] == 0
    assert run("edit", trace, tmp_path / "e.json", "-o", replayed)[0] == 0
    before, plain = read_picture(photo).pixels, read_picture(tmp_path / "plain.png").pixels
    for path in (live, replayed):
        assert np.array_equal(read_picture(path).pixels[inside], before[inside])
    assert not np.array_equal(plain[inside], before[inside])
    with Image.open(photo) as image:
        again = pixelrl.load("denoise-color", "cpu")(image, sigma=20, edits=tmp_path / "e.json").image
    assert np.array_equal(np.asarray(again), read_picture(live).pixels)
