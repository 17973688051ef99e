"""Looks beside their baselines; writes docs/enhancement.md.

    python benchmarks/enhancement.py ENHANCE [--policy STYLE=FILE ...] [--limit N]

ENHANCE holds input, one folder per style, train.txt and test.txt (Yan et al. 2016). The files are ProPhoto RGB. Means
over the 45 test images of the mean distance in Lab: by their true colours (ProPhoto), and as if the values were sRGB.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from pages import table, write_section

import pixelrl
from pixelrl.evaluate import play
from pixelrl.imaging.color import lab_distance, prophoto_to_lab, srgb_to_lab
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.values import array_to_tensor
from pixelrl.tasks import ColorEnhancement, Episode
from pixelrl.types import Image

STYLES = ("foreground-popout", "local-xpro", "watercolor")
TASK = ColorEnhancement(files="prophoto")
SCALES = {"ProPhoto": prophoto_to_lab, "sRGB": srgb_to_lab}
PUBLISHED = {
    "DNN (Yan et al. 2016), published": (7.08, 7.43, 7.20),
    "Pix2pix, published": (5.85, 6.56, 8.84),
    "PixelRL + convGRU + RMC, published": (6.69, 5.67, 6.41),
}


def load(folder: Path, name: str) -> Image:
    return array_to_tensor(read_picture(folder / f"{name}.webp").pixels)


def episodes(root: Path, style: str, names: list[str]) -> Iterator[tuple[str, Episode]]:
    """The pairs of a style, as the task begins them."""
    generator = torch.Generator()
    for name in names:
        pair = torch.cat([load(root / "input", name), load(root / style, name)], 1)
        yield name, TASK.degrade(pair, 0.0, generator)


def rounded(values: Image) -> Image:
    return (values.clamp(0, 1) * 255).round() / 255


def monomials(lab: torch.Tensor) -> torch.Tensor:
    """All products of L, a and b up to the fourth degree: ``(pixels, 35)``."""
    powers = [(i, j, k) for i, j, k in itertools.product(range(5), repeat=3) if i + j + k <= 4]
    return torch.stack([lab[:, 0] ** i * lab[:, 1] ** j * lab[:, 2] ** k for i, j, k in powers], 1)


def polynomial(root: Path, style: str, names: list[str], to_lab) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """One global quartic in Lab, least squares over every 37th pixel of the training pairs."""
    sums, goals = 0.0, 0.0
    for name in names:
        before, after = (to_lab(load(root / part, name))[0].flatten(1).T[::37].double() for part in ("input", style))
        features = monomials(before)
        sums, goals = sums + features.T @ features, goals + features.T @ after
    return torch.linalg.solve(sums, goals)


def applied(weights: torch.Tensor, lab: torch.Tensor) -> torch.Tensor:
    flat = monomials(lab[0].flatten(1).T.double()) @ weights
    return flat.T.float().view_as(lab)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--policy", action="append", default=[], metavar="STYLE=FILE")
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    files = dict(entry.split("=", 1) for entry in given.policy)
    train, test = ((given.root / f"{part}.txt").read_text().split() for part in ("train", "test"))
    scores: dict[str, dict[str, list[str]]] = {scale: {} for scale in SCALES}
    for style in STYLES:
        agent = pixelrl.load(files.get(style, f"enhance-{style}"), "cpu")
        fits = {scale: polynomial(given.root, style, train, to_lab) for scale, to_lab in SCALES.items()}
        found: dict[str, dict[str, list[float]]] = {scale: {} for scale in SCALES}
        for outcome in play(agent, TASK, episodes(given.root, style, test[: given.limit])):
            assert outcome.estimate is not None
            for scale, to_lab in SCALES.items():
                goal, start = to_lab(outcome.start.target), to_lab(outcome.start.image)
                methods = {
                    "original": start,
                    "quartic polynomial": applied(fits[scale], start),
                    "supervised network of the same size": to_lab(rounded(outcome.estimate)),
                    "enhance": to_lab(rounded(outcome.final)),
                }
                for method, lab in methods.items():
                    found[scale].setdefault(method, []).append(lab_distance(lab, goal).mean().item())
        for scale, methods in found.items():
            for method, values in methods.items():
                scores[scale].setdefault(method, []).append(f"{fmean(values):.2f}")
                print(style, scale, method, np.round(fmean(values), 3), flush=True)
    text = []
    for scale in SCALES:
        rows = [[method, *values] for method, values in scores[scale].items()]
        if scale == "ProPhoto":
            rows += [[method, *map(str, values)] for method, values in PUBLISHED.items()]
        text.append(f"Distance in Lab, {scale} scale:\n\n" + table(["method", *STYLES], rows))
    if given.limit is None:
        write_section("enhancement.md", "tables", "\n\n".join(text))


if __name__ == "__main__":
    main()
