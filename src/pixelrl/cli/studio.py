"""``pixelrl studio``."""

from __future__ import annotations

from pathlib import Path

import click

from pixelrl.cli.common import DEVICE_OPTION, PATH, THREADS_OPTION, Finite, check_file, complain, set_threads
from pixelrl.errors import UsageError


@click.command()
@click.argument("image", type=PATH, required=False)
@click.option("--mask", type=PATH, help="A picture, white where the object for `saliency-edit` is.  [default: found]")
@click.option("--policy", "policies", multiple=True, type=PATH, help="A policy file of yours, beside the shipped ones.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; others than this computer may come."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Where to listen.  [default: as last time, or one that is free]",
)
@click.option("--folder", type=PATH, help="Where sessions are kept.  [default: this user's state folder]")
@click.option("--max-megapixels", type=Finite(min=0.001), default=24, show_default=True, help="Of a picture.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@DEVICE_OPTION
@THREADS_OPTION
def studio(
    image: Path | None,
    mask: Path | None,
    policies: tuple[Path, ...],
    host: str,
    port: int,
    folder: Path | None,
    max_megapixels: float,
    no_browser: bool,
    device: str,
    threads: int | None,
) -> None:
    """See and steer in the browser what every pixel does.

    Opens IMAGE, or asks for one. The address that is printed holds a secret: whoever has it can use the studio. Ctrl-C
    ends it; all edits are kept, and offered again.
    """
    try:
        import platformdirs  # noqa: F401
        import psutil  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError('the studio needs packages that are not installed: pip install "pixelrl[studio]"') from error
    if mask is not None and image is None:
        raise UsageError(f"--mask {mask} needs the picture that it belongs to; give it as IMAGE")
    for name, file in (("IMAGE", image), ("--mask", mask)):
        if file is not None:
            check_file(file, name, "a picture")

    set_threads(threads)

    from pixelrl.pictures.files import read_picture
    from pixelrl.pictures.masks import read_mask
    from pixelrl.studio.serve import serve

    max_pixels, region = round(1e6 * max_megapixels), None
    if mask is not None and image is not None:
        region, notes = read_mask(mask).over(read_picture(image, max_pixels=max_pixels))
        for note in notes:
            complain(note)
    serve(image, region, host, port, folder, max_pixels, not no_browser, device, policies)
