"""The only training loop: a generator of events that saves when it is closed, and continues when called again."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pssr.config import Config
from pssr.crappify.chain import Step as CrappifierStep
from pssr.crappify.chain import opened, part_of
from pssr.data.intensity import Planes
from pssr.data.resident import resident
from pssr.errors import OutOfMemory, TrainingError
from pssr.predict.device import memory_is_full
from pssr.training.distributed import World, world
from pssr.training.events import Event, PhaseStarted, Saved, Step, Validated
from pssr.training.holding import signals_held
from pssr.training.loader import batches
from pssr.training.lock import locked
from pssr.training.optim import average, one_cycle
from pssr.training.phases import Phase
from pssr.training.plan import Plan, planned
from pssr.training.prepare import CRAPPIFY, Bench, Job, bench, fitted, generator, prepare
from pssr.training.run import Run, clear, settled
from pssr.training.saving import began, promote, resumed, save_all, save_model
from pssr.training.sources import gathered
from pssr.training.steps import Learned
from pssr.training.watching import Watch, watched

SKIPS = 20  # steps in a row without a number that end a training


@dataclass
class Progress:
    """How far a training is; what a resumed run starts from.

    Args:
        step: steps done.
        elapsed_s: seconds of training.
        scores: of the last validation.
        skipped: steps in a row whose loss was not a number.
        best: PSNR of the best validation.
        worse: validations since then.
        micro: bundles that go through at once; None for all.
        stop: why it ends before all steps are done.
        whole: whether no step is half done.
    """

    step: int = 0
    elapsed_s: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    best: float = -math.inf
    worse: int = 0
    micro: int | None = None
    stop: str = ""
    whole: bool = True

    def share(self, config: Config) -> float:
        """The share that is done, 0..1, by steps or by time, whichever is nearer its end."""
        by_time = self.elapsed_s / config.train.max_time_s if config.train.max_time_s else 0.0
        return min(1.0, max(self.step / config.train.steps, by_time))

    def finished(self, config: Config) -> bool:
        """Whether nothing is left to do."""
        return self.share(config) >= 1 or self.worse >= (config.train.patience or math.inf)


def fit(
    config: Config,
    movies: Sequence[Planes],
    out: str | Path,
    *,
    lows: Sequence[Planes | None] = (),
    crappifier: Sequence[CrappifierStep] = (),
    restart: bool = False,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> Generator[Event, None, None]:
    """Train on high-resolution movies, or go on with the training in that folder.

    The first event is the plan; nothing is written before the next one is asked for. Close the generator to stop early;
    whatever ends it, the model and the state are saved. Started by `torchrun`, all processes call this with the same
    arguments, share every batch, and the first one writes.

    Args:
        config: the settings.
        movies: high-resolution planes, each a `Movie` or a (T, Y, X) array.
        out: the run folder.
        lows: real low-resolution movies of the same fields and times, one for each movie, None where there is none; ()
            trains on the crappifier alone. They take the place of one of the two bad copies.
        crappifier: callables `(N, F, H, W)[, rng] -> ...` instead of the config's chain.
        restart: whether a run that is in the folder is removed first.
        asked_to_stop: looked at after every step; where any process is asked to stop, all save and end.

    Yields:
        `PhaseStarted`, then `Step`, `Validated`, `Noted` and `Saved` as they happen.

    Raises:
        ConfigError: settings that do not fit each other, the movies, or the run that is in the folder.
        TrainingError: the loss is no longer a number.
    """
    if crappifier:
        config = config.model_copy(update={"crappifier": tuple(map(part_of, opened(crappifier)))})
    config = fitted(config, movies)
    with world() as here, locked(Path(out)) if here.first else nullcontext():
        config = config if restart else here.told(lambda: settled(Path(out), config))
        given = bench(
            config,
            gathered(config, movies, lows),
            here.device(config.train.device),
            steps=crappifier,
            world=here,
        )
        plan = here.told(lambda: planned(config, given))
        run = Run(Path(out), plan.config)
        job = prepare(run.config, given, fresh=restart or not run.started)
        found = None if restart else resumed(run, job)
        progress = Progress(**found.progress) if found else Progress(micro=run.config.train.micro)
        job = replace(job, ancestors=found.ancestors) if found else job
        yield _started(run, given, job, _left(job, progress, run.config)[0], progress, plan)
        if here.first:
            if restart:
                clear(run.folder)
            began(run, job, found)
        here.wait()
        job = replace(job, stays=resident(given.material.cache, job.device))
        with watched(run, progress.step, writes=here.first) as watch:
            if found and found.note:
                yield watch.noted(progress.step, found.note)
            yield from _all_phases(watch, given, job, progress, plan, asked_to_stop)


def _all_phases(
    watch: Watch, given: Bench, job: Job, progress: Progress, plan: Plan, asked_to_stop: Callable[[], bool]
) -> Generator[Event, None, None]:
    here, run = given.world, watch.run
    config, failure = run.config, None
    try:
        for number, phase in enumerate(_left(job, progress, config)):
            if number and not progress.finished(config):
                yield _started(run, given, job, phase, progress, plan)
            yield from _train(watch, here, job, phase, progress, asked_to_stop)
            if progress.stop:
                break
    except Exception as error:
        failure = error
        raise
    finally:
        # An error within a step may have left half of it: then what was saved before is better.
        try:
            if progress.whole and here.first:
                save_all(run, job, _state(progress))
        finally:
            if failure:
                watch.ended(progress.step, failure)
    finished = progress.finished(config)
    if finished and here.first:
        promote(run, progress.worse)
        watch.ended(progress.step)
    here.wait()
    yield Saved(progress.step, run.model, finished)


def _left(job: Job, progress: Progress, config: Config) -> Sequence[Phase]:
    """The phases that are not done; of a training that is, the last one."""
    return [phase for phase in job.phases if progress.share(config) < phase.until] or job.phases[-1:]


def _train(
    watch: Watch, here: World, job: Job, phase: Phase, progress: Progress, asked_to_stop: Callable[[], bool]
) -> Generator[Event, None, None]:
    run, saved = watch.run, time.monotonic()
    config = run.config
    # Closed here and not when nobody holds it any more: its workers would outlive the training.
    with closing(batches(config, phase.patches, progress.step, here, job.device, job.stays)) as parts:
        while progress.share(config) < phase.until and not progress.finished(config):
            yield from _step(watch, job, phase, progress, parts)
            progress.elapsed_s, stop = here.agreed(progress.elapsed_s, asked_to_stop(), job.device)
            progress.stop = "asked to stop" if stop else ""
            finished = progress.finished(config)
            if job.held and (finished or progress.step % config.train.validate_every == 0):
                yield _validated(watch, job, progress)
            if config.train.patience:
                progress.worse = here.told(lambda: progress.worse)
            if stop:
                return
            if here.first and not finished and time.monotonic() - saved > config.train.save_every_s:
                save_all(run, job, _state(progress))
                saved = time.monotonic()
                yield Saved(progress.step, run.model)


def _step(
    watch: Watch, job: Job, phase: Phase, progress: Progress, parts: Iterator[list[Tensor]]
) -> Generator[Event, None, None]:
    config, start = watch.run.config, time.perf_counter()
    lr = one_cycle(progress.share(config), config.train.lr)
    given = [patch.to(job.device, non_blocking=True) for patch in next(parts)]
    micro = progress.micro
    with signals_held():
        progress.whole = False
        done = _learned(config.seed, job, phase, progress, given, lr)
        progress.step += 1
        weights = job.learner.net.state_dict()
        average(job.averaged.state_dict(), weights, step=progress.step, memory=config.train.ema)
        progress.skipped = progress.skipped + 1 if done.skipped else 0
        progress.elapsed_s += time.perf_counter() - start
        progress.whole = True
    if progress.micro != micro:
        yield watch.noted(
            progress.step,
            f"out of memory: {progress.micro} patches go through at once from here on; the result is the same",
        )
    if progress.skipped >= SKIPS:
        raise TrainingError(
            f"loss: {SKIPS} steps in a row gave no number, the last with loss {done.terms}; use a lower train.lr, or "
            "train.precision=fp32"
        )
    watch.learned(progress.step, done, lr, progress.elapsed_s)
    yield Step(progress.step, done.loss, done.terms, lr, progress.elapsed_s, progress.share(config))


def _learned(
    seed: int, job: Job, phase: Phase, progress: Progress, given: Sequence[Tensor], lr: float
) -> Learned:
    """One step; with half as many patches at once, and the same result, for as long as memory is too small."""
    step, device = progress.step, job.device
    while True:
        try:
            return phase.learn(
                given, lambda group: generator(seed, step, CRAPPIFY + group, device), lr, progress.micro
            )
        except TrainingError:
            # Another process is gone; nothing has changed here.
            progress.whole = True
            raise
        except (RuntimeError, MemoryError) as error:
            if not memory_is_full(error):
                raise
            at_once = progress.micro or len(given[0])
            if at_once == 1:
                progress.whole = True
                raise OutOfMemory(
                    f"{device}: out of memory with one patch of {phase.patches.size_px} px; use a smaller data.patch_px or "
                    "network"
                ) from error
        progress.micro = at_once // 2
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _validated(watch: Watch, job: Job, progress: Progress) -> Validated:
    run, event = watch.run, watch.validated(job, progress.step)
    scores = {"psnr": event.psnr, "bicubic_psnr": event.bicubic_psnr, "ssim": event.ssim}
    # The tiniest frames have no SSIM, and a model file holds numbers.
    progress.scores = {name: score for name, score in scores.items() if math.isfinite(score)}
    better = event.psnr > progress.best
    progress.best, progress.worse = max(event.psnr, progress.best), 0 if better else progress.worse + 1
    if better and run.config.train.patience:
        save_model(run, job, progress.step, progress.scores, run.best)
    return event


def _started(run: Run, given: Bench, job: Job, phase: Phase, progress: Progress, plan: Plan) -> PhaseStarted:
    config, (train, held) = run.config, job.pieces
    left = 1 - progress.share(config)
    by_time = config.train.max_time_s or math.inf
    return PhaseStarted(
        name=phase.name,
        step=progress.step,
        steps=config.train.steps,
        device=str(job.device),
        precision=config.train.precision,
        parameters=sum(p.numel() for p in job.learner.net.parameters() if p.requires_grad),
        movies=len(job.sources),
        planes=sum(source.shape[0] for source in job.sources),
        batch=config.data.batch,
        train_bundles=sum(len(piece.bundles(config.frames, config.ends)) for piece in train),
        held_bundles=sum(len(piece.bundles(config.frames, config.ends)) for piece in held),
        patch_px=phase.patches.size_px,
        processes=given.world.size,
        memory_bytes=plan.memory_bytes,
        left_s=min(plan.step_s * (config.train.steps - progress.step), by_time * left),
        lr=config.train.lr,
    )


def _state(progress: Progress) -> dict[str, Any]:
    """What of the progress is saved."""
    return {name: value for name, value in vars(progress).items() if name not in ("stop", "whole")}
