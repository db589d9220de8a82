"""The controls of the widget `Train`."""

from collections.abc import Sequence
from pathlib import Path

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_pssr.controls import LayerChoice, PathChoice, ask_folder, beside, form_in, row, text, warned
from napari_pssr.curves import Curves
from napari_pssr.layers import origin_of
from napari_pssr.learning import SIZES, Material, settings
from napari_pssr.train_controls import CrappifierChoice, FilesChoice
from pssr import Config

SCALES, FRAMES = (1, 2, 3, 4, 8), (1, 3, 5)
MINUTES = 10.0
PARTS = 1000  # of the bar


class TrainForm:
    """Controls, and how they look in each state.

    Args:
        owner: to put them into.
        viewer: whose layers are offered.
    """

    def __init__(self, owner: QWidget, viewer: Viewer) -> None:
        self.layer, self.real = LayerChoice(viewer), LayerChoice(viewer, "none")
        self.files, self.channel = FilesChoice("none: the layer"), QComboBox()
        self.channel.setEditable(True)
        self.channel.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.channel.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.crappifier, self.preview = CrappifierChoice(), QCheckBox("show crappified")
        self.scale, self.frames, self.along, self.size = QComboBox(), QComboBox(), QComboBox(), QComboBox()
        self.scale.addItems([f"{scale}x" for scale in SCALES])
        self.frames.addItems([str(frames) for frames in FRAMES])
        self.along.addItems(["T, time", "Z, depth"])
        self.size.addItems(SIZES)
        self.scale.setCurrentIndex(SCALES.index(4))
        self.frames.setCurrentIndex(FRAMES.index(3))
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.01, 100_000)
        self.minutes.setSuffix(" min")
        self.minutes.setValue(MINUTES)
        self.folder = PathChoice(ask_folder, "")
        self.go, self.bar = QPushButton("Train"), QProgressBar()
        self.bar.setRange(0, PARTS)
        self.bar.hide()
        self.about, self.state, self.warnings = text(), text(), text()
        self.curves = Curves(viewer)
        self._lay_out(owner)

    def _lay_out(self, owner: QWidget) -> None:
        column, form = form_in(owner)
        row(form, "high-resolution", self.layer, "the sharp layer to learn from")
        row(form, "or files", self.files, "files or folders to learn from, instead of the layer")
        row(
            form, "channel", self.channel, "of the files: a name or number, or all; empty where they have one"
        )
        row(
            form,
            "crappifier",
            self.crappifier,
            "makes sharp frames as bad as your microscope does; Calibrate fits one to it",
        )
        row(
            form,
            "compare with",
            self.real,
            "a real low-resolution layer, of any field; its noise and sharpness are compared with crappified frames",
        )
        row(
            form,
            "",
            self.preview,
            "shows the frame on screen as the crappifier makes it, in a layer over the sharp one",
        )
        self._lay_out_network(form)
        row(form, "time", self.minutes, "for the whole training; one that goes on counts earlier minutes too")
        row(
            form,
            "run folder",
            self.folder,
            "for model, curves and samples; one that holds a training goes on with it",
        )
        self._lay_out_training(column)

    def _lay_out_training(self, column: QVBoxLayout) -> None:
        column.addWidget(self.warnings)
        column.addWidget(self.go)
        for widget in (self.bar, self.state, self.about, self.curves):
            column.addWidget(widget)
        self.go.setToolTip(
            "trains in the background; what was learned is saved when you stop, and goes on later"
        )
        self.warnings.setToolTip("in what crappified frames differ from real ones")
        self.bar.setToolTip("how much of the time is over")
        self.state.setToolTip("what goes on")
        self.about.setToolTip("on which device it trains, and how large the network is")
        self.curves.setToolTip(
            "the loss; and how well frames are restored that nothing is learned from, higher is better"
        )

    def _lay_out_network(self, form: QFormLayout) -> None:
        tip = "how many times finer restored frames are, and from how many frames in a row each is restored"
        row(form, "scale, frames", beside(self.scale, self.frames), tip)
        self.scale.setToolTip("restored pixels for each low-resolution pixel, along Y and X")
        self.frames.setToolTip("in a row from which the middle one is restored; 1 for single images")
        tip = "along what frames follow each other, and how large the network is"
        row(form, "along, network", beside(self.along, self.size), tip)
        self.along.setToolTip("what frames follow each other along: time, or the depth of a stack")
        self.size.setToolTip(
            "fast suits most movies; a step of small takes about three times as long, one of quality ten times"
        )

    @property
    def material(self) -> Material:
        """What is learned from."""
        channel = self.channel.currentText().strip() or None
        along = "TZ"[self.along.currentIndex()]
        return Material(self.layer.layer, self.files.paths, channel, along)

    @property
    def config(self) -> Config:
        """The settings of a new training.

        Raises:
            ConfigError: the crappifier cannot be read.
        """
        return settings(
            crappifier=self.crappifier.recipe, scale=SCALES[self.scale.currentIndex()],
            frames=FRAMES[self.frames.currentIndex()], along="TZ"[self.along.currentIndex()],
            size=self.size.currentText(),
        )  # fmt: skip

    def show_layer(self, layer: Image | None) -> None:
        """Take from a layer what it knows."""
        found = None if layer is None else origin_of(layer)
        axes = found.axes if found else "".join(layer.axis_labels).upper() if layer is not None else ""
        if "T" in axes or "Z" in axes:
            self.along.setCurrentIndex(0 if "T" in axes else 1)

    def show_files(self, choices: Sequence[str] = ()) -> None:
        """Say whether files take the place of the layer, and which channels they have."""
        given = bool(self.files.paths)
        self.layer.setEnabled(not given)
        self.channel.setEnabled(given)
        if choices and [self.channel.itemText(k) for k in range(self.channel.count())] != [*choices, "all"]:
            self.channel.clear()
            self.channel.addItems([*choices, "all"])
            self.channel.setCurrentIndex(-1)
            self.channel.setEditText("")

    def show_run(self, config: Config | None, suggested: Path | None) -> None:
        """Show that there is a run to go on with, whose settings stay; or none.

        Args:
            config: its settings; None where there is none.
            suggested: the folder of a new run.
        """
        self.folder.line.setPlaceholderText("" if suggested is None else str(suggested))
        for control in (self.crappifier, self.scale, self.frames, self.along, self.size):
            control.setEnabled(config is None)
        self.go.setText("Train" if config is None else "Resume")
        if config is None:
            return
        self.scale.setCurrentText(f"{config.scale}x")
        self.frames.setCurrentText(str(config.frames))
        self.along.setCurrentIndex("TZ".index(config.axis))
        self.size.setCurrentText(str(config.network.settings.get("size", "fast")))

    def warn(self, sentences: Sequence[str]) -> None:
        """Say what a person should know before a training."""
        self.warnings.setText(warned(sentences))
        self.warnings.setVisible(bool(sentences))

    def running(self, on: bool) -> None:
        """Show that it goes on, or does not.

        Args:
            on: whether it does.
        """
        controls = (self.layer, self.real, self.files, self.channel, self.crappifier, self.scale, self.frames, self.along,
                    self.size, self.minutes, self.folder)  # fmt: skip
        for control in controls:
            control.setEnabled(not on)
        self.bar.setVisible(on)
        self.go.setText("Stop" if on else "Train")
        self.go.setEnabled(True)
        if on:
            self.bar.setValue(0)
            self.state.setText("reads the movies and measures the device ...")
            self.about.setText("")


def in_words(seconds: float) -> str:
    """A time that a person can plan with.

    Args:
        seconds: of it.
    """
    if seconds < 100:
        return f"about {seconds:.0f} s"
    minutes = seconds / 60
    return f"about {minutes:.0f} min" if minutes < 100 else f"about {minutes / 60:.1f} h"
