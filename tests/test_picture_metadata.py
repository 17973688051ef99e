"""Formats that are only read, and what files say beside pixels: kept where the format can, else one note per file."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from pixelrl.errors import InputError
from pixelrl.pictures.files import PHOTO, READABLE, SUFFIXES, Picture, decode, encode, read_picture, write_picture
from pixelrl.pictures.metadata import Extra
from profiles import display_p3
from test_picture_formats import chunks, encoded, exif_block, noise, png, read_bytes, same

XMP = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"/><?xpacket end="w"?>'
GAMMA, PRIMARIES = struct.pack(">I", 100_000), struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_GAMMA = struct.pack(">I", 45455)


def with_chunks(*added: tuple[bytes, bytes]) -> bytes:
    """A small PNG of colours with more chunks after its header."""
    first, *rest = chunks(encoded(noise(9, 7, 3), "PNG"))
    return png([first, *added, *rest])


def with_segments(*added: bytes) -> bytes:
    """A small JPEG with more segments behind the one of JFIF."""
    data = encoded(noise(9, 7, 3), "JPEG", dpi=(300, 150))
    parts = b"".join(kind[:2] + struct.pack(">H", len(kind)) + kind[2:] for kind in added)
    at = 4 + struct.unpack(">H", data[4:6])[0]
    return data[:at] + parts + data[at:]


RICH = with_chunks(
    (b"gAMA", GAMMA),
    (b"cHRM", PRIMARIES),
    (b"cICP", bytes([9, 16, 0, 1])),
    (b"pHYs", struct.pack(">IIB", 11811, 5906, 1)),
    (b"tEXt", b"Author\0K\xe4the"),
    (b"zTXt", b"Title\0\0" + zlib.compress(b"Deflated")),
    (b"iTXt", "Description\0\0\0de\0\0Ω und €".encode()),
    (b"tEXt", b"Comment\0plain"),
    (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
)
KEPT = Extra(
    dpi=(11811 * 0.0254, 5906 * 0.0254),
    xmp=XMP,
    texts=(("Author", "Käthe"), ("Title", "Deflated"), ("Description", "Ω und €")),
    comment="plain",
    chunks=((b"cICP", bytes([9, 16, 0, 1])), (b"gAMA", GAMMA), (b"cHRM", PRIMARIES)),
)


def extra_of(path: Path) -> Extra:
    extra = read_picture(path).extra
    return Extra(extra.dpi, extra.xmp, extra.iptc, tuple(sorted(extra.texts)), extra.comment, extra.chunks, extra.lost)


def test_a_png_comes_back_with_all_that_it_says(tmp_path: Path) -> None:
    picture = read_bytes(tmp_path, RICH)
    assert dict(picture.extra.texts) == dict(KEPT.texts)
    assert write_picture(tmp_path / "out.png", picture) == ()
    kept = Extra(KEPT.dpi, KEPT.xmp, None, tuple(sorted(KEPT.texts)), KEPT.comment, KEPT.chunks)
    assert extra_of(tmp_path / "out.png") == kept
    with Image.open(tmp_path / "out.png") as image:  # as others read it
        assert image.info["dpi"] == pytest.approx((300, 150), abs=0.02)
        assert (image.text["Author"], image.text["Description"]) == ("Käthe", "Ω und €")
        assert image.info["gamma"] == pytest.approx(1)
        assert image.info["xmp"] == XMP


def test_what_another_format_has_no_place_for_is_one_note(tmp_path: Path) -> None:
    picture = read_bytes(tmp_path, RICH)
    texts = "text 'Author', text 'Title', text 'Description'"
    colours = "cICP, gAMA, cHRM: left out"
    texts = ", ".join(f"text {keyword!r}" for keyword, _ in picture.extra.texts)
    for suffix, kind, lost in (
        (".jpg", "JPEG", f"{texts}, {colours}"),
        (".tif", "TIFF", f"{texts}, the comment, {colours}"),
        (".webp", "WebP", f"dots per inch, {texts}, the comment, {colours}"),
    ):
        assert write_picture(tmp_path / f"out{suffix}", picture) == (f"{kind} has no place for {lost}",)
        again = read_picture(tmp_path / f"out{suffix}").extra
        assert again.xmp == XMP
        assert again.dpi is None or again.dpi == pytest.approx((300, 150), abs=0.02)
        assert (again.dpi is None) == (kind == "WebP")
        assert again.comment == ("plain" if kind == "JPEG" else None)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].tags[296].value == 2


def test_words_that_change_nothing_are_no_loss(tmp_path: Path) -> None:
    """sRGB is what every format means, and a profile is obeyed instead of what PNG says of colours."""
    plain = read_bytes(tmp_path, with_chunks((b"sRGB", b"\0"), (b"gAMA", GAMMA), (b"cHRM", PRIMARIES)))
    assert write_picture(tmp_path / "a.jpg", plain) == ()
    assert write_picture(tmp_path / "b.jpg", read_bytes(tmp_path, with_chunks((b"gAMA", SRGB_GAMMA)))) == ()
    profile = (b"iCCP", b"P3\0\0" + zlib.compress(display_p3()))
    assert write_picture(tmp_path / "c.jpg", read_bytes(tmp_path, with_chunks(profile, (b"gAMA", GAMMA)))) == ()
    linear = read_bytes(tmp_path, with_chunks((b"gAMA", GAMMA)))
    assert write_picture(tmp_path / "d.jpg", linear) == ("JPEG has no place for gAMA: left out",)
    assert linear.with_pixels(linear.pixels[..., 0]).extra.chunks == ()  # of colours that are there no more


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    shape = struct.pack(">IIB", 2, 1, 0)
    picture = read_bytes(tmp_path, with_chunks((b"pHYs", shape)))
    assert (picture.extra.dpi, picture.extra.chunks) == (None, ((b"pHYs", shape),))
    write_picture(tmp_path / "out.png", picture)
    assert (b"pHYs", shape) in chunks((tmp_path / "out.png").read_bytes())
    assert write_picture(tmp_path / "a.jpg", picture) == ("JPEG has no place for pHYs: left out",)


@pytest.mark.parametrize("name", [b"exif", b"APP1"])
def test_exif_that_a_png_holds_as_a_text(tmp_path: Path, name: bytes) -> None:
    block = b"Exif\0\0" + exif_block()
    digits = block.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = b"\nexif\n%8d\n" % len(block) + lines + b"\n"
    for chunk in (
        (b"zTXt", b"Raw profile type " + name + b"\0\0" + zlib.compress(text)),
        (b"tEXt", b"Raw profile type " + name + b"\0" + text),
    ):
        picture = read_bytes(tmp_path, with_chunks(chunk))
        assert picture.exif == exif_block()
        assert picture.extra == Extra()
    damaged = read_bytes(tmp_path, with_chunks((b"zTXt", b"Raw profile type " + name + b"\0\0no deflate")))
    assert damaged.exif is None
    odd = read_bytes(tmp_path, with_chunks((b"tEXt", b"Raw profile type " + name + b"\0\n\n\nxyz")))
    assert odd.exif is None


def test_a_jpeg_comes_back_with_all_that_it_says(tmp_path: Path) -> None:
    iptc = b"8BIM\x04\x04\0\0\0\0\0\x06\x1c\x02\x78\0\x01x"
    data = with_segments(
        b"\xff\xe1http://ns.adobe.com/xap/1.0/\0" + XMP,
        b"\xff\xedPhotoshop 3.0\0" + iptc,
        b"\xff\xfe" + "für Käthe".encode(),
    )
    picture = read_bytes(tmp_path, data)
    assert picture.extra == Extra((300, 150), XMP, iptc, (), "für Käthe")
    assert write_picture(tmp_path / "out.jpg", picture) == ()
    assert read_picture(tmp_path / "out.jpg").extra == picture.extra
    assert write_picture(tmp_path / "out.png", picture) == ("PNG has no place for IPTC: left out",)
    again = read_picture(tmp_path / "out.png").extra
    assert (again.xmp, again.comment) == (XMP, "für Käthe")
    assert again.dpi == pytest.approx((300, 150), abs=0.02)


@pytest.mark.parametrize("dpi", [(0.1, 0.1), (300, 70_000)])
def test_resolutions_that_a_jpeg_cannot_say(tmp_path: Path, dpi: tuple[float, float]) -> None:
    picture = Picture(noise(9, 7, 3), extra=Extra(dpi=dpi))
    assert write_picture(tmp_path / "a.jpg", picture) == ("JPEG has no place for dots per inch: left out",)
    for suffix in (".png", ".tif"):
        assert write_picture(tmp_path / f"a{suffix}", picture) == ()
        assert read_picture(tmp_path / f"a{suffix}").extra.dpi == pytest.approx(dpi, abs=0.03)


def test_xmp_that_does_not_fit(tmp_path: Path) -> None:
    longer = XMP + b" " * 66_000
    picture = Picture(noise(9, 7, 3), extra=Extra(xmp=longer))
    assert write_picture(tmp_path / "a.jpg", picture) == ("JPEG has no place for XMP: left out",)
    assert read_picture(tmp_path / "a.jpg").extra == Extra()
    for suffix in (".png", ".tif", ".webp"):
        assert write_picture(tmp_path / f"a{suffix}", picture) == ()
        assert read_picture(tmp_path / f"a{suffix}").extra.xmp == longer
    more = with_segments(b"\xff\xe1http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"<more/>")
    assert write_picture(tmp_path / "b.jpg", read_bytes(tmp_path, more)) == (
        "JPEG has no place for extended XMP: left out",
    )


def test_what_a_tiff_says(tmp_path: Path) -> None:
    file = io.BytesIO()
    tags = [(700, 1, len(XMP), XMP, True), (34377, 7, 4, b"8BIM", True), (33550, 12, 3, (1.0, 1.0, 0.0), True)]
    tifffile.imwrite(
        file, noise(9, 7), resolution=(100, 50), resolutionunit="CENTIMETER", extratags=tags, metadata=None
    )
    picture = read_bytes(tmp_path, file.getvalue())
    assert picture.extra == Extra(dpi=(254, 127), xmp=XMP, lost=("IPTC", "georeference"))
    assert write_picture(tmp_path / "out.tif", picture) == ("TIFF has no place for IPTC, georeference: left out",)
    again = read_picture(tmp_path / "out.tif").extra
    assert (again.dpi, again.xmp) == ((254, 127), XMP)
    write_picture(tmp_path / "out.png", picture)
    assert read_picture(tmp_path / "out.png").extra.dpi == pytest.approx((254, 127), abs=0.02)


# --- Formats that are read -------------------------------------------------------------------------


def test_bmp_and_gif(tmp_path: Path) -> None:
    rgb, grey = noise(9, 7, 3), noise(9, 7)
    picture = read_bytes(tmp_path, encoded(rgb, "BMP", dpi=(300, 300)))
    same(picture, rgb)
    assert picture.extra.dpi == pytest.approx((300, 300), abs=0.02)
    same(read_bytes(tmp_path, encoded(grey, "BMP")), grey)
    nothing = bytearray(encoded(grey, "BMP"))
    nothing[38:46] = bytes(8)  # pixels per metre
    assert read_bytes(tmp_path, bytes(nothing)).extra.dpi is None
    same(read_bytes(tmp_path, encoded(grey > 127, "BMP")), np.where(grey > 127, 255, 0).astype(np.uint8))
    palette = Image.fromarray(rgb).quantize(16)
    for kind in ("BMP", "GIF"):
        file = io.BytesIO()
        palette.save(file, kind)
        same(read_bytes(tmp_path, file.getvalue()), np.asarray(palette.convert("RGB")))
    same(read_bytes(tmp_path, encoded(grey // 4 * 4, "GIF")), np.dstack([grey // 4 * 4] * 3))
    for image in (palette, Image.fromarray(grey // 4 * 4)):
        file = io.BytesIO()
        key = int(np.asarray(image)[0, 0])
        image.save(file, "GIF", transparency=key, comment=b"hello")
        got = read_bytes(tmp_path, file.getvalue())
        assert got.alpha is not None
        assert np.array_equal(got.alpha == 0, np.asarray(image) == key)
        assert got.extra.comment == "hello"
    file = io.BytesIO()
    palette.save(file, "GIF", save_all=True, append_images=[Image.fromarray(255 - rgb)])
    with pytest.raises(InputError, match="it holds 2 frames"):
        read_bytes(tmp_path, file.getvalue())


def test_pnm(tmp_path: Path) -> None:
    rgb, grey, deep = noise(9, 7, 3), noise(9, 7), noise(9, 7, 3, dtype="uint16")
    same(read_bytes(tmp_path, encoded(rgb, "PPM")), rgb)
    same(read_bytes(tmp_path, encoded(grey, "PPM")), grey)
    same(read_bytes(tmp_path, encoded(grey > 127, "PPM")), np.where(grey > 127, 255, 0).astype(np.uint8))
    same(read_bytes(tmp_path, cv2.imencode(".ppm", deep[..., ::-1])[1].tobytes()), deep)
    same(read_bytes(tmp_path, cv2.imencode(".pgm", deep[..., 0])[1].tobytes()), deep[..., 0])
    words = " ".join(map(str, deep.ravel().tolist()))
    same(read_bytes(tmp_path, f"P3 # by hand\n# twice\n7 9\n65535\n{words}\n".encode()), deep)
    twelve = np.array([[0, 1, 4095]], ">u2")  # of a camera: white is 4095
    same(read_bytes(tmp_path, b"P5\n3 1\n4095\n" + twelve.tobytes()), np.array([[0, 16, 65535]], np.uint16))


def test_jfif_and_mpo(tmp_path: Path) -> None:
    data = encoded(noise(9, 7, 3), "JPEG")
    (tmp_path / "photo.jfif").write_bytes(data)
    photo = read_picture(tmp_path / "photo.jfif")
    write_picture(tmp_path / "out.jfif", photo)
    assert (tmp_path / "out.jfif").read_bytes()[:3] == b"\xff\xd8\xff"
    views = [Image.fromarray(noise(9, 7, 3, seed=seed)) for seed in range(2)]
    views[0].save(tmp_path / "stereo.mpo", "MPO", save_all=True, append_images=views[1:], quality=95)
    for name in ("stereo.mpo", "stereo.jpg"):
        (tmp_path / name).write_bytes((tmp_path / "stereo.mpo").read_bytes())
        stereo = read_picture(tmp_path / name)
        assert stereo.pixels.shape == (9, 7, 3)
        assert stereo.notes == ("further pictures in the file (MPO) are left out",)


def test_formats_that_are_only_read_become_png(run, tmp_path: Path) -> None:
    assert set(READABLE) - set(SUFFIXES) - set(PHOTO) == {".bmp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm", ".mpo"}
    folder = tmp_path / "in"
    folder.mkdir()
    for suffix in ("bmp", "gif", "ppm", "jfif"):
        Image.fromarray(noise(12, 12, 3)).quantize(64).convert("RGB").save(
            folder / f"{suffix}-file.{suffix}", {"ppm": "PPM", "jfif": "JPEG"}.get(suffix, suffix)
        )
    Image.fromarray(noise(12, 12, 3)).save(folder / "turned.bmp")
    assert run("denoise", folder, "-o", tmp_path / "out", "--sigma", 5)[0] == 0
    expected = ["bmp-file.png", "gif-file.png", "jfif-file.jfif", "ppm-file.png", "turned.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == expected


def test_the_command_line_says_it_once(run, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(RICH)
    code, out, _ = run("denoise", tmp_path / "in.png", "-o", tmp_path / "out.jpg", "--sigma", 5)
    assert code == 0
    assert out.count("left out") == 1


def test_damaged_exif_costs_no_word(run, tmp_path: Path) -> None:
    for suffix in ("jpg", "tif"):
        Image.fromarray(noise(12, 12, 3)).save(tmp_path / f"in.{suffix}", exif=b"Exif\0\0" + exif_block()[:90])
        code, _, said = run("denoise", tmp_path / f"in.{suffix}", "-o", tmp_path / f"out.{suffix}", "--sigma", 5)
        assert code == 0
        assert "arning" not in said


KINDS = [b"gAMA", b"cHRM", b"cICP", b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"sRGB"]


@given(some.lists(some.tuples(some.sampled_from(KINDS), some.binary(max_size=40)), max_size=4))
def test_whatever_a_png_says_costs_no_picture(added: list[tuple[bytes, bytes]]) -> None:
    picture = decode(with_chunks(*added), "a.png")
    assert np.array_equal(picture.pixels, noise(9, 7, 3))
    for kind in ("png", "jpeg", "tiff", "webp"):
        data, notes = encode(picture, kind)
        assert decode(data, "b").pixels.shape == (9, 7, 3)
        assert len(notes) <= 1
