"""What a training leaves in its folder, and how it is found there again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pssr.errors import ModelError
from pssr.io.atomic import write_whole
from pssr.model_file import Ancestor, Model, save
from pssr.training.checkpoint import load_state, save_state
from pssr.training.finetune import fits
from pssr.training.holding import signals_held
from pssr.training.log import cut_log
from pssr.training.prepare import Job
from pssr.training.run import Run, keep_config

PROGRESS = ("step", "elapsed_s", "scores", "skipped", "best", "worse", "micro")


@dataclass(frozen=True)
class Found:
    """What a run goes on from.

    Args:
        progress: how far it was.
        ancestors: models that its first weights came from.
        note: what a person should know, if anything.
    """

    progress: Mapping[str, Any]
    ancestors: Sequence[Ancestor]
    note: str


def save_all(run: Run, job: Job, progress: Mapping[str, Any]) -> None:
    """The state first: from it a model can be made again, and not the other way round.

    Args:
        run: where to.
        job: what has learned.
        progress: how far it is.
    """
    state = {
        **progress,
        "sources": [asdict(source) for source in job.sources],
        "ancestors": [asdict(ancestor) for ancestor in job.ancestors],
        "net": job.learner.net.state_dict(),
        "averaged": job.averaged.state_dict(),
        "optimizer": job.learner.optimizer.state_dict(),
        "scaler": job.learner.scaler.state_dict(),
    }
    with signals_held():
        save_state(run, state)
        save_model(run, job, progress["step"], progress["scores"], run.model)


def save_model(run: Run, job: Job, step: int, scores: Mapping[str, float], path: Path) -> None:
    """The averaged weights as a model file."""
    weights = job.averaged.state_dict()
    save(Model(run.config, weights, job.reference, job.sources, step, scores, ancestors=job.ancestors), path)


def resumed(run: Run, job: Job) -> Found | None:
    """Put network, average and optimizer where the run that is in the folder was.

    Returns:
        What to go on from; None for a new run.

    Raises:
        ModelError: what is there is damaged, or of another network.
        ConfigError: the run was started on other movies.
    """
    found = load_state(run, job.sources)
    if found is None:
        return None
    state, note = found
    for name, net in (("net", job.learner.net), ("averaged", job.averaged)):
        fits(state[name], net, str(run.state))
        net.load_state_dict(state[name])
    try:
        job.learner.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            job.learner.scaler.load_state_dict(state["scaler"])
        progress = {name: state[name] for name in PROGRESS}
        ancestors = [Ancestor(**{**a, "sources": tuple(a["sources"])}) for a in state["ancestors"]]
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{run.state}: is of another program; say restart=True (--restart)") from error
    return Found(progress, ancestors, note)


def began(run: Run, job: Job, found: Found | None) -> None:
    """Write settings and split, and forget what was logged after the step that is gone on from."""
    keep_config(run)
    if found and found.note:
        # The next save would put the damaged one in the place of the whole one.
        run.state.unlink(missing_ok=True)
    names = [source.name for source in job.sources]
    kinds = zip(("learned_from", "held_back"), job.pieces, strict=True)
    parts = {kind: [piece.told(names) for piece in pieces] for kind, pieces in kinds}
    write_whole(run.folder / "split.json", json.dumps(parts, indent=1).encode())
    if found and found.progress["step"]:
        cut_log(run.log, found.progress["step"])
    else:
        run.log.unlink(missing_ok=True)


def promote(run: Run, worse: int) -> None:
    """Where training ended because it got no better, the best model is the result."""
    if worse and run.best.exists() and run.config.train.patience and worse >= run.config.train.patience:
        write_whole(run.model, run.best.read_bytes())
