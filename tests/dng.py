"""Raw data of a made-up camera, as a DNG file that LibRaw opens: a Bayer mosaic and the tags that it takes."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
import tifffile

RGGB = ((0, 1), (1, 2))
_XYZ_TO_SRGB = ((3.2404, -1.5371, -0.4985), (-0.9692, 1.8760, 0.0415), (0.0556, -0.2040, 1.0572))


def dng(
    mosaic: np.ndarray,
    *,
    colours: tuple[tuple[int, int], tuple[int, int]] = RGGB,
    black: int | tuple[int, ...] = 512,
    white: int = 16383,
    neutral: tuple[float, float, float] = (0.5, 1.0, 0.625),
    orientation: int = 1,
    sees: np.ndarray | None = None,
) -> bytes:
    """The file's bytes.

    Args:
        mosaic: uint16 ``(h, w)``; or ``(h, w, 3)`` for a picture in linear light that was demosaicked before.
        colours: of the pixels in each cell of 2 x 2: 0 red, 1 green, 2 blue.
        black: the value of black; or four, of the pixels in a cell.
        white: the value of white.
        neutral: what the sensor sees of something grey.
        orientation: as EXIF numbers it.
        sees: 3 x 3, from linear sRGB to what the sensor sees, after the white balance; the same if left out.
    """
    cell = black if isinstance(black, tuple) else ()
    single = mosaic.ndim == 2
    layout = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, bytes(np.array(colours, np.uint8).ravel()), True)]
    tags = [
        (271, "s", 0, "PixelRL", True),
        (272, "s", 0, "Camera 1", True),
        (274, "H", 1, orientation, True),
        *(layout if single else []),
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),
        (50708, "s", 0, "PixelRL Camera 1", True),
        *([(50713, "H", 2, (2, 2), True)] if cell else []),
        *([(50714, "H", 4 if cell else 1, black, True)] if single else []),
        (50717, "H", 1 if single else 3, white if single else (white, white, white), True),
        (50721, "2i", 9, _rationals(np.ravel(_XYZ_TO_SRGB if sees is None else sees @ np.array(_XYZ_TO_SRGB))), True),
        (50728, "2I", 3, _rationals(neutral), True),
        (50778, "H", 1, 21, True),  # daylight
    ]
    file = io.BytesIO()
    tifffile.imwrite(
        file, mosaic, photometric="CFA" if single else "LINEAR_RAW", extratags=tags, metadata=None, software=False
    )
    return file.getvalue()


def _rationals(values: Iterable[float]) -> tuple[int, ...]:
    return tuple(part for value in values for part in (round(10000 * value), 10000))
