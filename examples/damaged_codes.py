"""QR and bar codes, damaged so that few can be read: pictures to train on for a score that no gradient reaches.

    python examples/damaged_codes.py FOLDER --number 2000 --seed 1

writes FOLDER/damaged (what is given to `pixelrl train`), FOLDER/clean and FOLDER/codes.json, which says of every
picture its text, its kind and its damage. The clean ones are for comparisons: the policy never sees them. It needs the
extra ``codes``: pip install "pixelrl[codes]".
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import segno

Grey = npt.NDArray[np.float32]
"""Values from 0 (black) to 1 (white), ``(h, w)``."""

SIDE = 112
DAMAGES = ("stains", "uneven light", "blur", "noise", "mixed")
QUIET = 2
"""Modules of white around a code."""


@dataclass(frozen=True)
class Code:
    """A code as it was printed and as it was photographed."""

    clean: Grey
    damaged: Grey
    text: str
    kind: str
    damage: str


def random_code(random: np.random.Generator, damage: str, kind: str | None = None, side: int = SIDE) -> Code:
    """A QR code or a Code 128 bar code with a random text, a little turned, with one damage of `DAMAGES`."""
    kind = kind or ("qr" if random.random() < 0.5 else "bar")
    text = "".join(random.choice(list("0123456789"), 4 if kind == "bar" else random.integers(4, 12)))
    modules = qr_modules(text, random) if kind == "qr" else bar_modules(text)
    clean = seen(modules, random, side)
    module = side / max(modules.shape)
    return Code(clean, damaged(clean, damage, module, random), text, kind, damage)


def qr_modules(text: str, random: np.random.Generator) -> Grey:
    """1 for white, 0 for black, one value a module, with `QUIET` white ones around it."""
    code = segno.make(text, micro=False, error="LM"[random.integers(2)], boost_error=False, mask=None)
    return np.pad(1 - np.array(code.matrix, np.float32), QUIET, constant_values=1)


CODE_128 = re.findall(
    "2331112$|.{6}",
    "212222222122222221121223121322131222122213122312132212221213221312231212112232122132122231113222123122123221"
    "223211221132221231213212223112312131311222321122321221312212322112322211212123212321232121111323131123131321"
    "112313132113132311211313231113231311112133112331132131113123113321133121313121211331231131213113213311213131"
    "311123311321331121312113312311332111314111221411431111111224111422121124121421141122141221112214112412122114"
    "122411142112142211241211221114413111241112134111111242121142121241114212124112124211411212421112421211212141"
    "2141214121211111431113411311411141131143114111134113111131411141313111414111312114122112142112322331112",
)
"""The widths of bars and gaps of each symbol (ISO/IEC 15417)."""
START_C, STOP = 105, 106


def bar_modules(digits: str) -> Grey:
    """The modules of a Code 128 bar code of an even number of digits, in code set C: two digits a symbol."""
    symbols = [int(digits[i : i + 2]) for i in range(0, len(digits), 2)]
    check = (START_C + sum(i * symbol for i, symbol in enumerate(symbols, 1))) % 103
    widths = "".join(CODE_128[symbol] for symbol in (START_C, *symbols, check, STOP))
    row = np.concatenate([np.full(int(width), float(i % 2), np.float32) for i, width in enumerate(widths)])
    row = np.pad(row, 5, constant_values=1)
    height = max(1, int(0.6 * len(row)))
    return np.pad(np.tile(row, (height, 1)), ((5, 5), (0, 0)), constant_values=1)


def seen(modules: Grey, random: np.random.Generator, side: int) -> Grey:
    """A code as a camera sees it without damage: in a picture of ``side`` pixels, a little turned, by area."""
    finer = 4
    height, width = modules.shape
    scale = finer * side * random.uniform(0.93, 1.0) / max(height, width)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), random.uniform(-4, 4), scale)
    turn[:, 2] += (finer * side - width) / 2 + finer * random.uniform(-2, 2, 2)
    size = (finer * side, finer * side)
    large = cv2.warpAffine(modules, turn, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)


def smooth(random: np.random.Generator, side: int, sigma: float) -> Grey:
    """Random values from 0 to 1 that change over about ``sigma`` pixels."""
    field = cv2.GaussianBlur(random.standard_normal((3 * side, 3 * side)).astype(np.float32), (0, 0), sigma)
    field = field[side : 2 * side, side : 2 * side]
    return (field - field.min()) / (field.max() - field.min())


def damaged(clean: Grey, damage: str, module: float, random: np.random.Generator) -> Grey:
    """A photograph of a damaged code whose modules are so many pixels wide, in steps of 1 / 255."""
    picture = 0.1 + 0.8 * clean
    side = len(picture)
    if damage == "stains":
        picture = noisy(stained(picture, random), 0.03, random)
    elif damage == "uneven light":
        picture = noisy(lit(picture, random), random.uniform(0.02, 0.04), random)
    elif damage == "blur":
        picture = noisy(blurred(picture, module * random.uniform(0.5, 0.65), random), 0.01, random)
    elif damage == "noise":
        picture = noisy(picture, random.uniform(0.2, 0.35), random)
    elif damage == "mixed":  # out of focus on one side, in the dark and grainy on the other
        where = smooth(random, side, side / 3)
        where = np.clip((where - np.median(where)) * 6 + 0.5, 0, 1)
        soft = noisy(blurred(picture, module * random.uniform(0.45, 0.6), random), 0.015, random)
        grainy = noisy(picture * random.uniform(0.6, 1.0), random.uniform(0.12, 0.2), random)
        picture = where * soft + (1 - where) * grainy
    else:
        raise ValueError(f"damage {damage!r} is unknown; known are {', '.join(DAMAGES)}")
    return (np.rint(np.clip(picture, 0, 1) * 255) / 255).astype(np.float32)


def stained(picture: Grey, random: np.random.Generator) -> Grey:
    """Blots that darken and fingerprints that bleach, with soft edges."""
    side = len(picture)
    for _ in range(random.integers(2, 4)):
        shape = smooth(random, side, random.uniform(10, 25))
        blot = np.clip((shape - random.uniform(0.4, 0.7)) * 5, 0, 1)
        depth = random.uniform(0.5, 0.75)
        picture = picture * (1 - depth * blot) if random.random() < 0.6 else picture + (0.9 - picture) * depth * blot
    return picture


def lit(picture: Grey, random: np.random.Generator) -> Grey:
    """In a light that falls off, with the hard shadow of something."""
    side = len(picture)
    rows, columns = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
    angle = random.uniform(0, 2 * np.pi)
    across = rows * np.sin(angle) + columns * np.cos(angle)
    light = np.exp(-random.uniform(0.8, 1.8) * (across + 0.5))
    edge = np.cos(3 * angle) * columns + np.sin(3 * angle) * rows + random.uniform(-0.2, 0.2)
    shadow = np.clip(edge * side / random.uniform(2, 6), 0, 1)
    return picture * light * (1 - random.uniform(0.5, 0.8) * shadow)


def blurred(picture: Grey, sigma: float, random: np.random.Generator) -> Grey:
    """Out of focus, and a little shaken."""
    picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    kernel = np.zeros((3, 3), np.float32)
    cv2.line(kernel, (1, 1), tuple(random.integers(0, 3, 2).tolist()), 1.0)
    return cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def noisy(picture: Grey, level: float, random: np.random.Generator) -> Grey:
    """With Gaussian noise of this standard deviation."""
    return picture + level * random.standard_normal(picture.shape).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random, said = np.random.default_rng(arguments.seed), {}
    for name in ("damaged", "clean"):
        (arguments.folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(arguments.number):
        code = random_code(random, DAMAGES[i % len(DAMAGES)])
        name = f"{i:05}.png"
        for folder, picture in (("damaged", code.damaged), ("clean", code.clean)):
            cv2.imwrite(str(arguments.folder / folder / name), np.rint(picture * 255).astype(np.uint8))
        said[name] = {"text": code.text, "kind": code.kind, "damage": code.damage}
    (arguments.folder / "codes.json").write_text(json.dumps(said, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
