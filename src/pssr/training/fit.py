"""The only training loop: a generator of events that saves when it is closed, and continues when called again."""

import signal
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pssr.config import Config
from pssr.crappify.chain import Step as CrappifierStep
from pssr.crappify.chain import opened, part_of
from pssr.data.intensity import Planes
from pssr.errors import TrainingError
from pssr.io.atomic import write_whole
from pssr.model_file import Model, save
from pssr.predict.device import choose_device, fast_precision
from pssr.training.events import Event, PhaseStarted, Saved, Step, Validated
from pssr.training.holding import signals_held
from pssr.training.lock import locked
from pssr.training.optim import average, one_cycle
from pssr.training.prepare import CRAPPIFY, Job, fitted, generator, prepare
from pssr.training.run import Run, keep_config, load_state, open_run, save_state, write_log
from pssr.training.steps import learn
from pssr.training.validation import validate

LOG_EVERY = 10  # steps


@dataclass
class Progress:
    """How far a training is; what a resumed run starts from.

    Args:
        step: steps done.
        elapsed_s: seconds of training.
        scores: of the last validation.
        whole: whether no step is half done.
    """

    step: int = 0
    elapsed_s: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    whole: bool = True

    def share(self, config: Config) -> float:
        """The share that is done, 0..1, by steps or by time, whichever is nearer its end."""
        by_time = self.elapsed_s / config.train.max_time_s if config.train.max_time_s else 0.0
        return min(1.0, max(self.step / config.train.steps, by_time))


def fit(
    config: Config,
    movies: Sequence[Planes],
    out: str | Path,
    *,
    lows: Sequence[Planes | None] = (),
    crappifier: Sequence[CrappifierStep] = (),
) -> Generator[Event, None, None]:
    """Train on high-resolution movies, or go on with the training in that folder.

    Close the generator to stop early; whatever ends it, the model and the state are saved.

    Args:
        config: the settings.
        movies: high-resolution planes, each a `Movie` or a (T, Y, X) array.
        out: the run folder.
        lows: real low-resolution movies of the same fields and times, one for each movie, None where there is none; ()
            trains on the crappifier alone. They take the place of one of the two bad copies.
        crappifier: callables `(N, F, H, W)[, rng] -> ...` instead of the config's chain.

    Yields:
        `PhaseStarted` once, then `Step`, `Validated` and `Saved` as they happen.

    Raises:
        ConfigError: settings that do not fit each other, the movies, or the run that is in the folder.
        TrainingError: the loss is no longer a number.
    """
    if crappifier:
        config = config.model_copy(update={"crappifier": tuple(map(part_of, opened(crappifier)))})
    config = fitted(config, movies)
    device = choose_device(config.train.device)
    with locked(Path(out)):
        run = open_run(Path(out), config, fast_precision(device) if config.train.precision == "auto" else "")
        job = prepare(run.config, movies, device, lows=lows, steps=crappifier)
        progress = _resume(run, job)
        keep_config(run)
        yield _started(run, job, progress)
        try:
            yield from _train(run, job, progress)
        finally:
            # An error within a step may have left half of it: then what was saved before is better.
            if progress.whole:
                _save(run, job, progress)
        yield Saved(progress.step, run.model)


def _train(run: Run, job: Job, progress: Progress) -> Generator[Event, None, None]:
    config, saved = run.config, time.monotonic()
    batches = _batches(config, job, progress.step)
    while progress.share(config) < 1:
        yield _step(run, job, progress, batches)
        done = progress.share(config) >= 1
        if job.held and (done or progress.step % config.train.validate_every == 0):
            yield _validated(run, job, progress)
        if not done and time.monotonic() - saved > config.train.save_every_s:
            _save(run, job, progress)
            saved = time.monotonic()
            yield Saved(progress.step, run.model)


def _step(run: Run, job: Job, progress: Progress, batches: Iterator[list[Tensor]]) -> Step:
    config, start = run.config, time.perf_counter()
    lr = one_cycle(progress.share(config), config.train.lr)
    good, *real = (patches.to(job.device) for patches in next(batches))
    rng = generator(config.seed, progress.step, CRAPPIFY, job.device)
    with signals_held():
        progress.whole = False
        try:
            loss, terms = learn(job.learner, good, rng, lr, *real)
        except TrainingError:
            # The weights are as they were before the step; a running mean that a layer keeps may not be.
            progress.whole = all(bool(v.isfinite().all()) for v in job.learner.net.state_dict().values())
            raise
        progress.step += 1
        weights = job.learner.net.state_dict()
        average(job.averaged.state_dict(), weights, step=progress.step, memory=config.train.ema)
        progress.elapsed_s += time.perf_counter() - start
        progress.whole = True
    if progress.step % LOG_EVERY == 0:
        write_log(run, step=progress.step, loss=loss, **terms, lr=lr, elapsed_s=round(progress.elapsed_s, 3))
    return Step(progress.step, loss, terms, lr, progress.elapsed_s, progress.share(config))


def _batches(config: Config, job: Job, step: int) -> Iterator[list[Tensor]]:
    """Batches of good bundles, with their real partners, from the given step on; the same for any number of workers."""
    batch = config.data.batch
    return iter(
        DataLoader(
            job.patches,  # type: ignore[arg-type]
            batch_size=batch,
            sampler=range(step * batch, config.train.steps * batch),
            num_workers=config.data.workers,
            pin_memory=job.device.type == "cuda",
            worker_init_fn=_deaf,
            generator=torch.Generator(),  # else the loader would draw from, and change, torch's global one
        )
    )


def _deaf(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the workers end when the training has saved itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _validated(run: Run, job: Job, progress: Progress) -> Validated:
    assert job.held is not None
    psnr, picture = validate(job.averaged, job.held, job.device)
    bicubic = job.held.bicubic_psnr
    progress.scores = {"psnr": psnr, "bicubic_psnr": bicubic}
    write_whole(run.sample(progress.step), picture)
    write_log(run, step=progress.step, **progress.scores)
    return Validated(progress.step, psnr, bicubic, run.sample(progress.step))


def _started(run: Run, job: Job, progress: Progress) -> PhaseStarted:
    config, pieces = run.config, job.patches.pieces
    return PhaseStarted(
        name="train",
        step=progress.step,
        steps=config.train.steps,
        device=str(job.device),
        precision=config.train.precision,
        parameters=sum(p.numel() for p in job.learner.net.parameters()),
        train_bundles=sum(len(piece.bundles(config.frames, config.ends)) for piece in pieces),
        held_bundles=job.held_bundles,
        patch_px=job.patches.size_px,
    )


def _save(run: Run, job: Job, progress: Progress) -> None:
    """The state first: from it a model can be made again, and not the other way round."""
    state = {
        "step": progress.step,
        "elapsed_s": progress.elapsed_s,
        "scores": progress.scores,
        "sources": [asdict(source) for source in job.sources],
        "net": job.learner.net.state_dict(),
        "averaged": job.averaged.state_dict(),
        "optimizer": job.learner.optimizer.state_dict(),
    }
    weights = job.averaged.state_dict()
    with signals_held():
        save_state(run, state)
        save(
            Model(run.config, weights, job.reference, job.sources, progress.step, progress.scores), run.model
        )


def _resume(run: Run, job: Job) -> Progress:
    state = load_state(run, job.sources)
    if state is None:
        return Progress()
    job.learner.net.load_state_dict(state["net"])
    job.averaged.load_state_dict(state["averaged"])
    job.learner.optimizer.load_state_dict(state["optimizer"])
    return Progress(state["step"], state["elapsed_s"], state["scores"])
