"""The command line: ``pixelrl COMMAND``. One file per group of commands; they load PyTorch only when they run.

Exit codes: 0 all done, 1 a fault of ours or a report that could not be printed, 2 usage, 3 some inputs failed, 130
interrupted.
"""

from __future__ import annotations

import errno
import io
import sys
import warnings

import click

from pixelrl import __version__
from pixelrl.cli.common import EXIT_FAULT, EXIT_INTERRUPTED, EXIT_USAGE, complain, output_lost
from pixelrl.cli.compare import compare
from pixelrl.cli.denoise import denoise
from pixelrl.cli.edit_pictures import enhance, restore, saliency
from pixelrl.cli.evaluate import evaluate
from pixelrl.cli.explain import explain
from pixelrl.cli.export import export
from pixelrl.cli.noise import noise
from pixelrl.cli.policies import import_policy, policies
from pixelrl.cli.studio import studio
from pixelrl.cli.traces import edit, replay, show
from pixelrl.cli.train import train
from pixelrl.errors import PixelRLError
from pixelrl.plugins import import_named


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pixelrl")
@click.option(
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Import a module of yours first (a name or a file.py), for policies and traces that name code in it.",
)
def cli(modules: tuple[str, ...]) -> None:
    """Every pixel is an agent that picks named image operations, step by step."""
    for module in modules:
        import_named(module)


for command in (
    denoise,
    restore,
    enhance,
    saliency,
    noise,
    show,
    explain,
    replay,
    edit,
    compare,
    evaluate,
    train,
    import_policy,
    export,
    policies,
    studio,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line and exit with the documented code. What is not a `PixelRLError` is our fault: exit 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's encoding does not have must end nothing
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module="PIL")  # what is damaged in a picture's metadata costs nobody the picture
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        code = EXIT_INTERRUPTED
    except PixelRLError as error:
        complain(str(error))
        code = EXIT_USAGE
    except OSError as error:
        if error.filename is not None:  # of a file; those of ours are `PixelRLError`s
            raise
        output_lost(error)
        code = 0 if error.errno == errno.EPIPE else EXIT_FAULT
    sys.exit(code if isinstance(code, int) else 0)
