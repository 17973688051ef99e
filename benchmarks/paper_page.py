"""The tables and the figure of docs/paper.md, from what benchmarks/paper.py measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def tables(measured: dict[str, Any]) -> dict[str, str]:
    """The tables of the page by their names."""
    found, runs = measured["critics"], measured["runs"]
    return {
        "critics": critics_table(found),
        "kernels": kernels_table(found),
        "pull": pull_table(measured["pull"]),
        "runs": runs_table(runs),
    }


def critics_table(found: dict[str, dict[str, Any]]) -> str:
    rows = [
        "| released file | step 1: value, return, reward | step 2: value, return, reward | explained |",
        "|---|---|---|---|",
    ]
    for name, numbers in found.items():
        steps = zip(numbers["value"], numbers["return"], numbers["reward"], strict=True)
        first, second, *_ = (", ".join(f"{number:.3f}" for number in step) for step in steps)
        rows.append(f"| {name} | {first} | {second} | {100 * numbers['explained']:.1f} % |")
    return "\n".join(rows)


def kernels_table(found: dict[str, dict[str, Any]]) -> str:
    kernels = {name: numbers for name, numbers in found.items() if "kernel" in numbers}
    rows = [f"| | {' | '.join(kernels)} |", "|---" * (1 + len(kernels)) + "|"]

    def row(label: str, cells: list[str]) -> None:
        rows.append(f"| {label} | {' | '.join(cells)} |")

    row("kernel's centre (delta: 1)", [f"{numbers['kernel']['kernel_centre']:.2f}" for numbers in kernels.values()])
    row("kernel's sum (delta: 1)", [f"{numbers['kernel']['kernel_sum']:.2f}" for numbers in kernels.values()])
    words = {"0": "value loss with the delta", "1": "with the released kernel"}
    for share in ("0", "0.5", "0.8", "1", "1.2", "1.5"):
        losses = [f"{numbers['value_loss_on_the_way'][share]:.4f}" for numbers in kernels.values()]
        row(words.get(share, f"at {share} of the way from the one to the other"), losses)
    return "\n".join(rows)


def pull_table(found: dict[str, dict[str, dict[str, dict[str, float]]]]) -> str:
    rows = ["| released file | loss | policy's layers | value's layers | shared layers |", "|---|---|---|---|---|"]
    for name, losses in found.items():
        for loss, layers in losses.items():
            cells = (
                f"{layers[kind]['share']:.3f} of {layers[kind]['square']:.2g}" for kind in ("actor", "critic", "shared")
            )
            rows.append(f"| {name} | {loss} | {' | '.join(cells)} |")
    return "\n".join(rows)


def runs_table(runs: dict[str, list[dict[str, float]]]) -> str:
    rows = ["| training | iterations | PSNR before | PSNR after | kernel: centre, sum |", "|---|---|---|---|---|"]
    for name, log in runs.items():
        scores = [row for row in log if "psnr" in row]
        first, last = scores[0], scores[-1]
        kernel = f"{last['kernel_centre']:.3f}, {last['kernel_sum']:.2f}" if "kernel_sum" in last else "-"
        rows.append(f"| {name} | {last['iteration']:.0f} | {first['psnr']:.3f} | {last['psnr']:.3f} | {kernel} |")
    return "\n".join(rows)


def put(page: str, name: str, table: str) -> str:
    """The page with this table between its marks."""
    before, begin, rest = page.partition(f"<!-- {name}: from paper.json -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    assert begin, f"the page has no place for {name}"
    assert end, f"the page has no end of {name}"
    return f"{before}{begin}{table}\n{end}{after}"


def render(measured: dict[str, Any], page: str) -> str:
    for name, table in tables(measured).items():
        page = put(page, name, table)
    return page


def draw(measured: dict[str, Any], file: Path) -> None:
    """The curves of all trainings: PSNR on the validation photographs, and the sum of the learned kernels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2).flatten()
    kinds = {
        "gaussian-25": "Gaussian, sigma 25, from the released weights",
        "saltpepper-50": "salt & pepper 0.5, from the released weights",
        "scratch": "salt & pepper 0.5, from nothing, 16 channels",
    }
    colors, words = {"plain": "#777777", "gru": "#2d5fc8", "rmc": "#c8372d"}, {"gru": "convGRU", "rmc": "convGRU + RMC"}
    for panel, (kind, title) in zip(panels, kinds.items(), strict=False):
        for name, log in measured["runs"].items():
            if not name.startswith(kind):
                continue
            stage, points = name.removeprefix(f"{kind}-"), [row for row in log if "psnr" in row]
            stage, _, seed = stage.partition("-")
            label = words.get(stage, stage) if seed in ("", "0") else None
            x, y = ([row[key] for row in points] for key in ("iteration", "psnr"))
            panel.plot(x, y, marker="o", markersize=3, color=colors[stage], label=label)
        panel.set(title=title, xlabel="iterations", ylabel="validation PSNR (dB)")
        if panel.lines:
            panel.legend()
    panels[2].set_ylim(bottom=15)  # the untrained policies lie far below
    for name, log in measured["runs"].items():
        points = [row for row in log if "kernel_sum" in row]
        if points:
            panels[3].plot(
                [0, *(row["iteration"] for row in points)], [1, *(row["kernel_sum"] for row in points)], label=name
            )
    for numbers in measured["critics"].values():
        if "kernel" in numbers:
            panels[3].axhline(numbers["kernel"]["kernel_sum"], color="#999999", linestyle=":", linewidth=1)
    panels[3].set(title="sum of the learned kernel (dotted: released)", xlabel="iterations")
    panels[3].legend(fontsize=7)
    figure.savefig(file, dpi=100)
