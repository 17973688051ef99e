"""Restoration: text that was stamped on an image is to be removed, wherever it is (the paper's second application)."""

from __future__ import annotations

from typing import final

import cv2
import numpy as np
import torch

from pixelrl.actions import PAPER_NINE
from pixelrl.errors import UsageError
from pixelrl.tasks.base import Episode, Task, checked_steps
from pixelrl.tasks.text_masks import find_fonts, text_mask
from pixelrl.types import Image


@final
class TextRemoval(Task):
    """Black or white text over an image (the paper's blind restoration); nothing is told of where it is.

    In training, ``jpeg_share`` of the images are also compressed, for that is how such pictures come: text is then
    not exactly black or white, and its surroundings are disturbed. The target is the image before both.

    Args:
        fonts: a folder of fonts to choose from; Pillow's own font if left out.
        jpeg_share: how many of the training images are compressed.
        jpeg_quality: range of that compression (libjpeg's scale up to 100).
        num_steps: T.
        actions: names of the operations; the paper's nine if left out.

    Raises:
        UsageError: a folder without fonts, a share or quality that is none, or less than one step.
    """

    def __init__(
        self,
        fonts: str = "",
        jpeg_share: float = 0.0,
        jpeg_quality: tuple[float, float] = (60.0, 100.0),
        num_steps: int = 15,
        actions: tuple[str, ...] = PAPER_NINE,
    ) -> None:
        low, high = jpeg_quality
        if not 0 <= jpeg_share <= 1:
            raise UsageError(f"jpeg_share = {jpeg_share} is not a share; give a number from 0 to 1")
        if not 1 <= low <= high <= 100:
            raise UsageError(f"jpeg_quality = {list(jpeg_quality)} is not a range; give 1 <= low <= high <= 100")
        self.levels = (12.0, 20.0, 28.0)
        self.fonts, self.jpeg_share, self.jpeg_quality = find_fonts(fonts), jpeg_share, (low, high)
        self.num_steps, self.action_names = checked_steps(num_steps), tuple(actions)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Text with letters of ``level`` pixels, and no compression."""
        return self._stamped(clean, round(level), generator, 0.0)

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets its own text."""
        return self._stamped(clean, None, generator, self.jpeg_share)

    def _stamped(self, clean: Image, size: int | None, generator: torch.Generator, jpeg_share: float) -> Episode:
        batch, _, height, width = clean.shape
        seeds = torch.randint(2**62, (batch,), generator=generator, device=clean.device).tolist()
        white, compress, between = torch.rand((3, batch), generator=generator, device=clean.device)
        masks = torch.stack([text_mask(height, width, seed, self.fonts, size) for seed in seeds]).to(clean.device)
        color = (white < 0.5).to(clean.dtype)[:, None, None, None]
        image = torch.where(masks[:, None], color, clean)
        low, high = self.jpeg_quality
        for i in torch.nonzero(compress < jpeg_share).flatten().tolist():
            image[i] = jpeg(image[i : i + 1], round(low + (high - low) * between[i].item()))[0]
        return Episode(image, clean, self.conditioning.condition(image, {}), clean.new_ones((batch, 1)))


def jpeg(image: Image, quality: int) -> Image:
    """Images ``(b, c, h, w)``, grey or RGB, after JPEG compression; ``quality`` is libjpeg's, 1 to 100."""
    bytes_ = (image.clamp(0, 1) * 255).round().byte().movedim(1, -1).cpu().numpy()
    mode = cv2.IMREAD_GRAYSCALE if image.shape[1] == 1 else cv2.IMREAD_COLOR_RGB
    back = []
    for pixels in bytes_:
        bgr = pixels if image.shape[1] == 1 else pixels[..., ::-1]
        _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(encoded, mode)
        assert decoded is not None, "what was just encoded can be decoded"
        back.append(np.atleast_3d(decoded))
    return torch.from_numpy(np.stack(back)).movedim(-1, 1).to(image) / 255
