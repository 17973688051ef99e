"""Pictures with a colour profile on the screen: wherever the page shows them, the colours of LittleCMS in sRGB."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from browser import when
from pixelrl.pictures.files import write_picture
from pixelrl.pictures.formats import Picture
from profiles import adobe_rgb, dark_grey, display_p3
from test_studio_browser import until
from test_studio_page import base, on_screen, ran, start
from test_studio_side_page import SEEN

__all__ = ["base", "start"]

pytestmark = pytest.mark.pages
Start = Callable[..., Any]
SIZE = 44, 36
"""Width and height."""
SPOTS = [(5, 5), (20, 5), (38, 6), (6, 28), (21, 29), (39, 30)]


def saturated(grey: bool = False) -> npt.NDArray[np.uint8]:
    """Large areas of colours that look otherwise in another profile."""
    colours = [(200, 40, 40), (60, 200, 60), (50, 60, 210), (200, 190, 40), (120, 120, 120), (180, 60, 190)]
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for n, colour in enumerate(colours):
        row, column = divmod(n, 3)
        pixels[18 * row : 18 * row + 18, 15 * column : 15 * column + 15] = colour
    return pixels[..., 1] if grey else pixels


def in_srgb(pixels: npt.NDArray[np.uint8], profile: bytes) -> npt.NDArray[np.uint8]:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(
        Image.fromarray(pixels), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    return np.asarray(converted)


def seen(page: Any, place: Callable[[float, float], tuple[float, float]]) -> npt.NDArray[np.int_]:
    """The colours of the spots on the canvas."""
    box = page.locator("#canvas").bounding_box()
    places = [place(x + 0.25, y + 0.25) for x, y in SPOTS]  # beside what is written into a pixel
    return np.array([page.evaluate(SEEN, [x - box["x"], y - box["y"]]) for x, y in places])


def swatch(page: Any, selector: str) -> list[int]:
    colour = page.evaluate("selector => getComputedStyle(document.querySelector(selector)).backgroundColor", selector)
    return [int(value) for value in colour.removeprefix("rgb(").removesuffix(")").split(",")]


@pytest.mark.parametrize(
    ("profile", "depth", "grey"),
    [(display_p3, "uint8", False), (adobe_rgb, "uint16", False), (dark_grey, "uint8", True)],
    ids=["Display P3", "Adobe RGB in 16 bits", "grey"],
)
def test_the_screen_shows_what_the_profile_means(
    start: Start, tmp_path: Path, profile: Callable[[], bytes], depth: str, grey: bool
) -> None:
    pixels = saturated(grey)
    deep = pixels.astype(np.uint16) * 257 if depth == "uint16" else pixels
    write_picture(tmp_path / "wide.png", Picture(deep, icc_profile=profile()))
    expected = in_srgb(pixels, profile())
    wanted = np.array([expected[y, x] for x, y in SPOTS])
    plain = np.array([pixels[y, x] for x, y in SPOTS]).reshape(len(SPOTS), -1)
    assert np.abs(wanted - plain).max() > 12  # without the profile it would look otherwise
    page = start()
    ran(page, tmp_path / "wide.png", "denoise-gray" if grey else "denoise-color")
    page.keyboard.press("Home")
    page.wait_for_selector("#badge:has-text('Input')")
    place = on_screen(page, *SIZE)
    when(page, lambda: bool(np.abs(seen(page, place) - wanted).max() <= 2))
    # The small picture of the input, and the swatches; numbers stay those of the file.
    until(page, "document.querySelector('#timeline img').naturalWidth > 0")
    thumb = page.evaluate(
        """() => {
            const image = document.querySelector('#timeline img');
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            const x = Math.round(canvas.width * 5 / 44), y = Math.round(canvas.height * 5 / 36);
            return [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
        }"""
    )
    assert np.abs(np.array(thumb) - wanted[0]).max() <= 2
    x, y = SPOTS[0]
    page.keyboard.press("h")
    page.mouse.click(*place(x + 0.5, y + 0.5))
    page.wait_for_selector("#story tbody tr")
    assert np.abs(np.array(swatch(page, "#story .swatch")) - wanted[0]).max() <= 2
    told = page.locator("#story tbody tr").first.locator("b").all_inner_texts()
    assert told == [str(value) for value in np.atleast_1d(pixels[y, x])]
    page.mouse.move(*place(x + 2.5, y + 2.5))
    page.wait_for_selector("#value:visible")
    assert np.abs(np.array(swatch(page, "#value .swatch")) - wanted[0]).max() <= 2
    # What is saved keeps the profile, and its numbers.
    page.click("#save")
    with page.expect_download() as download:
        page.click("[data-what=picture]")
    with Image.open(download.value.path()) as saved:
        assert saved.info["icc_profile"] == profile()
    # Maps keep their colours.
    page.keyboard.press("Escape")
    page.keyboard.press("5")
    page.keyboard.press("o")
    page.fill("#opacity", "100")
    page.wait_for_selector("#badge:has-text('operations')")
    chips = page.evaluate(
        "[...document.querySelectorAll('#legend .chip')].map((chip) => getComputedStyle(chip).backgroundColor)"
    )
    colours = np.array([[int(v) for v in chip.removeprefix("rgb(").removesuffix(")").split(",")] for chip in chips])
    when(page, lambda: all(np.abs(colours - colour).max(1).min() <= 1 for colour in seen(page, place)))
