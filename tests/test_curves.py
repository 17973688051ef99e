"""The curves that a training leaves: which panels there are, what each shows, and when they are drawn."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from conftest import Run
from pixelrl.training.curves import draw_curves, panels
from pixelrl.training.interrupt import stop_on_interrupt

HEAD = "iteration,phase,lr,minutes,iterations_per_second,crops_per_second,estimate_loss,reward,bits,psnr,psnr_estimate"
ROWS = [
    "100,warm_start,0.002,0.5,3.1,25.3,-0.69,,,,",
    "200,warm_start,0.001,1.0,3.1,25.3,-0.71,,9.8,27.1,27.4",
    "300,reinforcement,0.001,1.5,3.1,25.3,nan,4.5,,,",
    "400,reinforcement,0.0005,2.0,3.1,25.3,,5.5,2.1,27.2,27.4",
]


def rows(head: str = HEAD, lines: list[str] | None = None) -> list[dict[str, str]]:
    return list(csv.DictReader([head, *(ROWS if lines is None else lines)]))


def test_a_panel_for_each_number_with_result_and_estimate_in_one() -> None:
    shown = panels(rows())
    validation = shown["psnr on validation photos"]
    assert validation == {"result": ([200, 400], [27.1, 27.2]), "estimate": ([200, 400], [27.4, 27.4])}
    assert next(iter(shown)) == "psnr on validation photos"
    assert shown["reward per pixel (reward)"] == {"": ([300, 400], [4.5, 5.5])}
    losses = shown["supervised loss of the estimate (estimate_loss)"]
    assert losses == {"": ([100, 200], [-0.69, -0.71])}  # what is no number is left out
    assert shown["bits per pixel of the maps (bits), validation"] == {"": ([200, 400], [9.8, 2.1])}
    assert "learning rate (lr)" in shown
    assert len(shown) == 5


def test_other_photos_and_metrics_of_ones_own_have_panels_of_their_own() -> None:
    shown = panels(rows("iteration,phase,minutes,psnr,psnr_more,psnr_estimate_more,fame", ["1,a,0.1,1,2,3,4"]))
    assert shown["psnr on more validation photos"] == {"result": ([1], [2]), "estimate": ([1], [3])}
    assert shown["psnr on validation photos"] == {"result": ([1], [1])}
    assert shown["fame on validation photos"] == {"result": ([1], [4])}


@pytest.mark.parametrize(
    "lines", [ROWS, ROWS[:1], [line.replace("00,", f"{i}0,", 1) for i in range(30) for line in ROWS]]
)
def test_they_are_a_picture(tmp_path: Path, lines: list[str]) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "log.csv").write_text("\n".join([HEAD, *lines]) + "\n")
    drawn = draw_curves(tmp_path)
    assert drawn == tmp_path / "curves.png"
    pixels = np.asarray(PillowImage.open(drawn).convert("L"))
    assert pixels.shape[1] >= 640
    assert (pixels < 128).mean() > 0.005
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "log.csv"]


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert draw_curves(tmp_path) is None
    (tmp_path / "log.csv").write_text(HEAD + "\n")
    assert draw_curves(tmp_path) is None


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        PillowImage.fromarray(np.random.default_rng(i).integers(0, 256, (12, 12), np.uint8)).save(folder / f"{i}.png")
    file = tmp_path / "tiny.toml"
    file.write_text(
        'name = "tiny"\n[task]\nkind = "gaussian-denoising"\n[policy]\nkind = "fcn"\nwidth = 2\n'
        f'[data]\nfolder = "{folder}"\ncrop = 8\nbatch = 2\nvalidation = 1\n[reinforcement]\niterations = 2\n'
    )
    return file


def test_a_run_leaves_its_curves(run: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    where = tmp_path / "run"
    monkeypatch.setattr("pixelrl.training.trainer.stop_on_interrupt", _interrupted_after(1))
    code, _, err = run("train", recipe, "-o", where)
    assert (code, len(err.splitlines())) == (130, 1)
    stopped = (where / "curves.png").read_bytes()
    monkeypatch.setattr("pixelrl.training.trainer.stop_on_interrupt", stop_on_interrupt)
    assert run("train", "--resume", where)[0] == 0
    assert (where / "curves.png").read_bytes() != stopped


def test_without_matplotlib_it_is_said_in_a_sentence(
    run: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = run("train", recipe, "-o", tmp_path / "run")
    assert (code, out.strip()) == (0, str(tmp_path / "run" / "policy.safetensors"))
    assert err.splitlines()[-1] == (
        'pixelrl: curves.png is not drawn, for Matplotlib is not installed: pip install "pixelrl[plot]"'
    )
    assert not (tmp_path / "run" / "curves.png").exists()


def _interrupted_after(iterations: int):
    """Stands for Ctrl-C after so many iterations."""
    import contextlib

    @contextlib.contextmanager
    def interrupts():
        asked = iter(range(100))
        yield lambda: next(asked) >= iterations

    return interrupts
