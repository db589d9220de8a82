"""Planes that patches are cut from, without reading their files again for each: in memory, on disk, or nowhere."""

import errno
import os
import shutil
import socket
import struct
import tempfile
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import psutil
from jaxtyping import Num

from pssr.data.intensity import Planes, numbers
from pssr.io.atomic import write_all

Policy = Literal["ram", "disk", "none"]
HEADER = struct.Struct("<8sQQ")  # dtype, rows, columns: what a file of raw pixels does not say
LEFT_FREE = 10**9  # bytes of the disk that are left to others, the training's own saves among them
CLOCK_S = 60.0  # by which the times of a process and of a file may differ


@dataclass(frozen=True)
class Scratch:
    """A private folder of unpacked planes, shared by a process and those it starts; gone with its `made` object.

    Files are read, not mapped: a mapped file that becomes shorter kills the process.

    Args:
        folder: where the planes are.
    """

    folder: Path

    @classmethod
    def made(cls) -> "Scratch":
        """A new one in the temporary folder; those of processes that were killed are removed.

        Raises:
            OSError: the temporary folder cannot be written to.
        """
        _sweep(Path(tempfile.gettempdir()))
        scratch = cls(Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-")))
        weakref.finalize(scratch, _removed, scratch.folder, os.getpid())
        return scratch

    def store(self, movie: int, t: int, plane: Num[np.ndarray, "y x"]) -> None:
        """Write a plane, under its name only once it is whole.

        Raises:
            OSError: the disk is full but for what is left to others, or the folder is gone.
        """
        if shutil.disk_usage(self.folder).free < plane.nbytes + LEFT_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path = self._path(movie, t)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb", buffering=0) as file:
                write_all(file, HEADER.pack(plane.dtype.str.encode(), *plane.shape))
                write_all(file, np.ascontiguousarray(plane).reshape(-1).view(np.uint8).data)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def rows(
        self, movie: int, t: int, top: int = 0, count: int | None = None
    ) -> Num[np.ndarray, "y x"] | None:
        """Some rows of a plane.

        Args:
            movie: which one.
            t: which frame.
            top: first row.
            count: of rows; None for all.

        Returns:
            The rows; None where the plane is not here, or its file was cut.
        """
        try:
            with self._path(movie, t).open("rb", buffering=0) as file:
                kind, height, width = HEADER.unpack(file.read(HEADER.size))
                dtype = np.dtype(kind.rstrip(b"\0").decode())
                rows = np.empty((height if count is None else min(count, height - top), width), dtype)
                file.seek(HEADER.size + top * width * dtype.itemsize)
                left = rows.reshape(-1).view(np.uint8).data
                while left and (read := file.readinto(left)):
                    left = left[read:]
        except (OSError, struct.error):
            return None
        return None if left else rows

    def _path(self, movie: int, t: int) -> Path:
        return self.folder / f"{movie}-{t}"


@dataclass
class PlaneCache:
    """Planes of movies; a cache, so the one thing here that changes.

    All policies give the same pixels. `ram` keeps the planes read last. `disk` unpacks each plane once, and reads back
    the rows that are needed; planes that find no room there are kept as for `ram`. `none` keeps the last plane alone.

    Args:
        movies: where the planes come from.
        names: of the movies, for messages; () numbers them.
        limit: bytes kept in memory by each process; one plane is kept in any case.
        policy: where planes stay.
    """

    movies: Sequence[Planes]
    names: Sequence[str] = ()
    limit: int = 2 * 1024**3
    policy: Policy = "ram"
    kept: OrderedDict[tuple[int, int], np.ndarray] = field(default_factory=OrderedDict, init=False)
    size: int = field(default=0, init=False)
    scratch: Scratch | None = field(default=None, init=False)
    full: bool = field(default=False, init=False)
    shapes: dict[int, tuple[int, int]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.policy != "disk":
            return
        try:
            self.scratch = Scratch.made()
        except OSError as error:
            self._say_full(tempfile.gettempdir(), error)

    def plane(self, movie: int, t: int) -> Num[np.ndarray, "y x"]:
        """Frame t of a movie, from where it stayed if it was read before.

        Raises:
            ReadError: some of its pixels are not numbers; one of them would spoil all weights.
        """
        key = (movie, t)
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        if self.scratch and (stored := self.scratch.rows(movie, t)) is not None:
            return stored
        plane = numbers(self.movies[movie], t, self.names[movie] if self.names else f"movie {movie}")
        if not self._stored(movie, t, plane):
            self._keep(key, plane)
        return plane

    def crop(self, movie: int, t: int, top: int, left: int, side: int) -> Num[np.ndarray, "y x"]:
        """A square of frame t, read alone where the plane is on disk; else a view of the plane.

        Args:
            movie: which one.
            t: which frame.
            top: its first row.
            left: its first column.
            side: pixels.

        Raises:
            ReadError: as for `plane`.
        """
        columns = slice(left, left + side)
        if self.scratch and (movie, t) not in self.kept:
            rows = self.scratch.rows(movie, t, top, side)
            if rows is not None:
                return rows[:, columns]
        return self.plane(movie, t)[top : top + side, columns]

    def shape(self, movie: int) -> tuple[int, int]:
        """Rows and columns of a movie's frames."""
        if movie not in self.shapes:
            rows, columns = self.plane(movie, 0).shape
            self.shapes[movie] = rows, columns
        return self.shapes[movie]

    def _stored(self, movie: int, t: int, plane: Num[np.ndarray, "y x"]) -> bool:
        if self.scratch is None or self.full:
            return False
        try:
            self.scratch.store(movie, t, plane)
        except OSError as error:
            self._say_full(self.scratch.folder, error)
            return False
        return True

    def _keep(self, key: tuple[int, int], plane: Num[np.ndarray, "y x"]) -> None:
        self.kept[key] = plane
        self.size += plane.nbytes
        while self.size > (0 if self.policy == "none" else self.limit) and len(self.kept) > 1:
            self.size -= self.kept.popitem(last=False)[1].nbytes

    def _say_full(self, folder: Path | str, error: OSError) -> None:
        """Training goes on without room on the disk; only slower."""
        self.full = True
        warnings.warn(
            f"data.cache: no more planes can be unpacked into {folder} ({error.strerror}), and the others are read from "
            "their files each time; free some space, or set TMPDIR to a larger disk",
            stacklevel=2,
        )


def _prefix() -> str:
    """Of this machine's folders: on a shared disk there are those of other machines, whose processes are not known here."""
    return f"pssr-planes-{socket.gethostname()}-"


def _removed(folder: Path, owner: int) -> None:
    # A forked worker has a copy of the scratch, and ends before the training does.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove this user's folders of processes that are gone; removing one in use only makes its training slower."""
    with os.scandir(parent) as entries:
        mine = [entry for entry in entries if entry.name.startswith(_prefix())]
    for entry in mine:
        words = entry.name.removeprefix(_prefix()).split("-")
        if len(words) != 2 or not words[0].isdecimal() or not entry.is_dir(follow_symlinks=False):
            continue
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if found.st_uid == _user() and not _lives(int(words[0]), found.st_mtime):
            shutil.rmtree(entry.path, ignore_errors=True)


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _lives(pid: int, since: float) -> bool:
    """Whether a process of that number is there that is old enough to have written at a time, in seconds."""
    try:
        return psutil.Process(pid).create_time() <= since + CLOCK_S
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
