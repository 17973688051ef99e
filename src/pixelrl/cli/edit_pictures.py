"""``pixelrl restore``, ``enhance`` and ``saliency``: text removal, looks, and where the eye goes."""

from __future__ import annotations

from pathlib import Path

import click

from pixelrl.cli.common import PATH, Box, parse_region
from pixelrl.cli.options import Settings, Work, picture_options, policies_for
from pixelrl.cli.work import run
from pixelrl.policy_files import command_for, find_look, find_policy, read_header


@click.command()
@picture_options
@click.option("--mask", type=PATH, help="A picture, white where text is sought.  [default: everywhere]")
@click.option(
    "--region",
    callback=parse_region,
    metavar="X0,Y0,X1,Y1",
    help="Likewise, a rectangle in pixels of the picture as viewers show it; X1 and Y1 are the first outside.",
)
@click.option("--policy", help="A shipped policy or a policy file, instead of the one for text.")
def restore(work: Work, mask: Path | None, region: Box | None, policy: str | None) -> int:
    """Remove text that was stamped on pictures, wherever it is.

    INPUT is a file, a folder (its tree is mirrored under the output), a quoted pattern such as "scans/*.png", or - for
    standard input. Nothing has to be said of where the text is, or of its colour. Where it is known, --mask or --region
    keeps every pixel elsewhere exactly as it is. PNG and TIFF keep these pixels; JPEG and lossy WebP are compressed
    anew, unless no pixel at all changed: then the file stays the same, byte for byte.
    """
    settings = Settings(
        policies_for(policy, "restore"),
        {},
        command="restore",
        # What another policy changes is no text.
        seeks_text=policy is None or command_for(read_header(find_policy(policy), "policy")) == "restore",
        within=mask,
        region=region,
        by_text=policy is None,
    )
    return run(work, settings)


@click.command()
@picture_options
@click.option("--style", required=True, help="The look: a shipped one (`pixelrl policies`), or the file of your own.")
def enhance(work: Work, style: str) -> int:
    """Give pictures a look, each pixel by itself.

    INPUT is a file, a folder (its tree is mirrored under the output), a quoted pattern such as "photos/*.jpg", or - for
    standard input.
    Colours are taken for sRGB. To teach it a look of your own, see `pixelrl train enhance`.
    """
    policy = find_look(style, "--style")
    return run(work, Settings((policy, policy), {}, command="enhance"))


@click.command()
@picture_options
@click.option("--mask", type=PATH, help="A picture, white where the object is.  [default: the most salient object]")
@click.option(
    "--emphasize/--attenuate", default=True, help="Draw the eye to the object, or away.  [default: emphasize]"
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="How much the picture may change for it.",
)
@click.option("--save-mask", type=PATH, help="Also write the object, white on black (one input only).")
@click.option("--policy", default="saliency-edit", show_default=True, help="A shipped policy or a policy file.")
def saliency(
    work: Work, mask: Path | None, emphasize: bool, strength: float, save_mask: Path | None, policy: str
) -> int:
    """Make the eye go to an object in colour pictures, or away from it.

    INPUT is a file, a folder (its tree is mirrored under the output), a quoted pattern such as "photos/*.jpg", or - for
    standard input.
    Without --mask the most salient object of each picture is taken. That is a guess, often too little or too much of
    the object: see where it lies by --save-mask, and where it is wrong, paint it in `pixelrl studio`.
    """
    wanted = strength if emphasize else -strength
    return run(work, Settings((policy, policy), {"strength": wanted}, mask, save_mask, command="saliency"))
