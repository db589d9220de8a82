"""A file as a value: `open_stack(path)`, its planes by named axes, its movies by channel."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Num

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.header import Header

CZI_MAGIC = b"ZISRAWFILE"
TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Stack(Header):
    """A file as a value: names, sizes and units, and its planes when asked for; never an open handle.

    A stack can be pickled, and read from forked or spawned processes and from threads. Made by `open_stack`;
    the fields are those of its header.
    """

    @property
    def pixel_size_um(self) -> float | None:
        """Distance between neighbouring pixels along X in micrometres; None where unknown."""
        return self.spacing_um.get("X")

    def plane(self, *, T: int = 0, C: int = 0, Z: int = 0) -> Num[np.ndarray, "y x"]:
        """One plane, in the file's own dtype.

        Args:
            T: time point, from 0.
            C: channel, from 0.
            Z: depth, from 0.

        Raises:
            IndexError: there is no such plane.
            ReadError: the file is damaged there, or has changed since it was opened.
        """
        for axis, k in (("T", T), ("C", C), ("Z", Z)):
            if not 0 <= k < self.sizes[axis]:
                raise IndexError(f"{self.path}: has no {axis} {k}; it has {self.sizes[axis]}, counted from 0")
        plane = self.reader.read(self.path, t=T, c=C, z=Z)
        if plane.shape != (self.sizes["Y"], self.sizes["X"]) or plane.dtype != self.dtype:
            raise ReadError(
                f"{self.path}: T {T}, C {C}, Z {Z} is {plane.shape} {plane.dtype}, not "
                f"({self.sizes['Y']}, {self.sizes['X']}) {self.dtype}; the file has changed or is damaged"
            )
        return plane

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
            raise ChoiceNeeded(f"{self.path}: choose a channel ({listed})")
        if str(channel).casefold() in names:
            return names.index(str(channel).casefold())
        if str(channel).isdecimal() and int(channel) < len(names):
            return int(channel)
        raise ChoiceNeeded(f"{self.path}: has no channel {channel!r}; choose one of {listed}")

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
        return (self[t] for t in range(len(self)))

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


def open_stack(path: str | Path, *, scene: str | int | None = None, axes: str | None = None) -> Stack:
    """Read what a file says about itself; its planes are read when asked for.

    The content decides what it is, not the name.

    Args:
        path: a CZI or TIFF file (plain, ImageJ or OME).
        scene: name or number; needed where a file has several.
        axes: what the pages of a TIFF are, slowest first, such as "TYX", "ZYX" or "TZYX"; None believes the file.

    Returns:
        The stack: a value, without an open handle.

    Raises:
        ReadError: missing, not a regular file, damaged, incomplete, or of an unknown or unsupported kind.
        ChoiceNeeded: several scenes and none chosen, or pages of which the file does not say what they are.

    Example:
        >>> stack = open_stack("mito.czi")  # doctest: +SKIP
        >>> stack.sizes, stack.pixel_size_um  # doctest: +SKIP
        ({'T': 100, 'C': 2, 'Z': 1, 'Y': 85, 'X': 85}, 0.0489)
    """
    path = Path(path)
    head = _head(path)
    # Imported here: a TIFF needs no CZI library, and the other way round.
    if head.startswith(CZI_MAGIC):
        from pssr.io.czi import czi_header

        if axes is not None:
            raise ChoiceNeeded(f"{path}: is a CZI and names its own axes; leave axes={axes!r} out")
        header = czi_header(path, scene=scene)
    elif head[:4] in TIFF_MAGICS:
        from pssr.io.tiff import tiff_header

        header = tiff_header(path, scene=scene, axes=axes)
    else:
        raise ReadError(
            f"{path}: is neither CZI nor TIFF (it begins with {head[:8]!r}); export it as OME-TIFF"
        )
    return Stack(**vars(header))


def _head(path: Path) -> bytes:
    """The first bytes of a regular file; anything else (a folder, a pipe) could block or never end."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise ReadError(f"{path}: is {kind}; name a CZI or TIFF file")
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError as error:
        raise ReadError(f"{path}: does not exist; check the name") from error
    except (OSError, ValueError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{path}: cannot be opened ({error}); check the name and permissions") from error
    if not head:
        raise ReadError(f"{path}: is empty; copy it again from the microscope")
    return head
