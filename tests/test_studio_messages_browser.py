"""What the studio says in Chromium is so while it is said, and what waits is done to the picture that was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pixelrl.studio.store import Store
from tabs import served
from test_studio_browser import drag, until
from test_studio_safety_browser import Show, base, count, folder, kept, photo, picture, ran, tabs
from test_studio_strokes_browser import hold, masks, when

__all__ = ["base", "folder", "photo", "tabs"]
pytestmark = pytest.mark.pages

GONE = "document.querySelector('#message').hidden"


def test_that_the_studio_cannot_be_reached_is_said_no_longer_than_it_is_so(tabs: Show, base: str, photo: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    page.route("**/api/**", lambda route: route.abort())
    page.click("#sessions-open")
    page.wait_for_selector("#message:has-text('cannot be reached')")
    page.keyboard.press("Escape")
    page.wait_for_timeout(1000)
    assert page.is_visible("#message:has-text('cannot be reached')")
    page.unroute("**/api/**")
    until(page, GONE)

    page.evaluate("import('/static/messages.js').then(({ say }) => say('Something else.'))")
    page.wait_for_timeout(9000)  # it is asked for news meanwhile
    assert page.inner_text("#message span") == "Something else."


def test_that_a_run_cannot_be_read_is_said_until_there_is_another(tabs: Show, photo: Path, folder: Path) -> None:
    with served(folder) as (base, token):
        ran(tabs(f"{base}/?token={token}"), photo)
    (found,) = Store(folder).offered()
    found.trace.write_bytes(found.trace.read_bytes()[:-50])
    with served(folder) as (base, token):
        page = tabs(f"{base}/?token={token}")
        page.click("#recent .resume")
        page.wait_for_selector("#message:has-text('what the policy did here cannot be read any more')")
        page.select_option("#policy", "denoise-color")
        page.click("#run")
        page.wait_for_selector("#truth.exact")
        until(page, GONE)
        page.reload()
        page.wait_for_selector("#truth.exact")
        assert page.is_hidden("#message")


def test_a_note_that_is_not_so_any_more_leaves_nothing_behind(tabs: Show, base: str, photo: Path) -> None:
    page = tabs(base)
    ran(page, photo)
    said: dict[str, object] = {"found": "as it was seen", "notes": ["a note"]}

    def changed(route: Any) -> None:
        answer = route.fetch()
        state = answer.json()
        state["session"].update(said)
        route.fulfill(response=answer, json=state)

    page.route("**/api/state*", changed)
    page.reload()
    page.wait_for_selector("#message:has-text('photo.png: as it was seen; a note.')")
    said.update(notes=[])
    page.wait_for_selector("#message:has-text('photo.png: as it was seen.')")
    said.update(notes=["another"])
    page.wait_for_selector("#message:has-text('photo.png: as it was seen; another.')")
    said.update(found="", notes=[])
    until(page, GONE)


def object_of(folder: Path, name: str) -> npt.NDArray[np.bool_] | None:
    """The object that was chosen in a picture, as it lies on the disk."""
    (found,) = [found for found in Store(folder).offered() if found.document.name == name]
    region: Any = found.document.settings()["region"]
    return None if region is None else np.asarray(Image.open(found.path / region["mask"])) > 0


@pytest.mark.parametrize("what", ["edit", "object"])
def test_an_eraser_that_waits_takes_from_the_picture_it_was_drawn_on(
    tabs: Show, base: str, photo: Path, folder: Path, what: str
) -> None:
    page, policy = tabs(base), "saliency-edit" if what == "object" else "denoise-color"

    def painted(*places: tuple[float, float]) -> None:
        page.keyboard.press("b")
        if what == "object":
            page.click("#object-choose")
        page.fill("#size", "7")
        drag(page, *places)
        page.wait_for_selector("#object-said:has-text('chosen')" if what == "object" else "#edits li")
        page.wait_for_selector("#truth.exact")

    other = picture(photo.with_name("other.png"), 1)
    ran(page, other, policy)
    painted((8.5, 50.5), (50.5, 50.5))  # where nothing of the picture is that the eraser is drawn on
    ran(page, photo, policy)
    painted((10.5, 10.5), (40.5, 10.5))
    before = len(kept(folder)["photo.png"].undo)
    let_go = hold(page)
    drag(page, (10.5, 25.5), (40.5, 25.5))
    page.keyboard.press("e")
    drag(page, (20.5, 5.5), (20.5, 30.5))
    page.click("#sessions-open")
    page.click("#sessions .resume:has-text('other.png')")
    until(page, "document.title.startsWith('other.png')")
    let_go()
    when(page, lambda: len(kept(folder)["photo.png"].undo) == before + 2)
    mask = object_of(folder, "photo.png") if what == "object" else masks(folder)[0]
    assert mask is not None
    assert mask[[10, 10, 25, 25], [12, 35, 12, 35]].all()
    assert not mask[[10, 25, 50], [20, 20, 20]].any()
    assert page.is_hidden("#message")
    assert page.evaluate("document.title").startswith("other.png")
    if what == "edit":
        count(page, 1)
