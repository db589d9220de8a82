"""The widget `Compare`: what was measured and what was restored, in one place, along one line, and where to doubt."""

from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QTimer

from napari_pssr.compare_form import CompareForm
from napari_pssr.layers import field_of
from napari_pssr.maps import ConsistencyLayer, add_spreads, reading_of_limits
from napari_pssr.notices import tell_error, tell_warning
from napari_pssr.panel import Panel
from napari_pssr.profile_plot import add_profile_layer, line_of, profile_layer, profile_of
from napari_pssr.result import restored_of
from napari_pssr.shown import Shown, consistency, reading_of
from napari_pssr.swipe import Blink, Swipe
from napari_pssr.work import Latest

LOOK_MS = (
    40  # between two looks at sliders, view and line: fast enough for the eye, and looking costs nothing
)
RESTORED = " restored"  # what a restored layer's name ends in


class Compare(Panel):
    """Compare a layer with the one that was restored from it.

    Args:
        viewer: whose layers.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer)
        self.form = CompareForm(self, viewer)
        self._blink, self._swipe = Blink(self), Swipe(viewer)
        self._map = ConsistencyLayer(viewer)
        self._shown: Shown | None = None
        self._guessed: Image | None = None
        self._pair: Any = None
        self._read: Any = None
        self._seen: dict[str, Any] = {}
        self._planes, self._differences, self._limits = Latest(self), Latest(self), Latest(self)
        self._guess_pair()
        self._connect()
        # Sliders, view, line and results change in ways of which not all are told.
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(LOOK_MS)
        self._look()

    def _connect(self) -> None:
        form = self.form
        form.blink.toggled.connect(self._blink_toggled)
        form.swipe.toggled.connect(self._swipe_toggled)
        form.consistency.toggled.connect(self._consistency_toggled)
        form.rate_hz.valueChanged.connect(self._blink.pace)
        form.draw.clicked.connect(self._draw)
        form.uncertainty.clicked.connect(self._show_uncertainty)
        for latest in (self._planes, self._differences, self._limits):
            latest.failed.connect(tell_error)
        # A map that cannot be made cannot be made for the next frame either.
        self._differences.failed.connect(lambda _: form.consistency.setChecked(False))
        self._planes.answered.connect(self._planes_read)
        self._limits.answered.connect(lambda answer: add_spreads(self.viewer, *answer))
        self._differences.answered.connect(self._show_difference)
        self._blink.pace(form.rate_hz.value())

    def shut(self) -> None:
        """End everything, and leave the layers as they were."""
        self._timer.stop()
        for latest in (self._planes, self._differences, self._limits):
            latest.forget()
        self._let_go()

    def _let_go(self) -> None:
        """Show the layers as they were."""
        for box in (self.form.blink, self.form.swipe, self.form.consistency):
            box.setChecked(False)
        self._shown = self._read = None

    # Which layers.

    @property
    def pair(self) -> tuple[Image, Image] | None:
        """The two layers; None while they are not two."""
        before, after = self.form.before.layer, self.form.after.layer
        return None if before is None or after is None or before is after else (before, after)

    def _guess_pair(self) -> None:
        """The newest restored layer and what it was restored from, else the first layer and the last."""
        names = self.viewer.layers
        for layer in reversed(list(names)):
            found = restored_of(layer) if isinstance(layer, Image) else None
            source = found.source if found else layer.name.removesuffix(RESTORED)
            if source != layer.name and source in names:
                self.form.before.layer, self.form.after.layer = names[source], layer
                return
        self.form.before.setCurrentIndex(min(0, self.form.before.count() - 1))

    def _guess_after(self) -> None:
        """The layer that was restored from the first one, as soon as there is one."""
        before = self.form.before.layer
        name = "" if before is None else f"{before.name}{RESTORED}"
        found = next((layer for layer in self.viewer.layers if layer.name == name), None)
        if found is not None and found is not self._guessed:
            self.form.after.layer = found
        self._guessed = found

    # What has changed.

    def _look(self) -> None:
        self._guess_after()
        if self._swipe.broken:
            self.form.swipe.setChecked(False)
        if self.pair != self._pair:
            self._pair = self.pair
            self._let_go()
        after = self.form.after.layer
        if self._new("restored", (after, None if after is None else id(restored_of(after)))):
            self.form.show_after(after)
        if self.pair is None:
            self.form.plot.show_profile(None, ("", ""))
            return
        if self._swipe.on and not self._flat():
            self.form.swipe.setChecked(False)
            tell_warning("swipe: shows planes only; switch from 3D to the 2D view")
        line = line_of(profile_layer(self.viewer))
        if self._swipe.on or self.form.consistency.isChecked() or line is not None:
            self._read_planes()
        else:
            self._shown = self._read = None
        self._show_swipe()
        self._plot(line)

    def _new(self, what: str, now: Any) -> bool:
        """Whether something is not as it was at the last look."""
        changed = what not in self._seen or self._seen[what] != now
        self._seen[what] = now
        return changed

    def _flat(self) -> bool:
        """Whether rows and columns are on screen."""
        dims = self.viewer.dims
        return tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1)

    def _read_planes(self) -> None:
        assert self._pair is not None
        key, read = reading_of(self.viewer, *self._pair)
        # A restoration that has finished says so in what it left there.
        key = (*key, id(restored_of(self._pair[1])))
        if key != self._read:
            self._read = key
            self._planes.ask(read)

    def _planes_read(self, shown: Shown) -> None:
        if (shown.before, shown.after) != self.pair:
            return
        self._shown = shown
        if self.form.consistency.isChecked():
            self._ask_difference(shown)
        self._show_swipe()
        self._plot(line_of(profile_layer(self.viewer)))

    # Two layers in one place.

    def _blink_toggled(self, on: bool) -> None:
        self._blink.stop()
        if on and self._ready(self.form.blink):
            assert self.pair is not None
            self.form.swipe.setChecked(False)
            self._blink.start(*self.pair)

    def _swipe_toggled(self, on: bool) -> None:
        self._swipe.stop()
        self._seen.pop("swipe", None)
        if on and self._ready(self.form.swipe):
            assert self.pair is not None
            self.form.blink.setChecked(False)
            self._swipe.start(*self.pair)

    def _show_swipe(self) -> None:
        if not self._swipe.on or self._shown is None:
            return
        if self._new("swipe", (self._shown, self.form.share, field_of(self._shown.before))):
            self._swipe.show(self._shown, self.form.share)

    def _ready(self, box: Any) -> bool:
        """Whether there are two layers; else the box is not ticked."""
        if self.pair is None:
            box.setChecked(False)
            tell_warning("compare: needs two layers; choose one before and another after")
        return self.pair is not None

    # Along a line.

    def _draw(self) -> None:
        before = self.form.before.layer
        if before is None:
            tell_warning("profile: no layer is chosen; choose one before")
            return
        layer = profile_layer(self.viewer) or add_profile_layer(self.viewer, before)
        self.viewer.layers.selection.active = layer
        layer.mode = "add_line"

    def _plot(self, line: Any) -> None:
        layer, shown = profile_layer(self.viewer), self._shown
        if line is None or layer is None or shown is None:
            self.form.plot.show_profile(None, ("", ""))
            self._seen.pop("line", None)
        elif self._new("line", (shown, line, tuple(layer.scale), tuple(layer.translate))):
            names = shown.before.name, shown.after.name
            self.form.plot.show_profile(profile_of(shown, layer, line), names)

    # Where to doubt.

    def _consistency_toggled(self, on: bool) -> None:
        self._differences.forget()
        self._map.clear()
        self.form.say_difference("")
        if on and self._ready(self.form.consistency) and self._shown is not None:
            self._ask_difference(self._shown)

    def _ask_difference(self, shown: Shown) -> None:
        if shown.low is None or shown.high is None:
            self._differences.forget()
            self._map.clear()
            self.form.say_difference("one of the layers has no such frame")
            return
        self._differences.ask(lambda: (shown, consistency(shown)))

    def _show_difference(self, answer: tuple[Shown, np.ndarray]) -> None:
        shown, plane = answer
        if not self.form.consistency.isChecked() or (shown.before, shown.after) != self.pair:
            return
        self._map.show(shown, plane)
        rms = float(np.sqrt(np.mean(np.square(plane, dtype=np.float64))))
        self.form.say_difference(f"here {rms:.3g} counts (root mean square), {plane.mean():+.2g} on average")

    def _show_uncertainty(self) -> None:
        after = self.form.after.layer
        found = None if after is None else restored_of(after)
        if after is None or found is None or not found.uncertainty:
            return
        read = reading_of_limits(self.viewer, after, found.uncertainty)
        self._limits.ask(lambda: (after, found.uncertainty, read()))
