"""A sliding window over a movie that reads every plane once."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from pssr.data.bundles import Ends, windows
from pssr.data.intensity import Intensity, Planes, numbers
from pssr.errors import ConfigError


def bundles_of(
    movie: Planes, scale: Intensity, *, frames: int, ends: Ends
) -> Iterator[tuple[int, Float[np.ndarray, "f h w"]]]:
    """Each target's frame number with its bundle on the 0..1 scale, in order.

    At most `frames` planes are kept; each is read and normalised once.

    Args:
        movie: the low-resolution planes.
        scale: of the whole movie.
        frames: in a bundle, odd.
        ends: the model's policy for first and last frames.

    Yields:
        (t, (F, h, w) float32).

    Raises:
        ConfigError: the movie is too short for any bundle.
        ReadError: some of its pixels are not numbers, which would spoil all around them.
    """
    every = windows(len(movie), frames, ends)
    if not every:
        raise ConfigError(
            f"ends: '{ends}' leaves no frame of a movie of {len(movie)} with bundles of {frames}; use a model trained with reflect or repeat"
        )
    kept: dict[int, np.ndarray] = {}
    for window in every:
        for t in window:
            if t not in kept:
                kept[t] = scale.to_unit(numbers(movie, t, getattr(movie, "name", "movie")))
        target = window[frames // 2]
        yield target, np.stack([kept[t] for t in window])
        # A mirrored end asks for earlier frames again, but never for one out of reach of the target.
        kept = {t: plane for t, plane in kept.items() if t > target - frames // 2}
