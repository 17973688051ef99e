"""``restore``, ``enhance``, ``saliency`` and what ``evaluate`` does for them, as a user meets them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pixelrl.actions import PAPER_THIRTEEN
from pixelrl.checkpoint import PolicyCard, save_policy
from pixelrl.cli.edit_pictures import saliency
from pixelrl.pictures.display import as_stored, orientation_exif, upright
from pixelrl.pictures.files import Picture, format_of, read_picture, write_picture
from pixelrl.policy_files import command_for, read_header, shipped_policies
from pixelrl.tasks.conditioning import Strength
from pixelrl.tasks.saliency import ACTIONS
from pixelrl.tasks.text_masks import text_mask
from pixelrl.trace import load_trace

Run = Callable[..., tuple[int, str, str]]
SMALL = {"num_channels": 3, "width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    from skimage import data

    path = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()[:96, 160:280]).save(path)
    return path


@pytest.fixture
def stamped(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of clean pictures and one of the same under text, of which some are grey."""
    from skimage import data

    clean, text = tmp_path / "clean", tmp_path / "text"
    clean.mkdir()
    text.mkdir()
    for i, picture in enumerate((data.camera()[100:196, 100:220], data.astronaut()[:96, 160:280])):
        covered = picture.copy()
        covered[text_mask(96, 120, 3 + i, [], 14).numpy()] = 255 * i
        Image.fromarray(picture).save(clean / f"{i}.png")
        Image.fromarray(covered).save(text / f"{i}.png")
    return clean, text


def test_text_is_taken_away(run: Run, stamped: tuple[Path, Path], tmp_path: Path) -> None:
    clean, text = stamped
    code, out, err = run("restore", text, "-o", tmp_path / "out")
    assert (code, err) == (0, "pixelrl: 2 pictures; 2 done\n")
    assert len(out.splitlines()) == 2
    for i in range(2):
        truth, before, after = (pixels(folder / f"{i}.png").astype(float) for folder in (clean, text, tmp_path / "out"))
        assert np.square(after - truth).mean() < 0.1 * np.square(before - truth).mean()


def test_what_was_found_is_said(run: Run, stamped: tuple[Path, Path], tmp_path: Path) -> None:
    _, text = stamped
    code, out, _ = run("restore", text / "0.png", "-o", tmp_path / "out.png")
    assert code == 0
    assert re.search(r", text found on [\d.]+ % of the picture, ", out)
    smooth = tmp_path / "smooth.png"
    Image.fromarray(np.add.outer(np.arange(48), 60 + np.arange(64)).astype(np.uint8)).save(smooth)
    code, out, _ = run("restore", smooth, "-o", tmp_path / "same.png")
    assert code == 0
    assert ", nothing found: 0 % of the picture changed, " in out
    code, out, _ = run("restore", smooth, "-o", tmp_path / "same.png", "--overwrite", "--json")
    assert json.loads(out)["text"] == {"found": False, "share": 0.0}


def test_what_is_seen_says_which_policy_takes_text_off_grey_pictures(run: Run, tmp_path: Path) -> None:
    from skimage import data

    photo = data.camera()[60:188, 60:220]
    hard, drawn = photo.copy(), Image.fromarray(photo)
    hard[text_mask(128, 160, 3, [], 14).numpy()] = 255
    draw = ImageDraw.Draw(drawn)
    for top in (20, 70):
        draw.text((10, top), "Photo 1024", fill=255, font=ImageFont.load_default(24))
    soft = np.asarray(drawn)
    for name, picture, policy in (
        ("hard", hard, "restore-gray"),
        ("soft", soft, "restore-color"),
        ("none", photo, None),
    ):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        code, out, _ = run("restore", tmp_path / f"{name}.png", "-o", tmp_path / f"{name}-out.png", "--json")
        assert code == 0
        result = pixels(tmp_path / f"{name}-out.png")
        if policy is None:
            assert np.array_equal(result, photo)
            continue
        assert json.loads(out)["policy"] == policy
        off, left = (np.square(each.astype(float) - photo).mean() for each in (picture, result))
        assert left < 0.1 * off
    stack = [Image.fromarray(soft), Image.fromarray(hard), Image.fromarray(soft)]
    stack[0].save(tmp_path / "three.tif", save_all=True, append_images=stack[1:])
    code, out, _ = run("restore", tmp_path / "three.tif", "-o", tmp_path / "three-out.tif", "--json")
    assert code == 0
    assert json.loads(out)["policy"] == "restore-color"  # what most of them need


def test_text_is_sought_where_it_is_said(run: Run, stamped: tuple[Path, Path], tmp_path: Path) -> None:
    _, text = stamped
    white = np.zeros((96, 120), np.uint8)
    white[20:60, 30:100] = 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    for name, where in (("a", ("--mask", tmp_path / "mask.png")), ("b", ("--region", "30,20,100,60"))):
        assert run("restore", text, "-o", tmp_path / name, *where)[0] == 0
    for i in range(2):
        before, one, other = (pixels(folder / f"{i}.png") for folder in (text, tmp_path / "a", tmp_path / "b"))
        assert np.array_equal(one, other)
        assert np.array_equal(one[white == 0], before[white == 0])
        assert (one[white > 0] != before[white > 0]).mean() > 0.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mask", "text/0.png", "--region", "0,0,8,8"), "--mask and --region exclude each other"),
        (("--region", "0,0,8"), "is not a region; give x0,y0,x1,y1"),
        (("--region", "0,0,121,8"), "--region 0,0,121,8 does not lie inside the picture of 120x96"),
        (("--region", "-1,0,8,8"), "--region -1,0,8,8 does not lie inside the picture of 120x96"),
        (("--region", "60,50,20,80"), "60,50,20,80 holds no pixel: x1 = 20 must be larger than x0 = 60"),
        (("--region", "20,80,60,80"), "20,80,60,80 holds no pixel: y1 = 80 must be larger than y0 = 80"),
        (("--region", "0,0,8,8", "--ensemble"), "--ensemble averages eight runs of whole pictures"),
        (("--mask", "none.png"), "--mask"),
    ],
)
def test_places_that_cannot_be(
    run: Run, stamped: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...], words: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, _, err = run("restore", "text/0.png", "-o", "out.png", *options)
    assert code in (2, 3)
    assert words in err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("orientation", [2, 6, 8])
def test_a_region_counts_the_picture_as_it_is_seen(
    run: Run, stamped: tuple[Path, Path], tmp_path: Path, orientation: int
) -> None:
    _, text = stamped
    stored = pixels(text / "1.png")
    exif = orientation_exif(orientation)
    write_picture(tmp_path / "turned.png", Picture(stored, exif=exif))
    seen = upright(stored, orientation, (0, 1))
    height, width = seen.shape[:2]
    left, top, right, bottom = width - 60, 10, width, 80
    where = np.zeros((height, width), bool)
    where[top:bottom, left:right] = True
    write_picture(tmp_path / "mask.png", Picture(where * np.uint8(255)))
    write_picture(tmp_path / "tagged.png", Picture(as_stored(where, orientation) * np.uint8(255), exif=exif))
    region = ("--region", f"{left},{top},{right},{bottom}")
    for name, options in (("a", region), ("b", ("--mask", tmp_path / "tagged.png"))):
        assert run("restore", tmp_path / "turned.png", "-o", tmp_path / f"{name}.png", *options)[0] == 0
    result = read_picture(tmp_path / "a.png").pixels
    assert np.array_equal(result, read_picture(tmp_path / "b.png").pixels)
    changed = upright((result != stored).any(-1), orientation)
    assert not changed[~where].any()
    assert changed[where].mean() > 0.1
    outside = ("--region", f"0,0,{width + 1},9")
    code, _, err = run("restore", tmp_path / "turned.png", "-o", tmp_path / "c.png", *outside)
    assert (code, f"does not lie inside the picture of {width}x{height}" in err) == (3, True)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_a_lossy_file_in_which_nothing_was_found_stays_the_same_file(run: Run, tmp_path: Path, kind: str) -> None:
    smooth = np.add.outer(np.arange(48), 60 + np.arange(64)).astype(np.uint8)
    photo = Image.fromarray(smooth).convert("RGB")
    source, suffix = tmp_path / f"smooth.{kind}", f".{kind}"
    photo.save(source, quality=60, exif=orientation_exif(6))
    with source.open("ab") as file:
        file.write(b"" if kind == "webp" else b"what else a camera appends")
    restore = ("restore", source, "--overwrite", "-o")
    for more in ((), ("--region", "0,0,20,20"), ("--workers", 1)):
        assert run(*restore, tmp_path / f"same{suffix}", *more)[0] == 0
        assert (tmp_path / f"same{suffix}").read_bytes() == source.read_bytes()
    # Whatever asks for another file gets one, of the same pixels where the format keeps them.
    assert run(*restore, tmp_path / f"fine{suffix}", "--quality", 90)[0] == 0
    assert (tmp_path / f"fine{suffix}").read_bytes() != source.read_bytes()
    assert run(*restore, tmp_path / "same.png")[0] == 0
    assert np.array_equal(read_picture(tmp_path / "same.png").pixels, read_picture(source).pixels)
    assert format_of((tmp_path / "same.png").read_bytes()) == "png"
    other = "webp" if kind == "jpeg" else "jpeg"
    assert run(*restore, tmp_path / f"other.{other}")[0] == 0
    assert format_of((tmp_path / f"other.{other}").read_bytes()) == other


def test_a_file_that_was_converted_is_written_anew(run: Run, tmp_path: Path) -> None:
    smooth = Image.fromarray(np.add.outer(np.arange(48), 60 + np.arange(64)).astype(np.uint8)).convert("RGB")
    smooth.convert("CMYK").save(tmp_path / "ink.jpg")
    smooth.save(tmp_path / "false.jpg", "PNG")
    for name in ("ink", "false"):
        assert run("restore", tmp_path / f"{name}.jpg", "-o", tmp_path / f"{name}-out.jpg")[0] == 0
        with Image.open(tmp_path / f"{name}-out.jpg") as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")


def test_specks_that_are_not_exactly_black_or_white_are_named(run: Run, tmp_path: Path) -> None:
    ramp, hits = np.tile(60 + 2 * np.arange(48), (48, 1)), np.random.default_rng(0).random((48, 48))
    noisy, exact = tmp_path / "noisy.png", tmp_path / "exact.png"
    for path, low, high in ((noisy, 10, 245), (exact, 0, 255)):
        specks = np.where(hits < 0.05, low, np.where(hits < 0.1, high, ramp)).astype(np.uint8)
        Image.fromarray(specks).save(path)
    for more in ((), ("--ensemble",)):
        code, out, _ = run("denoise", noisy, exact, "-o", tmp_path / f"out{len(more)}", "--noise", "saltpepper", *more)
        assert code == 0
        told, silent = out.splitlines()
        assert "hardly any salt & pepper noise seen: 0.0 %" in told
        assert "(about 10 and 245 of 255): make these exactly 0 and 255 first" in told
        assert "hardly any" not in silent


def test_degraded_pictures_are_measured_beside_clean_ones(run: Run, stamped: tuple[Path, Path], tmp_path: Path) -> None:
    clean, text = stamped
    code, out, _ = run("evaluate", "restore-gray", "--data", clean, "--degraded", text)
    assert code == 0
    mean = out.splitlines()[-1].split()
    assert mean[:3] == ["mean", "of", "2"]
    assert float(mean[4]) > float(mean[3]) + 8
    code, out, _ = run("evaluate", "restore-color", "--data", clean, "--letters", 16, "--limit", 1)
    assert code == 0
    (text / "1.png").unlink()
    code, _, err = run("evaluate", "restore-gray", "--data", clean, "--degraded", text)
    assert (code, err) == (2, f"pixelrl: 1.png has no partner of the same name in {text}\n")
    code, _, err = run("evaluate", "denoise-gray", "--data", clean, "--degraded", text)
    assert code == 2
    assert "must be told sigma" in err
    code, _, err = run("evaluate", "restore-gray", "--data", clean)
    assert code == 2
    assert "give one of --sigma, --peak, --density, --letters, --task and --degraded" in err


@pytest.fixture
def look(tmp_path: Path, randomise) -> Path:
    arguments = {**SMALL, "lab": True}
    card = PolicyCard("my-look", "lookahead", arguments, PAPER_THIRTEEN, 2, None, {}, "prophoto")
    network = card.build()
    randomise(network)
    save_policy(tmp_path / "look.safetensors", network, card)
    return tmp_path / "look.safetensors"


def test_a_look_of_ones_own(run: Run, look: Path, photo: Path, tmp_path: Path) -> None:
    code, out, err = run("enhance", photo, "-o", tmp_path / "o.png", "--style", look, "--trace", tmp_path / "t.npz")
    assert (code, err) == (0, "")
    assert "o.png" in out
    trace = load_trace(tmp_path / "t.npz")
    assert trace.space == "prophoto"
    assert np.array_equal(trace.replay(), pixels(tmp_path / "o.png"))
    assert not np.array_equal(pixels(photo), pixels(tmp_path / "o.png"))
    for command in (("replay",), ("show",), ("explain", "--policy", look)):
        ending = ".png" if command[0] != "explain" else ".html"
        result = tmp_path / f"{command[0]}{ending}"
        code, _, err = run(*command[:1], tmp_path / "t.npz", "-o", result, *command[1:])
        assert (code, err) == (0, "")
    assert np.array_equal(pixels(tmp_path / "replay.png"), pixels(tmp_path / "o.png"))


def test_unknown_looks_are_named(run: Run, photo: Path, tmp_path: Path) -> None:
    code, _, err = run("enhance", photo, "-o", tmp_path / "o.png", "--style", "sepia")
    assert code == 2
    assert "--style 'sepia' is neither a file nor a shipped look; shipped are " in err


@pytest.fixture
def editor(tmp_path: Path, randomise) -> Path:
    arguments = dict(SMALL)
    card = PolicyCard("my-editor", "steering", arguments, ACTIONS, 2, "strength", {})
    network = card.build()
    randomise(network)
    save_policy(tmp_path / "editor.safetensors", network, card)
    return tmp_path / "editor.safetensors"


def test_saliency_with_and_without_a_mask(run: Run, editor: Path, photo: Path, tmp_path: Path) -> None:
    mask = np.zeros((96, 120), np.uint8)
    mask[20:60, 30:90] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    saliency = ("saliency", photo, "--policy", editor, "-o")
    code, _, err = run(*saliency, tmp_path / "a.png", "--mask", tmp_path / "mask.png", "--trace", tmp_path / "t.npz")
    assert (code, err) == (0, "")
    trace = load_trace(tmp_path / "t.npz")
    assert trace.condition == {"strength": 0.5}
    assert np.array_equal(trace.mask, mask > 0)
    code, _, err = run("explain", tmp_path / "t.npz", "-o", tmp_path / "r.html", "--policy", editor)
    assert (code, err) == (0, "")
    code, _, err = run(*saliency, tmp_path / "b.png", "--attenuate", "--strength", 0.7, "--trace", tmp_path / "u.npz")
    assert (code, err) == (0, "")
    assert load_trace(tmp_path / "u.npz").condition == {"strength": -0.7}


@pytest.mark.parametrize(
    ("shape", "value", "words"),
    [
        ((96, 120), 0, "the mask is empty"),
        ((96, 120), 255, "the mask is the whole image"),
        ((50, 60), 255, "the mask is 60 x 50 pixels, the image 120 x 96"),
    ],
)
def test_bad_masks(
    run: Run, editor: Path, photo: Path, tmp_path: Path, shape: tuple[int, int], value: int, words: str
) -> None:
    Image.fromarray(np.full(shape, value, np.uint8)).save(tmp_path / "mask.png")
    code, _, err = run("saliency", photo, "-o", tmp_path / "o.png", "--policy", editor, "--mask", tmp_path / "mask.png")
    assert code == 3
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o.png").exists()


def test_a_mask_that_is_no_picture(run: Run, editor: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_text("no")
    code, _, err = run("saliency", photo, "-o", tmp_path / "o.png", "--policy", editor, "--mask", tmp_path / "mask.png")
    assert code in (2, 3)
    assert "mask.png" in err


def test_one_default_strength() -> None:
    (strength,) = (option for option in saliency.params if option.name == "strength")
    assert strength.default == Strength().quantities[0].default


def test_looks_and_saliency_have_their_own_metric(run: Run, stamped: tuple[Path, Path], tmp_path: Path) -> None:
    photos, scores = stamped[0], tmp_path / "scores.json"
    words = ("--task", "color-enhancement", "--data", photos, "--degraded", photos, "--limit", 1)
    code, out, _ = run("evaluate", "enhance-watercolor", *words, "--json", scores)
    assert code == 0
    assert out.splitlines()[0] == "input, result and estimate are measured as lab_distance"
    mean = json.loads(scores.read_text())["mean"]
    assert mean["lab_distance_input"] < 1e-4  # a picture that is its own look
    assert mean["lab_distance"] > 1
    code, out, _ = run("evaluate", "saliency-edit", "--task", "saliency-editing", "--level", -1, "--data", photos)
    assert code == 0
    before, after = map(float, out.splitlines()[-1].split()[3:5])
    assert before == 0  # what an episode earns before anything is done
    assert after > 0
    code, _, err = run("evaluate", "saliency-edit", "--task", "saliency-editing", "--data", photos)
    assert (code, err) == (
        2,
        "pixelrl: --task saliency-editing needs --level, or --degraded where it is measured on pairs\n",
    )
    code, _, err = run("evaluate", "enhance-watercolor", "--task", "color-enhancement", "--level", 1, "--data", photos)
    assert code == 2
    assert "pairs of pictures" in err
    code, _, err = run("evaluate", "denoise-gray", "--level", 1, "--data", photos)
    assert code == 2
    assert "--level is for --task" in err


def test_the_object_is_told_and_written(run: Run, editor: Path, photo: Path, tmp_path: Path) -> None:
    picture = np.full((96, 120, 3), 90, np.uint8)
    picture[60:80, 80:110] = (250, 40, 40)
    Image.fromarray(picture).save(photo)
    saliency = ("saliency", photo, "--policy", editor, "--overwrite", "-o", tmp_path / "o.png")
    for mode in ((), ("--ensemble",)):
        masks = tmp_path / f"new{len(mode)}" / "mask.png"
        code, out, err = run(*saliency, "--save-mask", masks, *mode)
        assert (code, err) == (0, "")
        found = re.search(r"object found at the bottom right: (\d+) x (\d+) pixels from \((\d+), (\d+)\), (\d+) %", out)
        assert found, out
        np.testing.assert_allclose([int(number) for number in found.groups()], [30, 20, 80, 60, 5], atol=4)
        mask = pixels(masks)
        assert mask[61:79, 81:109].mean() > 250
        assert mask[:50].max() == 0
    code, out, _ = run(*saliency, "--mask", masks, "--json")
    assert json.loads(out)["object"]["found"] is False
    assert json.loads(out)["object"]["place"] == "bottom right"
    code, _, err = run(*saliency, "--save-mask", masks.with_name("o.png"), "--mask", tmp_path / "none.png")
    assert (code, "--mask" in err) == (2, True)


def test_a_policy_that_edits_no_saliency_is_refused_by_its_name(run: Run, photo: Path, tmp_path: Path) -> None:
    code, _, err = run("saliency", photo, "-o", tmp_path / "o.png", "--policy", "readable-code")
    assert (code, "policy readable-code edits no saliency; give --policy one that does" in err) == (2, True)


RESTORE_COLOR = str(shipped_policies()["restore-color"])


@pytest.mark.parametrize(
    ("command", "policy", "right"),
    [
        ("restore", "denoise-gray", "removes noise, so it is for `pixelrl denoise --policy denoise-gray`"),
        ("restore", "saltpepper-color", "removes noise, so it is for `pixelrl denoise --policy saltpepper-color`"),
        (
            "restore",
            "enhance-local-xpro",
            "gives pictures a look, so it is for `pixelrl enhance --style enh",
        ),
        ("denoise", "restore-color", "removes text, so it is for `pixelrl restore --policy restore-color`"),
        ("denoise", "saliency-edit", "edits saliency, so it is for `pixelrl saliency --policy saliency-edit`"),
        ("saliency", "denoise-photo", "removes noise, so it is for `pixelrl denoise --policy denoise-photo`"),
        ("enhance", RESTORE_COLOR, f"removes text, so it is for `pixelrl restore --policy {RESTORE_COLOR}`"),
    ],
)
def test_a_policy_of_another_command_is_refused_and_the_command_named(
    run: Run, photo: Path, tmp_path: Path, command: str, policy: str, right: str
) -> None:
    option = "--style" if command == "enhance" else "--policy"
    code, _, err = run(command, photo, "-o", tmp_path / "o.png", option, policy)
    assert (code, err.count("\n")) == (2, 1)
    assert f"policy {policy} {right}" in err
    assert err.endswith(f", not for `pixelrl {command}`\n")
    assert not (tmp_path / "o.png").exists()


def test_which_command_a_policy_is_for() -> None:
    found = {name: command_for(read_header(file, "policy")) for name, file in shipped_policies().items()}
    stems = {"enhance": "enhance", "restore": "restore", "saliency": "saliency", "readable": None}
    assert found == {name: stems.get(name.partition("-")[0], "denoise") for name in found}
    mine = {"training": {"recipe": {"task": {"kind": "exposure:Underexposed"}}}, "condition": "sigma"}
    assert command_for(mine) is None  # may be anything, whatever it is told
    assert command_for({"training": {}, "condition": None}) is None
    assert command_for({"training": {}, "condition": "peak"}) == "denoise"
    assert command_for({"training": {"recipe": "mine"}, "condition": "exposure:STOPS"}) is None


def test_text_is_spoken_of_only_where_the_policy_removes_it(run: Run, look: Path, photo: Path, tmp_path: Path) -> None:
    for policy, speaks in (("restore-color", True), (RESTORE_COLOR, True), ("readable-code", False), (look, False)):
        options = ("-o", tmp_path / "o.png", "--overwrite", "--policy", policy)
        code, out, err = run("restore", photo, *options)
        assert (code, err) == (0, "")
        assert ("nothing found" in out or "text found" in out) == speaks
        assert ("text" in json.loads(run("restore", photo, *options, "--json")[1])) == speaks


def test_looks_say_that_they_are_for_colour_pictures(run: Run, photo: Path, tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    with Image.open(photo) as image:
        image.convert("L").save(grey)
        image.convert("L").convert("RGB").save(tmp_path / "rgb.png")
    code, _, err = run("enhance", grey, "-o", tmp_path / "o.png", "--style", "watercolor")
    said = "is for colour pictures, and this one is grey, or a channel by itself; convert it to RGB"
    assert (code, err) == (3, f"pixelrl: {grey}: policy enhance-watercolor {said}\n")
    assert run("enhance", tmp_path / "rgb.png", "-o", tmp_path / "o.png", "--style", "watercolor")[0] == 0


def test_looks_are_found_by_the_name_that_is_listed(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("enhance", photo, "-o", tmp_path / "a.png", "--style", "enhance-watercolor")[0] == 0
    assert run("enhance", photo, "-o", tmp_path / "b.png", "--style", "watercolor")[0] == 0
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


def test_the_box_of_an_object_counts_stored_pixels(run: Run, editor: Path, tmp_path: Path) -> None:
    """As edits do; only the words say where it is on a photo that is shown turned."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the left edge of what is stored is shown on top
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif)
    mask = np.zeros((40, 60), np.uint8)
    mask[25:38, 2:14] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = ("--policy", editor, "--mask", tmp_path / "mask.png", "--json")
    code, out, _ = run("saliency", tmp_path / "turned.jpg", "-o", tmp_path / "out.png", *options)
    assert code == 0
    told = json.loads(out)["object"]
    assert told["box"] == [2, 25, 14, 38]
    assert (told["seen"], told["place"]) == ([40 - 38, 2, 40 - 25, 14], "top left")
    code, out, _ = run("saliency", tmp_path / "turned.jpg", "-o", tmp_path / "more.png", *options[:-1])
    assert "object given at the top left: 13 x 12 pixels from (2, 2), " in out
