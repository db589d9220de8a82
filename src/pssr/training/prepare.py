"""Everything a training needs before its first step."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pssr.config import Config
from pssr.crappify.chain import Crappifier, Step, crappifier
from pssr.data.intensity import Planes, percentiles, sampled
from pssr.data.patches import Patches
from pssr.data.resident import Resident
from pssr.data.split import Piece, split
from pssr.errors import ConfigError
from pssr.losses import TERMS
from pssr.model_file import Ancestor, Source
from pssr.networks import Generator, network
from pssr.parts import find
from pssr.predict.device import PRECISIONS, check_compiler
from pssr.training.distributed import ALONE, World
from pssr.training.finetune import frozen, started_from
from pssr.training.phases import Phase, sizes
from pssr.training.sources import Material
from pssr.training.steps import GROUP, Draws, Learned, Learner, groups, learn
from pssr.training.validation import LARGEST_PX, Held, hold

# Items that no patch has: one stream of draws each, and one for each group of a batch.
CRAPPIFY, VALIDATE, REFERENCE, TRIAL = 2**30, 2**31 + 1, 2**31 + 2, 2**31 + 3

LR = 1e-3  # before one is found
LEAST_LOW_PX = 8  # side of the smallest useful patch in low-resolution pixels


@dataclass(frozen=True)
class Job:
    """What stays the same while the network learns.

    Args:
        phases: of the training, in order.
        learner: network, optimizer, crappifier and loss.
        averaged: the same network with averaged weights: the one that is validated and saved.
        held: what validation looks at; None where too little was there to hold any back, and in all processes but the
            first.
        pieces: what is learned from, and what is held back.
        sources: the movies, with the intensity scale of each.
        reference: where the percentiles of bad frames, real or crappified, lie on the 0..1 scale.
        device: where it trains.
        ancestors: models that the first weights came from, the oldest first.
        stays: the planes on the device, where it is a GPU with room for them.
    """

    phases: Sequence[Phase]
    learner: Learner
    averaged: Generator
    held: Held | None
    pieces: tuple[Sequence[Piece], Sequence[Piece]]
    sources: Sequence[Source]
    reference: tuple[float, float]
    device: torch.device
    ancestors: Sequence[Ancestor] = ()
    stays: Resident | None = None


@dataclass(frozen=True)
class Bench:
    """What a training is made on: checked material, and the parts that do not depend on what is measured.

    Args:
        material: the movies.
        make_bad: the crappifier.
        train: pieces to learn from.
        held: pieces to validate on.
        device: where to train.
        world: the processes that train together.
    """

    material: Material
    make_bad: Crappifier
    train: Sequence[Piece]
    held: Sequence[Piece]
    device: torch.device
    world: World = ALONE


def bench(
    config: Config,
    material: Material,
    device: torch.device,
    *,
    steps: Sequence[Step] = (),
    world: World = ALONE,
) -> Bench:
    """Check loss and crappifier, and split the movies.

    Args:
        config: fitted to the movies.
        material: the movies.
        device: where to train.
        steps: a crappifier of callables instead of the config's.
        world: the processes that train together.

    Raises:
        ConfigError: settings that do not fit each other or the movies.
    """
    for name in config.loss:
        find(name, TERMS)
    make_bad = crappifier(steps or config.crappifier, config.scale)
    train, held = split(
        [s.shape for s in material.sources],
        frames=config.frames, ends=config.ends, share=config.data.held_back, least_rows=config.data.patch_px,
        files=material.origins, grid=config.scale,
    )  # fmt: skip
    return Bench(material, make_bad, train, held, device, world)


def prepare(config: Config, given: Bench, *, fresh: bool = True) -> Job:
    """Build network, optimizer, phases and what validation looks at.

    Args:
        config: resolved.
        given: the material.
        fresh: whether weights are to be taken from the model that the settings name; a run that goes on has its own.

    Raises:
        ConfigError: settings that do not fit each other or the movies.
        ModelError: the model to start from is damaged or of another network.
    """
    net_learner = learner(config, given)
    grid = config.scale * net_learner.net.multiple
    for side, _ in sizes(config):
        if side % grid:
            raise ConfigError(
                f"data.patch_px: {side} must be a multiple of {grid} for this network; so must all of data.grow_px"
            )
    if len(groups(config.data.batch)) < given.world.size:
        raise ConfigError(
            f"data.batch: {config.data.batch} gives {len(groups(config.data.batch))} groups of {GROUP} for "
            f"{given.world.size} processes; use at least {GROUP * given.world.size}"
        )
    ancestors = started_from(config, net_learner.net) if fresh else ()
    frozen(net_learner.net, config.train.freeze)
    averaged = copy.deepcopy(net_learner.net).eval()
    if config.train.compile:
        compiled(net_learner.net)
    return Job(
        phases=[_phase(config, given, net_learner, side, until) for side, until in sizes(config)],
        learner=net_learner,
        averaged=averaged,
        held=_held(config, given, grid) if given.held and given.world.first else None,
        pieces=(given.train, given.held),
        sources=given.material.sources,
        reference=reference(config, given.material, given.make_bad),
        device=given.device,
        ancestors=ancestors,
    )


def compiled(net: Generator) -> None:
    """Let torch compile the network at its first step; its weights keep their names.

    Raises:
        ConfigError: nothing can be compiled here.
    """
    assert isinstance(net, torch.nn.Module)
    check_compiler("train.compile")
    net.compile()


def _phase(config: Config, given: Bench, net_learner: Learner, side: int, until: float) -> Phase:
    batch = config.data.batch

    def step(parts: Sequence[Tensor], draws: Draws, lr: float, micro: int | None) -> Learned:
        good, *real = parts
        return learn(net_learner, good, draws, lr, batch=batch, micro=micro, real=real[0] if real else None)

    return Phase("train", until, patches(config, given, given.train, side, batch), step)


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
    for px in config.data.grow_px:
        if px < LEAST_LOW_PX * config.scale:
            raise ConfigError(
                f"data.grow_px: {px} is too small at scale {config.scale}; use at least {LEAST_LOW_PX * config.scale}"
            )
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


def patches(config: Config, given: Bench, pieces: Sequence[Piece], side: int, batch: int) -> Patches:
    """Training patches of one size."""
    material = given.material
    return Patches(
        material.cache, pieces, material.scales, frames=config.frames, ends=config.ends, size_px=side, batch=batch,
        seed=config.seed, tries=config.data.tries, partners=material.partners,
    )  # fmt: skip


def _held(config: Config, given: Bench, grid: int) -> Held:
    sources = given.material.sources
    sides = [min(piece.bottom - piece.top, sources[piece.movie].shape[2]) for piece in given.held]
    side = min(LARGEST_PX, *sides) // grid * grid
    unseen = patches(config, given, given.held, side, batch=1)
    return hold(unseen, given.make_bad, generator(config.seed, 0, VALIDATE), sources[0].pixel_size_um)


def learner(config: Config, given: Bench, precision: str | None = None) -> Learner:
    """A network with its first weights, its optimizer, and what else a step needs.

    Args:
        config: of the run.
        given: crappifier, device and processes.
        precision: instead of the config's.
    """
    # The only place where torch's global generator matters: the first weights; it is put back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = network(config.network, frames=config.frames, scale=config.scale)
    net = net.to(given.device, memory_format=torch.channels_last).train()
    # One kernel for all weights; torch's other ways take one after the other.
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=config.train.lr or LR, weight_decay=config.train.weight_decay, fused=True
    )
    dtype = PRECISIONS[precision or config.train.precision]
    return Learner(
        net,
        optimizer,
        given.make_bad,
        config.loss,
        config.train.clip,
        dtype,
        config.data.gain,
        given.world,
        torch.amp.GradScaler(given.device.type, init_scale=2.0**12, enabled=dtype == torch.float16),
    )
