"""Bundles: an odd number of neighbouring frames around each target, and what to do at the ends."""

from typing import Literal

from pssr.errors import ConfigError

Ends = Literal["reflect", "repeat", "drop"]


def windows(length: int, frames: int, ends: Ends = "reflect") -> list[tuple[int, ...]]:
    """The frame numbers of every bundle of a movie, in order of their middle frame.

    windows(4, 3, "repeat") == [(0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 3)]
    windows(4, 3, "reflect") == [(1, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 2)]
    windows(4, 3, "drop") == [(0, 1, 2), (1, 2, 3)]

    Args:
        length: frames in the movie.
        frames: frames in a bundle, odd.
        ends: `reflect` mirrors the movie at its first and last frame, `repeat` repeats them, `drop`
            leaves out the targets that lack a neighbour.

    Returns:
        One tuple of frame numbers per target.

    Raises:
        ConfigError: an even number of frames has no middle.
    """
    if frames < 1 or frames % 2 == 0:
        raise ConfigError(f"frames: {frames} has no middle frame; use an odd number such as {frames + 1}")
    reach = frames // 2
    targets = range(reach, length - reach) if ends == "drop" else range(length)
    return [
        tuple(inside(t, length, ends) for t in range(target - reach, target + reach + 1))
        for target in targets
    ]


def inside(t: int, length: int, ends: Ends) -> int:
    """A frame number folded into 0..length-1 by the policy for the ends."""
    if ends == "reflect" and length > 1:
        t = abs(t) % (2 * (length - 1))
        return min(t, 2 * (length - 1) - t)
    return min(max(t, 0), length - 1)
