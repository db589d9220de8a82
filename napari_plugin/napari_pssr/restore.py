"""The widget `Restore`: look at the model's answer for what is on screen, then restore the stack."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils import progress
from napari.viewer import Viewer

from napari_pssr.layers import KEY as ORIGIN
from napari_pssr.layers import Origin, axes_of, placed, stack_of_layer
from napari_pssr.live import LivePreview
from napari_pssr.notices import tell, tell_error, tell_warning
from napari_pssr.panel import Panel
from napari_pssr.recent import remember
from napari_pssr.restore_form import RestoreForm
from napari_pssr.restoring import Order, order_of
from napari_pssr.result import KEY, restored_of
from napari_pssr.work import Latest, Work
from pssr import Noted, Predictor, Progress, PssrError, Warned, Written, load, open_stack

REFRESH_S = 0.3  # between two looks at planes that were finished
SHORTCUT = "Alt-P"


class Restore(Panel):
    """Restore the chosen layer with a trained model: a live preview first, then the whole stack.

    Args:
        viewer: whose layers.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer)
        self.form = RestoreForm(self, viewer)
        self.predictor: Predictor | None = None
        self._work: Work | None = None
        self._order: Order | None = None
        self._layers: list[Image] = []
        self._warnings: list[str] = []
        self._written: list[Path] = []
        self._bar: progress | None = None
        self._refreshed = self._begun = 0.0
        self._first: int | None = None
        self._shown = False
        self.live = LivePreview(self, viewer)
        self._loading, self._guard = Latest(self), Latest(self)
        self._connect()
        if self.form.model.path is not None:
            self._load(self.form.model.path)

    def _connect(self) -> None:
        form = self.form
        form.model.chosen.connect(self._load)
        form.layer.chosen.connect(lambda _: self._layer_changed())
        form.along.currentIndexChanged.connect(lambda _: self._layer_changed())
        form.preview.toggled.connect(lambda _: self._follow())
        form.go.clicked.connect(self._clicked)
        self._loading.answered.connect(self._loaded)
        self._loading.failed.connect(self._not_loaded)
        self._guard.answered.connect(self.form.warn)
        self._guard.failed.connect(lambda error: self.form.warn((str(error),)))
        self.live.said.connect(form.state.setText)
        self.live.failed.connect(self._preview_failed)
        self.viewer.bind_key(SHORTCUT, self._toggle, overwrite=True)
        self._layer_changed()

    def choose_model(self, path: Path) -> None:
        """Take a model, such as one that was trained this minute.

        Args:
            path: a run folder or a model file.
        """
        self.form.model.path = path

    def shut(self) -> None:
        """End the preview and the restoration; planes that are done stay."""
        self.live.stop()
        for latest in (self._loading, self._guard):
            latest.forget()
        if self._work is not None:
            self._work.stop()
        self._close_bar()
        self.viewer.bind_key(SHORTCUT, None, overwrite=True)

    def _toggle(self, _viewer: Viewer) -> None:
        self.form.preview.toggle()

    # The model and the layer.

    def _load(self, path: Path | None) -> None:
        if path is None:
            return
        self.predictor = None
        self.form.about.setText("loading ...")
        self._loading.ask(lambda: (path, load(path)))

    def _loaded(self, found: tuple[Path, Predictor]) -> None:
        path, self.predictor = found
        remember(path)
        self.form.show_model(self.predictor)
        self._layer_changed()

    def _not_loaded(self, error: Exception) -> None:
        self.form.about.setText("no model")
        tell_error(error)

    def _layer_changed(self) -> None:
        layer, predictor = self.form.layer.layer, self.predictor
        self.form.show_layer(layer)
        self.form.warn(())
        if layer is not None and predictor is not None:
            along = self.form.axis
            self._guard.ask(lambda: predictor.mismatches(*stack_of_layer(layer, along)))
        self._follow()

    # The live preview.

    def _follow(self) -> None:
        layer = self.form.layer.layer
        if not self.form.preview.isChecked():
            self.live.stop()
            return
        if self.predictor is None or layer is None:
            self.form.state.setText("choose a layer and a model")
            return
        try:
            axes_of(layer, self.form.axis)
        except PssrError as error:
            self._preview_failed(error)
            return
        self.live.start(self.predictor, layer, self.form.axis)

    def _preview_failed(self, error: Exception) -> None:
        self.form.preview.setChecked(False)
        self.form.state.setText("")
        tell_error(error)

    # The whole stack.

    def _clicked(self) -> None:
        if self._work is not None:
            self._work.stop()
            self.form.state.setText("cancels after this plane ...")
            return
        try:
            order = self._settled()
        except PssrError as error:
            tell_error(error)
            return
        if order is not None:
            if order.file is not None and self.form.target.path is None:
                self.form.target.path = order.file
                tell(f"restores to {order.file}, since it would take too much memory")
            self._begin(order)

    def _settled(self) -> Order | None:
        layer, path, predictor = self.form.layer.layer, self.form.model.path, self.predictor
        if layer is None or path is None or predictor is None:
            tell_warning("restore: no layer or no model is chosen; choose both")
            return None
        name = f"{layer.name} restored"
        before = restored_of(self.viewer.layers[name]) if name in self.viewer.layers else None
        predictor = replace(predictor, turns=self.form.turns.isChecked())
        return order_of(
            predictor, path, layer, along=self.form.axis, every_channel=self.form.every_channel,
            uncertainty=self.form.uncertainty.isChecked(), file=self.form.target.path,
            memory_bytes=self.form.memory_gb.value() * 1e9, before=before,
        )  # fmt: skip

    def _begin(self, order: Order) -> None:
        self.form.preview.setChecked(False)
        self._order, self._layers, self._warnings, self._written, self._first = order, [], [], [], None
        self._begun, self._shown = time.monotonic(), False

        # Now, and not with the first plane: napari takes longest for this, and nothing competes with it yet.
        each = enumerate(zip(order.names, order.blank(), strict=True))
        self._layers = [self._layer(order, number, name, data) for number, (name, data) in each]
        self._work = Work(self, order.steps)
        self._work.told.connect(self._told)
        self._work.failed.connect(tell_error)
        self._work.ended.connect(self._ended)
        self.form.running(True)
        self._work.start()

    def _told(self, event: Any) -> None:
        match event:
            case Progress(done, total):
                self._progressed(done, total)
            case Warned(message):
                self._warnings.append(message)
                self.form.warn(self._warnings)
            case Noted(message):
                tell(message)
            case Written(path):
                self._written.append(path)

    def _progressed(self, done: int, total: int) -> None:
        assert self._order is not None
        if self._bar is None:
            self._first = done - 1
            self._bar = progress(total=total, desc=f"restore {self._order.layer.name}", initial=self._first)
        self._bar.update(done - self._bar.n)
        self.form.show_progress(done, total, done - (self._first or 0), time.monotonic() - self._begun)
        if not self._shown:
            if self._order.shows_parts:
                self._show(finished=False)
        elif time.monotonic() - self._refreshed > REFRESH_S:
            self._refreshed = time.monotonic()
            for layer in self._layers:
                layer.refresh()
        if done == total and self._order.file is None:
            self._show(finished=True)

    def _show(self, *, finished: bool) -> None:
        """Show the planes; again when all of them are there, since a file has another name then."""
        order = self._order
        assert order is not None
        arrays = order.arrays()
        beside = self._written[1] if len(self._written) > 1 else None
        for number, (layer, data) in enumerate(zip(self._layers, arrays, strict=True)):
            if order.file is not None:
                layer.data = data
            spreads = order.spreads(number, beside) if finished else {}
            layer.metadata[KEY] = order.made(number, self._warnings, spreads)
            if finished and order.file is not None:
                layer.metadata[ORIGIN] = Origin(open_stack(order.file), number, layer.data, order.grid.axes)
            layer.visible = True
            layer.refresh()
        self._shown = True
        if finished:
            # What is seen would be the sum of both.
            for layer in self.viewer.layers:
                if order.number_of(layer) is not None and layer.blending == "additive":
                    layer.visible = False

    def _layer(self, order: Order, number: int, name: str, data: Any) -> Image:
        """A layer exactly over that of its channel, where there is one; one of this name is taken away."""
        layers = self.viewer.layers
        low = next((layer for layer in layers if order.number_of(layer) == number), order.layer)
        if name in layers:
            layers.remove(layers[name])
        axes, where = order.grid.axes, placed(low, order.predictor.model.config.scale)
        shift = [order.grid.first.get(axis, 0) for axis in axes]
        where["translate"] = where["translate"] + [k * size for k, size in zip(shift, low.scale, strict=True)]
        shown = Image(
            data, name=name, colormap=low.colormap, contrast_limits=low.contrast_limits, gamma=low.gamma,
            blending=low.blending, cache=False, visible=False, **where,
        )  # fmt: skip
        layers.insert(layers.index(low) + 1 if low in layers else len(layers), shown)
        if order.number_of(low) == number and low in layers:
            layers.link_layers([low, shown], ["contrast_limits", "gamma"])
        return shown

    def _ended(self) -> None:
        work, order = self._work, self._order
        self._work = None
        self._close_bar()
        self.form.running(False)
        if self._written:
            self._show(finished=True)
        for layer in self._layers:
            if self._shown:
                layer.refresh()
            elif layer in self.viewer.layers:
                # Nothing came of it.
                self.viewer.layers.remove(layer)
        if work is not None and work.stopped and order is not None:
            kept = "what is done is kept; Restore goes on with it"
            self.form.state.setText(f"cancelled; {kept}")

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
