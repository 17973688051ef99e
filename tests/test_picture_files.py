"""Picture files that cannot be read and places that cannot be written."""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from pixelrl.errors import InputError, UsageError
from pixelrl.pictures import files, formats
from pixelrl.pictures.files import Picture, check_writable, read_picture, write_picture

RGB8 = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
RGB16 = RGB8.astype(np.uint16) * 257
RGB32 = (RGB8 / 255).astype(np.float32)


def pillow(kind: str, array: np.ndarray = RGB8, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def opencv(suffix: str, array: np.ndarray = RGB16) -> bytes:
    return bytes(cv2.imencode(suffix, array)[1])


def tiff(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def png_header(width: int, height: int, depth: int = 8, rows: bytes = b"") -> bytes:
    """A PNG of RGB with a valid header and whatever rows are given."""
    ihdr = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    parts = [(b"IHDR", ihdr), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def refuse(path: Path, *words: str, **options: int) -> None:
    """Reading fails with one sentence that starts with the file and has the words."""
    with pytest.raises(InputError) as caught:
        read_picture(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message.removeprefix(f"{path}: ")


def cut(data: bytes, share: float = 0.5) -> bytes:
    return data[: int(len(data) * share)]


def spoil(data: bytes) -> bytes:
    """The same length with a run of 0xff in the middle of the pixel data."""
    return data[:200] + b"\xff" * 1500 + data[1700:]


DAMAGED = {
    "truncated.jpg": cut(pillow("JPEG")),
    "nearly.jpg": cut(pillow("JPEG"), 0.98),
    "progressive.jpg": cut(pillow("JPEG", progressive=True), 0.9),
    "header.jpg": pillow("JPEG")[:30],
    "truncated.png": cut(pillow("PNG")),
    "no-end.png": pillow("PNG")[:-12],
    "truncated16.png": cut(opencv(".png")),
    "few-rows.png": png_header(50, 40, 8, bytes(151 * 20)),
    "few-rows16.png": png_header(50, 40, 16, bytes(301 * 20)),
    "spoilt.png": spoil(pillow("PNG")),
    "bad-filter16.png": png_header(2, 1, 16, b"\x09" + bytes(12)),
    "truncated.webp": cut(pillow("WEBP", lossless=True)),
    "header.tif": pillow("TIFF")[:8],
    "truncated.tif": cut(tiff(RGB8, photometric="rgb")),
    "truncated16.tif": cut(tiff(RGB16, photometric="rgb", compression="zlib")),
    "spoilt16.tif": spoil(tiff(RGB16, photometric="rgb", compression="zlib")),
    "lzw.tif": spoil(pillow("TIFF", compression="tiff_lzw")),
    "lzw16.tif": spoil(opencv(".tif")),
    "truncated.bmp": cut(pillow("BMP")),
    "truncated.gif": cut(pillow("GIF", RGB8[..., 0])),
    "truncated.ppm": cut(pillow("PPM")),
    "truncated.pgm": b"P5 50 40 65535\n" + bytes(3999),
    "beyond-white.pgm": b"P5 1 1 1000\n\xff\xff",
    "lzw-cut.tif": cut(pillow("TIFF", compression="tiff_lzw")),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_refused_without_a_word_from_the_decoders(tmp_path, capfd, caplog, name):
    path = tmp_path / name
    path.write_bytes(DAMAGED[name])
    refuse(path, "undamaged")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_a_tiff_with_a_missing_strip_is_refused(tmp_path):
    data = bytearray(tiff(RGB8, photometric="rgb", rowsperstrip=10, byteorder="<"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        counts = file.pages[0].tags["StripByteCounts"]
    assert (counts.value, counts.dtype) == ((1500,) * 4, tifffile.DATATYPE.SHORT)
    data[counts.valueoffset : counts.valueoffset + 8] = struct.pack("<4H", 1500, 1500, 1500, 0)
    (tmp_path / "sparse.tif").write_bytes(data)
    refuse(tmp_path / "sparse.tif", "truncated")


def test_the_filters_of_warnings_belong_to_the_caller(tmp_path):
    for name in DAMAGED:
        (tmp_path / name).write_bytes(DAMAGED[name])
    with formats.silence(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in DAMAGED:
            refuse(tmp_path / name)
        warnings.warn("of the caller", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["of the caller"]
    filters = list(warnings.filters)
    with formats.silence():
        assert warnings.filters == filters


def test_stderr_works_after_a_decoder_was_silenced(tmp_path, capfd):
    (tmp_path / "few.png").write_bytes(DAMAGED["few-rows16.png"])
    refuse(tmp_path / "few.png")
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


UNSUPPORTED = {
    "nan.tif": (tiff(np.where(RGB32 < 0.01, np.nan, RGB32), photometric="rgb"), "NaN"),
    "inf.tif": (tiff(np.where(RGB32 < 0.01, np.inf, RGB32), photometric="rgb"), "infinite"),
    "large.tif": (tiff(np.full((4, 4), 1e300), photometric="minisblack"), "infinite"),
    "int32.tif": (tiff(RGB8.astype(np.int32), photometric="rgb"), "int32"),
    "int8.tif": (tiff(RGB8.astype(np.int8), photometric="rgb"), "int8"),
    "complex.tif": (tiff(RGB32[..., 0].astype(np.complex64), photometric="minisblack"), "complex64"),
    "bands.tif": (
        tiff(np.dstack([RGB16, RGB16]), photometric="minisblack", planarconfig="contig"),
        "6 samples",
    ),
    "cmyk16.tif": (tiff(RGB16[..., [0, 1, 2, 0]], photometric="separated"), "SEPARATED"),
    "lab.tif": (tiff(RGB8, photometric="cielab"), "LAB"),
    "volume.tif": (tiff(RGB8, photometric="minisblack", volumetric=True, tile=(16, 16, 16)), "volume"),
    "text.png": (b"This is not a picture.", "PNG, JPEG, TIFF, WebP, BMP, GIF or PNM"),
    "zero.png": (b"", "0 bytes"),
    "flat.png": (png_header(50, 0), "50 x 0"),
    "huge.png": (png_header(100_000, 100_000), "10000 megapixels; at most 500"),
    "picture.tga": (pillow("TGA"), "'.tga' is not known; .png, .jpg"),
    "photo.jp2": (b"", "JPEG 2000 is not read; convert it to PNG or JPEG first"),
    "dng.tif": (pillow("TIFF", tiffinfo={50706: b"\1\4\0\0"}), "a camera that LibRaw does not know; develop it"),
    "photo.cr2": (b"II*\0\x10\0\0\0CR" + bytes(99), "a camera that LibRaw does not know; develop it"),
    "picture": (pillow("PNG"), "the suffix '' is not known"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_files_of_a_wrong_kind_are_refused_with_the_reason(tmp_path, capfd, name):
    data, word = UNSUPPORTED[name]
    path = tmp_path / name
    path.write_bytes(data)
    refuse(path, word)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.bmp", "a.gif", "a.ppm"])
def test_the_pixel_limit_holds_for_every_format(tmp_path, name):
    kind = {"jpg": "JPEG", "tif": "TIFF", "ppm": "PPM"}.get(name[2:], name[2:])
    (tmp_path / name).write_bytes(pillow(kind))
    assert read_picture(tmp_path / name, max_pixels=2000).pixels.shape == (40, 50, 3)
    refuse(tmp_path / name, "50 x 40", max_pixels=1999)


def test_the_limit_is_ours_and_not_that_of_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow would refuse 2000 pixels
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        Image.fromarray(RGB8).save(tmp_path / "in.png", kind)
        assert read_picture(tmp_path / "in.png").pixels.shape == (40, 50, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_places_that_cannot_be_read(tmp_path, monkeypatch):
    refuse(tmp_path / "missing.png", "no such file")
    (tmp_path / "folder.png").mkdir()
    refuse(tmp_path / "folder.png", "a folder")
    os.mkfifo(tmp_path / "pipe.png")
    refuse(tmp_path / "pipe.png", "not a regular file")
    (tmp_path / "secret.png").write_bytes(pillow("PNG"))

    def deny(path: Path) -> bytes:  # file modes do not stop the superuser
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", deny)
    refuse(tmp_path / "secret.png", "no permission")


def test_the_format_is_told_by_the_content(tmp_path):
    (tmp_path / "really-a-jpeg.png").write_bytes(pillow("JPEG"))
    assert read_picture(str(tmp_path / "really-a-jpeg.png")).pixels.shape == (40, 50, 3)


def test_picture_checks_its_arrays():
    for pixels, alpha in (
        (RGB8[..., :2], None),
        (RGB8[:0], None),
        (RGB8.astype(np.int64), None),
        (RGB8, RGB8[:5, :, 0]),
        (RGB8, RGB16[..., 0]),
    ):
        with pytest.raises(InputError, match="is needed"):
            Picture(pixels, alpha)


def test_with_pixels_keeps_the_rest():
    alpha = np.full((40, 50), 51, np.uint8)
    picture = Picture(RGB8, alpha, b"profile", b"exif", ("a note",))
    other = picture.with_pixels(255 - RGB8)
    assert (other.pixels[0, 0] == 255 - RGB8[0, 0]).all()
    assert (other.icc_profile, other.exif, other.notes) == (b"profile", b"exif", ("a note",))
    assert other.alpha is alpha
    deep, real = picture.with_pixels(RGB16), picture.with_pixels(RGB32)
    assert deep.alpha is not None
    assert deep.alpha.dtype == np.uint16
    assert (deep.alpha == 51 * 257).all()
    assert real.alpha is not None
    assert real.alpha.dtype == np.float32
    assert real.alpha[0, 0] == pytest.approx(0.2)
    assert picture.with_pixels(RGB8[..., 0]).icc_profile is None
    with pytest.raises(InputError, match=r"\(40, 50\)"):
        Picture(RGB8).with_pixels(RGB8[:5])


@pytest.mark.parametrize(
    ("name", "pixels", "alpha", "names"),
    [
        ("a.jpg", RGB16, False, "16-bit picture of 50 x 40; PNG or TIFF can"),
        ("a.jpg", RGB8, True, "8-bit picture of 50 x 40 with transparency; PNG, TIFF or WebP can"),
        ("a.webp", RGB16, True, "PNG or TIFF can"),
        ("a.png", RGB32, False, "float32 picture of 50 x 40; TIFF can"),
        ("a.webp", np.zeros((1, 16384), np.uint8), False, "16384 x 1; JPEG, PNG or TIFF can"),
        ("a.jpg", np.zeros((65501, 1), np.uint8), False, "1 x 65501; PNG or TIFF can"),
        ("a.gif", RGB8, False, "'.gif' is not known; .png"),
    ],
)
def test_formats_that_cannot_hold_the_picture_name_those_that_can(tmp_path, name, pixels, alpha, names):
    picture = Picture(pixels, np.zeros_like(pixels[..., 0]) if alpha else None)
    for act in (check_writable, write_picture):
        with pytest.raises(UsageError) as caught:
            act(tmp_path / name, picture)
        assert names in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    picture = Picture(RGB8)
    target = tmp_path / "old.png"
    target.write_bytes(b"old")
    with pytest.raises(UsageError, match="--overwrite"):
        write_picture(target, picture)
    assert target.read_bytes() == b"old"
    with pytest.raises(UsageError, match=f"no folder {tmp_path / 'none'}"):
        write_picture(tmp_path / "none" / "a.png", picture)
    with pytest.raises(UsageError, match="no folder"):
        write_picture(target / "a.png", picture)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match="this is a folder"):
        write_picture(tmp_path / "folder.png", picture, overwrite=True)
    with pytest.raises(UsageError, match="quality 0 is out of range; 1 to 100"):
        write_picture(tmp_path / "a.jpg", picture, quality=0)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # file modes do not stop the superuser
    with pytest.raises(UsageError, match=f"the folder {tmp_path} cannot be written to"):
        write_picture(tmp_path / "a.png", picture)
    assert sorted(os.listdir(tmp_path)) == ["folder.png", "old.png"]


@pytest.mark.parametrize(
    ("problem", "shown", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), UsageError, "disk of .* is full"),
        (OSError(errno.EROFS, "Read-only file system"), UsageError, "read-only"),
        (OSError(errno.EIO, "Input/output error"), UsageError, "Input/output error"),
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
    ],
)
@pytest.mark.parametrize("place", ["encoding", "writing", "replacing"])
def test_an_interrupted_write_changes_nothing(tmp_path, monkeypatch, problem, shown, words, place):
    target = tmp_path / "old.png"
    target.write_bytes(b"old")

    def fail(*args: object) -> None:
        raise problem

    class Full(io.FileIO):
        def write(self, data: object) -> int:
            super().write(bytes(data)[:100])  # type: ignore[call-overload]
            raise problem

    if place == "encoding":
        monkeypatch.setitem(files._ENCODERS, "PNG", fail)
        words = "cannot be written as PNG" if shown is UsageError else ""
    elif place == "writing":
        monkeypatch.setattr(files, "open", lambda path, mode: Full(path, mode.replace("b", "")), raising=False)
    else:
        monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(shown, match=words or None):
        write_picture(target, Picture(RGB8), overwrite=True)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["old.png"]


def test_a_good_write_replaces_the_file_with_the_usual_mode(tmp_path):
    target, plain = tmp_path / "old.png", tmp_path / "plain"
    target.write_bytes(b"old")
    plain.touch()
    write_picture(target, Picture(RGB8), overwrite=True)
    np.testing.assert_array_equal(read_picture(target).pixels, RGB8)
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["old.png", "plain"]
