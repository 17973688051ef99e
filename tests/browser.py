"""A headless Chromium for the tests of pages; they skip with the reason where there is none."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 120.0
"""Seconds until what does not happen in a page counts as not happening, for the machine may be busy."""
_running: list[Any] = []
"""Playwright and its browser, once they have been asked for."""


def chromium() -> Any:
    """The one browser of this process: starting one costs more than many a visit. Contexts keep the visits apart.

    PIXELRL_CHROMIUM names it; otherwise it is looked for where Debian puts it.
    """
    if _running and not _running[1].is_connected():  # it crashed, and the tests to come are not to blame
        end()
    if not _running:
        _running.extend(_start())
    return _running[1]


def end() -> None:
    """No process stays behind."""
    if _running:
        playwright, browser = _running
        _running.clear()
        browser.close()
        playwright.stop()


def _start() -> tuple[Any, Any]:
    api = pytest.importorskip("playwright.sync_api", reason="no browser tests: the package playwright is not installed")
    path = os.environ.get("PIXELRL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no browser tests: no chromium is installed (apt install chromium, or set PIXELRL_CHROMIUM)")
    playwright = api.sync_playwright().start()
    try:
        return playwright, playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    except api.Error as error:
        playwright.stop()
        pytest.skip(f"no browser tests: {path} cannot be started: {error.message.splitlines()[0]}")


@contextmanager
def browser_page(width: int = 1280, height: int = 720, **options: Any) -> Iterator[Any]:
    """A Playwright page of this size, in a context of its own. What goes wrong in its scripts fails the test."""
    with chromium().new_context(viewport={"width": width, "height": height}, **options) as context:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        yield page
        assert not faults, faults


def when(page: Any, happened: Callable[[], bool]) -> None:
    """Wait until it has happened, in the page or elsewhere."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        page.wait_for_timeout(30)
