"""Real noisy pictures that have a clean reference: `pixelrl denoise` told nothing, beside what a person could choose.

    python benchmarks/real.py FOLDER [--only PATTERN] [--again PATTERN] [--set NAME] [--limit N]

FOLDER holds cc15, polyu-val and w2s-val (docs/real.md says what they are). What was measured is kept, picture by
picture, in docs/real.json; only what is missing or was measured by something else is measured; the tables go into
docs/real.md. With --limit it is a trial on the first N pictures of each set, and is kept in runs/.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import baselines
import cv2
import numpy as np
import torch
from command import Pixels, command_digest, denoised, digest
from kept import Results, Row, column, matches, measured, stored
from pages import table, write_section

import pixelrl
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.values import array_to_tensor

ROOT = Path(__file__).parents[1]
TOLD = (5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60)
"""Levels that a policy and BM3D are told, in grey levels."""
STRENGTHS = (3, 4, 5, 6, 7, 10, 15, 20, 30, 40)
"""The parameter h of OpenCV's non-local means; 3 is its default."""
PEAKS = (15, 30, 60, 120)
"""Photons at white that Anscombe's transform before BM3D is told."""
NOISY, AUTOMATIC = "the noisy picture", "pixelrl denoise, told nothing"
NLM = "non-local means (OpenCV)"


@dataclass(frozen=True)
class Set:
    """Pictures of one kind, for one table."""

    title: str
    folder: str
    noisy: str
    color: bool
    chosen: Callable[[str], bool] = lambda name: True

    def pairs(self, data: Path) -> dict[str, tuple[Path, Path]]:
        """The noisy and the clean picture by their name."""
        found = {}
        for mean in sorted((data / self.folder).glob("*_mean.*")):
            name = mean.stem.removesuffix("_mean")
            if self.chosen(name):
                found[name] = (mean.with_name(f"{name}_{self.noisy}{mean.suffix}"), mean)
        return found


def _number(name: str) -> int:
    return int(name.partition("_")[0])


SETS = {
    "cc15": Set("CC15", "cc15", "real", True),
    "polyu": Set("PolyU validation", "polyu-val", "real", True),
    "w2s": Set("W2S, final", "w2s-val", "noisy", False, lambda name: _number(name) > 60),
    "w2s-choices": Set("W2S, choices", "w2s-val", "noisy", False, lambda name: _number(name) <= 60),
}
PUBLISHED = {"cc15": {"MCWNNM (its authors' files)": 36.88}}
"""Quoted, not measured here."""


@dataclass(frozen=True)
class Method:
    """One row of docs/real.json; ``level`` is what was told, of a family that is told levels."""

    family: str
    level: float | None
    made_by: str
    run: Callable[[Path], tuple[Pixels, Mapping[str, Any]]]

    @property
    def name(self) -> str:
        return self.family if self.level is None else f"{self.family}, {self.level:g}"


def automatic(picture: Path) -> tuple[Pixels, Mapping[str, Any]]:
    """What a person gets who says nothing, and which policy it was and what it was told."""
    pixels, report = denoised(picture)
    return pixels, {"policy": report["policy"], "told": report["condition"]}


def methods(color: bool) -> list[Method]:
    found = [
        Method(NOISY, None, "as it is", lambda picture: (read_picture(picture).pixels, {})),
        Method(AUTOMATIC, None, f"the command, SHA-256 {command_digest()}", automatic),
    ]
    for policy in ("denoise-color", "denoise-photo") if color else ("denoise-gray",):
        found += _told(policy)
    found += [Method(NLM, h, f"opencv-python-headless {cv2.__version__}", _non_local_means(h)) for h in STRENGTHS]
    family = "CBM3D" if color else "BM3D"
    found += [
        Method(family, sigma, f"bm3d {version('bm3d')}", _baseline(baselines.GAUSSIAN[1], sigma)) for sigma in TOLD
    ]
    if not color:
        found += [
            Method("Anscombe + BM3D", peak, f"bm3d {version('bm3d')}", _baseline(baselines.POISSON[1], peak))
            for peak in PEAKS
        ]
    return found


def _told(policy: str) -> list[Method]:
    file = pixelrl.shipped_policies().get(policy)
    if file is None:
        return []
    agent = functools.cache(lambda: pixelrl.load(file, "cpu"))
    made_by = f"policy file with SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"

    def run(sigma: float) -> Callable[[Path], tuple[Pixels, Mapping[str, Any]]]:
        return lambda picture: (agent()(read_picture(picture).pixels, sigma=sigma).image, {})

    return [Method(policy, sigma, made_by, run(sigma)) for sigma in TOLD]


def _non_local_means(h: float) -> Callable[[Path], tuple[Pixels, Mapping[str, Any]]]:
    """With OpenCV's default windows of 7 and 21; colour in Lab, with the same h for both."""

    def run(picture: Path) -> tuple[Pixels, Mapping[str, Any]]:
        pixels = np.ascontiguousarray(read_picture(picture).pixels)
        if pixels.ndim == 2:
            return cv2.fastNlMeansDenoising(pixels, None, h, 7, 21), {}
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        return cv2.cvtColor(cv2.fastNlMeansDenoisingColored(bgr, None, h, h, 7, 21), cv2.COLOR_BGR2RGB), {}

    return run


def _baseline(baseline: baselines.Baseline, level: float) -> Callable[[Path], tuple[Pixels, Mapping[str, Any]]]:
    def run(picture: Path) -> tuple[Pixels, Mapping[str, Any]]:
        image = array_to_tensor(read_picture(picture).pixels)
        result = baseline.run(image, level)[0].movedim(0, -1).numpy()
        return np.rint(255 * result.clip(0, 1)).astype(np.uint8).reshape(read_picture(picture).pixels.shape), {}

    return run


def psnr(result: Pixels, target: Pixels, fitted: bool) -> float:
    """PSNR in dB at peak 255; ``fitted``: after the a * result + b that comes nearest to the target."""
    values, wanted = result.astype(np.float64), target.astype(np.float64)
    if fitted:
        slope, offset = np.polyfit(values.ravel(), wanted.ravel(), 1)
        values = slope * values + offset
    return 10 * math.log10(255**2 / float(np.mean((values - wanted) ** 2)))


def score(method: Method, noisy: Path, clean: Path, fitted: bool) -> Mapping[str, Any]:
    result, said = method.run(noisy)
    return {"psnr": psnr(result, read_picture(clean).pixels, fitted), **said}


def whole(results: Results, key: str, name: str) -> Row | None:
    """A row that has every picture of its set; else its mean could not be compared."""
    rows = results.get(key, {})
    row = rows.get(name)
    if row is None or NOISY not in rows or row["values"].keys() != rows[NOISY]["values"].keys():
        return None
    return row


def levels(results: Results, key: str, family: str) -> dict[float, dict[str, float]]:
    """PSNR by picture for every level that a family was told."""
    found = {}
    for name in results.get(key, {}):
        row = whole(results, key, name) if family_of(name) == family and name != family else None
        if row is not None:
            found[float(name.rpartition(", ")[2])] = column(row, "psnr")
    return dict(sorted(found.items()))


def render(results: Results) -> str:
    """The tables, from what was measured and the published rows alone."""
    parts = []
    for color, what in ((True, "Photographs, colour"), (False, "Widefield fluorescence, grey")):
        keys = [key for key, each in SETS.items() if each.color is color and NOISY in results.get(key, {})]
        if keys:
            heads = [f"{SETS[key].title} ({len(results[key][NOISY]['values'])})" for key in keys]
            parts += [f"### {what}", table(["", *heads], _rows(results, keys, color)), _tried(results, keys)]
    if NOISY in results.get("cc15", {}):
        parts += ["### Every picture of CC15", _each(results, "cc15")]
    return "\n\n".join(parts)


def _rows(results: Results, keys: list[str], color: bool) -> list[list[str]]:
    def line(name: str, cell: Callable[[str], str]) -> list[str]:
        return [name, *(cell(key) for key in keys)]

    def plain(name: str) -> Callable[[str], str]:
        def cell(key: str) -> str:
            row = whole(results, key, name)
            return "-" if row is None else f"{fmean(column(row, 'psnr').values()):.2f}"

        return cell

    def best(family: str) -> Callable[[str], str]:
        def cell(key: str) -> str:
            means = {level: fmean(each.values()) for level, each in levels(results, key, family).items()}
            level = max(means, key=lambda level: means[level], default=0.0)
            return f"{means[level]:.2f} ({level:g})" if means else "-"

        return cell

    def bound(family: str) -> Callable[[str], str]:
        def cell(key: str) -> str:
            found = list(levels(results, key, family).values())
            return f"{fmean(max(each[p] for each in found) for p in found[0]):.2f}" if found else "-"

        return cell

    lines = [line(NOISY, plain(NOISY)), line(f"**{AUTOMATIC}**", plain(AUTOMATIC))]
    lines.append(line("its worst change of a picture", lambda key: _worst(results, key)))
    lines.append(line(f"{NLM}, as it comes (h = 3)", plain(f"{NLM}, 3")))
    families = ["denoise-color", "denoise-photo", NLM, "CBM3D"]
    families = families if color else ["denoise-gray", NLM, "BM3D", "Anscombe + BM3D"]
    told = {NLM: "h", "Anscombe + BM3D": "peak"}
    for family in families:
        word = told.get(family, "sigma")
        if any(levels(results, key, family) for key in keys):
            lines.append(line(f"{family}, the best {word} for all (bound)", best(family)))
            lines.append(line(f"{family}, the best {word} for each picture (bound)", bound(family)))
    for name in dict.fromkeys(name for key in keys for name in PUBLISHED.get(key, {})):
        value = {key: PUBLISHED.get(key, {}).get(name) for key in keys}
        cells = {key: "-" if each is None else f"*{each:.2f}*" for key, each in value.items()}
        lines.append(line(f"*published: {name}*", cells.__getitem__))
    return lines


def _tried(results: Results, keys: list[str]) -> str:
    """Of which levels the best is the best, and what measured it."""
    lines = []
    for key in keys:
        families = dict.fromkeys(map(family_of, results[key]))
        found = {family: levels(results, key, family) for family in families}
        tried = [f"{family} {', '.join(f'{x:g}' for x in each)}" for family, each in found.items() if each]
        if tried:
            lines.append(f"- {SETS[key].title}, levels that were tried: {'; '.join(tried)}.")
        lines += [_part(results, key, name) for name in results[key] if whole(results, key, name) is None]
    makers = {(family_of(name), row["made_by"]) for key in keys for name, row in results[key].items() if name != NOISY}
    lines += [f"- {name}: {made_by}." for name, made_by in sorted(makers)]
    return "\n".join(lines)


def _part(results: Results, key: str, name: str) -> str:
    """What can be said of a row that lacks pictures: its mean beside those of others on the same pictures."""
    some = column(results[key][name], "psnr")
    others = [
        f"{other} {fmean(column(results[key][other], 'psnr')[p] for p in some):.2f}"
        for other in (NOISY, AUTOMATIC)
        if whole(results, key, other) is not None
    ]
    return f"- {SETS[key].title}, {name} on {len(some)} of them alone: {fmean(some.values()):.2f}; {', '.join(others)}."


def family_of(name: str) -> str:
    """The part of a row's name before its level."""
    before, _, level = name.rpartition(", ")
    return before if level.replace(".", "").isdigit() else name


def _worst(results: Results, key: str) -> str:
    row = whole(results, key, AUTOMATIC)
    if row is None:
        return "-"
    before, after = column(results[key][NOISY], "psnr"), column(row, "psnr")
    return f"{min(after[name] - before[name] for name in before):+.2f}"


def _each(results: Results, key: str) -> str:
    row = whole(results, key, AUTOMATIC)
    ours, nlm = (list(levels(results, key, family).values()) for family in ("denoise-color", NLM))
    lines = []
    for name, before in column(results[key][NOISY], "psnr").items():
        values = {} if row is None else row["values"][name]
        told = ", ".join(f"{word} {value:.3g}" for word, value in values.get("told", {}).items())
        cells = [f"{values['psnr']:.2f}", f"{values['policy']}, {told}"] if values else ["-", "-"]
        bounds = [f"{max(each[name] for each in found):.2f}" if found else "-" for found in (ours, nlm)]
        lines.append([name, f"{before:.2f}", *cells, *bounds])
    heads = ["", "noisy", "automatic", "policy and what it was told", "best sigma of denoise-color", "best h"]
    return table(heads, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what is missing or stale; write the tables of docs/real.md.")
    parser.add_argument("data", type=Path, help="folder with cc15, polyu-val and w2s-val")
    parser.add_argument("--only", action="append", metavar="PATTERN", help='these rows, for instance "CBM3D*"')
    parser.add_argument("--again", action="append", default=[], metavar="PATTERN", help="measure these rows again")
    parser.add_argument("--set", dest="sets", action="append", choices=list(SETS), help="this set; may be repeated")
    parser.add_argument("--limit", type=int, help="a trial on the first so many of each set; is kept in runs/")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    limit = arguments.limit
    file = ROOT / "docs" / "real.json" if limit is None else ROOT / "runs" / f"real-limit-{limit}.json"
    for key in arguments.sets or SETS:
        each = SETS[key]
        pairs = dict(list(each.pairs(arguments.data).items())[:limit])
        if not pairs:
            print(f"{arguments.data / each.folder} holds no pictures; left out")
            continue
        data = digest(path for pair in pairs.values() for path in pair)
        for method in methods(each.color):
            if matches(method.name, arguments.only or ["*"]):
                runs = {
                    name: functools.partial(score, method, noisy, clean, not each.color)
                    for name, (noisy, clean) in pairs.items()
                }
                again = matches(method.name, arguments.again)
                measured(file, key, method.name, method.made_by, data, runs, again)
    if limit is None:
        write_section("real.md", "real pictures", render(stored(file)))
    else:
        print(render(stored(file)))


if __name__ == "__main__":
    main()
