"""The only way from counts to the network's 0..1 and back: one scale per stack and channel."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Num

from pssr.errors import ReadError

LOW_PERCENT, HIGH_PERCENT = 1.0, 99.8  # as in CSBDeep: robust against hot pixels, near full use of 0..1
SAMPLED_PLANES = 16
MOST_HELD = 2**22  # pixels of a plane of long integers or floats that are looked at


@runtime_checkable
class Planes(Protocol):
    """A movie: anything with a length that gives planes; a (T, Y, X) array will do."""

    def __len__(self) -> int: ...

    def __getitem__(self, t: int, /) -> np.ndarray: ...


def numbers(movie: Planes, t: int, name: str) -> Num[np.ndarray, "y x"]:
    """Frame t, all of whose pixels are numbers: one that is none would spoil all around it, and all weights.

    Args:
        movie: where it is from.
        t: which one.
        name: of the movie, for the message.

    Raises:
        ReadError: some of its pixels are not numbers.
    """
    plane = np.asarray(movie[t])
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        wrong = int((~np.isfinite(plane)).sum())
        raise ReadError(
            f"{name}: frame {t} has {wrong} pixels that are not numbers; mend or leave out the frame"
        )
    return plane


@dataclass(frozen=True)
class Intensity:
    """One reference low and high for a whole stack and channel, never per frame or tile.

    Args:
        low: counts that become 0.
        high: counts that become 1.
    """

    low: float
    high: float

    def to_unit(self, plane: Num[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Counts to 0..1 as float32; brighter and darker pixels go beyond, nothing is clipped."""
        unit: np.ndarray = np.subtract(plane, np.float32(self.low), dtype=np.float32, casting="unsafe")
        unit /= np.float32(self.high - self.low)
        return unit

    def from_unit(self, plane: Float[np.ndarray, "*shape"], dtype: np.dtype) -> Num[np.ndarray, "*shape"]:
        """0..1 to counts of the given dtype: rounded for integers, saturating instead of wrapping."""
        counts = plane.astype(np.float64) * (self.high - self.low) + self.low
        if np.issubdtype(dtype, np.floating):
            return counts.astype(dtype)
        limits = np.iinfo(dtype)
        # The largest number of 64 bits is no float64: the next one below is.
        top = float(limits.max) if dtype.itemsize < 8 else np.nextafter(float(limits.max), 0)
        return np.clip(np.rint(counts), limits.min, top).astype(dtype)


def measure(movie: Planes) -> Intensity:
    """The scale of a movie from the percentiles of at most 16 planes spread over it.

    Args:
        movie: planes of counts, any dtype.

    Returns:
        Low and high; a movie of one single value gets a range of 1 count.
    """
    return range_of(movie[t] for t in sampled(len(movie)))


def range_of(planes: Iterable[Num[np.ndarray, "..."]]) -> Intensity:
    """The scale of some planes together, of which one at a time is held where they are integers of 16 bits or less.

    Args:
        planes: of one dtype.

    Returns:
        As for `measure`.
    """
    most = -math.inf

    def seen() -> Iterator[np.ndarray]:
        nonlocal most
        for plane in planes:
            finite = plane[np.isfinite(plane)]
            most = max(most, float(finite.max())) if finite.size else most
            yield plane

    low, high = percentiles(seen())
    if high <= low:  # structure in so few pixels that the percentiles miss it
        high = most
    return Intensity(low, high if high > low else low + 1.0)


def percentiles(planes: Iterable[Num[np.ndarray, "..."]]) -> tuple[float, float]:
    """The reference percentiles (1 and 99.8) of the finite pixels of all planes together."""
    counted: np.ndarray | None = None
    held: list[np.ndarray] = []
    for plane in planes:
        if plane.dtype.kind in "ui" and plane.dtype.itemsize <= 2:
            lowest = int(np.iinfo(plane.dtype).min)
            each = np.bincount(
                plane.ravel().astype(np.int32) - lowest, minlength=2 ** (8 * plane.dtype.itemsize)
            )
            counted = each if counted is None else counted + each
        else:
            # So many that no percentile moves, and few enough to be held.
            every = max(plane.size // MOST_HELD, 1)
            held.append(plane[np.isfinite(plane)].ravel()[::every])
    if counted is not None:
        low, high = (_percentile(counted, lowest, percent) for percent in (LOW_PERCENT, HIGH_PERCENT))
        return low, high
    finite = np.concatenate(held)
    if not finite.size:
        raise ReadError("movie: none of its pixels is a number; check how it was saved")
    low, high = np.percentile(finite, (LOW_PERCENT, HIGH_PERCENT))
    return float(low), float(high)


def _percentile(counted: np.ndarray, lowest: int, percent: float) -> float:
    """A percentile from how often each value from the lowest on occurs, as `numpy.percentile` defines it."""
    upto = np.cumsum(counted)
    at = percent / 100 * (int(upto[-1]) - 1)
    below, above = (
        lowest + int(np.searchsorted(upto, k, side="right")) for k in (math.floor(at), math.ceil(at))
    )
    share = at - math.floor(at)
    # From the nearer one, as numpy does, so that it is the very same number.
    return below + (above - below) * share if share < 0.5 else above - (above - below) * (1 - share)


def sampled(length: int) -> list[int]:
    """At most 16 indices spread evenly over a movie, first and last among them."""
    return sorted(set(np.linspace(0, length - 1, min(length, SAMPLED_PLANES)).round().astype(int).tolist()))


def matched(movie: Planes, reference: tuple[float, float]) -> Intensity:
    """The scale that puts a low-resolution movie where the crappified training frames lay.

    Blur and noise move percentiles, so a low-resolution movie scaled by its own 1 and 99.8 % would
    reach the network brighter and flatter than what it was trained on.

    Args:
        movie: the low-resolution planes.
        reference: where the same percentiles fell in the bad frames, crappified or real, on the 0..1 scale.

    Returns:
        Low and high in counts of this movie.
    """
    return as_in_training(measure(movie), reference)


def as_in_training(own: Intensity, reference: tuple[float, float]) -> Intensity:
    """The scale of `matched`, from the movie's own.

    Args:
        own: of the low-resolution movie, from its percentiles.
        reference: as for `matched`.
    """
    per_unit = (own.high - own.low) / max(reference[1] - reference[0], 1e-3)
    low = own.low - reference[0] * per_unit
    return Intensity(low, low + per_unit)
