"""Saliency-driven editing beside global edits of the same distance in Lab; writes docs/saliency.md and its pictures.

    python benchmarks/saliency_editing.py PHOTOS [--policy FILE] [--every N] [--try]

PHOTOS are the colour test photographs, of which every N-th is taken; the object of each is in benchmarks/objects.
`--try` writes no page but runs/saliency.jpg. Baselines are given, for each
photograph, exactly the distance in Lab that the policy moved it (the mean over the pixels, or the root mean square), if
they can go so far.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import torch
from pages import DOCS, table, write_section
from PIL import Image as PillowImage

import pixelrl
from pixelrl.imaging.color import lab_distance, srgb_to_lab
from pixelrl.imaging.saliency import MODELS
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.values import array_to_tensor
from pixelrl.types import Image

Pair = tuple[Image, Image, torch.Tensor]
STRENGTHS = (0.5, 1.0, -1.0)
OBJECTS = Path(__file__).with_name("objects")


def mean_moved(image: Image, other: Image) -> float:
    return lab_distance(srgb_to_lab(image), srgb_to_lab(other)).mean().item()


def rms_moved(image: Image, other: Image) -> float:
    return lab_distance(srgb_to_lab(image), srgb_to_lab(other)).square().mean().sqrt().item()


DISTANCES = {"mean": mean_moved, "root mean square": rms_moved}


def more_colour(image: Image, inside: torch.Tensor, way: int, amount: float) -> Image:
    """Saturation and brightness up inside (way = 1), or down (-1)."""
    amount = way * amount
    value = image.amax(1, keepdim=True)
    edited = torch.lerp(value.expand_as(image), image, max(0.0, 1 + 2 * amount)) + 0.5 * amount
    return torch.where(inside, edited, image).clamp(0, 1)


def blur(image: Image, where: torch.Tensor, amount: float) -> Image:
    """A Gaussian blur of sigma 40 x amount pixels where it is told."""
    if amount < 1e-4:
        return image
    pixels = np.ascontiguousarray(image[0].movedim(0, -1).numpy())
    blurred = cv2.GaussianBlur(pixels, (0, 0), 40 * amount)
    return torch.where(where, array_to_tensor(blurred), image)


def as_far(
    edit: Callable[[float], Image], image: Image, distance: Callable[[Image, Image], float], goal: float
) -> Image:
    """The edit with the amount in [0, 1] that moves the image so far in Lab; with 1 if it cannot."""
    low, high = 0.0, 1.0
    for _ in range(9):
        middle = (low + high) / 2
        if distance(edit(middle), image) < goal:
            low = middle
        else:
            high = middle
    return edit((low + high) / 2)


def photographs(folder: Path, every: int) -> Iterator[tuple[Image, torch.Tensor]]:
    """Photographs ``(1, 3, h, w)`` and where its object is, ``(h, w)``."""
    for path in sorted(folder.iterdir())[::every]:
        mask = read_picture(OBJECTS / f"{path.stem}.png").pixels
        yield array_to_tensor(read_picture(path).pixels), torch.from_numpy(mask > 0)


def measure(
    strength: float, photos: Iterable[tuple[Image, torch.Tensor]], policy: str
) -> tuple[dict[str, list[list[float]]], list[Pair]]:
    """For every method a row of measures for every photograph, and pairs to look at."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    agent = pixelrl.load(policy, "cpu")
    pairs: list[Pair] = []
    found: dict[str, list[list[float]]] = {}
    for image, inside in photos:
        ours = agent.run(image, agent.condition(image, {"strength": strength}, inside))[1].clamp(0, 1)
        way, soft = (1, ~inside) if strength > 0 else (-1, inside)
        edits: dict[str, Callable[[float], Image]] = {
            "saturation and brightness": functools.partial(more_colour, image, inside, way),
            "blur": functools.partial(blur, image, soft),
        }
        results = {"original": image, "saliency-edit": ours}
        for name, edit in edits.items():
            for kind, distance in DISTANCES.items():
                results[f"{name}, same {kind}"] = as_far(edit, image, distance, distance(ours, image))
        if len(pairs) < 12:
            pairs.append((image, ours, inside))
        for name, result in results.items():
            row = []
            for model in MODELS.values():
                map_ = model(result)[0, 0]
                row += [map_[inside].mean().item(), map_[~inside].mean().item()]
            found.setdefault(name, []).append([*row, *(distance(result, image) for distance in DISTANCES.values())])
    return found, pairs


def measured(strength: float, folder: Path, policy: str, every: int) -> tuple[str, list[Pair]]:
    """The table for a strength, and pairs to look at."""
    found, pairs = measure(strength, photographs(folder, every), policy)
    header = ["", *(f"{model}, {where}" for model in MODELS for where in ("object", "rest"))]
    header += [*(f"{kind} distance" for kind in DISTANCES), *(f"ratio, {model}" for model in MODELS)]
    rows = []
    for name, lines in found.items():
        means = [fmean(column) for column in zip(*lines, strict=True)]
        ratios = [fmean(line[2 * m] / max(line[2 * m + 1], 1e-6) for line in lines) for m in range(len(MODELS))]
        rows.append([name, *(f"{value:.2f}" for value in (*means, *ratios))])
    return f"Strength {strength:g}:\n\n" + table(header, rows), pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--policy", default="saliency-edit")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--try", action="store_true", dest="trial")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=context) as pool:
        waiting = [pool.submit(measured, s, given.photos, given.policy, given.every) for s in STRENGTHS]
        results = [each.result() for each in waiting]
    text = "\n\n".join(section for section, _ in results)
    if not given.trial:
        write_section("saliency.md", "tables", text)
    else:
        print(text)
    save_sheet(results[STRENGTHS.index(1.0)][1], Path("runs/saliency.jpg") if given.trial else DOCS / "saliency.jpg")


def save_sheet(pairs: list[Pair], path: Path) -> None:
    """Before with the object's outline, and after, two pairs a row."""
    tiles = []
    for image, ours, inside in pairs:
        before, after = ((x[0].clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy().copy() for x in (image, ours))
        contours, _ = cv2.findContours(inside.numpy().astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(before, contours, -1, (255, 255, 0), 2)
        side = np.full((321, 481 * 2 + 30, 3), 255, np.uint8)
        for x, pixels in ((0, before), (491, after)):
            picture = PillowImage.fromarray(pixels)
            picture.thumbnail((481, 321))
            there = np.asarray(picture)
            side[: there.shape[0], x : x + there.shape[1]] = there
        tiles.append(np.pad(side, ((0, 12), (0, 0), (0, 0)), constant_values=255))
    rows = [np.hstack(tiles[i : i + 2]) for i in range(0, len(tiles) - 1, 2)]
    PillowImage.fromarray(np.vstack(rows)).reduce(2 if len(rows) > 3 else 1).save(path, quality=88)


if __name__ == "__main__":
    main()
