"""A file as a value: its planes by named axes, its movies by channel."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, SupportsIndex, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Num

from pssr.errors import ChoiceNeeded, ReadError

if TYPE_CHECKING:
    import dask.array
    import xarray

AXES = ("T", "C", "Z", "Y", "X")
RGB = {"red": "#FF0000", "green": "#00FF00", "blue": "#0000FF"}
Place: TypeAlias = tuple[int, int, int]  # T, C, Z, each counted from 0
Asked: TypeAlias = tuple[SupportsIndex, SupportsIndex, SupportsIndex]  # those of numpy will do
ReadPlane: TypeAlias = Callable[[Place], np.ndarray]


@runtime_checkable
class Reader(Protocol):
    """How to find planes; a value that holds names and offsets, never an open file."""

    def opened(self, path: Path) -> AbstractContextManager[ReadPlane]:
        """The file open for reading planes in this process, closed when the `with` block ends."""
        ...


@dataclass(frozen=True)
class Stack:
    """A file as a value: names, sizes and units, and its planes when asked for; never an open handle.

    Made by `open_stack`. It can be pickled, and read from forked or spawned processes and from threads.

    Args:
        path: of the file or folder.
        format: CZI, TIFF, ImageJ TIFF, OME-TIFF, OME-Zarr, PNG, JPEG, MP4, ...
        sizes: of T, C, Z, Y, X, always all five and in this order.
        dtype: of the pixels, in native byte order.
        channels: one name for each channel, all different.
        spacing_um: distance between pixels along X and Y and between planes along Z; unknown ones are absent.
        interval_s: between frames; None where unknown.
        reader: how to find a plane.
        scene: the one chosen, or None where there is only one.
        notes: what a person should know about how the file was understood.
        colours: in which each channel is shown, such as "#00FF00"; None where unknown.
        compression: of the pixels in the file; None where unknown.
        missing: places (T, C, Z) of planes that the file lacks and that are filled as the person chose.
        companions: other files that hold planes of it.
        origin_um: along X, Y and Z, where the centre of the first pixel lies, as the file says; 0 where absent.
    """

    path: Path
    format: str
    sizes: Mapping[str, int]
    dtype: np.dtype
    channels: tuple[str, ...]
    spacing_um: Mapping[str, float]
    interval_s: float | None
    reader: Reader = field(repr=False)
    scene: str | None = None
    notes: tuple[str, ...] = ()
    colours: tuple[str | None, ...] = ()
    compression: str | None = None
    missing: tuple[Place, ...] = field(default=(), repr=False)
    companions: tuple[Path, ...] = field(default=(), repr=False)
    origin_um: Mapping[str, float] = field(default_factory=dict)

    @property
    def pixel_size_um(self) -> float | None:
        """Distance between neighbouring pixels along X in micrometres; None where unknown."""
        return self.spacing_um.get("X")

    def plane(
        self, *, T: SupportsIndex = 0, C: SupportsIndex = 0, Z: SupportsIndex = 0
    ) -> Num[np.ndarray, "y x"]:
        """One plane, in the file's own dtype.

        Args:
            T: time point, from 0.
            C: channel, from 0.
            Z: depth, from 0.

        Raises:
            IndexError: there is no such plane.
            ReadError: the file is damaged there, or has changed since it was opened.
        """
        # Numbers of numpy are no int, which readers ask for.
        place = index(T), index(C), index(Z)
        for axis, k in zip("TCZ", place, strict=True):
            if not 0 <= k < self.sizes[axis]:
                raise IndexError(f"{self.path}: has no {axis} {k}; it has {self.sizes[axis]}, counted from 0")
        with self.reader.opened(self.path) as read:
            return self._checked(place, read(place))

    def planes(self, places: Iterable[Asked]) -> Iterator[Num[np.ndarray, "y x"]]:
        """Many planes, for which the file is opened once.

        Args:
            places: (T, C, Z) of each plane, in any order.

        Yields:
            The planes, in that order.

        Raises:
            ReadError: as for `plane`.
        """
        left = ((index(t), index(c), index(z)) for t, c, z in places)
        while True:
            owner = os.getpid()
            with self.reader.opened(self.path) as read:
                for place in left:
                    # A process forked from this one shares the file's position: it opens the file for itself.
                    if os.getpid() != owner:
                        yield self.plane(T=place[0], C=place[1], Z=place[2])
                        break
                    yield self._checked(place, read(place))
                else:
                    return

    def _checked(self, place: Place, plane: np.ndarray) -> np.ndarray:
        if plane.shape != (self.sizes["Y"], self.sizes["X"]) or plane.dtype != self.dtype:
            raise ReadError(
                f"{self.path}: T {place[0]}, C {place[1]}, Z {place[2]} is {plane.shape} {plane.dtype}, not "
                f"({self.sizes['Y']}, {self.sizes['X']}) {self.dtype}; the file has changed or is damaged"
            )
        return plane

    def dask(self) -> "dask.array.Array":
        """The whole stack as a lazy array (T, C, Z, Y, X), each plane a chunk; needs the extra `notebook`."""
        # Imported here: an extra.
        from pssr.io.arrays import as_dask

        return as_dask(self)

    def xarray(self) -> "xarray.DataArray":
        """The lazy array with channel names, seconds and micrometres as coordinates; needs the extra `notebook`."""
        # Imported here: an extra.
        from pssr.io.arrays import as_xarray

        return as_xarray(self)

    def channel_number(self, channel: str | int | None) -> int:
        """The number of a channel chosen by name or number.

        Args:
            channel: a name, in capitals or not, or a number counted from 0; None where there is only one.

        Raises:
            ChoiceNeeded: several and none chosen, or no such channel; the message lists them.
        """
        names = [name.casefold() for name in self.channels]
        if channel is None and len(names) == 1:
            return 0
        listed = ", ".join(self.channels)
        if channel is None:
            raise ChoiceNeeded(f"{self.path}: choose a channel ({listed})", self.channels)
        if str(channel).casefold() in names:
            return names.index(str(channel).casefold())
        if str(channel).isdecimal() and int(channel) < len(names):
            return int(channel)
        raise ChoiceNeeded(f"{self.path}: has no channel {channel!r}; choose one of {listed}", self.channels)

    def movie(
        self,
        channel: str | int | None = None,
        *,
        axis: str = "T",
        z: int | None = None,
        t: int | None = None,
    ) -> "Movie":
        """One channel over time, or over depth.

        Args:
            channel: name or number; needed where there are several.
            axis: "T" or "Z", along which the frames follow each other.
            z: which depth, for a movie along T; needed where there are several.
            t: which time point, for a movie along Z; needed where there are several.

        Raises:
            ChoiceNeeded: several channels, depths or time points and none chosen.
            ValueError: an axis other than T and Z.
        """
        if axis not in ("T", "Z"):
            raise ValueError(f"axis: {axis!r} is not a way through a stack; choose T or Z")
        other, chosen = ("Z", z) if axis == "T" else ("T", t)
        count = self.sizes[other]
        if chosen is None and count > 1:
            raise ChoiceNeeded(f"{self.path}: choose {other.lower()} (0 to {count - 1})")
        at = chosen or 0
        if not -count <= at < count:
            raise ChoiceNeeded(f"{self.path}: has no {other.lower()} {at}; choose one of 0 to {count - 1}")
        return Movie(self, self.channel_number(channel), axis, at % count)


@dataclass(frozen=True)
class Movie:
    """One channel over time or depth: `len(movie)` frames, `movie[t]` a plane.

    Args:
        stack: the file.
        number: of the channel.
        axis: "T" or "Z", along which the frames follow each other.
        at: the depth of a movie along T, the time point of one along Z.
    """

    stack: Stack
    number: int
    axis: str
    at: int

    def __len__(self) -> int:
        return self.stack.sizes[self.axis]

    def __getitem__(self, t: int, /) -> Num[np.ndarray, "y x"]:
        if not -len(self) <= t < len(self):
            raise IndexError(f"{self.name}: has no frame {t}; it has {len(self)}, counted from 0")
        other = "Z" if self.axis == "T" else "T"
        return self.stack.plane(C=self.number, **{self.axis: t % len(self), other: self.at})

    def __iter__(self) -> Iterator[np.ndarray]:
        along_t = self.axis == "T"
        places = (
            (k, self.number, self.at) if along_t else (self.at, self.number, k) for k in range(len(self))
        )
        return self.stack.planes(places)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, Y, X)."""
        return len(self), self.stack.sizes["Y"], self.stack.sizes["X"]

    @property
    def dtype(self) -> np.dtype:
        """Of its planes."""
        return self.stack.dtype

    @property
    def channel(self) -> str:
        """Name of the channel."""
        return self.stack.channels[self.number]

    @property
    def name(self) -> str:
        """Such as `a.czi [mito]`, with scene and depth or time point where there are several."""
        other = "Z" if self.axis == "T" else "T"
        words = [self.channel]
        if self.stack.scene is not None:
            words.append(f"scene {self.stack.scene}")
        if self.stack.sizes[other] > 1:
            words.append(f"{other.lower()} {self.at}")
        return f"{self.stack.path.name} [{', '.join(words)}]"


def channel_names(given: list[str | None], count: int) -> tuple[str, ...]:
    """One different name for each channel: as given, `channel N` where missing, `name (N)` where repeated.

    Args:
        given: names as the file has them, too few or too many allowed.
        count: of channels.
    """
    padded = [*given[:count], *[None] * (count - len(given))]
    named = [(name or "").strip() or f"channel {k}" for k, name in enumerate(padded)]
    return tuple(distinct(named))


def distinct(names: Sequence[str]) -> list[str]:
    """Names of which none occurs twice, in capitals or not: `name (N)` where one does."""
    folded = [name.casefold() for name in names]
    return [name if folded.count(name.casefold()) == 1 else f"{name} ({k})" for k, name in enumerate(names)]


def names_of_samples(names: tuple[str, ...], samples: tuple[str, ...]) -> tuple[str, ...]:
    """Names of channels each of which holds several samples, such as red, green and blue.

    Args:
        names: of the channels in the file.
        samples: names of what each of them holds; empty where it is one plane.
    """
    if not samples:
        return names
    each = [f"{name} {sample}" if len(names) > 1 else sample for name in names for sample in samples]
    return channel_names(list(each), len(each))
