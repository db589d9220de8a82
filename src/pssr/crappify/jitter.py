"""How far the lines of a scanner begin too early or too late, from the movies it made."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from pssr.crappify.differences import SECOND, windows

SMOOTH_PX, BORDER_PX, LEAST_LINES = 1.0, 3, 100
SURE = 4.0  # standard errors beyond which jitter is believed
LEAST_JITTER_PX = 0.1  # below this, what the estimator finds in still lines is as large


def line_jitter(
    movies: Sequence[Float[np.ndarray, "t y x"]], slope: float, intercept: float
) -> tuple[float, float]:
    """Standard deviation of the shift of lines along x, in pixels, and its error.

    The second difference of three frames of a line, projected on the gradient along the line, is the second difference
    of its shifts. Neighbouring lines are subtracted, so that a specimen that moves as a whole does not count, and what
    noise alone would give is taken off.

    Args:
        movies: of three frames or more, counts.
        slope: of the variance of the noise over the mean.
        intercept: likewise, at mean 0.

    Returns:
        (0, 0) where no jitter above 0.1 px is found for sure, or too few lines have structure to tell.
    """
    found = [_shifts(window, slope, intercept) for movie in movies for window in windows(movie, 3)]
    differences, noise = (np.concatenate([each[k] for each in found]) for k in (0, 1))
    if differences.size < LEAST_LINES:
        return 0.0, 0.0
    variance, precision = 0.0, 1 / noise**2
    for _ in range(5):
        # 12 times the variance of one shift: 1 + 4 + 1 in time, twice for two lines.
        variance = float((precision * (differences**2 - noise)).sum() / precision.sum()) / 12
        precision = 1 / (noise + 12 * max(variance, 0.0)) ** 2
    jitter = math.sqrt(max(variance, 0.0))
    # The square of a normal variable of variance v has the variance 2 v^2.
    error = math.sqrt(2 / precision.sum()) / 12
    if jitter < LEAST_JITTER_PX or variance < SURE * error:
        return 0.0, 0.0
    return jitter, error / (2 * jitter)


def _shifts(
    window: Float[np.ndarray, "3 y x"], slope: float, intercept: float
) -> tuple[Float[np.ndarray, " lines"], Float[np.ndarray, " lines"]]:
    """Differences of the shifts of neighbouring lines, and the variance that noise alone gives them."""
    still = window.mean(0)
    smooth = gaussian_filter(still, SMOOTH_PX, order=(0, 1))
    sharp = np.gradient(still, axis=1)
    variance = np.maximum(slope * gaussian_filter(still, SMOOTH_PX) + intercept, 1e-6)
    weight, inner = 1 / variance, (slice(None), slice(BORDER_PX, -BORDER_PX))
    # Both gradients hold the same noise, that of the mean of three frames: its share of their product is taken off.
    chance = _noise_in_common() / 3 * still[inner].shape[1]
    power = (weight * smooth * sharp)[inner].sum(1) - chance
    told = power > abs(chance)
    power = np.where(told, power, np.inf)
    shift = (weight * np.tensordot(SECOND, window, 1) * smooth)[inner].sum(1) / power
    noise = (weight**2 * smooth**2 * 6 * variance)[inner].sum(1) / power**2
    both = told[1:] & told[:-1]
    return np.diff(shift)[both], (noise[1:] + noise[:-1])[both]


def _noise_in_common() -> float:
    """Covariance of the two gradients of white noise of variance 1."""
    point = np.zeros((15, 15))
    point[7, 7] = 1.0
    return float((gaussian_filter(point, SMOOTH_PX, order=(0, 1)) * np.gradient(point, axis=1)).sum())
