"""The live preview of the crappifier: the frame on screen made bad, exactly over the good one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtWidgets import QWidget

from napari_pssr.following import Following
from napari_pssr.layers import placed, stack_of_layer, step_of
from pssr import Config, Intensity, Movie, PssrError, ReadError, crappifier, measure


@dataclass(frozen=True, eq=False)
class Question:
    """What shall be made bad.

    Args:
        layer: high-resolution.
        config: settings with crappifier, scale and axis.
        at: frame and depth.
    """

    layer: Image
    config: Config
    at: dict[str, int]


@dataclass(frozen=True, eq=False)
class Answer:
    """A crappified frame.

    Args:
        question: what was asked.
        plane: in the counts of the layer.
    """

    question: Question
    plane: np.ndarray


class CrappifiedPreview(Following):
    """Keeps a layer `<layer> crappified` up to date."""

    def __init__(self, owner: QWidget, viewer: Viewer) -> None:
        super().__init__(owner, viewer)
        self._subject: tuple[Image, Config] | None = None
        self._scales: dict[Any, Intensity] = {}

    def start(self, layer: Image, config: Config) -> None:
        """Follow the sliders.

        Args:
            layer: high-resolution.
            config: settings with crappifier, scale and axis.
        """
        if self._subject is not None and self._subject[0] is not layer:
            self.stop()
        self._subject, self._asked = (layer, config), None
        self._begin()

    def stop(self) -> None:
        """Follow no more, and take the layer away."""
        self._subject = None
        self._scales.clear()
        super().stop()

    def _look(self) -> None:
        if self._subject is None:
            return
        layer, config = self._subject
        if layer not in self._viewer.layers:
            self.stop()
            return
        try:
            at = step_of(layer, self._viewer.dims, config.axis)
        except PssrError as error:
            self.failed.emit(error)
            return
        now = (at, id(layer.data))
        if now != self._asked:
            self._asked = now
            question = Question(layer, config, at)
            self._latest.ask(lambda: self._made_bad(question))

    def _made_bad(self, question: Question) -> Answer:
        """In a thread."""
        config, at = question.config, question.at
        stack, channel = stack_of_layer(question.layer, config.axis)
        other = "Z" if config.axis == "T" else "T"
        movie = stack.movie(channel, axis=config.axis, **{other.lower(): at[other]})
        key = (id(question.layer.data), channel, at[other], config.axis)
        if key not in self._scales:
            self._scales = {key: measure(movie)}
        return Answer(question, made_bad(movie, at[config.axis], config, self._scales[key]))

    def _answered(self, answer: Answer) -> None:
        layer, config = answer.question.layer, answer.question.config
        if self._subject is None or self._subject[0] is not layer or layer not in self._viewer.layers:
            return
        self._put(answer.plane, "crappified", layer, placed(layer, 1 / config.scale, ndim=2))


def made_bad(movie: Movie, t: int, config: Config, scale: Intensity) -> np.ndarray:
    """A frame as the crappifier makes it, in the counts of the movie.

    The settings that are ranges are drawn anew for each frame, as in a training; the same frame is always the same.

    Args:
        movie: high-resolution.
        t: which frame.
        config: settings with crappifier and scale.
        scale: of the movie, as a training measures it.

    Raises:
        PssrError: the crappifier does not fit the scale, or the frame is too small.
    """
    # Imported here: whoever only restores needs no crappifier.
    import torch

    plane = np.asarray(movie[t])
    height, width = (side // config.scale * config.scale for side in plane.shape)
    if not height or not width:
        raise ReadError(f"{movie.name}: its frames are smaller than one pixel at scale {config.scale}")
    unit = scale.to_unit(plane[:height, :width])
    make_bad = crappifier(config.crappifier, config.scale)
    bad = make_bad(torch.from_numpy(unit)[None, None], torch.Generator().manual_seed(t))
    return scale.from_unit(bad[0, 0].numpy(), plane.dtype)
