"""What a picture file says beside its pixels, colour profile and EXIF, and which formats have a place for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields

_PLACES = {
    "PNG": {"dpi", "xmp", "texts", "comment", "chunks"},
    "JPEG": {"dpi", "xmp", "iptc", "comment"},
    "TIFF": {"dpi", "xmp"},
    "WebP": {"xmp"},
}
"""What each format that is written has a place for."""

_SEGMENT = 65535 - 2
"""Bytes in a segment of a JPEG file, which says its length, itself included, in 16 bits."""
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
EXIF_HEAD = b"Exif\0\0"
MOST_EXIF = _SEGMENT - len(EXIF_HEAD)
"""Bytes of EXIF data that a JPEG file holds."""

_SRGB_CHUNKS = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"cICP": bytes([1, 13, 0, 1]),
}


@dataclass(frozen=True)
class Extra:
    """The small things in a picture file, as they came.

    ``dpi`` is dots per inch across and down; ``xmp`` a packet of XML; ``iptc`` the content of a JPEG's segment for it;
    ``texts`` are keywords and texts of a PNG; ``comment`` is that of a JPEG, GIF or PNG; ``chunks`` are names and
    contents of what a PNG says about its colours or the shape of its pixels; ``lost`` names what was in the file and
    has no place here.
    """

    dpi: tuple[float, float] | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    texts: tuple[tuple[str, str], ...] = ()
    comment: str | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    lost: tuple[str, ...] = ()

    def fitted(self, kind: str, *, profile: bool) -> tuple[Extra, tuple[str, ...]]:
        """The part for which a format has a place, and names for the rest.

        Args:
            kind: a format that is written.
            profile: whether the picture has an ICC profile, which is obeyed instead of PNG's words on colour.
        """
        places = set(_PLACES[kind])
        if kind == "JPEG" and len(self.xmp or b"") > _SEGMENT - len(XMP_HEAD):
            places.discard("xmp")
        if kind == "JPEG" and self.dpi and not all(1 <= round(number) <= 65535 for number in self.dpi):
            places.discard("dpi")
        if kind == "JPEG" and len((self.comment or "").encode()) > _SEGMENT:
            places.discard("comment")
        whole = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "lost"}
        rest = Extra(**{name: value for name, value in whole.items() if name not in places})
        return Extra(**{name: whole[name] for name in places}), (*rest._names(profile), *self.lost)

    def _names(self, profile: bool) -> list[str]:
        names = ["dots per inch"] if self.dpi else []
        names += ["XMP"] if self.xmp else []
        names += ["IPTC"] if self.iptc else []
        names += [f"text {keyword!r}" for keyword, _ in self.texts[:3]]
        names += [f"{len(self.texts) - 3} more texts"] if len(self.texts) > 3 else []
        names += ["the comment"] if self.comment else []
        # Without an ICC profile, all formats mean sRGB, so that need not be said.
        known = profile or any(kind == b"sRGB" for kind, _ in self.chunks)
        for kind, body in self.chunks:
            if kind != b"sRGB" and not (known and kind in (b"gAMA", b"cHRM")) and _SRGB_CHUNKS.get(kind) != body:
                names.append(kind.decode("latin-1"))
        return names
