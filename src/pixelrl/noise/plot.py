"""The noise of a picture, drawn: its level against brightness, and its spectrum."""

from __future__ import annotations

from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.noise.model import NoiseModel

ENDINGS = (".png", ".svg", ".pdf")
"""What can be written, by the ending of the file's name."""
COLORS = {"grey": "#444444", "red": "#c8372d", "green": "#2e8b3d", "blue": "#2d5fc8"}


def check_plotting() -> None:
    """Refuse to draw without the package for it, before any work.

    Raises:
        UsageError: Matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        words = 'drawing needs a package that is not installed: pip install "pixelrl[plot]"'
        raise UsageError(f"{words}; or leave -o out") from error


def draw(
    path: Path,
    kind: str,
    title: str,
    model: NoiseModel,
    spectrum: tuple[Float[Tensor, " n"], Float[Tensor, "c n"]] | None,
) -> None:
    """Write a figure with two parts.

    Args:
        path: the file.
        kind: its format: "png", "svg" or "pdf".
        title: what stands above, before the noise in words.
        model: level by brightness.
        spectrum: as `pixelrl.noise.spectrum.spectrum` gives it; None where there is none to be seen.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and chooses windows for the whole process

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    figure.suptitle(_broken(f"{title}: {model.words()}"), fontsize=11)
    levels, waves = figure.subplots(1, 2)
    for channel in model.channels:
        style = {"color": COLORS[channel.name], "label": f"{channel.name}, {channel.rms:.1f} on the whole"}
        levels.plot(channel.brightness, channel.sigma, marker="o", markersize=4, **style)
    levels.set(xlabel="brightness (grey levels)", ylabel="noise (grey levels)", title="Level against brightness")
    levels.set_xlim(left=min(0, levels.get_xlim()[0]), right=max(255, levels.get_xlim()[1]))
    waves.set(xlabel="cycles per pixel", ylabel="amplitude (grey levels)", title="Spectrum of the flattest parts")
    waves.set_xlim(0, 0.5)
    if spectrum is None:
        waves.text(0.5, 0.5, "no flat part to be seen", transform=waves.transAxes, ha="center", va="center")
    else:
        for channel, amplitude in zip(model.channels, spectrum[1], strict=True):
            waves.plot(spectrum[0].numpy(), amplitude.numpy(), color=COLORS[channel.name])
        waves.axhline(model.rms, color="0.6", linestyle=":", label=f"white noise of {model.rms:.1f}")
    for axes in (levels, waves):
        axes.set_ylim(bottom=0, top=max(1.0, 1.05 * axes.get_ylim()[1]))
        axes.grid(color="0.9")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    figure.savefig(path, format=kind, dpi=120)


def _broken(words: str, width: int = 110) -> str:
    """Long words in lines; a dollar sign is one, and no beginning of a formula."""
    import textwrap

    return textwrap.fill(words, width).replace("$", r"\$")
