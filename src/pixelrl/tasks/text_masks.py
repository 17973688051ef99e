"""Random lines of text as masks: the degradation that `pixelrl.tasks.restoration` takes away again."""

from __future__ import annotations

import math
import random
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from torch import Tensor

from pixelrl.errors import UsageError

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
SIZES = (10, 30)
"""Of the letters, in pixels (the paper's range)."""

_LETTERS = "eeeeetttaaaooiiinnnsshhrrddllcumwfgypbvk"
_SIGNS = "0123456789.,:;-!?()@/\"'*>=+&"


def find_fonts(folder: str) -> list[Path]:
    """The TrueType and OpenType fonts in a folder and below it; none for "", which stands for Pillow's own font.

    Raises:
        UsageError: a folder without any.
    """
    if not folder:
        return []
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".ttf", ".otf"))
    if not found:
        raise UsageError(f'fonts = "{folder}" holds no .ttf or .otf file; give a folder with some, or "" for one font')
    return found


@cache
def font_of(path: Path | None, size: int) -> Font:
    """A font of letters ``size`` pixels high; Pillow's own without a path."""
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(path, size)


def text_mask(
    height: int, width: int, seed: int, fonts: list[Path], size: int | None = None
) -> Bool[Tensor, "height width"]:
    """Where lines of random text cover an image: font, weight, slant, size, angle and position are random.

    The edges of the letters are hard. A tenth to a fifth of the image is covered on average, depending on the fonts.

    Args:
        height: of the image, in pixels.
        width: likewise.
        seed: decides everything.
        fonts: to choose from; Pillow's own if empty.
        size: of the letters in pixels; random within `SIZES` if left out.
    """
    draw_from = random.Random(seed)
    size = draw_from.randint(*SIZES) if size is None else size
    font = font_of(draw_from.choice(fonts) if fonts else None, size)
    stroke = 1 if size >= 14 and draw_from.random() < (0.08 if fonts else 0.35) else 0
    # A canvas that still covers the image when it is turned and slanted.
    side = math.ceil(1.5 * math.hypot(height, width)) + 2 * size
    canvas = PillowImage.new("1", (side, side))
    draw = ImageDraw.Draw(canvas)
    pitch = round(size * draw_from.uniform(1.05, 1.35)) + 2 * stroke
    for top in range(-draw_from.randrange(pitch), side, pitch):
        kind = draw_from.random()
        if kind < 0.2:  # between paragraphs
            continue
        line = random_line(draw_from, 3 * side // size, heading=kind > 0.95)
        if kind < 0.4:  # the last of a paragraph
            line = line[: draw_from.randrange(1, len(line))]
        draw.text((-draw_from.randrange(4 * size), top), line, fill=1, font=font, stroke_width=stroke)
    if not fonts and draw_from.random() < 0.3:
        slant = (1, draw_from.uniform(0.1, 0.3), -0.2 * side, 0, 1, 0)
        canvas = canvas.transform((side, side), PillowImage.Transform.AFFINE, slant)
    if draw_from.random() < 0.5:
        steep = draw_from.random() < 0.1
        canvas = canvas.rotate(draw_from.uniform(-90, 90) if steep else draw_from.uniform(-10, 10))
    left, top = ((side - length) // 2 for length in (width, height))
    mask = np.asarray(canvas, dtype=bool)[top : top + height, left : left + width]
    if draw_from.random() < 0.2:
        mask = mask[:, ::-1]
    return torch.from_numpy(mask.copy())


def random_line(draw_from: random.Random, length: int, heading: bool) -> str:
    """Random words of at least ``length`` letters in all; capitals in a heading."""
    words: list[str] = []
    letters = 0
    while letters < length:
        word = "".join(draw_from.choice(_LETTERS) for _ in range(draw_from.randint(1, 9)))
        kind = draw_from.random()
        if kind < 0.15:
            word = word.capitalize()
        elif kind < 0.2:
            word = word.upper()
        elif kind < 0.35:
            word = "".join(draw_from.choice(_SIGNS) for _ in range(draw_from.randint(1, 4)))
        elif kind < 0.42:
            word += draw_from.choice(_SIGNS)
        words.append(word)
        letters += len(word) + 1
    line = (" " * draw_from.choice((1, 1, 1, 1, 2))).join(words)
    return line.upper() if heading else line
