"""The widget `Calibrate`: from real low-resolution frames to a crappifier that makes such noise."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtWidgets import QCheckBox, QFileDialog, QPushButton, QWidget

from napari_pssr.controls import LayerChoice, PathChoice, file_name, form_in, row, text
from napari_pssr.layers import named, origin_of, stack_of_layer, step_of
from napari_pssr.notices import tell, tell_error, tell_warning
from napari_pssr.panel import Panel
from napari_pssr.picture_view import PictureView
from napari_pssr.work import Work
from pssr import ChoiceNeeded, Movie, PssrError, WriteError, calibrate

ENDING = "_crappifier.yaml"
DEPTHS = 16  # around the one on screen, of stacks that have no time
FIGURE = "measured noise against brightness, and real frames beside crappified ones; click to enlarge"


@runtime_checkable
class TakesCrappifier(Protocol):
    """A widget that can train with a crappifier of a file."""

    def use_crappifier(self, path: Path, /) -> None:
        """Take it."""


class Calibrate(Panel):
    """Measure gain, offset and noise of a microscope in a layer, and write a crappifier fitted to them.

    Args:
        viewer: whose layers.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer)
        self.low = LayerChoice(viewer)
        self.high, self.dark = LayerChoice(viewer, "none"), LayerChoice(viewer, "none")
        self.align, self.overwrite = QCheckBox("align"), QCheckBox("overwrite")
        self.out = PathChoice(ask_crappifier, "name.yaml")
        self.go, self.use = QPushButton("Calibrate"), QPushButton("Use in Train")
        self.picture, self.lines = PictureView(), text()
        self.written: Path | None = None
        self._work: Work | None = None
        self._suggested: Path | None = None
        self._lay_out()
        self.low.chosen.connect(self._suggest)
        self.high.chosen.connect(lambda layer: self.align.setEnabled(layer is not None))
        self.go.clicked.connect(self._clicked)
        self.use.clicked.connect(self._use)
        self.align.setEnabled(False)
        self.use.setEnabled(False)
        self._suggest(self.low.layer)

    def _lay_out(self) -> None:
        column, form = form_in(self)
        row(
            form,
            "low-resolution",
            self.low,
            "a movie of the microscope in counts, as it will be restored; three frames or more",
        )
        row(form, "high-resolution", self.high, "the same field, sharp: then the blur is measured too")
        row(form, "", self.align, "accepts a high-resolution layer that lies over half a coarse pixel off")
        row(form, "dark", self.dark, "frames recorded without light: then the offset is surer")
        row(form, "save to", self.out, "the crappifier, a .yaml; its figure is written beside it as .png")
        row(form, "", self.overwrite, "replaces a crappifier of that name")
        for widget, tip in (
            (self.go, "measures the noise in the background and writes the crappifier"),
            (self.picture, FIGURE),
            (self.lines, "what was measured"),
            (self.use, "lets the widget Train make its bad frames with this crappifier"),
        ):
            column.addWidget(widget)
            widget.setToolTip(tip)

    def shut(self) -> None:
        """Wait for nothing more."""
        if self._work is not None:
            self._work.stop()

    def _suggest(self, layer: Image | None) -> None:
        """A file beside that of the layer, unless a person has named one."""
        if self.out.path == self._suggested:
            self._suggested = None if layer is None else suggested(layer)
            self.out.path = self._suggested

    def _clicked(self) -> None:
        if self._work is not None:
            return
        try:
            begin = self._settled()
        except PssrError as error:
            tell_error(error)
            return
        self.picture.show_file(None)
        self.lines.setText("measuring ...")
        self._work = Work(self, begin)
        self._work.told.connect(self._told)
        self._work.failed.connect(self._failed)
        self._work.ended.connect(self._ended)
        self.go.setEnabled(False)
        self.use.setEnabled(False)
        self._work.start()

    def _settled(self) -> Callable[[], Generator[Any, None, None]]:
        """What is asked for now; a person may choose something else while it goes on.

        Raises:
            PssrError: something is missing, or no stack, or there already.
        """
        low, high, dark, out = self.low.layer, self.high.layer, self.dark.layer, self.out.path
        if low is None:
            raise ChoiceNeeded("calibration: no low-resolution layer is chosen; open one")
        if out is None:
            raise ChoiceNeeded("calibration: has no name; choose where to save it")
        overwrite, align = self.overwrite.isChecked(), self.align.isChecked() and high is not None
        for path in () if overwrite else (out, out.with_suffix(".png")):
            if path.exists():
                raise WriteError(f"{path}: exists already; choose another name, or tick overwrite")
        depths = self._depths(low)
        lows = movies_of(low, depths)
        highs = [] if high is None else movies_of(high, depths)
        black = None if dark is None else movies_of(dark, [0])

        def once() -> Generator[Any, None, None]:
            yield (
                out,
                calibrate(lows, highs=highs, dark=black, out=out, align=align, overwrite=overwrite).lines(),
            )

        return once

    def _depths(self, layer: Image) -> list[int]:
        """The depth on screen, of a stack without time those around it too: they are taken one by one."""
        stack, _ = stack_of_layer(layer)
        at = step_of(layer, self.viewer.dims)["Z"]
        if stack.sizes["T"] > 1:
            return [at]
        return list(range(max(at - DEPTHS, 0), min(at + DEPTHS, stack.sizes["Z"])))

    def _told(self, answer: tuple[Path, list[str]]) -> None:
        self.written, lines = answer
        self.picture.show_file(self.written.with_suffix(".png"))
        self.lines.setText("\n".join([*lines, f"written to {self.written}"]))

    def _failed(self, error: Exception) -> None:
        self.lines.setText("")
        tell_error(error)

    def _ended(self) -> None:
        self._work = None
        self.go.setEnabled(True)
        self.use.setEnabled(self.written is not None)

    def _use(self) -> None:
        if self.written is None:
            return
        if not self.written.exists():
            tell_warning(f"{self.written}: is not there any more; calibrate again")
            return
        for widget in self.viewer.window.dock_widgets.values():
            if isinstance(widget, TakesCrappifier):
                widget.use_crappifier(self.written)
                if isinstance(widget, QWidget):
                    _raise(widget)
                return
        tell(f"Train is not open; open it and choose {self.written} as its crappifier")


def movies_of(layer: Image, depths: list[int]) -> list[Movie]:
    """Movies over time of a layer.

    Args:
        layer: an image.
        depths: one movie for each; one past the end is the last.

    Raises:
        PssrError: it is no stack.
    """
    stack, channel = stack_of_layer(layer)
    last = stack.sizes["Z"] - 1
    return [stack.movie(channel, z=min(z, last)) for z in depths]


def suggested(layer: Image) -> Path:
    """A file beside that of a layer; in the home folder where it has none.

    Args:
        layer: an image.
    """
    found = origin_of(layer)
    if found is not None and found.stack.format != "array" and found.stack.path.exists():
        return found.stack.path.absolute().with_name(f"{file_name(named(found.stack))}{ENDING}")
    return Path.home() / f"{file_name(layer.name)}{ENDING}"


def ask_crappifier(parent: QWidget) -> str:
    """A file that a person names."""
    found = str(QFileDialog.getSaveFileName(parent, "Save the crappifier", filter="crappifier (*.yaml)")[0])
    return found if not found or Path(found).suffix in (".yaml", ".yml") else f"{found}.yaml"


def _raise(widget: QWidget) -> None:
    """Bring the dock of a widget to the front."""
    dock = widget.parent()
    if isinstance(dock, QWidget):
        dock.show()
        dock.raise_()
