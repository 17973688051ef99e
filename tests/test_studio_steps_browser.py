"""What a run has done already is seen while it goes on, in Chromium."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from browser import PATIENCE, when
from pixelrl.studio import runs, work
from pixelrl.studio.preview import Box
from pixelrl.studio.screen import Screen
from tabs import studio_page
from test_studio_browser import until
from test_studio_page import picture

pytestmark = pytest.mark.pages


class Gate:
    """Stops a run whenever something of it has arrived, until the test lets it go on."""

    def __init__(self) -> None:
        self.open, self.go, self.arrived = False, threading.Semaphore(0), list[Box]()

    def next(self) -> None:
        self.go.release()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, arrives = Gate(), Screen.arrives

    def held(self: Screen, step: int, steps: int, box: Box, image: Tensor) -> None:
        arrives(self, step, steps, box, image)
        gate.arrived.append(box)
        if not gate.open:
            gate.go.acquire(timeout=5 * PATIENCE)

    monkeypatch.setattr(Screen, "arrives", held)
    monkeypatch.setattr(runs, "LEAST", 1)
    monkeypatch.setattr(work, "_PACE", 0.0)
    yield gate
    gate.open = True
    gate.next()


def badge(page: Any, text: str) -> None:
    until(page, "text => document.querySelector('#badge').textContent === text", text)


def colours(page: Any, x: int, y: int) -> list[int]:
    """Those of the canvas around a place of the window."""
    return page.evaluate(
        """([x, y]) => {
            const c = document.querySelector('#canvas'), b = c.getBoundingClientRect(), s = c.width / b.width;
            return [...c.getContext('2d').getImageData((x - b.left) * s, (y - b.top) * s, 80, 80).data];
        }""",
        [x, y],
    )


@pytest.mark.parametrize("size", [(1280, 720), (390, 800)])
def test_steps_are_shown_as_they_arrive(gate: Gate, tmp_path: Path, size: tuple[int, int]) -> None:
    file = picture(tmp_path / "photo.png", 240, 200)
    with studio_page(tmp_path / "sessions", *size) as page:
        page.set_input_files("#file", file)
        page.wait_for_selector("#run:visible")
        page.select_option("#policy", "denoise-gray")
        page.fill("#level", "30")
        page.focus("#canvas")
        for _ in range(5):  # closer: a part is seen
            page.keyboard.press("+")
        page.click("#run")
        badge(page, "After step 1 of 5, here first")
        box = gate.arrived[0]
        assert box.pixels <= 240 * 200 / 2
        until(page, "/^In view first: .*left$/.test(document.querySelector('#working-said').textContent)")
        middle = page.locator("#canvas").bounding_box()
        at = (int(middle["x"] + middle["width"] / 2), int(middle["y"] + middle["height"] / 2))
        first = colours(page, *at)
        for _ in range(4):
            gate.next()
        badge(page, "After step 5 of 5, here first")
        when(page, lambda: colours(page, *at) != first)  # the step is told a moment before it is drawn
        gate.next()
        badge(page, "After step 1 of 5")
        assert gate.arrived[5] == Box(0, 0, 240, 200)
        gate.open = True
        gate.next()
        page.wait_for_selector("#truth.exact", state="attached")
        badge(page, "Result")


def test_a_run_that_is_cancelled_leaves_the_picture_as_it_was(gate: Gate, tmp_path: Path) -> None:
    with studio_page(tmp_path / "sessions") as page:
        page.set_input_files("#file", picture(tmp_path / "photo.png", 80, 60))
        page.wait_for_selector("#run:visible")
        page.select_option("#policy", "denoise-gray")
        page.fill("#level", "30")
        page.click("#run")
        badge(page, "After step 1 of 5")
        with page.expect_response("**/api/cancel"):
            page.click("#cancel")
        gate.open = True
        gate.next()
        page.wait_for_selector("#working", state="hidden")
        until(page, "document.querySelector('#badge').hidden")
        page.wait_for_selector("#run:enabled")
        assert not page.is_visible("#timeline")
