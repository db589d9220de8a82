"""Layers that say where to doubt a restored one: the spread of its answers, and what it says of its input."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer

from napari_pssr.layers import FOLLOWER, KEY, insert_over, placed
from napari_pssr.shown import Shown, at_of

FAR = 99.8  # percentile of a map up to which it is shown
SPREAD, DIFFERENCE = "magma", "PiYG"  # even steps; and two colours with white, which is nothing, between them


class ConsistencyLayer:
    """The layer `<after> consistency`, for the frame on screen.

    Args:
        viewer: to show it in.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layer: Image | None = None

    @property
    def layer(self) -> Image | None:
        """What is shown."""
        return self._layer if self._layer in self._viewer.layers else None

    def show(self, shown: Shown, plane: np.ndarray) -> None:
        """Show a map; its limits stay, so that frames can be compared.

        Args:
            shown: what it was made of.
            plane: of the difference.
        """
        where, name = placed(shown.before, 1, ndim=2), f"{shown.after.name} consistency"
        if self.layer is None:
            far = far_of(np.abs(plane))
            self._layer = Image(
                plane, name=name, colormap=DIFFERENCE, contrast_limits=(-far, far), cache=False,
                metadata={KEY: FOLLOWER}, blending="translucent_no_depth", **where,
            )  # fmt: skip
            insert_over(self._viewer, self._layer, shown.before, shown.after)
            return
        assert self._layer is not None
        self._layer.data, self._layer.name = plane, name

    def clear(self) -> None:
        """Take it away: it would not follow the slider any more."""
        if self.layer is not None:
            self._viewer.layers.remove(self._layer)
        self._layer = None


def reading_of_limits(
    viewer: Viewer, after: Image, spreads: Mapping[str, Any]
) -> Callable[[], dict[str, float]]:
    """A function for a thread: up to which counts each map is shown, judged by the frame on screen.

    Args:
        viewer: whose sliders count.
        after: the restored layer.
        spreads: arrays as large as it, by name.
    """
    at = at_of(viewer, after)
    first = (0,) * (after.ndim - 2)
    return lambda: {
        name: far_of(np.asarray(array[first if at is None else at])) for name, array in spreads.items()
    }


def add_spreads(
    viewer: Viewer, after: Image, spreads: Mapping[str, Any], limits: Mapping[str, float]
) -> None:
    """Add maps of uncertainty exactly over a restored layer; those of this name are taken away.

    Args:
        viewer: to add them to.
        after: the restored layer.
        spreads: arrays as large as it, by name.
        limits: counts up to which each is shown.
    """
    for what, array in spreads.items():
        name = f"{after.name} uncertainty {what}"
        if name in viewer.layers:
            viewer.layers.remove(viewer.layers[name])
        layer = Image(
            array, name=name, colormap=SPREAD, contrast_limits=(0.0, limits[what]), cache=False,
            blending="translucent_no_depth", **placed(after, 1),
        )  # fmt: skip
        insert_over(viewer, layer, after)


def far_of(plane: np.ndarray) -> float:
    """The count up to which a map is shown."""
    finite = plane[np.isfinite(plane)]
    return float(np.percentile(finite, FAR)) if finite.size and np.any(finite > 0) else 1.0
