"""The planes of two layers that are on screen, and what one says of the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from napari.viewer import Viewer

from napari_pssr.layers import factors, on_sliders
from pssr import ConfigError

NEAR = 0.05  # of a fine pixel, within which two grids count as lying on each other


@dataclass(frozen=True, eq=False)
class Shown:
    """Two planes that are on screen.

    Args:
        before: the coarse layer.
        after: the fine layer.
        at: numbers of the plane along the axes before Y and X, of `before`; None where it has no plane there.
        low: plane of `before`; None where it has none.
        high: plane of `after`; None where it has none.
    """

    before: Image
    after: Image
    at: tuple[int, ...] | None
    low: np.ndarray | None
    high: np.ndarray | None


def reading_of(viewer: Viewer, before: Image, after: Image) -> tuple[Any, Callable[[], Shown]]:
    """What is to be read, as a key that changes with it, and a function for a thread that reads it.

    Args:
        viewer: whose sliders count.
        before: the coarse layer.
        after: the fine layer.
    """
    places = at_of(viewer, before), at_of(viewer, after)
    data = pixels_of(before), pixels_of(after)

    def read() -> Shown:
        low, high = (
            None if at is None else np.asarray(each[at]) for each, at in zip(data, places, strict=True)
        )
        return Shown(before, after, places[0], low, high)

    return (before, after, *places, *map(id, data)), read


def pixels_of(layer: Image) -> Any:
    """The array of a layer at its full size."""
    return layer.data[0] if layer.multiscale else layer.data


def at_of(viewer: Viewer, layer: Image) -> tuple[int, ...] | None:
    """Which plane of a layer is on screen, as numbers along the axes before Y and X; None for one past its ends.

    Args:
        viewer: whose sliders count.
        layer: an image.
    """
    inside = layer.world_to_data(on_sliders(viewer.dims, layer))
    at = np.rint(inside[:-2]).astype(int)
    if np.any(at < 0) or np.any(at >= pixels_of(layer).shape[:-2]):
        return None
    return tuple(at.tolist())


def onto(target: Layer, source: Layer, points: Any) -> np.ndarray:
    """Points of a layer in the pixels of another one.

    Args:
        target: whose pixels are wanted.
        source: whose pixels are given.
        points: rows and columns, (n, 2).

    Returns:
        Rows and columns, (n, 2).
    """
    each = factors(source.units, target.units)[-2:]
    found = []
    for point in points:
        world = np.asarray(source.data_to_world((*[0] * (source.ndim - 2), *point)))[-2:]
        found.append(target.world_to_data((*[0] * (target.ndim - 2), *(world * each)))[-2:])
    return np.asarray(found)


def consistency(shown: Shown) -> np.ndarray:
    """What the fine plane says the coarse one should be, minus what it is; in counts.

    Args:
        shown: two planes that are there.

    Returns:
        A plane as large as the coarse one: the mean of the fine pixels within each coarse pixel, minus that pixel.

    Raises:
        ConfigError: no whole number of fine pixels lies in each coarse one.
    """
    low, high = shown.low, shown.high
    assert low is not None
    assert high is not None
    rows, columns = _blocks(shown.before, shown.after, low.shape, high.shape)
    blocks = high.reshape(low.shape[0], rows, low.shape[1], columns)
    mean: np.ndarray = blocks.mean((1, 3), dtype=np.float64) - low
    return mean.astype(np.float32)


def _blocks(before: Image, after: Image, low: Sequence[int], high: Sequence[int]) -> tuple[int, int]:
    """Fine pixels in each coarse one, along Y and X."""
    ends = [(-0.5, -0.5), (-0.5, low[1] - 0.5), (low[0] - 0.5, -0.5)]
    expected = [(-0.5, -0.5), (-0.5, high[1] - 0.5), (high[0] - 0.5, -0.5)]
    same = np.allclose(onto(after, before, ends), expected, rtol=0, atol=NEAR)
    if not same or high[0] % low[0] or high[1] % low[1]:
        raise ConfigError(
            f"{after.name}: its pixels do not divide those of {before.name}; choose the layer that was restored from it"
        )
    return high[0] // low[0], high[1] // low[1]
