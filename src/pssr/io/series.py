"""A folder of files, each one frame: a movie, or a stack in depth."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from pssr.errors import ReadError
from pssr.io.stack import Place, Reader, ReadPlane, Stack

SUFFIXES = (".czi", ".tif", ".tiff", ".zarr", ".ozx", ".png", ".jpg", ".jpeg", ".mp4", ".avi")


@dataclass(frozen=True)
class SeriesReader:
    """Each frame is a file.

    Args:
        axis: "T" or "Z", along which the files follow each other.
        names: of the files, in order.
        readers: of the files.
    """

    axis: str
    names: tuple[str, ...]
    readers: tuple[Reader, ...]

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads planes of the files in the folder, one file at a time.

        Raises:
            ReadError: a file cannot be read.
        """
        with ExitStack() as files:
            held: dict[int, ReadPlane] = {}

            def read(place: Place) -> np.ndarray:
                t, c, z = place
                k = t if self.axis == "T" else z
                if k not in held:
                    files.close()
                    held.clear()
                    held[k] = files.enter_context(self.readers[k].opened(path / self.names[k]))
                return held[k]((0, c, 0))

            yield read


def stack_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The files of a folder that can hold stacks, t2 before t10.

    Args:
        folder: in which they lie.
        pattern: that their names match, such as "t*.tif".

    Raises:
        ReadError: there are none.
    """
    # Names that begin with a dot are a system's own, such as macOS's ._a.tif.
    inside = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and path.name[0] != "." and fnmatchcase(path.name, pattern)
    ]
    if not inside:
        which = "" if pattern == "*" else f" like {pattern}"
        raise ReadError(
            f"{folder}: holds no {', '.join(SUFFIXES)} file{which}; name the folder with the stacks"
        )
    return sorted(inside, key=_natural)


def in_series(folder: Path, frames: Sequence[Stack], axis: str) -> Stack:
    """One stack whose frames are the given ones.

    Args:
        folder: where they lie; it names the stack.
        frames: stacks of one time point and depth, alike in all else.
        axis: "T" or "Z", along which they follow each other.

    Raises:
        ReadError: a file has several time points or depths, or differs from the first.
    """
    first = frames[0]
    for one in frames:
        if one.sizes["T"] * one.sizes["Z"] > 1:
            raise ReadError(f"{one.path}: has several frames itself; leave series={axis} out")
        if (one.sizes, one.dtype, one.channels) != (first.sizes, first.dtype, first.channels):
            raise ReadError(
                f"{one.path}: is {_looks(one)} and {first.path.name} is {_looks(first)}; "
                "keep frames of one kind in the folder"
            )
    return Stack(
        path=folder,
        format=f"series of {first.format}",
        sizes={**first.sizes, axis: len(frames)},
        dtype=first.dtype,
        channels=first.channels,
        spacing_um=first.spacing_um,
        interval_s=first.interval_s if axis == "T" else None,
        reader=SeriesReader(axis, tuple(f.path.name for f in frames), tuple(f.reader for f in frames)),
        notes=(
            f"{len(frames)} files in a row, from {first.path.name} to {frames[-1].path.name}",
            *first.notes,
        ),
    )


def _looks(stack: Stack) -> str:
    return f"{stack.sizes['Y']} x {stack.sizes['X']} {stack.dtype} ({', '.join(stack.channels)})"


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """t2 before t10."""
    words = re.split(r"(\d+)", path.name.lower())
    return [(0, int(word)) if word.isdecimal() else (1, word) for word in words]
