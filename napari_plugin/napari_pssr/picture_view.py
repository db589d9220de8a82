"""A picture in a narrow widget, and in a window of its own."""

from pathlib import Path

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QMouseEvent, QPainter, QPaintEvent, QPixmap
from qtpy.QtWidgets import QLabel, QScrollArea, QSizePolicy, QWidget


class PictureView(QWidget):
    """A picture as wide as there is room for; a click shows it in its own size.

    Hidden until there is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pixmap = QPixmap()
        self.window_of_its_own: QScrollArea | None = None
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.hide()

    def show_file(self, path: Path | None) -> None:
        """Show a picture.

        Args:
            path: of a PNG; None hides what is shown.
        """
        self.pixmap = QPixmap() if path is None else QPixmap(str(path))
        self.setVisible(not self.pixmap.isNull())
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:
        """It keeps its proportions."""
        return True

    def heightForWidth(self, width: int) -> int:
        """As high as it is in its own size, for a width."""
        return int(width * self.pixmap.height() / max(self.pixmap.width(), 1))

    def sizeHint(self) -> QSize:
        """As large as it is now."""
        return QSize(self.width(), self.heightForWidth(self.width()))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint it as large as fits."""
        if self.pixmap.isNull():
            return
        # Scaled before it is painted: a painter takes every third pixel, and thin lines and letters are lost.
        ratio = self.devicePixelRatioF()
        small = self.pixmap.scaled(
            self.size() * ratio,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        small.setDevicePixelRatio(ratio)
        painter = QPainter(self)
        painter.drawPixmap(0, 0, small)
        painter.end()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Show it in its own size."""
        if self.pixmap.isNull():
            return
        label, area = QLabel(), QScrollArea(self)
        label.setPixmap(self.pixmap)
        area.setWidget(label)
        area.setWindowFlag(Qt.WindowType.Window)
        area.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        area.setWindowTitle("photon transfer")
        area.resize(self.pixmap.size() + QSize(4, 4))
        area.show()
        area.destroyed.connect(self._closed)
        self.window_of_its_own = area

    def _closed(self) -> None:
        self.window_of_its_own = None
