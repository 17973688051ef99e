"""The studio in narrow windows: what the bar at the top takes, and that nothing hangs over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from test_studio_page import base, opened, picture, ran, start

__all__ = ["base", "start"]

pytestmark = pytest.mark.pages
Start = Callable[..., Any]

CUT_OFF = """(selector) => [...document.querySelectorAll(selector)].filter((node) => {
    const box = node.getBoundingClientRect(), around = document.querySelector('#panel').getBoundingClientRect();
    return box.width > 0 && (box.left < around.left - 0.5 || box.right > around.right + 0.5);
}).map((node) => node.textContent)"""
"""What lies beside the panel in which it stands."""


def test_the_bar_is_one_line(start: Start, tmp_path: Path) -> None:
    page = start(1280, 700)
    ran(page, picture(tmp_path / "photo.png"))  # so that there are sessions, and their button
    assert page.locator("header.bar").bounding_box()["height"] < 60
    page.set_viewport_size({"width": 820, "height": 700})
    assert page.locator("#run").bounding_box()["height"] < 40
    # Before a run, in a narrow window, too.
    opened(page, picture(tmp_path / "photo.png", 50, 40))
    page.wait_for_selector("#sessions-open:visible")
    for task in page.evaluate("[...document.querySelectorAll('#policy option:enabled')].map((each) => each.value)"):
        page.select_option("#policy", task)
        assert page.locator("header.bar").bounding_box()["height"] < 60, task  # a second line makes it 90
        assert page.locator("#policy").bounding_box()["width"] > 150, task


@pytest.mark.parametrize("policy", ["saliency-edit", "denoise-color"])  # one agent for a pixel, and three
def test_probabilities_fit_a_phone(start: Start, tmp_path: Path, policy: str) -> None:
    page = start(390, 760)
    ran(page, picture(tmp_path / "photo.png"), policy)
    page.keyboard.press("h")
    page.fill("#pixel-x", "30")
    page.press("#pixel-x", "Enter")
    page.wait_for_selector("#story tbody tr")
    page.click("#sure-ask")
    page.wait_for_selector("#sure td .chip")
    assert page.evaluate(CUT_OFF, "#story *, #sure *") == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
