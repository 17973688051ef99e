"""How a result shows itself in a notebook: before, after, and the maps of operations with their legend."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image as PillowImage
from PIL import ImageDraw

from pixelrl.pictures.display import upright
from pixelrl.report.maps import photo
from pixelrl.report.sheet import INK, font
from pixelrl.report.strip import strip
from pixelrl.trace import Trace
from pixelrl.types import Image

Picture = PillowImage.Image

SIDE = 400
"""Pixels of the longest side of a picture, at most; larger ones are shrunk by a whole factor."""
LARGEST = 4_000_000
"""Pixels of a picture whose maps are drawn without being asked for. The operations are carried out again for them."""
MOST = 6
"""Pictures of a batch that are shown."""
_GAP, _LINE = 12, 26


@dataclass(frozen=True)
class Shown:
    """What is shown of a result.

    Attributes:
        title: the name of the policy.
        facts: what else there is to say, in a line.
        before: ``(b, c, h, w)``.
        after: likewise.
        trace: of a single picture, for its maps; None of a batch.
        orientation: how the pictures are to be turned (`pixelrl.pictures.display.upright`).
        icc_profile: of the values; None for sRGB.
    """

    title: str
    facts: str
    before: Image
    after: Image
    trace: Trace | None
    orientation: int = 1
    icc_profile: bytes | None = None

    def html(self) -> str:
        """As a part of a page: pictures in it, no script, and nothing from elsewhere."""
        parts = [f"<div><b>{html.escape(self.title)}</b> {html.escape(self.facts)}</div>"]
        for before, after in self._pairs():
            figures = (_figure(before, "before"), _figure(after, "after"))
            parts.append(f'<div style="display:flex;flex-wrap:wrap;gap:{_GAP}px">{"".join(figures)}</div>')
        left = len(self.before) - MOST
        if left > 0:
            parts.append(f"<div>and {left} more</div>")
        if self.trace is not None and self._pixels <= LARGEST:
            sheet = _embedded(strip(self.trace), "webp")
            image = f'<img alt="what every pixel did, step by step" style="max-width:100%" src="{sheet}">'
            parts.append(f"<details open><summary>What every pixel did</summary>{image}</details>")
        elif self.trace is not None:
            parts.append("<div>The maps of so large a picture are drawn by pixelrl.strip(result.trace()).</div>")
        return f"<div>{''.join(parts)}</div>"

    def png(self) -> bytes:
        """Before and after side by side, a row for each picture, as PNG: for places that show no HTML."""
        pairs = self._pairs()
        width = max(before.width for before, _ in pairs)
        height = sum(before.height + _LINE for before, _ in pairs)
        sheet = PillowImage.new("RGB", (2 * width + _GAP, height), "white")
        draw, y = ImageDraw.Draw(sheet), 0
        for pair in pairs:
            for i, (picture, label) in enumerate(zip(pair, ("before", "after"), strict=True)):
                x = i * (width + _GAP)
                draw.text((x, y + _LINE - 8), label, INK, font(20), anchor="ls")
                sheet.paste(picture, (x, y + _LINE))
            y += pair[0].height + _LINE
        return _bytes(sheet, "png")

    @property
    def _pixels(self) -> int:
        return int(self.before.shape[-2] * self.before.shape[-1])

    def _pairs(self) -> list[tuple[Picture, Picture]]:
        shrink = -(-max(self.before.shape[-2:]) // SIDE)
        kinds = []
        for images in (self.before, self.after):
            turned = upright(images[:MOST], self.orientation)
            kinds.append([photo(image[None], self.icc_profile, shrink) for image in turned])
        return list(zip(*kinds, strict=True))


def _figure(picture: Picture, label: str) -> str:
    # Small pictures are enlarged by a whole factor, and their pixels stay squares.
    enlarge = max(1, SIDE // max(picture.size))
    size = f'width="{picture.width * enlarge}" height="{picture.height * enlarge}"'
    image = f'<img alt="{label}" {size} style="image-rendering:pixelated" src="{_embedded(picture, "png")}">'
    return f'<figure style="margin:0"><figcaption>{label}</figcaption>{image}</figure>'


def _embedded(picture: Picture, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(_bytes(picture, kind)).decode('ascii')}"


def _bytes(picture: Picture, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"lossless": True} if kind == "webp" else {}))
    return buffer.getvalue()


def facts_of(told: Mapping[str, float], legibility: float | None, bits: float | None, remark: str | None) -> str:
    """What a policy was told, what its maps cost in bits per pixel, and a remark, in a line."""
    words = [f"{name} {value:.3g}" for name, value in told.items()]
    if legibility is not None:
        words.append(f"legibility {legibility:.3g}")
    if bits is not None:
        words.append(f"{bits:.1f} bits per pixel")
    return "; ".join([", ".join(words), *([remark] if remark else [])])
