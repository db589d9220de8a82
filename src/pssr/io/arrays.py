"""A stack as a lazy array for notebooks; needs the extra `notebook`."""

from typing import TYPE_CHECKING

import dask.array
import numpy as np

from pssr.io.stack import AXES

if TYPE_CHECKING:
    import xarray

    from pssr.io.stack import Stack


def as_dask(stack: "Stack") -> dask.array.Array:
    """(T, C, Z, Y, X), each plane a chunk that is read when it is computed."""
    t, c, z, y, x = (stack.sizes[axis] for axis in AXES)

    def plane(block_info: dict[None, dict[str, tuple[int, ...]]] | None = None) -> np.ndarray:
        assert block_info is not None
        at = block_info[None]["chunk-location"]
        return stack.plane(T=at[0], C=at[1], Z=at[2])[None, None, None]

    chunks = ((1,) * t, (1,) * c, (1,) * z, (y,), (x,))
    lazy: dask.array.Array = dask.array.map_blocks(
        plane, chunks=chunks, dtype=stack.dtype, meta=np.empty((0,) * 5, stack.dtype)
    )
    return lazy


def as_xarray(stack: "Stack") -> "xarray.DataArray":
    """The lazy array with coordinates: channel names, seconds along T, micrometres along Z, Y and X where known."""
    # Imported here: dask alone is enough for `as_dask`.
    import xarray

    coordinates: dict[str, tuple[str, object, dict[str, str]]] = {"C": ("C", list(stack.channels), {})}
    if stack.interval_s is not None:
        coordinates["T"] = ("T", np.arange(stack.sizes["T"]) * stack.interval_s, {"units": "s"})
    for axis, um in stack.spacing_um.items():
        coordinates[axis] = (
            axis,
            stack.origin_um.get(axis, 0.0) + np.arange(stack.sizes[axis]) * um,
            {"units": "um"},
        )
    return xarray.DataArray(
        as_dask(stack), dims=AXES, coords=coordinates, name=stack.path.name, attrs={"path": str(stack.path)}
    )
