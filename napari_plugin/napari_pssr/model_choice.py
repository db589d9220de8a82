"""A choice of models: those used before, and any other file or run folder."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QWidget

from napari_pssr.controls import ask_folder, ask_model
from napari_pssr.recent import recent_models

LEAST_CHARS = 12


class ModelChoice(QWidget):
    """Models that were used before, the last one first, and two buttons to look for others."""

    chosen = Signal(object)  # a path, or None

    def __init__(self) -> None:
        super().__init__()
        self.combo = QComboBox()
        self.combo.setMinimumContentsLength(LEAST_CHARS)
        self.combo.setPlaceholderText("no model yet")
        self.folder, self.file = QPushButton("Run..."), QPushButton("File...")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 1)
        row.addWidget(self.folder)
        row.addWidget(self.file)
        for path in recent_models():
            self.combo.addItem(_label(path), path)
        self.combo.currentIndexChanged.connect(lambda _: self.chosen.emit(self.path))
        self.folder.clicked.connect(lambda: self._look(ask_folder(self)))
        self.file.clicked.connect(lambda: self._look(ask_model(self)))

    @property
    def path(self) -> Path | None:
        """The one that is chosen."""
        found = self.combo.currentData()
        return found if isinstance(found, Path) else None

    @path.setter
    def path(self, path: Path) -> None:
        path = path.resolve()
        known = [self.combo.itemData(k) for k in range(self.combo.count())]
        if path in known and known.index(path) == self.combo.currentIndex():
            # Trained on since it was chosen.
            self.chosen.emit(path)
            return
        if path not in known:
            self.combo.insertItem(0, _label(path), path)
            known.insert(0, path)
        self.combo.setCurrentIndex(known.index(path))

    def _look(self, found: str) -> None:
        if found:
            self.path = Path(found)


def _label(path: Path) -> str:
    """Of a run folder its name, of a model file that of its folder too."""
    return path.name if path.is_dir() else f"{path.parent.name}/{path.name}"
