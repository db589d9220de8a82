"""Movies in memory, and lazy ones: the same bundles, without threads and files."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Num
from torch import Tensor

from pssr.config import Config
from pssr.data.bundles import windows
from pssr.data.intensity import Intensity, Planes, numbers
from pssr.errors import ConfigError, ShapeError
from pssr.predict.counts import Landing, arrived, counted, lifted
from pssr.predict.engine import Engine
from pssr.predict.tiles import grown, inside
from pssr.predict.window import bundled, reading_order

if TYPE_CHECKING:
    import dask.array

Restore = Callable[[Sequence[tuple[int, ...]]], Iterator[np.ndarray]]


def bundles_of(length: int, config: Config) -> list[tuple[int, ...]]:
    """The bundles of a movie of some length.

    Args:
        length: frames.
        config: of the model.

    Raises:
        ConfigError: the movie is shorter than a bundle and the model drops ends.
    """
    every = windows(length, config.frames, config.ends)
    if not every:
        raise ConfigError(
            f"ends: '{config.ends}' leaves no frame of a movie of {length} with bundles of {config.frames}; use a model "
            "trained with reflect or repeat"
        )
    return every


def restored_frames(
    engine: Engine, movie: Planes, scale: Intensity, dtype: np.dtype, bundles: Sequence[tuple[int, ...]]
) -> Iterator[Num[np.ndarray, "high_h high_w"]]:
    """The restored middle frames of some bundles.

    Args:
        engine: the network.
        movie: low-resolution planes.
        scale: of the whole movie.
        dtype: of the restored counts.
        bundles: frame numbers, from `bundles_of`.
    """
    for bundle in _on_device(engine, movie, scale, bundles):
        yield Landing(counted(engine(bundle)[0], scale, dtype)).array()
        for said in engine.notes() if not engine.net.local else []:
            warnings.warn(said, stacklevel=2)


def restored_field(
    engine: Engine,
    movie: Planes,
    scale: Intensity,
    dtype: np.dtype,
    bundles: Sequence[tuple[int, ...]],
    at: tuple[int, slice, slice],
) -> Num[np.ndarray, "high_h high_w"]:
    """A field of one restored frame.

    Args:
        engine: the network.
        movie: low-resolution planes.
        scale: of the whole movie.
        dtype: of the restored counts.
        bundles: of the whole movie.
        at: number of the frame, rows and columns.

    Raises:
        ConfigError: there is no such frame or field.
    """
    bundle = {one[len(one) // 2]: one for one in bundles}.get(at[0])
    if bundle is None:
        middles = [one[len(one) // 2] for one in bundles]
        raise ConfigError(f"frame: there is no {at[0]} to restore; choose {min(middles)} to {max(middles)}")
    planes = {t: numbers(movie, t, getattr(movie, "name", "movie")) for t in bundle}
    sides = planes[at[0]].shape
    rows, columns = (slice(*part.indices(side)[:2]) for part, side in zip(at[1:], sides, strict=True))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise ConfigError(f"field: {at[1:]} leaves nothing of {sides}; choose a larger one")
    whole = slice(0, sides[0]), slice(0, sides[1])
    field, net = (rows, columns), engine.net
    part = grown(field, (sides[0], sides[1]), net.halo, net.multiple) if net.local else whole
    there = {
        t: arrived(lifted(np.ascontiguousarray(plane[part]), scale, engine.device), scale, engine.device)[
            None
        ]
        for t, plane in planes.items()
    }
    answer = engine([there[t] for t in bundle], inside(field, part))
    return Landing(counted(answer[0], scale, dtype)).array()


def _on_device(
    engine: Engine, movie: Planes, scale: Intensity, bundles: Sequence[tuple[int, ...]]
) -> Iterator[list[Tensor]]:
    name = getattr(movie, "name", "movie")
    planes = (lifted(numbers(movie, t, name), scale, engine.device) for t in reading_order(bundles))
    there = (arrived(plane, scale, engine.device)[None] for plane in planes)
    for _, bundle in bundled(bundles, there):
        yield bundle


def lazy_frames(
    restore: Restore, bundles: Sequence[tuple[int, ...]], shape: tuple[int, int], dtype: np.dtype
) -> "dask.array.Array":
    """A lazy array (T, Y, X) of which each plane is restored when it is read.

    Args:
        restore: gives the restored frames of some bundles.
        bundles: of the whole movie.
        shape: (Y, X) of a restored frame.
        dtype: of the restored counts.
    """
    # Imported here: an extra.
    import dask.array
    from dask.delayed import delayed

    planes = [
        dask.array.from_delayed(delayed(partial(_one, restore))(bundle), shape, dtype)[None]
        for bundle in bundles
    ]
    whole: dask.array.Array = dask.array.concatenate(planes)
    return whole


def _one(restore: Restore, bundle: tuple[int, ...]) -> np.ndarray:
    (plane,) = restore([bundle])
    return plane


def dtype_of_movie(movie: Planes) -> np.dtype:
    """Of the planes of a movie.

    Raises:
        ShapeError: it is not made of planes of numbers, or has none.
    """
    if len(movie) == 0:
        raise ShapeError("movie: has no frames; give at least one")
    first = np.asarray(movie[0])
    if first.ndim != 2:
        raise ShapeError(
            f"movie: its frames are {first.shape}, not (Y, X); choose one channel and give (T, Y, X)"
        )
    if first.dtype.kind not in "uif":
        raise ShapeError(f"movie: its pixels are {first.dtype}; convert them to integers or floats")
    return first.dtype
