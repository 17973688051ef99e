"""The choice of the best action."""

from __future__ import annotations

import numpy as np
import torch

from pixelrl.types import ActionMap, Logits


def best(logits: Logits) -> ActionMap:
    """The action with the largest logit, the first of equals, ``(b, n, g, h, w)`` to uint8 ``(b, g, h, w)``."""
    if logits.device.type != "cpu":
        return logits.argmax(1).to(torch.uint8)
    # PyTorch's own is several times slower along a dimension whose numbers do not lie next to each other.
    values = logits.detach().float().numpy()
    highest, chosen = values[:, 0].copy(), np.zeros(values[:, 0].shape, np.uint8)
    for index in range(1, values.shape[1]):
        higher = values[:, index] > highest
        np.copyto(highest, values[:, index], where=higher)
        chosen[higher] = index
    return torch.from_numpy(chosen)
