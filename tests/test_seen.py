"""Whichever way a picture comes in, what is seen in it says which policy takes it, if nobody does."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

import pixelrl
from conftest import Run
from pixelrl.agent import Agent
from pixelrl.auto import choose_by_text
from pixelrl.pictures.scale import Scale
from pixelrl.tasks.text_masks import text_mask

WORDS = "salt & pepper: specks of exactly black and white"
Pixels = npt.NDArray[np.uint8]


def salted(seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    clean = np.broadcast_to(np.linspace(60, 180, 64, dtype=np.uint8), (48, 64))
    return np.where(rng.random(clean.shape) < 0.3, 255 * rng.integers(0, 2, clean.shape), clean).astype(np.uint8)


def test_salt_and_pepper_is_seen_in_a_picture_a_folder_and_a_stack(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(salted()).save(folder / "one.png")
    Image.fromarray(np.stack([salted(1), salted(2), salted(3)], 2)).save(folder / "two.png")
    stack = [Image.fromarray(salted(seed)) for seed in range(3)]
    stack[0].save(folder / "three.tif", save_all=True, append_images=stack[1:])
    code, out, err = run("denoise", folder, "-o", tmp_path / "out", "--steps", "1", "--json")
    assert code == 0, err
    reports = {Path(report["input"]).stem: report for report in map(json.loads, out.splitlines())}
    policies = {name: report["policy"] for name, report in reports.items()}
    assert policies == {"one": "saltpepper-gray", "two": "saltpepper-color", "three": "saltpepper-gray"}
    assert {report["noise"]["words"] for report in reports.values()} == {WORDS}
    code, out, _ = run("denoise", folder / "one.png", "-o", tmp_path / "alone.png", "--steps", "1")
    assert f", {WORDS}: saltpepper-gray, " in out
    assert np.array_equal(
        pixelrl.denoise(salted()), pixelrl.load("saltpepper-gray")(salted() / 255, white=1.0, legibility=0).image
    )


@pytest.mark.parametrize(
    ("options", "words", "said"),
    [
        (["--strength", "0.5"], "because of --strength denoise-photo was taken", True),
        (["--gain", "2", "--read", "3"], "because of --gain and --read poisson-gaussian-gray was taken", True),
        (["--noise", "gaussian", "--sigma", "20"], "because of", False),  # whoever names it has looked
    ],
)
def test_a_number_that_means_other_noise_is_named(
    run: Run, tmp_path: Path, options: list[str], words: str, said: bool
) -> None:
    Image.fromarray(salted()).save(tmp_path / "one.png")
    stack = [Image.fromarray(salted(seed)) for seed in range(3)]
    stack[0].save(tmp_path / "three.tif", save_all=True, append_images=stack[1:])
    for name in ("one.png", "three.tif"):
        code, out, err = run("denoise", tmp_path / name, "-o", tmp_path / f"out-{name}", "--steps", "0", *options)
        assert code == 0, err
        assert (words in out) is said
        assert (f"{WORDS}; because of" in out) is said


def test_the_run_that_chose_the_policy_for_text_is_not_done_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.broadcast_to(np.linspace(60, 180, 120, dtype=np.uint8), (96, 120)).copy()
    pixels[text_mask(96, 120, 3, [], 14).numpy()] = 255
    Image.fromarray(pixels).save(tmp_path / "in.png")
    asked: Counter[str] = Counter()
    call = Agent.__call__

    def counted(agent: Agent, *arguments: Any, **named: Any) -> Any:
        asked[agent.name] += 1
        return call(agent, *arguments, **named)

    monkeypatch.setattr(Agent, "__call__", counted)
    options: tuple[tuple[object, ...], ...]
    options = (("--legibility", "0", "--trace", tmp_path / "a.npz"), ("--legibility", "0.3"), ("--steps", "1"))
    for number, more in enumerate(options):
        asked.clear()
        code, _, err = run("restore", tmp_path / "in.png", "-o", tmp_path / f"{number}.png", *more)
        assert code == 0, err
        assert asked == {"restore-gray": 1 if number == 0 else 2, "restore-color": 1}
    run("restore", tmp_path / "in.png", "-o", tmp_path / "named.png", "--legibility", "0", "--policy", "restore-gray")
    named = np.asarray(Image.open(tmp_path / "named.png"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "0.png")), named)
    assert np.array_equal(pixelrl.load_trace(tmp_path / "a.npz").replay(), named)
    asked.clear()
    assert np.array_equal((255 * pixelrl.restore(pixels)).round().clip(0, 255), named)
    assert asked == {"restore-gray": 1, "restore-color": 1}
    soft = Image.fromarray(np.broadcast_to(np.linspace(60, 180, 120, dtype=np.uint8), (96, 120)))
    ImageDraw.Draw(soft).text((4, 20), "The quick\nbrown fox", fill=255, font=ImageFont.load_default(22))
    asked.clear()
    restored = pixelrl.restore(np.asarray(soft))
    assert asked == {"restore-gray": 1, "restore-color": 1}
    by_color = pixelrl.load("restore-color", "cpu")(np.asarray(soft) / np.float32(255), white=1.0, legibility=0)
    assert np.array_equal(restored, by_color.image)


def test_stripes_of_the_picture_itself_are_no_letters_left_behind() -> None:
    """Where a second look at what ``restore-gray`` made decided, they were most of what was found."""
    waves = 128 + 60 * np.sign(np.sin(np.arange(160) / 2)) * np.ones((128, 1))
    pixels = cv2.GaussianBlur(waves, (0, 0), 0.5).astype(np.uint8)
    pixels[text_mask(128, 160, 3, [], 14).numpy()] = 255
    found = choose_by_text([pixels], Scale(0, 255), lambda name: pixelrl.load(name, "cpu"))
    assert (found.policy, found.found) == ("restore-gray", True)
