"""What is drawn and changed in the studio in Chromium is done as it was meant, however quickly, by mouse or fingers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from browser import when
from pixelrl.studio.store import Store
from pixelrl.studio.studio import Limits
from tabs import served
from test_studio_browser import at, drag, still, until
from test_studio_page import AMBER
from test_studio_safety_browser import Show, base, count, folder, kept, photo, picture, ran, tabs

__all__ = ["base", "folder", "photo", "tabs"]
pytestmark = pytest.mark.pages


def masks(folder: Path) -> list[npt.NDArray[np.bool_]]:
    """Where each edit of ``photo.png`` applies, as it lies on the disk."""
    (found,) = [found for found in Store(folder).offered() if found.document.name == "photo.png"]
    return [np.asarray(Image.open(found.path / edit["region"]["mask"])) > 0 for edit in found.document.edits]


@pytest.mark.parametrize("tool", ["brush", "same", "eraser"])
def test_no_stroke_is_lost_on_a_picture_that_was_put_away(tabs: Show, photo: Path, folder: Path, tool: str) -> None:
    with served(folder, Limits(sessions=1)) as (base, token):
        page = tabs(f"{base}/?token={token}")
        ran(page, photo)
        page.keyboard.press("b")
        page.fill("#size", "7")
        if tool == "eraser":
            drag(page, (10.5, 10.5), (40.5, 10.5))
            count(page, 1)
            page.wait_for_selector("#truth.exact")
        ran(tabs(f"{base}/?token={token}"), picture(photo.with_name("other.png"), 1))
        page.keyboard.press({"brush": "b", "same": "a", "eraser": "e"}[tool])
        if tool == "same":
            still(page)
            page.mouse.click(*at(page, 20.5, 15.5))
        else:
            drag(page, (20.5, 5.5), (20.5, 20.5))
        place = (10, 20) if tool == "eraser" else (15, 20)
        when(page, lambda: any(mask[place] != (tool == "eraser") for mask in masks(folder)))
        count(page, 1)
        page.wait_for_selector("#truth.exact")
        (mask,) = masks(folder)
        assert mask[15, 20] == (tool != "eraser")
        assert tool == "same" or mask[10, 12] == (tool == "eraser")


def hold(page: Any) -> Callable[[], None]:
    """Hold the changes of this page back, until what is returned is called."""
    held: list[Any] | None = []

    def on_its_way(route: Any) -> None:
        if held is None:
            route.continue_()
        else:
            held.append(route)

    def let_go() -> None:
        nonlocal held
        routes, held = held or [], None
        for route in routes:
            route.continue_()

    page.route("**/api/change", on_its_way)
    return let_go


def with_rectangle(tabs: Show, base: str, photo: Path, end: tuple[float, float]) -> Any:
    """A tab with a picture on which a policy has run, and one edit, from (2, 2) to the end, whose result is exact."""
    page = tabs(base)
    ran(page, photo)
    page.keyboard.press("r")
    drag(page, (2, 2), end)
    count(page, 1)
    page.wait_for_selector("#truth.exact")
    return page


def test_what_is_saved_has_the_change_that_is_on_its_way(tabs: Show, base: str, photo: Path, tmp_path: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    page.keyboard.press("r")
    let_go = hold(page)
    drag(page, (5, 5), (30, 30))  # protect
    with page.expect_download() as download:
        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)
        let_go()
    download.value.save_as(tmp_path / "saved.png")
    saved, pixels = (np.asarray(Image.open(path)) for path in (tmp_path / "saved.png", photo))
    assert np.array_equal(saved[5:30, 5:30], pixels[5:30, 5:30])
    page.wait_for_selector("#message:has-text('Saved photo-result.png.')")


def test_an_answer_that_is_overtaken_by_a_change_is_dropped(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    """What the studio said before a change, and the page hears after it: the edit was another one again."""
    page = with_rectangle(tabs, base, photo, (20, 20))
    let_go = hold(page)
    page.click("#edits li:first-child .eye")
    overtaken: list[tuple[Any, Any]] = []
    page.route("**/api/state?*", lambda route: overtaken.append((route, route.fetch())))
    when(page, lambda: bool(overtaken))
    page.unroute("**/api/state?*")
    let_go()
    page.wait_for_selector("#edits li:first-child.off")
    for route, answer in overtaken:
        route.fulfill(response=answer)
    page.click("#edits li:first-child .eye")
    when(page, lambda: len(kept(folder)["photo.png"].undo) == 3)
    assert page.is_hidden("#message")
    page.wait_for_selector("#edits li:first-child:not(.off)")


def test_what_follows_quickly_is_of_the_edit_that_was_meant(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    page = with_rectangle(tabs, base, photo, (60, 60))
    page.keyboard.press("b")
    page.fill("#size", "7")
    let_go = hold(page)
    drag(page, (10.5, 10.5), (40.5, 10.5))
    page.keyboard.press("e")  # from the stroke, twice, and not from the rectangle
    drag(page, (20.5, 5.5), (20.5, 20.5))
    drag(page, (30.5, 5.5), (30.5, 20.5))
    let_go()
    when(page, lambda: len(kept(folder)["photo.png"].undo) == 4)
    rectangle, stroke = kept(folder)["photo.png"].edits
    assert list(rectangle["region"]) == ["box"]
    assert page.is_hidden("#message")
    (found,) = Store(folder).offered()
    mask = np.asarray(Image.open(found.path / stroke["region"]["mask"])) > 0
    assert mask[10, [10, 15, 25, 35, 40]].all()
    assert not mask[10, [20, 30]].any()

    page.click("#edits li:first-child .said")
    page.wait_for_selector("#layer:visible")
    let_go = hold(page)
    page.focus("#layer-share")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    let_go()
    page.wait_for_selector("#edits li:first-child:has-text('80\u00a0%')")
    assert page.input_value("#layer-share") == "80"
    assert page.is_visible("#layer")
    let_go = hold(page)
    eye = page.locator("#edits li:first-child .eye")
    eye.click()
    eye.click()
    eye.click()  # off, on, off
    let_go()
    when(page, lambda: len(kept(folder)["photo.png"].undo) == 11)
    assert kept(folder)["photo.png"].edits[0]["off"] is True
    count(page, 2)


def test_the_menu_names_the_format_that_is_written(tabs: Show, base: str, photo: Path) -> None:
    page = tabs(base)
    Image.open(photo).save(photo.with_suffix(".bmp"))
    ran(page, photo.with_suffix(".bmp"))
    page.click("#save")
    assert page.inner_text("#save-menu [data-what=picture] small") == "PNG, 8 bit, without loss"
    with page.expect_download() as download:
        page.click("#save-menu [data-what=picture]")
    assert download.value.suggested_filename == "photo-result.png"


def test_two_fingers_zoom_and_draw_nothing(tabs: Show, base: str, photo: Path, folder: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pinch() -> None:
        """The second finger comes later, and goes earlier."""
        still(page)
        fitted, (x, y), far = page.inner_text("#zoom"), at(page, 10.5, 50.5), 60
        touch("touchStart", (x, y))
        touch("touchStart", (x, y), (x + far, y))
        touch("touchMove", (x, y), (x + 2 * far, y))
        touch("touchMove", (x, y))
        touch("touchMove", (x + 3, y))
        touch("touchEnd")
        until(page, "fitted => document.querySelector('#zoom').innerText !== fitted", fitted)
        page.keyboard.press("0")
        until(page, "fitted => document.querySelector('#zoom').innerText === fitted", fitted)

    page.keyboard.press("b")
    page.fill("#size", "7")
    pinch()
    drag(page, (20.5, 10.5), (40.5, 10.5))
    count(page, 1)
    pinch()
    drag(page, (20.5, 30.5), (40.5, 30.5))  # of the same edit
    when(page, lambda: len(kept(folder)["photo.png"].undo) == 2)
    (mask,) = masks(folder)
    assert mask[[10, 30], 30].all()
    assert not mask[40:].any()

    page.keyboard.press("a")
    pinch()
    page.keyboard.press("g")
    pinch()
    still(page)
    for corner in ((5.5, 5.5), (30.5, 5.5), (30.5, 30.5)):
        x, y = at(page, *corner)
        touch("touchStart", (x, y))
        touch("touchEnd")
    page.keyboard.press("Enter")
    count(page, 2)
    assert len(kept(folder)["photo.png"].edits[1]["region"]["polygon"]) == 3


COLOUR = f"at => ({AMBER})(at).join()"


def test_what_could_not_be_fetched_is_fetched_again(tabs: Show, base: str, photo: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    pixels = np.asarray(Image.open(photo))
    page.keyboard.press("r")
    still(page)
    place, expected = at(page, 20.5, 20.5), ",".join(map(str, pixels[20, 20]))
    assert page.evaluate(COLOUR, place) != expected
    thumb = "document.querySelector('#timeline li:last-child img').src"
    until(page, f"{thumb} !== ''")
    page.wait_for_timeout(500)
    before = page.evaluate(thumb)
    page.route(re.compile("/api/(frame|thumb)/"), lambda route: route.abort())
    drag(page, (5, 5), (50, 50))  # protect
    page.wait_for_selector("#message:has-text('cannot be reached')")
    page.wait_for_selector("#truth.exact")
    page.wait_for_timeout(1000)
    page.unroute(re.compile("/api/(frame|thumb)/"))
    until(page, f"at => ({COLOUR})(at) === '{expected}'", place)
    until(page, f"{thumb} !== '{before}'")


def test_a_late_answer_paints_over_no_newer_one(tabs: Show, base: str, photo: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    colour = """async () => {
        const { film } = await import("/static/sync.js");
        return [...(await film.frame("shown", 5)).getContext("2d").getImageData(2, 2, 1, 1).data].join();
    }"""
    before = page.evaluate(colour)
    asked: list[Any] = []
    page.route("**/api/frame/5?box*", lambda route: route.continue_() if asked else asked.append(route))
    page.evaluate(
        """async () => {
            const { film } = await import("/static/sync.js");
            for (let n = 0; n < 2; n++) { film.changed([[0, 0, 4, 4]]); film.frame("shown", 5); }
        }"""
    )
    when(page, lambda: bool(asked))
    page.wait_for_timeout(500)
    headers = {"X-Shape": "4,4,3", "X-Box": "0,0,4,4"}
    asked[0].fulfill(body=bytes(4 * 4 * 3), headers=headers)  # the older answer: black
    page.wait_for_timeout(500)
    assert page.evaluate(colour) == before


def test_a_tab_whose_picture_cannot_be_opened_shows_no_other(tabs: Show, photo: Path, folder: Path) -> None:
    with served(folder, Limits(sessions=1)) as (base, token):
        page = tabs(f"{base}/?token={token}")
        ran(page, photo)
        ran(tabs(f"{base}/?token={token}"), picture(photo.with_name("other.png"), 1))
        (found,) = [found for found in Store(folder).offered() if found.document.name == "photo.png"]
        found.input.write_bytes(b"damaged")
        page.reload()
        page.wait_for_selector("#message.error:visible")
        page.wait_for_timeout(500)
        assert page.is_visible("#message.error")
        assert page.is_visible("#empty")
        assert page.is_hidden("#timeline")


def test_a_slider_that_runs_the_policy_again_goes_on_from_where_it_is(tabs: Show, base: str, photo: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    value = round(100 * float(page.input_value("#plainer")))
    page.focus("#plainer")
    first = hold(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    second = hold(page)
    first()
    page.wait_for_timeout(1500)  # the first one is answered, and asked for again
    page.keyboard.press("ArrowRight")
    second()
    page.wait_for_selector("#truth.exact")
    until(page, "!document.querySelector('#working').checkVisibility()")
    assert round(100 * float(page.input_value("#plainer"))) == value + 3
