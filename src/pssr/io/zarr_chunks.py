"""The files that hold the chunks of a Zarr array: counted, and none of them a trap."""

import math
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pssr.errors import ReadError
from pssr.io.zarr_check import ArrayMetadata, Store, most_bytes

METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
MOST_COUNTED, MOST_SHARDS_READ = 1_000_000, 10_000
ABSENT = 2**64 - 1  # where a shard's index says that it has no such chunk
CHECKSUM_BYTES = 4  # behind the index
MOST_ROUND_BYTES = 128  # around each chunk in a shard: its place in the index, and the heads of codecs


def notes_on_chunks(store: Store, array: str, metadata: ArrayMetadata) -> tuple[str, ...]:
    """Chunks that are not there are read as the fill value, as the format says: a person should know.

    Args:
        store: of the array.
        array: its name.
        metadata: of it.

    Raises:
        ReadError: something among the chunks is no file, leads out of the store, or is packed and far too large.
    """
    expected = math.prod(
        math.ceil(n / chunk) for n, chunk in zip(metadata.shape, metadata.chunks, strict=True)
    )
    inside = math.prod(c // d for c, d in zip(metadata.chunks, metadata.decoded, strict=True))
    if not store.path.is_dir():
        largest = most_bytes(math.prod(metadata.chunks) * metadata.pixel_bytes) + inside * MOST_ROUND_BYTES
        return _told(expected - _in_zip(store, array, largest), expected, sure=inside == 1)
    files = []
    for number, file in enumerate(_files(store, array)):
        if number >= MOST_COUNTED:
            return ("its chunks are too many to be counted; one that is absent is read as its fill value",)
        files.append(file)
    if inside == 1:
        return _told(expected - len(files), expected, sure=True)
    if len(files) > MOST_SHARDS_READ or not metadata.index:
        return _told((expected - len(files)) * inside, expected * inside, sure=False)
    every = math.prod(math.ceil(n / chunk) for n, chunk in zip(metadata.shape, metadata.decoded, strict=True))
    return _told(every - sum(_held(file, inside, metadata) for file in files), every, sure=True)


def _told(absent: int, expected: int, *, sure: bool) -> tuple[str, ...]:
    if absent > 0:
        at_least = "" if sure else "at least "
        return (f"{at_least}{absent} of {expected} chunks are absent and read as its fill value",)
    if not sure:
        return ("its chunks lie in shards and are not counted; one that is absent is read as its fill value",)
    return ()


def _in_zip(store: Store, array: str, largest: int) -> int:
    """How many chunks there are; one that is packed by the zip file itself could become any number of bytes."""
    prefix, found = f"{store.root}/{array}/".lstrip("/"), 0
    with zipfile.ZipFile(store.path) as archive:
        for entry in archive.infolist():
            name = entry.filename
            if not name.startswith(prefix) or name.endswith("/") or name.rpartition("/")[2] in METADATA:
                continue
            if entry.file_size > largest:
                raise ReadError(
                    f"{store.path}: {name} has {entry.file_size} bytes and its chunk needs at most {largest}; "
                    "copy it again"
                )
            found += 1
    return found


def _files(store: Store, array: str) -> Iterator[str]:
    """Files that hold chunks; anything else could block, or never end, when it is read."""
    # Plain strings: a path object for each of a million chunks would take minutes.
    root, left = os.path.realpath(store.path), [os.fspath(store.path / array)]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_symlink() and not os.path.realpath(entry.path).startswith(root + os.sep):
                    raise ReadError(
                        f"{store.path}: {_inside(store, entry)} leads out of it; copy it without links"
                    )
                if entry.is_dir():
                    left.append(entry.path)
                elif not entry.is_file():
                    raise ReadError(
                        f"{store.path}: {_inside(store, entry)} is not a regular file; copy it again"
                    )
                elif entry.name not in METADATA:
                    yield entry.path


def _inside(store: Store, entry: "os.DirEntry[str]") -> Path:
    return Path(entry.path).relative_to(store.path)


def _held(file: str, chunks: int, metadata: ArrayMetadata) -> int:
    """Chunks that a shard holds; one that is damaged is told when it is read.

    Its index has the first byte and the length of each chunk, as little-endian numbers of 64 bits.
    """
    size = chunks * 16
    with Path(file).open("rb") as shard:
        if metadata.index == "end":
            shard.seek(max(os.fstat(shard.fileno()).st_size - size - CHECKSUM_BYTES, 0))
        index = np.frombuffer(shard.read(size // 8 * 8), "<u8")
    return int((index[::2] != ABSENT).sum())
