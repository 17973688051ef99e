"""Text as people and programs put it on pictures: soft edges, colours, translucency, outlines, shadows, any size.

`pixelrl.tasks.text_masks` draws the paper's hard-edged black or white lines; this is what a watermark, a date, a
subtitle or a caption looks like.
"""

from __future__ import annotations

import colorsys
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw
from torch import Tensor

from pixelrl.tasks.text_masks import font_of, random_line
from pixelrl.types import Image

SIZES = (8, 64)
"""Of the letters, in pixels; small ones are as likely as large ones on a logarithmic scale."""

LARGE_SIZES = (28, 76)
"""Of large letters; every size is as likely as any other."""

Colour = tuple[float, float, float]
Plane = NDArray[np.uint8]

_WHITE, _BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
_WORDS = ("PROOF", "SAMPLE", "DRAFT", "COPY", "PREVIEW", "CONFIDENTIAL", "Photo", "Stock", "Press", "Demo", "Image")


@dataclass(frozen=True)
class Layer:
    """One layer of colour that lies over a picture.

    Attributes:
        cover: how much of a pixel is covered, from 0 to 1.
        color: RGB, from 0 to 1.
    """

    cover: Float[Tensor, "h w"]
    color: Colour


def soft_text(height: int, width: int, seed: int, fonts: Sequence[Path], large_share: float = 0.0) -> list[Layer]:
    """Text for an image: what lies over it, from below (a shadow or an outline, if there is one) to the letters.

    The text is lines all over the image, or few words of which at least a part lies within it: a date, a watermark,
    perhaps again and again, or a subtitle. Font, size (`SIZES`), angle, colour and translucency are random.

    Args:
        height: of the image, in pixels.
        width: likewise.
        seed: decides everything.
        fonts: to choose from, beside Pillow's own and OpenCV's Hershey fonts.
        large_share: how likely the text is large (`LARGE_SIZES`): a translucent watermark or words in strong colours.
            Among texts of all kinds, these are rare.
    """
    draw_from = random.Random(seed)
    if large_share and draw_from.random() < large_share:
        return _large_text(draw_from, height, width, fonts)
    size = round(math.exp(draw_from.uniform(math.log(SIZES[0]), math.log(SIZES[1]))))
    opaque = draw_from.random() < 0.65
    color, opacity = _color(draw_from), 1.0 if opaque else draw_from.uniform(0.25, 0.9)
    edge = max(1, round(size * draw_from.uniform(0.03, 0.1))) if draw_from.random() < 0.25 else 0
    angle = _angle(draw_from)
    letters, outline = _drawn(draw_from, height, width, size, edge, angle, fonts)
    layers = []
    if draw_from.random() < 0.12:
        layers.append(_layer(_shadow(draw_from, outline, size), _BLACK, opacity * draw_from.uniform(0.4, 1.0)))
    if edge:
        light = sum(color) > 1.2 if draw_from.random() < 0.9 else draw_from.random() < 0.5
        layers.append(_layer(outline, _BLACK if light else _WHITE, opacity))
    layers.append(_layer(letters, color, opacity))
    return layers


def _large_text(draw_from: random.Random, height: int, width: int, fonts: Sequence[Path]) -> list[Layer]:
    size = draw_from.randint(*LARGE_SIZES)
    if draw_from.random() < 0.5:
        light = draw_from.random()
        level = 1.0 if light < 0.7 else 0.0 if light < 0.85 else draw_from.random()
        color, opacity = (level, level, level), draw_from.uniform(0.2, 0.8)
        angle = draw_from.choice((-1, 1)) * draw_from.uniform(15, 60) if draw_from.random() < 0.6 else 0.0
    else:
        color, opacity = _strong_color(draw_from), 1.0 if draw_from.random() < 0.8 else draw_from.uniform(0.4, 1.0)
        angle = 0.0 if draw_from.random() < 0.6 else _angle(draw_from)
    for _ in range(4):  # few words of large letters often lie all but outside
        letters, _ = _drawn(draw_from, height, width, size, 0, angle, fonts)
        if letters.mean() > 0.04 * 255:
            break
    return [_layer(letters, color, opacity)]


def under(image: Image, layers: Sequence[Layer]) -> Image:
    """Images ``(b, c, h, w)``, grey or RGB, with layers over them, as 8-bit files hold the result."""
    for layer in layers:
        color = image.new_tensor(layer.color)
        if image.shape[1] == 1:
            color = color.mean(0, keepdim=True)
        image = torch.lerp(image, color[:, None, None].expand(image.shape[1:]), layer.cover.to(image))
    return (image * 255).round() / 255


def covered(layers: Sequence[Layer]) -> Float[Tensor, "h w"]:
    """The most that any layer covers of each pixel."""
    return torch.stack([layer.cover for layer in layers]).amax(0)


def _layer(cover: Plane, color: Colour, opacity: float) -> Layer:
    return Layer(torch.from_numpy(cover.astype(np.float32)) * (opacity / 255), color)


def _color(draw_from: random.Random) -> Colour:
    kind = draw_from.random()
    if kind < 0.45:
        return _WHITE
    if kind < 0.62:
        return _BLACK
    if kind < 0.7:
        grey = draw_from.random()
        return (grey, grey, grey)
    if kind < 0.8:  # the date of a camera
        return (1.0, draw_from.uniform(0.4, 0.95), draw_from.uniform(0.0, 0.3))
    if kind < 0.9:
        red, green, blue = (float(draw_from.random() < 0.5) for _ in range(3))
        return (red, green, blue)
    return (draw_from.random(), draw_from.random(), draw_from.random())


def _strong_color(draw_from: random.Random) -> Colour:
    """Any hue, more or less saturated and bright."""
    return colorsys.hsv_to_rgb(draw_from.random(), draw_from.uniform(0.5, 1.0), draw_from.uniform(0.4, 1.0))


def _angle(draw_from: random.Random) -> float:
    kind = draw_from.random()
    if kind < 0.55:
        return 0.0
    if kind < 0.75:
        return draw_from.uniform(-10, 10)
    if kind < 0.88:
        return draw_from.choice((-1, 1)) * draw_from.uniform(20, 50)
    return draw_from.choice((90, -90, draw_from.uniform(-180, 180)))


def _drawn(
    draw_from: random.Random, height: int, width: int, size: int, edge: int, angle: float, fonts: Sequence[Path]
) -> tuple[Plane, Plane]:
    """How much letters cover of each pixel, and letters with their outline ``edge`` pixels wide, from 0 to 255."""
    turned = angle != 0
    diagonal = math.ceil(math.hypot(height, width)) + 2
    high, wide = (diagonal, diagonal) if turned else (height, width)
    lines = _placed(draw_from, high, wide, size)
    kind = draw_from.random()
    bold = max(1, size // 16) if draw_from.random() < 0.1 else 0
    if kind < 0.1:
        planes = _hershey(draw_from, high, wide, size, edge, lines)
    else:
        font = font_of(draw_from.choice(fonts) if fonts and kind > 0.35 else None, size)
        planes = []
        for stroke in (bold, bold + edge) if edge else (bold,):
            canvas = PillowImage.new("L", (wide, high))
            draw = ImageDraw.Draw(canvas)
            for (left, top), line in lines:
                draw.text((left, top), line, fill=255, font=font, stroke_width=stroke)
            planes.append(np.asarray(canvas))
    if turned:
        # About the middle of the diagonal's square, into the middle of the image.
        matrix = cv2.getRotationMatrix2D(((wide - 1) / 2, (high - 1) / 2), angle, 1.0)
        matrix[:, 2] += ((width - wide) / 2, (height - high) / 2)
        planes = [cv2.warpAffine(plane, matrix, (width, height), flags=cv2.INTER_LINEAR) for plane in planes]
    return planes[0], planes[-1]


def _placed(draw_from: random.Random, height: int, width: int, size: int) -> list[tuple[tuple[int, int], str]]:
    """Lines of text, each with its upper left corner."""
    kind = draw_from.random()
    pitch = round(size * draw_from.uniform(1.05, 1.6)) + 2
    if kind < 0.3:  # paragraphs all over
        tops = range(-draw_from.randrange(pitch), height, pitch)
        length = 3 * width // size + 6
        page = [(top, random_line(draw_from, length, heading=False)) for top in tops if draw_from.random() < 0.8]
        return [((-draw_from.randrange(3 * size), top), line) for top, line in page]
    if kind < 0.4:  # a watermark, again and again
        line, step = _words(draw_from), round(pitch * draw_from.uniform(1.5, 4))
        gap = " " * draw_from.randint(2, 8)
        again = gap.join([line] * (2 + 4 * width // (size * len(line))))
        tops = range(-draw_from.randrange(step), height, step)
        return [((-draw_from.randrange(6 * size), top), again) for top in tops]
    lines = [_words(draw_from) for _ in range(1 if kind < 0.75 else draw_from.randint(2, 3))]
    # So that some point of the text lies at some point of the image.
    long, tall = round(0.5 * size * max(map(len, lines))), pitch * len(lines)
    left = round(draw_from.random() * width - draw_from.random() * long)
    top = round(draw_from.random() * height - draw_from.random() * tall)
    return [((left, top + i * pitch), line) for i, line in enumerate(lines)]


def _words(draw_from: random.Random) -> str:
    """What stands alone on a picture."""
    kind = draw_from.random()
    if kind < 0.3:
        year, month, day = draw_from.randint(1985, 2035), draw_from.randint(1, 12), draw_from.randint(1, 31)
        hour, minute = draw_from.randint(0, 23), draw_from.randint(0, 59)
        date = draw_from.choice(
            (f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}", f"'{year % 100:02} {month:2} {day:2}",
             f"{month}/{day}/{year}", f"{year}/{month:02}/{day:02}")
        )  # fmt: skip
        return f"{date} {hour:02}:{minute:02}" if draw_from.random() < 0.5 else date
    if kind < 0.6:
        words = [draw_from.choice(_WORDS) for _ in range(draw_from.randint(1, 2))]
        if draw_from.random() < 0.5:
            words.append(str(draw_from.randint(1, 9999)))
        if draw_from.random() < 0.3:
            words.insert(0, "\N{COPYRIGHT SIGN}")
        return " ".join(words)
    return random_line(draw_from, draw_from.randint(2, 24), heading=draw_from.random() < 0.2)


_HERSHEY = (
    cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)  # fmt: skip


def _hershey(
    draw_from: random.Random,
    height: int,
    width: int,
    size: int,
    edge: int,
    lines: Sequence[tuple[tuple[int, int], str]],
) -> list[Plane]:
    """The same by OpenCV's own fonts, which are strokes."""
    face = draw_from.choice(_HERSHEY)
    (_, tall), _ = cv2.getTextSize("H", face, 1.0, 1)
    scale, thick = 0.7 * size / tall, max(1, round(size * draw_from.uniform(0.05, 0.14)))
    planes = []
    for stroke in (thick, thick + 2 * edge) if edge else (thick,):
        plane = np.zeros((height, width), np.uint8)
        for (left, top), line in lines:
            ascii_only = line.encode("ascii", "replace").decode()
            cv2.putText(plane, ascii_only, (left, top + round(0.8 * size)), face, scale, 255, stroke, cv2.LINE_AA)
        planes.append(plane)
    return planes


def _shadow(draw_from: random.Random, letters: Plane, size: int) -> Plane:
    """The letters a little aside, sharp or blurred."""
    most = max(1, size // 10)
    aside = np.array([[1, 0, draw_from.randint(-most, most)], [0, 1, draw_from.randint(0, most)]], np.float32)
    moved = cv2.warpAffine(letters, aside, letters.shape[::-1])
    return np.asarray(cv2.GaussianBlur(moved, None, draw_from.uniform(0.5, 2.5)) if draw_from.random() < 0.6 else moved)
