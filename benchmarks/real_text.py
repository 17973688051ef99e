"""Text as it really is, put on photographs and taken away again; writes docs/restoration.md.

    python benchmarks/real_text.py PHOTOS [--policy NAME=FILE ...] [--side N] [--legibility L] [--write]

Each photograph gets text of every kind of `KINDS`, drawn by Pillow in its own font with the soft edges it always has.
The score is the PSNR against the photograph; of pictures without text, against what was given.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pages import table, write_section
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

import pixelrl
from pixelrl.imaging.metrics import psnr
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.values import array_to_tensor
from pixelrl.tasks import TextRemoval
from pixelrl.tasks.restoration import jpeg
from pixelrl.types import Image

Pixels = NDArray[np.uint8]
SIZES = (14, 20, 28, 36, 48)
SHOWN_SIZE = (212, 300)
SHOWN = (
    ("astronaut-0", "white, 14 to 48 px", None), ("chelsea-0", "white, 14 to 48 px", 75), ("coffee-0", "date", 75),
    ("rocket-0", "watermark", None), ("astronaut-0", "watermark", 75), ("chelsea-0", "subtitle", None),
    ("coffee-0", "60 px, red", 75), ("rocket-0", "hard edges", None), ("astronaut-0", "date", None),
    ("coffee-0", "no text", 75),
)  # fmt: skip
"""What the picture of the page shows: photographs of scikit-image."""
MOST = 60.0
"""In dB: what a picture counts that is left exactly as it is."""


def drawn(pixels: Pixels, draw: Callable[[ImageDraw.ImageDraw, random.Random], None], seed: int) -> Pixels:
    """A picture under RGBA text."""
    over = PillowImage.new("RGBA", pixels.shape[1::-1])
    draw(ImageDraw.Draw(over), random.Random(seed))
    return np.asarray(PillowImage.alpha_composite(PillowImage.fromarray(pixels).convert("RGBA"), over).convert("RGB"))


def white_letters(pixels: Pixels, seed: int) -> Pixels:
    """A line of each of `SIZES`, white, below each other in a random order."""

    def draw(over: ImageDraw.ImageDraw, draw_from: random.Random) -> None:
        height, width = pixels.shape[:2]
        top = draw_from.randrange(max(1, height - round(1.3 * sum(SIZES))))
        for size in draw_from.sample(SIZES, len(SIZES)):
            left = draw_from.randrange(max(1, width // 4))
            over.text((left, top), "The quick brown fox 0123", fill="white", font=ImageFont.load_default(size))
            top += round(1.3 * size)

    return drawn(pixels, draw, seed)


def date(pixels: Pixels, seed: int) -> Pixels:
    """The date of a camera, orange, in the lower right corner."""

    def draw(over: ImageDraw.ImageDraw, _: random.Random) -> None:
        height, width = pixels.shape[:2]
        over.text((width - 10, height - 10), "'98 7 24 12:31", "#ff8c1a", ImageFont.load_default(24), "rs")

    return drawn(pixels, draw, seed)


def watermark(pixels: Pixels, seed: int) -> Pixels:
    """A white watermark across the picture, half translucent, 40 pixels high, turned by 30 degrees."""
    height, width = pixels.shape[:2]
    side = math.ceil(math.hypot(height, width))
    canvas = PillowImage.new("L", (side, side))
    over = ImageDraw.Draw(canvas)
    for top in range(0, side, 120):
        over.text((0, top), "PROOF 2024     " * 9, 128, ImageFont.load_default(40))
    turned = canvas.rotate(30, PillowImage.Resampling.BILINEAR)
    left, top = (side - width) // 2, (side - height) // 2
    cover = np.asarray(turned, np.float32)[top : top + height, left : left + width, None] / 255
    return np.asarray((pixels * (1 - cover) + 255 * cover).round().astype(np.uint8))


def subtitle(pixels: Pixels, seed: int) -> Pixels:
    """Two lines of 28 pixels at the bottom, white with a black outline."""

    def draw(over: ImageDraw.ImageDraw, _: random.Random) -> None:
        height, width = pixels.shape[:2]
        font = ImageFont.load_default(28)
        for i, line in enumerate(("Where have they gone?", "- Nobody knows.")):
            place = (width / 2, height - 60 + 36 * i)
            over.text(place, line, "white", font, "ms", stroke_width=2, stroke_fill="black")

    return drawn(pixels, draw, seed)


def large(pixels: Pixels, seed: int) -> Pixels:
    """One word, red, 60 pixels high."""

    def draw(over: ImageDraw.ImageDraw, _: random.Random) -> None:
        height, width = pixels.shape[:2]
        over.text((width / 2, height / 2), "SAMPLE", "#d02020", ImageFont.load_default(60), "mm")

    return drawn(pixels, draw, seed)


def hard(pixels: Pixels, seed: int) -> Pixels:
    """What the policies learned first: hard edges, black or white, all over."""
    generator = torch.Generator().manual_seed(seed)
    image = TextRemoval().degrade(array_to_tensor(pixels), 20, generator).image
    return np.asarray((image[0].movedim(0, -1) * 255).round().byte().numpy())


KINDS: dict[str, Callable[[Pixels, int], Pixels]] = {
    "white, 14 to 48 px": white_letters,
    "date": date,
    "watermark": watermark,
    "subtitle": subtitle,
    "60 px, red": large,
    "hard edges": hard,
    "no text": lambda pixels, seed: pixels,
}


ALSO_COMPRESSED = ("white, 14 to 48 px", "hard edges", "no text")
"""The kinds that are measured after compression, too."""


def compressed(pixels: Pixels, quality: int | None) -> Pixels:
    if quality is None:
        return pixels
    return np.asarray((jpeg(array_to_tensor(pixels), quality)[0].movedim(0, -1) * 255).round().byte().numpy())


def cases(photos: list[Pixels], kind: str, quality: int | None) -> list[tuple[Image, Image]]:
    """Pictures with what they are to become."""
    pairs = []
    for seed, pixels in enumerate(photos):
        given = compressed(KINDS[kind](pixels, seed), quality)
        pairs.append((array_to_tensor(given), array_to_tensor(given if kind == "no text" else pixels)))
    return pairs


def score(method: Callable[[Image], Image], pairs: list[tuple[Image, Image]]) -> float:
    """Mean PSNR of the results as 8-bit files hold them, in dB, each at most `MOST`."""
    results = [(method(given).clamp(0, 1) * 255).round() / 255 for given, _ in pairs]
    return fmean(min(MOST, psnr(result, wanted).item()) for result, (_, wanted) in zip(results, pairs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--policy", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--side", type=int, help="of the middle of each photograph that is used; all of it if left out")
    parser.add_argument("--legibility", type=float, nargs="+", default=[0.0], help="-1 for the estimate itself")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--picture", type=Path, help="write the page's picture instead, by the last policy")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if given.picture is not None:
        sheet(given.photos, method_of(pixelrl.load(given.policy[-1].split("=", 1)[1], "cpu"), None), given.picture)
        return
    photos = []
    for path in sorted(given.photos.iterdir()):
        pixels = np.asarray(read_picture(path).pixels)
        photos.append(middle(pixels, *(min(given.side or side, side) for side in pixels.shape[:2])))
    methods: dict[str, Callable[[Image], Image]] = {"input": lambda image: image}
    for name, file in (entry.split("=", 1) for entry in given.policy):
        agent = pixelrl.load(file, "cpu")
        for legibility in given.legibility:
            methods[f"{name}, legibility {legibility:g}"] = method_of(agent, legibility)
    columns = [
        (kind, quality)
        for kind in given.kind or KINDS
        for quality in (None, 75)
        if quality is None or kind in ALSO_COMPRESSED
    ]
    header = ["method", *(kind if quality is None else f"{kind}, JPEG {quality}" for kind, quality in columns)]
    print(header, flush=True)
    rows: list[list[str]] = [[name] for name in methods]
    for column in columns:
        pairs = cases(photos, *column)
        for row, method in zip(rows, methods.values(), strict=True):
            row.append(f"{score(method, pairs):.2f}")
        print(column, *(row[-1] for row in rows), flush=True)
    # The kinds are the rows: there are more of them than methods.
    turned = [list(row) for row in zip(header[1:], *(row[1:] for row in rows), strict=True)]
    text = table(["dB", *methods], turned)
    if given.write:
        write_section("restoration.md", "real text", text)
    else:
        print(text)


def middle(pixels: Pixels, high: int, wide: int) -> Pixels:
    top, left = (pixels.shape[0] - high) // 2, (pixels.shape[1] - wide) // 2
    return np.ascontiguousarray(pixels[top : top + high, left : left + wide])


def sheet(photos: Path, run: Callable[[Image], Image], target: Path) -> None:
    """Ten pictures under text, each above what becomes of it."""
    columns = []
    for number, (name, kind, quality) in enumerate(SHOWN):
        pixels = np.asarray(read_picture(photos / f"{name}.png").pixels)
        given = compressed(KINDS[kind](middle(pixels, *SHOWN_SIZE), number), quality)
        result = (run(array_to_tensor(given))[0].clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()
        columns.append(np.concatenate([given, result]))
    half = len(columns) // 2
    rows = [np.concatenate(some, 1) for some in (columns[:half], columns[half:])]
    PillowImage.fromarray(np.concatenate(rows)).save(target, quality=88)


def method_of(agent: pixelrl.Agent, legibility: float | None) -> Callable[[Image], Image]:
    def run(image: Image) -> Image:
        condition = agent.condition(image, {})
        if legibility is not None and legibility < 0:
            estimate = agent.clean_estimate(image, condition)
            assert estimate is not None, "policies for text have one"
            return estimate
        return agent.run(image, condition, legibility=legibility)[1]

    return run


if __name__ == "__main__":
    main()
