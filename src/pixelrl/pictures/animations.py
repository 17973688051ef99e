"""Animations: GIF, WebP and PNG files of several frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage
from PIL import ImageFile

from pixelrl.errors import InputError
from pixelrl.pictures.formats import Picture, channels, check_size, from_pil, is_lossy_webp
from pixelrl.pictures.stack import Stack, bytes_of


class Animation(Stack):
    """The frames of a GIF, WebP or PNG file, each as it is seen.

    Args:
        image: opened.
        source: the file, or its bytes.
        max_pixels: of a frame.

    Raises:
        InputError: it is too large, or of 16 bits.
    """

    def __init__(self, image: ImageFile.ImageFile, source: Path | bytes, max_pixels: int) -> None:
        check_size(*image.size, max_pixels)
        if image.format == "PNG" and _depth(image) == 16:
            raise InputError("animations of 16 bits are not written; save its frames as files of their own")
        self._image = image
        self.shape = {"frame": int(getattr(image, "n_frames", 1))}
        self.words = f"{self.shape['frame']} frames"
        self.channels = ("",) * self.shape["frame"]
        self.formats = ("webp", "png") if image.format == "WEBP" else ("png", "webp")
        self._lossy = image.format == "WEBP" and is_lossy_webp(bytes_of(source))
        self._loops = image.info.get("loop")
        if image.format == "GIF":  # which counts how often it is played again
            self._loops = {None: 1, 0: 0}.get(self._loops, (self._loops or 0) + 1)
            if image.info.get("comment"):
                self.notes = ("left out of the animation: the comment",)
        self._said = {name: image.info[name] for name in ("icc_profile", "exif", "xmp") if image.info.get(name)}
        self._hidden = bool(getattr(image, "default_image", False))
        self._times: dict[int, float] = {}

    def close(self) -> None:
        """Close the file."""
        self._image.close()

    def picture(self, number: int) -> Picture:
        """See `Stack.picture`."""
        try:
            self._image.seek(number)
            picture = from_pil(self._image)
            self._times[number] = float(self._image.info.get("duration", 0))  # of a WebP, known once it is decoded
            return picture
        except InputError:
            raise
        except Exception as error:
            reason = "the data are damaged or truncated; an undamaged file is needed"
            raise InputError(f"frame {number + 1}: {reason}") from error

    def write(self, path: Path, kind: str, pictures: Iterator[Picture], quality: int | None) -> tuple[str, ...]:
        """See `Stack.write`. Frames have the times that they had; a lossy WebP stays so."""
        images = [PillowImage.fromarray(channels(picture)) for picture in pictures]
        mode = "RGBA" if any("A" in image.mode for image in images) else "RGB"
        images = [image.convert(mode) for image in images]
        times = [self._times[number] for number in range(self._hidden, len(images))]
        options: dict[str, Any] = {"duration": times, "loop": 0 if self._loops is None else self._loops, **self._said}
        if kind == "png":
            options |= {"default_image": self._hidden}
            options.pop("xmp", None)
        elif quality is None and not self._lossy:
            options |= {"lossless": True, "method": 1, "quality": 0}
        else:
            options["quality"] = 90 if quality is None else quality
        images[0].save(path, kind.upper(), save_all=True, append_images=images[1:], **options)
        return ("XMP is left out of the animated PNG",) if kind == "png" and "xmp" in self._said else ()


def _depth(image: ImageFile.ImageFile) -> int:
    """Bits of a sample of a PNG file."""
    file = image.fp
    assert file is not None
    at = file.tell()
    file.seek(24)
    depth = file.read(1)[0]
    file.seek(at)
    return int(depth)
