"""Restoration: text that was stamped on an image is to be removed, wherever it is (the paper's second application)."""

from __future__ import annotations

import random
from typing import final

import cv2
import numpy as np
import torch

from pixelrl.actions import PAPER_NINE
from pixelrl.errors import UsageError
from pixelrl.imaging.local import dilate
from pixelrl.tasks.base import Episode, Task, checked_steps
from pixelrl.tasks.real_text import covered, soft_text, under
from pixelrl.tasks.text_masks import find_fonts, text_mask
from pixelrl.types import Image

AROUND = 32
"""Within so many pixels of text the picture is to be restored; further away, traces of compression are to stay."""


@final
class TextRemoval(Task):
    """Text over an image (blind restoration); nothing is told of where it is.

    The text is the paper's, black or white with hard edges; in training, ``soft_share`` of the images get text as it
    really is instead (`pixelrl.tasks.real_text`), and ``clean_share`` get none, or a bar of black or white at a border.
    ``jpeg_share`` of all are also compressed, for that is how such pictures come: text is then not of one colour, and
    its surroundings are disturbed.

    The target is the image before both. But with ``soft_share`` or ``clean_share`` that is so only within `AROUND`
    pixels of text: what lies further away is to be left as it is.

    Args:
        fonts: a folder of fonts to choose from; Pillow's own font if left out.
        jpeg_share: how many of the training images are compressed.
        soft_share: how many of the training images get soft text.
        large_share: how many of those get large letters, a watermark or words in strong colours.
        clean_share: how many of them get none.
        gray_share: how many of them, of colours, are made grey before.
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
        soft_share: float = 0.0,
        clean_share: float = 0.0,
        gray_share: float = 0.0,
        large_share: float = 0.0,
        num_steps: int = 15,
        actions: tuple[str, ...] = PAPER_NINE,
    ) -> None:
        low, high = jpeg_quality
        shares = {
            "jpeg": jpeg_share,
            "soft": soft_share,
            "clean": clean_share,
            "gray": gray_share,
            "large": large_share,
        }
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise UsageError(f"{name}_share = {share} is not a share; give a number from 0 to 1")
        if soft_share + clean_share > 1:
            raise UsageError(f"soft_share + clean_share = {soft_share + clean_share:g} is more than all; lower them")
        if not 1 <= low <= high <= 100:
            raise UsageError(f"jpeg_quality = {list(jpeg_quality)} is not a range; give 1 <= low <= high <= 100")
        self.levels = (12.0, 20.0, 28.0)
        self.fonts, self.jpeg_share, self.jpeg_quality = find_fonts(fonts), jpeg_share, (low, high)
        self.soft_share, self.clean_share, self.gray_share = soft_share, clean_share, gray_share
        self.large_share = large_share
        self.num_steps, self.action_names = checked_steps(num_steps), tuple(actions)

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        """Text with letters of ``level`` pixels, and no compression."""
        return self._stamped(clean, round(level), generator, 0.0)

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        """Every crop gets its own text, or none."""
        if not self.soft_share + self.clean_share + self.gray_share:
            return self._stamped(clean, None, generator, self.jpeg_share)
        batch, channels, height, width = clean.shape
        seeds = torch.randint(2**62, (batch,), generator=generator, device=clean.device).tolist()
        draws = torch.rand((5, batch), generator=generator, device=clean.device).T.tolist()
        images, targets = [], []
        for i, (kind, gray, white, compress, between) in enumerate(draws):
            picture = clean[i : i + 1]
            if channels == 3 and gray < self.gray_share:
                picture = picture.mean(1, keepdim=True).expand(-1, 3, -1, -1)
            if kind < self.clean_share:
                target = image = _barred(picture, seeds[i])
                text = torch.zeros((height, width))
            elif kind < self.clean_share + self.soft_share:
                layers = soft_text(height, width, seeds[i], self.fonts, self.large_share)
                target, image, text = picture, under(picture, layers), covered(layers)
            else:
                text = text_mask(height, width, seeds[i], self.fonts).float()
                target, image = picture, torch.where(text.to(clean) > 0, float(white < 0.5), picture)
            if compress < self.jpeg_share:
                low, high = self.jpeg_quality
                image = jpeg(image, round(low + (high - low) * between))
            near = dilate(text[None, None], 2 * AROUND + 1)[0, 0].to(clean.device) > 0
            images.append(image)
            targets.append(torch.where(near, target, image))
        image = torch.cat(images)
        return Episode(image, torch.cat(targets), self.conditioning.condition(image, {}), clean.new_ones((batch, 1)))

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


def _barred(image: Image, seed: int) -> Image:
    """One in six images ``(1, c, h, w)`` with a bar of black or white at a border: a frame is no text."""
    draw_from = random.Random(seed)
    if draw_from.random() > 1 / 6:
        return image
    quarter, bar = draw_from.randrange(4), draw_from.randint(1, image.shape[-1] // 3)
    turned = torch.rot90(image, quarter, (-2, -1)).clone()
    turned[..., :bar] = float(draw_from.random() < 0.5)
    return torch.rot90(turned, -quarter, (-2, -1))


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
