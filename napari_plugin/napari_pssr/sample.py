"""A sample of what a training has learned: low, restored and high side by side, again after each save."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_pssr.layers import UNITS, placed
from napari_pssr.work import Latest
from pssr import Intensity, ModelError, Movie, Predictor, crappifier, load

LOW_PX = 128  # most that a side of the low frame has
GAP = 0.05  # between two pictures, of the side of one
NAMES = ("low", "restored", "high")


@dataclass(frozen=True, eq=False)
class Sample:
    """A frame that nothing is learned from, made bad once.

    Args:
        number: of its movie.
        low: (T, Y, X) the bad frame and its neighbours, 0..1.
        middle: which of them it is.
        high: the good frame, in counts.
        scale: restored pixels for each low-resolution pixel.
    """

    number: int
    low: np.ndarray
    middle: int
    high: np.ndarray
    scale: int


@dataclass(frozen=True, eq=False)
class Restored:
    """A sample and what the model makes of it.

    Args:
        sample: the sample.
        low: the bad frame, in counts.
        restored: by the model, in counts.
    """

    sample: Sample
    low: np.ndarray
    restored: np.ndarray


class SampleLayers(QObject):
    """Keeps three layers `<run> low`, `<run> restored` and `<run> high` up to date, right of the layer that is learned from.

    Args:
        owner: the widget that it belongs to.
        viewer: to show them in.
    """

    failed = Signal(object)

    def __init__(self, owner: QWidget, viewer: Viewer) -> None:
        super().__init__(owner)
        self._viewer = viewer
        self._folder: Path | None = None
        self._movies: Sequence[Movie] = ()
        self._beside: Image | None = None
        self._sample: Sample | None = None
        self._shown: list[Image] = []
        self._latest = Latest(owner)
        self._latest.answered.connect(self._answered)
        self._latest.failed.connect(self.failed)

    def start(self, folder: Path, movies: Sequence[Movie], beside: Image | None) -> None:
        """A training begins.

        Args:
            folder: of the run.
            movies: that are learned from.
            beside: the layer that the pictures lie right of; None where there is none.
        """
        self._latest.forget()
        if folder != self._folder:
            # Those of another run stay, to be compared with.
            self._shown = []
        self._folder, self._movies, self._beside, self._sample = folder, movies, beside, None

    def refresh(self) -> None:
        """There is a new model."""
        if self._folder is not None and self._movies:
            folder, movies, sample = self._folder, self._movies, self._sample
            self._latest.ask(lambda: restored_sample(folder, movies, sample))

    def stop(self) -> None:
        """Refresh no more; the layers stay."""
        self._latest.forget()
        self._folder, self._movies = None, ()

    @property
    def layers(self) -> list[Image]:
        """Those that are there: low, restored, high."""
        return [layer for layer in self._shown if layer in self._viewer.layers]

    def _answered(self, found: Restored | None) -> None:
        if found is None or self._folder is None:
            return
        self._sample = found.sample
        planes = (found.low, found.restored, found.sample.high)
        before = self.layers
        if len(before) == len(NAMES) and all(
            a.data.shape == p.shape for a, p in zip(before, planes, strict=True)
        ):
            for layer, plane in zip(before, planes, strict=True):
                layer.data = plane
        else:
            self._show(found, planes)

    def _show(self, found: Restored, planes: Sequence[np.ndarray]) -> None:
        assert self._folder is not None
        for layer in self.layers:
            self._viewer.layers.remove(layer)
        self._shown = []
        beside, movie = self._beside, self._movies[found.sample.number]
        like = beside if beside in self._viewer.layers else None
        ground = like or field_of(movie)
        width = planes[-1].shape[1]
        first = 0 if like is None else movie.shape[2] + round(GAP * width)
        limits = np.percentile(found.sample.high, (1, 99.8)) if like is None else like.contrast_limits
        active = self._viewer.layers.selection.active
        for k, (plane, name) in enumerate(zip(planes, NAMES, strict=True)):
            scale = 1 / found.sample.scale if name == "low" else 1
            where = placed(ground, scale, (0, first + round(k * (1 + GAP) * width)), ndim=2)
            layer = self._viewer.add_image(
                plane, name=f"{self._folder.name} {name}", colormap=ground.colormap, contrast_limits=limits,
                blending="translucent_no_depth", cache=False, **where,
            )  # fmt: skip
            self._shown.append(layer)
        if active is not None:
            self._viewer.layers.selection.active = active
        self._viewer.reset_view()


def field_of(movie: Movie) -> Image:
    """A layer as large as a frame, which nobody sees: what is placed after it has the right units.

    Args:
        movie: of that frame.
    """
    sizes = [movie.stack.spacing_um.get(axis) for axis in "YX"]
    units = [UNITS[axis] if size else "pixel" for axis, size in zip("YX", sizes, strict=True)]
    return Image(np.zeros(movie.shape[1:], np.uint8), scale=[size or 1.0 for size in sizes], units=units)


def restored_sample(folder: Path, movies: Sequence[Movie], sample: Sample | None) -> Restored | None:
    """What the model in a folder makes of a sample; None while there is no model.

    Args:
        folder: of the run.
        movies: that are learned from.
        sample: as it was found before; None finds one.
    """
    if not (folder / "model.safetensors").exists():
        return None
    # A measurement of which precision is fast would take longer than the sample.
    predictor = load(folder, precision="fp32")
    sample = sample or sample_of(folder, movies, predictor)
    source = predictor.model.sources[sample.number]
    restored = predictor.frame(sample.low, sample.middle, intensity=Intensity(0.0, 1.0))
    counts = Intensity(source.low, source.high)
    low, restored = (
        counts.from_unit(plane, np.dtype(np.float32)) for plane in (sample.low[sample.middle], restored)
    )
    return Restored(sample, low, restored)


def sample_of(folder: Path, movies: Sequence[Movie], predictor: Predictor) -> Sample:
    """A part of a frame that is held back from the training, made bad with noise that stays the same.

    Args:
        folder: of the run.
        movies: that are learned from.
        predictor: its model.

    Raises:
        ModelError: the run does not tell what is held back.
    """
    # Imported here: whoever only restores needs no crappifier.
    import torch

    config = predictor.model.config
    number, t, rows = held_back(folder, movies)
    movie, source = movies[number], predictor.model.sources[number]
    columns = slice(0, movie.shape[2])
    rows, columns = (middle_of(part, LOW_PX * config.scale, config.scale) for part in (rows, columns))
    first, last = max(t - config.frames // 2, 0), min(t + config.frames // 2 + 1, len(movie))
    good = np.stack([np.asarray(movie[k])[rows, columns] for k in range(first, last)]).astype(np.float32)
    unit = torch.from_numpy(Intensity(source.low, source.high).to_unit(good))
    make_bad = crappifier(config.crappifier, config.scale)
    bad = make_bad(unit[None], torch.Generator().manual_seed(config.seed))[0].numpy()
    return Sample(number, bad, t - first, good[t - first], config.scale)


def held_back(folder: Path, movies: Sequence[Movie]) -> tuple[int, int, slice]:
    """A movie, a frame of it and rows that nothing is learned from; the middle frame where nothing is held back.

    Args:
        folder: of the run.
        movies: that are learned from.

    Raises:
        ModelError: the run does not tell what is held back.
    """
    try:
        pieces = json.loads((folder / "split.json").read_text("utf-8"))["held_back"]
        if not pieces:
            return 0, len(movies[0]) // 2, slice(0, movies[0].shape[1])
        piece = pieces[0]
        start, stop = piece["frames"]
        return int(piece["movie"]), (start + stop) // 2, slice(*piece["rows"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError(
            f"{folder}: does not tell which frames are held back ({error}); train anew"
        ) from error


def middle_of(part: slice, most: int, multiple: int) -> slice:
    """The middle of some rows or columns, their number a multiple.

    Args:
        part: from start to stop.
        most: of them.
        multiple: that their number is of.
    """
    side = min(part.stop - part.start, most) // multiple * multiple
    start = part.start + (part.stop - part.start - side) // 2
    return slice(start, start + side)
