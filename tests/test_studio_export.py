"""The result in another format, depth, quality or size."""

from __future__ import annotations

import io
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from browser import browser_page
from pixelrl.errors import UsageError
from pixelrl.studio.wished import Wish, wish
from tabs import Tab, served
from test_studio_browser import until


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("sessions")) as (base, _):
        yield base


@pytest.fixture(scope="module")
def tab(base: str) -> Tab:
    """A grey picture of 40 x 20 pixels in 16 bits, with transparency, denoised."""
    tab = Tab(base)
    values = np.random.default_rng(0).normal(30000, 2000, (20, 40)).astype(np.uint16)
    opaque = np.full_like(values, 65535)
    opaque[:, :10] = 0
    _, data = cv2.imencode(".png", np.stack([values, values, values, opaque], -1))
    tab.open(data.tobytes(), "deep.png")
    tab.wait(tab.post("/api/run", policy="denoise-gray", level=8)["job"])
    return tab


def taken(tab: Tab, query: str) -> tuple[bytes, str]:
    answer = tab.get(f"/api/export/picture{query}")
    assert answer.is_success, answer.text
    return answer.content, urllib.parse.unquote(answer.headers["x-notes"])


def test_formats_depths_and_sizes(tab: Tab) -> None:
    plain, _ = taken(tab, "")
    whole = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
    assert whole.dtype == np.uint16

    png, notes = taken(tab, "?format=png&depth=uint8")
    eight = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(eight, np.rint(whole / 257).astype(np.uint8))
    assert notes == ""

    tiff, _ = taken(tab, "?format=tiff&depth=float32&quality=&side=")
    values = cv2.imdecode(np.frombuffer(tiff, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.allclose(values[..., :3], whole[..., :3] / 65535, atol=1e-6)

    fine, coarse = (taken(tab, f"?format=jpeg&quality={quality}")[0] for quality in (95, 20))
    assert len(coarse) < len(fine)
    jpeg, notes = taken(tab, "?format=jpeg&side=10")
    small = Image.open(io.BytesIO(jpeg))
    assert (small.format, small.size) == ("JPEG", (10, 5))
    assert "transparency" in notes
    wanted = whole[..., 0].reshape(5, 4, 10, 4).mean((1, 3)) / 257
    assert np.abs(np.asarray(small.convert("L")) - wanted).mean() < 4  # means of what was there, and JPEG's loss

    webp, _ = taken(tab, "?format=webp&side=4000")  # nothing is enlarged
    kept = np.asarray(Image.open(io.BytesIO(webp)).convert("RGBA"))
    assert np.array_equal(kept[..., 3], eight[..., 3])
    assert np.array_equal(kept[..., 0], eight[..., 0])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "format"),
        ({"format": "gif"}, "png, jpeg, tiff, webp"),
        ({"format": "png", "quality": "80"}, "loses nothing"),
        ({"format": "jpeg", "quality": "101"}, "1 to 100"),
        ({"format": "jpeg", "depth": "uint16"}, "uint8"),
        ({"format": "png", "side": "-3"}, "whole number"),
    ],
)
def test_what_cannot_be_is_refused(query: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        wish(query)
    assert wish({"format": "webp", "quality": "80", "depth": "", "side": "9"}) == Wish("webp", 80, None, 9)


def test_the_dialog(tab: Tab, base: str, tmp_path: Path) -> None:
    with browser_page() as page:
        page.goto(f"{base}/?token=a-token")
        page.wait_for_selector("#timeline:visible")
        page.click("#save")
        page.click("[data-what=as]")
        page.wait_for_selector("#export:visible")
        said = "words => document.querySelector('#export-said').textContent.includes(words)"
        assert page.input_value("[name=depth]") == "uint16"  # as the input
        page.select_option("[name=depth]", "uint8")
        until(page, said, "rounded")
        page.select_option("#export [name=format]", "jpeg")
        until(page, said, "transparency is not")
        page.fill("[name=side]", "20")
        until(page, said, "20 × 10 pixels")
        with page.expect_download() as download:
            page.click("#export .primary")
        download.value.save_as(tmp_path / "taken.jpg")
        assert download.value.suggested_filename == "deep-result.jpg"
        with Image.open(tmp_path / "taken.jpg") as image:
            assert image.size == (20, 10)
        page.wait_for_selector("#message:has-text('no place for transparency')")
