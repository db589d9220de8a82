"""The brightness of two planes along one line."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from napari.layers import Image, Shapes
from napari.viewer import Viewer
from scipy.ndimage import map_coordinates

from napari_pssr.layers import placed
from napari_pssr.plot import Plot
from napari_pssr.shown import Shown, onto

NAME = "profile"
COLOUR = "#ffd866"
PER_PX = 4  # samples for each fine pixel
MOST = 4000  # samples: more than any screen shows
HEIGHT_PX = 230
LEGEND_CHARS = 28


class Profile(NamedTuple):
    """Brightness along a line.

    Args:
        distance: from its beginning.
        unit: of the distance.
        low: counts of the coarse layer; None where it shows no plane; NaN outside of it.
        high: counts of the fine layer, likewise.
    """

    distance: np.ndarray
    unit: str
    low: np.ndarray | None
    high: np.ndarray | None


def profile_layer(viewer: Viewer) -> Shapes | None:
    """The layer with lines, if there is one."""
    return next((layer for layer in viewer.layers if layer.name == NAME and isinstance(layer, Shapes)), None)


def add_profile_layer(viewer: Viewer, like: Image) -> Shapes:
    """A layer to draw lines in.

    Args:
        viewer: to add it to.
        like: a layer whose pixels it has.
    """
    layer = Shapes(
        ndim=2, name=NAME, edge_color=COLOUR, face_color="transparent", opacity=1.0, **placed(like, 1, ndim=2)
    )
    layer.current_edge_color = COLOUR
    # Half a coarse pixel: as thin as can be seen, and it hides nothing.
    layer.current_edge_width = 0.5
    viewer.add_layer(layer)
    return layer


def line_of(layer: Shapes | None) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The ends of the selected line, else of the last one, as rows and columns of its layer."""
    if layer is None:
        return None
    lines = [k for k, kind in enumerate(layer.shape_type) if kind == "line"]
    selected = [k for k in lines if k in layer.selected_data]
    if not lines:
        return None
    begin, end = np.asarray(layer.data[(selected or lines)[-1]])[:, -2:].tolist()
    return tuple(begin), tuple(end)


def profile_of(shown: Shown, layer: Shapes, line: Sequence[Sequence[float]]) -> Profile:
    """The brightness of both planes along a line, each read at its own pixels.

    Args:
        shown: two planes.
        layer: with the line.
        line: its ends, as rows and columns of its layer.
    """
    length, unit = _length(shown.before, onto(shown.before, layer, line))
    px = np.linalg.norm(np.diff(onto(shown.after, layer, line), axis=0))
    share = np.linspace(0, 1, int(np.clip(PER_PX * px, 2, MOST)) + 1)
    low, high = (
        None if plane is None else _sampled(plane, onto(source, layer, line), share)
        for source, plane in ((shown.before, shown.low), (shown.after, shown.high))
    )
    return Profile(share * length, unit, low, high)


def _length(layer: Image, ends: np.ndarray) -> tuple[float, str]:
    """Of a line given in pixels of a layer, and its unit: micrometres where the layer tells."""
    first, last = (np.asarray(layer.data_to_world((*[0] * (layer.ndim - 2), *end)))[-2:] for end in ends)
    units = layer.units[-2:]
    if all(unit.is_compatible_with("micrometer") for unit in units):
        factors = [(1 * unit).to("micrometer").magnitude for unit in units]
        return float(np.linalg.norm((last - first) * factors)), "µm"
    return float(np.linalg.norm(last - first)), f"{units[-1]}"


def _sampled(plane: np.ndarray, ends: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Counts between the centres of pixels, straight from one to the next; NaN outside."""
    first, last = ends
    points = first[:, None] + (last - first)[:, None] * share
    sides = np.asarray(plane.shape)[:, None]
    # Half a pixel lies around each centre, the first and the last included.
    outside = np.any((points < -0.5) | (points > sides - 0.5), axis=0)
    values = map_coordinates(plane, points, output=np.float64, order=1, mode="nearest")
    return np.where(outside, np.nan, values)


class ProfilePlot(Plot):
    """The brightness of two planes along a line.

    Args:
        viewer: whose colours.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer, HEIGHT_PX)
        self.profile: Profile | None = None

    def show_profile(self, profile: Profile | None, names: tuple[str, str]) -> None:
        """Plot.

        Args:
            profile: to be plotted; None hides the plot.
            names: of the two layers.
        """
        self.profile = profile
        self.setVisible(profile is not None)
        if profile is None:
            return
        (axes,) = self.axes(1)
        for values, name, colour, width in (
            (profile.low, names[0], self.ink, 1.0),
            (profile.high, names[1], COLOUR, 1.5),
        ):
            if values is not None:
                axes.plot(profile.distance, values, color=colour, linewidth=width, label=_short(name))
        axes.set(xlabel=f"along the line ({profile.unit})", ylabel="counts")
        axes.margins(x=0)
        if axes.get_lines():
            # Above the curves, which it would hide in so small a plot.
            axes.legend(
                frameon=False,
                labelcolor=self.ink,
                fontsize="small",
                loc="lower left",
                bbox_to_anchor=(0, 1),
            )
        self.paint()


def _short(name: str) -> str:
    return name if len(name) <= LEGEND_CHARS else f"{name[: LEGEND_CHARS - 3]}..."
