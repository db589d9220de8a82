"""Real low-resolution partners of high-resolution movies: checked, laid on each other, and put on one scale."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Num
from scipy.ndimage import gaussian_filter

from pssr.crappify.registration import Registration, aligned, binned, checked, covered, register, whole_scale
from pssr.data.intensity import Intensity, Planes, numbers, sampled
from pssr.errors import ConfigError

SMOOTH_PX = 2.0  # of low-resolution frames, so that blur does not count as contrast


@dataclass(frozen=True)
class OnGrid:
    """One of two movies, whose pixels lie exactly on those of the other.

    Args:
        movie: as it was read.
        window: rows and columns that both show, in pixels of this one once it is moved.
        found: how the low-resolution movie lies, where this is the high-resolution one and to be moved onto it.
    """

    movie: Planes
    window: tuple[slice, slice]
    found: Registration | None = None

    def __len__(self) -> int:
        return len(self.movie)

    def __getitem__(self, t: int, /) -> Num[np.ndarray, "y x"]:
        plane = np.asarray(self.movie[t])
        return (plane if self.found is None else aligned(plane, self.found))[self.window]

    def __getattr__(self, name: str) -> Any:
        """Name, stack and channel of the movie itself."""
        if name.startswith("__") or name == "movie":
            raise AttributeError(name)
        return getattr(self.movie, name)


@dataclass(frozen=True)
class Paired:
    """A high-resolution movie and its real low-resolution partner.

    Args:
        high: on the grid of the partner.
        low: where the high movie shows it too.
        found: how the partner lay on it.
    """

    high: OnGrid
    low: OnGrid
    found: Registration


def paired(high: Planes, low: Planes, scale: int, *, align: bool) -> Paired:
    """Check that two movies show the same, and lay the one on the other.

    Args:
        high: at high resolution.
        low: real frames of the same fields and times, at low resolution.
        scale: of the run.
        align: whether a high movie that lies more than half a low-resolution pixel off is moved, and any other too.

    Raises:
        ConfigError: other numbers of frames or pixels, another field, or too far off.
    """
    name = getattr(low, "name", "low")
    if len(high) != len(low):
        raise ConfigError(
            f"{name}: has {len(low)} frames for {len(high)} of high; give frames of the same times"
        )
    size_high, size_low = np.shape(high[0]), np.shape(low[0])
    if whole_scale(size_high, size_low) != scale:
        raise ConfigError(
            f"{name}: high is {whole_scale(size_high, size_low)} times as large, and the scale is {scale}; set the scale"
        )
    means = _mean(high, getattr(high, "name", "high")), _mean(low, name)
    found = checked(register(*means, scale), name, align=align)
    both = covered(found) if align else (slice(0, size_low[0]), slice(0, size_low[1]))
    fine = (
        slice(both[0].start * scale, both[0].stop * scale),
        slice(both[1].start * scale, both[1].stop * scale),
    )
    return Paired(OnGrid(high, fine, found if align else None), OnGrid(low, both), found)


def partner_scale(pair: Paired, high: Intensity, scale: int) -> Intensity:
    """The counts of the partner where the high-resolution movie is 0 and 1, from the best line between the two.

    Args:
        pair: of movies on one grid.
        high: scale of the high-resolution movie.
        scale: high-resolution pixels for each low-resolution pixel.

    Raises:
        ConfigError: the one is not brighter where the other is.
    """
    x = gaussian_filter(high.to_unit(binned(_mean(pair.high, "high"), scale)), SMOOTH_PX)
    y = gaussian_filter(_mean(pair.low, "low"), SMOOTH_PX)
    slope, level = np.polyfit(x.ravel(), y.ravel(), 1)
    if slope <= 0:
        raise ConfigError(
            f"{getattr(pair.low, 'name', 'low')}: is darker where high is brighter; give pairs of the same channel"
        )
    return Intensity(float(level), float(level + slope))


def _mean(movie: Planes, name: str) -> Float[np.ndarray, "y x"]:
    """Of frames spread over a movie."""
    return np.asarray(np.mean([numbers(movie, t, name) for t in sampled(len(movie))], 0, dtype=np.float64))
