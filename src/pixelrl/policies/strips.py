"""An encoder that is given an image in strips of rows, from the top down.

Every layer keeps the last rows of its input for the strip that follows. So nothing is computed twice, memory is needed
for one strip, and what is worked on stays in the processor's cache. Each sum is that of the whole image, in its order:
results have its bits wherever the convolution library computes the same for every height (`pixelrl.policies.tiling`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.policies.encoder import Encoder, ResidualBlock, exactly


class Waiting:
    """Rows that wait for others, first in, first out."""

    def __init__(self) -> None:
        self._rows: Tensor | None = None

    def put(self, rows: Tensor) -> None:
        """Add rows ``(b, c, n, w)`` below."""
        self._rows = rows if self._rows is None else torch.cat([self._rows, rows], 2)

    def take(self, number: int) -> Tensor:
        """The first ones, which wait no longer."""
        assert self._rows is not None
        taken, self._rows = self._rows[:, :, :number], self._rows[:, :, number:]
        return taken

    def take_pairs(self) -> Tensor:
        """All but the last one of an odd number."""
        assert self._rows is not None
        return self.take(self._rows.shape[2] // 2 * 2)


class Gathered:
    """A result whose rows come one strip after the other.

    Args:
        rows: that there will be.
    """

    def __init__(self, rows: int) -> None:
        self.rows, self.done = rows, 0
        self.whole: Tensor | None = None

    def put(self, part: Tensor) -> None:
        """Write the next rows ``(b, c, n, w)``."""
        if self.whole is None:
            self.whole = part.new_empty((*part.shape[:2], self.rows, part.shape[3]))
        self.whole[:, :, self.done : self.done + part.shape[2]] = part
        self.done += part.shape[2]


class Convolution:
    """A 3x3 layer with zeros around the image. Its result is one row behind what it was given, until the last strip."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.layer = layer
        self._above: Tensor | None = None

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        """The next strip, ``(b, c, n, w)``; at least two rows if it is the first and not the last."""
        border = torch.zeros_like(x[:, :, :1])
        x = torch.cat([border if self._above is None else self._above, x, *([border] if last else [])], 2)
        self._above = x[:, :, -2:]
        return F.conv2d(x, self.layer.weight, self.layer.bias, padding=(0, 1))


class Residual:
    """A `ResidualBlock`, two rows behind."""

    def __init__(self, block: ResidualBlock) -> None:
        self.first, self.second, self.waiting = Convolution(block.first), Convolution(block.second), Waiting()

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        """See `Convolution`."""
        self.waiting.put(x)
        change = self.second(F.relu(self.first(x, last), inplace=True), last)
        return self.waiting.take(change.shape[2]) + change


class Lower:
    """What is done at half of a resolution, and its sum with what came in.

    Args:
        down: to half of the resolution.
        inner: what is done there, one after the other; each takes the next rows, and whether they are the last.
        up: to four times the channels that came in.
    """

    def __init__(self, down: nn.Conv2d, inner: Sequence[Callable[[Tensor, bool], Tensor]], up: nn.Conv2d) -> None:
        self.down, self.inner, self.up = down, inner, up
        self.skipping, self.pairs = Waiting(), Waiting()

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        """See `Convolution`; in all, an even number of rows."""
        self.skipping.put(x)
        self.pairs.put(x)
        low: Tensor = self.down(self.pairs.take_pairs())
        for each in self.inner:
            low = each(low, last)
        change = F.pixel_shuffle(self.up(low), 2)
        return self.skipping.take(change.shape[2]) + change


def _residuals(chain: nn.Sequential) -> list[Callable[[Tensor, bool], Tensor]]:
    return [Residual(block) for block in chain if isinstance(block, ResidualBlock)]


class StripEncoder:
    """An `Encoder` at work on one image. What it is behind is less than half of its reach."""

    def __init__(self, encoder: Encoder) -> None:
        deep = _residuals(encoder.deep)
        if (deepest := encoder.deepest) is not None:
            deep.insert(encoder.middle, Lower(deepest.down, _residuals(deepest.blocks), deepest.up))
        self.enter = Convolution(encoder.enter)
        self.steps: list[Callable[[Tensor, bool], Tensor]] = [
            *_residuals(encoder.before),
            Lower(encoder.down, deep, encoder.up),
            *_residuals(encoder.after),
        ]

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        """The next rows of the input, ``(b, num_inputs, n, w)``, to the next rows of the features."""
        x = exactly(partial(self.enter, last=last), x)
        for step in self.steps:
            x = step(x, last)
        return x


def rows_of_strips(height: int, width: int, pixels: int, least: int, multiple: int) -> Iterator[tuple[int, int]]:
    """Start and stop of strips of about equal height.

    Args:
        height: of the image.
        width: of the image.
        pixels: about so many in a strip.
        least: no strip is lower than that, but for that of a lower image.
        multiple: strips start at multiples of it.
    """
    number = max(1, min(height * width // pixels, height // (least + multiple)))
    edges = [height * i // number // multiple * multiple for i in range(number)]
    yield from zip(edges, [*edges[1:], height], strict=True)
