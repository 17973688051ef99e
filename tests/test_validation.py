"""Data from outside against a Struct: every fault is one sentence that names the field, the value and what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from msgspec import UNSET, Meta, Struct, UnsetType, field

import pixelrl
from pixelrl.envs.pictures import built_in, photos_for
from pixelrl.envs.pixel import PixelEnv
from pixelrl.errors import InputError, PixelRLError, UsageError
from pixelrl.evaluate import evaluate
from pixelrl.pictures.files import Picture, read_picture, write_picture
from pixelrl.report.animation import draw, frames
from pixelrl.report.page import report_html
from pixelrl.tasks import GaussianDenoising, build_task
from pixelrl.trace import Trace
from pixelrl.training.data import Photo, load_pairs, load_photos
from pixelrl.training.recipe import read_recipe
from pixelrl.training.shipped import find_recipe
from pixelrl.validation import check_arguments, check_box, checked, shown

ONE = Trace(np.full((4, 5), 9, np.uint8), np.zeros((1, 1, 4, 5), np.uint8), ("do nothing", "box"), "p")

Whole = Annotated[int, Meta(ge=1, le=100, description="a whole number from 1 to 100")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]


class Inner(Struct, forbid_unknown_fields=True):
    share: Share = 0.5
    sizes: Annotated[list[Whole], Meta(min_length=1, description="a list of sizes")] | UnsetType = UNSET


class Outer(Struct, forbid_unknown_fields=True):
    count: Whole
    inner: Inner = field(default_factory=Inner)
    way: Annotated[Literal["up", "down"], Meta(description="up or down")] = "up"

    def __post_init__(self) -> None:
        if self.count == 13:
            raise ValueError("13 is bad luck")


def test_what_fits() -> None:
    assert checked({"count": 3, "inner": {"share": 1}}, Outer) == Outer(3, Inner(1.0))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (5, "it = 5 must have some of the fields count, inner, way"),
        ({}, "count is missing; it must be a whole number from 1 to 100"),
        ({"count": 0}, "count = 0 must be a whole number from 1 to 100"),
        ({"count": 2.0}, "count = 2.0 must be a whole number from 1 to 100"),
        ({"count": True}, "count = true must be a whole number from 1 to 100"),
        ({"count": 10**400}, f"count = {10**99}… must be a whole number from 1 to 100"),
        ({"count": 10**9999}, "count = a value too long to be shown must be a whole number from 1 to 100"),
        ({"count": 13}, "13 is bad luck"),
        ({"count": 3, "cuont": 1}, "cuont is unknown; known are count, inner, way"),
        ({"count": 3, "inner": {"x": 1}}, "inner.x is unknown; known are inner.share, inner.sizes"),
        ({"count": 3, "inner": 3}, "inner = 3 must have some of the fields inner.share, inner.sizes"),
        ({"count": 3, "inner": {"share": float("nan")}}, "inner.share = NaN must be a number from 0 to 1"),
        ({"count": 3, "inner": {"share": float("inf")}}, "inner.share = Infinity must be a number from 0 to 1"),
        ({"count": 3, "inner": {"share": 10**400}}, f"inner.share = {10**99}… must be a number from 0 to 1"),
        ({"count": 3, "inner": {"share": "1"}}, 'inner.share = "1" must be a number from 0 to 1'),
        ({"count": 3, "inner": {"sizes": []}}, "inner.sizes = [] must be a list of sizes"),
        ({"count": 3, "inner": {"sizes": [1, 0]}}, "inner.sizes = [1, 0] must be a list of sizes"),
        ({"count": 3, "way": "left"}, 'way = "left" must be up or down'),
    ],
)
def test_every_fault_is_named(content: object, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked(content, Outer, "it")
    assert str(refused.value) == words


def test_a_part_of_something_larger_has_its_name_in_front() -> None:
    with pytest.raises(UsageError, match=r"^region\.share = 2 must be a number from 0 to 1$"):
        checked({"share": 2}, Inner, prefix="region")
    with pytest.raises(UsageError, match=r"^region = 2 must have some of the fields"):
        checked(2, Inner, prefix="region")


def test_long_values_are_cut() -> None:
    assert len(shown(["x"] * 1000)) == 101


def test_what_is_wrong_with_a_box_is_said() -> None:
    check_box((0, 0, 8, 5), "box", (5, 8))
    check_box((-3, 0, 800, 5), "box")  # of what picture, nobody knows yet
    for box, words in (
        ((6, 0, 2, 5), "box holds no pixel: x1 = 2 must be larger than x0 = 6; give the left upper corner first"),
        ((0, 5, 8, 5), "box holds no pixel: y1 = 5 must be larger than y0 = 5; give the left upper corner first"),
        ((0, 0, 9, 5), "box does not lie inside the picture of 8x5"),
        ((0, 0, 8, 6), "box does not lie inside the picture of 8x5"),
        ((0, -1, 8, 5), "box does not lie inside the picture of 8x5"),
    ):
        with pytest.raises(UsageError) as raised:
            check_box(box, "box", (5, 8))
        assert str(raised.value) == words


@pytest.mark.parametrize("wrong", [None, 3, b"x", [], object()])
def test_what_is_no_path_or_no_trace_is_refused_in_a_sentence(
    wrong: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shapes.MOST", 0)  # a user has no check of types beside ours
    for use, words in [
        (pixelrl.load, "policy .* is no path; give a string or a pathlib.Path"),
        (pixelrl.load_trace, "trace .* is no path"),
        (pixelrl.load_edits, "edits .* is no path"),
        (lambda path: pixelrl.save_trace(path, ONE), "trace .* is no path"),
        (lambda trace: pixelrl.save_trace(tmp_path / "x.npz", trace), "is no Trace; give result.trace"),
        (pixelrl.strip, "is no Trace; give result.trace"),
        (report_html, "is no Trace; give result.trace"),
        (frames, "is no Trace; give result.trace"),
        (lambda trace: draw(tmp_path / "x.png", trace), "is no Trace"),
    ]:
        with pytest.raises(UsageError, match=words):
            use(wrong)  # type: ignore[operator]
    assert not list(tmp_path.iterdir())


def test_other_arguments_of_the_wrong_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapes.MOST", 0)
    for use, words in [
        (lambda: pixelrl.choose(ONE.pixels, "x"), "white = 'x' is no value that stands for white"),  # type: ignore[arg-type]
        (lambda: pixelrl.denoise(ONE.pixels, 10**400), "sigma = 1.* is no number"),
        (lambda: pixelrl.denoise(ONE.pixels, channel_axis="x"), "channel_axis = 'x' is no axis"),  # type: ignore[arg-type]
        (lambda: pixelrl.denoise(ONE.pixels, 25, device=[]), "device .* is unknown"),  # type: ignore[arg-type]
        (lambda: report_html(ONE, agent=3), "int is no Agent; give pixelrl.load"),  # type: ignore[arg-type]
        (lambda: report_html(ONE, region=(1, 2)), "region 1,2 must be x0, y0, x1, y1"),  # type: ignore[arg-type]
        (lambda: pixelrl.load("denoise-gray").remark(ONE.pixels, condition={}), "condition has no number for sigma"),
        (lambda: pixelrl.load("denoise-gray").estimate(3), "int is no list of images"),  # type: ignore[type-var]
        (lambda: pixelrl.strip(ONE, 3), "the clean picture is"),  # type: ignore[arg-type]
    ]:
        with pytest.raises(PixelRLError, match=words):
            use()


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros(0), np.array(["cpu", "auto"]), 10**400, "x" * 5000, [1]])
def test_no_argument_ends_in_the_words_of_python(wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapes.MOST", 0)
    agent = pixelrl.load("denoise-gray", "cpu")
    for use, words in [
        (lambda: pixelrl.load("denoise-gray", wrong), "device .* is unknown; give auto, cpu or cuda"),  # type: ignore[arg-type]
        (lambda: pixelrl.load("denoise-gray", "cpu", wrong), "precision .* is unknown; give auto, fp32 or bf16"),  # type: ignore[arg-type]
        (lambda: pixelrl.denoise(ONE.pixels, noise=wrong), "noise = .* is no kind of noise; give one of auto"),  # type: ignore[arg-type]
        (lambda: agent(ONE.pixels, 25, steps=wrong), "steps = .* cannot be; give a whole number from 0 to 1000"),  # type: ignore[arg-type]
        (lambda: agent(ONE.pixels, sigma=wrong), "sigma = .* is not a noise level"),  # type: ignore[arg-type]
        (lambda: agent(ONE.pixels, peak=wrong), "peak = .* cannot be used"),  # type: ignore[arg-type]
        (lambda: agent.estimate([ONE.pixels], condition=wrong), "sigma = .* is not a noise level"),  # type: ignore[type-var, arg-type]
        (lambda: agent.blocks(wrong, ONE.pixels), "no array here|no pixels|nobody can tell|not an image here"),  # type: ignore[arg-type]
        (lambda: agent.blocks(ONE.pixels, wrong), "the target must be of the source's shape"),  # type: ignore[arg-type]
        (lambda: agent.blocks(ONE.pixels, ONE.pixels.copy(), axes=wrong), "axes = .* do not fit the shape"),  # type: ignore[arg-type]
        (lambda: PixelEnv(render_mode=wrong), "render_mode = .* is unknown"),  # type: ignore[arg-type]
        (lambda: PixelEnv(channels=wrong), "channels = .* is unknown"),  # type: ignore[arg-type]
        (lambda: PixelEnv(device=wrong), "device .* is unknown"),  # type: ignore[arg-type]
        (lambda: PixelEnv(level=wrong), "level = .* is no strength"),  # type: ignore[arg-type]
        (lambda: PixelEnv(size=wrong), "size = .* is no number of pixels"),  # type: ignore[arg-type]
        (lambda: PixelEnv(task_arguments=wrong), "task_arguments = .* are none"),  # type: ignore[arg-type]
        (lambda: build_task("gaussian-denoising", {"space": wrong}), r"task\.space = .* is unknown"),
        (lambda: list(evaluate(agent, "tests", GaussianDenoising(), wrong)), "level = .* is no strength"),  # type: ignore[arg-type]
    ]:
        with pytest.raises(PixelRLError, match=words) as raised:
            use()
        assert len(str(raised.value)) < 400
        assert "\n" not in str(raised.value)
    with pytest.raises(UsageError, match=r"seed = 1.* cannot be"):
        list(evaluate(agent, "tests/data/format-1", GaussianDenoising(), 25, seed=10**400))


@pytest.mark.parametrize("wrong", ["a\0b", "a\0b.png", "\ud800.png", Path("x\0y")])
def test_a_name_that_no_file_can_have_is_refused_in_a_sentence(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shapes.MOST", 0)
    for use in (
        lambda: pixelrl.load(wrong),
        lambda: pixelrl.load_trace(wrong),
        lambda: pixelrl.save_trace(wrong, ONE),
        lambda: pixelrl.load_edits(wrong),
        lambda: pixelrl.enhance(np.zeros((8, 8, 3), np.uint8), wrong),
        lambda: draw(wrong, ONE),
        lambda: read_picture(wrong),
        lambda: write_picture(wrong, read_picture("tests/data/format-1/mask.png")),
        lambda: read_recipe(wrong),
        lambda: find_recipe(wrong),
        lambda: load_photos(wrong),
        lambda: load_pairs(tmp_path, tmp_path, wrong),
        lambda: list(evaluate(pixelrl.load("denoise-gray"), wrong, GaussianDenoising(), 25)),
    ):
        with pytest.raises(PixelRLError, match="has a character that no file's name can have; give another name"):
            use()
    with pytest.raises(InputError, match="picture None is no path"):
        read_picture(None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"trace x+ does not exist"):
        pixelrl.load_trace("x" * 5000)


def test_arrays_are_lists_of_numbers() -> None:
    check_arguments(GaussianDenoising, {"sigma": np.array([0.0, 25.0]), "num_steps": np.int64(3)}, "task")
    with pytest.raises(UsageError, match=r"task\.sigma = .* must be a list of 2 numbers"):
        check_arguments(GaussianDenoising, {"sigma": np.array([0.0, 25.0, 50.0])}, "task")


def test_what_is_as_good_as_a_number_a_list_or_a_name_is_taken(tmp_path: Path) -> None:
    agent, task, photos = pixelrl.load("denoise-gray", "cpu"), GaussianDenoising(), built_in(1, False)
    (tmp_path / "photos").mkdir()
    write_picture(tmp_path / "photos" / "a.png", Picture(np.full((20, 20), 99, np.uint8)))
    scores = [
        next(evaluate(agent, tmp_path / "photos", task, level))  # type: ignore[arg-type]
        for level in (25, np.float32(25), np.array(25), torch.tensor(25.0))
    ]
    assert len({score.after for score in scores}) == 1
    assert PixelEnv(level=torch.tensor(25.0)).episodes.level == 25  # type: ignore[arg-type]
    assert type(PixelEnv(level=3).episodes.level) is int  # as it is given to a task

    class Set(torch.utils.data.Dataset[Photo]):  # without __iter__
        def __len__(self) -> int:
            return len(photos)

        def __getitem__(self, number: int) -> Photo:
            return photos[number]

    assert photos_for(task, Set(), 1) == list(photos)  # type: ignore[arg-type]
    source = np.zeros((2, 64, 64), np.uint8)
    for axes in ("zyx", ("z", "y", "x"), ["z", "y", "x"]):
        assert agent.plan_blocks(source, axes, 25).layout.axes == "zyx"  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"axes = \['zy', 'x', 'c'\] do not fit"):
        agent.plan_blocks(source, ["zy", "x", "c"], 25)  # type: ignore[arg-type]
    assert not GaussianDenoising((0, 50), 5, task.action_names, 0.0, 0.0, False).balanced


@pytest.mark.parametrize("style", ["", "./foreground-popout", "foreground-popout/"])
def test_a_path_is_no_name_of_a_look(style: str) -> None:
    with pytest.raises(UsageError, match=f"style = '{style}' is neither a file nor a shipped look"):
        pixelrl.enhance(np.zeros((8, 8, 3), np.uint8), style)
