"""Denoisers beside which the shipped policies are timed, on noise of sigma 25.

DnCNN-S and FFDNet have their published shapes and random weights, on which their time does not depend; so their PSNR is
what was published, on the same pictures. The paper's agent has random weights here, too, and its PSNR is that of the
released weights as measured in docs/parity.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import bm3d
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import pixelrl
from pixelrl.actions import PAPER_NINE
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard

SIGMA = 25
CROP = 160
"""Side of what BM3D is timed on, which would take half a minute for a whole picture."""


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes:
        name: of the method.
        setting: precision and legibility, in words.
        run: denoise an image ``(1, c, h, w)``.
        psnr: in dB on BSD68 or CBSD68; None if it is to be measured.
        source: whence that is.
        crop: side of the square that is timed, if not the whole picture.
        policy: the agent and its legibility, where ``run`` is one of ours.
        compared: whether the PSNR is measured, where ``run`` is one of ours.
    """

    name: str
    setting: str
    run: Callable[[Tensor], object]
    psnr: float | None
    source: str
    crop: int | None = None
    policy: tuple[Agent, float] | None = None
    compared: bool = True


class FFDNet(nn.Module):
    """FFDNet (Zhang et al., IEEE TIP 2018) without batch normalisation, which is folded into the layers.

    Args:
        channels: of the image.
        layers: of 3x3 convolutions at half resolution: 15 for grey pictures, 12 for colour.
        width: 64 for grey pictures, 96 for colour.
    """

    def __init__(self, channels: int, layers: int, width: int) -> None:
        super().__init__()
        self.layers = chain(4 * channels + 1, 4 * channels, layers, width)

    def forward(self, image: Tensor) -> Tensor:
        """``(b, c, h, w)`` to the same shape; rows and columns are repeated up to even numbers."""
        height, width = image.shape[-2:]
        whole = F.pad(image, (0, width % 2, 0, height % 2), mode="replicate")
        cells = F.pixel_unshuffle(whole, 2)
        level = cells.new_full((len(cells), 1, *cells.shape[-2:]), SIGMA / 255)
        seen = torch.cat([cells, level], 1).contiguous(memory_format=torch.channels_last)
        return F.pixel_shuffle(self.layers(seen), 2)[..., :height, :width]


def chain(inputs: int, outputs: int, layers: int, width: int) -> nn.Sequential:
    """So many 3x3 convolutions with ReLU between them, in the memory layout that is fastest here."""
    parts: list[nn.Module] = [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
    for _ in range(layers - 2):
        parts += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True)]
    network = nn.Sequential(*parts, nn.Conv2d(width, outputs, 3, padding=1))
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def dncnn() -> nn.Module:
    """DnCNN-S (Zhang et al., IEEE TIP 2017): 17 layers of 64 channels, its batch normalisation folded into them."""
    return chain(1, 1, 17, 64)


def paper_agent() -> Agent:
    """The paper's agent with convGRU."""
    card = PolicyCard("paper convGRU", "fcn", {"recurrent": True}, PAPER_NINE, 5, None, {})
    return Agent(card.build().eval(), card, torch.device("cpu"))


def policies(name: str) -> list[Contestant]:
    """One of the shipped policies, at each precision, at legibility 0 and at its default.

    In fp32 the PSNR is measured at legibility 0 only, where one sees what bfloat16 costs; it takes long.
    """
    rows = []
    for precision in ("bf16", "fp32"):
        agent = pixelrl.load(name, "cpu", precision)
        default = agent.legibility
        assert default is not None
        for told in (default, 0.0):
            rows.append(
                Contestant(
                    name,
                    f"{precision}, legibility {told:g}",
                    _episode(agent, told),
                    None,
                    "measured",
                    policy=(agent, told),
                    compared=precision == "bf16" or told == 0,
                )
            )
    return rows


def supervised(name: str, network: nn.Module, psnr: float, source: str) -> list[Contestant]:
    """A network in both precisions; what bf16 costs it in dB is not known, and left out."""

    def half(image: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return network(image)  # type: ignore[no-any-return]

    return [Contestant(name, "fp32", network, psnr, source), Contestant(name, "bf16", half, psnr, f"{source}, in fp32")]


def grey() -> list[Contestant]:
    """Denoisers of grey pictures."""
    paper = paper_agent()
    return [
        *policies("denoise-gray"),
        *supervised("FFDNet", FFDNet(1, 15, 64), 29.19, "published"),
        *supervised("DnCNN-S", dncnn(), 29.23, "published"),
        Contestant("the paper's convGRU", "fp32", _episode(paper, None), 28.83, "the released weights, measured"),
        Contestant("BM3D", "bm3d 4.0.3", _bm3d, 28.57, "published", CROP),
    ]


def colour() -> list[Contestant]:
    """Denoisers of colour pictures."""
    return [*policies("denoise-color"), *supervised("FFDNet", FFDNet(3, 12, 96), 31.21, "published")]


def _episode(agent: Agent, legibility: float | None) -> Callable[[Tensor], object]:
    condition = torch.full((1, 1, 1, 1), SIGMA / 255)
    return lambda image: agent.run(image, condition, legibility=legibility)


def _bm3d(image: Tensor) -> object:
    profile = bm3d.BM3DProfile()
    profile.num_threads = torch.get_num_threads()
    return bm3d.bm3d(image[0, 0].numpy(), SIGMA / 255, profile)
