"""TIFF files byte by byte: what no library writes on purpose."""

import struct
from collections.abc import Sequence
from pathlib import Path

Tag = tuple[int, int, int | bytes]  # type, count, value
SHORT, LONG = 3, 4


def page(height: int = 12, width: int = 16, bits: int = 16, **other: Tag) -> dict[int, Tag]:
    """Tags of a grey, uncompressed page; others as `t259=(3, 1, 7)`."""
    tags: dict[int, Tag] = {
        256: (LONG, 1, width), 257: (LONG, 1, height), 258: (SHORT, 1, bits), 259: (SHORT, 1, 1),
        262: (SHORT, 1, 1), 277: (SHORT, 1, 1), 278: (LONG, 1, height),
    }  # fmt: skip
    return tags | {int(name[1:]): tag for name, tag in other.items()}


def handmade_tiff(path: Path, pages: Sequence[tuple[bytes, dict[int, Tag]]]) -> Path:
    """Pixels and tags of each page; where the pixels are is added unless the tags say it."""
    body, link = bytearray(b"II*\0\0\0\0\0"), 4
    for data, given in pages:
        tags = {273: (LONG, 1, len(body)), 279: (LONG, 1, len(data)), **given}
        body += data + b"\0" * (len(data) % 2)
        entries = []
        for number in sorted(tags):
            kind, count, value = tags[number]
            if isinstance(value, int):
                value = struct.pack("<HH", value, 0) if kind == SHORT else struct.pack("<I", value)
            if len(value) > 4:
                at = struct.pack("<I", len(body))
                body += value + b"\0" * (len(value) % 2)
                value = at
            entries.append(struct.pack("<HHI", number, kind, count) + value.ljust(4, b"\0"))
        body[link : link + 4] = struct.pack("<I", len(body))
        body += struct.pack("<H", len(entries)) + b"".join(entries)
        link = len(body)
        body += b"\0\0\0\0"
    path.write_bytes(body)
    return path
