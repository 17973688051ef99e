"""What each file format keeps. Pillow, OpenCV and tifffile make the inputs and check the results."""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from pixelrl.errors import InputError
from pixelrl.pictures.files import Picture, read_picture, write_picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKE, ORIENTATION, CAMERA, GPS, INTEROP, EXPOSED, APERTURE = 271, 274, 34665, 34853, 40965, 36867, 33437


def noise(*shape: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    if dtype == "float32":
        return random.normal(0.5, 0.4, shape).astype(dtype)  # beyond [0, 1] on purpose
    return random.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def exif_block() -> bytes:
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "Ocular", 6
    exif[CAMERA] = {EXPOSED: "2024:02:29 12:00:00", APERTURE: 2.8, INTEROP: {1: "R98"}}
    exif[GPS] = {1: "N", 2: (48.0, 51.0, 30.0)}
    return exif.tobytes().removeprefix(b"Exif\0\0")


def check_exif(block: bytes | None) -> None:
    assert block is not None
    exif = Image.Exif()
    exif.load(block)
    assert (exif[MAKE], exif[ORIENTATION]) == ("Ocular", 6)
    camera, gps = exif.get_ifd(CAMERA), exif.get_ifd(GPS)
    assert camera[EXPOSED] == "2024:02:29 12:00:00"
    assert float(camera[APERTURE]) == pytest.approx(2.8)
    assert exif.get_ifd(INTEROP)[1].rstrip("\0") == "R98"
    assert (gps[1], [float(part) for part in gps[2]]) == ("N", [48, 51, 30])


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def png(parts: list[tuple[bytes, bytes]]) -> bytes:
    body = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def encoded(array: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def read_bytes(folder: Path, data: bytes) -> Picture:
    (folder / "in.png").write_bytes(data)
    return read_picture(folder / "in.png")


def same(got: Picture, pixels: np.ndarray, alpha: np.ndarray | None = None) -> None:
    assert (got.pixels.dtype, got.pixels.shape) == (pixels.dtype, pixels.shape)
    np.testing.assert_array_equal(got.pixels, pixels)
    assert (got.alpha is None) == (alpha is None)
    if alpha is not None and got.alpha is not None:
        assert got.alpha.dtype == alpha.dtype
        np.testing.assert_array_equal(got.alpha, alpha)
    assert got.pixels.flags.writeable
    assert got.pixels.flags.c_contiguous


LOSSLESS = [
    (suffix, depth, colour, alpha, side)
    for suffix, depths in ((".png", 2), (".tif", 3), (".webp", 1))
    for depth in ("uint8", "uint16", "float32")[:depths]
    for colour in (False, True)
    for alpha in (False, True)
    for side in (1, 19)
]


@pytest.mark.parametrize(("suffix", "depth", "colour", "alpha", "side"), LOSSLESS)
def test_every_kind_comes_back_bit_for_bit(tmp_path, suffix, depth, colour, alpha, side):
    shape = (side, side + 4 * (side > 1))
    mask = noise(*shape, dtype=depth, seed=1) if alpha else None
    if mask is not None:
        mask[0, 0] = 0  # colours under full transparency survive too
    pixels = noise(*shape, 3, dtype=depth) if colour else noise(*shape, dtype=depth)
    path = tmp_path / f"out{suffix}"
    write_picture(path, Picture(pixels, mask, ICC, exif_block()))
    got = read_picture(path)
    if suffix == ".webp" and not colour:  # WebP has no grey
        pixels = np.dstack([pixels] * 3)
    same(got, pixels, mask)
    assert got.icc_profile == ICC
    check_exif(got.exif)
    assert got.notes == ()
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_is_close_unsubsampled_and_keeps_its_metadata(tmp_path, colour):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    pixels = np.dstack([ramp, ramp.T, 255 - ramp]) if colour else ramp
    path = tmp_path / "out.JPG"
    write_picture(path, Picture(pixels, None, ICC, exif_block()))
    got = read_picture(path)
    assert got.pixels.shape == pixels.shape
    assert np.abs(got.pixels.astype(int) - pixels).max() < 8
    assert got.icc_profile == ICC
    check_exif(got.exif)
    with Image.open(path) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * (3 if colour else 1)
    write_picture(tmp_path / "small.jpg", Picture(pixels), quality=20)
    assert (tmp_path / "small.jpg").stat().st_size < path.stat().st_size - len(ICC)


def test_other_programs_read_what_is_written(tmp_path):
    for name, pixels in {
        "a.png": noise(9, 7, 3, dtype="uint16"),
        "b.png": noise(9, 7, dtype="uint16"),
    }.items():
        write_picture(tmp_path / name, Picture(pixels, None, ICC if pixels.ndim == 3 else None, exif_block()))
        read = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(read if pixels.ndim == 2 else read[..., ::-1], pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["icc_profile"] == ICC
        check_exif(image.info["exif"].removeprefix(b"Exif\0\0"))
    grey, alpha = noise(9, 7), noise(9, 7, seed=1)
    write_picture(tmp_path / "la.png", Picture(grey, alpha))
    with Image.open(tmp_path / "la.png") as image:
        assert image.mode == "LA"
        np.testing.assert_array_equal(np.asarray(image), np.dstack([grey, alpha]))
    deep, veil = noise(9, 7, dtype="uint16"), noise(9, 7, dtype="uint16", seed=1)
    write_picture(tmp_path / "la16.png", Picture(deep, veil))
    bgra = cv2.imread(str(tmp_path / "la16.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(bgra, np.dstack([deep, deep, deep, veil]))
    write_picture(tmp_path / "t.tif", Picture(noise(9, 7, 3), None, ICC, exif_block()))
    with Image.open(tmp_path / "t.tif") as image:
        assert image.info["icc_profile"] == ICC
        check_exif(image.getexif().tobytes().removeprefix(b"Exif\0\0"))
        np.testing.assert_array_equal(np.rot90(noise(9, 7, 3), -1), np.asarray(image))  # 6: a quarter turn


def test_directories_of_a_tiff_start_on_even_bytes(tmp_path):
    for side in range(1, 9):  # deflate gives odd and even lengths; TIFF 6.0 asks for word boundaries
        write_picture(tmp_path / f"{side}.tif", Picture(noise(side, 7), exif=exif_block()))
        data = (tmp_path / f"{side}.tif").read_bytes()
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            for tag in (CAMERA, GPS):
                (at,) = struct.unpack_from("<I", data, file.pages[0].tags[tag].offset + 8)
                assert at % 2 == 0


def test_kinds_of_png(tmp_path):
    rgb16 = noise(9, 7, 3, dtype="uint16")
    _, data = cv2.imencode(".png", rgb16[..., ::-1])
    same(read_bytes(tmp_path, data.tobytes()), rgb16)
    grey16 = noise(9, 7, dtype="uint16")
    same(read_bytes(tmp_path, encoded(grey16, "PNG")), grey16)
    bits = noise(9, 11) > 127
    same(read_bytes(tmp_path, encoded(bits, "PNG")), np.where(bits, 255, 0).astype(np.uint8))
    indices = noise(9, 7) % 4
    colours = noise(4, 3)
    image = Image.fromarray(indices, "L")
    image.putpalette(colours.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    same(read_bytes(tmp_path, file.getvalue()), colours[indices])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=bytes([0, 50, 100, 255]))
    veil = np.array([0, 50, 100, 255], np.uint8)[indices]
    same(read_bytes(tmp_path, file.getvalue()), colours[indices], veil)


def test_transparent_value_of_a_2_bit_png_becomes_alpha(tmp_path):
    # One row of the four values 0..3, packed into one byte; 2 is transparent.
    ihdr = struct.pack(">IIBBBBB", 4, 1, 2, 0, 0, 0, 0)
    rows = zlib.compress(bytes([0, 0b00011011]))
    data = png([(b"IHDR", ihdr), (b"tRNS", struct.pack(">H", 2)), (b"IDAT", rows), (b"IEND", b"")])
    expected = np.array([[0, 85, 170, 255]], np.uint8)
    same(read_bytes(tmp_path, data), expected, np.array([[255, 255, 0, 255]], np.uint8))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_one_transparent_colour_of_a_png_becomes_alpha(tmp_path, depth, colour):
    pixels = noise(9, 7, 3, dtype=f"uint{depth}") if colour else noise(9, 7, dtype=f"uint{depth}")
    key = np.atleast_1d(pixels[4, 3])
    _, data = cv2.imencode(".png", pixels[..., ::-1] if colour else pixels)
    parts = chunks(data.tobytes())
    data = png([parts[0], (b"tRNS", struct.pack(f">{key.size}H", *key)), *parts[1:]])
    hit = (pixels.reshape(9, 7, -1) == key).all(axis=2)
    same(read_bytes(tmp_path, data), pixels, np.where(hit, 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype))


def stack(kind: str) -> bytes:
    """Three pictures in one file."""
    frames = [Image.fromarray(noise(9, 7, 3, seed=seed)) for seed in range(3)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_several_frames_are_refused(tmp_path, kind):
    with pytest.raises(InputError, match="it holds 3 frames, and one is needed; save the one you want"):
        read_bytes(tmp_path, stack(kind))


@pytest.mark.parametrize(
    "options", [{"imagej": True, "truncate": True}, {"imagej": True}, {"truncate": True}, {"metadata": None}]
)
def test_stacks_are_refused_even_if_they_look_like_one_page(tmp_path, options):
    with pytest.raises(InputError, match="it holds 6 frames"):
        read_bytes(tmp_path, tiff(np.stack([noise(9, 7, seed=seed) for seed in range(6)]), **options))


def test_a_preview_is_no_second_frame(tmp_path):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(noise(20, 30, 3))
        writer.write(noise(10, 15, 3), subfiletype=1)
    same(read_bytes(tmp_path, file.getvalue()), noise(20, 30, 3))


def test_cmyk_is_noted(tmp_path):
    for kind in ("JPEG", "TIFF"):
        file = io.BytesIO()
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(file, kind, quality=95, icc_profile=ICC)
        got = read_bytes(tmp_path, file.getvalue())
        assert np.abs(got.pixels[4, 4].astype(int) - (255, 0, 0)).max() <= 3  # no cyan, all magenta and yellow: red
        assert got.notes == ("CMYK converted to RGB",)
        assert got.icc_profile is None


def tiff(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_layouts_of_tiff(tmp_path, dtype):
    rgb, grey = noise(18, 34, 3, dtype=dtype), noise(18, 34, dtype=dtype)
    full = {"uint8": 255, "uint16": 65535, "float32": np.float32(1)}[dtype]
    planar = np.ascontiguousarray(np.moveaxis(rgb, 2, 0))
    same(read_bytes(tmp_path, tiff(planar, photometric="rgb", planarconfig="separate")), rgb)
    for options in ({"tile": (16, 16)}, {"byteorder": ">"}, {"bigtiff": True}):
        same(read_bytes(tmp_path, tiff(rgb, photometric="rgb", **options)), rgb)
    same(read_bytes(tmp_path, tiff(full - grey, photometric="miniswhite")), full - (full - grey))
    lzw = [cv2.IMWRITE_TIFF_COMPRESSION, 5]  # no decoder for LZW in tifffile itself
    same(read_bytes(tmp_path, cv2.imencode(".tif", grey, lzw)[1].tobytes()), grey)
    same(read_bytes(tmp_path, cv2.imencode(".tif", rgb[..., ::-1], lzw)[1].tobytes()), rgb)
    veil = noise(18, 34, dtype=dtype, seed=1)
    four = np.dstack([rgb, veil])
    same(read_bytes(tmp_path, cv2.imencode(".tif", four[..., [2, 1, 0, 3]], lzw)[1].tobytes()), rgb, veil)
    with_note = read_bytes(tmp_path, tiff(four, photometric="rgb", extrasamples=["unspecified"]))
    same(with_note, rgb)
    assert with_note.notes == ("an extra channel of unspecified meaning is left out",)


def test_old_and_odd_tiffs(tmp_path):
    grey = noise(18, 34, dtype="uint16")
    for array in (grey, noise(18, 34)):  # stored on its side: the pixels stay as they are and the tag is kept
        got = read_bytes(tmp_path, encoded(array, "TIFF", compression="tiff_lzw", tiffinfo={ORIENTATION: 6}))
        same(got, array)
        assert got.exif is not None
        loaded = Image.Exif()
        loaded.load(got.exif)
        assert loaded[ORIENTATION] == 6
    bits = noise(18, 34) > 127
    for compression in (None, "group4"):
        got = read_bytes(tmp_path, encoded(bits, "TIFF", compression=compression))
        same(got, np.where(bits, 255, 0).astype(np.uint8))
    palette = Image.fromarray(noise(18, 34, 3)).quantize(16)
    file = io.BytesIO()
    palette.save(file, "TIFF")
    same(read_bytes(tmp_path, file.getvalue()), np.asarray(palette.convert("RGB")))
    for dtype in ("float64", "float16"):
        wide = np.array([[0.25, 0.5], [1.0, -2.0]], dtype)
        got = read_bytes(tmp_path, tiff(wide, photometric="minisblack"))
        same(got, wide.astype(np.float32))
        assert got.notes == (f"{dtype} converted to float32",)
    # Associated alpha of 51/255 = 1/5: stored 10, 20, 30 stand for 50, 100, 150.
    stored = np.array([[[10, 20, 30, 51], [0, 0, 0, 0]]], np.uint8)
    got = read_bytes(tmp_path, tiff(stored, photometric="rgb", extrasamples=["assocalpha"]))
    same(got, np.array([[[50, 100, 150], [0, 0, 0]]], np.uint8), np.array([[51, 0]], np.uint8))
    assert got.notes == ("alpha was premultiplied and is divided out",)
    exif = read_bytes(tmp_path, tiff(grey, photometric="minisblack", metadata={"axes": "YX"}, software=False)).exif
    assert exif is None  # tifffile's own JSON is no description of the picture


def test_tiff_keeps_texts_and_resolution(tmp_path):
    pixels = noise(9, 7)
    data = tiff(
        pixels,
        photometric="minisblack",
        resolution=(300, 150),
        resolutionunit="INCH",
        metadata=None,
        software="Ocular 2",
        extratags=[(315, "s", 0, "Käthe".encode(), True)],
    )
    picture = read_bytes(tmp_path, data)
    write_picture(tmp_path / "out.tif", picture)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        tags = file.pages[0].tags
        assert tags[282].value == (300, 1)
        assert tags[283].value == (150, 1)
        assert tags[296].value == 2
        assert tags[305].value == "Ocular 2"
        assert tags[315].value == "Käthe"


def test_exif_that_a_jpeg_cannot_hold_is_left_out_with_a_note(tmp_path):
    exif = b"II*\0" + bytes(70_000)
    picture = Picture(noise(16, 16, 3), exif=exif, icc_profile=ICC)
    notes = write_picture(tmp_path / "a.jpg", picture)
    assert notes == ("JPEG has no place for EXIF data (over 64 KB): left out",)
    assert read_picture(tmp_path / "a.jpg").icc_profile == ICC
    assert write_picture(tmp_path / "a.png", picture) == ()
    assert read_picture(tmp_path / "a.png").exif == exif
    turned = Image.Exif()
    turned[ORIENTATION], turned[MAKE] = 6, "x" * 70_000
    write_picture(tmp_path / "b.jpg", replace(picture, exif=turned.tobytes().removeprefix(b"Exif\0\0")))
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif() == {ORIENTATION: 6}  # or the photo would lie on its side


def test_exif_in_two_segments_of_a_jpeg(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = 6, "x" * 70_000
    block = exif.tobytes()
    segments = [block[:60_000], b"Exif\0\0" + block[60_000:]]
    parts = [b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in segments]
    plain = encoded(noise(9, 7, 3), "JPEG")
    picture = read_bytes(tmp_path, plain[:2] + b"".join(parts) + plain[2:])
    assert picture.exif == block.removeprefix(b"Exif\0\0")
    assert write_picture(tmp_path / "out.jpg", picture) == ("JPEG has no place for EXIF data (over 64 KB): left out",)
    assert write_picture(tmp_path / "out.png", picture) == ()


def test_lossy_webp_stays_lossy_and_quality_counts(tmp_path):
    original = noise(64, 64, 3)
    sizes = []
    for options in ({"lossless": True}, {"quality": 80}, {"quality": 80, "exif": b"II*\0" + bytes(9)}):
        Image.fromarray(original).save(tmp_path / "in.webp", **options)
        picture = read_picture(tmp_path / "in.webp")
        assert picture.lossy == ("quality" in options)
        write_picture(tmp_path / "out.webp", picture.with_pixels(original), overwrite=True)
        sizes.append((tmp_path / "out.webp").stat().st_size)
        assert np.array_equal(read_picture(tmp_path / "out.webp").pixels, original) == ("lossless" in options)
    assert max(sizes[1:]) < 0.8 * sizes[0]
    write_picture(tmp_path / "small.webp", Picture(original), quality=10)
    assert (tmp_path / "small.webp").stat().st_size < 0.5 * sizes[0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_change_of_depth_keeps_white_white(dtype):
    full = {"uint8": 255, "uint16": 65535, "float32": 1}
    for start, white in full.items():
        pixels = np.array([[0, white, white / 5]]).astype(start)
        picture = Picture(pixels, alpha=pixels).with_dtype(dtype)
        assert str(picture.pixels.dtype) == dtype
        np.testing.assert_allclose(picture.pixels, [[0, full[dtype], full[dtype] / 5]], rtol=1e-6)
        assert np.array_equal(picture.pixels, picture.alpha)
