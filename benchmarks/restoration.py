"""Text removal beside its baselines; writes docs/restoration.md.

    python benchmarks/restoration.py BSD TEXT [--policy NAME=FILE ...] [--limit N]

BSD holds gray/test and color/test (clean), TEXT/test holds the authors' corrupted versions of the former. The colour
photographs get text of 20 pixels by `pixelrl.tasks.TextRemoval`, seed 0.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import torch
from pages import table, write_section

import pixelrl
from pixelrl.imaging.filters import median
from pixelrl.imaging.metrics import psnr, ssim
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.values import array_to_tensor
from pixelrl.tasks import TextRemoval
from pixelrl.types import Image

Method = Callable[[Image], Image]
PUBLISHED = {
    "Net-D and Net-E": ("29.53", "0.846"),
    "CNN": ("29.75", "0.858"),
    "PixelRL + convGRU + RMC": ("29.97", "0.868"),
}


def inpainted(image: Image) -> Image:
    """Where a value is exactly 0 or 255, and one pixel around: OpenCV's inpainting (Telea 2004)."""
    pixels = (image.clamp(0, 1) * 255).round().byte()[0].movedim(0, -1).numpy()
    extreme = ((pixels == 0) | (pixels == 255)).all(-1).astype(np.uint8)
    mask = cv2.dilate(extreme, np.ones((3, 3), np.uint8))
    result = cv2.inpaint(np.ascontiguousarray(pixels), mask, 3, cv2.INPAINT_TELEA)
    return array_to_tensor(result.reshape(pixels.shape))


def rows_of(pairs: list[tuple[Image, Image]], methods: dict[str, Method]) -> list[list[str]]:
    rows = []
    for name, method in methods.items():
        scores = []
        for clean, corrupted in pairs:
            began = time.process_time()
            result = method(corrupted)
            scores.append((psnr(result, clean).item(), ssim(result, clean).item(), time.process_time() - began))
        means = [fmean(column) for column in zip(*scores, strict=True)]
        rows.append([name, f"{means[0]:.2f}", f"{means[1]:.3f}", f"{means[2]:.2f}" if name != "input" else "-"])
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bsd", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--policy", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--only", choices=["gray", "color"])
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    files = dict(entry.split("=", 1) for entry in given.policy)
    for channels, stem in ((1, "restore-gray"), (3, "restore-color")):
        if given.only not in (None, stem.removeprefix("restore-")):
            continue
        policies = {name: file for name, file in {stem: stem, **files}.items() if name.startswith(stem)}
        pairs = []
        folder = given.bsd / ("gray" if channels == 1 else "color") / "test"
        generator, task = torch.Generator().manual_seed(0), TextRemoval()
        for path in sorted(folder.iterdir())[: given.limit]:
            clean = array_to_tensor(read_picture(path).pixels)
            if channels == 1:
                corrupted = array_to_tensor(read_picture(given.text / "test" / path.name).pixels)
            else:
                corrupted = task.degrade(clean, 20, generator).image
            pairs.append((clean, corrupted))
        methods: dict[str, Method] = {
            "input": lambda image: image,
            "median 5x5": median,
            "exact mask + Telea": inpainted,
        }
        for name, file in policies.items():
            agent = pixelrl.load(file, "cpu")
            methods[name] = lambda image, agent=agent: agent.run(image, agent.condition(image, {}))[1]
            if name == "restore-gray":
                methods[f"{name}, x8 self-ensemble"] = lambda image, agent=agent: agent.ensembled(
                    image, agent.condition(image, {})
                )
        rows = rows_of(pairs, methods)
        if channels == 1:
            rows += [[f"{name} (published)", *values, "-"] for name, values in PUBLISHED.items()]
        text = table(["method", "PSNR in dB", "SSIM", "processor seconds"], rows)
        if given.limit is None:
            write_section("restoration.md", "grey" if channels == 1 else "colour", text)


if __name__ == "__main__":
    main()
