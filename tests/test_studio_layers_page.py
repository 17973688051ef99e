"""Edits as layers in the studio: changed afterwards, switched off, undone, and saved."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixelrl.cli import main
from tabs import studio_page
from test_studio_browser import until
from test_studio_page import ran

pytestmark = pytest.mark.pages


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    with studio_page(tmp_path / "sessions", height=900) as page:
        y, x = np.mgrid[:48, :64]
        noisy = np.stack([2 * x + 60, 3 * y + 60, 180 - x], -1) + np.random.default_rng(0).normal(0, 20, (48, 64, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "photo.png")
        ran(page, tmp_path / "photo.png")
        yield page


def saved(page: Any, what: str, path: Path) -> Path:
    with page.expect_download() as download:
        page.click("#save")
        page.click(f"#save-menu [data-what={what}]")
    download.value.save_as(path)
    return path


def slide(page: Any, selector: str, value: int) -> None:
    page.evaluate(
        """([selector, value]) => {
            const slider = document.querySelector(selector);
            slider.value = value;
            slider.dispatchEvent(new Event('input'));
            slider.dispatchEvent(new Event('change'));
        }""",
        [selector, value],
    )


def exact(page: Any, words: str) -> None:
    """The first edit says this, and the exact result is there."""
    until(page, "words => document.querySelector('#edits li')?.textContent.includes(words)", words)
    page.wait_for_selector("#truth.exact")


def test_an_edit_is_changed_afterwards(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.asarray(Image.open(tmp_path / "photo.png"))
    page.keyboard.press("p")
    page.click("#numbers summary")
    for name, value in (("x0", 10), ("y0", 8), ("x1", 42), ("y1", 40)):
        page.fill(f"#box-form [name={name}]", str(value))
    page.press("#box-form [name=y1]", "Enter")
    exact(page, "Protect")

    page.click("#edits .eye")  # off: nothing is protected, and the edit is still there
    exact(page, "off")
    off = np.asarray(Image.open(saved(page, "picture", tmp_path / "off.png")))
    assert not np.array_equal(off[8:40, 10:42], pixels[8:40, 10:42])
    page.click("#edits .eye")
    until(page, "!document.querySelector('#edits .off')")

    page.click("#edits li .said")
    page.wait_for_selector("#layer:visible")
    slide(page, "#layer-share", 50)
    exact(page, "50\u00a0% of the pixels")
    half = np.asarray(Image.open(saved(page, "picture", tmp_path / "half.png")))
    y, x = np.mgrid[8:40, 10:42]
    kept = (half[8:40, 10:42] == pixels[8:40, 10:42]).all(-1)
    assert kept[(x + y) % 2 == 0].all()  # every second pixel
    assert not kept.all()

    assert page.is_visible("#layer")  # what was changed stays chosen
    page.select_option("#layer-deed", "force")
    page.select_option("#layer-operation", "box")
    exact(page, "Force box")
    page.click("#layer-steps [data-n='1']")
    exact(page, "steps 2, 3, 4, 5")
    slide(page, "#layer-feather", 6)
    exact(page, "feather 6 px")

    # What is saved does the same on the command line.
    with zipfile.ZipFile(saved(page, "edits", tmp_path / "edits.zip")) as archive:
        archive.extractall(tmp_path / "taken")
    (entry,) = json.loads((tmp_path / "taken" / "edits.json").read_text())
    assert (entry["share"], entry["feather"], entry["steps"]) == (0.5, 6, [2, 3, 4, 5])
    trace = saved(page, "trace", tmp_path / "taken" / "photo.npz")
    shown = np.asarray(Image.open(saved(page, "picture", tmp_path / "shown.png")))
    again = tmp_path / "again.png"
    monkeypatch.setattr(
        sys, "argv", ["pixelrl", "edit", str(trace), str(tmp_path / "taken" / "edits.json"), "-o", str(again)]
    )
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    assert np.array_equal(np.asarray(Image.open(again)), shown)

    for words in ("steps 2, 3, 4, 5", "all steps", "Force", "Protect"):  # each can be undone by itself
        page.keyboard.press("Control+z")
        until(page, "words => document.querySelector('#edits li').textContent.includes(words)", words)
    page.reload()
    exact(page, "50\u00a0% of the pixels")
