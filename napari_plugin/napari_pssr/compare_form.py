"""The controls of the widget `Compare`."""

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QSlider,
    QWidget,
)

from napari_pssr.controls import LayerChoice, beside, form_in, row, text, warned
from napari_pssr.profile_plot import ProfilePlot
from napari_pssr.result import restored_of

STEPS = 1000  # of the swipe's slider
NOTHING = "nothing unusual was found: the stack is like those that the model was trained on"
UNKNOWN = "this layer was not restored here, so that nothing is known of the model"


class CompareForm:
    """Controls, and what they say.

    Args:
        owner: to put them into.
        viewer: whose layers are offered.
    """

    def __init__(self, owner: QWidget, viewer: Viewer) -> None:
        self.before, self.after = LayerChoice(viewer), LayerChoice(viewer)
        self.blink, self.swipe = QCheckBox("blink"), QCheckBox("swipe")
        self.rate_hz = QDoubleSpinBox()
        self.rate_hz.setRange(0.2, 10)
        self.rate_hz.setValue(2)
        self.rate_hz.setSingleStep(0.5)
        self.rate_hz.setDecimals(1)
        self.rate_hz.setSuffix(" Hz")
        self.line = QSlider(Qt.Orientation.Horizontal)
        self.line.setRange(0, STEPS)
        self.line.setValue(STEPS // 2)
        self.percent = QLabel("50 %")
        self.line.valueChanged.connect(lambda _: self.percent.setText(f"{100 * self.share:.0f} %"))
        self.draw, self.plot = QPushButton("Draw a line"), ProfilePlot(viewer)
        self.consistency, self.differs = QCheckBox("consistency map"), text()
        self.uncertainty = QPushButton("Show uncertainty")
        self.warnings = text()
        self._lay_out(owner)
        self.say_difference("")

    def _lay_out(self, owner: QWidget) -> None:
        column, form = form_in(owner)
        row(form, "before", self.before, "the layer that was measured, shown left of the line")
        row(form, "after", self.after, "the restored layer, shown right of the line")
        row(
            form,
            "",
            beside(self.blink, self.rate_hz),
            "shows one layer and the other in turn, so often a second",
        )
        row(
            form,
            "",
            beside(self.swipe, self.line, self.percent),
            "shows the one left and the other right of a line across what is on screen; drag to move the line",
        )
        row(form, "profile", self.draw, "draw a line in the picture: both layers are plotted along it, below")
        self.plot.setToolTip("counts of both layers along the selected line, or the last one drawn")
        column.addWidget(self.plot)
        maps = QFormLayout()
        column.addLayout(maps)
        row(
            maps,
            "maps",
            self.consistency,
            "what the restored stack says the microscope should have seen in each of its pixels, minus what it saw, in counts; "
            "noise is no reason for doubt, structure is",
        )
        row(maps, "", self.differs, "the consistency map of this frame, in numbers")
        row(maps, "", self.uncertainty, "how far the model's answers lie apart, as layers, in counts")
        row(maps, "warnings", self.warnings, "in what the stack differs from what the model was trained on")

    @property
    def share(self) -> float:
        """Of the field that lies left of the line, 0 to 1."""
        return float(self.line.value() / STEPS)

    def say_difference(self, text: str) -> None:
        """Say something of the consistency map.

        Args:
            text: a sentence; nothing hides it.
        """
        self.differs.setText(text)
        self.differs.setVisible(bool(text))

    def show_after(self, layer: Image | None) -> None:
        """Say what is known of the restored layer.

        Args:
            layer: the one chosen.
        """
        found = None if layer is None else restored_of(layer)
        known = found is not None and bool(found.uncertainty)
        self.uncertainty.setEnabled(known)
        self.uncertainty.setToolTip(
            "how far the model's answers lie apart, as layers, in counts: over flips and turns, and over noise drawn anew"
            if known
            else "this layer has none; tick uncertainty in Restore before you restore"
        )
        if found is None:
            self.warnings.setText(UNKNOWN if layer is not None else "")
            return
        self.warnings.setText(warned(found.warnings) or NOTHING)
