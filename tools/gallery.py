"""Make the gallery of the documentation: for each task a picture before and after, and the maps of every step.

    python tools/gallery.py docs

writes ``docs/gallery/*`` and the page ``docs/gallery.md``. The photographs are scikit-image's; no policy was trained
with them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from skimage import data

import pixelrl
from pixelrl.actions import find_action
from pixelrl.imaging.metrics import psnr
from pixelrl.pictures.values import array_to_tensor
from pixelrl.report.maps import action_map_image, majority
from pixelrl.report.sheet import INK, QUIET, font

Pixels = npt.NDArray[np.uint8]

GAP, LINE, WIDTH = 12, 28, 1248
"""Pixels: between things, of a line of text, of a picture."""
LEAST_SHARE = 0.01
"""An operation stands in the legend if it has at least this share of some step's choices."""


@dataclass
class Case:
    """One entry: which photograph, how it is damaged, and what the policy is told."""

    name: str
    title: str
    policy: str
    clean: Pixels
    damage: Callable[[Pixels], npt.NDArray[Any]] = lambda clean: clean
    told: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    note: str = ""


def noisy(sigma: float) -> Callable[[Pixels], Pixels]:
    def damage(clean: Pixels) -> Pixels:
        noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
        return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)

    return damage


def photons(peak: float) -> Callable[[Pixels], Pixels]:
    def damage(clean: Pixels) -> Pixels:
        counts = np.random.default_rng(0).poisson(clean / 255 * peak) / peak
        return np.clip(np.rint(counts * 255), 0, 255).astype(np.uint8)

    return damage


def specks(density: float) -> Callable[[Pixels], Pixels]:
    def damage(clean: Pixels) -> Pixels:
        random = np.random.default_rng(0)
        hit, white = random.random(clean.shape) < density, random.random(clean.shape) < 0.5
        return np.where(hit, np.where(white, 255, 0), clean).astype(np.uint8)

    return damage


def lettered(clean: Pixels) -> Pixels:
    picture = Image.fromarray(clean)
    draw = ImageDraw.Draw(picture)
    for i, words in enumerate(("Every pixel is an agent", "that picks an operation,", "step by step.")):
        draw.text((16, 20 + 90 * i), words, font=font(26), fill="white" if i % 2 else "black")
    return np.asarray(picture)


def cases() -> Iterable[Case]:
    camera, cat, coffee = data.camera()[60:360, 130:430], data.chelsea()[:, 60:360], data.coffee()[30:330, 120:520]
    yield Case(
        "gray", "Gaussian noise, grey", "denoise-gray", camera, noisy(25), {"sigma": 25}, "denoise photo.png -o out.png"
    )
    yield Case(
        "color",
        "Gaussian noise, colour",
        "denoise-color",
        cat,
        noisy(25),
        {"sigma": 25},
        "denoise photo.png -o out.png",
        "A pixel has three agents here; these are the maps of brightness.",
    )
    yield Case(
        "photons",
        "Few photons",
        "poisson-gray",
        data.cell()[130:430, 100:400],
        photons(20),
        {"peak": 20},
        "denoise cell.png -o out.png --noise poisson",
    )
    yield Case(
        "specks",
        "Salt & pepper",
        "saltpepper-gray",
        data.coins()[:300, :300],
        specks(0.3),
        {},
        "denoise coins.png -o out.png --noise saltpepper",
    )
    yield Case(
        "text",
        "Text that was stamped on a picture",
        "restore-color",
        data.astronaut()[:300, 130:430],
        lettered,
        {},
        "restore photo.png -o out.png",
        "The maps of brightness.",
    )
    for look in ("foreground-popout", "local-xpro", "watercolor"):
        yield Case(
            look,
            f"A look: {look}",
            f"enhance-{look}",
            coffee,
            command=f"enhance photo.png -o out.png --style {look}",
            note="Ten steps, the larger changes first.",
        )
    yield Case(
        "saliency",
        "Make the eye go to an object",
        "saliency-edit",
        coffee,
        told={"mask": cup(coffee), "strength": 0.5},
        command="saliency photo.png -o out.png --mask cup.png",
        note="The mask is an ellipse around the cup.",
    )


def cup(coffee: Pixels) -> npt.NDArray[np.bool_]:
    """Where the cup is, about."""
    rows, columns = np.mgrid[: coffee.shape[0], : coffee.shape[1]]
    return ((columns - 178) / 132) ** 2 + ((rows - 100) / 115) ** 2 < 1


def before_and_after(pictures: list[tuple[str, Pixels]]) -> Image.Image:
    """Side by side, each under its caption."""
    shown = [Image.fromarray(pixels).convert("RGB") for _, pixels in pictures]
    width = sum(picture.width for picture in shown) + GAP * (len(shown) - 1)
    sheet = Image.new("RGB", (width, LINE + shown[0].height), "white")
    draw, left = ImageDraw.Draw(sheet), 0
    for (caption, _), picture in zip(pictures, shown, strict=True):
        draw.text((left, 2), caption, font=font(18), fill=INK)
        sheet.paste(picture, (left, LINE))
        left += picture.width + GAP
    return sheet


def map_sheet(result: pixelrl.Result) -> Image.Image:
    """The maps of all steps, five in a row, and which colour is which operation."""
    names = result.trajectory.action_names
    maps = result.trajectory.actions[:, 0].numpy()
    agents = maps[:, 0]  # of colours, brightness
    cell = max(1, -(-max(agents.shape[-2:]) // (WIDTH // 5 - GAP)))
    panels = [action_map_image(majority(step, cell, len(names)), names) for step in agents]
    counts = np.array([np.bincount(step.ravel(), minlength=len(names)) / step.size for step in agents])
    legend = [i for i in np.argsort(-counts.max(0)) if counts[:, i].max() >= LEAST_SHARE]
    columns, pitch = 5, panels[0].width + GAP
    rows = -(-len(panels) // columns)
    width = columns * pitch - GAP
    in_row = max(1, width // 230)
    top = rows * (LINE + panels[0].height + GAP)
    sheet = Image.new("RGB", (width, top + LINE * -(-len(legend) // in_row)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, panel in enumerate(panels):
        left, down = pitch * (i % columns), (LINE + panel.height + GAP) * (i // columns)
        draw.text((left, down + 4), f"step {i + 1}", font=font(16), fill=INK)
        sheet.paste(panel, (left, down + LINE))
    for i, action in enumerate(legend):
        left, down = 230 * (i % in_row), top + LINE * (i // in_row)
        draw.rectangle((left, down + 4, left + 20, down + 20), fill=find_action(names[action]).color, outline=QUIET)
        draw.text((left + 28, down + 4), names[action], font=font(15), fill=INK)
    return sheet.quantize(64, dither=Image.Dither.NONE)


def entry(case: Case, folder: Path) -> str:
    """Draw a case, and write its part of the page."""
    damaged = np.asarray(case.damage(case.clean), np.uint8)
    agent = pixelrl.load(case.policy, precision="fp32")
    result = agent(damaged, **case.told)
    after = np.asarray(result.image)
    pictures, said = [("before", damaged), ("after", after)], ""
    if damaged is not case.clean and (damaged != case.clean).any():
        pictures.append(("as it was", case.clean))
        clean = array_to_tensor(case.clean)
        levels = [psnr(array_to_tensor(pixels), clean).item() for pixels in (damaged, after)]
        said = "{:.2f} dB before, {:.2f} dB after; ".format(*levels)
    before_and_after(pictures).save(folder / f"{case.name}.jpg", quality=90)
    map_sheet(result).save(folder / f"{case.name}-maps.png", optimize=True)
    said += f"{sum(result.bits_per_pixel):.1f} bits per pixel in the maps."
    return (
        f"## {case.title}\n`pixelrl {case.command}`: the policy `{case.policy}`. {said}"
        f"{' ' + case.note if case.note else ''}\n\n"
        f"![Before and after: {case.title}](gallery/{case.name}.jpg)\n\n"
        f"![The map of every step](gallery/{case.name}-maps.png)\n"
    )


HEAD = """# Gallery

For each task a photograph before and after, and what every pixel did at each step. The photographs are
scikit-image's, and no policy was trained with them. Policies were at their defaults, and told what is in the command,
or how strong the noise is. [How to read the maps](legibility.md#how-to-read-the-maps) says what to look for; real
noisy photographs are on [another page](before-after.md), and codes that can be read again on [a third](rewarded.md).
`python tools/gallery.py docs` made this one.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("docs", type=Path)
    docs = parser.parse_args().docs
    (docs / "gallery").mkdir(exist_ok=True)
    parts = [entry(case, docs / "gallery") for case in cases()]
    (docs / "gallery.md").write_text("\n".join([HEAD, *parts]), encoding="utf-8")


if __name__ == "__main__":
    main()
