"""What all our widgets have in common: an end."""

from napari.viewer import Viewer
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget


class Panel(QWidget):
    """A widget of one viewer that knows when it is closed.

    napari takes a widget out of its dock when a person closes that, and keeps it: only its parent changes.

    Args:
        viewer: that it belongs to.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer = viewer

    def event(self, event: QEvent) -> bool:
        """Notice that the dock was closed."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.shut()
        return bool(super().event(event))

    def shut(self) -> None:
        """End what goes on, and leave the viewer as a person would like to find it."""
