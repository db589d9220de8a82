"""A layer of one plane that follows what a viewer shows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_pssr.layers import alike, insert_over
from napari_pssr.work import Latest

LOOK_MS = 60  # between two looks at sliders and field


class Following(QObject):
    """Looks at a viewer, asks for what is new, and shows the answer in a layer of its own.

    Args:
        owner: the widget that it belongs to.
        viewer: whose view it follows.
    """

    failed = Signal(object)

    def __init__(self, owner: QWidget, viewer: Viewer) -> None:
        super().__init__(owner)
        self._viewer = viewer
        self._shown: Image | None = None
        self._asked: Any = None
        self._latest = Latest(owner)
        self._latest.answered.connect(self._answered)
        self._latest.failed.connect(self.failed)
        # Looked at rather than listened to: not all that changes a field is told, and a viewer outlives its widgets.
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)

    @property
    def layer(self) -> Image | None:
        """The layer that it shows."""
        return self._shown if self._shown in self._viewer.layers else None

    def stop(self) -> None:
        """Follow no more, and take the layer away."""
        self._asked = None
        self._timer.stop()
        self._latest.forget()
        if self.layer is not None:
            self._viewer.layers.remove(self._shown)
        self._shown = None

    def _begin(self) -> None:
        self._timer.start(LOOK_MS)
        self._look()

    def _look(self) -> None:
        """Ask, if something has changed."""
        raise NotImplementedError

    def _answered(self, answer: Any) -> None:
        """Show it, if it is still wanted."""
        raise NotImplementedError

    def _put(self, plane: np.ndarray, what: str, over: Image, where: Mapping[str, Any]) -> None:
        """Show a plane over a layer that it looks like.

        Args:
            plane: (Y, X) counts.
            what: it is, in the name of the layer.
            over: the other one.
            where: from `placed`.
        """
        if self.layer is None:
            self._shown = alike(over, plane, f"{over.name} {what}", **where)
            insert_over(self._viewer, self._shown, over)
            return
        assert self._shown is not None
        self._shown.data = plane
        self._shown.scale, self._shown.translate = where["scale"], where["translate"]
