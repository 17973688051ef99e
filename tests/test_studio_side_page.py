"""Two pictures side by side, at the same zoom and place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser import when
from tabs import studio_page
from test_studio_browser import until
from test_studio_page import ran

pytestmark = pytest.mark.pages

SIDE = 48

SEEN = """([x, y]) => {
    const canvas = document.querySelector('#canvas'), dpr = canvas.width / canvas.clientWidth;
    return [...canvas.getContext('2d').getImageData(Math.round(x * dpr), Math.round(y * dpr), 1, 1).data].slice(0, 3);
}"""
"""The colour of the canvas at a place, in CSS pixels from its corner."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    y, x = np.mgrid[:SIDE, :SIDE]
    noisy = np.stack([3 * x + 60, 3 * y + 60, 180 - x], -1) + np.random.default_rng(0).normal(0, 20, (SIDE, SIDE, 3))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "photo.png")
    with studio_page(tmp_path / "sessions") as page:
        ran(page, tmp_path / "photo.png")
        page.keyboard.press("h")
        page.click("[data-compare=side]")
        page.wait_for_selector("#left-name:visible")
        yield page


def story(page: Any, x: float, y: float) -> list[list[int]]:
    """The values of the pixel at a place of the page, in the input and in the result, rounded."""
    page.mouse.click(x, y)
    page.wait_for_selector("#story tbody tr")
    rows = page.locator("#story tbody tr")
    return [[round(float(value)) for value in rows.nth(t).locator("b").all_inner_texts()] for t in (0, 5)]


def test_both_pictures_show_the_same_place(page: Any, tmp_path: Path) -> None:
    canvas = page.locator("#canvas").bounding_box()
    half = canvas["width"] / 2
    place = half / 2 + 41, canvas["height"] / 2 - 33  # in the left half; in the right one, half a canvas farther

    def told(x: float) -> tuple[str, str]:
        """The pixel at this place, whose story is read and then let go."""
        story(page, canvas["x"] + x, canvas["y"] + place[1])
        found = page.input_value("#pixel-x"), page.input_value("#pixel-y")
        let_go()
        return found

    def let_go() -> None:
        page.focus("#canvas")
        page.keyboard.press("Escape")  # no frame around the pixel
        until(page, "document.querySelectorAll('#story tbody tr').length === 0")

    def check() -> tuple[str, str]:
        left = told(place[0])
        assert told(half + place[0]) == left  # the same pixel in both halves
        before, after = story(page, canvas["x"] + place[0], canvas["y"] + place[1])
        let_go()

        def drawn() -> bool:  # the input to the left, the result to the right
            seen = [page.evaluate(SEEN, [x, place[1]]) for x in (place[0], half + place[0])]
            return bool(np.abs(np.array(seen) - [before, after]).max() <= 1)

        when(page, drawn)
        return left

    first = check()
    page.mouse.move(canvas["x"] + half + place[0], canvas["y"] + place[1])
    zoom = page.inner_text("#zoom")
    page.mouse.wheel(0, 300)  # zoomed out over the right one: the pixel under the cursor stays there, in both
    until(page, "zoom => document.querySelector('#zoom').textContent !== zoom", zoom)
    assert check() == first
    page.mouse.move(canvas["x"] + place[0], canvas["y"] + place[1])
    page.mouse.down()
    page.mouse.move(canvas["x"] + place[0] + 57, canvas["y"] + place[1] + 19, steps=4)
    page.mouse.up()
    assert check() != first  # moved in both


def test_a_stroke_over_the_border_stays_in_its_picture(page: Any) -> None:
    canvas = page.locator("#canvas").bounding_box()
    half, y = canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2
    page.keyboard.press("r")
    page.mouse.move(half - canvas["width"] / 4, y)
    page.mouse.down()
    page.mouse.move(half + 80, y + 40, steps=5)  # out of the left picture, over the border
    page.mouse.up()
    page.wait_for_selector("#edits li:has-text('rectangle')")
    page.keyboard.press("c")
    page.wait_for_selector("#badge:visible")  # blink: one picture again
    count = int(page.inner_text("#edits small").split(",")[1].split("px")[0])
    assert 0 < count < SIDE * SIDE / 2  # as far as the picture's right border, and no farther
