"""The encoder of our policies: it looks once at half and a quarter of the resolution, or also at an eighth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def exactly(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What a layer makes of x in float32, then rounded to the numbers in which the layers after it compute (autocast).

    An image rounded to bfloat16 has steps of a grey level in its brighter half, and they look like noise. (Where CUDA
    multiplies in TF32, the steps are an eighth of that.)
    """
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return layer(x)
    with torch.autocast(device, enabled=False):
        result = layer(x.float())
    return result.to(torch.get_autocast_dtype(device))


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``; the second convolution starts at zero, so a new block is the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight)
        nn.init.zeros_(self.second.weight)
        for layer in (self.first, self.second):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(b, width, h, w)`` to the same shape."""
        change: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return x + change


def blocks(width: int, number: int) -> nn.Sequential:
    """A chain of residual blocks."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(number)))


class Deepest(nn.Module):
    """``x + up(blocks(down(x)))`` at half of its input's resolution.

    The way up starts at zero, so a new one is the identity.
    """

    def __init__(self, outer_width: int, width: int, number: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(outer_width, width, 2, stride=2)
        self.blocks = blocks(width, number)
        self.up = nn.Conv2d(width, 4 * outer_width, 1)
        nn.init.kaiming_normal_(self.down.weight)
        nn.init.zeros_(self.up.weight)
        for layer in (self.down, self.up):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(b, outer_width, h, w)`` to the same shape; h and w even."""
        change: Tensor = self.up(self.blocks(self.down(x)))
        return x + F.pixel_shuffle(change, 2)


class Encoder(nn.Module):
    """Residual blocks at half resolution around residual blocks at a quarter: wide view, few multiply-adds.

    Those at a quarter may have others at an eighth in their middle (`middle` says before which one).
    """

    def __init__(
        self,
        num_inputs: int,
        width: int,
        deep_width: int,
        depths: tuple[int, int, int],
        deepest: int = 0,
        deepest_width: int = 1,
    ) -> None:
        super().__init__()
        before, deep, after = depths
        self.enter = nn.Conv2d(num_inputs, width, 3, padding=1)
        self.before = blocks(width, before)
        self.down = nn.Conv2d(width, deep_width, 2, stride=2)
        self.deep = blocks(deep_width, deep)
        self.deepest = Deepest(deep_width, deepest_width, deepest) if deepest else None
        self.up = nn.Conv2d(deep_width, 4 * width, 1)
        self.after = blocks(width, after)

    @property
    def middle(self) -> int:
        """The number of blocks at a quarter of the resolution that come before those at an eighth."""
        return len(self.deep) // 2

    def forward(self, x: Tensor) -> Tensor:
        """``(b, num_inputs, h, w)`` to ``(b, width, h, w)``; h and w even, with a `Deepest` multiples of 4."""
        x = self.before(exactly(self.enter, x))
        deep = self.deep[: self.middle](self.down(x))
        if self.deepest is not None:
            deep = self.deepest(deep)
        deep = self.up(self.deep[self.middle :](deep))
        result: Tensor = self.after(x + F.pixel_shuffle(deep, 2))
        return result


def encoder_reach(depths: tuple[int, int, int], deepest: int = 0) -> int:
    """The radius in pixels of an `Encoder` of these depths and the 3x3 layer after it, without the cells themselves.

    3x3 at half resolution reaches 2 pixels, at a quarter 4, at an eighth 8.
    """
    before, deep, after = depths
    return 2 * (2 + 2 * before + 2 * after) + 4 * 2 * deep + 8 * 2 * deepest


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of ``multiple``.

    An encoder of noisy images wants `mirror_to_multiple`.
    """
    down, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x


def mirror_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Add mirrored rows and columns, the last one first, until height and width are multiples of ``multiple``.

    A noisy row that is repeated looks like streaks of the picture, which an encoder reads wrong as far as it sees.
    """
    for axis in (-2, -1):
        length = x.shape[axis]
        if length % multiple:
            there = torch.arange(length + -length % multiple, device=x.device) % (2 * length)
            x = x.index_select(axis, torch.where(there < length, there, 2 * length - 1 - there))
    return x
