"""A folder of files, each one frame: a movie, or a stack in depth."""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.images import names_in
from pssr.io.stack import Place, Reader, ReadPlane, Stack, channel_names

SUFFIXES = (".czi", ".tif", ".tiff", ".zarr", ".ozx", ".png", ".jpg", ".jpeg", ".mp4", ".avi")

LETTERS = {
    "t": "T",
    "time": "T",
    "frame": "T",
    "c": "C",
    "ch": "C",
    "channel": "C",
    "w": "C",
    "z": "Z",
    "slice": "Z",
}


@dataclass(frozen=True)
class SeriesReader:
    """Each plane is a file, or a channel of one.

    Args:
        files: number of the file and of the channel in it, of each plane in (T, C, Z) order.
        count: of C and Z.
        names: of the files, in order.
        readers: of the files.
    """

    files: tuple[tuple[int, int], ...]
    count: tuple[int, int]
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
                k, inside = self.files[(t * self.count[0] + c) * self.count[1] + z]
                if k not in held:
                    files.close()
                    held.clear()
                    held[k] = files.enter_context(self.readers[k].opened(path / self.names[k]))
                return held[k]((0, inside, 0))

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
    """One stack whose planes are the given ones.

    Where names count along several axes, as in `T002_C0.png`, these are the planes' places; else files follow each other.

    Args:
        folder: where they lie; it names the stack.
        frames: stacks of one time point and depth, alike in all else.
        axis: "T" or "Z", along which they follow each other.

    Raises:
        ReadError: a file has several time points or depths, or differs from the first.
        ChoiceNeeded: names count in several numbers without saying along which axes.
    """
    first, paths = frames[0], [one.path for one in frames]
    _check_alike(frames, axis)
    # Planes that pssr wrote have their places in their names, along a single axis too.
    names = names_in(first.path) if first.format == "PNG" else []
    places = places_in(paths, axis, fewest=1 if names else 2)
    inside = first.sizes["C"]
    count = {a: 1 + max(place[k] for place in places) for k, a in enumerate("TCZ")}
    at = {place: k for k, place in enumerate(places)}
    files = [
        (at[t, c, z], k)
        for t, c, k, z in itertools.product(*map(range, (count["T"], count["C"], inside, count["Z"])))
    ]
    channels = count["C"] * inside
    known_spacing = (
        first.spacing_um if count["Z"] > 1 else {a: n for a, n in first.spacing_um.items() if a != "Z"}
    )
    return Stack(
        path=folder,
        format=f"series of {first.format}",
        sizes={**first.sizes, "T": count["T"], "C": channels, "Z": count["Z"]},
        dtype=first.dtype,
        channels=first.channels if channels == inside else channel_names(names, channels),
        spacing_um=known_spacing,
        interval_s=first.interval_s if count["T"] > 1 else None,
        reader=SeriesReader(
            tuple(files),
            (channels, count["Z"]),
            tuple(p.name for p in paths),
            tuple(f.reader for f in frames),
        ),
        notes=(f"{len(frames)} files in a row, from {paths[0].name} to {paths[-1].name}", *first.notes),
        colours=first.colours if channels == inside else (),
        compression=first.compression,
        companions=tuple(paths),
    )


def _check_alike(frames: Sequence[Stack], axis: str) -> None:
    first = frames[0]
    for one in frames:
        if one.sizes["T"] * one.sizes["Z"] > 1:
            raise ReadError(f"{one.path}: has several frames itself; leave series={axis} out")
        if (one.sizes, one.dtype, one.channels) != (first.sizes, first.dtype, first.channels):
            raise ReadError(
                f"{one.path}: is {_looks(one)} and {first.path.name} is {_looks(first)}; "
                "keep frames of one kind in the folder"
            )


def places_in(paths: Sequence[Path], axis: str, *, fewest: int = 2) -> list[Place]:
    """The place of each file by the numbers in its name.

    Args:
        paths: of the files, in natural order.
        axis: "T" or "Z", along which files follow each other whose names do not say more.
        fewest: numbers that vary, from which on names are believed rather than the axis.

    Raises:
        ChoiceNeeded: several numbers vary as in a table, and no letters before them say of what.
        ReadError: they name axes, and some of the files are not there.
    """
    words = [re.split(r"(\d+)", path.name) for path in paths]
    in_a_row = [(k, 0, 0) if axis == "T" else (0, 0, k) for k in range(len(paths))]
    if len({tuple(word[::2]) for word in words}) > 1:
        return in_a_row
    columns = [k for k in range(1, len(words[0]), 2) if len({int(word[k]) for word in words}) > 1]
    levels = [sorted({int(word[k]) for word in words}) for k in columns]
    letters = [_axis(words[0][k - 1]) for k in columns]
    named = None not in letters and len(set(letters)) == len(letters)
    whole = math.prod(map(len, levels))
    if len(columns) < fewest or not (named or whole == len(paths)):
        return in_a_row
    if not named:
        shown = " x ".join(str(len(level)) for level in levels)
        raise ChoiceNeeded(
            f"{paths[0].parent}: the names of its files count in {len(columns)} numbers ({shown}), as {paths[0].name} does; "
            "take those of one channel with a pattern such as 'folder/*_c0.tif', or name them such as t000_c0.tif"
        )
    if whole != len(paths):
        shown = " x ".join(f"{len(level)} along {axis}" for axis, level in zip(letters, levels, strict=True))
        raise ReadError(
            f"{paths[0].parent}: holds {len(paths)} files of {shown}; put the missing ones there too"
        )
    placed = []
    for word in words:
        at = {a: level.index(int(word[k])) for a, k, level in zip(letters, columns, levels, strict=True)}
        placed.append((at.get("T", 0), at.get("C", 0), at.get("Z", 0)))
    return placed


def _axis(before: str) -> str | None:
    """The axis that the letters before a number name, such as `_C`, `-t` or `_ch`."""
    word = re.split(r"[^a-z]", before.lower())[-1]
    return LETTERS.get(word)


def _looks(stack: Stack) -> str:
    return f"{stack.sizes['Y']} x {stack.sizes['X']} {stack.dtype} ({', '.join(stack.channels)})"


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """t2 before t10."""
    words = re.split(r"(\d+)", path.name.lower())
    return [(0, int(word)) if word.isdecimal() else (1, word) for word in words]
