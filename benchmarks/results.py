"""The shipped policies beside the denoisers a user could pick instead, on the same noisy photographs; docs/results.md.

    python benchmarks/results.py FOLDER [--only TASK] [--methods PATTERN] [--again PATTERN] [--policy NAME=FILE]

FOLDER holds gray/test and color/test. Every measurement is kept in docs/results.json as it is done, and only what is
missing or stale (another policy file, package version, setting, number of threads or set of images) is measured.
With --limit N it is a trial on the first N images, and goes to runs/ instead of docs/.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import torch
from baselines import COMPARISONS, NONE, Baseline, Comparison

import pixelrl
from pixelrl.agent import Agent
from pixelrl.errors import UsageError
from pixelrl.evaluate import check_conditioning
from pixelrl.imaging.metrics import psnr, ssim
from pixelrl.pictures.atomic import written_whole
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.listing import list_pictures
from pixelrl.pictures.values import array_to_tensor
from pixelrl.tasks import Task
from pixelrl.types import Condition, Image

ROOT = Path(__file__).parents[1]
SEED = 0
ENSEMBLE = " x8"
"""After a policy's name: the mean over the eight symmetries of the image."""
CHANNELWISE = " on each channel"
"""After the name of a policy for grey pictures that was given colour ones."""
Row = dict[str, Any]
Results = dict[str, dict[str, dict[str, Row]]]
"""Task, method and level to what was measured."""


@dataclass(frozen=True)
class Method:
    """Anything that is measured; ``made_by`` says what of it could change."""

    name: str
    made_by: str
    run: Callable[[Image, float, Condition], Image]


def policy_methods(name: str, file: Path, task: Task) -> list[Method]:
    """A policy by itself and as the mean of eight runs; the file is read when it is first needed."""

    @functools.cache
    def agent() -> Agent:
        loaded = pixelrl.load(file, "cpu")
        check_conditioning(loaded, task)
        return loaded

    made_by = f"policy file with SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
    return [
        Method(name, made_by, lambda image, level, condition: best_of(agent(), image, condition)),
        Method(name + ENSEMBLE, made_by, lambda image, level, condition: agent().ensembled(image, condition)),
    ]


def methods_of(comparison: Comparison, files: dict[str, Path]) -> list[Method]:
    found: list[Method] = []
    for name, file in files.items():
        if name == comparison.policy or name.startswith(comparison.policy + "-"):
            found += policy_methods(name, file, comparison.task)
    if comparison.channelwise in files:
        one, _ = policy_methods(comparison.channelwise, files[comparison.channelwise], comparison.task)
        found.append(replace(one, name=one.name + CHANNELWISE))
    for baseline in comparison.baselines:
        found.append(Method(baseline.name, baseline.made_by, _without_condition(baseline)))
    return found


def _without_condition(baseline: Baseline) -> Callable[[Image, float, Condition], Image]:
    return lambda image, level, condition: baseline.run(image, level)


def best_of(agent: Agent, image: Image, condition: Condition) -> Image:
    """The result at the best quality; docs/legibility.md says what plainer maps cost."""
    return agent.run(image, condition, legibility=0.0 if agent.legible else None)[1]


def measure(method: Method, task: Task, level: float, pictures: Sequence[Path]) -> Row:
    """The means over the pictures, degraded as `pixelrl.evaluate.evaluate` does: one generator from first to last."""
    generator = torch.Generator().manual_seed(SEED)
    ran: list[tuple[float, float, float, float]] = []
    for path in pictures:
        clean = array_to_tensor(read_picture(path).pixels)
        start = task.degrade(clean, level, generator)
        if not ran:  # what is loaded or prepared at the first call is not the method's time
            method.run(start.image[..., :64, :64].contiguous(), level, start.condition)
        began, began_cpu = time.perf_counter(), time.process_time()
        final = method.run(start.image, level, start.condition)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
        ran.append((psnr(final, clean).item(), ssim(final, clean).item(), seconds, cpu_seconds))
    names = ("psnr", "ssim", "seconds", "cpu_seconds")
    return {name: round(fmean(column), 5) for name, column in zip(names, zip(*ran, strict=True), strict=True)}


def fingerprint(pictures: Iterable[Path]) -> str:
    """Of names and contents, so that numbers of other photographs do not pass for these."""
    digest = hashlib.sha256()
    for path in pictures:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def machine() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def render(results: Results) -> str:
    """The document, from what was measured and the published rows alone."""
    rows = [row for task in results.values() for method in task.values() for row in method.values()]
    places = sorted({_place(row) for row in rows})
    whole = [task for key, task in results.items() if COMPARISONS[key].first is None]
    images = {row["images"] for task in whole for method in task.values() for row in method.values()}
    counts = " or ".join(str(count) for count in sorted(images))
    lines = [
        "# Results",
        "",
        f"Every method cleaned the same noisy photographs, the {counts} test photographs of BSDS500. The noise of a",
        f"level comes from one generator of seed {SEED} that runs over the photographs in the order of their names,",
        "neither clipped nor quantised. Policies and baselines are told the level of Gaussian and Poisson noise, and",
        "nothing of salt & pepper. Results are clipped and rounded to 8 bits; PSNR in dB at peak 255, SSIM with an",
        "11x11 Gaussian window of sigma 1.5, means over the photographs.",
        f"`{ENSEMBLE.strip()}` after a policy's name: the mean of its results for the eight symmetries of the image.",
        "",
        "Seconds per photograph (481x321), means over the levels, in one process on the CPU:",
        *(f"- {_mark(place, places)}{place}" for place in places),
        "",
        "Of one thread they are processor time, which other work on the machine changes little; of several, real time.",
        "Rows in italics are **published** numbers, quoted and not measured here: other noise, maybe other rounding.",
        "",
        "Made by `make results`; the measurements are in [results.json](results.json).",
    ]
    for key, comparison in COMPARISONS.items():
        if results.get(key):
            lines += ["", f"## {comparison.title}", *_table(results[key], comparison, places)]
    return "\n".join(lines) + "\n"


def _place(row: Row) -> str:
    threads = row["threads"]
    return f"{row['machine']}, {threads} thread{'s' if threads > 1 else ''}"


def _mark(place: str, places: list[str]) -> str:
    return f"[{places.index(place) + 1}] " if len(places) > 1 else ""


def _table(measured: dict[str, dict[str, Row]], comparison: Comparison, places: list[str]) -> list[str]:
    levels = [f"{level:g}" for level in comparison.task.levels]
    heads = " | ".join(f"{comparison.unit} {level}: PSNR / SSIM" for level in levels)
    lines = [f"| method | {heads} | s / image |", "|---|" + "---|" * (len(levels) + 1)]
    known = [baseline.name for baseline in comparison.baselines]
    policies = sorted(name for name in measured if name.startswith(comparison.policy))
    policies += [name for name in measured if comparison.channelwise and name == comparison.channelwise + CHANNELWISE]
    chosen = {name: measured[name] for name in (*policies, *known) if name in measured}
    for name, row_of in _best_median(chosen).items():
        cells = [f"{row_of[x]['psnr']:.2f} / {row_of[x]['ssim']:.4f}" if x in row_of else "-" for x in levels]
        seconds = "-" if name == NONE.name else _seconds(row_of.values(), places)
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds} |")
    for name, values in comparison.published.items():
        cells = ["-" if value is None else f"*{value:.2f}* / -" for value in values]
        lines.append(f"| *published: {name}* | {' | '.join(cells)} | - |")
    if comparison.note:
        lines += ["", comparison.note]
    makers = {name: sorted({row["made_by"] for row in row_of.values()}) for name, row_of in chosen.items()}
    shown = {n: made for n, made in makers.items() if n != NONE.name and not n.endswith(ENSEMBLE)}
    return ["", *lines, "", *(f"- {name}: {'; or '.join(made)}" for name, made in shown.items())]


def _best_median(measured: dict[str, dict[str, Row]]) -> dict[str, dict[str, Row]]:
    """The two sizes of the median as one row: at each level the better one."""
    sizes = [row_of for name, row_of in measured.items() if name.startswith("median")]
    rest = {name: row_of for name, row_of in measured.items() if not name.startswith("median")}
    if len(sizes) == 2:
        both = [level for level in sizes[0] if level in sizes[1]]
        best = {level: max((row_of[level] for row_of in sizes), key=lambda row: float(row["psnr"])) for level in both}
        rest["median, at each level the better of 3x3 and 5x5"] = best
    return rest


def _seconds(rows: Iterable[Row], places: list[str]) -> str:
    rows = list(rows)
    if not rows:
        return "-"
    mean = fmean(row["cpu_seconds" if row["threads"] == 1 else "seconds"] for row in rows)
    marks = "".join(_mark(place, places) for place in sorted({_place(row) for row in rows}))
    return f"{'< 0.001' if mean < 0.001 else f'{mean:.3f}'} {marks}".rstrip()


def stored(folder: Path) -> Results:
    file = folder / "results.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def keep(folder: Path, key: str, method: str, level: float, row: Row) -> None:
    """Add a row to what is on disk now, where another process may have put its own meanwhile."""
    results = stored(folder)
    results.setdefault(key, {}).setdefault(method, {})[f"{level:g}"] = row
    contents = {"results.json": json.dumps(results, indent=1, sort_keys=True) + "\n", "results.md": render(results)}
    for name, content in contents.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")


def matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def run(
    data: Path,
    folder: Path,
    files: dict[str, Path],
    keys: Sequence[str],
    patterns: Sequence[str],
    again: Sequence[str],
    threads: int,
    limit: int | None,
) -> None:
    for key in keys:
        comparison = COMPARISONS[key]
        listing = list_pictures([data / comparison.folder])
        if listing.problems or not listing.files:
            raise UsageError(f"{data / comparison.folder} holds no pictures")
        pictures = [path for path, _ in listing.files[: comparison.first][:limit]]
        shared = {
            "images": len(pictures),
            "data": fingerprint(pictures),
            "seed": SEED,
            "threads": threads,
        }
        if comparison.policy not in files:
            print(f"{key}: the policy {comparison.policy} is not shipped; skipped", flush=True)
        for method in methods_of(comparison, files):
            if not matches(method.name, patterns):
                continue
            state = {**shared, "made_by": method.made_by}
            for level in comparison.task.levels:
                row = stored(folder).get(key, {}).get(method.name, {}).get(f"{level:g}", {})
                if state.items() <= row.items() and not matches(method.name, again):
                    continue
                row = {**measure(method, comparison.task, level, pictures), **state, "machine": machine()}
                keep(folder, key, method.name, level, row)
                scores = f"{row['psnr']:.3f} dB, SSIM {row['ssim']:.4f}"
                times = f"{row['cpu_seconds']:.3f} s of processor, {row['seconds']:.3f} s"
                print(f"{key}, {comparison.unit} {level:g}, {method.name}: {scores}, {times} per image", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what is missing or stale; write docs/results.md.")
    parser.add_argument("data", type=Path, help="folder with gray/test and color/test")
    parser.add_argument("--only", action="append", choices=list(COMPARISONS), help="this task; may be repeated")
    parser.add_argument("--methods", action="append", metavar="PATTERN", help='these methods, for instance "*BM3D"')
    parser.add_argument("--again", action="append", default=[], metavar="PATTERN", help="measure these methods again")
    parser.add_argument(
        "--policy", action="append", default=[], metavar="NAME=FILE", help="one more row; NAME is POLICY-SOMETHING"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=int, help="a trial on the first so many images; writes to runs/, not docs/")
    arguments = parser.parse_args()
    files = dict(pixelrl.shipped_policies())
    for entry in arguments.policy:
        name, _, file = entry.partition("=")
        if name in files or not any(name.startswith(each.policy + "-") for each in COMPARISONS.values()):
            parser.error(f"--policy {entry}: NAME must be a shipped policy's name, a hyphen, and a word of your own")
        if not Path(file).is_file():
            parser.error(f"--policy {entry}: no such file")
        files[name] = Path(file)
    keys, patterns = arguments.only or list(COMPARISONS), arguments.methods or ["*"]
    names = [method.name for key in keys for method in methods_of(COMPARISONS[key], files)]
    for pattern in (*patterns, *arguments.again):
        if not any(matches(name, [pattern]) for name in names):
            parser.error(f"no method is called {pattern}; there are {', '.join(dict.fromkeys(names))}")
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    limit = arguments.limit
    folder = ROOT / "docs" if limit is None else ROOT / "runs" / f"results-limit-{limit}"
    folder.mkdir(parents=True, exist_ok=True)
    run(arguments.data, folder, files, keys, patterns, arguments.again, arguments.threads, limit)
    print(f"{folder / 'results.md'}", flush=True)


if __name__ == "__main__":
    main()
