"""The widget `Train`: look at what the crappifier makes of a frame, then train on high-resolution material alone."""

import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from napari.utils import progress
from napari.viewer import Viewer

from napari_pssr.crappified import CrappifiedPreview
from napari_pssr.learning import Order, config_of, free_folder, holds_run, log_of, order_of, warnings_of
from napari_pssr.notices import tell, tell_error
from napari_pssr.panel import Panel
from napari_pssr.recent import remember
from napari_pssr.sample import SampleLayers
from napari_pssr.train_form import PARTS, TrainForm, in_words
from napari_pssr.work import Latest, Work
from pssr import ChoiceNeeded, Config, Noted, PhaseStarted, PssrError, Saved, Step, Validated

SAY_S = 0.1  # between two changes of what is said of a step


@runtime_checkable
class TakesModel(Protocol):
    """A widget that can restore with a model."""

    def choose_model(self, path: Path, /) -> None:
        """Take it."""


class Train(Panel):
    """Train on the chosen layer or files: a live preview of the crappified frame first, then curves and samples.

    Args:
        viewer: whose layers.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer)
        self.form = TrainForm(self, viewer)
        self.preview, self.sample = CrappifiedPreview(self, viewer), SampleLayers(self, viewer)
        self._checking = Latest(self)
        self._work: Work | None = None
        self._order: Order | None = None
        self._own: Path | None = None  # a run folder that no person has chosen
        self._source: Any = None  # what it is named after
        self._bar: progress | None = None
        self._said, self._device, self._score, self._step = 0.0, "", "", 0
        self._finished = self._failed = self._is_shut = False
        self._connect()

    def _connect(self) -> None:
        form = self.form
        form.layer.chosen.connect(self._source_changed)
        form.files.chosen.connect(self._source_changed)
        form.real.chosen.connect(lambda _: self._changed())
        form.crappifier.chosen.connect(self._changed)
        for combo in (form.scale, form.frames, form.along, form.size, form.channel):
            combo.currentIndexChanged.connect(lambda _: self._changed())
        form.channel.lineEdit().editingFinished.connect(self._changed)
        form.folder.chosen.connect(self._folder_chosen)
        form.preview.toggled.connect(lambda _: self._follow())
        form.go.clicked.connect(self._clicked)
        self.preview.failed.connect(self._preview_failed)
        self.sample.failed.connect(self._sample_failed)
        self._checking.answered.connect(form.warn)
        self._checking.failed.connect(self._not_checked)
        self._source_changed()

    def use_crappifier(self, path: Path) -> None:
        """Take a crappifier, such as one that was calibrated this minute.

        Args:
            path: of its YAML file.
        """
        folder = self.form.folder.path
        if self._work is None and folder is not None and holds_run(folder):
            # A run that goes on keeps its own.
            self.form.folder.path = None
        self.form.crappifier.use(path)

    def shut(self) -> None:
        """End the preview and the training, which saves itself; the sample stays."""
        self._is_shut = True
        self.preview.stop()
        self.sample.stop()
        self._checking.forget()
        if self._work is not None:
            self._work.stop()
        self._close_bar()

    # What is chosen.

    def _source_changed(self, *_: Any) -> None:
        if self._work is not None:
            return
        source, before = self.form.material.source, self._source
        self._source = source
        if self._own is not None and self.form.folder.path == self._own and source != before:
            # It was named after what was learned from before.
            self.form.folder.path = None
        self.form.show_layer(self.form.layer.layer)
        self.form.show_files()
        self._changed()

    def _folder_chosen(self, _text: str) -> None:
        folder = self.form.folder.path
        if folder is not None and folder.is_dir() and any(folder.iterdir()) and not holds_run(folder):
            # A run among other files could not be told from them.
            self.form.folder.path = free_folder(self.form.material, folder)
            return
        self.form.curves.start([] if folder is None else log_of(folder))
        self._changed()

    def _changed(self) -> None:
        if self._work is not None:
            return
        material, folder = self.form.material, self.form.folder.path
        try:
            kept = config_of(folder) if folder is not None and holds_run(folder) else None
            self.form.show_run(kept, free_folder(material) if material.name else None)
        except PssrError as error:
            self.form.warn((str(error),))
            return
        self._check()
        self._follow()

    def _config(self) -> Config:
        """Of the run that goes on, or of a new one."""
        folder = self.form.folder.path
        return config_of(folder) if folder is not None and holds_run(folder) else self.form.config

    # The crappifier.

    def _check(self) -> None:
        material, real = self.form.material, self.form.real.layer
        self.form.warn(())
        self._checking.forget()
        if not material.name:
            return
        try:
            config = self._config()
        except PssrError as error:
            self._not_checked(error)
            return
        self._checking.ask(lambda: warnings_of(material, real, config))

    def _not_checked(self, error: Exception) -> None:
        if isinstance(error, ChoiceNeeded) and self.form.files.paths:
            self.form.show_files(error.choices)
        self.form.warn((" ".join(str(error).split()),))

    def _follow(self) -> None:
        layer = self.form.layer.layer
        if not self.form.preview.isChecked() or layer is None or self.form.files.paths:
            self.preview.stop()
            if self.form.preview.isChecked() and self._work is None:
                self.form.state.setText("open a file as a layer, and choose that, to see it crappified")
            return
        try:
            config = self._config()
        except PssrError as error:
            self._preview_failed(error)
            return
        self.preview.start(layer, config)

    def _preview_failed(self, error: Exception) -> None:
        self.form.preview.setChecked(False)
        tell_error(error)

    # The training.

    def _clicked(self) -> None:
        if self._work is not None:
            self._work.stop()
            self.form.go.setEnabled(False)
            self.form.state.setText("stops after this step, and saves ...")
            return
        try:
            self._begin(self._settled())
        except PssrError as error:
            tell_error(error)

    def _settled(self) -> Order:
        material, folder = self.form.material, self.form.folder.path
        own = free_folder(material)
        order = order_of(material, self._config(), folder or own, self.form.minutes.value())
        if folder is None:
            self._own = own
            self.form.folder.path = own
        return order

    def _begin(self, order: Order) -> None:
        self._order, self._finished, self._failed, self._score, self._step = order, False, False, "", 0
        self.form.curves.start(log_of(order.folder))
        self._bar = progress(total=PARTS, desc=f"train {order.folder.name}")
        self._work = Work(self, order.events)
        self._work.told.connect(self._told)
        self._work.failed.connect(self._went_wrong)
        self._work.ended.connect(self._ended)
        self.form.running(True)
        self._work.start()

    def _told(self, event: Any) -> None:
        if self._order is None or (self._work is not None and self._work.stopped):
            return
        match event:
            case tuple():
                layer = None if self._order.material.files else self._order.material.layer
                self.sample.start(self._order.folder, event, layer)
            case PhaseStarted():
                self._device = f"on {event.device} in {event.precision}"
                self.form.about.setText(
                    f"{self._device}: {event.parameters:,} weights, {event.planes} frames, {event.batch} patches a step"
                )
            case Step():
                self._stepped(event)
            case Validated():
                self._score = f"; restored {event.psnr:.1f} dB, bicubic {event.bicubic_psnr:.1f} dB"
                self.form.curves.add_score(event.step, event.psnr, event.bicubic_psnr)
            case Saved():
                self._finished = event.finished
                self.sample.refresh()
            case Noted(message):
                tell(message)

    def _stepped(self, event: Step) -> None:
        self._step = event.step
        self.form.curves.add_loss(event.step, event.loss)
        now = time.monotonic()
        if now - self._said < SAY_S or self._order is None:
            return
        self._said = now
        part = round(PARTS * event.progress)
        self.form.bar.setValue(part)
        if self._bar is not None:
            self._bar.update(part - self._bar.n)
        left = 60 * self._order.minutes * (1 - event.progress)
        self.form.state.setText(
            f"step {event.step}, loss {event.loss:.3g}{self._score}; {in_words(left)} left"
        )

    def _sample_failed(self, error: Exception) -> None:
        # It would fail again after each save.
        self.sample.stop()
        tell_error(error)

    def _went_wrong(self, error: Exception) -> None:
        self._failed = True
        tell_error(error)
        if isinstance(error, ChoiceNeeded) and self.form.files.paths:
            self.form.show_files(error.choices)

    def _ended(self) -> None:
        work, order = self._work, self._order
        self._work = None
        self._close_bar()
        self.form.running(False)
        self.form.show_files()
        if order is None or work is None or self._is_shut:
            return
        if not holds_run(order.folder) and self.form.folder.path == self._own:
            self.form.folder.path = None
        self._changed()
        if self._failed:
            self.form.state.setText("")
        elif self._finished:
            self._select(order.folder)
        else:
            self.form.state.setText(
                f"stopped after step {self._step}{self._score}; what was learned is saved"
            )
            self.sample.refresh()
        if holds_run(order.folder):
            remember(order.folder)

    def _select(self, folder: Path) -> None:
        """Have the model chosen wherever models are restored with."""
        self.form.bar.setValue(PARTS)
        self.form.state.setText(
            f"trained {self._step} steps{self._score}; give it more minutes in all to go on"
        )
        taken = [w for w in self.viewer.window.dock_widgets.values() if isinstance(w, TakesModel)]
        for widget in taken:
            widget.choose_model(folder)
        where = "it is selected in Restore" if taken else "open Restore to use it"
        tell(f"{folder.name}: is trained; {where}")

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
