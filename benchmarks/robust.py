"""`pixelrl denoise` told nothing, where the answer is known: added noise, clean pictures, clipping; docs/real.md.

    python benchmarks/robust.py [--data FOLDER] [--photos FOLDER] [--only PATTERN] [--again PATTERN] [--limit N]

--data holds gray/test and color/test of BSDS500, --photos is what tools/training_photos.py wrote. What was measured is
kept, picture by picture, in docs/robust.json; only what is missing or was measured by something else is measured; the
tables go into docs/real.md. With --limit it is a trial on the first N pictures, and is kept in runs/.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from command import Pixels, command_digest, denoised_array, digest
from kept import Results, Row, matches, measured, natural, stored
from pages import table, write_section

import pixelrl
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.listing import list_pictures

ROOT = Path(__file__).parents[1]
FLOAT, STORED = (15, 25, 50), (2, 5, 15, 25, 50)
CLIPPED = (10, 25, 55)
MEANS, BIAS_SIGMA = {"dark": 0.03, "bright": 0.97}, 25
EVERY_PHOTO, EVERY_BSD = 3, 4
"""Of the photographs of `clipped` and `bias`, and of BSDS500's, every such one is taken: the others cost time."""
NEARLY = 60.0
"""PSNR in dB that a picture which comes back bit for bit counts as in a mean, and the most that any other counts."""
Values = Mapping[str, Any]
Options = tuple[str, ...]


def noisy(clean: Pixels, sigma: float, name: str) -> Pixels:
    """Float32, neither clipped nor rounded; the noise depends on the picture's name and the level alone."""
    generator = np.random.default_rng([zlib.crc32(name.encode()), round(sigma)])
    values = clean.astype(np.float64) / 255 + sigma / 255 * generator.standard_normal(clean.shape)
    return values.astype(np.float32)


def as_file(values: Pixels) -> Pixels:
    grey: Pixels = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    return grey


def psnr(result: Pixels, clean: Pixels) -> float | None:
    """PSNR in dB of 8-bit values; None of equal ones."""
    grey = [x if x.dtype == np.uint8 else as_file(x) for x in (result, clean)]
    error = float(np.mean((grey[0].astype(np.float64) - grey[1].astype(np.float64)) ** 2))
    return 10 * float(np.log10(255**2 / error)) if error else None


def white(clean: Pixels, name: str, *, sigma: float, eight_bits: bool) -> Values:
    """Told nothing, and told the level."""
    given = noisy(clean, sigma, name)
    given = as_file(given) if eight_bits else given
    automatic, said = denoised_array(given)
    told, _ = denoised_array(given, "--sigma", f"{sigma:g}")
    scores = {"noisy": psnr(given, clean), "automatic": psnr(automatic, clean), "told": psnr(told, clean)}
    return {**scores, "policy": said["policy"], "condition": said["condition"]}


def untouched(clean: Pixels, name: str, *, options: Options) -> Values:
    """A clean picture goes in: how near to it is what comes out."""
    result, said = denoised_array(clean, *options)
    return {"psnr": psnr(result, clean), "policy": said["policy"], "condition": said["condition"]}


def clipped(clean: Pixels, name: str, *, sigma: float, options: Options) -> Values:
    given = as_file(noisy(clean, sigma, name))
    result, said = denoised_array(given, *options)
    return {"noisy": psnr(given, clean), "psnr": psnr(result, clean), "policy": said["policy"]}


def bias(clean: Pixels, name: str, *, mean: float, options: Options) -> Values:
    """Of the mean, in grey levels, where noise of 25 was clipped; the picture is brought to that mean by a factor."""
    low = clean.astype(np.float64) / 255
    low = low * min(mean, 1 - mean) / low.mean()
    clean = as_file(low if mean < 0.5 else 1 - low)
    given = as_file(noisy(clean, BIAS_SIGMA, name))
    result, said = denoised_array(given, *options)
    moved = {"noisy bias": given.mean() - clean.mean(), "bias": result.mean() - clean.mean()}
    scores = {"noisy": psnr(given, clean), "psnr": psnr(result, clean)}
    return {**{key: float(value) for key, value in moved.items()}, **scores, "policy": said["policy"]}


class Entry(NamedTuple):
    """A row of docs/robust.json: its pictures, as they are or in grey, and what is measured of each."""

    section: str
    name: str
    files: list[Path]
    run: Callable[..., Values]
    grey: bool = False

    def measure(self, file: Path) -> Values:
        pixels = read_picture(file).pixels
        if self.grey and pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        return self.run(pixels, file.stem)


def of_photos(files: list[Path]) -> Iterator[Entry]:
    for grey in (False, True):
        for word, options in (("told nothing", ()), ("told sigma 0", ("--sigma", "0"))):
            name = f"{'grey' if grey else 'colour'}, {word}"
            yield Entry("clean", name, files, partial(untouched, options=options), grey)
    shipped = [name for name in ("denoise-color", "denoise-photo") if name in pixelrl.shipped_policies()]
    files = files[::EVERY_PHOTO]
    for sigma in CLIPPED:
        yield Entry("clipped", f"told nothing, {sigma}", files, partial(clipped, sigma=sigma, options=()))
        for policy in shipped:
            told = ("--policy", policy, "--sigma", str(sigma))
            yield Entry("clipped", f"{policy} told sigma, {sigma}", files, partial(clipped, sigma=sigma, options=told))
    for name, mean in MEANS.items():
        for word, options in (("told nothing", ()), ("told sigma", ("--sigma", str(BIAS_SIGMA)))):
            yield Entry("bias", f"{name}, {word}", files, partial(bias, mean=mean, options=options))


def of_bsd(data: Path, limit: int | None) -> Iterator[Entry]:
    for kind in ("color", "gray"):
        files = [path for path, _ in list_pictures([data / kind / "test"]).files[::EVERY_BSD]][:limit]
        for stored_as, levels in (("8-bit", STORED), ("float", FLOAT)):
            for sigma in levels:
                run = partial(white, sigma=sigma, eight_bits=stored_as == "8-bit")
                yield Entry("white", f"{kind}, {stored_as}, {sigma}", files, run)


def render(results: Results) -> str:
    """The tables, from the measurements alone."""
    parts = []
    for section, (title, draw) in SECTIONS.items():
        if section in results:
            rows = {name: results[section][name] for name in sorted(results[section], key=natural)}
            parts += [f"### {title}", draw(rows)]
    return "\n\n".join(parts)


def _mean(row: Row, name: str) -> float:
    """Of PSNR: equal pictures count as `NEARLY`, and none counts more."""
    return fmean(NEARLY if values[name] is None else min(values[name], NEARLY) for values in row["values"].values())


def _count(rows: dict[str, Row]) -> str:
    counts = sorted({len(row["values"]) for row in rows.values()})
    return f"{' or '.join(map(str, counts))} pictures"


def _clean(rows: dict[str, Row]) -> str:
    lines = []
    for name, row in rows.items():
        scores = [values["psnr"] for values in row["values"].values()]
        others = [score for score in scores if score is not None]
        worst = f"{min(others):.2f}" if others else "all equal"
        cells = [str(len(scores)), str(len(scores) - len(others)), f"{_mean(row, 'psnr'):.2f}", worst]
        lines.append([name, *cells])
    return table(["", "pictures", "back bit for bit", f"mean PSNR (at most {NEARLY:g} each)", "the worst"], lines)


def _clipped(rows: dict[str, Row]) -> str:
    families = dict.fromkeys(name.rpartition(", ")[0] for name in rows)
    lines = []
    for family, column_name in ((next(iter(families)), "noisy"), *((family, "psnr") for family in families)):
        cells = []
        for sigma in CLIPPED:
            row = rows.get(f"{family}, {sigma}")
            cells.append("-" if row is None else f"{_mean(row, column_name):.2f}")
        lines.append(["the noisy picture" if column_name == "noisy" else family, *cells])
    return table([_count(rows), *(f"sigma {sigma}" for sigma in CLIPPED)], lines)


def _bias(rows: dict[str, Row]) -> str:
    lines = []
    for name, row in rows.items():
        values = list(row["values"].values())
        moved = [f"{fmean(each[key] for each in values):+.2f}" for key in ("noisy bias", "bias")]
        worst = max((each["bias"] for each in values), key=abs)
        lines.append([name, *moved, f"{worst:+.2f}", f"{_mean(row, 'noisy'):.2f}", f"{_mean(row, 'psnr'):.2f}"])
    return table(
        [_count(rows), "bias of the noisy picture", "of the result", "the worst", "noisy, dB", "result, dB"], lines
    )


def _white(rows: dict[str, Row]) -> str:
    lines = []
    for name, row in rows.items():
        gaps = [each["automatic"] - each["told"] for each in row["values"].values()]
        scores = [f"{_mean(row, column_name):.2f}" for column_name in ("noisy", "told", "automatic")]
        lines.append([name, str(len(gaps)), *scores, f"{fmean(gaps):+.2f}", f"{min(gaps):+.2f}"])
    return table(["", "pictures", "noisy", "told sigma", "told nothing", "difference", "the worst"], lines)


SECTIONS: dict[str, tuple[str, Callable[[dict[str, Row]], str]]] = {
    "clean": ("Clean photographs: how near to them the result is", _clean),
    "white": ("White Gaussian noise, photographs of BSD68 and CBSD68", _white),
    "clipped": ("Noise that was clipped and rounded to 8 bits, colour", _clipped),
    "bias": (f"Dark and bright pictures of mean 0.03 and 0.97, clipped noise of sigma {BIAS_SIGMA}", _bias),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what is missing or stale; write the tables of docs/real.md.")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with gray/test and color/test of BSDS500")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="that tools/training_photos.py wrote")
    parser.add_argument("--only", action="append", metavar="PATTERN", help='sections and rows, for instance "clean: *"')
    parser.add_argument("--again", action="append", default=[], metavar="PATTERN", help="measure these again")
    parser.add_argument("--limit", type=int, help="a trial on the first so many pictures; is kept in runs/")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    limit = arguments.limit
    file = ROOT / "docs" / "robust.json" if limit is None else ROOT / "runs" / f"robust-limit-{limit}.json"
    entries: list[Entry] = []
    if arguments.photos is not None:
        entries += of_photos(sorted((arguments.photos / "test").glob("*.png"))[:limit])
    if arguments.data is not None:
        entries += of_bsd(arguments.data, limit)
    made_by = f"the command, SHA-256 {command_digest()}"
    for entry in entries:
        full = f"{entry.section}: {entry.name}"
        if matches(full, arguments.only or ["*"]):
            runs = {each.stem: partial(entry.measure, each) for each in entry.files}
            again = matches(full, arguments.again)
            measured(file, entry.section, entry.name, made_by, digest(entry.files), runs, again)
    if limit is None:
        write_section("real.md", "other pictures", render(stored(file)))
    else:
        print(render(stored(file)))


if __name__ == "__main__":
    main()
