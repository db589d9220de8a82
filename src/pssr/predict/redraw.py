"""The noise of a stack, drawn anew: what an answer owes to chance."""

import numpy as np
from jaxtyping import Float

from pssr.crappify.photon_transfer import noise_curve
from pssr.data.intensity import Intensity
from pssr.errors import ReadError
from pssr.io.stack import Place, Stack

LEAST_FRAMES, MOST_FRAMES, EXCERPT_PX = 3, 8, 512  # of the stack, in which its noise is measured
LEAST_SHARE = 0.01  # of the largest variance: where a background is cut off there is none at all


class NoNoise(ReadError):
    """The noise of a stack cannot be measured."""


def measured_noise(stack: Stack, channel: int, z: int, scale: Intensity) -> tuple[float, float, bool]:
    """The line on which the variance of a channel's noise lies, on the 0..1 scale.

    Args:
        stack: low-resolution.
        channel: its number.
        z: depth of the frames looked at.
        scale: of the channel.

    Returns:
        Slope and intercept: variance = slope * brightness + intercept; and whether structure may have been counted as
        noise, as with fewer than three frames.

    Raises:
        NoNoise: all pixels are about equally bright.
    """
    count = min(stack.sizes["T"], MOST_FRAMES)
    first = (stack.sizes["T"] - count) // 2
    rows, columns = (_middle(stack.sizes[axis]) for axis in "YX")
    places = ((t, channel, z) for t in range(first, first + count))
    movie = np.stack([scale.to_unit(plane[rows, columns]) for plane in stack.planes(places)])
    try:
        means, variances = noise_curve([np.nan_to_num(movie, copy=False)])
    except (ReadError, np.linalg.LinAlgError) as error:
        raise NoNoise(
            f"{stack.path}: its noise cannot be measured ({error}); restore it without uncertainty"
        ) from error
    # A variance is known to a share of itself: without weights the bright ones, which few pixels have, would decide.
    surest = LEAST_SHARE * variances.max() or 1.0
    slope, intercept = np.polyfit(means, variances, 1, w=1 / np.maximum(variances, surest))
    if slope < 0:  # chance, where the noise is the same at any brightness
        slope, intercept = 0.0, float(np.mean(variances))
    return float(slope), float(intercept), count < LEAST_FRAMES


def redrawn(
    unit: Float[np.ndarray, "y x"], noise: tuple[float, float], place: Place, draws: int
) -> Float[np.ndarray, "copies y x"]:
    """A plane, and copies of it to each of which as much noise was added as it has already.

    The same place gets the same noise in every run, so that a restoration that is gone on with is the same.

    Args:
        unit: on the 0..1 scale.
        noise: slope and intercept of its variance.
        place: T, C and Z, from which the noise is drawn.
        draws: how many copies.

    Returns:
        (1 + draws, Y, X), float32, the plane itself first.
    """
    slope, intercept = noise
    deviation = np.sqrt(np.clip(slope * unit + intercept, 0, None))
    rng = np.random.default_rng(place)
    fresh = (unit + deviation * rng.standard_normal(unit.shape, np.float32) for _ in range(draws))
    return np.stack([unit, *fresh]).astype(np.float32, copy=False)


def _middle(side: int) -> slice:
    return slice(max(0, (side - EXCERPT_PX) // 2), (side + EXCERPT_PX) // 2)
