"""The curves of a training: its loss, and how well held-back frames are restored."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from napari.viewer import Viewer
from qtpy.QtCore import QTimer

from napari_pssr.plot import Plot

HEIGHT_PX = 260
RESTORED, BICUBIC = "#4aa3df", "#e0a030"  # legible on dark ground and on light
DRAW_S = 0.5  # between two drawings
POINTS = 400  # drawn of a curve
DECADE = 10.0  # that a loss spans before its axis is logarithmic


class Curves(Plot):
    """Loss, and PSNR beside that of bicubic interpolation, by step.

    Args:
        viewer: whose colours.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer, HEIGHT_PX)
        self.losses: list[tuple[float, float]] = []
        self.scores: list[tuple[float, float, float]] = []
        self._drawn = 0.0
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.draw)

    def start(self, log: Iterable[Mapping[str, Any]] = ()) -> None:
        """Begin with what was logged before.

        Args:
            log: of the run: lines with `step` and `loss`, or `step`, `psnr` and `bicubic_psnr`.
        """
        self.losses, self.scores = [], []
        for entry in log:
            if entry.get("loss") is not None:
                self.losses.append((entry["step"], entry["loss"]))
            if entry.get("psnr") is not None and entry.get("bicubic_psnr") is not None:
                self.scores.append((entry["step"], entry["psnr"], entry["bicubic_psnr"]))
        self.setVisible(bool(self.losses))
        if self.losses:
            self.draw()

    def add_loss(self, step: int, loss: float) -> None:
        """A step was done.

        Args:
            step: its number.
            loss: no number where it was skipped, which is not drawn.
        """
        if np.isfinite(loss):
            self.losses.append((step, loss))
            self._draw_soon()

    def add_score(self, step: int, psnr: float, bicubic: float) -> None:
        """A validation was done.

        Args:
            step: after which.
            psnr: of restored frames, dB.
            bicubic: of frames enlarged by bicubic interpolation, dB.
        """
        self.scores.append((step, psnr, bicubic))
        self._draw_soon()

    def _draw_soon(self) -> None:
        if not self._soon.isActive():
            rest = max(0.0, DRAW_S - (time.monotonic() - self._drawn))
            self._soon.start(round(1000 * rest))

    def draw(self) -> None:
        """Draw what there is."""
        self._drawn = time.monotonic()
        self.show()
        above, below = self.axes(2)
        steps, losses = thinned(np.asarray(self.losses, float).reshape(-1, 2))
        above.plot(steps, losses, color=RESTORED, linewidth=1)
        if losses.size and losses.min() > 0 and losses.max() > DECADE * losses.min():
            above.set_yscale("log")
        above.set_ylabel("loss")
        scores = np.asarray(self.scores, float).reshape(-1, 3)
        mark = "o" if len(scores) < 30 else None
        below.plot(scores[:, 0], scores[:, 1], color=RESTORED, marker=mark, markersize=3, label="restored")
        below.plot(scores[:, 0], scores[:, 2], color=BICUBIC, linestyle="--", label="bicubic")
        below.set(xlabel="step", ylabel="PSNR (dB)")
        if len(scores):
            below.legend(frameon=False, labelcolor=self.ink, fontsize="small", loc="lower right")
        self.paint()


def thinned(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `POINTS` points of a curve: the means of neighbours.

    Args:
        points: (N, 2) steps and values.
    """
    if len(points) <= POINTS:
        return points[:, 0], points[:, 1]
    means = np.stack([group.mean(0) for group in np.array_split(points, POINTS)])
    return means[:, 0], means[:, 1]
