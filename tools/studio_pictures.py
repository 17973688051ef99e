"""Make the pictures of the studio that the documentation shows, from the page as it is.

    python tools/studio_pictures.py docs

It needs Chromium (PIXELRL_CHROMIUM, or as Debian calls it). ``studio-maps.png`` is a noisy grey photograph with the map
of the first step over it. Of a noisy colour photograph, ``studio-result.png`` shows the result with two edits: the
spoon protected, and a part of the table blurred; and ``studio-pixels.png`` single pixels, each with its operation.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import sync_playwright
from skimage import data

SIGMA = 25
SPOON, RADII = (367, 286), (42, 43)
TABLE = (404, 60, 600, 222)
"""Where the edits are, in pixels of the photograph: middle and radii, and a box."""
PIXEL, ZOOMS = (327, 265), 9
"""The pixel whose story is read, and how often to zoom in by 1.5 to see single ones."""


def photograph(path: Path, clean: npt.NDArray[np.uint8]) -> None:
    """Write it with noise."""
    noisy = clean + np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)).save(path)


@contextmanager
def studio(picture: Path, folder: Path) -> Iterator[str]:
    """The address of a studio that opens a picture; the others are kept in the folder."""
    words = [sys.executable, "-u", "-m", "pixelrl", "studio", str(picture), "--folder", str(folder), "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def settled(page: Any) -> None:
    """Wait for the exact result, and until the small pictures of the steps are there."""
    page.wait_for_selector("#truth.exact")
    page.wait_for_selector("#working", state="hidden")
    page.wait_for_timeout(1000)
    page.wait_for_function("() => !document.querySelector('.thumb img:not([src])')")
    page.wait_for_timeout(500)


def ran(browser: Any, address: str, policy: str) -> Any:
    """The studio's page, when a policy has been run on the picture."""
    page = browser.new_page(viewport={"width": 1280, "height": 720}, bypass_csp=True)
    page.set_default_timeout(200_000)
    page.goto(address)
    page.wait_for_selector("#run-form:visible")
    page.select_option("#policy", policy)
    page.click("#run")
    settled(page)
    return page


def on_screen(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a place in the fitted photograph is on the screen: in the middle, above the buttons."""
    box = page.locator("#canvas").bounding_box()
    zoom = int(page.inner_text("#zoom").split()[0]) / 100
    height, width = data.coffee().shape[:2]
    left, top = (box["width"] - width * zoom) / 2, (box["height"] - 36 - height * zoom) / 2
    return box["x"] + left + x * zoom, box["y"] + top + y * zoom


def edited(page: Any) -> None:
    """The spoon protected, the table blurred."""
    page.click("[data-tool=polygon]")
    page.click("[data-deed=protect]")
    corners = [2 * math.pi * k / 12 for k in range(12)]
    for angle in corners:
        at = (SPOON[0] + RADII[0] * math.cos(angle), SPOON[1] + RADII[1] * math.sin(angle))
        page.mouse.click(*on_screen(page, *at))
    page.keyboard.press("Enter")
    page.click("[data-deed=force]")
    page.select_option("#operation", "Gaussian 1.5")
    page.click("#steps .all")
    page.click("#numbers summary")
    for name, value in zip(("x0", "y0", "x1", "y1"), TABLE, strict=True):
        page.fill(f"#box-form [name={name}]", str(value))
    page.click("#box-form button")
    page.click("#numbers summary")
    page.click("[data-tool=box]")
    settled(page)


def shoot(page: Any, folder: Path, name: str) -> None:
    """A screenshot, with no pointer over anything."""
    page.mouse.move(2, 2)
    page.wait_for_timeout(300)
    path = folder / name
    page.screenshot(path=path)
    with Image.open(path) as shot:
        shot.convert("RGB").save(path, optimize=True)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    chromium = os.environ.get("PIXELRL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        grey, colour = Path(place) / "camera.png", Path(place) / "coffee.png"
        photograph(grey, data.camera())
        photograph(colour, data.coffee())
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with studio(grey, Path(place) / "sessions") as address:
            page = ran(browser, address, "denoise-gray")
            page.click("#overlay")
            page.locator("#timeline button").nth(1).click()
            settled(page)
            shoot(page, given.folder, "studio-maps.png")
        with studio(colour, Path(place) / "sessions") as address:
            page = ran(browser, address, "denoise-color")
            edited(page)
            page.click("[data-compare=split]")
            page.wait_for_selector("#divider:visible")
            divider = page.locator("#divider").bounding_box()
            page.mouse.move(divider["x"] + divider["width"] / 2, divider["y"] + divider["height"] / 2)
            page.mouse.down()
            page.mouse.move(330, divider["y"] + divider["height"] / 2, steps=5)
            page.mouse.up()
            shoot(page, given.folder, "studio-result.png")
            page.click("[data-compare=off]")
            page.click("#tab-look")
            page.locator("#timeline button").nth(2).click()
            page.click("#overlay")
            page.fill("#pixel-x", str(PIXEL[0]))
            page.fill("#pixel-y", str(PIXEL[1]))
            page.keyboard.press("Tab")
            page.mouse.move(*on_screen(page, *PIXEL))
            for _ in range(ZOOMS):
                page.mouse.wheel(0, -200)
                page.wait_for_timeout(100)
            settled(page)
            shoot(page, given.folder, "studio-pixels.png")
        browser.close()


if __name__ == "__main__":
    main()
