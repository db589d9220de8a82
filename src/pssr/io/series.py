"""A folder of files, each one frame: a movie, or a stack in depth."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Num

from pssr.errors import ReadError
from pssr.io.stack import Reader, Stack

SUFFIXES = (".czi", ".tif", ".tiff", ".png", ".jpg", ".jpeg")


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

    def read(self, path: Path, *, t: int, c: int, z: int) -> Num[np.ndarray, "y x"]:
        """One plane of a file in the folder.

        Raises:
            ReadError: its file cannot be read.
        """
        k = t if self.axis == "T" else z
        return self.readers[k].read(path / self.names[k], t=0, c=c, z=0)


def stack_files(folder: Path) -> list[Path]:
    """The files of a folder that can hold stacks, t2 before t10.

    Raises:
        ReadError: there are none.
    """
    # Names that begin with a dot are a system's own, such as macOS's ._a.tif.
    inside = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not inside:
        raise ReadError(f"{folder}: holds no {', '.join(SUFFIXES)} file; name the folder with the stacks")
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
