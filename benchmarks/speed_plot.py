"""Time against PSNR, drawn from docs/speed.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

STYLES = {  # colours that stay apart under each kind of colour blindness (Okabe and Ito)
    "denoise-gray": ("#0072b2", "o"),
    "denoise-color": ("#0072b2", "o"),
    "FFDNet": ("#d55e00", "s"),
    "DnCNN-S": ("#009e73", "^"),
    "the paper's convGRU": ("#cc79a7", "D"),
    "BM3D": ("#555555", "v"),
}
LEAST = 0.25
"""What a panel shows of the PSNR at least, in dB."""
TITLES = {"gray": "Grey, BSD68", "color": "Colour, CBSD68"}


def draw(results: dict[str, dict[str, Any]], file: Path, threads: int) -> None:
    """One panel for grey and one for colour. What has no PSNR yet is left out."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", width_ratios=(3, 2))
    for axes, kind in zip(panels, TITLES, strict=True):
        rows = {
            name.removeprefix(f"{kind}: "): row
            for name, row in results.items()
            if row["kind"] == kind and row["psnr"] is not None
        }
        _panel(axes, rows, str(threads))
        axes.set_title(f"{TITLES[kind]}, sigma 25, 481x321")
    panels[0].set_ylabel("PSNR, dB")
    figure.supxlabel(
        f"seconds per picture, {threads} thread{'s' * (threads > 1)}; filled: bfloat16, open: fp32", fontsize=10
    )
    figure.savefig(file, dpi=160)
    plt.close(figure)


def _panel(axes: Axes, rows: dict[str, dict[str, Any]], threads: str) -> None:
    others = [row for name, row in rows.items() if "legibility" not in name]
    for name, row in rows.items():
        method, setting = name.split(", ", 1)
        color, marker = STYLES[method]
        filled = color if "bf16" in setting else "white"
        spent = row["seconds"][threads]
        axes.plot(spent, row["psnr"], marker, color=color, markerfacecolor=filled, markersize=9, markeredgewidth=1.8)
        label = method if "legibility" not in setting else f"{method},\n{setting.split(', ')[1]}"
        if "bf16" in setting or (f"{method}, bf16" not in rows and "legibility" not in setting):
            # The default lies a little below and to the right of legibility 0, and others lie at the level of that or
            # above; where they do not, its label does.
            above = "legibility" not in setting or row["psnr"] > max(each["psnr"] for each in others)
            side = "right" if setting.endswith("legibility 0") and not above else "center"
            offset, edge = (9, "bottom") if above else (-9, "top")
            axes.annotate(
                label, (spent, row["psnr"]), (0, offset), textcoords="offset points", ha=side, va=edge, fontsize=9
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([digit * 10.0**power for power in range(-2, 3) for digit in (1, 2, 5)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(alpha=0.3)
    axes.margins(0.25, 0.25)
    low, high = axes.get_ylim()
    if high - low < LEAST:  # or hundredths of a dB would look like a chasm
        axes.set_ylim((low + high - LEAST) / 2, (low + high + LEAST) / 2)


if __name__ == "__main__":
    docs = Path(__file__).parent.parent / "docs"
    draw(json.loads((docs / "speed.json").read_text(encoding="utf-8")), docs / "speed.png", 1)
