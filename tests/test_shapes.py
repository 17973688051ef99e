"""The checks of shapes that all tests run with."""

from __future__ import annotations

import jaxtyping
import pytest
import torch

import shapes
from pixelrl.imaging.filters import box


@pytest.mark.parametrize("_", range(2))
def test_the_first_calls_of_each_test_are_checked(_: int) -> None:
    image = torch.zeros(1, 1, 8, 8)
    for _ in range(shapes.MOST - 1):
        box(image)
    with pytest.raises(jaxtyping.TypeCheckError):
        box(image.tolist())  # type: ignore[arg-type]
    box(image)  # with which the functions that it calls have had theirs
    with pytest.raises(AttributeError):  # and what comes after them is not
        box(image.tolist())  # type: ignore[arg-type]
