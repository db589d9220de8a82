"""A sliding window over a movie: every plane is read once and kept as long as it is needed."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def reading_order(windows: Iterable[Sequence[int]]) -> Iterator[int]:
    """The frames of some bundles in the order in which they are first needed, each once.

    list(reading_order([(1, 0, 1), (0, 1, 2), (1, 2, 3)])) == [1, 0, 2, 3]

    Args:
        windows: frame numbers of each bundle, in order of their middle frame.
    """
    kept: set[int] = set()
    for window in windows:
        kept = _still_needed(kept, window)
        yield from (t for t in dict.fromkeys(window) if t not in kept)
        kept.update(window)


def bundled(windows: Iterable[Sequence[int]], planes: Iterable[T]) -> Iterator[tuple[int, list[T]]]:
    """Bundles of planes that come in `reading_order`; no more of them are kept than a bundle has.

    Args:
        windows: frame numbers of each bundle, in order of their middle frame.
        planes: in reading order.

    Yields:
        The number of the middle frame, and the bundle.
    """
    source = iter(planes)
    kept: dict[int, T] = {}
    for window in windows:
        kept = {t: kept[t] for t in _still_needed(kept, window)}
        for t in window:
            if t not in kept:
                kept[t] = next(source)
        yield window[len(window) // 2], [kept[t] for t in window]


def _still_needed(kept: Iterable[int], window: Sequence[int]) -> set[int]:
    """A mirrored end asks for earlier frames again, but never for one out of reach of the middle frame."""
    middle, reach = window[len(window) // 2], len(window) // 2
    return {t for t in kept if t >= middle - reach}
