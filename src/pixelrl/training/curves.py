"""The curves of a training, drawn from the rows of its log."""

from __future__ import annotations

import csv
import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixelrl.pictures.atomic import written_whole
from pixelrl.training.log import LOG_FILE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "curves.png"

_NOT_DRAWN = ("iteration", "phase", "minutes", "iterations_per_second", "crops_per_second")
_MEANS = {
    "estimate_loss": "supervised loss of the estimate (estimate_loss)",
    "policy_loss": "loss of the policy (policy_loss)",
    "value_loss": "loss of the value (value_loss)",
    "entropy": "entropy of the policy in nats (entropy)",
    "reward": "reward per pixel (reward)",
    "dissent": "neighbours that act otherwise (dissent)",
    "tried": "agents made to act otherwise (tried)",
    "bits": "bits per pixel of the maps (bits), validation",
    "bits_more": "bits per pixel of the maps (bits_more), more validation",
    "lr": "learning rate (lr)",
}
"""What columns of the log mean. Another one is a task's metric."""
_ESTIMATE, _MORE = "_estimate", "_more"
_COLORS = {"result": ("#c8372d", "-"), "estimate": ("#2d5fc8", "--"), "": ("#444444", "-")}
_MANY, _WINDOW = 40, 9
"""From so many rows on, the mean of so many stands before what single batches gave."""

Points = tuple[list[float], list[float]]


def draw_curves(folder: Path) -> Path | None:
    """Draw every number of a run's log against the iterations, into ``curves.png`` beside it.

    A panel for each number, with the metric of result and estimate in one; a dotted line where a phase begins.

    Args:
        folder: of the run.

    Returns:
        The picture's file; None where there is no log, or one without rows.

    Raises:
        ImportError: Matplotlib is not installed.
        OSError: the log cannot be read, or the picture not be written.
    """
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and chooses windows for the whole process

    log = folder / LOG_FILE
    if not os.path.isfile(log):
        return None
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return None
    shown = panels(rows)
    columns = 2 if len(shown) > 1 else 1
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(6.4 * columns, 0.6 + 2.7 * lines), layout="constrained")
    last = rows[-1]
    facts = f"{last['iteration']} iterations, {float(last['minutes']):.1f} minutes"
    figure.suptitle(f"{folder.resolve().name}: {facts}".replace("$", r"\$"), fontsize=12)
    all_axes = figure.subplots(lines, columns, squeeze=False).flat
    for axes, (title, curves) in zip(all_axes, shown.items(), strict=False):
        _panel(axes, title, curves)
        for begin in _begins(rows):
            axes.axvline(begin, color="0.6", linestyle=":", linewidth=1)
    for axes in list(all_axes)[len(shown) :]:
        axes.axis("off")
    with written_whole(folder / CURVES_FILE) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    return folder / CURVES_FILE


def panels(rows: Sequence[dict[str, str]]) -> dict[str, dict[str, Points]]:
    """By its title, what each panel shows: points by the name of the curve. Validation comes first."""
    points = {column: _points(rows, column) for column in rows[0] if column not in _NOT_DRAWN}
    points = {column: each for column, each in points.items() if each[0]}
    metrics = [name for name in points if name not in _MEANS and _result_of(name) not in points]
    found: dict[str, dict[str, Points]] = {}
    for name in metrics:
        more = name.endswith(_MORE)
        title = f"{name.removesuffix(_MORE) if more else name} on {'more validation' if more else 'validation'} photos"
        found[title] = {"result": points[name]}
        for column in points:
            if _result_of(column) == name:
                found[title]["estimate"] = points[column]
    found |= {title: {"": points[name]} for name, title in _MEANS.items() if name in points}
    return found


def _result_of(column: str) -> str | None:
    """Of a column that holds a metric of the estimate, the one that holds it of the result."""
    base = column.removesuffix(_MORE)
    return base.removesuffix(_ESTIMATE) + column[len(base) :] if base.endswith(_ESTIMATE) else None


def _points(rows: Sequence[dict[str, str]], column: str) -> Points:
    """The iterations at which a column holds a finite number, and the numbers."""
    found = [(float(row["iteration"]), float(row[column])) for row in rows if row.get(column)]
    found = [each for each in found if math.isfinite(each[1])]
    return [at for at, _ in found], [number for _, number in found]


def _begins(rows: Sequence[dict[str, str]]) -> list[float]:
    """The iterations after which another phase began."""
    return [float(a["iteration"]) for a, b in itertools.pairwise(rows) if a["phase"] != b["phase"]]


def _panel(axes: Axes, title: str, curves: dict[str, Points]) -> None:
    axes.set_title(title, fontsize=10)
    axes.grid(color="0.9")
    axes.set_xlabel("iteration", fontsize=9)
    axes.tick_params(labelsize=8)
    for name, (at, numbers) in curves.items():
        color, line = _COLORS[name]
        many = len(at) >= _MANY and "(lr)" not in title
        marker = "o" if len(at) < 20 else ""
        pale, label = (0.35, None) if many else (1, name)
        axes.plot(at, numbers, line, color=color, alpha=pale, label=label, marker=marker, markersize=3)
        if many:
            means = [sum(part) / len(part) for part in _windows(numbers)]
            axes.plot(at, means, line, color=color, label=name)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=8)


def _windows(numbers: Sequence[float]) -> list[Sequence[float]]:
    half = _WINDOW // 2
    return [numbers[max(0, i - half) : i + half + 1] for i in range(len(numbers))]
