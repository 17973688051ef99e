"""The studio in Chromium loses no work: quick strokes, two tabs, another task, forgetting, a crash. Each test alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser import PATIENCE, when
from pixelrl.studio.document import Document
from pixelrl.studio.store import Store
from pixelrl.studio.studio import Limits
from tabs import served
from test_studio_browser import at, drag, until

pytestmark = pytest.mark.pages

SIDE = 64
Show = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def base(folder: Path) -> Iterator[str]:
    with served(folder) as (base, token):
        yield f"{base}/?token={token}"


@pytest.fixture
def tabs(browser: Any) -> Iterator[Callable[[str], Any]]:
    """``tabs(address)`` opens a tab; all are of one browser."""
    faults: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 720}) as context:

        def tab(address: str) -> Any:
            page = context.new_page()
            page.set_default_timeout(1000 * PATIENCE)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.goto(address)
            return page

        yield tab
    assert not faults, faults


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return picture(tmp_path / "photo.png", 0)


def picture(path: Path, seed: int) -> Path:
    y, x = np.mgrid[:SIDE, :SIDE]
    clean = np.stack([3 * x, 3 * y, 200 - 2 * x], -1)
    noisy = clean + np.random.default_rng(seed).normal(0, 20, clean.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return path


def ran(page: Any, path: Path, policy: str = "denoise-color") -> None:
    page.set_input_files("#file", path)
    until(page, "name => document.title.startsWith(name)", path.name)
    page.select_option("#policy", policy)
    page.click("#run")
    page.wait_for_selector("#timeline:visible")
    page.wait_for_selector("#truth.exact")


def count(page: Any, n: int) -> None:
    until(page, f"document.querySelectorAll('#edits li').length === {n}")


def kept(folder: Path) -> dict[str, Document]:
    """What is on the disk, by the picture's name."""
    return {found.document.name: found.document for found in Store(folder).offered()}


def test_thirty_rectangles_in_five_seconds(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    page.keyboard.press("r")
    boxes = [(n, 2 * (n % 15), n + 20, 2 * (n % 15) + 25) for n in range(30)]
    for x0, y0, x1, y1 in boxes:
        page.mouse.move(*at(page, x0 + 0.5, y0 + 0.5))
        page.mouse.down()
        page.mouse.move(*at(page, x1 - 0.5, y1 - 0.5))
        page.mouse.up()
    count(page, 30)
    assert [edit["region"]["box"] for edit in kept(folder)["photo.png"].edits] == [list(box) for box in boxes]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    count(page, 27)
    page.wait_for_selector("#truth.exact")


def test_ten_quick_strokes_of_the_brush_are_what_was_drawn(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    page.keyboard.press("b")
    page.fill("#size", "3")
    for n in range(10):
        page.mouse.move(*at(page, 4, 6 * n + 2.5))
        page.mouse.down()
        page.mouse.move(*at(page, 50, 6 * n + 2.5), steps=3)
        page.mouse.up()
    while len(kept(folder)["photo.png"].undo) < 10:
        page.wait_for_timeout(50)
    assert page.locator("#edits li").count() == 1  # one brush, one edit
    (found,) = [found for found in Store(folder).offered() if found.document.name == "photo.png"]
    (edit,) = found.document.edits
    mask = np.asarray(Image.open(found.path / edit["region"]["mask"])) > 0
    rows = [6 * n + 2 for n in range(10)]
    assert mask[rows, 4:50].all()
    assert not mask[[row + 3 for row in rows]].any()
    for _ in range(10):
        page.keyboard.press("Control+z")
    count(page, 0)


def test_two_tabs_each_with_its_picture(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    first = tabs(base)
    ran(first, photo)
    first.keyboard.press("r")
    drag(first, (5, 5), (20, 20))
    count(first, 1)
    second = tabs(base)
    ran(second, picture(photo.with_name("other.png"), 1))
    second.keyboard.press("r")
    for n in range(4):
        drag(second, (10 * n, 10), (10 * n + 15, 30))
        count(second, n + 1)
    drag(first, (30, 30), (40, 40))
    count(first, 2)
    assert first.title().startswith("photo.png")
    assert second.locator("#edits li").count() == 4
    assert {name: len(document.edits) for name, document in kept(folder).items()} == {"photo.png": 2, "other.png": 4}
    second.reload()  # each tab remembers what it showed
    first.reload()
    count(second, 4)
    count(first, 2)


def test_two_tabs_on_the_same_session(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    first = tabs(base)
    ran(first, photo)
    first.keyboard.press("r")
    drag(first, (5, 5), (20, 20))
    count(first, 1)
    second = tabs(base)
    count(second, 1)
    second.keyboard.press("r")
    drag(second, (5, 30), (20, 40))
    count(second, 2)
    drag(first, (30, 30), (40, 40))  # from a copy without the second one
    count(first, 3)
    unanswered: list[Any] = []  # from here on this tab does not learn of the fourth
    first.route("**/api/state?since*", lambda route: unanswered.append(route))
    when(first, lambda: bool(unanswered))  # so the one before has been answered
    drag(second, (50, 30), (60, 40))
    count(second, 4)
    assert len(kept(folder)["photo.png"].edits) == 4
    first.click("#undo")
    first.wait_for_selector("#message:has-text('changed in another tab')")
    count(first, 4)
    first.click("#undo")
    count(first, 3)


def test_a_tab_whose_picture_was_put_away_loses_no_stroke(tabs: Show, photo: Path, folder: Path) -> None:
    with served(folder, Limits(sessions=1)) as (base, token):
        first = tabs(f"{base}/?token={token}")
        ran(first, photo)
        second = tabs(f"{base}/?token={token}")
        ran(second, picture(photo.with_name("other.png"), 1))
        first.keyboard.press("r")
        drag(first, (5, 5), (20, 20))
        drag(first, (25, 25), (40, 40))
        count(first, 2)
        first.wait_for_selector("#truth.exact")
        second.keyboard.press("r")
        drag(second, (5, 5), (20, 20))
        count(second, 1)
    assert {name: len(document.edits) for name, document in kept(folder).items()} == {"photo.png": 2, "other.png": 1}


def test_another_task_asks_for_the_edits_and_the_session_before_stays(
    tabs: Show, base: str, photo: Path, folder: Path
) -> None:
    page = tabs(base)
    ran(page, photo)
    page.keyboard.press("r")
    drag(page, (5, 5), (20, 20))
    drag(page, (25, 25), (40, 40))
    count(page, 2)
    page.select_option("#policy", "denoise-gray")
    page.click("#run")
    page.wait_for_selector("#keep[open]:has-text('There are 2 edits')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#keep", state="hidden")
    count(page, 2)
    assert page.is_hidden("#working")  # it was called off
    page.click("#run")
    page.click("#keep [value=keep]")
    until(page, "document.querySelector('#run').matches(':not(.primary)')")
    count(page, 2)
    page.click("#sessions-open")
    page.wait_for_selector("#sessions li >> nth=1")
    rows = page.locator("#sessions li")
    assert rows.count() == 2
    until(page, "[...document.querySelectorAll('#sessions img')].every((image) => image.naturalWidth > 0)")
    page.click("#sessions .resume:not([disabled])")
    until(page, "document.querySelector('#policy').value === 'denoise-color'")
    count(page, 2)
    page.select_option("#policy", "denoise-gray")
    page.click("#run")
    page.click("#keep [value=none]")
    until(page, "document.querySelector('#run').matches(':not(.primary)')")
    count(page, 0)
    assert sorted(len(found.document.edits) for found in Store(folder).offered()) == [0, 2, 2]


def test_a_forgotten_session_comes_back(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    page.keyboard.press("r")
    drag(page, (5, 5), (20, 20))
    count(page, 1)
    ran(page, picture(photo.with_name("other.png"), 1))
    page.click("#sessions-open")
    page.click("#sessions [aria-label='Forget photo.png']")
    page.wait_for_selector("#sessions .forgotten:has-text('photo.png was forgotten')")
    assert "photo.png" not in kept(folder)
    page.click("#sessions .forgotten button")
    page.wait_for_selector("#sessions .resume:has-text('photo.png')")
    assert len(kept(folder)["photo.png"].edits) == 1
    page.click("#sessions .resume:has-text('photo.png')")
    count(page, 1)


def test_sessions_with_edits_stay_in_sight(tabs: Show, base: str, photo: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    page.keyboard.press("r")
    drag(page, (5, 5), (20, 20))
    count(page, 1)
    for seed in range(1, 8):
        ran(page, picture(photo.with_name(f"other-{seed}.png"), seed), "denoise-gray")
    page.click("#sessions-open")
    page.wait_for_selector("#sessions li")
    assert "photo.png" in page.locator("#sessions li").first.inner_text()


def test_a_picture_that_comes_in_as_a_run_ends_stays(tabs: Show, base: str, photo: Path) -> None:
    page = tabs(base)
    page.set_input_files("#file", photo)
    until(page, "name => document.title.startsWith(name)", photo.name)
    held: list[Any] = []
    # What the page asks for when its run has ended.
    page.route(re.compile(r"/api/state\?session="), lambda route: held.append(route))
    page.click("#run")
    when(page, lambda: bool(held))
    other = picture(photo.with_name("other.png"), 1)
    page.set_input_files("#file", other)
    until(page, "name => document.title.startsWith(name)", other.name)
    for route in held:
        route.continue_()
    page.wait_for_timeout(500)
    assert page.title().startswith(other.name)


def test_after_a_kill_the_same_picture_goes_on(tabs: Show, photo: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pixelrl", "studio", str(photo), "--no-browser", "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

    def started() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        return process, found[0]

    def kill(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    process, address = started()
    try:
        left = tabs(address)  # a tab that outlives the studio
        left.click("#run")
        left.wait_for_selector("#truth.exact")
        left.keyboard.press("r")
        drag(left, (5, 5), (20, 20))
        drag(left, (25, 25), (40, 40))
        count(left, 2)
    finally:
        kill(process)
    drag(left, (45, 5), (60, 20))
    left.wait_for_selector("#message:has-text('cannot be reached')")
    left.route("**/api/**", lambda route: route.abort())  # or it may take up its session before that is offered
    process, address = started()
    try:
        page = tabs(address)
        page.wait_for_selector("#message:has-text('There is an earlier session of this picture with 2 edits')")
        page.click("#message button:has-text('Start anew')")
        page.wait_for_selector("#message", state="hidden")
        left.unroute("**/api/**")
        page.reload()
        count(left, 3)  # what waited there has arrived, for the studio is where it was
        page.click("#message button:has-text('Continue')")
        count(page, 3)
        page.wait_for_selector("#truth.exact")
    finally:
        kill(process)


def test_what_the_studio_cannot_be_told_yet_waits_in_the_tab(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    page.keyboard.press("r")
    page.route("**/api/change", lambda route: route.abort())
    drag(page, (5, 5), (20, 20))
    drag(page, (25, 25), (40, 40))
    page.wait_for_selector("#message:has-text('cannot be reached')")
    assert kept(folder)["photo.png"].edits == []
    page.unroute("**/api/change")
    count(page, 2)
    assert [edit["region"]["box"][0] for edit in kept(folder)["photo.png"].edits] == [5, 25]
    page.wait_for_selector("#message", state="hidden")


def test_an_answer_that_is_lost_makes_no_edit_twice(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    page.keyboard.press("r")
    lost: list[str] = []

    def lose(route: Any) -> None:
        if not lost:
            lost.append(route.fetch().text())  # the studio has done it
            route.abort()
        else:
            route.continue_()

    page.route("**/api/change", lose)
    drag(page, (5, 5), (20, 20))
    drag(page, (25, 25), (40, 40))
    count(page, 2)
    assert lost
    assert len(kept(folder)["photo.png"].edits) == 2


def test_the_token_stays_nowhere(browser: Any, base: str) -> None:
    token = base.partition("token=")[2]
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        requests: list[Any] = []
        page.on("request", lambda request: requests.append(request))
        page.goto(base)
        page.wait_for_selector("#open-large:visible")
        assert page.evaluate("location.href") == base.partition("?")[0]
        assert page.evaluate("document.cookie") == ""
        assert token not in page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
        api = [request for request in requests if "/api/" in request.url]
        assert api
        assert all(token not in request.url + str(request.headers) for request in api)
        assert page.evaluate("fetch('/api/state').then(answer => answer.status)") == 401  # nor is the cookie enough
        page.go_back()
        assert token not in page.url
