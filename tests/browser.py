"""A headless Chromium for the tests of pages; they skip with the reason where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def browser_page(width: int = 1280, height: int = 720, **options: Any) -> Iterator[Any]:
    """A Playwright page of this size. What goes wrong in its scripts fails the test.

    PIXELRL_CHROMIUM names the browser; otherwise it is looked for where Debian puts it.
    """
    api = pytest.importorskip("playwright.sync_api", reason="no browser tests: the package playwright is not installed")
    chromium = os.environ.get("PIXELRL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no browser tests: no chromium is installed (apt install chromium, or set PIXELRL_CHROMIUM)")
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        except api.Error as error:
            pytest.skip(f"no browser tests: {chromium} cannot be started: {error.message.splitlines()[0]}")
        try:
            page = browser.new_page(viewport={"width": width, "height": height}, **options)
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            yield page
            assert not faults, faults
        finally:
            browser.close()
