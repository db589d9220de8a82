"""The controls of the widget `Restore`."""

from collections.abc import Sequence
from pathlib import Path

import psutil
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_pssr.controls import LayerChoice, PathChoice, form_in, row, text, warned
from napari_pssr.layers import origin_of
from napari_pssr.model_choice import ModelChoice
from pssr import Predictor

SHARE = 0.25  # of the memory that is free, up to which a restored stack stays there


class RestoreForm:
    """Controls, and how they look in each state.

    Args:
        owner: to put them into.
        viewer: whose layers are offered.
    """

    def __init__(self, owner: QWidget, viewer: Viewer) -> None:
        self.layer, self.model = LayerChoice(viewer), ModelChoice()
        self.about, self.state, self.warnings = text(), text(), text()
        self.about.setText("no model")
        self.along, self.channels = QComboBox(), QComboBox()
        self.along.addItems(["T, time", "Z, depth"])
        self.channels.addItems(["this layer", "all channels of its file"])
        self.turns, self.uncertainty = QCheckBox("average over flips and turns"), QCheckBox("uncertainty")
        self.target = PathChoice(ask_target, "in memory")
        self.memory_gb = QDoubleSpinBox()
        self.memory_gb.setRange(0.001, 10_000)
        self.memory_gb.setDecimals(3)
        self.memory_gb.setSuffix(" GB")
        self.memory_gb.setValue(SHARE * psutil.virtual_memory().available / 1e9)
        self.preview, self.go = QCheckBox("Preview (Alt+P)"), QPushButton("Restore stack")
        self.bar = QProgressBar()
        self.bar.hide()
        self._lay_out(owner)

    def _lay_out(self, owner: QWidget) -> None:
        column, form = form_in(owner)
        row(form, "low-resolution", self.layer, "the noisy, low-resolution layer to restore")
        row(form, "model", self.model, "a run folder or model file; those used before are in the list")
        row(form, "", self.about, "what the model is, and on which device it computes")
        row(form, "slider is", self.along, "what the slider of a stack without named axes goes along")
        row(form, "channels", self.channels, "one layer, or every channel of the file that it comes from")
        row(
            form,
            "",
            self.turns,
            "restores each frame in eight orientations and averages them: better, eight times slower",
        )
        row(
            form,
            "",
            self.uncertainty,
            "also tells, in counts, how far answers lie apart: over flips and turns, and over noise drawn anew; 17 times slower",
        )
        row(
            form,
            "save to",
            self.target,
            "an .ome.zarr that planes are written to as they are finished; empty keeps them in memory",
        )
        row(form, "memory", self.memory_gb, "a restored stack larger than this needs a file")
        row(form, "", self.preview, "restores what is on screen now, and follows the sliders and the view")
        column.addWidget(self.go)
        self.go.setToolTip("restores every frame in the background; what is done stays when you cancel")
        for widget, tip in ((self.bar, "planes that are done"), (self.state, "what goes on"),
                            (self.warnings, "in what this stack differs from what the model was trained on")):  # fmt: skip
            column.addWidget(widget)
            widget.setToolTip(tip)

    @property
    def axis(self) -> str:
        """What the slider of a layer goes along, "T" or "Z"."""
        return "TZ"[self.along.currentIndex()]

    @property
    def every_channel(self) -> bool:
        """Whether all channels of the file are wanted."""
        return bool(self.channels.isEnabled() and self.channels.currentIndex() == 1)

    def show_layer(self, layer: Image | None) -> None:
        """Offer what a layer allows."""
        found = None if layer is None else origin_of(layer)
        several = found is not None and found.stack.sizes["C"] > 1
        self.channels.setEnabled(several)
        if not several:
            self.channels.setCurrentIndex(0)
        if found is not None and "T" not in found.axes and "Z" in found.axes:
            self.along.setCurrentIndex(1)

    def show_model(self, predictor: Predictor) -> None:
        """Say what a model is."""
        config = predictor.model.config
        frames = f"{config.frames} frames along {config.axis}" if config.frames > 1 else "single frames"
        self.about.setText(
            f"{predictor.name}: {frames}, {config.scale} times finer; on {predictor.device} in {predictor.precision}"
        )

    def warn(self, sentences: Sequence[str]) -> None:
        """Say in what a stack is not like the training."""
        self.warnings.setText(warned(sentences))

    def show_progress(self, done: int, total: int, here: int, seconds: float) -> None:
        """Say how far it is.

        Args:
            done: planes, of those before too.
            total: of how many.
            here: planes since it began.
            seconds: since then.
        """
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        left = seconds / max(here, 1) * (total - done)
        ends = f"about {left:.0f} s left" if done < total else f"in {seconds:.0f} s"
        self.state.setText(f"{done} of {total} planes, {ends}")

    def running(self, on: bool) -> None:
        """Show that it goes on, or does not.

        Args:
            on: whether it does.
        """
        self.go.setText("Cancel" if on else "Restore stack")
        self.bar.setVisible(on)
        if on:
            self.bar.setRange(0, 0)
            self.state.setText("begins ...")


def ask_target(parent: QWidget) -> str:
    """A file to restore to that a person names."""
    found = str(QFileDialog.getSaveFileName(parent, "Restore to", filter="OME-Zarr (*.ome.zarr)")[0])
    return found if not found or Path(found).name.endswith(".zarr") else f"{found}.ome.zarr"
