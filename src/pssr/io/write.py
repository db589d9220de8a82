"""OME-TIFF, written plane by plane under `.part` and renamed when complete."""

import errno
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import tifffile
from jaxtyping import Num

from pssr.errors import ShapeError, WriteError
from pssr.io.stack import AXES, Stack

NAMESPACE = "https://pypi.org/project/pssr-toolkit"  # of the provenance inside the file
OME_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
CLASSIC_BYTES = 4_000_000_000  # above, 32-bit offsets do not reach: BigTIFF


class StackWriter:
    """Takes planes in any order and leaves one complete OME-TIFF, or nothing.

    The file has its full size from the start, so that planes need no order and memory no room. It lies under
    `<name>.part` until every plane is there; leaving the `with` block by an error removes it.

    Args:
        path: the file to write.
        sizes: of T, C, Z, Y and X.
        dtype: of the planes.
        channels: one name for each.
        spacing_um: distance of pixels along X and Y, of planes along Z; unknown ones absent.
        interval_s: between frames; None where unknown.
        provenance: which model, settings and version made the file; stored as a map annotation.
        overwrite: whether an existing file may be replaced.

    Raises:
        WriteError: the file exists, is a link, its folder is missing, the disk has too little room, or OME-TIFF has
            no such dtype. All of this is known before the first plane.

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
        sizes: Mapping[str, int],
        dtype: Any,
        channels: Sequence[str],
        spacing_um: Mapping[str, float] | None = None,
        interval_s: float | None = None,
        provenance: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self.sizes = {axis: sizes[axis] for axis in AXES}
        self.dtype = np.dtype(dtype).newbyteorder("=")
        self.done: set[tuple[int, int, int]] = set()
        self._part = self.path.with_name(self.path.name + ".part")
        self._file: BinaryIO | None = None
        self._metadata = _metadata(channels, spacing_um or {}, interval_s, provenance or {})
        if len(channels) != self.sizes["C"] or min(self.sizes.values()) < 1:
            raise ShapeError(f"{self.path}: {list(channels)} do not name the channels of {self.sizes}")
        self._refuse(overwrite)

    @classmethod
    def like(
        cls,
        path: str | Path,
        stack: Stack,
        *,
        scale: int = 1,
        sizes: Mapping[str, int] | None = None,
        channels: Sequence[str] | None = None,
        dtype: Any = None,
        provenance: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> "StackWriter":
        """A writer for a stack restored from another: everything is kept, pixels become `scale` times finer.

        Args:
            path: the file to write.
            stack: what it is made from.
            scale: how many times more pixels along X and Y.
            sizes: those that differ, before X and Y are multiplied.
            channels: those kept; None keeps all.
            dtype: None keeps the stack's.
            provenance: as for the class.
            overwrite: as for the class; the stack's own file is never replaced.

        Raises:
            WriteError: as for the class.
        """
        target = Path(path)
        if target.exists() and target.samefile(stack.path):
            raise WriteError(f"{target}: is the file to read from; choose another name")
        full = {**stack.sizes, **(sizes or {})}
        return cls(
            target,
            sizes={**full, "Y": full["Y"] * scale, "X": full["X"] * scale},
            dtype=dtype or stack.dtype,
            channels=channels or stack.channels,
            spacing_um={a: um / scale if a in "YX" else um for a, um in stack.spacing_um.items()},
            interval_s=stack.interval_s,
            provenance=provenance,
            overwrite=overwrite,
        )

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
        if self._file is None:
            raise WriteError(
                f"{self.path}: is not open; write planes inside `with StackWriter(...) as writer`"
            )
        place, shape = (T, C, Z), (self.sizes["Y"], self.sizes["X"])
        if plane.shape != shape or plane.dtype.newbyteorder("=") != self.dtype:
            raise ShapeError(
                f"{self.path}: the plane at T {T} is {plane.shape} {plane.dtype}; give {shape} {self.dtype}"
            )
        if not all(0 <= k < self.sizes[axis] for axis, k in zip("TCZ", place, strict=True)):
            raise ShapeError(f"{self.path}: has no place T {T} C {C} Z {Z}; its sizes are {self.sizes}")
        number = (T * self.sizes["C"] + C) * self.sizes["Z"] + Z
        little = np.ascontiguousarray(plane, dtype=self.dtype.newbyteorder("<"))
        try:
            self._file.seek(self._offset + number * little.nbytes)
            self._file.write(little.tobytes())
        except OSError as error:
            raise self._failed(error) from error
        self.done.add(place)

    def __enter__(self) -> "StackWriter":
        try:
            with tifffile.TiffWriter(
                self._part, bigtiff=self._bytes > CLASSIC_BYTES, byteorder="<", ome=True
            ) as tif:
                place = tif.write(
                    shape=tuple(self.sizes.values()),
                    dtype=self.dtype,
                    photometric="minisblack",
                    software=f"pssr-toolkit {version('pssr-toolkit')}",
                    metadata=self._metadata,
                    returnoffset=True,
                )
            if place is None:
                raise WriteError(
                    f"{self.path}: its planes do not lie one behind the other; report this, with the sizes"
                )
            self._offset = place[0]
            self._file = self._part.open("r+b")
        except OSError as error:
            self._part.unlink(missing_ok=True)
            raise self._failed(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        try:
            if file is not None:
                with file:
                    file.flush()
                    os.fsync(file.fileno())
            if kind is None:
                self._check_complete()
                self._part.replace(self.path)
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            self._part.unlink(missing_ok=True)

    @property
    def _bytes(self) -> int:
        return int(self.dtype.itemsize * math.prod(self.sizes.values()))

    def _check_complete(self) -> None:
        planes = self.sizes["T"] * self.sizes["C"] * self.sizes["Z"]
        if len(self.done) != planes:
            raise WriteError(
                f"{self.path}: {planes - len(self.done)} of {planes} planes were not written; nothing is kept"
            )

    def _refuse(self, overwrite: bool) -> None:
        """Everything that would spoil the end of the work is said before its beginning."""
        folder = self.path.parent
        if not folder.is_dir():
            raise WriteError(f"{self.path}: its folder does not exist; make {folder} first")
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_file()):
            raise WriteError(f"{self.path}: is a link or not a file; choose another name")
        if self.path.exists() and not overwrite:
            raise WriteError(
                f"{self.path}: exists already; choose another name, or say that it may be overwritten"
            )
        if not os.access(folder, os.W_OK):
            raise WriteError(f"{self.path}: its folder cannot be written to; choose another one")
        if self.dtype.name not in OME_DTYPES:
            raise WriteError(
                f"{self.path}: OME-TIFF has no {self.dtype}; convert the stack to one of {OME_DTYPES}"
            )
        free = shutil.disk_usage(folder).free
        if free < self._bytes:
            raise WriteError(
                f"{self.path}: needs {self._bytes / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB left; "
                "free some space or choose another folder"
            )

    def _failed(self, error: OSError) -> WriteError:
        if isinstance(error, WriteError):
            return error
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        return WriteError(f"{self.path}: cannot be written ({why}); free some space or choose another folder")


def _metadata(
    channels: Sequence[str],
    spacing_um: Mapping[str, float],
    interval_s: float | None,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """What the file says about itself, in the words of OME as tifffile takes them."""
    known: dict[str, Any] = {"axes": "TCZYX", "Channel": {"Name": list(channels)}}
    for axis, um in spacing_um.items():
        known |= {f"PhysicalSize{axis}": um, f"PhysicalSize{axis}Unit": "µm"}
    if interval_s is not None:
        known |= {"TimeIncrement": interval_s, "TimeIncrementUnit": "s"}
    if provenance:
        known["MapAnnotation"] = {
            "Namespace": NAMESPACE,
            **{key: str(value) for key, value in provenance.items()},
        }
    return known
