"""``pixelrl restore``, ``enhance`` and ``saliency``: text removal, looks, and where the eye goes."""

from __future__ import annotations

from pathlib import Path

import click

from pixelrl.cli.common import PATH, read_mask
from pixelrl.cli.work import Settings, Work, chooser, picture_options, run
from pixelrl.errors import UsageError


@click.command()
@picture_options
@click.option("--policy", help="A shipped policy or a policy file, instead of the one for text.")
def restore(work: Work, policy: str | None) -> int:
    """Remove text that was stamped on pictures, wherever it is.

    INPUT is a file, a folder (its tree is mirrored under the output) or a quoted pattern such as "scans/*.png". Nothing
    has to be said of where the text is, or whether it is black or white.
    """
    return run(work, Settings(chooser(policy, "restore", work.device), {}))


@click.command()
@picture_options
@click.option("--style", required=True, help="The look: a shipped one (`pixelrl policies`), or the file of your own.")
def enhance(work: Work, style: str) -> int:
    """Give pictures a look, each pixel by itself.

    INPUT is a file, a folder (its tree is mirrored under the output) or a quoted pattern such as "photos/*.jpg".
    Colours are taken for sRGB. To teach it a look of your own, see `pixelrl train enhance`.
    """
    from pixelrl.checkpoint import shipped_policies

    named = f"enhance-{style}"
    shipped = shipped_policies()
    if named not in shipped and not Path(style).exists():
        known = ", ".join(name.removeprefix("enhance-") for name in shipped if name.startswith("enhance-"))
        raise UsageError(f"--style {style!r} is neither a file nor a shipped look; shipped are {known or 'none'}")
    return run(work, Settings(chooser(named if named in shipped else style, "enhance", work.device), {}))


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
@click.option("--policy", default="saliency-edit", show_default=True, help="A shipped policy or a policy file.")
def saliency(work: Work, mask: Path | None, emphasize: bool, strength: float, policy: str) -> int:
    """Make the eye go to an object in colour pictures, or away from it.

    INPUT is a file, a folder (its tree is mirrored under the output) or a quoted pattern such as "photos/*.jpg".
    Without --mask the most salient object of each picture is taken.
    """
    if work.ensemble:
        raise UsageError("--ensemble is for restoration; leave it out")
    wanted = strength if emphasize else -strength
    region = None if mask is None else read_mask(mask)
    return run(work, Settings(chooser(policy, "saliency", work.device), {"strength": wanted}, region))
