"""A folder of files, each one frame: a movie, or a stack in depth."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from pssr.errors import ReadError
from pssr.io.images import names_in
from pssr.io.series_names import places_in
from pssr.io.stack import Place, Reader, ReadPlane, Stack, channel_names

SUFFIXES = (".czi", ".tif", ".tiff", ".zarr", ".ozx", ".png", ".jpg", ".jpeg", ".mp4", ".avi")


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
    return natural(inside)


def natural(paths: Iterable[Path]) -> list[Path]:
    """Paths by their names, t2 before t10."""
    return sorted(paths, key=_natural)


def in_series(folder: Path, frames: Sequence[Stack], axis: str) -> Stack:
    """One stack whose planes are the given ones.

    Where names count along several axes, as in `T002_C0.png`, these are the planes' places; else files follow each other.
    Files of another C may name their channels otherwise: these are the channels of the stack.

    Args:
        folder: where they lie; it names the stack.
        frames: stacks of one time point and depth, alike in all else.
        axis: "T" or "Z", along which they follow each other.

    Raises:
        ReadError: a file has several time points or depths, or differs from the first.
        ChoiceNeeded: names count in several numbers without saying along which axes, or repeat under several words.
    """
    first, paths = frames[0], [one.path for one in frames]
    _check_alike(frames, axis)
    # Planes that pssr wrote have their places in their names, along a single axis too.
    names = names_in(first.path) if first.format == "PNG" else []
    places = places_in(paths, axis, fewest=1 if names else 2)
    inside = first.sizes["C"]
    count = {a: 1 + max(place[k] for place in places) for k, a in enumerate("TCZ")}
    at = {place: k for k, place in enumerate(places)}
    firsts = [frames[at[0, c, 0]] for c in range(count["C"])]
    for one, (_, c, _) in zip(frames, places, strict=True):
        _check_like(one, firsts[c], one.channels, firsts[c].channels)
    files = [
        (at[t, c, z], k)
        for t, c, k, z in itertools.product(*map(range, (count["T"], count["C"], inside, count["Z"])))
    ]
    channels = count["C"] * inside
    colours = tuple(itertools.chain.from_iterable(one.colours for one in firsts))
    known_spacing = (
        first.spacing_um if count["Z"] > 1 else {a: n for a, n in first.spacing_um.items() if a != "Z"}
    )
    return Stack(
        path=folder,
        format=f"series of {first.format}",
        sizes={**first.sizes, "T": count["T"], "C": channels, "Z": count["Z"]},
        dtype=first.dtype,
        channels=first.channels if channels == inside else channel_names(names or _named(firsts), channels),
        spacing_um=known_spacing,
        interval_s=first.interval_s if count["T"] > 1 else None,
        reader=SeriesReader(
            tuple(files),
            (channels, count["Z"]),
            tuple(p.name for p in paths),
            tuple(f.reader for f in frames),
        ),
        notes=(f"{len(frames)} files in a row, from {paths[0].name} to {paths[-1].name}", *first.notes),
        colours=colours if len(colours) == channels else (),
        compression=first.compression,
        companions=tuple(paths),
    )


def _check_alike(frames: Sequence[Stack], axis: str) -> None:
    first = frames[0]
    for one in frames:
        if one.sizes["T"] * one.sizes["Z"] > 1:
            raise ReadError(f"{one.path}: has several frames itself; leave series={axis} out")
        _check_like(one, first, (one.sizes, one.dtype), (first.sizes, first.dtype))


def _check_like(one: Stack, other: Stack, this: object, that: object) -> None:
    if this != that:
        raise ReadError(
            f"{one.path}: is {_looks(one)} and {other.path.name} is {_looks(other)}; "
            "keep frames of one kind in the folder"
        )


def _named(frames: Sequence[Stack]) -> list[str | None]:
    """Names of the channels of all files; None where a file has none and they were only counted."""
    return [None if name == f"channel {k}" else name for one in frames for k, name in enumerate(one.channels)]


def _looks(stack: Stack) -> str:
    return f"{stack.sizes['Y']} x {stack.sizes['X']} {stack.dtype} ({', '.join(stack.channels)})"


def _natural(path: Path) -> list[tuple[int, int | str]]:
    words = re.split(r"(\d+)", path.name.lower())
    return [(0, int(word)) if word.isdecimal() else (1, word) for word in words]
