"""The formats that are written, and what each of them can hold."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pssr.errors import ConfigError, WriteError
from pssr.io.content import Content
from pssr.io.stack import Place

COMPRESSIONS = ("none", "deflate", "zstd")


@runtime_checkable
class Sink(Protocol):
    """An unfinished file or folder into which planes are put in any order.

    Args:
        bytes: that it needs on disk, 0 where that depends on the pixels.
        scratch: other files that it makes on the way.
    """

    bytes: int
    scratch: tuple[Path, ...]

    def begin(self) -> None:
        """Make it, with room for every plane."""
        ...

    def reopen(self) -> None:
        """Go on with one that was begun by another process."""
        ...

    def put(self, place: Place, plane: np.ndarray) -> int:
        """Store a plane; the checksum of what is stored."""
        ...

    def checksum(self, place: Place) -> int:
        """Of what is stored at a place."""
        ...

    def finish(self) -> None:
        """All planes are there: write what is left to write, and force it to disk."""
        ...

    def close(self) -> None:
        """Let go of files; may be called twice."""
        ...


@dataclass(frozen=True)
class Format:
    """A way to store stacks.

    Args:
        name: for people.
        endings: of names that choose it.
        dtypes: that it can hold.
        compressions: to choose from, the first one being the usual.
        folder: whether it is a folder of files.
    """

    name: str
    endings: tuple[str, ...]
    dtypes: tuple[str, ...]
    compressions: tuple[str, ...] = ("none",)
    folder: bool = False


INTEGERS = tuple(f"{sign}int{bits}" for bits in (8, 16, 32) for sign in ("u", ""))
NUMBERS = (*INTEGERS, "uint64", "int64", "float16", "float32", "float64")
FORMATS = {
    "ome-tiff": Format("OME-TIFF", (".tif", ".tiff"), (*INTEGERS, "float32", "float64"), COMPRESSIONS),
    "imagej": Format("ImageJ TIFF", (), ("uint8", "uint16", "float32")),
    "ome-zarr": Format("OME-Zarr", (".zarr",), NUMBERS, ("zstd", "deflate", "none"), folder=True),
    "mp4": Format("MP4", (".mp4",), NUMBERS),
    "png": Format("PNG", (), ("uint8", "uint16"), folder=True),
}


def chosen_format(path: Path, asked: str | None) -> str:
    """The format asked for, or the one that the ending of a name chooses.

    Raises:
        ConfigError: neither is known.
    """
    if asked is not None:
        if asked not in FORMATS:
            raise ConfigError(f"format: {asked!r} is not one; choose one of {', '.join(FORMATS)}")
        return asked
    for name, format in FORMATS.items():
        if path.suffix.lower() in format.endings:
            return name
    endings = ", ".join(ending for format in FORMATS.values() for ending in format.endings)
    raise ConfigError(f"{path}: ends in none of {endings}; name a format, one of {', '.join(FORMATS)}")


def make_sink(name: str, part: Path, content: Content, compression: str | None) -> Sink:
    """The unfinished file of a format, not yet begun.

    Args:
        name: of the format.
        part: where it lies until it is complete.
        content: what it will hold.
        compression: of the planes; None is the usual one.

    Raises:
        WriteError: the format cannot hold the content.
        ConfigError: the format has no such compression.
    """
    format, target = FORMATS[name], part.with_suffix("")
    how = compression or format.compressions[0]
    if how not in format.compressions:
        raise ConfigError(
            f"{target}: {format.name} has no compression {how!r} here; choose {' or '.join(format.compressions)}"
        )
    if content.dtype.name not in format.dtypes:
        raise WriteError(
            f"{target}: {format.name} has no {content.dtype}; choose another format, or convert the stack to one of "
            f"{', '.join(format.dtypes)}"
        )
    if name == "mp4" and (content.sizes["C"] > 1 or min(content.sizes["T"], content.sizes["Z"]) > 1):
        raise WriteError(f"{target}: MP4 shows one channel along T or Z; choose one, or another format")
    # H.264 halves colours, and tifffile takes a single column for samples of a pixel.
    narrowest = {"mp4": (2, 2), "imagej": (1, 2)}.get(name, (1, 1))
    if any(side < least for side, least in zip(content.shape, narrowest, strict=True)):
        y, x = narrowest
        raise WriteError(
            f"{target}: {format.name} needs planes of at least {y} x {x} px; choose another format"
        )
    return SINKS[name](part, content, how)


def _tiff(part: Path, content: Content, compression: str) -> Sink:
    # Imported here, as below: a program that reads needs no writer, and no file needs all of them.
    from pssr.io.write_tiff import CompressedSink, RunSink

    if compression == "none":
        return RunSink(part, content)
    return CompressedSink(part, content, compression=compression)


def _imagej(part: Path, content: Content, _compression: str) -> Sink:
    from pssr.io.write_tiff import RunSink

    return RunSink(part, content, imagej=True)


def _zarr(part: Path, content: Content, compression: str) -> Sink:
    from pssr.io.write_zarr import ZarrSink

    return ZarrSink(part, content, compression=compression)


def _mp4(part: Path, content: Content, _compression: str) -> Sink:
    from pssr.io.write_pictures import Mp4Sink

    return Mp4Sink(part, content)


def _png(part: Path, content: Content, _compression: str) -> Sink:
    from pssr.io.write_pictures import PngSink

    return PngSink(part, content)


SINKS: dict[str, Callable[[Path, Content, str], Sink]] = {
    "ome-tiff": _tiff,
    "imagej": _imagej,
    "ome-zarr": _zarr,
    "mp4": _mp4,
    "png": _png,
}
