"""The command line: ``pixelrl-onnx denoise`` and ``replay``, with the options of ``pixelrl``.

Exit codes: 0 all done, 2 wrong usage, 3 an input failed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

import pixelrl_onnx
from pixelrl_onnx.errors import InputError, PixelRLError, UsageError

PATH = click.Path(path_type=Path)


def _level(context: click.Context, parameter: click.Parameter, value: str) -> float | str:
    if value == "auto":
        return value
    try:
        return float(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a noise level; give a number, or auto") from error


_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace results that exist.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(pixelrl_onnx.__version__, prog_name="pixelrl-onnx")
def cli() -> None:
    """Run policies that `pixelrl export` has written, and replay traces, without PyTorch."""


@cli.command()
@click.argument("source", metavar="INPUT", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The picture to write.")
@click.option("--policy", required=True, type=PATH, help="A folder that `pixelrl export` has written.")
@click.option("--sigma", metavar="N|auto", callback=_level, default="auto", show_default=True, help="Gaussian noise.")
@click.option("--peak", metavar="N|auto", callback=_level, default="auto", help="Poisson noise: photons at white.")
@click.option("--steps", type=click.IntRange(min=0), help="Steps per pixel; as trained if left out.")
@click.option("--white", type=click.FloatRange(0, min_open=True), help="The value that stands for white.")
@click.option("--trace", type=PATH, help="Also write what every pixel did.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute with.")
@_OVERWRITE
def denoise(
    source: Path,
    output: Path,
    policy: Path,
    sigma: float | str,
    peak: float | str,
    steps: int | None,
    white: float | None,
    trace: Path | None,
    threads: int | None,
    overwrite: bool,
) -> None:
    """Remove noise from a picture."""
    from dataclasses import replace

    from pixelrl_onnx.filters import cv2
    from pixelrl_onnx.pictures import check_writable, read_picture, write_picture

    if threads is not None and cv2 is not None:
        cv2.setNumThreads(threads)
    agent = pixelrl_onnx.load(policy, threads)
    picture = read_picture(source)
    check_writable(output, picture, overwrite=overwrite)
    if trace is not None and (trace.exists() and not overwrite):
        raise UsageError(f"{trace} exists; give --overwrite to replace it, or another name")
    result = agent(picture.pixels, sigma, peak, steps, white)  # type: ignore[arg-type]
    write_picture(output, replace(picture, pixels=result.image), overwrite=overwrite)
    if trace is not None:
        beside = {"alpha": picture.alpha, "orientation": picture.orientation, "icc_profile": picture.icc_profile}
        pixelrl_onnx.save_trace(trace, replace(result.trace(), **beside))  # type: ignore[arg-type]
    told = "".join(f", {name} {value:.3g}" for name, value in result.condition.items())
    remark = f" ({result.remark})" if result.remark else ""
    click.echo(f"{output}: {agent.name}{told}{remark}")


@cli.command()
@click.argument("trace", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The picture to write.")
@_OVERWRITE
def replay(trace: Path, output: Path, overwrite: bool) -> None:
    """Rebuild a result from its trace: the same bits, with no network."""
    from pixelrl_onnx.pictures import Picture, orientation_exif, write_picture

    recorded = pixelrl_onnx.load_trace(trace)
    pixels = recorded.replay()
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype.kind == "f":
        pixels = pixels.astype("float32")
    picture = Picture(pixels, recorded.alpha, recorded.icc_profile, orientation_exif(recorded.orientation))
    write_picture(output, picture, overwrite=overwrite)
    click.echo(str(output))


def main() -> None:
    """Run the command line and exit with the documented code."""
    try:
        code = cli.main(standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except InputError as error:
        click.echo(f"pixelrl-onnx: {error}", err=True)
        code = 3
    except PixelRLError as error:
        click.echo(f"pixelrl-onnx: {error}", err=True)
        code = 2
    sys.exit(code)
