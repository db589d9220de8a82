"""A plot in the colours of napari."""

from typing import Any

from napari.utils.theme import get_theme
from napari.viewer import Viewer
from qtpy.QtWidgets import QVBoxLayout, QWidget


class Plot(QWidget):
    """A figure of some rows; matplotlib is loaded when there is something to plot, which takes a second.

    Args:
        viewer: whose colours.
        height_px: of the figure.
    """

    def __init__(self, viewer: Viewer, height_px: int) -> None:
        super().__init__()
        self._viewer, self._height_px = viewer, height_px
        self._axes: Any = None
        self._canvas: Any = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.hide()

    def axes(self, rows: int) -> Any:
        """Axes below each other, empty.

        Args:
            rows: of them; always the same.
        """
        if self._axes is None:
            # Imported here, as the class says.
            from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
            from matplotlib.figure import Figure

            figure = Figure(layout="constrained")
            self._canvas = FigureCanvasQTAgg(figure)  # type: ignore[no-untyped-call]
            self._axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
            self._canvas.setFixedHeight(self._height_px)
            self._canvas.setMinimumWidth(1)
            self._canvas.setToolTip(self.toolTip())
            self.layout().addWidget(self._canvas)
        for axes in self._axes:
            axes.clear()
        return self._axes

    @property
    def ink(self) -> str:
        """The colour of text."""
        return str(get_theme(self._viewer.theme).text.as_hex())

    def paint(self) -> None:
        """Show what was plotted, in the colours that the viewer has now."""
        ground = get_theme(self._viewer.theme).background.as_hex()
        for axes in self._axes:
            axes.figure.set_facecolor(ground)
            axes.set_facecolor(ground)
            axes.tick_params(which="both", colors=self.ink, labelsize="small")
            for part in (axes.xaxis.label, axes.yaxis.label):
                part.set(color=self.ink, fontsize="small")
            for side, spine in axes.spines.items():
                spine.set_color(self.ink)
                spine.set_visible(side in ("left", "bottom"))
        self._canvas.draw_idle()
