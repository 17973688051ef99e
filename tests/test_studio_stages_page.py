"""Tasks that follow one another on one picture, in the page."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tabs import TOKEN, call
from test_studio_browser import until
from test_studio_page import base, picture, ran, start

__all__ = ["base", "start"]

pytestmark = pytest.mark.pages
Start = Callable[..., Any]
STAGES = "document.querySelectorAll('#stages li').length"


def go_on(page: Any, policy: str, level: str = "") -> None:
    """With another task, until its stage is shown and exact."""
    stages = page.evaluate(STAGES)
    page.click("#go-on")
    page.select_option("#further [name=policy]", policy)
    if level:
        page.fill("#further [name=level]", level)
    page.click("#further .primary")
    page.wait_for_selector(f"#stages li:nth-child({stages + 1}) > [aria-current=true]")
    until(page, "policy => document.querySelector('#policy').value === policy", policy)
    page.wait_for_selector("#truth.exact")


def at_stage(page: Any, number: int) -> None:
    page.click(f"#stages li:nth-child({number}) > button")
    page.wait_for_selector(f"#stages li:nth-child({number}) > [aria-current=true]")
    page.wait_for_selector("#truth.exact")


def result(base: str, number: int, page: Any) -> np.ndarray:
    """What the server gives as the picture of a stage of the picture that the page shows."""
    address = base.partition("/?")[0]
    shown = page.evaluate("sessionStorage.getItem('pixelrl-session')")
    stages = call(address, "GET", f"/api/state?session={shown}").json()["session"]["stages"]
    file = call(address, "GET", f"/api/export/stage?session={stages[number - 1]['id']}", TOKEN)
    return np.asarray(Image.open(io.BytesIO(file.content)))


def saved(page: Any, click: str) -> np.ndarray:
    with page.expect_download() as download:
        page.click(click)
    return np.asarray(Image.open(download.value.path()))


def test_a_look_on_what_was_cleaned_and_back_again(start: Start, base: str, tmp_path: Path) -> None:
    page = start()
    ran(page, picture(tmp_path / "photo.png"))
    assert page.evaluate(STAGES) == 1
    zoom = page.inner_text("#zoom")
    page.click("#zoom-in")
    until(page, "zoom => document.querySelector('#zoom').textContent !== zoom", zoom)
    zoom = page.inner_text("#zoom")
    go_on(page, "enhance-local-xpro")
    assert page.inner_text("#zoom") == zoom  # seen from the same place
    assert page.input_value("#policy") == "enhance-local-xpro"
    assert [text.split("\n")[:2] for text in page.locator("#stages li > button:first-child").all_inner_texts()] == [
        ["1", "Remove noise"], ["2", "Look: local cross-process"],
    ]  # fmt: skip
    before = result(base, 2, page)
    page.click("#save")
    assert page.locator("#save-menu [data-what=stage]").count() == 0
    assert np.array_equal(saved(page, "[data-what=picture]"), before)
    at_stage(page, 1)
    assert page.input_value("#policy") == "denoise-color"
    page.click("#save")
    assert np.array_equal(saved(page, "[data-what=picture]"), before)  # saving gives the last stage's picture
    page.click("#save")
    assert np.array_equal(saved(page, "[data-what=stage]"), result(base, 1, page))
    # A change of the first stage.
    page.keyboard.press("b")
    page.click("[data-deed=force]")
    page.click("#numbers summary")
    page.click("#whole")
    page.wait_for_selector("#edits li")
    page.wait_for_selector("#older:has-text('Stage 2 is of an older result.')")
    assert page.inner_text("#stages li:first-child .count") == "1"
    page.keyboard.press("h")
    at_stage(page, 2)
    assert page.locator("#edits li").count() == 0  # edits belong to their stage
    page.click("#save")
    page.click("[data-what=picture]")
    page.wait_for_selector("#message:has-text('Stage 2 is of an older result')")
    assert np.array_equal(saved(page, "#message button:has-text('Save it as it is')"), before)
    page.click("#save")
    page.click("[data-what=picture]")
    after = saved(page, "#message button:has-text('Bring it up to date')")
    page.wait_for_selector("#older", state="hidden")
    assert not np.array_equal(after, before)
    assert np.array_equal(after, result(base, 2, page))


def test_another_tab_sees_the_stages_change(start: Start, tmp_path: Path) -> None:
    page = start()
    ran(page, picture(tmp_path / "photo.png"))
    go_on(page, "denoise-color", "30")
    other = start()  # shows what was used last
    other.wait_for_selector("#timeline:visible")
    assert other.evaluate(STAGES) == 2
    other.keyboard.press("h")
    canvas = other.locator("#canvas").bounding_box()
    other.mouse.click(canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2 - 18)
    other.wait_for_selector("#story tbody tr")
    story = "[...document.querySelectorAll('#story tbody tr:first-child b')].map((b) => b.textContent).join()"
    read = other.evaluate(story)
    at_stage(page, 1)
    page.keyboard.press("b")
    page.click("[data-deed=force]")
    page.select_option("#operation", "grey level +16")
    page.click("#numbers summary")
    page.click("#whole")
    page.wait_for_selector("#older:visible")
    other.wait_for_selector("#older:visible")  # by itself
    page.click("#renew")
    page.wait_for_selector("#older", state="hidden")
    other.wait_for_selector("#older", state="hidden")
    until(other, f"read => {story} !== read", read)  # the stage begins with another picture now, here too
    page.click("#stages [aria-label^='Remove stage 2']")
    until(page, f"{STAGES} === 1")
    page.click("#message button:has-text('Undo')")
    until(page, f"{STAGES} === 2")
    page.wait_for_selector("#stages li:nth-child(2) > [aria-current=true]")
    page.reload()
    page.wait_for_selector("#stages li:nth-child(2) > [aria-current=true]")  # what this tab showed


def test_an_earlier_session_goes_on_with_its_last_stage(start: Start, tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.png", 44, 36)
    page = start(390, 700)
    ran(page, photo)
    go_on(page, "denoise-color", "20")
    across = "[document.documentElement.scrollWidth, document.querySelector('#below').scrollWidth]"
    assert max(page.evaluate(across)) <= 390  # nothing hangs over
    page.set_input_files("#file", photo)
    page.click("#message button:has-text('Continue')")
    page.wait_for_selector("#stages li:nth-child(2) > [aria-current=true]")
