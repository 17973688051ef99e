"""The choice of the best action."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pixelrl.types import ActionMap, Logits


def best(logits: Logits) -> ActionMap:
    """The action with the largest logit, the first of equals, ``(b, n, g, h, w)`` to uint8 ``(b, g, h, w)``."""
    if logits.device.type != "cpu":
        return logits.argmax(1).to(torch.uint8)
    # PyTorch's own is several times slower along a dimension whose numbers do not lie next to each other.
    values = logits.detach().float().numpy()
    highest, chosen = values[:, 0].copy(), np.zeros(values[:, 0].shape, np.uint8)
    for index in range(1, values.shape[1]):
        take_higher(highest, chosen, values[:, index], index)
    return torch.from_numpy(chosen)


def take_higher(
    highest: NDArray[np.float32], chosen: NDArray[np.uint8], values: NDArray[np.float32], index: int
) -> None:
    """Where values are higher than the highest so far, these are replaced, and the index is written down.

    Args:
        highest: so far; changed in place.
        chosen: its indices, all lower than ``index``; changed in place.
        values: the next ones.
        index: theirs.
    """
    higher = values > highest
    np.maximum(highest, values, out=highest)
    np.maximum(chosen, higher.view(np.uint8) * np.uint8(index), out=chosen)
