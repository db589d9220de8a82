"""A share of one restoration: jobs of an array that know of each other by the file alone."""

from collections.abc import Generator as Closable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pssr.errors import WriteError
from pssr.predict.engine import Engine
from pssr.predict.events import Event, Noted, Progress, Written
from pssr.predict.files import FileWords, Plan, as_begun, outputs_of, planned
from pssr.predict.restoring import restored_into
from pssr.predict.shared import Block, SharedFiles, blocks_of, planes_of
from pssr.predict.unfinished import FinishedElsewhere, begun_precision, finished_precision

if TYPE_CHECKING:
    from pssr.predict.predictor import Predictor


def restored_share(
    predictor: "Predictor", source: Path, target: Path, words: FileWords, *, number: int, count: int
) -> Closable[Event, None, None]:
    """Restore every `count`th block of a file; whoever completes the last one puts the file under its name.

    Args:
        predictor: a model on its devices.
        source: low-resolution.
        target: an OME-Zarr.
        words: as for `Predictor.steps`.
        number: of this share, from 1.
        count: of shares.

    Yields:
        What happens.

    Raises:
        PssrError: its message says what is wrong and what to do.
    """
    plan = planned(predictor, source, target, words)
    yield from plan.said
    blocks = len(blocks_of(plan.job))
    if number > blocks:
        yield Noted(f"nothing for share {number} of {count}: the work has {blocks} blocks")
        return
    try:
        if _is_complete(predictor, plan, target, words):
            yield Noted(f"{target} is complete already")
            return
        predictor, files = begun(predictor, plan, target, words)
        mine = [block for block in files.left() if block.number % count == number - 1]
        with closing(_restored(predictor, plan, files, mine, words)) as steps:
            yield from steps
        left = len(files.left())
        if left:
            yield Noted(
                f"{left} of {len(files.blocks)} blocks are left to other shares; the one that ends last puts {target.name} "
                "in its place"
            )
            return
        files.finish(overwrite=words.get("overwrite", False))
    except FinishedElsewhere as end:
        yield Noted(str(end))
        return
    yield from map(Written, files.paths)


def _restored(
    predictor: "Predictor", plan: Plan, files: SharedFiles, blocks: list[Block], words: FileWords
) -> Closable[Event, None, None]:
    engines, done, total = predictor.engines(spread=bool(plan.noises)), 0, planes_of(blocks)
    for block in blocks:
        with closing(restored_block(plan, engines, files, block, words)) as steps:
            for event in steps:
                done += isinstance(event, Progress)
                yield Progress(done, total) if isinstance(event, Progress) else event
        files.mark(block)


def _is_complete(predictor: "Predictor", plan: Plan, target: Path, words: FileWords) -> bool:
    """Whether the shares before have put the file in its place already, so that a job that is started again has none."""
    if words.get("overwrite", False) or not target.exists():
        return False
    predictor = as_begun(predictor, finished_precision(target))
    return shared_files(predictor, plan, target, {**words, "overwrite": True}).complete()


def begun(
    predictor: "Predictor", plan: Plan, target: Path, words: FileWords
) -> tuple["Predictor", SharedFiles]:
    """The files of a plan, made or joined, and the model in the precision in which they were begun.

    Raises:
        ConfigError: a format that one process alone can write.
        WriteError: a file exists, or something else is in the way.
    """
    while True:
        before = begun_precision(target)
        predictor = as_begun(predictor, before)
        files = shared_files(predictor, plan, target, words)
        try:
            files.begin()
        except WriteError:
            # Another process may have made them meanwhile, with a precision that it has measured.
            if begun_precision(target) == before:
                raise
        else:
            return predictor, files


def shared_files(predictor: "Predictor", plan: Plan, target: Path, words: FileWords) -> SharedFiles:
    """The files of a plan, which any process may join.

    Raises:
        ConfigError: a format that one process alone can write.
        WriteError: a file exists.
    """
    outputs = outputs_of(predictor, plan.job, target, words)
    return SharedFiles(outputs, plan.job, predictor.model.config.scale, words.get("compression"))


def restored_block(
    plan: Plan, engines: list[Engine], files: SharedFiles, block: Block, words: FileWords
) -> Closable[Event, None, None]:
    """Restore one block into its chunks.

    Args:
        plan: of the whole.
        engines: one for each device.
        files: begun.
        block: which.
        words: as for `Predictor.steps`.

    Yields:
        Progress within the block, and what there is to know.
    """
    part = replace(plan.job, field=block.field, only=(block.run,))
    yield from restored_into(
        part,
        engines,
        files.writing(block),
        dtype=plan.dtype,
        compare=words.get("compare", False),
        noises=plan.noises,
    )
