"""Write a stack plane by plane, in any order: complete under its name, or not there."""

import errno
import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Num

from pssr.errors import ConfigError, ShapeError, WriteError
from pssr.io.content import Content
from pssr.io.journal import Journal
from pssr.io.replace import check_place, remove, replace_with
from pssr.io.sinks import FORMATS, Sink, chosen_format, make_sink
from pssr.io.stack import AXES, Place, Stack


class StackWriter:
    """Takes planes in any order and leaves one complete file, or nothing.

    Until every plane is there, the file lies under `<name>.part`, and beside it a journal of the planes that are
    complete. Leaving the `with` block by an error removes both, unless the writer may be resumed.

    Args:
        path: the file to write, or the folder for OME-Zarr and PNG.
        like: a stack from which everything that is not given below is taken: pixels become `scale` times finer.
        scale: how many times more pixels along X and Y than `like` has.
        sizes: of T, C, Z, Y and X; with `like` those that differ, before X and Y are multiplied.
        dtype: of the planes.
        channels: one name for each.
        colours: #RRGGBB of each channel, None where unknown.
        spacing_um: distance of pixels along X and Y, of planes along Z; unknown ones absent.
        interval_s: between frames; None where unknown.
        origin_um: where the centre of the first pixel lies along X, Y and Z, in OME-TIFF and OME-Zarr; 0 where absent. With
            `like` the first of the finer pixels, which begin where those of `like` do.
        provenance: which model, settings and version made the file; stored where the format has a place for it.
        format: "ome-tiff", "imagej", "ome-zarr", "mp4" or "png"; None goes by the ending of the name.
        compression: "none", "deflate" or "zstd", for OME-TIFF and OME-Zarr; None is none for OME-TIFF, zstd for Zarr.
        overwrite: whether an existing file may be replaced.
        resume: whether an unfinished file with the same content is continued, and kept when this process fails too;
            `done` says which planes are complete.
        settles: what else decides the pixels; an unfinished file of which it was another is begun anew.

    Raises:
        WriteError: the file exists, is a link, its folder is missing, the disk has too little room, the format has no
            such dtype, or another process is writing it. All of this is known before the first plane.
        ConfigError: no such format or compression.

    Example:
        >>> with StackWriter("a.ome.tif", sizes={"T": 2, "C": 1, "Z": 1, "Y": 4, "X": 4},
        ...                  dtype=np.uint16, channels=["mito"]) as writer:  # doctest: +SKIP
        ...     writer.write(plane, T=1)
        ...     writer.write(plane, T=0)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        like: Stack | None = None,
        scale: int = 1,
        sizes: Mapping[str, int] | None = None,
        dtype: Any = None,
        channels: Sequence[str] | None = None,
        colours: Sequence[str | None] | None = None,
        spacing_um: Mapping[str, float] | None = None,
        interval_s: float | None = None,
        origin_um: Mapping[str, float] | None = None,
        provenance: Mapping[str, Any] | None = None,
        format: str | None = None,
        compression: str | None = None,
        overwrite: bool = False,
        resume: bool = False,
        settles: str = "",
    ) -> None:
        self.path = Path(path)
        self.format = chosen_format(self.path, format)
        given = {
            "sizes": sizes, "dtype": dtype, "channels": channels, "colours": colours, "spacing_um": spacing_um,
            "interval_s": interval_s, "origin_um": origin_um, "provenance": provenance,
        }  # fmt: skip
        self.content = _content(self.path, like, scale, {k: v for k, v in given.items() if v is not None})
        self.done: set[Place] = set()
        self._part = self.path.with_name(self.path.name + ".part")
        self._resume, self._journal, self._settles = resume, None, settles
        self._overwrite = overwrite
        self._open = False
        sources = (like.path, *like.companions) if like else ()
        check_place(self.path, FORMATS[self.format].folder, overwrite, sources)
        self._sink = make_sink(self.format, self._part, self.content, compression)
        self._check_space()

    _journal: Journal | None
    _sink: Sink

    @property
    def fingerprint(self) -> str:
        """The same for the same content and settings, and for no other."""
        return f"{self.format} {self.content.fingerprint()} {self._settles}"

    def write(self, plane: Num[np.ndarray, "y x"], *, T: int = 0, C: int = 0, Z: int = 0) -> None:
        """Write one plane to its place.

        Args:
            plane: (Y, X) of the file's size and dtype.
            T: time point, from 0.
            C: channel, from 0.
            Z: depth, from 0.

        Raises:
            ShapeError: another shape or dtype, or no such place.
            WriteError: the disk is full, or the writer is not inside its `with` block.
        """
        if not self._open or self._journal is None:
            raise WriteError(
                f"{self.path}: is not open; write planes inside `with StackWriter(...) as writer`"
            )
        sizes, dtype = self.content.sizes, self.content.dtype
        if plane.shape != self.content.shape or plane.dtype.newbyteorder("=") != dtype:
            raise ShapeError(
                f"{self.path}: the plane at T {T} is {plane.shape} {plane.dtype}; give {self.content.shape} {dtype}"
            )
        place = (T, C, Z)
        if not all(0 <= k < sizes[axis] for axis, k in zip("TCZ", place, strict=True)):
            raise ShapeError(f"{self.path}: has no place T {T} C {C} Z {Z}; its sizes are {sizes}")
        try:
            self._journal.add(place, self._sink.put(place, np.asarray(plane, dtype=dtype)))
        except OSError as error:
            raise self._failed(error) from error
        self.done.add(place)

    def __enter__(self) -> "StackWriter":
        try:
            log = self._part.with_name(self._part.name + ".log")
            if self._part.exists() and not log.exists():
                raise WriteError(
                    f"{self._part}: is in the way, and no unfinished file of one process; go on with it by --workers or --shard "
                    "if it was begun so, or move it away"
                )
            self._journal = Journal(log, self.fingerprint, dict(self.content.provenance))
            # A link would lead to a file of somebody's.
            there = self._part.exists() and not self._part.is_symlink()
            before = self._journal.read() if self._resume and there else {}
            if before:
                self._sink.reopen()
                before = {place: k for place, k in before.items() if self._sink.checksum(place) == k}
            else:
                remove(self._part, *self._sink.scratch)
                self._sink.begin()
            self._journal.begin(before)
            self.done = set(before)
        except BaseException as error:
            self._leave(keep=False)
            if isinstance(error, OSError):
                raise self._failed(error) from error
            raise
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        finished = False
        try:
            if kind is None:
                self._check_complete()
                self._sink.finish()
                self._sink.close()
                replace_with(self.path, self._part, self._overwrite)
                finished = True
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            self._leave(keep=self._resume and not finished and bool(self.done))

    def _leave(self, *, keep: bool) -> None:
        self._sink.close()
        if not keep and self._journal is not None:
            remove(self._part, *self._sink.scratch)
        if self._journal is not None:
            self._journal.close(remove=not keep)
            self._journal = None

    def _check_complete(self) -> None:
        left = self.content.planes - len(self.done)
        if left:
            kept = "what was written is kept for another try" if self._resume else "nothing is kept"
            raise WriteError(f"{self.path}: {left} of {self.content.planes} planes were not written; {kept}")

    def _check_space(self) -> None:
        """A file whose size is known must fit; how small compression makes it is not known."""
        free = shutil.disk_usage(self.path.parent).free
        if self._sink.bytes <= free:
            return
        if self._sink.bytes > free + (_bytes_of(self._part) if self._resume else 0):
            raise WriteError(
                f"{self.path}: needs {_size(self._sink.bytes)} and the disk has {_size(free)} left; "
                "free some space or choose another folder"
            )

    def _failed(self, error: OSError) -> WriteError:
        if isinstance(error, WriteError):
            return error
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        try:
            free = _size(shutil.disk_usage(self.path.parent).free)
        except OSError:
            free = "an unknown number"
        return WriteError(
            f"{self.path}: cannot be written ({why}): up to {_size(self.content.bytes)} are needed and {free} are "
            "free; free some space or choose another folder"
        )


def _content(path: Path, like: Stack | None, scale: int, given: Mapping[str, Any]) -> Content:
    """What is written: as given, the rest like the stack."""
    words: dict[str, Any] = dict(given)
    if like is not None:
        full = {**like.sizes, **words.pop("sizes", {})}
        words["sizes"] = {**full, "Y": full["Y"] * scale, "X": full["X"] * scale}
        spacing = {a: um / scale if a in "YX" else um for a, um in like.spacing_um.items()}
        # Pixels begin at the same edge: the centre of a finer one is nearer to it.
        nearer = {a: (um / scale - um) / 2 for a, um in like.spacing_um.items() if a in "YX" and scale > 1}
        origin = {**like.origin_um, **{a: um + like.origin_um.get(a, 0.0) for a, um in nearer.items()}}
        if "channels" not in words:
            words = {"channels": like.channels, "colours": like.colours, **words}
        elif "colours" not in words:
            known = dict(zip(like.channels, like.colours, strict=False))
            words["colours"] = [known.get(name) for name in words["channels"]]
        words = {
            "dtype": like.dtype,
            "spacing_um": spacing,
            "interval_s": like.interval_s,
            "origin_um": origin,
            **words,
        }
    absent = [name for name in ("sizes", "dtype", "channels") if name not in words]
    if absent:
        raise ConfigError(f"{path}: {', '.join(absent)} must be given, or a stack to be like")
    sizes = {axis: words["sizes"][axis] for axis in AXES}
    channels = tuple(words["channels"])
    if len(channels) != sizes["C"] or min(sizes.values()) < 1:
        raise ShapeError(f"{path}: {list(channels)} do not name the channels of {sizes}")
    colours = (*(words.get("colours") or ()), *[None] * len(channels))[: len(channels)]
    words |= {"sizes": sizes, "channels": channels, "colours": colours}
    return Content(**{**words, "dtype": np.dtype(words["dtype"]).newbyteorder("=")}).checked(str(path))


def _bytes_of(part: Path) -> int:
    """That an unfinished file or folder takes already."""
    total = 0
    for path in (part, *part.rglob("*")):
        # Other processes may be filling it, and their files come and go.
        with suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total


def _size(count: float) -> str:
    """Such as 1.5 GB."""
    power = min(int(math.log10(max(count, 1)) // 3), 4)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
