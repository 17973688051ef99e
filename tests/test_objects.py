"""The object of a photograph, found without a network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage import data
from skimage.measure import label

from pixelrl.errors import InputError
from pixelrl.imaging.objects import salient_object, standing_out


def photo(load: Callable[[], np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(load().copy()).movedim(-1, 0)[None].float() / 255


def box(top: int, bottom: int, left: int, right: int, *size: int) -> np.ndarray:
    inside = np.zeros(size, bool)
    inside[top:bottom, left:right] = True
    return inside


def cup() -> np.ndarray:
    """The cup and its saucer, outlined by an ellipse."""
    rows, columns = np.mgrid[:400, :600]
    return ((rows - 202) / 186) ** 2 + ((columns - 280) / 196) ** 2 < 1


def astronaut() -> np.ndarray:
    """Head and suit, outlined by two boxes."""
    return box(10, 170, 155, 285, 512, 512) | box(170, 512, 30, 370, 512, 512)


OBJECTS = {
    "astronaut": (data.astronaut, astronaut(), 0.4),
    "coffee": (data.coffee, cup(), 0.6),
    "rocket": (data.rocket, box(139, 420, 310, 336, 427, 640), 0.6),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_the_object_of_a_photograph(name: str) -> None:
    """The bounds are intersection over union; a box in the middle of a quarter of the picture has .39, .52 and .07."""
    load, outlined, bound = OBJECTS[name]
    found = salient_object(photo(load)).numpy()
    overlap = (found & outlined).sum() / (found | outlined).sum()
    assert overlap > bound
    assert label(found, connectivity=1).max() == 1
    assert label(~np.pad(found, 1), connectivity=2).max() == 1  # no holes


def test_a_face_that_fills_the_picture_is_found_with_both_eyes_and_the_nose() -> None:
    found = salient_object(photo(data.chelsea))
    assert 0.05 < found.double().mean() < 0.6
    for row, column in ((113, 177), (130, 324), (230, 256)):
        assert found[row, column]


def test_the_same_object_is_found_again() -> None:
    """OpenCV's generator, from which GrabCut draws, does not count."""
    image = photo(data.coffee)
    first = salient_object(image)
    np.random.default_rng().random()
    assert torch.equal(salient_object(image), first)


def test_what_reaches_the_border_does_not_stand_out() -> None:
    """A field of one colour that fills the lower half, and a spot of that colour before the other half."""
    image = torch.tensor([0.3, 0.4, 0.6]).view(1, 3, 1, 1).repeat(1, 1, 96, 96)
    grass = torch.tensor([0.3, 0.6, 0.2]).view(3, 1, 1)
    image[0, :, 56:] = grass
    image[0, :, 20:36, 40:56] = grass
    image += 0.01 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    map_ = standing_out(image)
    assert map_[22:34, 42:54].mean() > 3 * map_[60:].mean()
    assert map_[22:34, 42:54].mean() > 3 * map_[:16].mean()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 400), (40, 52)])
def test_in_one_colour_nothing_stands_out(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="no object stands out in this picture; give a mask"):
        salient_object(torch.full((1, 3, *size), 0.3))


@pytest.mark.parametrize("size", [(16, 16), (19, 400), (33, 20)])
def test_any_size_has_an_object(size: tuple[int, int]) -> None:
    image = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0)) * 0.2
    image[..., 5:11, 6:12] += 0.6
    found = salient_object(image)
    assert found.shape == size
    assert 0 < found.sum() < found.numel()
