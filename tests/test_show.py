"""The sheet that shows a trace: what it says must be what happened."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image as PillowImage

from pixelrl.actions import ACTIONS, PAPER_NINE
from pixelrl.errors import InputError
from pixelrl.imaging.metrics import psnr
from pixelrl.pictures.arrays import Array
from pixelrl.pictures.values import array_to_tensor
from pixelrl.report.maps import action_map_image, caption, majority, plainness, shares, telling_window
from pixelrl.report.strip import strip
from pixelrl.trace import Trace

NAMES = ("do nothing", "box", "median")
GREY, DARK_GREEN, PURPLE = (0xDE, 0xDE, 0xDE), (0x12, 0x2E, 0x00), (0x82, 0x19, 0x62)  # their colours in ACTIONS


def make_trace(
    h: int, w: int, steps: int, c: int = 0, g: int = 1, dtype: str = "uint8", names: tuple[str, ...] = NAMES
) -> Trace:
    rng = np.random.default_rng(7)
    pixels = rng.integers(100, 110, (h, w, c) if c else (h, w)) / 255
    scale = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    actions = rng.integers(0, len(names), (steps, g, h, w), dtype=np.uint8)
    return Trace((pixels * scale).astype(dtype), actions, names, "some-policy", {"sigma": 25.0})


def count(sheet: PillowImage.Image, color: tuple[int, ...]) -> int:
    return int((np.asarray(sheet) == np.array(color)).all(-1).sum())


def test_an_action_map_has_the_colours_of_its_actions_and_no_others() -> None:
    actions = np.array([[0, 1], [2, 2], [1, 0]], dtype=np.uint8)
    image = action_map_image(actions, NAMES)
    assert (image.size, image.mode) == ((2, 3), "RGB")
    assert np.asarray(image).tolist() == [
        [list(GREY), list(DARK_GREEN)],
        [list(PURPLE), list(PURPLE)],
        [list(DARK_GREEN), list(GREY)],
    ]


def test_shares_are_the_counted_ones() -> None:
    actions = np.array([[[[0, 0], [0, 2]]], [[[1, 2], [2, 1]]]], dtype=np.uint8)
    trace = Trace(np.zeros((2, 2), np.uint8), actions, NAMES, "p")
    np.testing.assert_array_equal(shares(trace), [[0.75, 0, 0.25], [0, 0.5, 0.5]])


def test_shares_count_the_agents_of_all_channels() -> None:
    actions = np.array([[[[0]], [[1]], [[1]]]], dtype=np.uint8)
    trace = Trace(np.zeros((1, 1, 3), np.uint8), actions, NAMES, "p")
    np.testing.assert_allclose(shares(trace), [[1 / 3, 2 / 3, 0]])


def test_shares_sum_to_one_and_exist_for_no_steps() -> None:
    trace = make_trace(13, 17, 4, names=PAPER_NINE)
    np.testing.assert_allclose(shares(trace).sum(1), np.ones(4), rtol=1e-12)
    assert shares(make_trace(13, 17, 0)).shape == (0, 3)


def test_how_plain_maps_are() -> None:
    trace = make_trace(30, 40, 3, c=3, g=3)
    trace.actions[1] = 2
    bits, alike = plainness(trace)
    assert bits == pytest.approx([3 * np.log2(3), 0, 3 * np.log2(3)], rel=0.02)  # three agents, three actions each
    assert alike == pytest.approx([1 / 3, 1, 1 / 3], abs=0.03)
    assert plainness(make_trace(3, 3, 0)) == ([], [])


def test_the_sheet_says_how_plain_the_maps_are() -> None:
    """In its heading and below each step: sheets of maps that differ in nothing else do not look alike."""
    plain = make_trace(12, 12, 1)
    plain.actions[0, 0] = np.arange(12) < 6
    shuffled = replace(plain, actions=np.random.default_rng(1).permuted(plain.actions.ravel()).reshape(1, 1, 12, 12))
    first, other = (np.asarray(strip(trace)).astype(int) for trace in (plain, shuffled))
    assert shares(plain).tolist() == shares(shuffled).tolist()
    rows = np.flatnonzero((first != other).any((1, 2)))
    assert rows[0] < 94  # the heading
    assert rows[-1] > len(first) - 44 - 2 * 30  # the last two lines of the table


def test_majority_of_a_map_counted_by_hand() -> None:
    actions = np.array(
        [
            [0, 1, 2, 2, 1],
            [1, 1, 2, 0, 2],
            [2, 1, 0, 0, 2],
        ],
        dtype=np.uint8,
    )
    # Cells of 2 x 2: {0,1,1,1}, {2,2,2,0}, {1,2}: a tie, so the first; then {2,1}: a tie, {0,0}, {2}.
    assert majority(actions, 2, 3).tolist() == [[1, 2, 1], [1, 0, 2]]
    assert majority(actions, 3, 3).tolist() == [[1, 2]]  # {0,1,2,1,1,2,2,1,0}: four 1s; {2,1,0,2,0,2}: three 2s


@pytest.mark.parametrize(
    ("h", "w", "steps", "with_reference"),
    [
        (1, 1, 2, False),
        (1, 1, 0, True),
        (3, 500, 3, False),
        (500, 3, 3, True),
        (40, 50, 7, True),
        (20, 30, 20, False),
        (800, 1200, 1, True),
    ],
)
def test_pictures_of_any_size_and_number_of_steps(h: int, w: int, steps: int, with_reference: bool) -> None:
    trace = make_trace(h, w, steps)
    sheet = strip(trace, trace.pixels if with_reference else None)
    assert sheet.mode == "RGB"
    assert 200 < sheet.width <= 2400
    assert 200 < sheet.height <= 4000


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_every_dtype_is_shown_as_8_bit(dtype: str) -> None:
    plain = make_trace(8, 8, 1)
    pixels: Array = (plain.pixels / np.float64(255) * {"uint8": 255, "uint16": 65535}.get(dtype, 1)).astype(dtype)
    same = Trace(pixels, plain.actions, plain.action_names, plain.policy, plain.condition)
    difference = np.asarray(strip(same)).astype(int) - np.asarray(strip(plain))
    assert np.abs(difference).max() <= 1  # a result that falls on a half may round either way


def test_values_out_of_range_are_clipped_not_wrapped() -> None:
    pixels = np.array([[-0.5, 1.5]], dtype=np.float32)
    sheet = strip(Trace(pixels, np.zeros((0, 1, 1, 2), np.uint8), NAMES, "p"))
    # The panel is two pixels at 420 // 2 = 210 times their size, the left one black; the right one is white.
    assert 210 * 210 <= count(sheet, (0, 0, 0)) < 210 * 210 + 100


def test_small_action_maps_are_enlarged_without_new_colours() -> None:
    """Every pixel of a 10 x 10 map becomes a square; swatches and bars of the table come on top."""
    actions = np.zeros((1, 1, 10, 10), np.uint8)
    actions[0, 0, :5] = 1
    sheet = strip(Trace(np.full((10, 10), 128, np.uint8), actions, NAMES, "p"))
    side = 420  # ten pixels, 42 times enlarged: the longest side a panel may have
    table = {GREY: 29 * 21 + 21 * (side - 88), DARK_GREEN: 29 * 21 + 21 * (side - 88), PURPLE: 29 * 21}
    for color, extra in table.items():
        squares = 0 if color == PURPLE else side * side // 2
        assert squares + 0.9 * extra < count(sheet, color) < squares + 1.1 * extra + 25
    sums = np.asarray(sheet).astype(int)
    near_map = sums[..., 1] - sums[..., 0]  # only a colour mixed of dark green and grey would lie in between
    assert not ((near_map > 2) & (near_map < 0x2E - 0x12)).any()


def test_one_agent_per_channel_is_shown_channel_by_channel() -> None:
    actions = np.zeros((1, 3, 5, 5), np.uint8)
    actions[0, 1] = 1
    actions[0, 2] = 2
    one = strip(Trace(np.full((5, 5, 3), 90, np.uint8), actions[:, :1], NAMES, "p"))
    three = strip(Trace(np.full((5, 5, 3), 90, np.uint8), actions, NAMES, "p"))
    assert three.height > one.height + 2 * 400
    for color in (GREY, DARK_GREEN, PURPLE):
        assert 420 * 420 < count(three, color) < 1.2 * 420 * 420
    assert count(one, PURPLE) < 1000


def test_every_step_has_its_own_map_and_colours_stay_in_order() -> None:
    actions = np.array([1, 2], np.uint8).reshape(2, 1, 1, 1)
    sheet = strip(Trace(np.array([[[200, 30, 60]]], np.uint8), actions, NAMES, "p"))
    for color in (DARK_GREEN, PURPLE):  # once each: 420 x 420, and less than half of that again in the table
        assert 420 * 420 <= count(sheet, color) < 1.5 * 420 * 420
    assert count(sheet, (200, 30, 60)) == 3 * 420 * 420  # filters leave a single pixel as it is


def test_a_large_picture_comes_with_the_most_diverse_detail() -> None:
    """Only one corner's pixels use a third action, one by one; the detail shows it in squares of 5 x 5."""
    actions = np.zeros((1, 1, 800, 800), np.uint8)
    actions[0, 0, 780:, 780::2] = 2
    actions[0, 0, 780:, 781::2] = 1
    sheet = strip(Trace(np.full((800, 800), 128, np.uint8), actions, NAMES, "p"))
    # 800 / 2 = 400 pixels a panel, 40 x 40 cells at 5 each = 80 pixels of detail; the frame is on the picture.
    expected = 20 * 10 * 25
    assert expected < count(sheet, PURPLE) < 1.5 * expected
    assert count(sheet, (0xFF, 0x2D, 0x55)) > 100
    assert count(strip(make_trace(60, 60, 1)), (0xFF, 0x2D, 0x55)) == 0


def test_the_detail_has_content() -> None:
    """Choices are as diverse everywhere, and the picture is flat but for its noise and one object."""
    rng = np.random.default_rng(3)
    pixels = np.full((400, 600), 60.0)
    pixels[290:350, 470:530] = 200
    pixels = np.clip(pixels + rng.normal(0, 20, pixels.shape), 0, 255).astype(np.uint8)
    actions = rng.integers(0, 3, (2, 1, 400, 600), dtype=np.uint8)
    left, top, right, bottom = telling_window(Trace(pixels, actions, NAMES, "p"), 20)
    assert (right - left, bottom - top) == (40, 40)
    seen = pixels[top:bottom, left:right]
    assert 0.1 < (seen > 130).mean() < 0.9


def test_captions_state_the_psnr_of_the_metric() -> None:
    clean = np.full((4, 4), 100, np.uint8)
    noisy = clean.copy()
    noisy[0, 0] = 140
    # Mean squared error 40^2 / 16 = 100, so 10 log10(255^2 / 100) = 28.13 dB.
    image, target = array_to_tensor(noisy), array_to_tensor(clean)
    assert caption("result", image, target) == "result   28.13 dB"
    assert caption("result", image, target) == f"result   {psnr(image, target).item():.2f} dB"
    assert caption("input", image, None) == "input"
    assert caption("input", target, target) == "input   inf dB"


def test_a_reference_is_shown_beside_the_result() -> None:
    trace = make_trace(16, 16, 2)
    reference: npt.NDArray[np.uint8] = np.full((16, 16), 37, np.uint8)
    # 16 pixels at 420 // 16 = 26 times their size.
    assert (16 * 26) ** 2 <= count(strip(trace, reference), (37, 37, 37)) < (16 * 26) ** 2 + 500
    assert count(strip(trace), (37, 37, 37)) < 500


def test_a_reference_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(3, 4\).*\(4, 3\)"):
        strip(make_trace(4, 3, 1), np.zeros((3, 4), np.uint8))


def test_other_channel_counts_show_the_first_channel() -> None:
    pixels = np.full((4, 4, 2), 200, np.uint8)
    pixels[..., 0] = 37
    sheet = strip(Trace(pixels, np.zeros((0, 1, 4, 4), np.uint8), NAMES, "p"))
    assert count(sheet, (37, 37, 37)) >= 400 * 400
    assert count(sheet, (200, 200, 200)) < 500


def test_an_odd_policy_name_does_not_break_the_title() -> None:
    odd = "two\nlines σ " + "x" * 1000
    trace = Trace(np.zeros((2, 2), np.uint8), np.zeros((1, 1, 2, 2), np.uint8), NAMES, odd)
    assert strip(trace).width < 2400


def test_drawing_is_deterministic_and_leaves_the_trace_alone() -> None:
    trace = make_trace(30, 31, 2, c=3, g=3, names=PAPER_NINE)
    pixels, actions = trace.pixels.copy(), trace.actions.copy()
    assert strip(trace).tobytes() == strip(trace).tobytes()
    np.testing.assert_array_equal(trace.pixels, pixels)
    np.testing.assert_array_equal(trace.actions, actions)


def test_the_pictures_shown_are_the_replayed_ones() -> None:
    """Two steps of +1 grey level on a flat picture: three panels, of three neighbouring grey levels."""
    names = ("grey level +1", "do nothing")
    trace = Trace(np.full((6, 6), 50, np.uint8), np.zeros((2, 1, 6, 6), np.uint8), names, "p")
    sheet = strip(trace)
    for level in (50, 51, 52):
        assert count(sheet, (level, level, level)) >= 420 * 420
    assert int(torch.from_numpy(trace.replay()).max()) == 52
    assert set(names) <= set(ACTIONS)
