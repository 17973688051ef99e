"""The shipped denoisers on photographs outside BSDS500 that were not trained on; docs/photos.md.

    python tools/training_photos.py PHOTOS
    python benchmarks/photos.py PHOTOS [--only NAME] [--policy FILE]

Noise as the paper's protocol has it; noise clipped and rounded as an 8-bit file holds it; and clean pictures that are
told to be clean. Each policy at the best quality and at its default, whose maps can be read. What was measured is kept
in docs/photos.json; --policy measures another file and prints it without keeping anything. One thread.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import torch

import pixelrl
from pixelrl.imaging.metrics import psnr, to_8_bit
from pixelrl.pictures.atomic import written_whole
from pixelrl.training.data import load_photos
from pixelrl.types import Image

ROOT = Path(__file__).parents[1]
POLICIES = ("denoise-gray", "denoise-color")
UNCLIPPED, STORED = (15.0, 25.0, 50.0), (10.0, 25.0, 55.0)
BEST, PLAIN, NOISY = "legibility 0", "the default legibility", "the noisy picture"
Row = dict[str, float]
Results = dict[str, Any]
"""Policy to its file's hash, number of pictures, and rows of numbers by their column."""


def score(run: Callable[[Image, float], Image], pictures: list[Image]) -> Row:
    """PSNR at each level, mean over the pictures, and what becomes of clean pictures that are told to be clean."""
    row: Row = {}
    for levels, as_file in ((UNCLIPPED, False), (STORED, True)):
        for sigma in levels:
            generator = torch.Generator().manual_seed(0)
            values = []
            for clean in pictures:
                noisy = clean + sigma / 255 * torch.randn(clean.shape, generator=generator)
                noisy = to_8_bit(noisy) / 255 if as_file else noisy
                values.append(psnr(run(noisy, sigma), clean).item())
            row[f"{'8-bit ' if as_file else ''}{sigma:g}"] = round(fmean(values), 4)
    moved = [(to_8_bit(run(clean, 0.0)) - to_8_bit(clean)).abs() for clean in pictures]
    row["share of values changed"] = round(fmean((each > 0).double().mean().item() for each in moved), 6)
    row["largest change"] = max(each.max().item() for each in moved)
    return row


def measure(file: Path, folder: Path) -> Results:
    """Every row of one policy."""
    agent = pixelrl.load(file, "cpu")
    pictures = [photo.pixels[None].float() / 255 for photo in load_photos(folder / "test", agent.num_channels)]

    def played(legibility: float | None) -> Callable[[Image, float], Image]:
        told = legibility if agent.legible else None
        return lambda image, sigma: agent(image, sigma, legibility=told, white=1.0).image

    runs = {NOISY: lambda image, sigma: image, BEST: played(0.0), PLAIN: played(None)}
    rows = {}
    for name, run in runs.items():
        rows[name] = score(run, pictures)
        print(f"{file.stem}, {name}: {json.dumps(rows[name])}", flush=True)
    return {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()[:16], "pictures": len(pictures), "rows": rows}


def render(results: Results) -> str:
    """The document, from the measurements alone."""
    lines = [
        "# Photographs outside BSDS500",
        "",
        "Photographs from Debian's wallpaper packages and from scikit-image that no policy was trained on and no",
        "choice was made with (`test` in [benchmarks/photos.toml](../benchmarks/photos.toml);",
        "[sources](training.md#photographs)), with full chroma, of about 480x320 pixels. Sigma is told; PSNR in dB",
        "after rounding to 8 bits, mean over the pictures. 8-bit: the noisy picture is clipped and rounded, as a file",
        "holds it. Told 0: the clean picture itself, told that it is clean: how many of its values change, and by how",
        "many grey levels at most. What the learned head is worth, says [legibility.md](legibility.md).",
        "",
        "Made by `benchmarks/photos.py`; the measurements are in [photos.json](photos.json).",
    ]
    heads = [f"{sigma:g}" for sigma in UNCLIPPED] + [f"8-bit {sigma:g}" for sigma in STORED]
    for name, found in results.items():
        lines += ["", f"## {name}, {found['pictures']} photographs (policy file {found['sha256']})", ""]
        lines += [f"| | {' | '.join(heads)} | told 0: changed | at most |", "|---|" + "---|" * (len(heads) + 2)]
        for row_name, row in found["rows"].items():
            cells = " | ".join(f"{row[head]:.2f}" for head in heads)
            changed = f"{100 * row['share of values changed']:.3g} % | {row['largest change']:g}"
            lines.append(f"| {row_name} | {cells} | {changed} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the shipped denoisers on photographs from elsewhere.")
    parser.add_argument("photos", type=Path, help="folder that tools/training_photos.py wrote")
    parser.add_argument("--only", action="append", choices=POLICIES, help="this policy; may be repeated")
    parser.add_argument("--policy", metavar="FILE", type=Path, help="print the rows of this policy file, keep nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if arguments.policy is not None:
        print(render({arguments.policy.stem: measure(arguments.policy, arguments.photos)}))
        return
    store = ROOT / "docs" / "photos.json"
    files = pixelrl.shipped_policies()
    for name in arguments.only or POLICIES:
        found = measure(files[name], arguments.photos)
        kept = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
        results = {key: {**kept, name: found}[key] for key in POLICIES if key in {**kept, name: found}}
        for path, text in ((store, json.dumps(results, indent=1) + "\n"), (store.with_suffix(".md"), render(results))):
            with written_whole(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        print(f"{name}: {store.with_suffix('.md')}", flush=True)


if __name__ == "__main__":
    main()
