"""Whether a movie file is whole: ffmpeg plays what is there and does not miss the rest.

Formats: RIFF (AVI) chunks, and ISO/IEC 14496-12 (MP4, MOV) boxes.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

from pssr.errors import ReadError

TO_THE_END = 0  # size of a last box that says no more
RIFF_HEAD, CHUNK_HEAD = 12, 8


def check_container(path: Path) -> tuple[str, ...]:
    """Refuse a movie file that ends before its last part does.

    Args:
        path: that begins like AVI, MP4 or MOV.

    Returns:
        What a person should know.

    Raises:
        ReadError: it is cut.
    """
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        riff = file.read(4) == b"RIFF"
        kinds = [] if riff else _boxes(file, end)
        whole = _riff_is_whole(file, end) if riff else kinds is not None
    if not whole:
        raise ReadError(f"{path}: is cut: its last part is longer than the file; copy it again")
    if kinds and b"moof" in kinds and b"mfra" not in kinds:
        return (
            "it is made of fragments without an index: whether frames are missing at its end cannot be told",
        )
    return ()


def _riff_is_whole(file: BinaryIO, end: int) -> bool:
    at = last = 0
    while at + CHUNK_HEAD <= end:
        kind, size = _chunk(file, at)
        if kind != b"RIFF":
            break
        last, at = at, at + CHUNK_HEAD + size + size % 2
    # A recorder that was switched off leaves a size of 0 and no index.
    if not CHUNK_HEAD < at <= end + CHUNK_HEAD + 1:
        return False
    # Some programs write the size of the whole file, its first eight bytes too: then the last part ends with the file.
    return at <= end + 1 or _ends(file, last + RIFF_HEAD, end)


def _ends(file: BinaryIO, at: int, end: int) -> bool:
    """Whether chunks follow each other from here to the end of the file."""
    while at + CHUNK_HEAD <= end:
        _, size = _chunk(file, at)
        at += CHUNK_HEAD + size + size % 2
    return end <= at <= end + 1


def _chunk(file: BinaryIO, at: int) -> tuple[bytes, int]:
    """Kind and size of the part of an AVI that begins there."""
    file.seek(at)
    kind, size = struct.unpack("<4sI", file.read(CHUNK_HEAD))
    return kind, size


def _boxes(file: BinaryIO, end: int) -> list[bytes] | None:
    """The kinds of all boxes; None where they do not fit the file."""
    at, kinds = 0, []
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            large = file.read(8)
            size = struct.unpack(">Q", large)[0] if len(large) == 8 else end + 1
        kinds.append(kind)
        if size == TO_THE_END:
            return kinds
        if size < 8:
            return None
        at += size
    # Fewer bytes than the head of a box may be left: a program's mark, or zeros that fill a block.
    return kinds if at <= end else None
