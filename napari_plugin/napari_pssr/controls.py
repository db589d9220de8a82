"""Controls that several widgets have: a choice of layers, of a file, labelled rows; each says what it is for."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_pssr.layers import FOLLOWER, KEY

MODELS = "models (*.safetensors)"


class LayerChoice(QComboBox):
    """The image layers of one viewer, kept up to date.

    Args:
        viewer: whose layers.
        none: what stands for no layer; empty if one must be chosen.
    """

    chosen = Signal(object)  # the layer, or None

    def __init__(self, viewer: Viewer, none: str = "") -> None:
        super().__init__()
        self._viewer, self._none = viewer, none
        self.setMinimumContentsLength(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for event in (
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.layers.events.reordered,
        ):
            event.connect(self._refill)
        viewer.layers.events.inserted.connect(self._watch_names)
        for layer in viewer.layers:
            layer.events.name.connect(self._refill)
        self._refill()
        self.currentIndexChanged.connect(lambda _: self.chosen.emit(self.layer))

    @property
    def layer(self) -> Image | None:
        """The one that is chosen."""
        found = self.currentData()
        return found if found in self._viewer.layers else None

    @layer.setter
    def layer(self, layer: Image | None) -> None:
        self.setCurrentIndex(max(self._index(layer), 0) if layer is not None or self._none else -1)

    def _watch_names(self, event: Any) -> None:
        event.value.events.name.connect(self._refill)

    def _index(self, layer: Image | None) -> int:
        return next((k for k in range(self.count()) if self.itemData(k) is layer), -1)

    def _refill(self, _event: Any = None) -> None:
        if not isalive(self):
            self._forget()
            return
        before = self.currentData()
        self.blockSignals(True)
        self.clear()
        if self._none:
            self.addItem(self._none, None)
        for layer in self._viewer.layers:
            if isinstance(layer, Image) and not layer.rgb and layer.metadata.get(KEY) != FOLLOWER:
                self.addItem(layer.name, layer)
        kept = self._index(before)
        # The newest is what a person has just opened.
        self.setCurrentIndex(kept if kept >= 0 else (0 if self._none else self.count() - 1))
        self.blockSignals(False)
        if self.currentData() is not before:
            self.chosen.emit(self.layer)

    def _forget(self) -> None:
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.disconnect(self._refill)
        events.inserted.disconnect(self._watch_names)
        for layer in self._viewer.layers:
            layer.events.name.disconnect(self._refill)


class PathChoice(QWidget):
    """A path, typed or looked for.

    Args:
        ask: shows a dialog and returns what was chosen; empty for nothing.
        hint: shown while it is empty.
    """

    chosen = Signal(str)

    def __init__(self, ask: Callable[[QWidget], str], hint: str) -> None:
        super().__init__()
        self._ask = ask
        self.line = QLineEdit()
        self.line.setPlaceholderText(hint)
        self.button = QPushButton("Browse")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.button.clicked.connect(self._browse)
        self.line.editingFinished.connect(lambda: self.chosen.emit(self.line.text()))

    @property
    def path(self) -> Path | None:
        """What is chosen; None while it is empty."""
        text = self.line.text().strip()
        return Path(text) if text else None

    @path.setter
    def path(self, path: Path | None) -> None:
        self.line.setText("" if path is None else str(path))
        self.chosen.emit(self.line.text())

    def _browse(self) -> None:
        found = self._ask(self)
        if found:
            self.path = Path(found)


def ask_folder(parent: QWidget) -> str:
    """A folder that a person looks for."""
    return str(QFileDialog.getExistingDirectory(parent, "Choose a folder"))


def ask_model(parent: QWidget) -> str:
    """A model file that a person looks for."""
    return str(QFileDialog.getOpenFileName(parent, "Choose a model", filter=MODELS)[0])


def row(form: QFormLayout, label: str, control: QWidget, tip: str) -> None:
    """A labelled control that says what it is for.

    Args:
        form: to put it into.
        label: before it; empty for a control that takes the whole width.
        control: the control.
        tip: a sentence, shown when the mouse rests on it.
    """
    if label:
        form.addRow(label, control)
    else:
        form.addRow(control)
    control.setToolTip(tip)
    for child in control.findChildren(QWidget):
        child.setToolTip(tip)
    named = form.labelForField(control)
    if named is not None:
        named.setToolTip(tip)


def form_in(owner: QWidget) -> tuple[QVBoxLayout, QFormLayout]:
    """A column in a widget, and a form at its top.

    Args:
        owner: an empty widget.
    """
    column, form = QVBoxLayout(owner), QFormLayout()
    column.setAlignment(Qt.AlignmentFlag.AlignTop)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    column.addLayout(form)
    return column, form


def text() -> QLabel:
    """Sentences as long as they may be, which can be marked and copied."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def beside(*widgets: QWidget) -> QWidget:
    """Several controls in one row.

    Args:
        widgets: from left to right.
    """
    whole = QWidget()
    line = QHBoxLayout(whole)
    line.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        line.addWidget(widget)
    return whole


def warned(sentences: Sequence[str]) -> str:
    """Warnings, a line each."""
    return "\n".join(f"\N{WARNING SIGN} {sentence}" for sentence in sentences)


def file_name(name: str) -> str:
    """A layer's name as one that every system allows for a file."""
    return re.sub(r'[\\/:*?"<>|]+', "_", name).strip() or "layer"
