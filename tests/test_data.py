"""Photographs, the validation split and random crops."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.training.data import Crops, Photo, load_photos, recolored, rescaled, rotated, split

CPU = torch.device("cpu")


def named(pixels: Tensor, name: str = "p.png") -> Photo:
    return Photo(name, pixels)


def unique_photo(height: int, width: int, start: int = 0) -> Tensor:
    """No two pixels are alike, so where a crop came from can be read off it."""
    return torch.arange(start, start + height * width, dtype=torch.uint8).view(1, height, width)


def symmetries(square: Tensor) -> list[Tensor]:
    """The eight, worked with numpy."""
    array = square.numpy()
    turned = [np.rot90(array, k, (-2, -1)) for k in range(4)]
    return [torch.from_numpy(x.copy()) for x in [*turned, *(t[..., ::-1] for t in turned)]]


def found(crop: Tensor, photo: Tensor) -> tuple[int, int, int]:
    """The symmetry, top and left of a crop in a photo of unique pixels."""
    size = crop.shape[-1]
    for which, candidate in enumerate(symmetries(crop)):
        top, left = divmod(int(candidate[0, 0, 0]) - int(photo[0, 0, 0]), photo.shape[-1])
        if torch.equal(candidate, photo[:, top : top + size, left : left + size]):
            return which, top, left
    raise AssertionError("the crop is not a piece of the photo")


def test_crops_are_pieces_of_the_photos(generator: torch.Generator) -> None:
    photo = unique_photo(9, 12)
    crops = Crops([named(photo)], size=5, batch=500, device=CPU).sample(generator)
    assert crops.shape == (500, 1, 5, 5)
    assert crops.dtype == torch.float32
    levels = (crops * 255).round()
    torch.testing.assert_close(levels / 255, crops)
    places = [found(crop.to(torch.uint8), photo) for crop in levels]
    assert {which for which, _, _ in places} == set(range(8))
    assert {top for _, top, _ in places} == set(range(9 - 5 + 1))
    assert {left for _, _, left in places} == set(range(12 - 5 + 1))


def test_crops_come_from_every_photo(generator: torch.Generator) -> None:
    dark, bright = unique_photo(8, 8), unique_photo(10, 10, start=100)
    crops = Crops([named(dark), named(bright)], size=4, batch=200, device=CPU).sample(generator)
    share = (crops.amin((1, 2, 3)) >= 100 / 255).double().mean().item()
    assert 0.35 < share < 0.65


def test_a_crop_may_be_the_whole_photo(generator: torch.Generator) -> None:
    crops = Crops([named(unique_photo(6, 6))], size=6, batch=3, device=CPU).sample(generator)
    assert (crops.flatten(1).sort().values * 255).round().equal(torch.arange(36.0).repeat(3, 1))


def test_the_generator_decides() -> None:
    crops = Crops([named(unique_photo(15, 15))], size=4, batch=6, device=CPU)
    one, same, other = (crops.sample(torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_recolored_by_hand(generator: torch.Generator) -> None:
    """Grey stays; a colour keeps its mean and its three distances from grey up to one factor, in some order."""
    assert torch.allclose(recolored(torch.full((3, 1, 1), 0.3), generator), torch.tensor(0.3))
    color = torch.tensor([0.4, 0.5, 0.54]).view(3, 1, 1)
    orders, factors = set(), []
    for _ in range(200):
        other = recolored(color, generator).flatten()
        assert other.mean().item() == pytest.approx(0.48)
        factor = (other.max() - other.min()).item() / 0.14
        distances = [round((value.item() - 0.48) / factor, 3) for value in other]
        assert sorted(distances) == [-0.08, 0.02, 0.06]
        orders.add(tuple(distances))
        factors.append(factor)
    assert len(orders) == 6
    assert 0.5 <= min(factors) < 0.55
    assert 1.8 < max(factors) <= 2.001
    strong = recolored(torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1), generator)
    assert strong.min() >= 0
    assert strong.max() <= 1


def test_a_share_of_the_crops_is_recolored() -> None:
    photo = torch.tensor([100, 120, 140], dtype=torch.uint8)[:, None, None].expand(3, 4, 4)
    plain, third = (
        Crops([named(photo)], size=4, batch=300, device=CPU, recolor=share).sample(torch.Generator().manual_seed(0))
        for share in (0.0, 1 / 3)
    )
    changed = (plain != third).flatten(1).any(1).double().mean().item()
    assert changed == pytest.approx(1 / 3, abs=0.08)
    grey = Crops([named(photo[:1])], size=4, batch=30, device=CPU, recolor=1.0).sample(torch.Generator().manual_seed(0))
    assert torch.equal(grey, torch.full_like(grey, 100 / 255))


def test_a_photo_smaller_than_a_crop_is_refused() -> None:
    photos = [named(unique_photo(9, 9)), named(unique_photo(12, 5), "small.png")]
    words = r"data\.crop = 6 does not fit into small\.png of 5x12 pixels; set data\.crop to at most 5, or take .* away$"
    with pytest.raises(UsageError, match=words):
        Crops(photos, size=6, batch=1, device=CPU)


def test_a_crop_larger_than_a_scaled_photo_is_explained() -> None:
    photos = rescaled([named(unique_photo(10, 20), "a.png")], [1.0, 0.5])
    words = r"t\.crop = 6 does not fit into a\.png of 10x5 pixels at 0\.5 of data\.scales; .*or that scale$"
    with pytest.raises(UsageError, match=words):
        Crops(photos, size=6, batch=1, device=CPU, setting="reinforcement.crop")


def test_split_by_hand() -> None:
    photos = [named(torch.full((1, 1, 1), i, dtype=torch.uint8)) for i in range(10)]
    train, validation = split(photos, 2)
    assert [int(photo.pixels) for photo in validation] == [2, 7]  # the middles of 0-4 and 5-9
    assert [int(photo.pixels) for photo in train] == [0, 1, 3, 4, 5, 6, 8, 9]


def test_split_is_disjoint_complete_and_repeatable() -> None:
    for number in range(2, 40):
        photos = [named(torch.full((1, 1, 1), i, dtype=torch.uint8)) for i in range(number)]
        for kept_out in range(1, number):
            train, validation = split(photos, kept_out)
            assert len(validation) == kept_out
            assert sorted(int(photo.pixels) for photo in train + validation) == list(range(number))
            assert [int(p.pixels) for p in split(photos, kept_out)[1]] == [int(p.pixels) for p in validation]


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"data\.validation = 3 leaves nothing of 3"):
        split([named(unique_photo(2, 2))] * 3, 3)


def test_rescaled_by_hand() -> None:
    photo = torch.tensor([[10, 20, 0, 0], [30, 40, 0, 8]], dtype=torch.uint8)[None]
    same, half = rescaled([named(photo)], [1.0, 0.5])
    assert torch.equal(same.pixels, photo)
    assert half.pixels.tolist() == [[[25, 2]]]  # means of 2x2
    assert (same.scale, half.scale, half.name) == (1.0, 0.5, "p.png")
    assert [p.pixels.shape for p in rescaled([named(unique_photo(10, 20))], [0.9, 0.7])] == [(1, 9, 18), (1, 7, 14)]


def test_photos_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, level in (("b.png", 2), ("a.png", 1), ("c.bmp", 3)):
        cv2.imwrite(str(tmp_path / name), np.full((3, 4), level, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder").mkdir()
    photos = load_photos(tmp_path)
    assert [photo.name for photo in photos] == ["a.png", "b.png", "c.bmp"]
    pixels = [photo.pixels for photo in photos]
    assert [(tuple(each.shape), int(each[0, 0, 0])) for each in pixels] == [((1, 3, 4), i) for i in (1, 2, 3)]
    assert all(each.dtype == torch.uint8 for each in pixels)


def test_colour_photos_become_grey(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "green.png"), np.full((2, 2, 3), (0, 200, 0), np.uint8))
    (photo,) = load_photos(tmp_path)
    assert photo.pixels.shape == (1, 2, 2)
    assert abs(int(photo.pixels[0, 0, 0]) - 0.587 * 200) <= 1  # the luma of BT.601


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing does not exist"):
        load_photos(tmp_path / "missing")
    with pytest.raises(UsageError, match="no picture"):
        load_photos(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(UsageError, match="no picture"):
        load_photos(tmp_path)


def plane(height: int, width: int) -> Tensor:
    """Brighter by 3 with every pixel to the right, by 1 with every pixel down."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (20 + 3 * x + y).to(torch.uint8)[None]


def test_tilted_crops_are_planes_turned_by_less_than_the_tilt(generator: torch.Generator) -> None:
    """A turned plane is a plane as steep as before, whose direction says by how much, and whether it was mirrored."""
    crops = 255 * Crops([named(plane(40, 50))], 20, 400, CPU, tilt=10).sample(generator)
    right, down = crops.diff(dim=-1), crops.diff(dim=-2)
    dx, dy = right.mean((1, 2, 3)), down.mean((1, 2, 3))
    torch.testing.assert_close(
        right, dx[:, None, None, None].expand_as(right), rtol=0, atol=2e-2
    )  # nothing from outside
    torch.testing.assert_close(dx.square() + dy.square(), torch.full((400,), 10.0), rtol=1e-2, atol=0)
    mirrored = dx < 0
    angles = torch.rad2deg(torch.atan2(dy, dx.abs()) - torch.atan2(torch.tensor(1.0), torch.tensor(3.0)))
    assert 0.4 < mirrored.double().mean() < 0.6
    assert 0.4 < (angles.abs() < 0.01).double().mean() < 0.6  # not turned
    assert angles.abs().max() < 10.1
    assert angles.min() < -9
    assert angles.max() > 9


def test_a_quarter_turn_is_exact() -> None:
    square = torch.arange(16.0).view(1, 4, 4)
    torch.testing.assert_close(rotated(square, 90), torch.rot90(square, 1, (-2, -1)), rtol=0, atol=1e-4)


def test_what_turned_crops_take_must_fit() -> None:
    photo = named(unique_photo(14, 14))
    Crops([photo], 10, 1, CPU, tilt=10)  # 10 (cos 10° + sin 10°) = 11.6
    with pytest.raises(UsageError, match=r"turned by up to 45 degrees it takes 16 pixels"):
        Crops([photo], 10, 1, CPU, tilt=45)
    with pytest.raises(UsageError, match=r"data\.crop = 15 does not fit .* set data\.crop to at most 14"):
        Crops([photo], 15, 1, CPU, tilt=10)
