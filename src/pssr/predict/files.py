"""One file restored to one file: opened, compared with the training, gone on with, and renamed when complete."""

from collections.abc import Generator as Closable
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pssr.data.intensity import Intensity
from pssr.errors import ConfigError, WriteError
from pssr.io.journal import unfinished
from pssr.io.open import Choices, open_stack
from pssr.io.stack import Stack
from pssr.predict.device import PRECISIONS
from pssr.predict.events import Event, Noted, Warned, Written
from pssr.predict.guard import mismatches
from pssr.predict.job import Job, Wanted, job_of
from pssr.predict.outputs import Outputs, Writing, dtype_of
from pssr.predict.restoring import Destination, Noises, noises_of, restored_into

if TYPE_CHECKING:
    from pssr.predict.predictor import Predictor


class FileWords(Choices, Wanted, Writing, total=False):
    """All that may be said about the restoration of a file.

    Args:
        strict: whether every mismatch with the training is an error.
    """

    strict: bool


@dataclass(frozen=True)
class Plan:
    """All that is settled before the first plane.

    Args:
        job: what is restored.
        dtype: of the restored counts.
        noises: of each channel, to be drawn anew; empty where it is not asked for.
        said: what a person should know.
    """

    job: Job
    dtype: np.dtype
    noises: Noises
    said: tuple[Event, ...]


def planned(predictor: "Predictor", source: str | Path | Stack, target: Path, words: FileWords) -> Plan:
    """Open a file and settle what is done with it.

    Args:
        predictor: a model on its devices.
        source: low-resolution; a stack is open already.
        target: the file to write.
        words: what and how.

    Raises:
        PssrError: its message says what is wrong and what to do.
    """
    choices = cast(Choices, {name: words[name] for name in Choices.__annotations__ if name in words})  # type: ignore[literal-required]
    stack = source if isinstance(source, Stack) else open_stack(source, **choices)
    if choices.get("series") and target.parent.resolve() == stack.path.resolve():
        raise WriteError(f"{target}: lies in the folder to read from; choose another one")
    return plan_of(predictor, stack, words)


def plan_of(predictor: "Predictor", stack: Stack, words: FileWords) -> Plan:
    """Settle what is done with a stack.

    Args:
        predictor: a model on its devices.
        stack: low-resolution.
        words: what and how.

    Raises:
        PssrError: its message says what is wrong and what to do.
    """
    job = job_of(stack, predictor.model.config, predictor.model.reference, words)
    warned = list(_compared(predictor, job, strict=words.get("strict", False)))
    noises: Noises = {}
    if words.get("uncertainty", False):
        noises, more = noises_of(job)
        warned += more
    return Plan(job, dtype_of(stack, words), noises, (*map(Noted, stack.notes), *map(Warned, warned)))


def restored_file(
    predictor: "Predictor", source: str | Path | Stack, target: Path, words: FileWords
) -> Closable[Event, None, None]:
    """Restore a file; as `Predictor.steps`, which says more.

    Args:
        predictor: a model on its devices.
        source: low-resolution.
        target: the file to write.
        words: what and how.

    Yields:
        What happens.

    Raises:
        PssrError: its message says what is wrong and what to do.
    """
    plan = planned(predictor, source, target, words)
    yield from plan.said
    predictor = as_begun(predictor, unfinished(target).get("precision"))
    outputs = outputs_of(predictor, plan.job, target, words)
    steps = restored_into(
        plan.job,
        predictor.engines(spread=bool(plan.noises)),
        outputs,
        dtype=plan.dtype,
        compare=words.get("compare", False),
        noises=plan.noises,
    )
    with outputs, closing(steps):
        yield from steps
    yield from map(Written, outputs.paths)


def restored_stack(
    predictor: "Predictor", stack: Stack, into: Destination, words: FileWords
) -> Closable[Event, None, None]:
    """Restore a stack into something that takes planes; as `Predictor.restore`, which says more.

    Args:
        predictor: a model on its devices.
        stack: low-resolution.
        into: where answers go.
        words: what.

    Yields:
        What happens.

    Raises:
        PssrError: its message says what is wrong and what to do.
    """
    plan = plan_of(predictor, stack, words)
    yield from plan.said
    engines, compare = predictor.engines(spread=bool(plan.noises)), words.get("compare", False)
    steps = restored_into(plan.job, engines, into, dtype=plan.dtype, compare=compare, noises=plan.noises)
    with closing(steps):
        yield from steps


def as_begun(predictor: "Predictor", precision: str | None) -> "Predictor":
    """In the precision in which an unfinished file was begun.

    Another machine may have measured otherwise, and two precisions must not meet in one file.
    """
    if precision is None or precision not in PRECISIONS or not predictor.measured:
        return predictor
    return replace(predictor, precision=precision)


def outputs_of(predictor: "Predictor", job: Job, target: Path, words: Writing) -> Outputs:
    """The files to write, not yet begun.

    Raises:
        WriteError: one exists or cannot be written.
    """
    stack = job.stack
    rows, columns = job.field
    whole = (rows.stop - rows.start, columns.stop - columns.start) == (stack.sizes["Y"], stack.sizes["X"])
    part = (
        {}
        if whole
        else {"field": f"rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}"}
    )
    provenance = provenance_of(predictor, stack.path.name, job.scales) | part
    settles = f"{job.windows} {job.others} {job.nan} {identity(stack)} {words.get('compare', False)}"
    return Outputs(target, job.like, predictor.model.config.scale, words, provenance, settles)


def provenance_of(predictor: "Predictor", source: str, scales: Sequence[Intensity]) -> dict[str, Any]:
    """What an output file says about how it was made.

    Args:
        predictor: the model.
        source: name of the low-resolution file.
        scales: of its channels.
    """
    config = predictor.model.config
    return {
        "program": f"pssr-toolkit {version('pssr-toolkit')}",
        "model": predictor.name,
        "model_sha256": predictor.model.sha256,
        **({"averaged_with": [[name, m.sha256] for name, m in predictor.others]} if predictor.others else {}),
        "source": source,
        "scale": config.scale,
        "frames": config.frames,
        "axis": config.axis,
        "ends": config.ends,
        "network": str(config.network),
        "precision": predictor.precision,
        **({"turns": 8} if predictor.turns else {}),
        "intensity": [[scale.low, scale.high] for scale in scales],
    }


def identity(stack: Stack) -> str:
    """Changes when the file does: sizes and times of all that it is made of."""
    paths = [stack.path, *stack.companions]
    if stack.path.is_dir():
        # Of a store what describes it, and not its chunks, of which there may be millions.
        paths += [path for pattern in ("*", "*/zarr.json", "*/.zarray") for path in stack.path.glob(pattern)]
    facts = [path.stat() for path in paths if path.exists()]
    newest = max((fact.st_mtime_ns for fact in facts), default=0)  # of an array, which is no file
    return f"{sum(fact.st_size for fact in facts)} {newest} {stack.scene}"


def _compared(predictor: "Predictor", job: Job, *, strict: bool) -> Iterator[str]:
    """A sentence for each way in which the stack is not like what the model was trained on."""
    said: dict[str, None] = {}
    for channel, scale in zip(job.channels, job.scales, strict=True):
        said |= dict.fromkeys(mismatches(predictor.model, job.stack, channel, scale, trust=predictor.trust))
    for sentence in said:
        if strict:
            raise ConfigError(f"{job.stack.path.name}: {sentence}")
        yield sentence
