"""Images as people hold them: what comes in comes out, and what is no image is refused in a sentence."""

from __future__ import annotations

import pickle

import hypothesis.extra.numpy as arrays_of
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image as PillowImage

import pixelrl
from pixelrl.errors import InputError
from pixelrl.pictures.arrays import unpack
from pixelrl.pictures.channels import MODES, join_alpha, split_alpha
from pixelrl.pictures.scale import Scale
from pixelrl.pictures.values import array_to_tensor
from profiles import display_p3

DTYPES = ("uint8", ">u2", "<u2", "<f2", ">f4", "<f4", "<f8", ">f8")
TENSORS = (torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32, torch.float64)


def values(dtype: str, shape: tuple[int, ...]) -> some.SearchStrategy[np.ndarray]:
    kind = np.dtype(dtype)
    if kind.kind == "u":
        return arrays_of.arrays(kind, shape)
    numbers = some.floats(-2, 2, width=16)  # of few bits, so that float32 holds what float64 does
    return arrays_of.arrays(kind, shape, elements=numbers)


sizes = some.tuples(some.integers(5, 9), some.integers(5, 9))
channels = some.integers(1, 4)


@some.composite
def arrays(draw: some.DrawFn) -> tuple[np.ndarray, int]:
    """An array of one of the accepted shapes, and its number of colours."""
    (h, w), c, b = draw(sizes), draw(channels), draw(some.integers(1, 3))
    layouts = {"hw": (h, w), "hwc": (h, w, c), "chw": (c, h, w), "bhwc": (b, h, w, c), "bchw": (b, c, h, w)}
    layout = draw(some.sampled_from(sorted(layouts)))
    array = draw(values(draw(some.sampled_from(DTYPES)), layouts[layout]))
    if draw(some.booleans()):
        array = array[::-1]  # a view that runs backwards
    array.flags.writeable = False
    return array, 3 if "c" in layout and c >= 3 else 1


@given(arrays())
def test_arrays_come_back_bit_for_bit(drawn: tuple[np.ndarray, int]) -> None:
    array, colours = drawn
    unpacked = unpack(array)
    assert unpacked.tensor.dtype == torch.float32
    assert unpacked.tensor.shape[1] == colours
    again = pickle.loads(pickle.dumps(unpacked)).pack(unpacked.tensor)  # noqa: S301
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.flags.c_contiguous
    assert again.flags.writeable
    assert np.array_equal(again, array)
    if unpacked.pixels is not None:
        assert unpacked.pixels.dtype.isnative
        assert torch.equal(array_to_tensor(unpacked.pixels, unpacked.scales[0]), unpacked.tensor)
    unpacked = unpack(array, Scale.full(array.dtype.name))
    packed = unpacked.pack(torch.full_like(unpacked.tensor, 2.0))
    planes = {"u1": 255, "u2": 65535}.get(array.dtype.str[1:], 2)
    count = array.size if unpacked.tensor.numel() == array.size else unpacked.tensor.numel()
    assert (packed == planes).sum() >= count  # all colours, and alpha where it happens to be so


@given(arrays_of.arrays("uint8", some.tuples(sizes, channels).map(lambda drawn: (*drawn[0], drawn[1]))))
def test_alpha_is_kept_as_it_is(array: np.ndarray) -> None:
    colours, alpha = split_alpha(array)
    again = join_alpha(colours, alpha)
    assert np.array_equal(again if again.ndim == 3 else again[..., None], array)
    packed = unpack(array).pack(1 - unpack(array).tensor)
    if array.shape[2] in (2, 4):
        assert np.array_equal(packed[..., -1], array[..., -1])
        assert np.array_equal(packed[..., :-1], 255 - array[..., :-1])
    else:
        assert np.array_equal(packed, 255 - array)


@some.composite
def tensors(draw: some.DrawFn) -> torch.Tensor:
    (h, w), c, b = draw(sizes), draw(channels), draw(some.integers(1, 3))
    shape = draw(some.sampled_from([(h, w), (c, h, w), (h, w, c), (b, c, h, w), (b, h, w, c)]))
    dtype = draw(some.sampled_from(TENSORS))
    drawn = torch.from_numpy(draw(values("<f4", shape)).astype(np.float32))
    return (drawn.abs() * 100).to(dtype) if not dtype.is_floating_point else drawn.to(dtype)


@given(tensors())
def test_tensors_come_back_bit_for_bit(tensor: torch.Tensor) -> None:
    unpacked = unpack(tensor)
    assert unpacked.tensor.shape[1] in (1, 3)
    again = unpacked.pack(unpacked.tensor)
    assert (again.dtype, again.shape) == (tensor.dtype, tensor.shape)
    assert torch.equal(again, tensor)


def test_where_channels_are() -> None:
    """By the sizes; last in arrays and first in tensors where both would do."""
    for shape, planes in (
        ((8, 9), (1, 1, 8, 9)),
        ((1, 8, 9), (1, 1, 8, 9)),
        ((3, 8, 9), (1, 3, 8, 9)),
        ((8, 9, 4), (1, 3, 8, 9)),
        ((2, 8, 9, 3), (2, 3, 8, 9)),
        ((2, 3, 8, 9), (2, 3, 8, 9)),
        ((1, 8, 9, 2), (1, 1, 8, 9)),
    ):
        assert unpack(np.zeros(shape, np.uint8)).tensor.shape == planes
        assert unpack(torch.zeros(shape)).tensor.shape == planes
    assert unpack(np.zeros((3, 4, 3), np.uint8)).tensor.shape == (1, 3, 3, 4)
    assert unpack(torch.zeros(3, 4, 3)).tensor.shape == (1, 3, 4, 3)


@pytest.mark.parametrize("mode", sorted(MODES))
def test_pillow_images_come_back_in_their_mode(mode: str) -> None:
    rng = np.random.default_rng(0)
    rgb = PillowImage.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
    deep = rng.integers(0, 65536, (6, 5))
    if mode.startswith("I"):
        image = PillowImage.fromarray(deep.astype(np.int32 if mode == "I" else ">u2" if mode == "I;16B" else "<u2"))
        image = image if image.mode == mode else PillowImage.frombytes(mode, (5, 6), deep.astype("<u2").tobytes())
    elif mode == "F":
        image = PillowImage.fromarray(deep.astype(np.float32) / 65535)
    else:
        image = (
            rgb.convert(mode)
            if mode not in ("La", "RGBa", "PA")
            else rgb.convert({"La": "LA", "RGBa": "RGBA", "PA": "P"}[mode]).convert(mode)
        )
    image.info["dpi"] = (300, 300)
    unpacked = unpack(image)
    again = unpacked.pack(unpacked.tensor)
    assert again.mode == {"1": "L", "P": "RGB", "PA": "RGBA"}.get(mode, mode)
    assert (again.size, again.info) == (image.size, {"dpi": (300, 300)})
    shown = [np.asarray(each.convert("LA" if mode == "La" else "RGBA")).astype(int) for each in (again, image)]
    assert np.abs(shown[0] - shown[1]).max() <= (8 if mode in ("YCbCr", "HSV") else 0)


def test_a_colour_that_stands_for_nothing_becomes_alpha() -> None:
    grey = PillowImage.fromarray(np.arange(30, dtype=np.uint8).reshape(5, 6))
    for image in (grey, grey.convert("P")):
        image.info["transparency"] = 7
        unpacked = unpack(image)
        assert unpacked.alpha is not None
        assert (unpacked.alpha == 0).sum() == 1
        again = unpacked.pack(unpacked.tensor * 0)
        assert again.mode in ("LA", "RGBA")
        assert "transparency" not in again.info
        assert np.array_equal(np.asarray(again)[..., -1], unpacked.alpha)


def test_pillow_photos_say_how_they_are_seen(tmp_path) -> None:
    exif = PillowImage.Exif()
    exif[274] = 6
    PillowImage.new("RGB", (6, 5)).save(tmp_path / "a.jpg", exif=exif, icc_profile=display_p3())
    with PillowImage.open(tmp_path / "a.jpg") as image:
        unpacked = unpack(image)
    assert (unpacked.orientation, unpacked.icc_profile) == (6, display_p3())


def test_lists_of_images() -> None:
    pictures = [np.full((6, 5, 3), level, np.uint8) for level in (10, 20)]
    mixed = [pictures[0], PillowImage.fromarray(pictures[1]), torch.from_numpy(pictures[0]).movedim(-1, 0)]
    for images in (pictures, tuple(pictures), mixed, pictures[:1]):
        unpacked = unpack(images)
        assert unpacked.tensor.shape == (len(images), 3, 6, 5)
        again = unpacked.pack(unpacked.tensor)
        assert type(again) is type(images)
        for before, after in zip(images, again, strict=True):
            assert type(after) is (PillowImage.Image if isinstance(before, PillowImage.Image) else type(before))
            assert np.array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros((4, 4), bool), "bool is a mask and not an image; multiply it by"),
        (np.zeros((4, 4), np.int32), "an array of int32 is not an image here; convert it to uint8, uint16"),
        (np.zeros((4, 4), object), "an array of object"),
        (np.zeros((8, 9, 5), np.uint8), r"\(8, 9, 5\) is not an image; it must be \(h, w\), .* with 1 to 4 channels"),
        (np.zeros((7, 8, 9), np.uint8), r"\(7, 8, 9\) is not an image"),
        (np.zeros((1, 2, 3, 4, 5), np.uint8), "is not an image"),
        (np.zeros(4, np.uint8), r"shape \(4,\) is not an image"),
        (np.uint8(4), "uint8 is not an image; give"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\) has no pixels"),
        (np.full((4, 4), np.nan), "NaN or infinite, or too large"),
        (np.full((4, 4), 1e300), "too large for float32"),
        (torch.full((4, 4), torch.inf), "NaN or infinite"),
        (torch.zeros((4, 4), dtype=torch.int64), "a tensor of int64 is not an image here; convert it to uint8"),
        (torch.zeros((4, 4), dtype=torch.bool), "a tensor of bool"),
        (torch.zeros((1, 9, 8, 7)), "is not an image"),
        (PillowImage.new("LAB", (4, 4)), "mode LAB must first be converted to one of these: L, LA, RGB"),
        (PillowImage.fromarray(np.full((4, 4), 70_000, np.int32)), "values from 0 to 65535"),
        ("photo.png", "str is not an image; give a numpy array, a Pillow image, a tensor or a list of these"),
        ([], "an empty list has no images"),
        ([[0, 1], [2, 3]], "a list of images holds a list as number 1"),
        ([np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)], "must be of one size and kind"),
        ([np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint8)], "must be of one size and kind"),
        ([np.zeros((2, 8, 9, 3), np.uint8)], "number 1 of the list is a batch of 2"),
    ],
)
def test_what_is_not_an_image_is_refused(wrong: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        unpack(wrong)


def test_a_matrix_and_an_array_with_nothing_masked_are_arrays() -> None:
    pixels = np.arange(42, dtype=np.uint8).reshape(6, 7)
    masked = np.ma.masked_array(pixels), np.ma.masked_array(pixels, np.zeros((6, 7), bool))
    for array in (pixels.view(np.matrix), *masked):
        for image in (array, [array]):
            unpacked = unpack(image)
            packed = unpacked.pack(unpacked.tensor)
            assert np.array_equal(packed if image is array else packed[0], pixels)
            assert type(unpacked.pixels) is np.ndarray


def test_masked_values_are_refused() -> None:
    masked = np.ma.masked_less(np.arange(42, dtype=np.uint8).reshape(6, 7), 5)
    for use in (unpack, lambda image: unpack([image]), pixelrl.denoise, array_to_tensor):
        with pytest.raises(
            InputError, match=r"has masked values, .* fill them \(array.filled\), or give the mask as an"
        ):
            use(masked)
