"""What a restoration leaves in the viewer: planes as they are finished, and how they were made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from pssr import Predictor, ReadError, Stack, open_stack

KEY = "pssr_restored"  # in the metadata of layers
SPREADS = ("over turns", "over noise")  # of the answers to flips and turns, and to noise drawn anew


@dataclass(frozen=True, eq=False)
class Restored:
    """How a layer was restored; in `layer.metadata["pssr_restored"]`.

    Args:
        source: name of the low-resolution layer.
        model: file or run folder.
        provenance: which model, settings and version made it.
        scale: restored pixels for each low-resolution pixel along Y and X.
        warnings: in what the stack differs from what the model was trained on, a sentence each.
        uncertainty: arrays shaped like the layer, in counts, by what the spread is over; empty where it was not asked for.
        planes: where the planes are; a restoration that was cancelled goes on with it.
        file: that holds the restored stack; None where it is in memory.
    """

    source: str
    model: Path
    provenance: Mapping[str, Any]
    scale: int
    warnings: tuple[str, ...] = ()
    uncertainty: Mapping[str, Any] = field(default_factory=dict)
    planes: Any = None
    file: Path | None = None


def restored_of(layer: Image) -> Restored | None:
    """How a layer was restored; None where it was not, or by something else."""
    found = layer.metadata.get(KEY)
    return found if isinstance(found, Restored) else None


@dataclass(frozen=True)
class Grid:
    """The planes that a restoration makes.

    Args:
        sizes: of T, C, Z, Y and X.
        dtype: of the counts.
        axes: those that a layer of them has, such as "TYX".
        first: numbers of the frame and depth of the low-resolution stack at which they begin.
    """

    sizes: Mapping[str, int]
    dtype: np.dtype
    axes: str
    first: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """In memory."""
        count = int(np.prod([self.sizes[axis] for axis in "TCZYX"], dtype=np.int64))
        return count * self.dtype.itemsize

    def of_layer(self, channel: Any) -> Any:
        """An array (T, Z, Y, X) with the axes of a layer."""
        return channel[tuple(slice(None) if axis in self.axes else 0 for axis in "TZYX")]


def grid_of(predictor: Predictor, stack: Stack, channels: int, axes: str) -> Grid:
    """What a model makes of a stack.

    Args:
        predictor: the model.
        stack: low-resolution.
        channels: how many of them are restored.
        axes: of the low-resolution layer.
    """
    config = predictor.model.config
    lost = config.frames // 2 if config.ends == "drop" else 0
    sizes = {**stack.sizes, "C": channels, config.axis: max(stack.sizes[config.axis] - 2 * lost, 0)}
    sizes |= {axis: config.scale * stack.sizes[axis] for axis in "YX"}
    return Grid(sizes, stack.dtype, axes, {"T": 0, "Z": 0, config.axis: lost})


class MemoryPlanes:
    """Takes restored planes into memory.

    Args:
        grid: of the planes.
        spread: whether the spread of answers is kept too.
    """

    def __init__(self, grid: Grid, *, spread: bool) -> None:
        shape = [grid.sizes[axis] for axis in "CTZYX"]
        # Memory is taken when a plane is written.
        self.restored = np.zeros(shape, grid.dtype)
        self.spreads = {name: np.zeros(shape, np.float32) for name in SPREADS if spread}
        self.done: set[tuple[int, int, int]] = set()

    def has(self, place: Mapping[str, int], /) -> bool:
        """Whether a plane is there."""
        return (place["T"], place["C"], place["Z"]) in self.done

    def write(self, place: Mapping[str, int], answer: Any, /) -> None:
        """Take one."""
        t, c, z = place["T"], place["C"], place["Z"]
        self.restored[c, t, z] = answer.restored
        for kept, plane in zip(self.spreads.values(), answer.spread, strict=False):
            kept[c, t, z] = plane
        self.done.add((t, c, z))


def planes_on_disk(path: Path, grid: Grid) -> list[Any]:
    """A lazy array (T, Z, Y, X) for each channel of an OME-Zarr; planes that are not finished are empty.

    Args:
        path: of the file, which may be unfinished.
        grid: of the planes.
    """
    # Imported here: reading a layer from a file needs no other part of dask.
    import dask.array

    stack = open_stack(path)
    blank = np.zeros((1, 1, grid.sizes["Y"], grid.sizes["X"]), grid.dtype)

    def plane(c: int, block_info: Any = None) -> np.ndarray:
        t, z = block_info[None]["chunk-location"][:2]
        try:
            return stack.plane(T=t, C=c, Z=z)[None, None]
        except ReadError:
            # It is being written at this moment.
            return blank

    t, z, y, x = (grid.sizes[axis] for axis in "TZYX")
    chunks = ((1,) * t, (1,) * z, (y,), (x,))
    empty = np.empty((0,) * 4, grid.dtype)
    return [
        dask.array.map_blocks(plane, c, chunks=chunks, dtype=grid.dtype, meta=empty)
        for c in range(grid.sizes["C"])
    ]
