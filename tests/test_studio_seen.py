"""Tasks of the studio of which the picture says the policy, without a browser and with one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

import pixelrl
from pixelrl.pictures.formats import Picture
from pixelrl.studio.seeing import NOISE, TEXT, find
from pixelrl.tasks.text_masks import text_mask
from tabs import Tab, served
from test_studio import png
from test_studio_browser import until
from test_studio_page import Start, base, opened, start

__all__ = ["base", "start"]

SPECKS = "salt & pepper: specks of exactly black and white: Remove specks"
Pixels = npt.NDArray[np.uint8]


def ramp(*shape: int) -> Pixels:
    line = np.linspace(60, 180, shape[1], dtype=np.uint8)
    return np.broadcast_to(line.reshape(-1, *[1] * (len(shape) - 2)), shape).copy()


def salted(*shape: int) -> Pixels:
    rng = np.random.default_rng(0)
    return np.where(rng.random(shape) < 0.3, 255 * rng.integers(0, 2, shape), ramp(*shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("sessions")) as (base, _):
        yield base


@pytest.mark.parametrize(
    ("pixels", "policy", "said"),
    [
        (salted(48, 64), "saltpepper-gray", SPECKS),
        (salted(48, 64, 3), "saltpepper-color", SPECKS),
        (ramp(48, 64), "denoise-gray", "next to no noise (0.2 grey levels): the picture is left as it is"),
    ],
)
def test_the_noise_says_which_policy_runs(address: str, pixels: Pixels, policy: str, said: str) -> None:
    tab = Tab(address)
    tab.open(png(pixels))
    session = tab.run(NOISE)
    assert (session["policy"], session["found"]) == (policy, said)
    assert pixelrl.choose(pixels).policy == policy
    again = tab.run(policy)  # by its name; nothing is seen then
    assert (again["id"], again["found"]) == (session["id"], "")


def test_a_later_stage_sees_the_result_of_the_one_before(address: str) -> None:
    tab = Tab(address)
    tab.open(png(salted(48, 64)))
    tab.run(NOISE)
    assert tab.session is not None
    last = tab.session["stages"][-1]["id"]
    session = tab.wait(tab.post("/api/go-on", after=last, policy=NOISE, level="auto")["job"])
    assert not session["policy"].startswith("saltpepper")
    assert session["found"]


def test_text_on_a_grey_picture_says_which_policy_runs(address: str) -> None:
    drawn = Image.fromarray(ramp(100, 200))
    ImageDraw.Draw(drawn).text((10, 30), "Photo 1024", fill=255, font=ImageFont.load_default(24))
    hard = ramp(96, 120)
    hard[text_mask(96, 120, 3, [], 14).numpy()] = 255
    for pixels, policy in ((np.asarray(drawn), "restore-color"), (hard, "restore-gray")):
        tab = Tab(address)
        tab.open(png(pixels))
        session = tab.run(TEXT)
        assert (session["policy"], session["found"]) == (policy, f"by the text that is seen: {policy}")


def test_of_a_large_picture_samples_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[int, ...]] = []
    choose = pixelrl.choose

    def watched(pixels: Pixels, *more: Any) -> Any:
        looked.append(pixels.shape)
        return choose(pixels, *more)

    monkeypatch.setattr("pixelrl.studio.seeing.choose", watched)
    for name in ("pixelrl.studio.seeing", "pixelrl.blocks.plan"):
        monkeypatch.setattr(f"{name}.SAMPLE", 64)
        monkeypatch.setattr(f"{name}.SAMPLES", 4)
    checks: list[str] = []
    for shape in ((400, 300, 3), (400, 300), (128, 100)):
        found = find(NOISE, Picture(salted(*shape)), pixelrl.load, lambda share, label: checks.append(label))
        assert found.policy == ("saltpepper-color" if len(shape) == 3 else "saltpepper-gray")
    assert looked == [(256, 64, 3), (256, 64), (128, 100)]
    assert set(checks) == {"looking at the noise"}


@pytest.mark.pages
def test_whoever_only_presses_run_gets_what_is_seen(start: Start, tmp_path: Path) -> None:
    page = start()
    Image.fromarray(salted(48, 64, 3)).save(tmp_path / "specks.png")
    opened(page, tmp_path / "specks.png")
    assert page.input_value("#policy") == NOISE
    assert page.is_hidden("#level-field")
    page.click("#run")
    page.wait_for_selector("#truth.exact")
    page.wait_for_selector(f"#message:has-text('{SPECKS}.')")
    until(page, "document.querySelector('#policy').value === 'saltpepper-color'")
    assert page.inner_text("#run") == "Run again"
    # Once more by what is seen: the same policy, so no session of its own.
    page.click("#message [aria-label='Close the message']")
    page.select_option("#policy", NOISE)
    page.click("#run")
    page.wait_for_selector(f"#message:has-text('{SPECKS}.')")
    until(page, "document.querySelector('#policy').value === 'saltpepper-color'")
    # Another policy by its name begins a session, where nothing was seen.
    page.click("#message [aria-label='Close the message']")
    page.select_option("#policy", "denoise-photo")
    page.click("#run")
    until(page, "document.querySelector('#run').textContent === 'Run again'")
    page.wait_for_selector("#working", state="hidden")
    assert page.is_hidden("#message")


@pytest.mark.pages
def test_grey_pictures_have_the_task_for_text_that_looks(start: Start, tmp_path: Path) -> None:
    page = start()
    pixels = ramp(96, 120)
    pixels[text_mask(96, 120, 3, [], 14).numpy()] = 255
    Image.fromarray(pixels).save(tmp_path / "text.png")
    opened(page, tmp_path / "text.png")
    page.select_option("#policy", TEXT)
    page.click("#run")
    page.wait_for_selector("#message:has-text('by the text that is seen: restore-gray.')")
    until(page, "document.querySelector('#policy').value === 'restore-gray'")
    assert page.inner_text("#policy option:checked") == "Remove text (grey policy)"
