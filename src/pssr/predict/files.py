"""One file restored to one file: opened, compared with the training, gone on with, and renamed when complete."""

from collections.abc import Generator as Closable
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from pssr.errors import ConfigError, WriteError
from pssr.io.journal import unfinished
from pssr.io.open import Choices, open_stack
from pssr.io.stack import Stack
from pssr.predict.device import PRECISIONS
from pssr.predict.events import Event, Noted, Warned, Written
from pssr.predict.guard import mismatches
from pssr.predict.job import Job, Wanted, job_of
from pssr.predict.outputs import Outputs, Writing, dtype_of
from pssr.predict.restoring import Noises, noises_of, restored_into

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


def planned(predictor: "Predictor", source: Path, target: Path, words: FileWords) -> Plan:
    """Open a file and settle what is done with it.

    Args:
        predictor: a model on its devices.
        source: low-resolution.
        target: the file to write.
        words: what and how.

    Raises:
        PssrError: its message says what is wrong and what to do.
    """
    choices = cast(Choices, {name: words[name] for name in Choices.__annotations__ if name in words})  # type: ignore[literal-required]
    stack = open_stack(source, **choices)
    if choices.get("series") and target.parent.resolve() == stack.path.resolve():
        raise WriteError(f"{target}: lies in the folder to read from; choose another one")
    job = job_of(stack, predictor.model.config, predictor.model.reference, words)
    warned = list(_compared(predictor, job, strict=words.get("strict", False)))
    noises: Noises = {}
    if words.get("uncertainty", False):
        noises, more = noises_of(job)
        warned += more
    return Plan(job, dtype_of(stack, words), noises, (*map(Noted, stack.notes), *map(Warned, warned)))


def restored_file(
    predictor: "Predictor", source: Path, target: Path, words: FileWords
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


def as_begun(predictor: "Predictor", precision: str | None) -> "Predictor":
    """In the precision in which an unfinished file was begun.

    Another machine may have measured otherwise, and two precisions must not meet in one file.
    """
    return predictor.in_precision(precision) if predictor.measured and precision in PRECISIONS else predictor


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
    provenance = predictor.provenance(stack.path.name, job.scales) | part
    settles = f"{job.windows} {job.others} {job.nan} {identity(stack)} {words.get('compare', False)}"
    return Outputs(target, job.like, predictor.model.config.scale, words, provenance, settles)


def identity(stack: Stack) -> str:
    """Changes when the file does: sizes and times of all that it is made of."""
    paths = [stack.path, *stack.companions]
    if stack.path.is_dir():
        # Of a store what describes it, and not its chunks, of which there may be millions.
        paths += [path for pattern in ("*", "*/zarr.json", "*/.zarray") for path in stack.path.glob(pattern)]
    facts = [path.stat() for path in paths if path.exists()]
    return f"{sum(fact.st_size for fact in facts)} {max(fact.st_mtime_ns for fact in facts)} {stack.scene}"


def _compared(predictor: "Predictor", job: Job, *, strict: bool) -> Iterator[str]:
    """A sentence for each way in which the stack is not like what the model was trained on."""
    said: dict[str, None] = {}
    for channel, scale in zip(job.channels, job.scales, strict=True):
        said |= dict.fromkeys(mismatches(predictor.model, job.stack, channel, scale, trust=predictor.trust))
    for sentence in said:
        if strict:
            raise ConfigError(f"{job.stack.path.name}: {sentence}")
        yield sentence
