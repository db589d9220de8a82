"""A job, plane by plane: read, compute and write at the same time."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Generator as Closable
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pssr.predict.counts import Landing, arrived, counted, lifted
from pssr.predict.engine import Engine
from pssr.predict.events import Noted, Progress, Warned
from pssr.predict.job import Job, Run
from pssr.predict.outputs import Answer
from pssr.predict.redraw import measured_noise, redrawn
from pssr.predict.stages import staged
from pssr.predict.tiles import Box, grown, inside
from pssr.predict.window import bundled, reading_order

# Planes up to this are computed by a CPU in the thread that asks: in one of its own OpenMP has more threads than cores, which sleep between
# layers. Small planes lose a quarter of their time by that, large ones more by not sleeping while others read and write (benchmarks/RESULTS.md).
SMALL_PX = 192**2
Noises: TypeAlias = dict[int, tuple[float, float]]  # slope and intercept, by position of the channel


@dataclass(frozen=True)
class Bundle:
    """Planes on their way to a device.

    Args:
        run: where they belong.
        target: position of the middle frame among those restored.
        planes: (copies, Y, X) each, shared with the bundles before and behind.
    """

    run: Run
    target: int
    planes: Sequence[Tensor]


@dataclass(frozen=True)
class Restored:
    """Planes on their way to the files.

    Args:
        run: where they belong.
        target: likewise.
        restored: counts.
        low: the low-resolution plane enlarged, in counts; None where it is not asked for.
        spread: over turns and over noise, in counts.
    """

    run: Run
    target: int
    restored: Landing
    low: Landing | None
    spread: tuple[Landing, ...]


@runtime_checkable
class Destination(Protocol):
    """Where answers go."""

    def has(self, place: Mapping[str, int], /) -> bool:
        """Whether a plane is there already."""
        ...

    def write(self, place: Mapping[str, int], answer: Answer, /) -> None:
        """Put it there."""
        ...


def restored_into(
    job: Job,
    engines: Sequence[Engine],
    outputs: Destination,
    *,
    dtype: np.dtype,
    compare: bool = False,
    noises: Noises | None = None,
) -> Closable[Progress | Noted | Warned, None, None]:
    """Restore what a job asks for and what is not in the files yet.

    Args:
        job: what to restore.
        engines: one for each device.
        outputs: open.
        dtype: of the restored counts.
        compare: whether the low-resolution planes are written beside the restored ones.
        noises: slope and intercept of the noise of each channel, for the spread; empty where it is not asked for.

    Yields:
        Progress for each plane, and what there is to know.

    Raises:
        ReadError: a plane cannot be read.
        WriteError: the disk is full, or the like.
        OutOfMemory: a device is too small.
    """
    left = [_left(job, run, outputs) for run in job.runs()]
    before = job.planes - sum(len(run.targets) for run in left)
    if before:
        yield Noted(f"goes on: {before} of {job.planes} planes were restored before")
    net = engines[0].net
    # A network that sees everything is given everything.
    part = grown(job.field, _shape(job), net.halo, net.multiple) if net.local else _whole(job)
    bundles = (
        bundle
        for run in left
        for bundle in _bundles(job, run, part, (noises or {}).get(run.channel), engines[0])
    )
    workers = [_worker(job, engine, part, dtype, compare) for engine in engines]

    def write(done: Restored) -> None:
        low = done.low.array() if done.low else None
        spread = tuple(one.array() for one in done.spread)
        outputs.write(job.place(done.run, done.target), Answer(done.restored.array(), low, spread))

    small = math.prod(side.stop - side.start for side in part) <= SMALL_PX
    here = small and len(workers) == 1 and engines[0].device.type == "cpu"
    with closing(staged(bundles, workers, write, here=here)) as steps:
        for done, _ in enumerate(steps, before + 1):
            yield Progress(done, job.planes)
            for engine in engines:
                yield from map(Warned if not net.local else Noted, engine.notes())


def _left(job: Job, run: Run, outputs: Destination) -> Run:
    targets = tuple(target for target in run.targets if not outputs.has(job.place(run, target)))
    return Run(run.channel, run.other, targets)


def noises_of(job: Job) -> tuple[Noises, list[str]]:
    """The noise of each channel, to be drawn anew, and what a person should know of it.

    Raises:
        NoNoise: it cannot be measured.
    """
    found: Noises = {}
    said = []
    for c, (channel, scale) in enumerate(zip(job.channels, job.scales, strict=True)):
        slope, intercept, bound = measured_noise(job.stack, channel, job.stack.sizes["Z"] // 2, scale)
        found[c] = slope, intercept
        if bound:
            said.append(
                f"uncertainty: {job.stack.channels[channel]} has fewer than three frames, so structure may be counted as "
                "noise; take the spread over noise for an upper bound"
            )
    return found, said


def _bundles(
    job: Job, run: Run, part: Box, noise: tuple[float, float] | None, engine: Engine
) -> Iterator[Bundle]:
    scale, windows = job.scales[run.channel], [job.windows[target] for target in run.targets]

    def planes() -> Closable[Tensor, None, None]:
        for t, plane in zip(reading_order(windows), job.read(run), strict=True):
            if noise is None:
                yield lifted(np.ascontiguousarray(plane[part]), scale, engine.device)[None]
            else:
                # Drawn for the whole plane: a part of it gets the noise that the whole would have there.
                copies = redrawn(scale.to_unit(plane), noise, job.source(run, t), engine.asking.draws)
                yield torch.from_numpy(np.ascontiguousarray(copies[:, *part]))

    with closing(planes()) as source:
        for target, (_, bundle) in zip(run.targets, bundled(windows, source), strict=True):
            yield Bundle(run, target, bundle)


def _worker(
    job: Job, engine: Engine, part: Box, dtype: np.dtype, compare: bool
) -> Callable[[Bundle], Restored]:
    """What one device does with a bundle; planes that the next one shares stay there."""
    here: dict[int, tuple[Tensor, Tensor]] = {}
    inner = inside(job.field, part)

    def work(bundle: Bundle) -> Restored:
        nonlocal here
        scale = job.scales[bundle.run.channel]
        # With the plane itself, so that its number is not given to another one.
        here = {
            id(plane): here.get(id(plane)) or (plane, arrived(plane, scale, engine.device))
            for plane in bundle.planes
        }
        planes = [here[id(plane)][1] for plane in bundle.planes]
        answer = engine(planes, inner)
        low = None
        if compare:
            enlarged = _enlarged(planes[len(planes) // 2][0], inner, engine.net.scale)
            low = Landing(counted(enlarged, scale, dtype))
        spread = (Landing(plane * (scale.high - scale.low)) for plane in answer[1:])
        return Restored(
            bundle.run, bundle.target, Landing(counted(answer[0], scale, dtype)), low, tuple(spread)
        )

    return work


def _enlarged(plane: Tensor, field: Box, scale: int) -> Tensor:
    """By bicubic interpolation, of which the field is kept."""
    large = functional.interpolate(plane[None, None], scale_factor=scale, mode="bicubic", align_corners=False)
    wanted = tuple(slice(scale * part.start, scale * part.stop) for part in field)
    return large[0, 0][wanted]


def _shape(job: Job) -> tuple[int, int]:
    return job.stack.sizes["Y"], job.stack.sizes["X"]


def _whole(job: Job) -> Box:
    rows, columns = _shape(job)
    return slice(0, rows), slice(0, columns)
