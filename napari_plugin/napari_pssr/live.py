"""The live preview: what is on screen now, restored, and again whenever that changes."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_pssr.following import Following
from napari_pssr.layers import field_of, placed, stack_of_layer, step_of
from pssr import Predictor

BUDGET_S = 1.0  # that a preview may take
FIRST_PX = 64  # side of the first field, from which the speed is learned
LEAST_PX = 32
FASTER = 1.3  # times, from which on a larger field is restored


@dataclass(frozen=True, eq=False)
class Question:
    """What shall be restored.

    Args:
        predictor: the model.
        layer: low-resolution.
        along: what its slider is.
        at: frame and depth.
        field: rows and columns.
        whole: rows and columns that are on screen.
    """

    predictor: Predictor
    layer: Image
    along: str
    at: dict[str, int]
    field: tuple[slice, slice]
    whole: tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Answer:
    """A restored field.

    Args:
        question: what was asked.
        plane: restored counts.
        seconds: that it took.
    """

    question: Question
    plane: np.ndarray
    seconds: float


class LivePreview(Following):
    """Keeps a layer `<input> preview` up to date."""

    said = Signal(str)  # what it is doing

    def __init__(self, owner: QWidget, viewer: Viewer) -> None:
        super().__init__(owner, viewer)
        self._subject: tuple[Predictor, Image, str] | None = None
        self._px_per_s: float | None = None
        self._measured: Any = None  # of model, data and axis: the stack, channel and scale

    @property
    def on(self) -> bool:
        """Whether it follows the view."""
        return self._subject is not None

    def start(self, predictor: Predictor, layer: Image, along: str) -> None:
        """Follow the view.

        Args:
            predictor: the model.
            layer: low-resolution.
            along: what its slider is.
        """
        if self._subject != (predictor, layer, along):
            self.stop()
        self._subject = predictor, layer, along
        self._begin()

    def stop(self) -> None:
        """Follow no more, and take the layer away."""
        self._subject = self._measured = self._px_per_s = None
        super().stop()

    def _look(self) -> None:
        if self._subject is None:
            return
        predictor, layer, along = self._subject
        if layer not in self._viewer.layers:
            self.stop()
            return
        at, whole = step_of(layer, self._viewer.dims, along), field_of(layer)
        if any(part.stop <= part.start for part in whole):
            return
        part = self._part(whole)
        if (at, part) == self._asked:
            return
        self._asked = at, part
        question = Question(predictor, layer, along, at, part, whole)
        self.said.emit(f"restoring frame {at[predictor.model.config.axis]} ...")
        self._latest.ask(lambda: self._restored(question))

    def _part(self, whole: tuple[slice, slice]) -> tuple[slice, slice]:
        """The middle of the field, as large as can be restored in time."""
        sides = [part.stop - part.start for part in whole]
        most = FIRST_PX**2 if self._px_per_s is None else max(self._px_per_s * BUDGET_S, LEAST_PX**2)
        shrink = min(1.0, float(np.sqrt(most / (sides[0] * sides[1]))))
        kept = [max(1, min(side, round(side * shrink))) for side in sides]
        starts = [
            part.start + (side - keep) // 2 for part, side, keep in zip(whole, sides, kept, strict=True)
        ]
        rows, columns = (slice(start, start + keep) for start, keep in zip(starts, kept, strict=True))
        return rows, columns

    def _restored(self, question: Question) -> Answer:
        """In a thread."""
        predictor, layer, axis = question.predictor, question.layer, question.predictor.model.config.axis
        # The window may forget it meanwhile: what belongs together is taken at once.
        measured, given = self._measured, (predictor, layer.data, question.along)
        if measured is None or any(a is not b for a, b in zip(measured[0], given, strict=True)):
            stack, channel = stack_of_layer(layer, question.along)
            # The one scale of the whole stack: else the preview would be brighter or darker than what comes after it.
            measured = self._measured = given, stack, channel, predictor.scale(stack, channel)
        _, stack, channel, scale = measured
        other = "Z" if axis == "T" else "T"
        movie = stack.movie(channel, axis=axis, **{other.lower(): question.at[other]})
        begun = time.monotonic()
        rows, columns = question.field
        plane = predictor.frame(movie, question.at[axis], y=rows, x=columns, intensity=scale)
        return Answer(question, plane, time.monotonic() - begun)

    def _answered(self, answer: Answer) -> None:
        question = answer.question
        if self._subject is None or question.layer not in self._viewer.layers:
            return
        rows, columns = question.field
        speed = (rows.stop - rows.start) * (columns.stop - columns.start) / max(answer.seconds, 1e-3)
        # Small fields are slow for their size: a field grows as long as that is worth it, and never shrinks again.
        if self._px_per_s is None or speed > FASTER * self._px_per_s:
            self._px_per_s = speed
        first = rows.start, columns.start
        where = placed(question.layer, question.predictor.model.config.scale, first, ndim=2)
        self._put(answer.plane, "preview", question.layer, where)
        covered = question.field == question.whole
        part = "" if covered else "; its middle, zoom in for the whole view"
        frame = question.at[question.predictor.model.config.axis]
        self.said.emit(f"frame {frame} restored in {answer.seconds:.1f} s{part}")
