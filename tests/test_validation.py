"""Data from outside against a Struct: every fault is one sentence that names the field, the value and what is right."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType, field

from pixelrl.errors import UsageError
from pixelrl.validation import check_box, checked, shown

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
