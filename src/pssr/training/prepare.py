"""Everything a training needs before its first step."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pssr.config import Config
from pssr.crappify.chain import Crappifier, Step, crappifier
from pssr.data.intensity import Planes, percentiles, sampled
from pssr.data.patches import Patches
from pssr.data.split import Piece, split
from pssr.errors import ConfigError
from pssr.losses import TERMS
from pssr.model_file import Source
from pssr.networks import Generator, network
from pssr.parts import find
from pssr.predict.device import PRECISIONS
from pssr.training.sources import Material, gathered
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
        reference: where the percentiles of bad frames, real or crappified, lie on the 0..1 scale.
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
    config: Config,
    movies: Sequence[Planes],
    device: torch.device,
    *,
    lows: Sequence[Planes | None] = (),
    steps: Sequence[Step] = (),
) -> Job:
    """Check the movies, split them, and build network, crappifier and optimizer.

    Args:
        config: resolved, and fitted to the movies.
        movies: high-resolution planes, at least one movie.
        device: where to train.
        lows: a real low-resolution partner or None for each movie, or ().
        steps: a crappifier of callables instead of the config's.

    Raises:
        ConfigError: settings that do not fit each other or the movies.
        ShapeError: something given is not a movie.
    """
    material = gathered(config, movies, lows)
    sources = material.sources
    for name in config.loss:
        find(name, TERMS)
    make_bad = crappifier(steps or config.crappifier, config.scale)
    train, held = split(
        [s.shape for s in sources],
        frames=config.frames, ends=config.ends, share=config.data.held_back, least_rows=config.data.patch_px,
        files=material.origins, grid=config.scale,
    )  # fmt: skip
    patches = _patches(config, material, train, config.data.patch_px, config.data.batch)
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
        held=_held(config, material, held, make_bad, grid) if held else None,
        held_bundles=sum(len(piece.bundles(config.frames, config.ends)) for piece in held),
        sources=sources,
        reference=reference(config, material, make_bad),
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


def reference(config: Config, material: Material, make_bad: Crappifier) -> tuple[float, float]:
    """Where the 1 and 99.8 percentiles of bad frames lie on the 0..1 scale, averaged over the movies.

    Bad frames are real partners where there are any, else crappified ones.
    """
    found, cache = [], material.cache
    for k, (source, scale) in enumerate(zip(material.sources, material.scales, strict=True)):
        rng, partner = generator(config.seed, k, REFERENCE), material.partners.get(k)
        lows = []
        for t in sampled(source.shape[0]):
            if partner is not None:
                lows.append(partner.scale.to_unit(cache.plane(partner.movie, t)))
                continue
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


def _patches(config: Config, material: Material, pieces: Sequence[Piece], side: int, batch: int) -> Patches:
    return Patches(
        material.cache, pieces, material.scales, frames=config.frames, ends=config.ends, size_px=side, batch=batch,
        seed=config.seed, tries=config.data.tries, partners=material.partners,
    )  # fmt: skip


def _held(
    config: Config, material: Material, pieces: Sequence[Piece], make_bad: Crappifier, grid: int
) -> Held:
    sides = [min(piece.bottom - piece.top, material.sources[piece.movie].shape[2]) for piece in pieces]
    side = min(LARGEST_PX, *sides) // grid * grid
    patches = _patches(config, material, pieces, side, batch=1)
    return hold(patches, make_bad, generator(config.seed, 0, VALIDATE), material.sources[0].pixel_size_um)


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
