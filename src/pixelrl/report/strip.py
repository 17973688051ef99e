"""Pictures of traces: what every pixel did, step by step, on one sheet."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from PIL import Image as PillowImage
from PIL import ImageDraw

from pixelrl.actions import in_table_order
from pixelrl.imaging.color import channel_names
from pixelrl.pictures.arrays import Array
from pixelrl.pictures.display import upright
from pixelrl.report.maps import (
    action_colour,
    action_map_image,
    caption,
    clean_target,
    enlarged,
    majority,
    photo,
    plainness,
    shares,
    telling_window,
)
from pixelrl.report.sheet import (
    FRAMES,
    GAP,
    INK,
    LINE,
    MARGIN,
    MIN_COLUMN,
    PANEL,
    QUIET,
    RULE,
    SHEET,
    Panel,
    Picture,
    font,
    row,
    stack,
)
from pixelrl.trace import Trace
from pixelrl.types import Image

_MIN_PITCH = 80  # from one step to the next in the table of shares: room for a number
_STEPS_PER_ROW = 6


def strip(trace: Trace, reference: Array | None = None) -> Picture:
    """Draw a trace: the pictures from input to result, the action maps between them, and each action's share.

    Small pictures are enlarged by a whole factor. Large ones are shrunk by a whole factor, pictures by
    averaging and action maps by `majority`; then a detail follows in which single pixels can be seen, where the
    choices are diverse and the picture is not flat (`telling_window`).
    With one agent per channel there is one action map per channel. 16-bit and float pictures are shown as
    8 bit; of a picture that is neither grey nor RGB, the first channel is shown. Photos stand upright, in sRGB.

    Args:
        trace: what happened.
        reference: the clean picture, of the shape of ``trace.pixels``: shown too, and captions state the PSNR.

    Raises:
        InputError: the reference has another shape, or is not an image.
    """
    target = clean_target(trace, reference)
    turn, images = trace.orientation, trace.trajectory().images()
    target = None if target is None else upright(target, turn)
    trace = trace.upright()
    plain = plainness(trace)
    steps, _, h, w = trace.actions.shape
    num_rows = max(1, -(-steps // _STEPS_PER_ROW))
    per_row = -(-steps // num_rows)
    full = num_rows * per_row == steps  # otherwise the last row has room for the clean picture
    columns = 1 + per_row + (target is not None and full)
    whole = _whole_view(h, w, (SHEET - 2 * MARGIN) // columns - GAP)
    views = [whole]
    if whole.shrink > 1 and steps:
        views.append(_detail_view(trace, whole))

    pictures: list[list[Panel]] = [[] for _ in views]
    for t, stored in enumerate(images):
        image = upright(stored, turn)
        label = "input" if t == 0 else f"after step {t}" if t < steps else "result"
        pictures[0].append(Panel(whole.picture(image, trace.icc_profile), caption(label, image, target)))
        for detail in views[1:]:
            pictures[1].append(Panel(detail.picture(image, trace.icc_profile), label if t else detail.label()))
    if len(views) == 2:
        framed = tuple(at // whole.shrink for at in views[1].box)
        pictures[0][0] = replace(pictures[0][0], frames=((framed, FRAMES[0]),))

    column = max(MIN_COLUMN, *(panels[0].picture.width for panels in pictures))
    parts = [_title(trace, sum(plain[0]))]
    for first in range(0, max(steps, 1), max(per_row, 1)):
        stop = min(first + per_row, steps)
        for view, panels in zip(views, pictures, strict=True):
            shown: list[Panel | None] = [*panels[first : stop + 1]]
            if target is not None and stop == steps:
                shown.append(Panel(view.picture(target, trace.icc_profile), "clean"))
            parts.append(row(shown, column))
            for g in range(trace.actions.shape[1] if steps else 0):
                maps = [Panel(view.map(trace, t, g), _map_caption(trace, t, g)) for t in range(first, stop)]
                parts.append(row([None, *maps], column, "" if g or first else _note(trace, view)))
    pitch = column + GAP
    if num_rows > 1:
        pitch = max(_MIN_PITCH, min(pitch, (columns * pitch - MIN_COLUMN) // steps))
    parts.append(_table(trace, plain, column + GAP if num_rows == 1 else MIN_COLUMN, pitch))
    return stack(parts)


@dataclass(frozen=True)
class _View:
    """The part of a picture that is shown (left, top, right, bottom), and its scale: one factor is 1."""

    box: tuple[int, int, int, int]
    shrink: int
    enlarge: int

    def picture(self, image: Image, profile: bytes | None) -> Picture:
        left, top, right, bottom = self.box
        return enlarged(photo(image[..., top:bottom, left:right], profile, self.shrink), self.enlarge)

    def label(self) -> str:
        left, top, right, bottom = self.box
        return f"detail, {right - left} x {bottom - top}"

    def map(self, trace: Trace, t: int, g: int) -> Picture:
        left, top, right, bottom = self.box
        actions = trace.actions[t, g, top:bottom, left:right]
        shown = majority(actions, self.shrink, len(trace.action_names)) if self.shrink > 1 else actions
        return enlarged(action_map_image(shown, trace.action_names), self.enlarge)


def _whole_view(h: int, w: int, room: int) -> _View:
    side = min(PANEL, room)
    longest = max(h, w)
    return _View((0, 0, w, h), shrink=-(-longest // side), enlarge=max(1, side // longest))


def _detail_view(trace: Trace, whole: _View) -> _View:
    _, _, h, w = trace.actions.shape
    enlarge = 5
    half = max(1, max(h, w) // whole.shrink // enlarge // 2)
    return _View(telling_window(trace, half), shrink=1, enlarge=enlarge)


def _title(trace: Trace, bits: float) -> Picture:
    steps, _, h, w = trace.actions.shape
    policy = " ".join(trace.policy.split())[:80].encode("ascii", "replace").decode()
    facts = [f"{w} x {h} pixels", f"{steps} step{'s' * (steps != 1)}"]
    if steps and not math.isnan(bits):
        facts.append(f"{bits:.1f} bits per pixel")
    told = trace.condition if trace.legibility is None else {**trace.condition, "legibility": trace.legibility}
    facts = [f"{name} {value:.3g}" for name, value in told.items()] + facts
    name, rest = font(38), font(24)
    facts_at = name.getlength(policy) + 28
    text = "   |   ".join(facts)
    sheet = PillowImage.new("RGB", (round(facts_at + rest.getlength(text)) + 1, 66), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((0, 40), policy, INK, name, anchor="ls")
    draw.text((facts_at, 40), text, QUIET, rest, anchor="ls")
    return sheet


def _map_caption(trace: Trace, t: int, g: int) -> str:
    agents = trace.actions.shape[1]
    if agents == 1:
        return f"operations, step {t + 1}"
    return f"step {t + 1}, {channel_names(trace.space, agents)[g]}"


def _note(trace: Trace, view: _View) -> str:
    """What the action maps to the right of it show."""
    _, agents, h, w = trace.actions.shape
    if view.box != (0, 0, w, h):
        return "The window in the red frame, pixel by pixel."
    whose = "pixel" if agents == 1 else "channel of every pixel"
    note = f"Every {whose} picks one of {len(trace.action_names)} operations at every step."
    if view.shrink == 1:
        return note
    return f"{note} Each dot stands for {view.shrink}x{view.shrink} pixels: their most frequent choice."


def _table(trace: Trace, plain: tuple[list[float], list[float]], labels: int, pitch: int) -> Picture:
    """The legend, ``labels`` pixels wide, and in columns of ``pitch`` pixels each action's share at every step.

    Below them it says how easily the step's map can be read (`plainness`).
    """
    share, (bits, alike) = shares(trace), plain
    width = labels + len(share) * pitch
    lines = 1 + len(trace.action_names) + 2 * bool(len(share))
    sheet = PillowImage.new("RGB", (width, lines * LINE + 2 * GAP), "white")
    draw = ImageDraw.Draw(sheet)
    small, usual = font(18), font(20)
    draw.text((0, 20), "share of the choices" if len(share) else "operations", QUIET, small, anchor="ls")
    for t in range(len(share)):
        draw.text((labels + t * pitch + 76, 20), f"step {t + 1}", QUIET, small, anchor="rs")
    order = in_table_order(trace.action_names)
    for line, i in enumerate(order, start=1):  # in the table's order, which keeps related actions together
        y, name = line * LINE, trace.action_names[i]
        draw.line((0, y, width - GAP, y), RULE)
        draw.rectangle((0, y + 5, 28, y + LINE - 5), action_colour(name))
        draw.text((40, y + 21), name, INK, usual, anchor="ls")
        for t, value in enumerate(share[:, i]):
            x = labels + t * pitch
            room = pitch - GAP - 88
            draw.text((x + 76, y + 21), _percent(float(value)), INK if value else QUIET, usual, anchor="rs")
            if value and room > 60:
                length = room * float(value / share.max())
                draw.rectangle((x + 88, y + 5, x + 88 + length, y + LINE - 5), action_colour(name))
    agrees = ("-" if math.isnan(value) else _percent(value) for value in alike)
    costs = ("-" if math.isnan(value) else f"{value:.2f}" for value in bits)
    for line, (words, values) in enumerate((("neighbours that agree", agrees), ("bits per pixel", costs)), len(order)):
        y = (line + 1) * LINE
        draw.line((0, y, width - GAP, y), RULE)
        for t, value in enumerate(values):
            if t == 0:
                draw.text((0, y + 21), words, QUIET, small, anchor="ls")
            draw.text((labels + t * pitch + 76, y + 21), value, INK, usual, anchor="rs")
    return sheet


def _percent(value: float) -> str:
    return "-" if value == 0 else "<0.1 %" if value < 0.0005 else f"{100 * value:.1f} %"
