"""An array as a stack: what is in memory, or lazy, by named axes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pssr.errors import ShapeError
from pssr.io.stack import AXES, Place, ReadPlane, Stack, channel_names


@dataclass(frozen=True, eq=False)
class ArrayReader:
    """Planes of an array.

    Args:
        array: anything that can be indexed.
        axes: of the array.
        dtype: of its pixels, in native byte order.
    """

    array: Any
    axes: str
    dtype: np.dtype

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:  # noqa: ARG002 - there is no file
        """Reads planes; a lazy array computes them."""

        def read(place: Place) -> np.ndarray:
            at = dict(zip("TCZ", place, strict=True))
            # Of lazy arrays some read more than is asked for unless they are told everything at once.
            index = tuple(at[axis] if axis in at else slice(None) for axis in self.axes)
            return np.asarray(self.array[index]).astype(self.dtype, copy=False)

        yield read


def stack_of(
    array: Any,
    *,
    axes: str,
    name: str = "array",
    channels: Sequence[str] = (),
    spacing_um: Mapping[str, float] | None = None,
    interval_s: float | None = None,
    origin_um: Mapping[str, float] | None = None,
) -> Stack:
    """An array of NumPy, dask or Zarr as a stack, for all that takes one.

    Args:
        array: of numbers, with Y and X last.
        axes: what its axes are, such as "TYX", "ZYX" or "TCZYX".
        name: for messages and provenance.
        channels: one name for each channel; () names them by number.
        spacing_um: distance between pixels along X and Y and between planes along Z; unknown ones absent.
        interval_s: between frames; None where unknown.
        origin_um: where the centre of the first pixel lies along X, Y and Z; 0 where absent.

    Raises:
        ShapeError: axes that are not those of the array, or pixels that are no numbers.

    Example:
        >>> stack_of(np.zeros((5, 32, 32), np.uint16), axes="TYX").sizes["T"]
        5
    """
    shape, dtype = tuple(array.shape), np.dtype(array.dtype)
    if not axes.endswith("YX") or len(set(axes)) != len(axes) or set(axes) - set(AXES):
        raise ShapeError(f"axes: {axes!r} is not a choice of T, C and Z and then YX; say it such as TZYX")
    if len(axes) != len(shape):
        raise ShapeError(
            f"{name}: axes {axes} name {len(axes)} axes, the array is {shape}; name each of its axes"
        )
    if dtype.kind not in "uif" or 0 in shape:
        raise ShapeError(f"{name}: is {shape} {dtype}; give an array of integers or floats that is not empty")
    sizes = {axis: shape[axes.index(axis)] if axis in axes else 1 for axis in AXES}
    named = channel_names(list(channels), sizes["C"])
    native = dtype.newbyteorder("=")
    return Stack(
        Path(name),
        "array",
        sizes,
        native,
        named,
        dict(spacing_um or {}),
        interval_s,
        ArrayReader(array, axes, native),
        origin_um=dict(origin_um or {}),
    )
