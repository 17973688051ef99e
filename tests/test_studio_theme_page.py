"""The studio in light and dark: what the system asks for, what a person chose, and that it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import PATIENCE
from tabs import served
from test_studio_browser import until
from test_studio_page import picture, ran

pytestmark = pytest.mark.pages

FAINT = """() => {
    const parse = (text) => {
        const [r, g, b, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
        return [...[r, g, b].map((v) => text.startsWith('color(srgb') ? 255 * v : v), alpha];
    };
    const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
    const behind = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) {
            layers.push(parse(getComputedStyle(at).backgroundColor));
            if (layers.at(-1)[3] === 1) break;
        }
        return layers.reduceRight((under, layer) => over(layer, under), [255, 255, 255]);
    };
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = [];
    for (const node of document.body.querySelectorAll('*')) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        if (!own || node.closest('button:disabled, .chip, .skip, .unseen') || !node.checkVisibility()) continue;
        const ground = behind(node), ink = over(parse(getComputedStyle(node).color), ground);
        const [low, high] = [light(ink), light(ground)].sort((a, b) => a - b);
        const contrast = (high + 0.05) / (low + 0.05);
        if (contrast < 4.5) found.push(`${node.tagName} ${node.textContent.trim().slice(0, 30)}: ${contrast}`);
    }
    return found;
}"""
"""All that is written on the page with less than the contrast of 4.5 that WCAG 2.2 asks for (criterion 1.4.3)."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("sessions")) as (base, token):
        yield f"{base}/?token={token}"


def ground(page: Any) -> int:
    """How bright the page is behind the picture, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.querySelector('#stage')).backgroundColor")
    return int(colour.removeprefix("rgb(").split(",")[0])


def faint(page: Any) -> list[str]:
    """What cannot be read well in one of the two schemes, of which the page shows the one that the system asks for."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert (ground(page) > 128) == (scheme == "light")
        found += [f"{scheme}: {each}" for each in page.evaluate(FAINT)]
    return found


def test_everything_can_be_read(browser: Any, base: str, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(base)
    page.wait_for_selector("#open:visible")
    assert faint(page) == []
    ran(page, picture(tmp_path / "photo.png"))
    page.keyboard.press("b")
    page.click("#numbers summary")
    page.click("#whole")
    page.wait_for_selector("#edits li")
    assert faint(page) == []
    page.keyboard.press("h")
    page.fill("#pixel-x", "9")
    page.press("#pixel-x", "Enter")
    page.wait_for_selector("#story tbody tr")
    page.click("#save")
    assert faint(page) == []
    page.close()


def test_a_choice_is_remembered(browser: Any, base: str) -> None:
    with browser.new_context(color_scheme="dark") as context:
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        page.goto(base)
        page.wait_for_selector("#open:visible")
        assert ground(page) < 128
        page.click("#theme-turn")
        assert ground(page) > 128
        page.reload()
        page.wait_for_selector("#open:visible")
        assert ground(page) > 128
        other = context.new_page()
        other.goto(base)
        page.click("#help-open")
        page.click("[data-theme=dark]")
        assert ground(page) < 128
        until(other, "getComputedStyle(document.documentElement).colorScheme === 'dark'")  # every tab follows
        page.click("[data-theme=system]")
        page.emulate_media(color_scheme="light")
        assert ground(page) > 128
