"""Gain and noise of a detector from the pictures it made: the photon-transfer curve.

The second difference of three frames in time, sharpened along both axes, is free of the specimen where that is still or
moves evenly: its square is the noise alone, var = gain * mean + intercept (Foi et al., IEEE Transactions on Image
Processing 17, 1737 (2008), for the model; the temporal difference for movies).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import convolve1d, gaussian_filter, gaussian_gradient_magnitude

from pssr.errors import ReadError

SECOND = np.array([1.0, -2.0, 1.0])
WEIGHTS = SECOND**2 / 6  # of the pixels in the variance of a normalised second difference
BINS, LEAST_PIXELS, MOST_PIXELS, MOST_TRIPLES = 24, 300, 3_000_000, 30
SMOOTH_PX, CLIP_SD = 2.0, 4.0
CLIPPED_SHARE = 0.99887  # of the variance of a normal distribution that lies within four standard deviations
ALIKE = 1 + 2 * (
    (4 / 6) ** 2 + (1 / 6) ** 2
)  # pixels of a second difference that count as one, along one axis
DARK_PERCENT, LEAST_CORRELATION = 1.0, 0.04


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.error:.2g}"


@dataclass(frozen=True)
class PhotonTransfer:
    """What the noise of pictures says of the detector that made them.

    Args:
        gain: counts per photon.
        offset: counts without light: those of the darkest parts, or of a dark recording.
        read_noise: counts, standard deviation.
        correlation: of the noise of neighbouring pixels along x.
        frames: how many frames in a row were used: with fewer than three, the specimen counts as noise and all
            is an upper bound.
        means: of the bins of brightness, in counts.
        variances: of the noise in the bins, in counts squared, as they were measured (with the correlation in them).
        slope: of the variance over the mean, as it was measured.
        intercept: likewise, at mean 0.
    """

    gain: Estimate
    offset: Estimate
    read_noise: Estimate
    correlation: float
    frames: int
    means: Float[np.ndarray, " bins"]
    variances: Float[np.ndarray, " bins"]
    slope: float
    intercept: float

    @property
    def upper_bound(self) -> bool:
        """Whether the specimen may have been counted as noise."""
        return self.frames < 3


@dataclass(frozen=True)
class _Pixels:
    """Squares of differences, means of the pixels they were made of, smoothed brightness and its slope."""

    square: np.ndarray
    mean: np.ndarray
    smooth: np.ndarray
    slope: np.ndarray


def photon_transfer(movies: Sequence[np.ndarray], *, dark: np.ndarray | None = None) -> PhotonTransfer:
    """Gain, offset and read noise from low-resolution movies.

    Args:
        movies: (T, Y, X) counts; three frames or more, still or moving, are best.
        dark: (T, Y, X) counts recorded without light; without it the darkest parts of the movies give the offset, which
            is right where some part of them is dark.

    Raises:
        ReadError: movies too small, or without any spread of brightness.
    """
    frames = min(max(len(movie) for movie in movies), 3)
    used = [np.asarray(movie, dtype=np.float64) for movie in movies if len(movie) >= frames]
    if min(min(movie.shape[1:]) for movie in used) < 16:
        raise ReadError("calibration: frames are smaller than 16 px; give larger ones")
    means, variances, weights = _curve(used, frames)
    slope, intercept, covariance = _line(means, variances, weights)
    c = _correlation(used, frames)
    # What a one-pole response along x does to the variance of white noise, and to its second difference.
    kept = (1 - c) / (1 + c) * (6 - 8 * c + 2 * c**2) / 6
    offset = _offset(used, dark)
    gain, level = slope / kept, intercept / kept
    read = math.sqrt(max(level + gain * offset.value, 0.0))
    spread = math.sqrt(
        max(covariance[1, 1] + 2 * offset.value * covariance[0, 1] + offset.value**2 * covariance[0, 0], 0)
    )
    read_error = math.hypot(spread / kept, gain * offset.error) / (2 * max(read, 1e-9))
    return PhotonTransfer(
        gain=Estimate(gain, math.sqrt(covariance[0, 0]) / kept),
        offset=offset,
        read_noise=Estimate(read, min(read_error, math.sqrt(spread / kept + 1e-12))),
        correlation=c,
        frames=frames,
        means=means,
        variances=variances,
        slope=slope,
        intercept=intercept,
    )


def noise_curve(
    movies: Sequence[np.ndarray],
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Mean and variance of the noise in bins of brightness.

    Args:
        movies: (T, Y, X), as for `photon_transfer`.

    Raises:
        ReadError: all pixels are about equally bright.
    """
    frames = min(max(len(movie) for movie in movies), 3)
    used = [np.asarray(movie, dtype=np.float64) for movie in movies if len(movie) >= frames]
    means, variances, _ = _curve(used, frames)
    return means, variances


def _curve(movies: Sequence[np.ndarray], frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = [_differences(window) for movie in movies for window in _windows(movie, frames)]
    columns = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("square", "mean", "smooth", "slope")
    )
    return _binned(_Pixels(*columns))


def _windows(movie: np.ndarray, frames: int) -> list[np.ndarray]:
    """Frames in a row, spread over the movie."""
    count = len(movie) - frames + 1
    starts = np.unique(np.linspace(0, count - 1, min(count, MOST_TRIPLES)).round().astype(int))
    return [movie[t : t + frames] for t in starts]


def _differences(window: np.ndarray) -> _Pixels:
    """Along time where there are frames for it, and along both axes."""
    in_time = {1: np.array([1.0]), 2: np.array([-1.0, 1.0]) / math.sqrt(2), 3: SECOND / math.sqrt(6)}[
        len(window)
    ]
    d = np.tensordot(in_time, window, 1)
    mean = np.tensordot(in_time**2, window, 1)
    for axis in (0, 1):
        d = convolve1d(d, SECOND / math.sqrt(6), axis=axis)
        mean = convolve1d(mean, WEIGHTS, axis=axis)
    smooth = gaussian_filter(window.mean(0), SMOOTH_PX)
    slope = gaussian_gradient_magnitude(window.mean(0), SMOOTH_PX)
    inner = (slice(2, -2), slice(2, -2))
    keep = slice(None, None, max(1, d[inner].size * MOST_TRIPLES // MOST_PIXELS))
    return _Pixels(*(a[inner].ravel()[keep] for a in (d**2, mean, smooth, slope)))


def _binned(pixels: _Pixels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and effective number of pixels in bins of brightness, without their steeper halves."""
    low, high = np.percentile(pixels.smooth, (0.2, 99.9))
    edges = np.linspace(low, high, BINS + 1)
    number = np.digitize(pixels.smooth, edges) - 1
    least = min(LEAST_PIXELS, max(40, len(pixels.square) // (2 * BINS)))
    rows = []
    for k in range(BINS):
        inside = np.flatnonzero(number == k)
        if inside.size < least:
            continue
        flat = inside[pixels.slope[inside] <= np.median(pixels.slope[inside])]
        square = pixels.square[flat]
        # The median of a squared normal variable is 0.4549 of its mean.
        limit = CLIP_SD**2 * np.median(square) / 0.4549
        rows.append(
            (pixels.mean[flat].mean(), square[square <= limit].mean() / CLIPPED_SHARE, flat.size / ALIKE**2)
        )
    if len(rows) < 2:
        raise ReadError(
            "calibration: all pixels are about equally bright; give frames with structure, not flat ones"
        )
    means, variances, weights = np.array(rows).T
    return means, variances, weights


def _line(means: np.ndarray, variances: np.ndarray, weights: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Slope and intercept of the variance over the mean, and their covariance."""
    expected = variances
    for _ in range(5):
        # The mean of n squared normal variables of variance v has the variance 2 v^2 / n.
        precision = weights / (2 * np.maximum(expected, 1e-12) ** 2)
        design = np.stack([means, np.ones_like(means)], 1)
        covariance = np.linalg.inv(design.T @ (precision[:, None] * design))
        slope, intercept = covariance @ design.T @ (precision * variances)
        expected = np.maximum(slope * means + intercept, 0.05 * variances)
    if slope <= 0:
        raise ReadError(
            "calibration: brighter pixels are not noisier, so no photons can be counted; were the frames averaged, "
            "denoised or scaled one by one?"
        )
    scatter = float((precision * (variances - slope * means - intercept) ** 2).sum()) / max(len(means) - 2, 1)
    return float(slope), float(intercept), covariance * max(scatter, 1.0)


def _correlation(movies: Sequence[np.ndarray], frames: int) -> float:
    """Of the noise of neighbouring pixels along x, from what the specimen leaves least of."""
    if frames < 3:
        return 0.0
    found = []
    for movie in movies:
        for window in _windows(movie, 3)[:8]:
            e = convolve1d(np.tensordot(SECOND, window, 1), SECOND, axis=0)[2:-2, 2:-2]
            slope = gaussian_gradient_magnitude(window.mean(0), SMOOTH_PX)[2:-2, 2:-2]
            flat = slope[:, 1:] <= np.percentile(slope, 25)
            found.append(float((e[:, 1:] * e[:, :-1])[flat].mean() / np.square(e[:, 1:])[flat].mean()))
    c = float(np.median(found))
    return min(c, 0.9) if c > LEAST_CORRELATION else 0.0


def _offset(movies: Sequence[np.ndarray], dark: np.ndarray | None) -> Estimate:
    """Counts without light."""
    if dark is not None:
        each = np.asarray(dark, dtype=np.float64).reshape(len(dark), -1).mean(1)
        return Estimate(float(each.mean()), float(each.std() / math.sqrt(len(each)) + 1e-9))
    levels = [
        np.percentile(
            gaussian_filter(movie[:MOST_TRIPLES].mean(0), SMOOTH_PX), (DARK_PERCENT, 3 * DARK_PERCENT)
        )
        for movie in movies
    ]
    lowest = min(levels, key=lambda pair: pair[0])
    return Estimate(float(lowest[0]), float(lowest[1] - lowest[0]))
