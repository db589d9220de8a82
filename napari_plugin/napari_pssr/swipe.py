"""Two layers in one place: one left and one right of a line, or one after the other."""

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_pssr.layers import FOLLOWER, KEY, field_of, placed
from napari_pssr.shown import Shown, onto

SAME = ("contrast_limits", "gamma", "colormap", "opacity", "blending", "interpolation2d")


class Blink(QObject):
    """Shows two layers in turn.

    Args:
        owner: the widget that it belongs to.
    """

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self._pair: tuple[Image, Image] | None = None
        self._visible = (True, True)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._turn)

    @property
    def on(self) -> bool:
        """Whether it goes on."""
        return self._pair is not None

    def start(self, before: Image, after: Image) -> None:
        """Begin with the second layer.

        Args:
            before: one layer.
            after: the other.
        """
        self.stop()
        self._pair, self._visible = (before, after), (before.visible, after.visible)
        before.visible, after.visible = False, True
        self._timer.start()

    def pace(self, rate_hz: float) -> None:
        """Choose how often the layers change.

        Args:
            rate_hz: times a second.
        """
        self._timer.setInterval(round(1000 / rate_hz))

    def stop(self) -> None:
        """End, and leave both as visible as they were."""
        self._timer.stop()
        if self._pair is not None:
            for layer, visible in zip(self._pair, self._visible, strict=True):
                layer.visible = visible
        self._pair = None

    def _turn(self) -> None:
        assert self._pair is not None
        before, after = self._pair
        before.visible, after.visible = after.visible, before.visible


class Swipe:
    """Shows one layer left of a line and another right of it.

    napari clips no plane images, so that two layers with a part of one plane each take the place of the whole ones. They hold
    what was read already: a line that moves reads nothing.

    Args:
        viewer: to show them in.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._pair: tuple[Image, Image] | None = None
        self._visible = (True, True)
        self._sides: tuple[Image, Image] | None = None

    @property
    def on(self) -> bool:
        """Whether it is shown, or will be as soon as planes are there."""
        return self._pair is not None

    @property
    def broken(self) -> bool:
        """Whether a person has removed a layer that belongs to it."""
        return any(layer not in self._viewer.layers for layer in (*(self._pair or ()), *(self._sides or ())))

    def start(self, before: Image, after: Image) -> None:
        """Make ready; nothing changes until planes are there.

        Args:
            before: left of the line.
            after: right of it.
        """
        self.stop()
        self._pair, self._visible = (before, after), (before.visible, after.visible)

    def show(self, shown: Shown, share: float) -> None:
        """Put the line somewhere.

        Args:
            shown: planes of the two layers.
            share: of the field that is on screen and lies left of the line, 0 to 1.
        """
        if self._pair is None or (shown.before, shown.after) != self._pair:
            return
        if self._sides is None:
            self._sides = self._added(shown)
        before, after = self._pair
        column = line_column(before, share)
        middle = before.extent.data[:, -2].mean()
        fine = round(onto(after, before, [(middle, column - 0.5)])[0, 1] + 0.5)
        left, right = self._sides
        _cut(left, shown.low, before, 0, column)
        _cut(right, shown.high, after, max(fine, 0), None)

    def stop(self) -> None:
        """End, and leave both layers as visible as they were."""
        for layer in self._sides or ():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        if self._pair is not None and self._sides is not None:
            for layer, side, visible in zip(self._pair, self._sides, self._visible, strict=True):
                self._viewer.layers.unlink_layers([layer, side], SAME)
                layer.visible = visible
        self._pair = self._sides = None

    def _added(self, shown: Shown) -> tuple[Image, Image]:
        """Two layers that look like the whole ones, which are hidden."""
        layers = self._viewer.layers
        active = layers.selection.active
        above = max(layers.index(shown.before), layers.index(shown.after)) + 1
        sides = []
        for layer, plane, which in (
            (shown.before, shown.low, "left"),
            (shown.after, shown.high, "right"),
        ):
            # Made before there is something to show in it.
            side = Image(
                np.zeros((1, 1)) if plane is None else plane, name=f"{layer.name} {which}", cache=False, visible=False, rgb=False,
                metadata={KEY: FOLLOWER}, **{name: getattr(layer, name) for name in SAME}, **placed(layer, 1, ndim=2),
            )  # fmt: skip
            layers.insert(above, side)
            layers.link_layers([layer, side], SAME)
            sides.append(side)
            above += 1
            layer.visible = False
        layers.selection.active = active
        return sides[0], sides[1]


def line_column(layer: Image, share: float) -> int:
    """The first column of a layer right of a line.

    It lies between two pixels of the coarse layer, where both layers have an edge: neither shows through the other.

    Args:
        layer: the coarse one.
        share: of the field on screen that lies left of the line, 0 to 1.
    """
    columns = field_of(layer)[1]
    column: int = round(columns.start + share * (columns.stop - columns.start))
    return column


def _cut(side: Image, plane: np.ndarray | None, layer: Image, first: int, last: int | None) -> None:
    """Show some columns of a plane; an image cannot be empty."""
    part = None if plane is None else plane[:, first:last]
    if part is None or not part.size:
        side.visible = False
        return
    side.data = part
    side.translate = placed(layer, 1, (0, first), ndim=2)["translate"]
    side.visible = True
