"""Pixels of a movie freed of the specimen, sorted by brightness: what detector noise is measured in.

The second difference of three frames in time, sharpened along both axes, is free of the specimen where that is still or
moves evenly. Its square is the noise, and where lines begin early or late, the square of the step along them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float
from scipy.ndimage import convolve1d, gaussian_filter, gaussian_gradient_magnitude

from pssr.errors import ReadError

SECOND = np.array([1.0, -2.0, 1.0])
WEIGHTS = SECOND**2 / 6  # of the pixels in the variance of a normalised second difference
IN_TIME = {1: np.array([1.0]), 2: np.array([-1.0, 1.0]) / math.sqrt(2), 3: SECOND / math.sqrt(6)}
BINS, LEAST_PIXELS, MOST_PIXELS, MOST_TRIPLES = 24, 300, 3_000_000, 30
SMOOTH_PX, FINE_PX, CLIP_SD = 2.0, 0.7, 4.0
CLIPPED_SHARE = 0.99887  # of the variance of a normal distribution that lies within four standard deviations
MEDIAN_SQUARE = 0.4549  # of a normal variable, beside the mean of its square
ALIKE = 1 + 2 * (
    (4 / 6) ** 2 + (1 / 6) ** 2
)  # pixels of a second difference that count as one, along one axis
STEEPNESSES = 4  # classes of the step along the line within a bin of brightness


@dataclass(frozen=True)
class Pixels:
    """What is known of each pixel.

    Args:
        square: of the difference.
        mean: of the pixels it was made of.
        smooth: brightness.
        slope: of the brightness.
        step: what a line that is one pixel off adds to the square, about.
    """

    square: Float[np.ndarray, " n"]
    mean: Float[np.ndarray, " n"]
    smooth: Float[np.ndarray, " n"]
    slope: Float[np.ndarray, " n"]
    step: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Bins:
    """Means over pixels of about equal brightness.

    Args:
        mean: counts.
        variance: of the noise, counts squared.
        step: as in `Pixels`.
        weight: how many independent pixels they stand for.
    """

    mean: Float[np.ndarray, " bins"]
    variance: Float[np.ndarray, " bins"]
    step: Float[np.ndarray, " bins"]
    weight: Float[np.ndarray, " bins"]


def windows(movie: Float[np.ndarray, "t y x"], frames: int) -> list[Float[np.ndarray, "f y x"]]:
    """At most 30 times some frames in a row, spread over a movie."""
    count = len(movie) - frames + 1
    starts = np.unique(np.linspace(0, count - 1, min(count, MOST_TRIPLES)).round().astype(int))
    return [movie[t : t + frames] for t in starts]


def differences(movies: Sequence[Float[np.ndarray, "t y x"]], frames: int) -> Pixels:
    """All pixels of movies, in differences of 1, 2 or 3 frames in a row."""
    return _joined([_of_window(window) for movie in movies for window in windows(movie, frames)])


def residuals(
    frames: Sequence[Float[np.ndarray, "y x"]], truths: Sequence[Float[np.ndarray, "y x"]]
) -> Pixels:
    """All pixels of single frames whose noise-free form is known: what is left, sharpened along both axes."""
    parts = [_sharpened(frame - truth, frame, truth) for frame, truth in zip(frames, truths, strict=True)]
    return _joined(parts)


def binned(pixels: Pixels, *, by_step: bool = False) -> Bins:
    """Bins of equal brightness.

    Args:
        pixels: of all movies.
        by_step: whether each bin is divided by the step along the line, for a fit that has a term for it; else the
            steeper half of each bin is left out.

    Raises:
        ReadError: all pixels are about equally bright.
    """
    low, high = np.percentile(pixels.smooth, (0.2, 99.9))
    number = np.digitize(pixels.smooth, np.linspace(low, high, BINS + 1)) - 1
    least = min(LEAST_PIXELS, max(40, len(pixels.square) // (2 * BINS)))
    rows = []
    for k in range(BINS):
        inside = np.flatnonzero(number == k)
        if inside.size >= least:
            classes = _by_step(pixels, inside) if by_step else [_flatter(pixels, inside)]
            rows += [_row(pixels, part) for part in classes]
    if len(rows) < 2:
        raise ReadError(
            "calibration: all pixels are about equally bright; give frames with structure, not flat ones"
        )
    return Bins(*np.array(rows).T)


def _joined(parts: Sequence[Pixels]) -> Pixels:
    return Pixels(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Pixels)))


def _of_window(window: Float[np.ndarray, "f y x"]) -> Pixels:
    """Along time where there are frames for it."""
    in_time = IN_TIME[len(window)]
    return _sharpened(np.tensordot(in_time, window, 1), np.tensordot(in_time**2, window, 1), window.mean(0))


def _sharpened(
    difference: Float[np.ndarray, "y x"], mean: Float[np.ndarray, "y x"], still: Float[np.ndarray, "y x"]
) -> Pixels:
    """The second difference of a difference along both axes, with what is known of its pixels."""
    for axis in (0, 1):
        difference = convolve1d(difference, SECOND / math.sqrt(6), axis=axis)
        mean = convolve1d(mean, WEIGHTS, axis=axis)
    along = convolve1d(gaussian_filter(still, FINE_PX, order=(0, 1)), SECOND / math.sqrt(6), axis=1)
    step = convolve1d(along**2, WEIGHTS, axis=0)
    smooth = gaussian_filter(still, SMOOTH_PX)
    slope = gaussian_gradient_magnitude(still, SMOOTH_PX)
    inner = (slice(2, -2), slice(2, -2))
    keep = slice(None, None, max(1, difference[inner].size * MOST_TRIPLES // MOST_PIXELS))
    return Pixels(*(a[inner].ravel()[keep] for a in (difference**2, mean, smooth, slope, step)))


def _flatter(pixels: Pixels, inside: np.ndarray) -> np.ndarray:
    """The half of some pixels where the specimen is flatter."""
    return np.asarray(inside[pixels.slope[inside] <= np.median(pixels.slope[inside])])


def _by_step(pixels: Pixels, inside: np.ndarray) -> list[np.ndarray]:
    """Some pixels in classes of equal number, by the step along the line."""
    return np.array_split(inside[np.argsort(pixels.step[inside])], STEEPNESSES)


def _row(pixels: Pixels, part: np.ndarray) -> tuple[float, float, float, float]:
    square = pixels.square[part]
    limit = CLIP_SD**2 * np.median(square) / MEDIAN_SQUARE
    variance = square[square <= limit].mean() / CLIPPED_SHARE
    return pixels.mean[part].mean(), variance, pixels.step[part].mean(), part.size / ALIKE**2
