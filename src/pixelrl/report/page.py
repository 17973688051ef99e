"""Explanations: one self-contained HTML page that says what every pixel did, why, and what it was worth."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelrl.actions import ActionSet, find_action, in_table_order
from pixelrl.agent import Agent
from pixelrl.edits import DO_NOTHING
from pixelrl.errors import UsageError
from pixelrl.imaging.color import OPPONENT, channel_names, kind_of_space
from pixelrl.imaging.metrics import psnr, to_8_bit
from pixelrl.pictures.arrays import Array
from pixelrl.pictures.display import has_other_colours, turned_box, turns, upright
from pixelrl.progress import Progress, counter
from pixelrl.report.asked import asked_again, chooser
from pixelrl.report.maps import clean_target, photo, plainness, shares
from pixelrl.report.planes import Planes, View, views_of
from pixelrl.report.worth import Box, change, contributions, cropped, without
from pixelrl.trace import Trace
from pixelrl.types import Image, Logits
from pixelrl.validation import check_kind

_ASKED, _PACKED = 1 / 3, 2 / 3
"""Shares of the work, which are about those of the time: asking the policy again, packing, and what if."""
_SCRIPTS = ("base.js", "look.js", "sections.js")


def report_html(
    trace: Trace,
    reference: Array | None = None,
    agent: Agent | None = None,
    region: Box | None = None,
    progress: Progress | None = None,
) -> str:
    """The report on a trace: one HTML page that needs no network and no other file.

    Args:
        trace: what happened.
        reference: the clean picture, of the shape of ``trace.pixels``, or None. With it the page also shows PSNRs, the
            reward maps and what each action contributed.
        agent: the policy that chose, so that its probabilities can be computed again (traces hold none); None to look
            for the trace's policy among the shipped ones. Where none is found, or it does not fit the trace, or it
            never learned to choose (`Agent.learned_to_choose`), the page says so and goes on without probabilities.
        region: ``(x0, y0, x1, y1)`` in stored pixels, x1 and y1 exclusive: what is shown pixel by pixel. None for the
            whole picture, or where that is too large for a page the window in which the choices are the most diverse.
        progress: called with the share of the work that is done; what it raises ends the work.

    The page shows photos upright, in sRGB. The coordinates that it states count stored pixels, as regions and edits do,
    and the values are those that the agents worked on: of opponent colours, the mean and the two differences.

    Raises:
        InputError: the reference has another shape, or is not an image.
        UsageError: a region that does not lie inside the picture, holds no pixel, or is too large; or a trace or an
            agent that is none.
    """
    target = clean_target(trace, reference)
    if agent is not None:
        check_kind(agent, Agent, "pixelrl.load(policy)")
    turn, seen = trace.orientation, trace.upright()
    bits, alike = plainness(seen)
    views = views_of(trace, region)
    target = None if target is None else upright(target, turn)
    planes, images = Planes(), [upright(image, turn) for image in trace.trajectory().images()]
    steps, agents, height, width = seen.actions.shape

    opinions, doubt = None, ""
    try:
        opinions = _opinions(trace, chooser(trace, agent), views, _within(progress, 0, _ASKED))
    except UsageError as error:
        doubt = f"The policy's probabilities are not shown: {error}."

    other_colours = has_other_colours(trace.icc_profile, "RGB" if images[0].shape[1] == 3 else "L")
    shown = []
    for i, view in enumerate(views):
        content: dict[str, object] = {
            "name": view.name,
            "box": view.box,
            "shrink": view.shrink,
            "values": planes.add(f"{view.name}-values", view.values(images)),
            "actions": planes.add(f"{view.name}-actions", view.maps(seen)),
        }
        if other_colours:
            content["shown"] = planes.add(f"{view.name}-shown", _shown([view.averaged(i) for i in images], trace))
        if target is not None:
            content["reference"] = planes.add(f"{view.name}-reference", view.values([target]))
        if opinions is not None:
            content["unsure"] = planes.add(f"{view.name}-unsure", opinions.unsure[i])
            if view.name == "region":
                content["percent"] = planes.add("region-percent", opinions.percent)
        shown.append(content)
        if progress is not None:
            progress(_ASKED + (_PACKED - _ASKED) * (i + 1) / len(views))

    data = {
        "policy": trace.policy,
        "condition": dict(trace.condition),
        "legibility": trace.legibility,
        "width": width,
        "height": height,
        "orientation": turn,
        "turns": turns(turn),
        "profile": other_colours,
        "channels": images[0].shape[1],
        "agents": agents,
        "names": channel_names(trace.space, images[0].shape[1]),
        "opponent": kind_of_space(trace.space) == OPPONENT and agents == 3,
        "steps": steps,
        "dtype": str(trace.pixels.dtype),
        "actions": [_operation(name) for name in trace.action_names],
        "order": in_table_order(trace.action_names),
        "shares": shares(trace).tolist(),
        "bits": [_finite(value) for value in bits],
        "alike": [_finite(value) for value in alike],
        "changes": [change(before, after)._asdict() for before, after in pairwise(images)],
        "entropy": None if opinions is None else opinions.entropy,
        "agreement": None if opinions is None else opinions.agreement,
        "doubt": doubt,
        "views": shown,
        "without": _without(trace, views[0], target, planes, other_colours, _within(progress, _PACKED, 1)),
        "psnr": None if target is None else [_finite(psnr(image, target).item()) for image in images],
        "worth": None
        if target is None
        else [[_finite(value) for value in row] for row in contributions(images, seen.trajectory(), target)],
    }
    return _page(data, planes)


class _Opinions(NamedTuple):
    """What the policy thought: percents ``(t, n, g, h, w)`` of the region; entropy per view ``(t, h', w')``, 255 where
    all actions are alike; its mean over the picture, per step, in bits; the share of choices that were its favourite.
    """

    percent: Array
    unsure: list[Array]
    entropy: list[float]
    agreement: float | None


def _opinions(trace: Trace, agent: Agent, views: list[View], progress: Progress | None) -> _Opinions:
    n, most = len(trace.action_names), np.log2(max(2, len(trace.action_names)))

    def read(logits: Logits) -> Tensor:
        likely = logits.float().softmax(1)
        bits = -(likely * likely.clamp_min(1e-30).log2()).sum(1)
        parts = [(100 * likely).round().flatten(1, 2), 255 / most * bits.clamp(0, float(most)), logits.argmax(1)]
        return torch.cat([part.round().to(torch.uint8) for part in parts], 1)

    unsure: list[list[Array]] = [[] for _ in views]
    percent, entropy, favourites = [], [], 0.0
    for t, answer in enumerate(asked_again(trace, agent, read, progress=progress)):
        agents = (answer.shape[1]) // (n + 2)  # of one look: all, or 1 for each of the channels
        answer = answer.cpu().reshape(len(answer), n + 2, agents, *answer.shape[-2:])
        whole = upright(answer.transpose(0, 1).flatten(1, 2), trace.orientation)  # (n + 2, g, h, w)
        percent.append(views[0].window(whole[:n]).numpy())
        mean = whole[n].float().mean(0, keepdim=True)[None]
        for maps, view in zip(unsure, views, strict=True):
            maps.append(view.averaged(mean)[0, 0].round().to(torch.uint8).numpy())
        entropy.append(float(mean.double().mean() / 255 * most))
        favourites += float((whole[n + 1].numpy() == upright(trace.actions[t], trace.orientation)).mean())
    steps = len(trace.actions)
    if not steps:
        return _Opinions(np.zeros((0, n, 1, 1, 1), np.uint8), [np.zeros((0, 1, 1), np.uint8) for _ in views], [], None)
    return _Opinions(np.stack(percent), [np.stack(maps) for maps in unsure], entropy, favourites / steps)


def _without(
    trace: Trace,
    view: View,
    target: Image | None,
    planes: Planes,
    other_colours: bool,
    progress: Progress | None,
) -> list[dict[str, object]]:
    """What if: for every action that was used, how the result in the region would differ without it."""
    names, (height, width) = trace.action_names, trace.actions.shape[-2:]
    if DO_NOTHING not in names:
        return []
    x0, y0, x1, y1 = turned_box(view.box, trace.orientation, trace.upright().actions.shape[-2:], back=True)
    margin = ActionSet(names).reach * len(trace.actions)
    outer = (max(0, x0 - margin), max(0, y0 - margin), min(width, x1 + margin), min(height, y1 + margin))
    part = cropped(trace.trajectory(), outer)
    core = View("core", (x0 - outer[0], y0 - outer[1], x1 - outer[0], y1 - outer[1]), 1)
    final = upright(core.window(part.final()), trace.orientation)
    found, count = [], counter(progress, len(names))
    for i, name in enumerate(names):
        count()
        if name == DO_NOTHING or not (trace.actions[..., y0:y1, x0:x1] == i).any():
            continue
        other = upright(core.window(without(part, name)), trace.orientation)
        difference = (to_8_bit(other) - to_8_bit(final))[0].to(torch.int16).numpy()
        entry: dict[str, object] = {
            "action": i,
            "difference": planes.add(f"without-{i}", difference),
            **change(final, other)._asdict(),
        }
        if other_colours:
            entry["shown"] = planes.add(f"without-{i}-shown", _shown([other], trace))
        if target is not None:
            entry["psnr"] = _finite(psnr(other, view.window(target)).item())
            entry["psnr_with"] = _finite(psnr(final, view.window(target)).item())
        found.append(entry)
    return found


def _shown(images: Sequence[Image], trace: Trace) -> Array:
    """Images ``(1, c, h, w)`` as sRGB shows them: uint8 ``(len(images), 3, h, w)``."""
    pictures = (photo(image, trace.icc_profile).convert("RGB") for image in images)
    return np.stack([np.moveaxis(np.asarray(picture), -1, 0) for picture in pictures])


def _within(progress: Progress | None, start: float, end: float) -> Progress | None:
    """The progress of a part of the work, from one share of the whole to another."""
    return None if progress is None else lambda share: progress(start + (end - start) * share)


def _operation(name: str) -> dict[str, str]:
    action = find_action(name)
    return {"name": name, "color": action.color, "explanation": action.explanation}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _page(data: dict[str, object], planes: Planes) -> str:
    folder = resources.files("pixelrl.report") / "static"
    # In JSON, < can only stand in strings; escaped, no text of the trace can end the element that holds it.
    content = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "title": html.escape(f"{data['policy']}: what every pixel did"),
        "style": (folder / "report.css").read_text(encoding="utf-8"),
        "script": "\n".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS),
        "data": content,
        "planes": "\n".join(
            f'<script type="text/plain" id="plane-{name}">{text}</script>' for name, text in planes.texts.items()
        ),
    }
    template = (folder / "report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)  # in one go: nothing is replaced twice
