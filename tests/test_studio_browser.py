"""The studio as a person uses it, in Chromium. Each test has a context of its own: they run alone and in any order."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser import PATIENCE
from pixelrl.cli import main
from pixelrl.studio.studio import Limits
from pixelrl.trace import load_trace
from tabs import call, served

SIDE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where sessions and files lie, and a noisy picture."""
    folder = tmp_path_factory.mktemp("studio")
    y, x = np.mgrid[:SIDE, :SIDE]
    clean = np.stack([3 * x, 3 * y, 200 - 2 * x], -1) + 40 * ((x // 16 + y // 16) % 2)[..., None]
    noisy = clean + np.random.default_rng(0).normal(0, 20, clean.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "photo.png")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder / "sessions", Limits()) as (base, token):
        yield f"{base}/?token={token}"


@pytest.fixture
def page(browser: Any, address: str, folder: Path) -> Iterator[Any]:
    """The studio in a context of its own, with the picture open and a policy run."""
    faults: list[str] = []
    with browser.new_context(accept_downloads=True, viewport={"width": 1280, "height": 720}) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(address)
        assert "token" not in page.url  # it does not stay in the address bar
        page.set_input_files("#file", folder / "photo.png")
        page.wait_for_selector("#run:visible")
        until(page, "document.querySelector('#policy').value === 'noise-as-seen'")
        page.select_option("#policy", "denoise-color")
        page.fill("#level", "20")
        page.click("#run")
        page.wait_for_selector("#timeline:visible")
        settled(page)
        yield page
    assert not faults, faults


def until(page: Any, expression: str, arg: object = None) -> None:
    """Wait for it. Playwright's own way needs eval in the page, which the studio's policy forbids."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(30)


def settled(page: Any) -> None:
    page.wait_for_selector("#truth.exact")


def at(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a place in the picture is on the screen."""
    place = page.evaluate(
        """() => {
            const b = document.querySelector('#canvas').getBoundingClientRect();
            return [b.left, b.top, b.width, b.height];
        }"""
    )
    until(page, "document.querySelector('#zoom').textContent !== ''")  # it has been drawn
    zoom = int(page.inner_text("#zoom").split()[0]) / 100
    # As the picture is fitted: in the middle, above the buttons.
    return (
        place[0] + (place[2] - SIDE * zoom) / 2 + x * zoom,
        place[1] + (place[3] - 36 - SIDE * zoom) / 2 + y * zoom,
    )


def still(page: Any) -> None:
    """Wait until the picture stays where it is: the end of a run changes what is above and beside it."""
    before, now = None, at(page, 0, 0)
    while now != before:
        page.wait_for_timeout(40)
        before, now = now, at(page, 0, 0)


def drag(page: Any, *places: tuple[float, float]) -> None:
    still(page)
    page.mouse.move(*at(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*at(page, *place), steps=4)
    page.mouse.up()


def values(page: Any) -> list[str]:
    """Of the last step in a pixel's story."""
    return page.locator("#story tbody tr").last.locator("b").all_inner_texts()


def story_ends(page: Any, expected: list[str]) -> None:
    cells = "[...document.querySelectorAll('#story tbody tr:last-child b')]"
    until(page, f"expected => {cells}.map(b => b.textContent).join() === expected", ",".join(expected))


def test_look_at_a_pixel(page: Any, folder: Path) -> None:
    assert page.locator("#timeline li").count() == 6
    page.keyboard.press("h")
    page.mouse.click(*at(page, 20.5, 30.5))
    page.wait_for_selector("#story tbody tr")
    assert (page.input_value("#pixel-x"), page.input_value("#pixel-y")) == ("20", "30")
    rows = page.locator("#story tbody tr")
    assert rows.count() == 6
    pixels = np.asarray(Image.open(folder / "photo.png"))
    assert rows.first.locator("b").all_inner_texts() == [str(value) for value in pixels[30, 20]]
    assert rows.nth(1).locator(".chip").count() == 3
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#pixel-x').value === '21'")
    page.keyboard.press("3")
    page.keyboard.press("o")
    page.wait_for_selector("#badge:has-text('After step 3 · operations')")
    page.keyboard.press("o")
    page.keyboard.press("End")


def test_paint_see_undo_save_and_apply_again(page: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.asarray(Image.open(folder / "photo.png"))
    settled(page)
    page.keyboard.press("h")
    page.mouse.click(*at(page, 20.5, 30.5))
    until(page, "document.querySelector('#pixel-x').value === '20'")
    before = values(page)
    assert before != [str(value) for value in pixels[30, 20]]
    page.keyboard.press("b")
    page.keyboard.press("p")
    drag(page, (15, 30.5), (40, 30.5))
    page.wait_for_selector("#edits li:has-text('Protect')")
    drag(page, (15, 40.5), (40, 40.5))  # the second stroke belongs to the same edit
    until(page, "!document.querySelector('#truth').textContent.includes('preview')")
    assert page.locator("#edits li").count() == 1
    story_ends(page, [str(value) for value in pixels[30, 20]])
    page.click("#undo")
    page.click("#undo")
    page.wait_for_selector("#no-edits:visible")
    story_ends(page, before)
    page.click("#redo")
    page.click("#redo")
    page.wait_for_selector("#edits li")
    page.keyboard.press("r")
    page.keyboard.press("f")
    page.select_option("#operation", "median")
    drag(page, (45, 5), (60, 20))
    page.wait_for_selector("#edits li:has-text('Force median')")
    page.keyboard.press("g")
    page.keyboard.press("s")
    for corner in ((4, 50), (20, 50), (12, 60)):
        page.mouse.click(*at(page, *corner))
    page.keyboard.press("Enter")
    page.wait_for_selector("#edits li:has-text('Stop')")
    page.keyboard.press("1")
    page.keyboard.press("a")
    page.keyboard.press("k")
    page.mouse.click(*at(page, 50.2, 50.5))
    until(page, "document.querySelectorAll('#edits li').length === 4")
    files = {}
    for what in ("picture", "trace", "edits", "report"):
        page.click("#save")
        with page.expect_download() as waited:
            page.click(f"[data-what={what}]")
        files[what] = folder / waited.value.suggested_filename
        waited.value.save_as(files[what])
    assert [files[what].name for what in files] == [
        "photo-result.png",
        "photo.npz",
        "photo-edits.zip",
        "photo-report.html",
    ]
    zipfile.ZipFile(files["edits"]).extractall(folder)
    out = folder / "again.png"
    again = ["pixelrl", "edit", str(files["trace"]), str(folder / "edits.json"), "-o", str(out)]
    monkeypatch.setattr(sys, "argv", again)
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    saved = np.asarray(Image.open(files["picture"]))
    assert np.array_equal(saved, np.asarray(Image.open(out)))
    assert np.array_equal(saved[30, 16:40], pixels[30, 16:40])
    assert not np.array_equal(saved, pixels)
    assert "<html" in files["report"].read_text()[:500].lower()


@pytest.mark.pages
def test_delete_and_reorder(page: Any) -> None:
    page.keyboard.press("r")
    said = "[...document.querySelectorAll('#edits li')].map(li => li.getAttribute('aria-label').match(/[0-9]+ px/)[0])"
    for n, size in enumerate((5, 6, 7, 8), 1):
        drag(page, (8 * n, 10), (8 * n + size, 10 + size))
        until(page, f"document.querySelectorAll('#edits li').length === {n}")
    sizes = page.evaluate(said)
    assert len(set(sizes)) == 4
    a, b, c, d = sizes
    for row, button, expected in (
        (2, "Earlier", [b, a, c, d]),
        (1, "Later", [a, b, c, d]),
        (3, "Later", [a, b, d, c]),
        (4, "Earlier", [a, b, c, d]),
        (1, "Delete", [b, c, d]),
        (3, "Delete", [b, c]),
    ):
        page.click(f"#edits li:nth-child({row}) [aria-label^={button}]")
        until(page, f"expected => {said}.join() === expected.join()", expected)
    settled(page)


@pytest.mark.pages
def test_live(page: Any) -> None:
    page.click("[data-mode=live]")
    page.wait_for_selector("#truth.exact:has-text('reaction'), #truth.exact:has-text('As the policy')")
    page.click("[data-mode=replay]")
    settled(page)


def test_compare_and_zoom(page: Any) -> None:
    page.keyboard.press("Escape")
    page.focus("#canvas")
    page.keyboard.press("c")
    page.wait_for_selector("#divider:visible")
    page.keyboard.press("c")
    page.keyboard.press("c")
    page.wait_for_selector("#divider", state="hidden")
    page.mouse.move(*at(page, 32, 32))
    for _ in range(4):
        page.mouse.wheel(0, -240)
    until(page, "parseInt(document.querySelector('#zoom').textContent) > 2000")
    page.keyboard.press("0")
    until(page, "parseInt(document.querySelector('#zoom').textContent) < 2000")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken.png", "broken.png: the PNG data are truncated"),
        ("bomb.png", "10000 x 10000 is 100 megapixels; at most 24 are read"),
        ("letter.txt", "letter.txt: its first bytes are not those of a picture"),
    ],
)
def test_what_cannot_be_opened(page: Any, folder: Path, name: str, words: str) -> None:
    from test_studio import header

    data = {
        "broken.png": (folder / "photo.png").read_bytes()[:700],
        "bomb.png": header(10_000, 10_000),
        "letter.txt": b"Dear pixels,",
    }[name]
    drop = """([name, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name));
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
    }"""
    page.evaluate(drop, [name, list(data)])
    page.wait_for_selector("#message[class=error]:visible")
    until(page, "w => document.querySelector('#message span').textContent.includes(w)", arg=words)
    assert page.is_visible("#timeline")  # what was open stays open


@pytest.mark.pages
def test_a_reload_and_a_new_start_lose_nothing(browser: Any, folder: Path, tmp_path: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        with served(tmp_path / "sessions") as (base, token):
            page.goto(f"{base}/?token={token}")
            page.set_input_files("#file", folder / "photo.png")
            page.click("#run")
            page.wait_for_selector("#truth.exact")
            page.keyboard.press("r")
            drag(page, (5, 5), (20, 20))
            page.wait_for_selector("#edits li")
            page.keyboard.press("p")
            drag(page, (25, 25), (40, 30))
            until(page, "document.querySelectorAll('#edits li').length === 2")
            page.reload()
            page.wait_for_selector("#truth.exact")
            assert page.locator("#edits li").count() == 2
        with served(tmp_path / "sessions") as (base, token):  # another server, the same folder
            page.goto(f"{base}/?token={token}")
            page.click("#recent .resume:has-text('photo.png')")
            page.wait_for_selector("#truth.exact")
            assert page.locator("#edits li").count() == 2


def download(page: Any, what: str, folder: Path) -> Path:
    page.click("#save")
    with page.expect_download() as waited:
        page.click(f"[data-what={what}]")
    waited.value.save_as(folder / waited.value.suggested_filename)
    return folder / waited.value.suggested_filename


@pytest.mark.pages
def test_paint_the_object(page: Any, folder: Path, tmp_path: Path) -> None:
    assert page.is_hidden("#object")  # nothing of it for policies that take none
    assert page.locator("[data-deed=object]").get_attribute("hidden") is not None
    outline = """ink => {
        const {width, height} = document.querySelector("#canvas");
        const {data} = document.querySelector("#canvas").getContext("2d").getImageData(0, 0, width, height);
        let count = 0;
        for (let i = 0; i < data.length; i += 4) if (ink.every((value, c) => data[i + c] === value)) count++;
        return count;
    }"""
    found, chosen = [0x7D, 0xB8, 0xFF], [0xFF, 0xD1, 0x66]
    with served(tmp_path / "sessions") as (base, token), page.context.browser.new_page(accept_downloads=True) as page:
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{base}/?token={token}")
        page.set_input_files("#file", folder / "photo.png")
        page.select_option("#policy", "saliency-edit")
        page.wait_for_selector("#level:visible")
        page.click("#run")
        page.wait_for_selector("#object-said:has-text('found')")
        assert page.is_hidden("#level")  # its place is in the panel now
        settled(page)
        until(page, f"({outline})({found}) > 100")
        page.uncheck("#object-shown")
        until(page, f"({outline})({found}) === 0")
        page.check("#object-shown")

        page.click("#object-choose")
        page.fill("#size", "8")
        drag(page, (12.5, 20.5), (40.5, 20.5))
        page.wait_for_selector("#object-said:has-text('chosen')")
        until(page, f"({outline})({chosen}) > 100")
        settled(page)
        drag(page, (40.5, 20.5), (40.5, 44.5))  # the second stroke belongs to the same object
        until(page, "parseInt(document.querySelector('#object-said').textContent.split(' ')[1]) > 360")
        settled(page)
        used = load_trace(download(page, "trace", tmp_path)).mask
        y, x = np.mgrid[:SIDE, :SIDE]
        across = np.hypot(x - x.clip(12, 40), y - 20)  # from the two strokes, in pixels
        down = np.hypot(x - 40, y - y.clip(20, 44))
        assert used[np.minimum(across, down) <= 3].all()
        assert not used[np.minimum(across, down) > 5].any()
        assert np.array_equal(np.asarray(Image.open(download(page, "object", tmp_path))), 255 * used)

        page.focus("#strength")
        page.keyboard.press("Home")
        while call(base, "GET", "/api/state").json()["session"]["condition"] != {"strength": -1}:
            page.wait_for_timeout(50)
        settled(page)
        assert page.inner_text("#strength-name") == "Attenuate"
        trace = load_trace(download(page, "trace", tmp_path))
        assert trace.condition == {"strength": -1.0}
        assert np.array_equal(trace.mask, used)

        page.click("#numbers summary")
        page.click("#whole")
        page.wait_for_selector("#message[class=error]:has-text('the mask is the whole image')")
        assert np.array_equal(load_trace(download(page, "trace", tmp_path)).mask, used)

        page.click("#undo")  # of the strength, and of the second stroke
        page.click("#undo")
        until(page, "parseInt(document.querySelector('#object-said').textContent.split(' ')[1]) < 300")
        settled(page)
        page.click("#object-found")
        page.wait_for_selector("#object-said:has-text('found,')")
        assert page.is_disabled("#object-found")


@pytest.mark.parametrize("width", [1280, 820])
def test_everything_has_a_name_and_nothing_hangs_over(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 720 if width == 1280 else 1180})
    nameless = """() => [...document.querySelectorAll(
        "button, input:not([type=file]), select, canvas, [role=slider]"
    )].filter((e) => e.checkVisibility()
        && !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length || e.title)
    ).map((e) => e.outerHTML)"""
    assert page.evaluate(nameless) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    elsewhere = """() => [...document.querySelectorAll("[src], link[href]")].map((e) => e.src || e.href)
        .filter((a) => !a.startsWith("blob:") && new URL(a).origin !== location.origin)"""
    assert page.evaluate(elsewhere) == []


def test_others_are_refused(address: str) -> None:
    base, token = re.match(r"(http://[^/]+)/\?token=(.+)", address).groups()
    for headers in (
        {},
        {"X-PixelRL-Token": "guess"},
        {"X-PixelRL-Token": token, "Origin": "http://evil.example"},
        {"X-PixelRL-Token": token, "Host": "evil.example"},
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(f"{base}/api/state", headers=headers))
        with refused.value:
            assert refused.value.code in (401, 403)
            assert json.load(refused.value)["error"]
    good = urllib.request.Request(f"{base}/api/state", headers={"X-PixelRL-Token": token})
    with urllib.request.urlopen(good) as answer:
        assert answer.status == 200


def test_another_web_page_cannot_use_it(page: Any, address: str, tmp_path: Path) -> None:
    base = address.partition("/?")[0]
    with page.context.browser.new_page() as page:
        page.set_default_timeout(1000 * PATIENCE)
        (tmp_path / "evil.html").write_text("<h1>evil</h1>")
        page.goto(f"file://{tmp_path}/evil.html")
        attack = "u => fetch(u, {method: 'POST', mode: 'no-cors', body: '{}'}).then(r => r.type, e => 'failed')"
        assert page.evaluate(attack, f"{base}/api/cancel") in ("opaque", "failed")  # sent perhaps, never readable
        read = "u => fetch(u, {headers: {'X-PixelRL-Token': 'x'}}).then(r => r.status, e => 'failed')"
        assert page.evaluate(read, f"{base}/api/state") == "failed"
