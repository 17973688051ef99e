"""Animations of traces: the picture beside the action map, step by step, as GIF or WebP."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw

from pixelrl.actions import find_action, in_table_order
from pixelrl.errors import UsageError
from pixelrl.imaging.color import channel_names
from pixelrl.pictures.arrays import Array
from pixelrl.pictures.atomic import check_free, written_whole
from pixelrl.pictures.display import upright
from pixelrl.pictures.files import Picture, write_picture
from pixelrl.report.maps import action_map_image, caption, clean_target, enlarged, majority, photo, shares
from pixelrl.report.sheet import INK, QUIET, RULE, font
from pixelrl.report.strip import strip
from pixelrl.trace import Trace
from pixelrl.validation import as_path

Frame = PillowImage.Image

ANIMATED = (".gif", ".webp")
"""The endings of files that become animations."""

_PANEL = 520  # longest side of a panel, at most
_MARGIN, _GAP, _HEAD, _LINE, _LEGEND = 20, 16, 34, 24, 250
_PAPER = "#f4f2ec"
_MILLISECONDS, _LAST = 1400, 3500


def draw(path: str | Path, trace: Trace, reference: Array | None = None, *, overwrite: bool = False) -> None:
    """Draw a trace to a file: an animation for the endings in `ANIMATED`, for others a `pixelrl.report.strip.strip`.

    Args:
        path: the file.
        trace: what happened.
        reference: the clean picture, of the shape of ``trace.pixels``: captions state the PSNR.
        overwrite: replace a file that exists.

    Raises:
        InputError: the reference has another shape, or is not an image.
        UsageError: a file that exists, cannot be written, or has an unknown ending.
    """
    path = as_path(path, "picture")
    if path.suffix.lower() not in ANIMATED:
        write_picture(path, Picture(np.asarray(strip(trace, reference).convert("RGB"))), overwrite=overwrite)
        return
    check_free(path, overwrite=overwrite)
    data = encoded(frames(trace, reference), trace.action_names, path.suffix.lower())
    try:
        with written_whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def frames(trace: Trace, reference: Array | None = None) -> list[Frame]:
    """T + 1 RGB frames of one size: the input, then the picture after each step beside what every pixel chose there.

    With one agent per channel the maps of the channels stand beside each other. Large pictures are shrunk, small ones
    enlarged, by whole factors. Photos stand upright, in sRGB.

    Raises:
        InputError: the reference has another shape, or is not an image.
    """
    target = clean_target(trace, reference)
    images = trace.trajectory().images()
    turn, trace = trace.orientation, trace.upright()
    steps, agents, height, width = trace.actions.shape
    panel = _PANEL if agents == 1 else 360
    shrink = -(-max(height, width) // panel)
    enlarge = max(1, panel // max(height, width)) if shrink == 1 else 1
    share, names, result = shares(trace), trace.action_names, []
    for t, image in enumerate(images):
        label = "input" if t == 0 else f"after step {t} of {steps}"
        panels = [
            (caption(label, image, target), photo(upright(image, turn), trace.icc_profile, shrink).convert("RGB"))
        ]
        for g in range(agents):
            title = _map_title(t, g, channel_names(trace.space, agents))
            if t == 0:
                panels.append((title, PillowImage.new("RGB", panels[0][1].size, _PAPER)))
            else:
                maps = trace.actions[t - 1, g]
                shown = majority(maps, shrink, len(names)) if shrink > 1 else maps
                panels.append((title, action_map_image(shown, names)))
        large = [(title, enlarged(picture, enlarge)) for title, picture in panels]
        result.append(_frame(large, names, share[t - 1] if t else None))
    return result


def encoded(pictures: list[Frame], names: Sequence[str], ending: str) -> bytes:
    """Frames as a looping GIF (colours of action maps exact, the others to 256 in all) or lossless WebP."""
    durations = [*([_MILLISECONDS] * (len(pictures) - 1)), _LAST]
    buffer = io.BytesIO()
    if ending == ".gif":
        first, *others = _indexed(pictures, names)
        first.save(buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0, disposal=1)
    else:
        first, *others = pictures
        first.save(buffer, "WEBP", save_all=True, append_images=others, duration=durations, loop=0, lossless=True)
    return buffer.getvalue()


def _map_title(t: int, g: int, names: tuple[str, ...]) -> str:
    whose = "" if len(names) == 1 else f", {names[g]}"
    return f"operations, step {t}{whose}" if t else "no step yet" if g == 0 else ""


def _frame(panels: list[tuple[str, Frame]], names: tuple[str, ...], share: npt.NDArray[np.float64] | None) -> Frame:
    wide, high = panels[0][1].size
    column = max(wide, 200)
    width = 2 * _MARGIN + len(panels) * (column + _GAP) + _LEGEND
    height = 2 * _MARGIN + _HEAD + max(high, len(names) * _LINE)
    sheet = PillowImage.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    title, text = font(18), font(15)
    for i, (words, picture) in enumerate(panels):
        x, y = _MARGIN + i * (column + _GAP), _MARGIN + _HEAD
        pen.text((x, y - 12), words, INK, title, anchor="ls")
        pen.rectangle((x - 1, y - 1, x + wide, y + high), outline=RULE)
        sheet.paste(picture, (x, y))
    order = in_table_order(names)
    left = width - _MARGIN - _LEGEND + 6
    for line, i in enumerate(order):
        y = _MARGIN + _HEAD + line * _LINE
        chosen = share is None or share[i] > 0
        pen.rectangle((left, y + 3, left + 24, y + _LINE - 5), find_action(names[i]).color)
        pen.text((left + 34, y + 17), names[i], INK if chosen else QUIET, text, anchor="ls")
        if share is not None:
            words = f"{100 * share[i]:.1f} %" if share[i] else "-"
            pen.text((width - _MARGIN, y + 17), words, INK if chosen else QUIET, text, anchor="rs")
    return sheet


def _indexed(pictures: list[Frame], names: Sequence[str]) -> list[Frame]:
    """Frames with one palette of 256 for all: the actions' colours as they are, the others as near as there is room."""
    colors = ["#ffffff", _PAPER, *(find_action(name).color for name in names)]
    exact = np.array([list(bytes.fromhex(color[1:])) for color in colors], np.uint8)
    room = 256 - len(exact)
    stacked = np.concatenate([np.asarray(picture) for picture in pictures])
    common = PillowImage.fromarray(stacked).quantize(room, PillowImage.Quantize.MEDIANCUT)
    palette = (common.getpalette() or [])[: 3 * room]
    palette += [0] * (3 * room - len(palette))
    wanted = _codes(exact)
    order = np.argsort(wanted)
    result = []
    for picture in pictures:
        index = np.array(picture.quantize(palette=common, dither=PillowImage.Dither.NONE))
        codes = _codes(np.asarray(picture))
        nearest = order[np.searchsorted(wanted, codes, sorter=order).clip(max=len(order) - 1)]
        index = np.where(wanted[nearest] == codes, room + nearest, index).astype(np.uint8)
        frame = PillowImage.fromarray(index, "P")
        frame.putpalette([*palette, *exact.ravel().tolist()])
        result.append(frame)
    return result


def _codes(colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """One number per colour of ``(..., 3)``."""
    wide = colors.astype(np.int64)
    return wide[..., 0] * 65536 + wide[..., 1] * 256 + wide[..., 2]
