"""The metadata of an OME-Zarr, read as data: no codec that runs foreign code, no path that leaves the store.

Formats: the Zarr specification, versions 2 and 3, and OME-NGFF, versions 0.4 and 0.5.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pssr.errors import ReadError

# Codecs that only turn bytes into bytes. A pickle among the filters would run code of whoever made the file.
HARMLESS = {
    "blosc",
    "zlib",
    "gzip",
    "zstd",
    "lz4",
    "lzma",
    "bz2",
    "delta",
    "shuffle",
    "fixedscaleoffset",
    "crc32",
}
HARMLESS |= {"bytes", "endian", "transpose", "crc32c", "sharding_indexed", "imagecodecs_zstd", "fletcher32"}
LARGEST_METADATA_BYTES = 1 << 26
ABOUT_ARRAYS = ("zarr.json", ".zarray", ".zattrs")
# Noise becomes a little longer when it is compressed, and some filters store wider numbers.
MOST_TIMES, MOST_MORE_BYTES = 2, 1 << 16


@dataclass(frozen=True)
class Store:
    """A Zarr store on disk.

    Args:
        path: of the folder or the zip file.
        root: folder inside a zip file that holds the group; "" for its top.
    """

    path: Path
    root: str = ""

    def json(self, name: str) -> dict[str, Any] | None:
        """A small file of the store as JSON; None where it is not there.

        Raises:
            ReadError: it is damaged, or its name leads out of the store.
        """
        content = self._bytes(inside(self.path, name))
        if content is None:
            return None
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ReadError(f"{self.path}: {name} is damaged ({error}); copy it again") from error
        if not isinstance(found, dict):
            raise ReadError(f"{self.path}: {name} is damaged (no object in it); copy it again")
        return found

    def _bytes(self, name: str) -> bytes | None:
        try:
            if not self.path.is_dir():
                return self._unzipped(name)
            file = self.path / name
            if not file.is_file():
                return None
            self._check_size(name, file.stat().st_size)
            return file.read_bytes()
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            if isinstance(error, ReadError):
                raise
            raise ReadError(f"{self.path}: cannot be opened ({error}); copy it again") from error

    def _unzipped(self, name: str) -> bytes | None:
        wanted = PurePosixPath(self.root) / name
        with zipfile.ZipFile(self.path) as archive:
            # The library reads those beside it too.
            beside = {str(wanted.with_name(one)) for one in ABOUT_ARRAYS}
            for entry in archive.infolist():
                if entry.filename in beside:
                    self._check_size(entry.filename, entry.file_size)
            try:
                return archive.read(str(wanted))
            except KeyError:
                return None

    def _check_size(self, name: str, size: int) -> None:
        if size > LARGEST_METADATA_BYTES:
            raise ReadError(f"{self.path}: {name} has {size} bytes of metadata; copy it again")


def most_bytes(pixels: int) -> int:
    """To how many bytes a chunk may be unpacked, and how many it may have in a file.

    Args:
        pixels: bytes of its pixels.
    """
    return MOST_TIMES * pixels + MOST_MORE_BYTES


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs", ".zarray"))


def inside(path: Path, name: str) -> str:
    """A name inside a store, refused if it leads out of it.

    Raises:
        ReadError: it does.
    """
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in name:
        raise ReadError(f"{path}: its metadata name {name!r}, outside of it; ask who made it")
    return name


def attributes(store: Store, group: str = "") -> dict[str, Any] | None:
    """The attributes of a group, of either version; None where there is no group.

    Raises:
        ReadError: damaged, or an array.
    """
    prefix = f"{group}/" if group else ""
    newer = store.json(f"{prefix}zarr.json")
    if newer is not None:
        if newer.get("node_type") != "group":
            return None
        found = newer.get("attributes", {})
        return found if isinstance(found, dict) else {}
    older = store.json(f"{prefix}.zattrs")
    return older if older is not None else ({} if store.json(f"{prefix}.zgroup") is not None else None)


@dataclass(frozen=True)
class ArrayMetadata:
    """What an array says of itself.

    Args:
        shape: of all axes.
        chunks: shape of a chunk, or of a shard: what lies in one file.
        decoded: shape of a chunk, in a shard or not: what is decoded at once.
        compression: names of its codecs.
        pixel_bytes: of a pixel.
        index: where a shard tells of its chunks: "start", "end", or "" where that is encoded in a way of its own.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    decoded: tuple[int, ...]
    compression: str
    pixel_bytes: int
    index: str = ""


def check_array(store: Store, name: str) -> ArrayMetadata:
    """Refuse an array whose metadata are damaged or name codecs that are not known to be harmless.

    Raises:
        ReadError: says which and why.
    """
    newer = store.json(f"{name}/zarr.json")
    older = store.json(f"{name}/.zarray") if newer is None else None
    said = newer or older
    if said is None:
        raise ReadError(f"{store.path}: has no array {name!r}, which its metadata announce; copy it again")
    try:
        if newer is not None:
            codecs = _names(newer.get("codecs", []))
            chunks = newer["chunk_grid"]["configuration"]["chunk_shape"]
        else:
            codecs = _names([said.get("compressor"), *(said.get("filters") or [])])
            chunks = said["chunks"]
        shape = tuple(_whole(n) for n in said["shape"])
        inner, index = _shard(said)
        in_file, decoded = (tuple(_whole(n) for n in sizes) for sizes in (chunks, inner or chunks))
        found = ArrayMetadata(
            shape, in_file, decoded, ", ".join(_shown(codecs)) or "none", _pixel_bytes(said), index
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ReadError(
            f"{store.path}: the metadata of {name!r} are damaged ({error}); copy it again"
        ) from error
    foreign = sorted(set(codecs) - HARMLESS)
    if foreign:
        raise ReadError(
            f"{store.path}: its pixels need the codec {foreign[0]!r}, which is not known to be harmless; "
            "ask who made it for a copy with zstd or blosc"
        )
    ranks = {len(found.shape), len(found.chunks), len(found.decoded)}
    if len(ranks) > 1 or min((*found.shape, *found.chunks, *found.decoded), default=0) < 1:
        raise ReadError(
            f"{store.path}: {name!r} announces {shape} in chunks of {found.chunks}; copy it again"
        )
    return found


def _shard(said: Mapping[str, Any]) -> tuple[list[Any], str]:
    """Shape of the chunks in a shard, and where it tells of them; empty where there are no shards."""
    for codec in said.get("codecs") or []:
        if codec.get("name") == "sharding_indexed":
            about = codec["configuration"]
            plain = [one.get("name") for one in about.get("index_codecs") or []] == ["bytes", "crc32c"]
            return list(about["chunk_shape"]), about.get("index_location", "end") if plain else ""
    return [], ""


def _pixel_bytes(said: Mapping[str, Any]) -> int:
    """Of a type that is not known here, and refused later, those of the largest one."""
    try:
        size: int = np.dtype(said.get("data_type") or said["dtype"]).itemsize
    except (TypeError, ValueError, KeyError):
        size = np.dtype("f8").itemsize
    return size


def _names(codecs: list[Any]) -> list[str]:
    """Names of codecs, those inside shards too."""
    names: list[str] = []
    for codec in codecs:
        if codec is None:
            continue
        name = codec.get("id") or codec.get("name")
        names.append(str(name).removeprefix("numcodecs."))
        inner: Mapping[str, Any] = codec.get("configuration") or {}
        names += _names([*inner.get("codecs", []), *inner.get("index_codecs", [])])
    return names


def _shown(codecs: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(codecs) if name not in ("bytes", "endian", "crc32c", "transpose")]


def _whole(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"{number!r} is not a whole number")
    return number
