"""``pixelrl compare``: the scores it states, the details it finds, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from conftest import Run
from pixelrl.pictures.files import Picture, write_picture
from pixelrl.report.compare import Compared, sheet, where_they_differ, words
from pixelrl.report.sheet import FRAMES, GAP, LINE, MARGIN, PANEL


def image(h: int, w: int, c: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand((1, c, h, w), generator=torch.Generator().manual_seed(seed)) * 0.5 + 0.2


def count(drawn: PillowImage.Image, color: str) -> int:
    return int((np.asarray(drawn) == np.array(tuple(bytes.fromhex(color[1:])))).all(-1).sum())


def test_windows_lie_where_pictures_differ_and_not_over_each_other() -> None:
    one = image(60, 80)
    other = one.clone()
    other[..., 40:48, 60:68] += 0.3
    other[..., 10:14, 5:9] += 0.2
    boxes = where_they_differ([one, other], 12, 2)
    for (left, top, right, bottom), (x, y) in zip(boxes, ((64, 44), (7, 12)), strict=True):
        assert (right - left, bottom - top) == (12, 12)
        assert left <= x < right
        assert top <= y < bottom
    assert where_they_differ([one, one], 12, 2) == []
    assert where_they_differ([one, other], 500, 3) == [(0, 0, 80, 60)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        first, second = (where_they_differ([image(40, 40), image(40, 40, seed=1)], 11, 3)[i] for i in (a, b))
        assert first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]


def test_a_noisy_picture_does_not_decide_where() -> None:
    clean = image(64, 64) * 0
    blurred = clean.clone()
    blurred[..., 30:38, 30:38] += 0.02  # a fiftieth, where the noise is a tenth everywhere
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2)).abs()
    ((left, top, right, bottom),) = where_they_differ([clean, blurred, noisy], 10, 1)
    assert left <= 33 < right
    assert top <= 33 < bottom


@pytest.mark.parametrize(("h", "w", "pictures", "channels"), [(20, 30, 2, 1), (500, 700, 3, 3), (90, 400, 8, 1)])
def test_the_sheet_shows_all_at_one_scale(h: int, w: int, pictures: int, channels: int) -> None:
    shown = [Compared(f"picture {i}", image(h, w, channels, i)) for i in range(pictures)]
    target = Compared("target", image(h, w, channels, 99))
    drawn = sheet(shown, target, None)
    assert drawn.width <= 2400
    small = max(h, w) < 50
    assert bool(count(drawn, FRAMES[0])) != small  # a small picture is enlarged itself
    if small:
        grey = (shown[1].image[0, 0] * 255).round().to(torch.uint8).numpy()
        grow = PANEL // w
        squares = np.kron(grey, np.ones((grow, grow), np.uint8))
        x, y = MARGIN + PANEL + GAP + 1, MARGIN + LINE + 24
        np.testing.assert_array_equal(np.asarray(drawn.convert("L"))[y:, x:][: h * grow, : w * grow], squares)


def test_details_that_are_asked_for_are_shown() -> None:
    shown = [Compared("a", image(300, 300)), Compared("b", image(300, 300, seed=1))]
    plain, detailed = (sheet(shown, None, boxes) for boxes in ([], [(195, 95, 215, 115), (0, 0, 300, 20)]))
    assert detailed.height > plain.height + 400
    assert count(detailed, FRAMES[0])
    assert count(detailed, FRAMES[1])
    assert not count(plain, FRAMES[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    clean = np.kron(rng.integers(60, 200, (8, 9, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    near, far = (np.clip(clean + rng.normal(0, s, clean.shape), 0, 255).astype(np.uint8) for s in (4, 20))
    for name, pixels in (("clean", clean), ("near", near), ("far", far), ("grey", near[..., 0]), ("other", near[:9])):
        PillowImage.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


def test_the_scores_are_those_of_scikit_image(run: Run, folder: Path) -> None:
    names = ("near", "far", "clean", "grey")
    arguments = [folder / f"{name}.png" for name in names]
    code, out, err = run("compare", *arguments, "--target", folder / "clean.png", "-o", folder / "new" / "s.png")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    clean, near = (np.asarray(PillowImage.open(folder / f"{name}.png")) for name in ("clean", "near"))
    decibels = peak_signal_noise_ratio(clean, near)
    similarity = structural_similarity(
        clean, near, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert lines[0] == f"near: {decibels:.2f} dB, SSIM {similarity:.3f}"
    assert lines[2] == "clean: the same in 8 bits"
    assert lines[3].startswith("grey: ")  # as colour
    assert lines[-1] == str(folder / "new" / "s.png")
    assert np.asarray(PillowImage.open(folder / "new" / "s.png")).shape[1] > 800
    assert words((31.0, float("nan"))) == "31.00 dB"  # too small for SSIM
    assert words(None) == ""


def test_the_scores_are_measured_once(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand on the sheet and are printed; SSIM takes a second for a megapixel."""
    measured: list[str] = []

    def scores(each: Compared, target: Compared | None) -> tuple[float, float]:
        measured.append(each.label)
        return 20.0, 0.5

    monkeypatch.setattr(Compared, "scores", scores)
    arguments = [folder / f"{name}.png" for name in ("near", "far")]
    code, out, _ = run("compare", *arguments, "--target", folder / "clean.png", "-o", folder / "s.png")
    assert (code, out.splitlines()[0]) == (0, "near: 20.00 dB, SSIM 0.500")
    assert measured == ["near", "far"]


def test_without_a_target_there_are_no_scores(run: Run, folder: Path) -> None:
    arguments = ("compare", folder / "near.png", folder / "far.png", "-o", folder / "s.jpg")
    assert run(*arguments) == (0, f"{folder / 's.jpg'}\n", "")
    assert run(*arguments)[0] == 2
    code, out, _ = run(*arguments, "--overwrite", "--target", folder / "clean.png", "--label", "A", "--label", "B")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()[:2]] == ["A", "B"]


def test_pictures_are_compared_upright_and_in_their_units(run: Run, folder: Path) -> None:
    clean = np.asarray(PillowImage.open(folder / "clean.png").convert("L"))
    exif = PillowImage.Exif()
    exif[274] = 6
    PillowImage.fromarray(np.rot90(clean)).save(folder / "turned.png", exif=exif)
    PillowImage.fromarray(clean).save(folder / "l.png")
    _, out, _ = run("compare", folder / "turned.png", "-o", folder / "s.png", "--target", folder / "l.png")
    assert out.startswith("turned: the same")
    counts = clean.astype(np.uint16) * 16 + 7  # 12 bits in 16
    for name, shift in (("a", 0), ("b", 160)):
        write_picture(folder / f"{name}.tif", Picture((counts + shift).astype(np.uint16)))
    _, out, _ = run("compare", folder / "b.tif", "-o", folder / "t.png", "--target", folder / "a.tif")
    assert 27 < float(out.split()[1]) < 30  # 10 of 255 grey levels; of 65535 it would be 52 dB


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["near.png", "other.png"], "36x9 pixels"),
        (["near.png", "--zoom", "30,0,10,10"], "does not lie inside the pictures of 36x32"),
        (["near.png", "--zoom", "-1,0,10,10"], "does not lie inside the pictures of 36x32"),
        (["near.png", "--zoom", "9,9,-3,5"], "'9,9,-3,5' holds no pixel"),
        (["near.png", "--zoom", "1,2,3"], "is not a window"),
        (["near.png", "--label", "a", "--label", "b"], "2 labels for 1 pictures"),
        (["none.png"], "does not exist"),
        (["near.png", "--target", "none.png"], "--target none.png"),
        (["near.png", "-o", "sheet.txt"], ".txt"),
    ],
)
def test_refusals(run: Run, folder: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    code, _, err = run("compare", "-o", "sheet.png", *arguments)
    assert code == 2
    assert words in err
    assert not (folder / "sheet.png").exists()
