"""Zarr chunks are unpacked to no more than they can hold: a few bytes may announce any number of them."""

import asyncio
import bz2
import lzma
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import imagecodecs
import numpy as np
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import ShardingCodec

from pssr.io.zarr_check import most_bytes


class Stream(Protocol):
    """What unpacks bytes piece by piece, as those of Python do."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: Any, max_length: int, /) -> bytes:
        """At most so many bytes of what the data hold."""
        ...


# By name, from what the codec says of itself.
STREAMS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "gzip": lambda _: zlib.decompressobj(wbits=31),
    "zlib": lambda _: zlib.decompressobj(),
    "bz2": lambda _: bz2.BZ2Decompressor(),
    "lzma": lambda how: lzma.LZMADecompressor(how.get("format", lzma.FORMAT_XZ), filters=how.get("filters")),
}
# Where the number of bytes stands before what is packed.
ANNOUNCED = {"blosc": 4, "lz4": 0}
ZSTD = ("zstd", "imagecodecs_zstd")
UNPACKED = (*STREAMS, *ANNOUNCED, *ZSTD)


def bounded(array: "zarr.Array[Any]") -> "zarr.Array[Any]":
    """The same array, whose chunks raise a ValueError where they would unpack to more than their pixels need.

    Args:
        array: open for reading, of either version of the format.
    """
    metadata: Any = array.metadata
    pixel_bytes = array.dtype.itemsize
    if metadata.zarr_format == 3:
        found = replace(
            metadata, codecs=_bounded(metadata.codecs, metadata.chunk_grid.chunk_shape, pixel_bytes)
        )
    else:
        limit = most_bytes(math.prod(metadata.chunks) * pixel_bytes)
        found = replace(
            metadata,
            compressor=_older(metadata.compressor, limit),
            filters=[_older(one, limit) for one in metadata.filters or ()] or None,
        )
    return zarr.Array(zarr.AsyncArray(found, array.store_path))


def unpacked(name: str, how: Mapping[str, Any], data: Any, limit: int) -> bytes | memoryview | None:
    """What is packed in some bytes; None where they announce little enough, or the codec packs nothing.

    Args:
        name: of the codec, such as gzip.
        how: its settings.
        data: packed.
        limit: number of bytes.

    Raises:
        ValueError: they hold more than that, or are cut.
    """
    if name in ANNOUNCED:
        at = ANNOUNCED[name]
        _check(int.from_bytes(data[at : at + 4], "little"), limit)
        return None
    if name in ZSTD:
        try:
            # Into an array: of bytes, what is too long would be cut off by a copy.
            return memoryview(imagecodecs.zstd_decode(data, out=np.empty(limit, np.uint8).data))
        except imagecodecs.ZstdError as error:
            raise ValueError(
                f"a chunk does not unpack into the {limit} bytes that it can need: {error}"
            ) from error
    return _streamed(lambda: STREAMS[name](how), data, limit) if name in STREAMS else None


def _streamed(begun: Callable[[], Stream], data: Any, limit: int) -> bytes:
    """Streams that follow each other, as gzip's may; zeros behind them fill a block."""
    parts: list[bytes] = []
    size, left = 0, data
    while len(left):
        stream = begun()
        parts.append(stream.decompress(left, limit + 1 - size))
        size += len(parts[-1])
        _check(size, limit)
        if not stream.eof:
            raise ValueError("a chunk is cut")
        left = stream.unused_data.lstrip(b"\0")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"a chunk unpacks to more than the {limit} bytes that it can need")


def _bounded(codecs: tuple[Any, ...], shape: tuple[int, ...], pixel_bytes: int) -> tuple[Any, ...]:
    """Codecs of the newer format, those within shards too, each with its bound."""
    found: list[Any] = []
    for codec in codecs:
        if isinstance(codec, ShardingCodec):
            within = _bounded(codec.codecs, codec.chunk_shape, pixel_bytes)
            found.append(replace(codec, codecs=within))
        elif isinstance(codec, BytesBytesCodec) and _named(codec)[0] in UNPACKED:
            found.append(BoundedCodec(codec, most_bytes(math.prod(shape) * pixel_bytes)))
        else:
            found.append(codec)
    return tuple(found)


@dataclass(frozen=True)
class BoundedCodec(BytesBytesCodec):
    """A codec of the newer format that refuses to unpack too much; it only reads.

    Args:
        inner: what unpacks.
        limit: number of bytes.
    """

    inner: BytesBytesCodec
    limit: int
    is_fixed_size = False

    def evolve_from_array_spec(self, array_spec: Any) -> "BoundedCodec":
        """Let the codec learn from the array what it does not say itself."""
        return replace(self, inner=self.inner.evolve_from_array_spec(array_spec))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        """As the codec says it."""
        return self.inner.compute_encoded_size(input_byte_length, chunk_spec)

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        name, how = _named(self.inner)
        data = memoryview(chunk_data.as_numpy_array())
        found = await asyncio.to_thread(unpacked, name, how, data, self.limit)
        if found is not None:
            return chunk_spec.prototype.buffer.from_bytes(found)
        (decoded,) = await self.inner.decode([(chunk_data, chunk_spec)])
        return decoded


class OlderCodec:
    """The same for the older format, in the words of numcodecs: what lacks one of them is no codec to zarr.

    Args:
        inner: what unpacks.
        limit: number of bytes.
    """

    codec_id = "bounded"

    def __init__(self, inner: Any, limit: int) -> None:
        self.inner, self.limit = inner, limit

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Unpack a chunk."""
        found = unpacked(self.inner.codec_id, self.inner.get_config(), memoryview(buf), self.limit)
        return self.inner.decode(buf, out) if found is None else found

    def encode(self, buf: Any) -> Any:
        """As the codec does it."""
        return self.inner.encode(buf)

    def get_config(self) -> Any:
        """Of the codec."""
        return self.inner.get_config()

    @classmethod
    def from_config(cls, config: Any) -> "OlderCodec":
        """It is never made of settings alone."""
        raise NotImplementedError(config)


def _named(codec: BytesBytesCodec) -> tuple[str, Mapping[str, Any]]:
    """Name and settings of a codec of the newer format."""
    said: Any = codec.to_dict()
    return str(said["name"]).removeprefix("numcodecs."), said.get("configuration") or {}


def _older(codec: Any, limit: int) -> Any:
    return OlderCodec(codec, limit) if codec is not None and codec.codec_id in UNPACKED else codec
