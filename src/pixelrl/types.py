"""Shapes and conventions, once for the whole package.

* Images are float32, ``(b, c, h, w)``, grey or RGB, nominally in [0, 1] and **not clipped between steps**: noise
  reaches beyond the range, and it is clipped only when an image is written or scored.
* ``n`` is the number of actions, ``g`` the number of agents per pixel: 1 (one operation for the whole pixel) or
  ``c`` (one per channel). An action map holds indices into the list of action names.
* ``sigma`` is the standard deviation of noise in 8-bit grey levels, wherever the word is used.
* Shape strings are checked at run time in the tests only.
"""

from __future__ import annotations

from jaxtyping import Float, Integer
from torch import Tensor

Image = Float[Tensor, "b c h w"]
"""An image batch, float32."""

Outcomes = Float[Tensor, "b n c h w"]
"""The image after each of the n actions."""

Logits = Float[Tensor, "b n g h w"]
"""Unnormalised log-probabilities of the actions, for each agent."""

ActionMap = Integer[Tensor, "b g h w"]
"""Which action each agent takes."""

AgentMap = Float[Tensor, "b g h w"]
"""One number per agent: a reward, a value, a return, an advantage."""

Condition = Float[Tensor, "b k #h #w"]
"""What the policy is told beside the image (`pixelrl.tasks.Conditioning`): k planes, ``(b, k, h, w)``, or
``(b, k, 1, 1)`` where it is the same for all pixels, e.g. sigma / 255."""
