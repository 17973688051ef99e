"""Colour profiles for tests, built by hand: Pillow makes that of sRGB only."""

from __future__ import annotations

import struct


def _number(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_number, values))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2, for a display."""
    white = (0.9642, 1.0, 0.8249)
    text = b"Test\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    parts = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(*white), **tags}
    at, table, body = 128 + 4 + 12 * len(parts), struct.pack(">I", len(parts)), b""
    for name, content in parts.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp"
    head += bytes(28) + b"".join(map(_number, white))
    return head.ljust(128, b"\0") + table + body


def display_p3() -> bytes:
    """Display P3, with a gamma of 2.2: saturated colours of it are outside sRGB, where the same numbers look duller."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256))
    colours = {b"r": (0.51512, 0.2412, -0.00105), b"g": (0.29198, 0.69225, 0.04189), b"b": (0.1571, 0.06657, 0.78407)}
    tags = {name + b"XYZ": _xyz(*xyz) for name, xyz in colours.items()}
    return _profile(b"RGB ", tags | {name + b"TRC": curve for name in colours})


def dark_grey() -> bytes:
    """Grey with a gamma of 3: the same numbers look darker than in sRGB."""
    return _profile(b"GRAY", {b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, 3 * 256)})


def adobe_rgb() -> bytes:
    """Adobe RGB (1998): its greens are far outside sRGB."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
    colours = {b"r": (0.60974, 0.31111, 0.01947), b"g": (0.20528, 0.62567, 0.06087), b"b": (0.14919, 0.06322, 0.74457)}
    tags = {name + b"XYZ": _xyz(*xyz) for name, xyz in colours.items()}
    return _profile(b"RGB ", tags | {name + b"TRC": curve for name in colours})
