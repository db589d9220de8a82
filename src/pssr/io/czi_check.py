"""The structure of a CZI in pure Python: what it holds, and whether a native library may safely open it.

The layout of segments and directory entries follows ZEISS's public description of the format (ZISRAW) as
implemented in czifile (BSD-3) and libCZI.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from pssr.errors import ReadError

SEGMENT = struct.Struct("<16sqq")  # name, allocated and used bytes
FILE_HEADER = struct.Struct(
    "<ii8x16s16siqqiq"
)  # major, minor, guids, part, directory, metadata, pending, attachments
ENTRY = struct.Struct("<2siqiiB5xi")  # schema, pixel type, position, part, compression, pyramid, dimensions
DIMENSION = struct.Struct("<4siifi")  # name, start, size, coordinate, stored size
SUBBLOCK = struct.Struct("<iiq")  # bytes of metadata, attachment, pixels
DTYPES: dict[int, np.dtype] = {0: np.dtype("u1"), 1: np.dtype("u2"), 2: np.dtype("f4")}
RGB_DTYPES: dict[int, np.dtype] = {3: np.dtype("u1"), 4: np.dtype("u2")}
OTHERS = {8: "colours as floats", 9: "colours with transparency", 10: "complex", 11: "complex colours"}
OTHERS |= {12: "integers of 32 bits", 13: "integers of 64 bits"}
UNCOMPRESSED, COMPRESSIONS = 0, {0: "none", 1: "JPEG", 2: "LZW", 4: "JPEG XR", 5: "zstd", 6: "zstd"}
LARGEST_SIDE, LARGEST_INDEX, LARGEST_RATIO, MOST_AXES = 1 << 20, 1 << 24, 2000, 32
LARGEST_ENTRY = ENTRY.size + MOST_AXES * DIMENSION.size


@dataclass(frozen=True)
class Block:
    """One stored plane, or one tile of it.

    Args:
        pixel_type: ZEISS's number for it.
        shape: (Y, X) in pixels.
        corner: (Y, X) of its first pixel.
        place: index along every other axis, such as {"T": 3, "C": 0, "S": 0}.
        position: byte of the file at which it begins.
        compression: in words.
    """

    pixel_type: int
    shape: tuple[int, int]
    corner: tuple[int, int]
    place: dict[str, int]
    position: int = 0
    compression: str = "none"


class Dimension(NamedTuple):
    """One axis of a block, as the directory writes it."""

    name: str
    start: int
    size: int
    coordinate: float
    stored: int


class Entry(NamedTuple):
    """One line of the directory."""

    pixel_type: int
    position: int
    part: int
    compression: int
    pyramid: int
    dimensions: tuple[Dimension, ...]

    @property
    def bytes(self) -> int:
        """Its own length in the file."""
        return ENTRY.size + len(self.dimensions) * DIMENSION.size


def read_structure(path: Path) -> tuple[list[Block], bytes]:
    """All full-resolution blocks and the XML metadata, checked; no pixel is read.

    Args:
        path: a file that begins like a CZI.

    Returns:
        The blocks in file order, and the XML (empty where there is none).

    Raises:
        ReadError: cut, damaged, or declaring more than the file can hold.
    """
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        try:
            _, _, _, _, part, directory, metadata, pending, _ = _unpack(
                FILE_HEADER, file, _segment(file, 0, end, b"ZISRAWFILE")
            )
            if part != 0:
                raise _Damage(f"it is part {part} of a file of several parts")
            if pending:
                raise _Damage("it was not finished by the program that wrote it")
            blocks = _directory(file, directory, end)
            xml = _metadata(file, metadata, end) if metadata else b""
        except (_Damage, struct.error, MemoryError) as error:
            raise ReadError(
                f"{path}: is damaged or incomplete ({error}); copy it again from the microscope"
            ) from error
    return blocks, xml


class _Damage(Exception):
    """What is wrong, before the file's name is put in front."""


def _unpack(layout: struct.Struct, file: BinaryIO, at: int) -> tuple[Any, ...]:
    file.seek(at)
    data = file.read(layout.size)
    if len(data) != layout.size:
        raise _Damage(f"it ends at byte {at + len(data)}, inside a structure")
    return layout.unpack(data)


def _segment(file: BinaryIO, at: int, end: int, name: bytes) -> int:
    """Check the head of a segment; where its content begins."""
    if not 0 <= at <= end - SEGMENT.size:
        raise _Damage(f"a segment is announced at byte {at} of {end}")
    file.seek(at)
    _check_segment(file.read(SEGMENT.size), at, end, name)
    return at + SEGMENT.size


def _check_segment(head: bytes, at: int, end: int, name: bytes) -> int:
    """Bytes used by the segment at that byte of the file."""
    found, allocated, used = SEGMENT.unpack_from(head)
    if found.rstrip(b"\0") != name:
        raise _Damage(f"no {name.decode()} segment at byte {at}")
    if not 0 <= used <= allocated or at + SEGMENT.size + used > end:
        raise _Damage(f"the {name.decode()} segment at byte {at} does not fit into the file's {end} bytes")
    return int(used)


def _directory(file: BinaryIO, at: int, end: int) -> list[Block]:
    start = _segment(file, at, end, b"ZISRAWDIRECTORY")
    (count,) = _unpack(struct.Struct("<i124x"), file, start)
    if not 0 < count <= end // (SEGMENT.size + ENTRY.size):
        raise _Damage(f"its directory announces {count} planes")
    file.seek(start + 128)
    # Read at once: entry by entry it would take as long as the pixels of small planes.
    entries = file.read(min(count * LARGEST_ENTRY, end - start - 128))
    blocks: list[Block] = []
    seen: set[int] = set()
    inside = 0
    for _ in range(count):
        entry = _entry(entries, inside, start + 128)
        stored, inside = entries[inside : inside + entry.bytes], inside + entry.bytes
        if entry.part != 0 or entry.position in seen:
            raise _Damage(f"its directory names the plane at byte {entry.position} twice, or in another file")
        seen.add(entry.position)
        _check_subblock(file, entry, stored, end)
        block = _block(entry)
        if not entry.pyramid and all(d.stored == d.size for d in entry.dimensions):
            blocks.append(block)
    if not blocks:
        raise _Damage("it holds no plane at full resolution")
    return blocks


def _entry(data: bytes, inside: int, start: int) -> Entry:
    """An entry within bytes that begin at some byte of the file."""
    if inside + ENTRY.size > len(data):
        raise _Damage(f"it ends at byte {start + len(data)}, inside a directory entry")
    schema, *fields, count = ENTRY.unpack_from(data, inside)
    first, last = inside + ENTRY.size, inside + ENTRY.size + count * DIMENSION.size
    if schema != b"DV" or not 0 < count <= MOST_AXES or last > len(data):
        raise _Damage(f"the directory entry at byte {start + inside} is not one")
    found = DIMENSION.iter_unpack(data[first:last])
    dimensions = (Dimension(name.rstrip(b"\0").decode("ascii", "replace"), *rest) for name, *rest in found)
    pixel_type, position, part, compression, pyramid = fields
    return Entry(pixel_type, position, part, compression, pyramid, tuple(dimensions))


def _block(entry: Entry) -> Block:
    by_name = {d.name: d for d in entry.dimensions}
    if len(by_name) != len(entry.dimensions) or not {"X", "Y"} <= by_name.keys():
        raise _Damage(f"a plane has the axes {', '.join(d.name for d in entry.dimensions)}")
    if entry.pixel_type not in DTYPES | RGB_DTYPES | OTHERS:
        raise _Damage(f"a plane has the unknown pixel type {entry.pixel_type}")
    place = {}
    for name, d in by_name.items():
        if name in "XY":
            if not 0 < d.size <= LARGEST_SIDE:
                raise _Damage(f"a plane has {d.size} pixels along {name}")
        elif (
            d.size not in (0, 1)
            or not (len(name) == 1 and name.isupper())
            or not 0 <= d.start < LARGEST_INDEX
        ):
            raise _Damage(f"a plane has {d.size} along {name!r} from {d.start}")
        else:
            place[name] = d.start
    y, x = by_name["Y"], by_name["X"]
    how = COMPRESSIONS[entry.compression]
    return Block(entry.pixel_type, (y.size, x.size), (y.start, x.start), place, entry.position, how)


def _check_subblock(file: BinaryIO, entry: Entry, stored: bytes, end: int) -> None:
    """The plane's own head must agree with the directory, and its pixels must lie in the file."""
    at = entry.position
    if not 0 <= at <= end - SEGMENT.size:
        raise _Damage(f"a segment is announced at byte {at} of {end}")
    file.seek(at)
    data = file.read(SEGMENT.size + SUBBLOCK.size + LARGEST_ENTRY)
    if len(data) < SEGMENT.size + SUBBLOCK.size:
        raise _Damage(f"it ends at byte {at + len(data)}, inside a structure")
    used = _check_segment(data, at, end, b"ZISRAWSUBBLOCK")
    metadata, attachment, pixels = SUBBLOCK.unpack_from(data, SEGMENT.size)
    inside = SEGMENT.size + SUBBLOCK.size
    # Mostly the same bytes; pyramids and parts may be numbered otherwise.
    own = entry if data[inside : inside + len(stored)] == stored else _entry(data, inside, at)
    if own._replace(pyramid=entry.pyramid, part=entry.part) != entry:
        raise _Damage(f"the plane at byte {at} and the directory disagree")
    head = max(256, SUBBLOCK.size + own.bytes)
    if min(metadata, attachment, pixels) < 0 or head + metadata + attachment + pixels > used:
        raise _Damage(f"the plane at byte {at} does not fit into its segment")
    if entry.compression not in COMPRESSIONS:
        raise _Damage(f"the plane at byte {at} has the unknown compression {entry.compression}")
    y, x = (next((d.stored for d in entry.dimensions if d.name == axis), 0) for axis in "YX")
    if not (0 < x <= LARGEST_SIDE and 0 < y <= LARGEST_SIDE):
        raise _Damage(f"the plane at byte {at} stores {y} x {x} pixels")
    grey, colours = DTYPES.get(entry.pixel_type), RGB_DTYPES.get(entry.pixel_type)
    pixel_bytes = grey.itemsize if grey else 3 * colours.itemsize if colours else 1
    needed = x * y * pixel_bytes
    if entry.compression == UNCOMPRESSED and pixels < needed:
        raise _Damage(f"the plane at byte {at} has {pixels} bytes of {needed}")
    if pixels * LARGEST_RATIO + 4096 < needed:
        raise _Damage(f"the plane at byte {at} announces {needed} bytes in {pixels}")


def _metadata(file: BinaryIO, at: int, end: int) -> bytes:
    start = _segment(file, at, end, b"ZISRAWMETADATA")
    (size,) = _unpack(struct.Struct("<i"), file, start)
    if not 0 <= size <= end - start - 256:
        raise _Damage(f"its metadata announce {size} bytes")
    file.seek(start + 256)
    return file.read(size)
