"""Controls of the widget `Train` alone: a list of files, and a choice of crappifiers."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_pssr.controls import ask_folder
from pssr import recipe_names

USUAL = "point_scan"
BETWEEN = ";"  # files; no name has it on Windows, and few elsewhere
LEAST_CHARS = 10


class FilesChoice(QWidget):
    """Files and folders, typed or looked for.

    Args:
        hint: shown while there is none.
    """

    chosen = Signal()

    def __init__(self, hint: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(hint)
        self.files, self.folder = QPushButton("Files..."), QPushButton("Folder...")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.files)
        row.addWidget(self.folder)
        self.line.editingFinished.connect(self.chosen)
        self.files.clicked.connect(lambda: self._take(QFileDialog.getOpenFileNames(self, "Choose files")[0]))
        self.folder.clicked.connect(lambda: self._take([ask_folder(self)]))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those that are chosen."""
        return tuple(Path(text.strip()) for text in self.line.text().split(BETWEEN) if text.strip())

    @paths.setter
    def paths(self, paths: tuple[Path, ...]) -> None:
        self.line.setText(f"{BETWEEN} ".join(map(str, paths)))
        self.chosen.emit()

    def _take(self, found: list[str]) -> None:
        if any(found):
            self.paths = tuple(map(Path, found))


class CrappifierChoice(QWidget):
    """The crappifiers that come with pssr, and files of one's own."""

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.combo = QComboBox()
        self.combo.setMinimumContentsLength(LEAST_CHARS)
        self.combo.addItems(recipe_names())
        self.combo.setCurrentText(USUAL)
        self.file = QPushButton("File...")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 1)
        row.addWidget(self.file)
        # Also where it is the same one: its file may have changed.
        self.combo.activated.connect(lambda _: self.chosen.emit())
        self.combo.currentIndexChanged.connect(lambda _: self.chosen.emit())
        self.file.clicked.connect(self._look)

    @property
    def recipe(self) -> str:
        """Name or file."""
        return str(self.combo.currentData() or self.combo.currentText())

    def use(self, path: Path) -> None:
        """Choose a file.

        Args:
            path: of a crappifier as YAML.
        """
        known = self.combo.findData(str(path))
        if known < 0:
            self.combo.addItem(path.name, str(path))
            known = self.combo.count() - 1
        if known == self.combo.currentIndex():
            self.chosen.emit()
        self.combo.setCurrentIndex(known)

    def _look(self) -> None:
        found = QFileDialog.getOpenFileName(self, "Choose a crappifier", filter="crappifiers (*.yaml *.yml)")[
            0
        ]
        if found:
            self.use(Path(found))
