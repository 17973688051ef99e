"""``pixelrl compare``: pictures of one scene side by side, with their scores and details."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.cli.common import PATH, Box, check_file
from pixelrl.cli.outputs import check_apart, check_place, make_folder
from pixelrl.errors import UsageError

if TYPE_CHECKING:
    from pixelrl.report.compare import Compared


def _windows(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> list[Box]:
    """Callback: each ``x,y,w,h`` as ``(left, top, right, bottom)``."""
    windows = []
    for given in value:
        try:
            x, y, w, h = (int(part) for part in given.split(","))
        except ValueError as error:
            message = f"{given!r} is not a window; give x,y,w,h in pixels, for instance 100,80,64,64"
            raise click.BadParameter(message) from error
        if min(w, h) < 1:
            raise click.BadParameter(f"{given!r} holds no pixel; give x,y,w,h with w and h of at least 1")
        windows.append((x, y, x + w, y + h))
    return windows


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The sheet to write, for instance sheet.png.")
@click.option("--target", type=PATH, help="The clean picture: adds PSNR and SSIM, and is shown at the end.")
@click.option(
    "--zoom",
    "windows",
    multiple=True,
    metavar="X,Y,W,H",
    callback=_windows,
    help="A detail to show enlarged; may be given several times.  [default: where the pictures differ most]",
)
@click.option(
    "--label", "labels", multiple=True, help="What a picture is called; once for each, in order.  [default: its name]"
)
@click.option("--overwrite", is_flag=True, help="Replace the sheet if it exists.")
def compare(
    pictures: tuple[Path, ...],
    output: Path,
    target: Path | None,
    windows: list[Box],
    labels: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Show PICTURES of one scene side by side on a sheet, with details where they differ.

    All must be of one size. With --target the scores of each are printed, too. PSNR at peak 255 and SSIM are those of
    `pixelrl evaluate`, of values clipped and rounded to 8 bits.
    """
    from pixelrl.pictures.files import SUFFIXES

    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output}: the ending {output.suffix!r} is not known; {', '.join(SUFFIXES)} can be written")
    check_place(output, overwrite=overwrite)
    if labels and len(labels) != len(pictures):
        raise UsageError(
            f"{len(labels)} labels for {len(pictures)} pictures; give --label once for each, or not at all"
        )
    for path in pictures:
        check_file(path, "PICTURE", "a picture")
    if target is not None:
        check_file(target, "--target", "the clean picture")
    clean_file = [] if target is None else [("the target", target)]
    check_apart([("-o", output)], [*(("a picture", path) for path in pictures), *clean_file])

    import numpy as np

    from pixelrl.pictures.files import Picture, write_picture
    from pixelrl.report.compare import sheet, words

    found = _read(pictures, list(labels) or _names(pictures), target)
    clean = found.pop() if target is not None else None
    height, width = found[0].image.shape[-2:]
    for left, top, right, bottom in windows:
        if not (min(left, top) >= 0 and right <= width and bottom <= height):
            given = f"{left},{top},{right - left},{bottom - top}"
            raise UsageError(f"--zoom {given} does not lie inside the pictures of {width}x{height}")
    scores = [each.scores(clean) for each in found]
    drawn = sheet(found, clean, windows or None, scores)
    make_folder(output.parent)
    write_picture(output, Picture(np.asarray(drawn)), overwrite=overwrite)
    if clean is not None:
        for each, score in zip(found, scores, strict=True):
            click.echo(f"{each.label}: {words(score)}")
    click.echo(str(output))


def _names(pictures: tuple[Path, ...]) -> list[str]:
    """The files' names without their endings; with as much more as it takes to tell them apart."""
    for names in ([path.stem for path in pictures], [path.name for path in pictures]):
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in pictures]


def _read(pictures: tuple[Path, ...], labels: list[str], target: Path | None) -> list[Compared]:
    """The pictures and, at the end, the target, upright.

    Raises:
        InputError: one is no picture.
        UsageError: they are not of one size.
    """
    from pixelrl.pictures.display import orientation_of, upright
    from pixelrl.pictures.files import read_picture
    from pixelrl.pictures.scale import Scale
    from pixelrl.pictures.values import array_to_tensor
    from pixelrl.report.compare import Compared

    paths = [*pictures, *([target] if target is not None else [])]
    files = [read_picture(path) for path in paths]
    # What is white is told by the target, or the first: results must not be stretched each by itself.
    scale = Scale.of(files[-1 if target is not None else 0].pixels)
    same = len({str(file.pixels.dtype) for file in files}) == 1
    found: list[Compared] = []
    for path, label, file in zip(paths, [*labels, "target"], files, strict=False):
        image = upright(array_to_tensor(file.pixels, scale if same else None), orientation_of(file.exif))
        if found and image.shape[-2:] != found[0].image.shape[-2:]:
            sizes = [f"{each.shape[-1]}x{each.shape[-2]}" for each in (image, found[0].image)]
            raise UsageError(f"{path} is of {sizes[0]} pixels, {paths[0]} of {sizes[1]}; give pictures of one size")
        found.append(Compared(label, image, file.icc_profile))
    return found
