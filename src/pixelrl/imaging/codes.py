"""Whether QR and bar codes can be read: a score that no gradient reaches, and that needs no clean picture.

Codes carry a checksum, so a code that decodes at all has been read rightly, but for rare accidents. The reader is
zxing-cpp, of the extra ``codes``.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.types import Image

Grey = npt.NDArray[np.uint8]

JITTERS = ((0.0, 1.0, 0.3), (3.0, 1.1, 0.0), (-4.0, 0.93, 0.6), (8.0, 1.25, 0.4))
"""Of each read: the angle in degrees and the scale at which the picture is seen, and its shift in pixels."""


def reads(pictures: Image) -> Float[Tensor, " b"]:
    """The share of four jittered reads in which zxing-cpp finds a QR code or a Code 128 bar code, for each picture.

    Args:
        pictures: ``(b, 1, h, w)`` or ``(b, 3, h, w)``, values in [0, 1] (others are clipped).

    Raises:
        UsageError: zxing-cpp is not installed.
    """
    return pictures.new_tensor([sum(map(decodes, jittered(grey(each)))) / len(JITTERS) for each in pictures])


def grey(picture: Float[Tensor, "c h w"]) -> Grey:
    """A picture in 8 bit, ``(h, w)``."""
    return (picture.mean(0).clamp(0, 1) * 255).round().byte().cpu().numpy()


def jittered(picture: Grey) -> list[Grey]:
    """The picture as it is seen in each read: turned, scaled and shifted a little, its edges repeated."""
    height, width = picture.shape
    seen = []
    for angle, scale, shift in JITTERS:
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        turn[:, 2] += (size[0] - width) / 2 + shift, (size[1] - height) / 2 + shift
        seen.append(cv2.warpAffine(picture, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return seen


def decodes(picture: Grey) -> bool:
    """Whether zxing-cpp finds a code in it; see `text_in`."""
    return text_in(picture) is not None


def text_in(picture: Grey) -> str | None:
    """The text of the first QR code or Code 128 bar code that zxing-cpp finds; None if there is none.

    Raises:
        UsageError: zxing-cpp is not installed.
    """
    try:
        import zxingcpp
    except ImportError as error:
        raise UsageError('zxing-cpp, which reads codes, is not installed; pip install "pixelrl[codes]"') from error
    kinds = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.Code128])
    found = zxingcpp.read_barcodes(picture, formats=kinds, try_invert=False, try_downscale=False)
    return found[0].text if found else None
