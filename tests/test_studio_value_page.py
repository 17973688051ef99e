"""What the studio says of single pixels: their values under the cursor, and how sure the policy was of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pixelrl.agent import load
from pixelrl.errors import UsageError
from pixelrl.report.asked import asked_again
from pixelrl.studio.sure import Sure
from tabs import studio_page
from test_studio_browser import at, until
from test_studio_page import ran


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    """The studio with a picture of 64 x 64 pixels in 16 bits, denoised."""
    y, x = np.mgrid[:64, :64]
    clean = np.stack([700 * x, 600 * y, 30000 - 200 * x], -1) + 1
    noisy = (clean + np.random.default_rng(0).normal(0, 3000, clean.shape)).clip(0, 65535).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), noisy[..., ::-1])
    with studio_page(tmp_path / "sessions") as page:
        ran(page, tmp_path / "deep.png")
        page.noisy = noisy
        yield page


def test_values_under_the_cursor_and_how_sure_the_policy_was(page: Any) -> None:
    def said(x: int, y: int) -> list[str]:
        page.mouse.move(*at(page, x + 0.5, y + 0.5))
        until(page, "start => document.querySelector('#value .at')?.textContent === start", f"x {x}  y {y}")
        return page.locator("#value .holds b").all_inner_texts()

    own = [" ".join(str(value) for value in page.noisy[y, x]) for x, y in ((20, 30), (21, 40))]
    before, after = said(20, 30)
    assert before == own[0]  # in the file's own numbers
    assert before != after
    assert "8 bit: " in page.inner_text("#value")
    assert said(21, 40)[0] == own[1]
    page.keyboard.press("Home")
    until(page, "document.querySelectorAll('#value .holds').length === 1")  # the input is the input
    page.mouse.move(5, 5)
    page.wait_for_selector("#value", state="hidden")

    page.keyboard.press("End")
    page.mouse.click(*at(page, 20.5, 30.5))
    page.click("#sure-ask")
    page.wait_for_selector("#sure table")
    rows = page.locator("#sure tbody tr")
    assert rows.count() == 5
    for t in range(5):  # without edits, what was done is what the policy held most likely
        done = page.locator("#story tbody tr").nth(t + 1).locator(".chip").all_inner_texts()
        assert [rows.nth(t).locator("td").nth(g).locator(".chip").first.inner_text() for g in range(3)] == done
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#sure", state="hidden")  # it was of another pixel


def test_a_part_of_the_picture_says_what_the_whole_says() -> None:
    agent = load("denoise-gray", "cpu")
    noisy = np.random.default_rng(0).normal(120, 25, (16, 700)).clip(0, 255).astype(np.uint8)
    trace = agent(noisy, sigma=25).trace()
    n = len(trace.action_names)
    whole = torch.stack(
        [
            100 * answer.reshape(n, *answer.shape[-2:])
            for answer in asked_again(trace, agent, lambda logits: logits.float().softmax(1).flatten(1, 2), tile=None)
        ]
    )  # (t, n, h, w)
    # The least sure agent of those around which it looks at less than the picture.
    y, x = divmod(int(whole[..., :150].amax(1).amin(0).argmin()), 150)
    found = torch.tensor(Sure(agent, trace).of(x, y))
    assert found.shape == (5, 1, n)
    assert torch.allclose(found[:, 0], whole[..., y, x], atol=0.26)  # told in halves of a percent
    assert found.argmax(-1)[:, 0].tolist() == trace.actions[:, 0, y, x].tolist()
    assert found.max() > 50 > found[found > 0].min()
    assert found[:, 0].amax(1).min() < 90  # not all is clear


@pytest.mark.parametrize("kind", ["other noise elsewhere", "transparent elsewhere"])
def test_a_part_is_told_what_the_whole_picture_was_told(kind: str) -> None:
    agent = load("denoise-photo", "cpu")
    random = np.random.default_rng(0)
    level = np.where(np.arange(1400) < 700, 4, 25)[None, :, None]
    noisy = random.normal(120, 1, (32, 1400, 3)) + random.normal(0, 1, (32, 1400, 3)) * level
    noisy = np.concatenate([noisy, np.full((32, 1400, 1), 255)], -1)
    if kind == "transparent elsewhere":
        noisy[:, :700, 3] = 0
    trace = agent(noisy.clip(0, 255).astype(np.uint8), sigma=12).trace()
    x, y = 1390, 16
    found = torch.tensor(Sure(agent, trace).of(x, y))
    whole = torch.stack(
        [
            100 * answer[0, :, y, x]
            for answer in asked_again(trace, agent, lambda logits: logits.float().softmax(1).flatten(1, 2), tile=None)
        ]
    )
    assert torch.allclose(found.mT.flatten(1), whole, atol=0.26)
    assert found.argmax(-1).tolist() == trace.actions[:, :, y, x].tolist()


def test_who_takes_the_nearest_is_never_sure() -> None:
    agent = load("denoise-gray", "cpu")
    trace = agent(np.full((8, 8), 120, np.uint8), sigma=25, legibility=0.0).trace()
    with pytest.raises(UsageError, match=r"^denoise-gray, told legibility 0, takes what lies nearest to its estimate$"):
        Sure(agent, trace)
