"""What a training is given: movies with their scales, names and real low-resolution partners."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pssr.config import Config
from pssr.data.cache import PlaneCache
from pssr.data.intensity import Intensity, Planes, measure
from pssr.data.pairs import OnGrid, Paired, paired, partner_scale
from pssr.data.patches import Partner
from pssr.errors import ConfigError, ShapeError
from pssr.model_file import Source


@dataclass(frozen=True)
class Material:
    """All movies of a training.

    Args:
        cache: of their planes: first the good movies, then their partners.
        sources: names, sizes and scales of the good movies.
        origins: which file each good movie is from.
        partners: by number of the good movie.
    """

    cache: PlaneCache
    sources: Sequence[Source]
    origins: Sequence[Hashable]
    partners: dict[int, Partner]

    @property
    def scales(self) -> list[Intensity]:
        """Of the good movies."""
        return [Intensity(source.low, source.high) for source in self.sources]


def gathered(config: Config, movies: Sequence[Planes], lows: Sequence[Planes | None]) -> Material:
    """Check the movies, and lay each on its partner.

    Args:
        config: for scale and alignment.
        movies: high-resolution planes, at least one movie.
        lows: a partner or None for each, or ().

    Raises:
        ConfigError: no movie, or a partner that does not fit.
        ShapeError: something given is not a movie.
    """
    if not movies:
        raise ConfigError("movies: none given; name at least one file with high-resolution frames")
    if lows and len(lows) != len(movies):
        raise ConfigError(
            f"low: {len(lows)} movies for {len(movies)} good ones; give one for each, in the same order"
        )
    _check_planes(movies, "movie")
    _check_planes(lows, "low movie")
    if config.frames > 1 and max(map(len, movies)) == 1:
        raise ConfigError(
            f"frames: {config.frames} neighbours along {config.axis}, and no movie has more than one frame along it; if files "
            "are frames, say series=T; for depths preset=zstack, or axes=ZYX of a plain TIFF; for single images "
            "preset=single"
        )
    pairs: dict[int, Paired] = {
        k: paired(movies[k], low, config.scale, align=config.data.align)
        for k, low in enumerate(lows)
        if low is not None
    }
    good = [pairs[k].high if k in pairs else movie for k, movie in enumerate(movies)]
    sources, partners = describe(good), {}
    for number, (k, pair) in enumerate(pairs.items()):
        scale = partner_scale(pair, Intensity(sources[k].low, sources[k].high), config.scale)
        partners[k] = Partner(len(good) + number, scale, config.scale)
        sources[k] = replace(sources[k], partner=_told(pair, scale, config.data.align))
    names = [source.name for source in sources] + [
        getattr(low, "name", f"low movie {k}") for k, low in enumerate(lows) if low is not None
    ]
    cache = _cache(config, [*good, *(pair.low for pair in pairs.values())], names)
    _refuse_gaps(cache)
    return Material(
        cache=cache,
        sources=sources,
        origins=[origin(k, movie)[0] for k, movie in enumerate(good)],
        partners=partners,
    )


def _cache(config: Config, movies: Sequence[Planes], names: Sequence[str]) -> PlaneCache:
    """Planes in memory, each worker's share of it, or on disk."""
    workers = config.data.workers
    limit = int(config.data.cache_gb * 1e9 / (workers + 1))
    return PlaneCache(movies, names, limit=limit, policy=config.data.cache)


def _told(pair: Paired, scale: Intensity, align: bool) -> str:
    name = getattr(pair.low, "name", "low")
    moved = "and high was moved onto it" if align else "and left so"
    return f"{name}: {scale.low:.6g} to {scale.high:.6g} counts, {pair.found}, {moved}"


def _check_planes(movies: Sequence[Planes | None], what: str) -> None:
    for k, movie in enumerate(movies):
        if movie is None:
            continue
        if len(movie) == 0 or np.ndim(movie[0]) != 2:
            shape = np.shape(movie[0]) if len(movie) else "absent"
            raise ShapeError(
                f"{what} {k}: its frames are {shape}, not (Y, X); choose one channel and give (T, Y, X)"
            )
        kind = np.asarray(movie[0]).dtype
        if kind.kind not in "uif":
            raise ShapeError(f"{what} {k}: its pixels are {kind}; convert them to integers or floats")


def _refuse_gaps(cache: PlaneCache) -> None:
    """A pixel that is no number is better found now than after an hour."""
    for k, movie in enumerate(cache.movies):
        read = movie.movie if isinstance(movie, OnGrid) else movie
        # Whole numbers stay numbers when they are moved onto a partner.
        if np.asarray(read[0]).dtype.kind == "f":
            for t in range(len(movie)):
                cache.plane(k, t)


def describe(movies: Sequence[Planes]) -> list[Source]:
    """Name, size and intensity scale of each movie; those of one file and channel have one scale."""
    alike: dict[Hashable, list[Planes]] = {}
    for k, movie in enumerate(movies):
        alike.setdefault(origin(k, movie), []).append(movie)
    scales = {one: measure(Joined(tuple(group))) for one, group in alike.items()}
    return [_describe(k, movie, scales[origin(k, movie)]) for k, movie in enumerate(movies)]


def origin(k: int, movie: Planes) -> tuple[Hashable, Hashable]:
    """File (and scene) and channel of a movie: what is from one specimen, and what has one scale."""
    stack = getattr(movie, "stack", None)
    if stack is None:
        return k, 0
    return (str(getattr(stack, "path", k)), getattr(stack, "scene", None)), getattr(movie, "number", 0)


@dataclass(frozen=True)
class Joined:
    """Movies one after the other, as one."""

    movies: tuple[Planes, ...]

    def __len__(self) -> int:
        return sum(len(movie) for movie in self.movies)

    def __getitem__(self, t: int, /) -> np.ndarray:
        for movie in self.movies:
            if t < len(movie):
                return np.asarray(movie[t])
            t -= len(movie)
        raise IndexError("past the last frame")


def _describe(k: int, movie: Planes, scale: Intensity) -> Source:
    first, stack = np.asarray(movie[0]), getattr(movie, "stack", None)
    return Source(
        name=str(getattr(movie, "name", f"movie {k}")),
        shape=(len(movie), *first.shape),
        dtype=str(first.dtype),
        low=scale.low,
        high=scale.high,
        pixel_size_um=getattr(stack or movie, "pixel_size_um", None),
        interval_s=getattr(stack or movie, "interval_s", None),
    )
