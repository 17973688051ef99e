"""Parts of sheets: pictures side by side under their captions, and such rows below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

Picture = PillowImage.Image

SHEET = 2400
"""Pixels across, at most; a long title may ask for more."""
PANEL = 420
"""The longest side of a panel in pixels, at most."""
MIN_COLUMN = 216
"""The narrowest column whose captions fit."""
MARGIN, GAP, LINE = 28, 16, 30
INK, QUIET, RULE = "#1a1a1a", "#6b6b6b", "#d8d8d8"
FRAMES = ("#ff2d55", "#2d5fc8", "#e08a00", "#0f8a4a")
"""Colours of frames around details, in turn."""

Frame = tuple[tuple[int, ...], str]
"""A box ``(left, top, right, bottom)`` in pixels of a panel's picture, the last two exclusive, and its colour."""


@dataclass(frozen=True)
class Panel:
    """A picture with what stands above it.

    Attributes:
        picture: of any size.
        caption: in a line.
        second: a quieter line below the caption, or "".
        frames: drawn over the picture.
        outline: the colour of the line around the picture.
    """

    picture: Picture
    caption: str
    second: str = ""
    frames: tuple[Frame, ...] = ()
    outline: str = RULE


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own font, so that no font of the system is needed. It has no sigma and no multiplication sign."""
    return ImageFont.load_default(size)


def row(panels: Sequence[Panel | None], column: int, note: str = "") -> Picture:
    """Panels side by side, each under its caption; the note stands in the first place, which is then empty."""
    text = _wrapped(note, column)
    head = LINE + 24 * any(panel is not None and panel.second for panel in panels)
    height = max(panel.picture.height for panel in panels if panel is not None)
    height = max(height, 26 * len(text.splitlines()))
    sheet = PillowImage.new("RGB", (len(panels) * (column + GAP), head + height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, panel in enumerate(panels):
        if panel is None:
            continue
        x, y = i * (column + GAP) + 1, head
        draw.text((x, 20), panel.caption, INK, font(20), anchor="ls")
        draw.text((x, 44), panel.second, QUIET, font(18), anchor="ls")
        draw.rectangle((x - 1, y - 1, x + panel.picture.width, y + panel.picture.height), outline=panel.outline)
        sheet.paste(panel.picture, (x, y))
        for (left, top, right, bottom), color in panel.frames:
            draw.rectangle((x + left - 1, y + top - 1, x + right, y + bottom), outline=color, width=2)
    draw.multiline_text((0, LINE), text, QUIET, font(18), spacing=8)
    return sheet


def shortened(text: str, width: int, size: int = 20) -> str:
    """A text as far as it fits into so many pixels in the font of captions."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


def stack(parts: Sequence[Picture]) -> Picture:
    """Rows below each other, with a margin."""
    width, height = max(part.width for part in parts), sum(part.height for part in parts)
    sheet = PillowImage.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), "white")
    y = MARGIN
    for part in parts:
        sheet.paste(part, (MARGIN, y))
        y += part.height
    return sheet


def _wrapped(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font(18).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)
