"""Noise as cameras make it: a clean picture is taken back to the sensor, made noisy there, and developed again.

The way back and forth is that of Brooks et al., "Unprocessing images for learned raw denoising" (CVPR 2019): tone
curve, gamma, colour matrix and white balance are undone, photons and read-out make noise whose variance is
``shot * value + read``, on a Bayer mosaic; then demosaicking and the steps forward. What developed pictures have beyond
that is here, too: noise that the camera has smoothed already, sharpening, a change of size, and JPEG.

All functions take and give float32 in [0, 1], ``(3, h, w)``, of one picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Pixels = Float[Tensor, "3 h w"]

LUMA = (0.299, 0.587, 0.114)
SHOT = (1e-4, 2e-2)
"""Range of the shot noise: the variance per unit of raw value, of which white has 1."""


class Draw:
    """Random numbers of one picture, from a generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """One number between two."""
        share = torch.rand((), generator=self.generator, device=self.generator.device).item()
        return low + (high - low) * share

    def chance(self, share: float) -> bool:
        """True with this probability."""
        return self.uniform() < share

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.generator.device)


@dataclass(frozen=True)
class Camera:
    """How one camera develops: drawn once a picture.

    Attributes:
        matrix: from the sensor's colours to linear sRGB; its rows sum to 1.
        gains: white balance, of red, green and blue.
        curve: whether a tone curve (smoothstep) follows the gamma.
        detailed: which demosaicking: that of Malvar, He and Cutler (2004), or the plain mean of neighbours.
        corner: where in a 2x2 cell of the mosaic red lies, (row, column).
        sharpening: factor of an unsharp mask, 0 for none.
    """

    matrix: Float[Tensor, "3 3"]
    gains: tuple[float, float, float]
    curve: bool
    detailed: bool
    corner: tuple[int, int]
    sharpening: float

    @classmethod
    def drawn(cls, draw: Draw) -> Camera:
        """A random one, among those that there are."""
        matrix = torch.zeros(3, 3)
        for row in range(3):
            for column in range(3):
                if row != column:
                    matrix[row, column] = -draw.uniform(0.0, 0.5)
            matrix[row, row] = 1 - matrix[row].sum()
        exposure = draw.uniform(1.0, 1.6)
        return cls(
            matrix,
            (exposure * draw.uniform(1.5, 2.4), exposure, exposure * draw.uniform(1.3, 2.1)),
            draw.chance(0.5),
            draw.chance(0.6),
            (int(draw.chance(0.5)), int(draw.chance(0.5))),
            draw.uniform(0.2, 1.2) if draw.chance(0.3) else 0.0,
        )

    def raw(self, image: Pixels) -> Pixels:
        """What the sensor would see of a developed picture, all three colours at each pixel."""
        x = image.clamp(0, 1)
        if self.curve:
            x = 0.5 - torch.sin(torch.asin((1 - 2 * x).clamp(-1, 1)) / 3)
        linear = _to_linear(x)
        back = torch.linalg.inv(self.matrix).to(x)
        seen = torch.einsum("ij,jhw->ihw", back, linear)
        return (seen / _column(self.gains, x)).clamp(0, 1)

    def develop(self, raw: Float[Tensor, "1 h w"]) -> Pixels:
        """A mosaic as a picture."""
        cam = demosaic(raw, self.corner, detailed=self.detailed) * _column(self.gains, raw)
        x = _from_linear(torch.einsum("ij,jhw->ihw", self.matrix.to(raw), cam.clamp(0, 1)).clamp(0, 1))
        if self.curve:
            x = x * x * (3 - 2 * x)
        if self.sharpening:
            x = (x + self.sharpening * (x - blurred(x, 1.0))).clamp(0, 1)
        return x

    def mosaic(self, raw: Pixels) -> Float[Tensor, "1 h w"]:
        """One colour a pixel."""
        return (raw * bayer(raw, self.corner)).sum(0, keepdim=True)


def photographed(clean: Pixels, shot: float, draw: Draw) -> tuple[Pixels, Pixels]:
    """A picture as a camera takes it, noisy and (from the same camera) clean.

    Args:
        clean: the scene.
        shot: the variance of the noise per unit of raw value; the variance of the read-out follows from it, as in
            Brooks et al. (their fit to the Darmstadt data set).
        draw: of everything else.
    """
    camera = Camera.drawn(draw)
    read = math.exp(2.18 * math.log(shot) + 1.2 + 0.26 * draw.normal(()).item())
    raw = camera.mosaic(camera.raw(clean))
    noisy = raw + (shot * raw + read).sqrt() * draw.normal(tuple(raw.shape)).to(raw)
    target, image = camera.develop(raw), camera.develop(noisy.clamp(0, 1))
    if draw.chance(0.75):
        image = (target + smoothed(image - target, draw)).clamp(0, 1)
    return image, target


def smoothed(noise: Pixels, draw: Draw) -> Pixels:
    """What a camera's own noise reduction leaves: less of what is fine, in colour above all, and all that is coarse.

    The ranges are such as to give noise like that of photographs by two makers' cameras, where the brightness of
    neighbours is correlated by about 0.6 and their colour by about 0.9, and over four pixels by 0.1 and 0.5.
    """
    luma = torch.einsum("c,chw->hw", noise.new_tensor(LUMA), noise)[None]
    chroma, fine, finer = draw.uniform(0.3, 1.0) * (noise - luma), draw.uniform(0.4, 1.0), draw.uniform(0.0, 0.4)
    luma = fine * blurred(luma, draw.uniform(0.2, 1.0)) + (1 - fine) * blurred(luma, draw.uniform(1.5, 4.0))
    return luma + finer * blurred(chroma, draw.uniform(0.5, 1.5)) + (1 - finer) * blurred(chroma, draw.uniform(1.5, 4))


def bayer(like: Pixels, corner: tuple[int, int]) -> Pixels:
    """1 where a pixel of the mosaic has this colour, else 0."""
    masks = torch.zeros_like(like)
    row, column = corner
    masks[0, row::2, column::2] = 1
    masks[2, 1 - row :: 2, 1 - column :: 2] = 1
    masks[1] = 1 - masks[0] - masks[2]
    return masks


_GREEN = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
_ROW = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
_OTHER = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]


def demosaic(raw: Float[Tensor, "1 h w"], corner: tuple[int, int], *, detailed: bool) -> Pixels:
    """All three colours of every pixel: by Malvar, He and Cutler (ICASSP 2004), or as means of the nearest."""
    masks = bayer(raw.expand(3, -1, -1), corner)
    if not detailed:
        plus = raw.new_tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])[None, None].expand(3, 1, 3, 3)
        known = (raw * masks)[None]
        spread, weight = (F.conv2d(_reflected(x, 1), plus, groups=3)[0] for x in (known, masks[None]))
        return torch.where(masks > 0, raw.expand(3, -1, -1), spread / weight)
    kernels = raw.new_tensor([_GREEN, _ROW, [list(each) for each in zip(*_ROW, strict=True)], _OTHER])[:, None] / 8
    green, row, column, other = F.conv2d(_reflected(raw[None], 2), kernels)[0]
    is_red, is_green, is_blue = masks.bool()
    value = raw[0]
    red_row = is_red.any(1, keepdim=True).expand_as(is_red)  # green pixels in rows of red have red left and right
    red = torch.where(is_red, value, torch.where(is_blue, other, torch.where(red_row, row, column)))
    blue = torch.where(is_blue, value, torch.where(is_red, other, torch.where(red_row, column, row)))
    return torch.stack([red, torch.where(is_green, value, green), blue])


def blurred(image: Float[Tensor, "c h w"], sigma: float) -> Float[Tensor, "c h w"]:
    """Gaussian, reflected at the borders."""
    radius = min(math.ceil(3 * sigma), min(image.shape[-2:]) - 1)
    if radius < 1:
        return image
    side = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).to(image) / sigma).square())
    side = (side / side.sum()).expand(len(image), 1, 1, -1)
    x = F.conv2d(_reflected(image[None], radius), side, groups=len(image))
    return F.conv2d(x, side.transpose(2, 3), groups=len(image))[0]


_SAMPLING = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


def jpeg(image: Pixels, quality: int, sampling: str = "4:2:0", offset: tuple[int, int] = (0, 0)) -> Pixels:
    """As a JPEG file of this quality holds it.

    Args:
        image: clipped to [0, 1].
        quality: 1 to 100.
        sampling: of the chroma: ``4:2:0``, ``4:2:2`` or ``4:4:4``.
        offset: where the grid of 8x8 blocks begins, in rows and columns before the picture's corner.
    """
    down, right = offset
    padded = F.pad(image[None], (right, 0, down, 0), mode="reflect")[0] if down or right else image
    pixels = (255 * padded.clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING[sampling]]
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), settings)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    assert decoded is not None, "what was encoded can be decoded"
    back = decoded[down:, right:]
    return torch.from_numpy(np.ascontiguousarray(back.transpose(2, 0, 1))).to(image) / 255


def resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Bicubic, with a wider kernel where it becomes smaller."""
    return F.interpolate(image[None], size, mode="bicubic", antialias=True, align_corners=False)[0].clamp(0, 1)


def _reflected(x: Tensor, radius: int) -> Tensor:
    return F.pad(x, (radius, radius, radius, radius), mode="reflect")


def _column(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return like.new_tensor(values)[:, None, None]


def _to_linear(x: Tensor) -> Tensor:
    return torch.where(x > 0.04045, ((x + 0.055) / 1.055).clamp_min(1e-4) ** 2.4, x / 12.92)


def _from_linear(x: Tensor) -> Tensor:
    return torch.where(x > 0.0031308, 1.055 * x.clamp_min(1e-6) ** (1 / 2.4) - 0.055, 12.92 * x)
