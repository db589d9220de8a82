"""Everything a training needs before its first step."""

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pssr.config import Config
from pssr.crappify.chain import Crappifier, Step, crappifier
from pssr.data.intensity import Intensity, Planes, measure, percentiles, sampled
from pssr.data.patches import Patches, PlaneCache
from pssr.data.split import Piece, split
from pssr.errors import ConfigError, ShapeError
from pssr.losses import TERMS
from pssr.model_file import Source
from pssr.networks import Generator, network
from pssr.parts import find
from pssr.predict.device import PRECISIONS
from pssr.training.steps import Learner
from pssr.training.validation import LARGEST_PX, Held, hold

CRAPPIFY, VALIDATE, REFERENCE = (
    2**31,
    2**31 + 1,
    2**31 + 2,
)  # items that no patch has: one stream of draws each

LEAST_LOW_PX = 8  # side of the smallest useful patch in low-resolution pixels


@dataclass(frozen=True)
class Job:
    """What stays the same while the network learns.

    Args:
        patches: to learn from.
        learner: network, optimizer, crappifier and loss.
        averaged: the same network with averaged weights: the one that is validated and saved.
        held: what validation looks at; None where too little was there to hold any back.
        held_bundles: how many bundles were held back.
        sources: the movies, with the intensity scale of each.
        reference: where the percentiles of crappified frames lie on the 0..1 scale.
        device: where it trains.
    """

    patches: Patches
    learner: Learner
    averaged: Generator
    held: Held | None
    held_bundles: int
    sources: Sequence[Source]
    reference: tuple[float, float]
    device: torch.device


def prepare(
    config: Config, movies: Sequence[Planes], device: torch.device, steps: Sequence[Step] = ()
) -> Job:
    """Check the movies, split them, and build network, crappifier and optimizer.

    Args:
        config: resolved, and fitted to the movies.
        movies: high-resolution planes, at least one movie.
        device: where to train.
        steps: a crappifier of callables instead of the config's.

    Raises:
        ConfigError: settings that do not fit each other or the movies.
        ShapeError: something given is not a movie.
    """
    sources = describe(movies)
    for name in config.loss:
        find(name, TERMS)
    make_bad = crappifier(steps or config.crappifier, config.scale)
    scales = [Intensity(s.low, s.high) for s in sources]
    train, held = split(
        [s.shape for s in sources],
        frames=config.frames, ends=config.ends, share=config.data.held_back, least_rows=config.data.patch_px,
        files=[_origin(k, movie)[0] for k, movie in enumerate(movies)],
    )  # fmt: skip
    cache = PlaneCache(movies)
    for k, source in enumerate(sources):
        if (
            np.dtype(source.dtype).kind == "f"
        ):  # a pixel that is no number is better found now than after an hour
            for t in range(source.shape[0]):
                cache.plane(k, t)
    patches = _patches(config, cache, train, scales, config.data.patch_px, config.data.batch)
    learner = _learner(config, make_bad, device)
    grid = config.scale * learner.net.multiple
    if config.data.patch_px % grid:
        raise ConfigError(
            f"data.patch_px: {config.data.patch_px} must be a multiple of {grid} for this network"
        )
    return Job(
        patches=patches,
        learner=learner,
        averaged=copy.deepcopy(learner.net).eval(),
        held=_held(config, cache, held, scales, make_bad, sources, grid) if held else None,
        held_bundles=sum(len(piece.bundles(config.frames, config.ends)) for piece in held),
        sources=sources,
        reference=reference(config, cache, scales, make_bad),
        device=device,
    )


def fitted(config: Config, movies: Sequence[Planes]) -> Config:
    """The settings with patches no larger than the smallest movie.

    Args:
        config: as asked for.
        movies: high-resolution planes.

    Raises:
        ConfigError: a movie is smaller than any useful patch.
    """
    sides = [min(np.shape(movie[0])) for movie in movies if len(movie) and np.ndim(movie[0]) == 2]
    side = min([config.data.patch_px, *sides]) // config.scale * config.scale
    if config.data.patch_px < LEAST_LOW_PX * config.scale:
        raise ConfigError(
            f"data.patch_px: {config.data.patch_px} is too small at scale {config.scale}; "
            f"use at least {LEAST_LOW_PX * config.scale}"
        )
    if side < LEAST_LOW_PX * config.scale:
        raise ConfigError(
            f"movies: the smallest is {min(sides)} px wide; at scale {config.scale} give at least "
            f"{LEAST_LOW_PX * config.scale} px, or use a smaller scale"
        )
    return config.changed({"data.patch_px": side})


def describe(movies: Sequence[Planes]) -> list[Source]:
    """Name, size and intensity scale of each movie.

    Raises:
        ConfigError: no movie.
        ShapeError: not a sequence of (Y, X) planes.
    """
    if not movies:
        raise ConfigError("movies: none given; name at least one file with high-resolution frames")
    alike: dict[Hashable, list[Planes]] = {}
    for k, movie in enumerate(movies):
        if len(movie) == 0 or np.ndim(movie[0]) != 2:
            shape = np.shape(movie[0]) if len(movie) else "absent"
            raise ShapeError(
                f"movie {k}: its frames are {shape}, not (Y, X); choose one channel and give (T, Y, X)"
            )
        alike.setdefault(_origin(k, movie), []).append(movie)
    scales = {origin: measure(Joined(tuple(group))) for origin, group in alike.items()}
    return [_describe(k, movie, scales[_origin(k, movie)]) for k, movie in enumerate(movies)]


def _origin(k: int, movie: Planes) -> tuple[Hashable, Hashable]:
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


def reference(
    config: Config, cache: PlaneCache, scales: Sequence[Intensity], make_bad: Crappifier
) -> tuple[float, float]:
    """Where the 1 and 99.8 percentiles of crappified frames lie on the 0..1 scale, averaged over the movies."""
    found = []
    for k, (movie, scale) in enumerate(zip(cache.movies, scales, strict=True)):
        rng = generator(config.seed, k, REFERENCE)
        lows = []
        for t in sampled(len(movie)):
            plane = scale.to_unit(cache.plane(k, t))
            h, w = (side // config.scale * config.scale for side in plane.shape)
            lows.append(make_bad(torch.from_numpy(plane[None, None, :h, :w]), rng).numpy())
        found.append(percentiles(lows))
    low, high = np.mean(found, axis=0)
    return float(low), float(high)


def generator(seed: int, step: int, item: int, device: torch.device | None = None) -> torch.Generator:
    """A torch generator derived from (seed, step, item)."""
    number = int(np.random.SeedSequence((seed, step, item)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device or "cpu").manual_seed(number)


def _patches(
    config: Config,
    cache: PlaneCache,
    pieces: Sequence[Piece],
    scales: Sequence[Intensity],
    side: int,
    batch: int,
) -> Patches:
    return Patches(
        cache, pieces, scales,
        frames=config.frames, ends=config.ends, size_px=side, batch=batch, seed=config.seed, tries=config.data.tries,
    )  # fmt: skip


def _held(
    config: Config, cache: PlaneCache, pieces: Sequence[Piece], scales: Sequence[Intensity],
    make_bad: Crappifier, sources: Sequence[Source], grid: int,
) -> Held:  # fmt: skip
    sides = [min(piece.bottom - piece.top, sources[piece.movie].shape[2]) for piece in pieces]
    side = min(LARGEST_PX, *sides) // grid * grid
    patches = _patches(config, cache, pieces, scales, side, batch=1)
    return hold(patches, make_bad, generator(config.seed, 0, VALIDATE), sources[0].pixel_size_um)


def _learner(config: Config, make_bad: Crappifier, device: torch.device) -> Learner:
    # The only place where torch's global generator matters: the first weights; it is put back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = network(config.network, frames=config.frames, scale=config.scale)
    net = net.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=config.train.lr, weight_decay=config.train.weight_decay
    )
    return Learner(
        net,
        optimizer,
        make_bad,
        config.loss,
        config.train.clip,
        PRECISIONS[config.train.precision],
        config.data.gain,
    )
