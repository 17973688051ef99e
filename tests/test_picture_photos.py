"""The files of phones and cameras: HEIC, AVIF, JPEG XL and raw data, and what is said where a package is missing."""

from __future__ import annotations

import builtins
import importlib.util
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from dng import dng
from pixelrl.errors import InputError
from pixelrl.pictures import optional
from pixelrl.pictures.display import orientation_of
from pixelrl.pictures.files import Picture, decode, read_picture, write_picture
from pixelrl.pictures.raw import Sensor, is_raw
from pixelrl.pictures.stacks import open_stack

pillow_heif = pytest.importorskip("pillow_heif")
imagecodecs = pytest.importorskip("imagecodecs")
pytest.importorskip("rawpy")

RGB8 = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
TEN = (RGB8.astype(np.uint16) * 4 + 3 * (RGB8 > 127)).astype(np.uint16)
"""Of 10 bits."""
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, MAKE = 274, 271
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def block(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "Maker", orientation
    return exif.tobytes()


def make_of(exif: bytes | None) -> object:
    loaded = Image.Exif()
    loaded.load(exif)
    return loaded[MAKE]


def heic(array: np.ndarray, mode: str, **said: object) -> bytes:
    file = io.BytesIO()
    image = pillow_heif.from_bytes(mode, (array.shape[1], array.shape[0]), array.tobytes())
    image.save(file, quality=-1, chroma=444, matrix_coefficients=0, **said)
    return file.getvalue()


def avif(array: np.ndarray, **said: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "AVIF", quality=100, subsampling="4:4:4", speed=9, **said)
    return file.getvalue()


def jxl(array: np.ndarray, *boxes: tuple[bytes, bytes], **options: object) -> bytes:
    data = imagecodecs.jpegxl_encode(array, lossless=True, usecontainer=True, **options)
    return data + b"".join(struct.pack(">I4s", 8 + len(body), kind) + body for kind, body in boxes)


def read(data: bytes) -> Picture:
    return decode(data, "photo")


def test_heic_is_read_with_what_goes_with_it() -> None:
    picture = read(heic(RGB8, "RGB", exif=block(1), icc_profile=ICC, xmp=XMP))
    assert np.array_equal(picture.pixels, RGB8)
    assert (picture.icc_profile, picture.extra.xmp, picture.alpha, picture.notes) == (ICC, XMP, None, ())
    assert make_of(picture.exif) == "Maker"


def test_heic_comes_upright_and_is_not_turned_again() -> None:
    picture = read(heic(RGB8, "RGB", exif=block(6)))  # shown after a quarter turn to the right
    assert np.array_equal(picture.pixels, np.rot90(RGB8, -1))
    assert orientation_of(picture.exif) == 1


def test_heic_of_10_bits_fills_16_and_keeps_transparency() -> None:
    deep = np.dstack([TEN, TEN[..., :1]])
    picture = read(heic(deep << 6, "RGBA;16"))
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(picture.pixels, np.rint(TEN * (65535 / 1023)))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, np.rint(TEN[..., 0] * (65535 / 1023)))
    assert picture.pixels.max() == 65535


def test_further_pictures_of_a_heic_are_named() -> None:
    file, several = io.BytesIO(), pillow_heif.from_bytes("RGB", (50, 40), RGB8.tobytes())
    several.add_from_pillow(Image.fromarray(255 - RGB8))
    several.save(file, quality=-1, chroma=444, matrix_coefficients=0)
    picture = read(file.getvalue())
    assert np.array_equal(picture.pixels, RGB8)
    assert picture.notes == ("further pictures in the file (others) are left out",)


def test_avif_keeps_its_orientation_and_profile() -> None:
    picture = read(avif(RGB8, exif=block(6), icc_profile=ICC))
    assert np.abs(picture.pixels.astype(int) - RGB8).max() <= 4  # the encoder is not quite lossless
    assert (orientation_of(picture.exif), picture.icc_profile) == (6, ICC)
    assert make_of(picture.exif) == "Maker"
    clear = read(avif(np.dstack([RGB8, RGB8[..., :1]])))
    assert clear.alpha is not None
    assert np.array_equal(clear.alpha, RGB8[..., 0])


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_fills_16_bits(bits: int) -> None:
    deep = TEN << (bits - 10)
    picture = read(imagecodecs.avif_encode(deep, level=100, bitspersample=bits))
    assert np.array_equal(picture.pixels, np.rint(deep * (65535 / ((1 << bits) - 1))))


def test_colours_that_a_heic_says_in_numbers_go_into_a_png(tmp_path: Path) -> None:
    data = heic(RGB8, "RGB", color_primaries=12, transfer_characteristics=13)  # Display P3
    picture = read(data)
    assert picture.extra.chunks == ((b"cICP", bytes([12, 13, 0, 1])),)
    assert write_picture(tmp_path / "a.png", picture) == ()
    assert read_picture(tmp_path / "a.png").extra.chunks == picture.extra.chunks
    assert write_picture(tmp_path / "a.tif", picture) == ("TIFF has no place for cICP: left out",)


@pytest.mark.parametrize("array", [RGB8, RGB8[..., 0], RGB8.astype(np.uint16) * 257, RGB8 / np.float32(255)])
def test_jpeg_xl_of_every_depth(array: np.ndarray) -> None:
    picture = read(jxl(array))
    assert np.array_equal(picture.pixels, array)
    assert (picture.alpha, picture.exif, picture.notes) == (None, None, ())
    # imagecodecs says of more than 8 bits that they are linear in the light.
    assert picture.extra.chunks == (() if array.dtype == np.uint8 else ((b"cICP", bytes([1, 8, 0, 1])),))
    bare = read(imagecodecs.jpegxl_encode(array, lossless=True, usecontainer=False))
    assert np.array_equal(bare.pixels, array)


def test_jpeg_xl_with_what_goes_with_it() -> None:
    veiled = np.dstack([TEN, TEN[..., :1]])
    exif = block(6).removeprefix(b"Exif\0\0")
    boxes = (b"Exif", bytes(4) + exif), (b"brob", b"xml " + imagecodecs.brotli_encode(XMP))
    picture = read(jxl(veiled, *boxes, bitspersample=10))
    assert np.array_equal(picture.pixels, np.rint(TEN * (65535 / 1023)))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, np.rint(TEN[..., 0] * (65535 / 1023)))
    assert picture.extra.xmp == XMP
    assert make_of(picture.exif) == "Maker"
    assert orientation_of(picture.exif) == 1  # the decoder heeds the picture's own word alone


def test_sizes_of_jpeg_xl_are_told_before_it_is_decoded() -> None:
    for height, width in ((40, 50), (64, 64), (24, 32), (3, 700), (1, 1), (300, 9)):
        data = imagecodecs.jpegxl_encode(np.zeros((height, width, 3), np.uint8), lossless=True)
        with pytest.raises(InputError, match=f"{width} x {height} is"):
            decode(data, "photo", max_pixels=height * width - 1)
        assert decode(data, "photo", max_pixels=height * width).pixels.shape == (height, width, 3)


DATA = {
    "photo.heic": heic(RGB8, "RGB"),
    "photo.avif": avif(RGB8),
    "photo.jxl": jxl(RGB8),
    "photo.dng": dng(np.full((64, 64), 3000, np.uint16)),
}


@pytest.mark.parametrize("name", DATA)
def test_damaged_files_and_large_ones_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    path = tmp_path / name
    path.write_bytes(DATA[name])
    with pytest.raises(InputError, match="megapixels; at most"):
        read_picture(path, max_pixels=1000)
    path.write_bytes(DATA[name][: len(DATA[name]) // 2])
    with pytest.raises(InputError, match=r"undamaged|damaged, or of a camera") as caught:
        read_picture(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", DATA)
def test_without_the_packages_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, usual = tmp_path / name, builtins.__import__
    path.write_bytes(DATA[name])
    missing = ("pillow_heif", "PIL.AvifImagePlugin", "imagecodecs", "rawpy")

    def absent(name: str, *rest: object) -> object:
        if name in missing:
            raise ModuleNotFoundError(name)
        return usual(name, *rest)

    monkeypatch.setattr(optional.importlib, "import_module", absent)
    with pytest.raises(InputError, match=r'pip install "pixelrl\[photo\]"; or (convert it to|develop it into)'):
        read_picture(path)


def test_a_folder_says_which_pictures_need_the_extra(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, usual = tmp_path / "photos", importlib.util.find_spec
    folder.mkdir()
    (folder / "a.heic").write_bytes(DATA["photo.heic"])
    Image.fromarray(RGB8).save(folder / "b.png")
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda name: None if "heif" in name else usual(name))
    code, _, err = run("denoise", folder, "-o", tmp_path / "out", "--steps", 0)
    assert code == 0
    needs = '1 other file skipped (.heic needs pip install "pixelrl[photo]")'
    assert err.splitlines()[-1] == f"pixelrl: 1 picture, {needs}; 1 done"


# --- Raw data ---------------------------------------------------------------------------------------

GREY = np.full((64, 96), 0.2)


def counts(light: np.ndarray, black: np.ndarray | int = 512) -> np.ndarray:
    """What the camera of `dng` counts of something grey, ``(h, w)``."""
    seen = np.tile([[0.5, 1.0], [1.0, 0.625]], (light.shape[0] // 2 + 1, light.shape[1] // 2 + 1))
    height, width = light.shape
    return np.rint(black + (16383 - black) * light * seen[:height, :width]).astype(np.uint16)


def srgb(light: float) -> float:
    return 65535 * (1.055 * light ** (1 / 2.4) - 0.055)


def test_raw_data_are_developed_to_16_bits_of_srgb(tmp_path: Path) -> None:
    (tmp_path / "photo.DNG").write_bytes(dng(counts(GREY), orientation=8))
    picture = read_picture(tmp_path / "photo.DNG")
    assert (picture.pixels.shape, picture.pixels.dtype) == ((64, 96, 3), np.uint16)
    np.testing.assert_allclose(picture.pixels[8:-8, 8:-8], srgb(0.2), rtol=0.005)  # neither tinted nor brightened
    assert orientation_of(picture.exif) == 8
    assert make_of(picture.exif) == "PixelRL"
    assert write_picture(tmp_path / "out.tif", picture) == ()
    assert make_of(read_picture(tmp_path / "out.tif").exif) == "PixelRL"


def test_raw_data_are_told_by_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "photo.tif").write_bytes(dng(counts(GREY)))
    assert is_raw(tmp_path / "photo.tif")
    assert open_stack(tmp_path / "photo.tif") is None
    assert read_picture(tmp_path / "photo.tif").pixels.shape == (64, 96, 3)
    Image.fromarray(RGB8).save(tmp_path / "plain.tif")
    assert not is_raw(tmp_path / "plain.tif")
    assert is_raw(b"FUJIFILMCCD-RAW 0201")
    assert is_raw(b"\0\0\0\x18ftypcrx ")
    assert not is_raw(tmp_path / "missing.dng")


@pytest.mark.parametrize("size", [(64, 96), (63, 95)])
@pytest.mark.parametrize("black", [512, (500, 520, 540, 560)])
def test_the_mosaic_of_a_sensor_is_developed_as_the_file_is(size: tuple[int, int], black: int | tuple) -> None:
    height, width = size
    light = np.linspace(0.01, 0.9, height * width).reshape(size)
    levels = np.tile(np.reshape(black if isinstance(black, tuple) else 4 * (black,), (2, 2)), (32, 48))
    data = dng(counts(light, levels[:height, :width]), black=black)
    sensor = Sensor.of(data)
    assert sensor is not None
    assert sensor.colours.tolist() == [[0, 1], [1, 2]]
    assert sensor.planes().shape == (4, (height + 1) // 2, (width + 1) // 2)
    np.testing.assert_allclose(sensor.mosaic[::2, 1::2], light[::2, 1::2], atol=1e-4)  # green sees all of the light
    developed, plain = sensor.developed(sensor.planes()), read(data)
    # Of 65535: both are rounded to integers, and LibRaw takes one black for all where white is concerned.
    near = 64 if black == 512 else 128
    assert np.abs(developed.pixels.astype(int) - plain.pixels).max() <= near
    assert developed.exif == plain.exif
    half = sensor.developed(sensor.planes() / 2).pixels
    assert np.median(half) < 0.8 * np.median(plain.pixels)  # what is put in comes out
    with_noise = sensor.planes() - 0.02
    assert (sensor.developed(with_noise).pixels <= plain.pixels.astype(int) + near).all()


def test_a_sensor_without_a_usual_mosaic_has_no_planes() -> None:
    data = dng(np.full((64, 96, 3), 3000, np.uint16))  # demosaicked before
    assert is_raw(data)
    assert Sensor.of(data) is None
    assert read(data).pixels.shape == (64, 96, 3)
