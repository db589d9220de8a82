"""Gain and noise of a detector from the pictures it made: the photon-transfer curve.

The variance of the noise is a straight line over the brightness, var = gain * mean + intercept (Foi et al., IEEE
Transactions on Image Processing 17, 1737 (2008)); the noise is that of the second difference in time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import convolve1d, gaussian_filter, gaussian_gradient_magnitude

from pssr.crappify.differences import (
    MOST_TRIPLES,
    SECOND,
    SMOOTH_PX,
    Bins,
    binned,
    differences,
    residuals,
    windows,
)
from pssr.crappify.jitter import line_jitter
from pssr.errors import ReadError

DARK_PERCENT, LEAST_CORRELATION = 1.0, 0.04
LEAST_PX = 16  # of a frame's side
NONE = (0.0, 0.0)


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
        jitter_px: standard deviation of the shift of lines along x, in low-resolution pixels; 0 where none is found.
        frames: how many frames in a row were used.
        upper_bound: whether the specimen may have been counted as noise: with fewer than three frames, and no truth.
        means: of the bins of brightness, in counts.
        variances: of the noise in the bins, in counts squared, as they were measured (with the correlation in them, but
            without what the jitter of lines adds).
        slope: of the variance over the mean, as it was measured.
        intercept: likewise, at mean 0.
    """

    gain: Estimate
    offset: Estimate
    read_noise: Estimate
    correlation: float
    jitter_px: Estimate
    frames: int
    upper_bound: bool
    means: Float[np.ndarray, " bins"]
    variances: Float[np.ndarray, " bins"]
    slope: float
    intercept: float


def photon_transfer(
    movies: Sequence[np.ndarray], *, dark: np.ndarray | None = None, truths: Sequence[np.ndarray] = ()
) -> PhotonTransfer:
    """Gain, offset and read noise from low-resolution movies.

    Args:
        movies: (T, Y, X) counts; three frames or more, still or moving, are best.
        dark: (T, Y, X) counts recorded without light; without it the darkest parts of the movies give the offset, which
            is right where some part of them is dark.
        truths: (Y, X) noise-free counts of the mean of each movie, where they are known; only asked for where no movie
            has three frames.

    Raises:
        ReadError: movies too small, or without any spread of brightness.
    """
    frames, used = _long_enough(movies)
    against_truth = frames < 3 and len(truths) > 0
    if against_truth:
        used = [np.asarray(movie, dtype=np.float64) for movie in movies]
        pixels = residuals([movie[0] for movie in used], truths)
    else:
        pixels = differences(used, frames)
    bins = binned(pixels)
    fit, covariance = _line(bins)
    jitter = line_jitter(used, fit[0], fit[1]) if frames == 3 else NONE
    if jitter != NONE:
        bins = binned(pixels, by_step=True)
        fit, covariance = _line(bins, with_jitter=True)
    c = _correlation(used, frames)
    # What a one-pole response along x does to the variance of white noise, and to its second difference.
    kept = (1 - c) / (1 + c) * (6 - 8 * c + 2 * c**2) / 6
    offset = _offset(used, dark)
    slope, intercept, added = fit
    return PhotonTransfer(
        gain=Estimate(slope / kept, math.sqrt(covariance[0, 0]) / kept),
        offset=offset,
        read_noise=_read_noise(slope / kept, intercept / kept, covariance / kept**2, offset),
        correlation=c,
        jitter_px=Estimate(*jitter),
        frames=frames,
        upper_bound=frames < 3 and not against_truth,
        means=bins.mean,
        variances=bins.variance - added * bins.step,
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
        ReadError: movies too small, or all pixels are about equally bright.
    """
    frames, used = _long_enough(movies)
    bins = binned(differences(used, frames))
    return bins.mean, bins.variance


def _long_enough(movies: Sequence[np.ndarray]) -> tuple[int, list[np.ndarray]]:
    """How many frames in a row can be looked at, and the movies that have them."""
    frames = min(max(len(movie) for movie in movies), 3)
    used = [np.asarray(movie, dtype=np.float64) for movie in movies if len(movie) >= frames]
    if min(min(movie.shape[1:]) for movie in used) < LEAST_PX:
        raise ReadError(f"calibration: frames are smaller than {LEAST_PX} px; give larger ones")
    return frames, used


def _line(bins: Bins, *, with_jitter: bool = False) -> tuple[tuple[float, float, float], np.ndarray]:
    """Slope and intercept of the variance over the mean, what jitter adds for each step, and their covariance."""
    columns = [bins.mean, np.ones_like(bins.mean), *([bins.step] if with_jitter else [])]
    design, expected = np.stack(columns, 1), bins.variance
    for _ in range(5):
        # The mean of n squared normal variables of variance v has the variance 2 v^2 / n.
        precision = bins.weight / (2 * np.maximum(expected, 1e-12) ** 2)
        covariance = _inverse(design.T @ (precision[:, None] * design))
        fit = covariance @ design.T @ (precision * bins.variance)
        expected = np.maximum(design @ fit, 0.05 * bins.variance)
    if fit[0] <= 0:
        raise ReadError(
            "calibration: brighter pixels are not noisier, so no photons can be counted; were the frames averaged, "
            "denoised or scaled one by one?"
        )
    scatter = float((precision * (bins.variance - design @ fit) ** 2).sum()) / max(
        len(design) - len(columns), 1
    )
    added = float(fit[2]) if with_jitter else 0.0
    return (float(fit[0]), float(fit[1]), added), covariance * max(scatter, 1.0)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """The covariance of a fit, which there is none of where some of its points have no noise, and so all the weight."""
    try:
        covariance = np.asarray(np.linalg.inv(matrix))
    except np.linalg.LinAlgError:
        covariance = np.zeros_like(matrix)
    if not (np.diag(covariance) > 0).all():
        raise ReadError(
            "calibration: many pixels have no noise at all; give the frames as the detector recorded them, without a "
            "background that is cut off"
        )
    return covariance


def _read_noise(gain: float, level: float, covariance: np.ndarray, offset: Estimate) -> Estimate:
    """Standard deviation of the noise without light."""
    read = math.sqrt(max(level + gain * offset.value, 0.0))
    at = np.array([offset.value, 1.0])
    spread = math.sqrt(max(float(at @ covariance[:2, :2] @ at), 0.0))
    error = math.hypot(spread, gain * offset.error) / (2 * max(read, 1e-9))
    return Estimate(read, min(error, math.sqrt(spread + 1e-12)))


def _correlation(movies: Sequence[np.ndarray], frames: int) -> float:
    """Of the noise of neighbouring pixels along x, from what the specimen leaves least of."""
    if frames < 3:
        return 0.0
    found = []
    for movie in movies:
        for window in windows(movie, 3)[:8]:
            e = convolve1d(np.tensordot(SECOND, window, 1), SECOND, axis=0)[2:-2, 2:-2]
            slope = gaussian_gradient_magnitude(window.mean(0), SMOOTH_PX)[2:-2, 2:-2]
            flat = slope[:, 1:] <= np.percentile(slope, 25)
            noise = float(np.square(e[:, 1:])[flat].mean())
            # What is free of noise has none that is alike.
            found.append(float((e[:, 1:] * e[:, :-1])[flat].mean()) / noise if noise else 0.0)
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
