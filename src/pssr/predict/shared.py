"""The files that several processes fill, on one machine or many: in blocks of which no two share a chunk."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pssr.io.atomic import writing
from pssr.io.write_zarr import CHUNK_PX
from pssr.predict.job import Job, Run
from pssr.predict.outputs import Answer, Outputs
from pssr.predict.tiles import Box
from pssr.predict.unfinished import UnfinishedZarr

FRAMES = 8  # of a block: the frames at its ends are read twice, and little is lost with it
REGION_PX = CHUNK_PX  # side of a block in low-resolution pixels: whole chunks at any scale


@dataclass(frozen=True)
class Block:
    """Some frames of a region: what one process does at a time.

    Args:
        number: from 0.
        run: which frames.
        field: rows and columns of the low-resolution stack.
    """

    number: int
    run: Run
    field: Box


def blocks_of(job: Job) -> list[Block]:
    """The whole work in blocks, in order."""
    rows, columns = (regions(part) for part in job.field)
    runs = [
        Run(run.channel, run.other, run.targets[first : first + FRAMES])
        for run in job.runs()
        for first in range(0, len(run.targets), FRAMES)
    ]
    every = itertools.product(runs, rows, columns)
    return [Block(number, run, (y, x)) for number, (run, y, x) in enumerate(every)]


def regions(part: slice) -> list[slice]:
    """The sides of the blocks along one axis of a field."""
    starts = range(part.start, part.stop, REGION_PX)
    return [slice(start, min(start + REGION_PX, part.stop)) for start in starts]


def restored_part(block: Block, job: Job, scale: int) -> Box:
    """Rows and columns of the restored planes that a block fills.

    Args:
        block: a part of the job.
        job: the whole work.
        scale: restored pixels for each low-resolution pixel.
    """
    rows, columns = (
        slice(scale * (part.start - whole.start), scale * (part.stop - whole.start))
        for part, whole in zip(block.field, job.field, strict=True)
    )
    return rows, columns


def planes_of(blocks: Sequence[Block]) -> int:
    """To be restored in some blocks; each region of a frame is one."""
    return sum(len(block.run.targets) for block in blocks)


class SharedFiles:
    """The unfinished files of a restoration, which any process may join.

    Args:
        outputs: the files, not begun; each an OME-Zarr.
        job: what is restored.
        scale: restored pixels for each low-resolution pixel.
        compression: of the files.

    Raises:
        ConfigError: another format.
    """

    def __init__(self, outputs: Outputs, job: Job, scale: int, compression: str | None) -> None:
        self._outputs, self._job, self._scale = outputs, job, scale
        self.blocks = blocks_of(job)
        self._files = [UnfinishedZarr(writer, compression, len(self.blocks)) for writer in outputs.writers]

    @property
    def paths(self) -> list[Path]:
        """Names of the files."""
        return self._outputs.paths

    def complete(self) -> bool:
        """Whether the files are under their names already."""
        return all(file.complete() for file in self._files)

    def begin(self) -> None:
        """Make the files, or join those that another process has made.

        Raises:
            WriteError: something else is in the way, such as an unfinished file of other settings.
        """
        for file in self._files:
            file.begin()

    def join(self) -> None:
        """Join the files, which another process has made.

        Raises:
            FinishedElsewhere: they are not there any more.
        """
        for file in self._files:
            file.join()

    def left(self) -> list[Block]:
        """Blocks that are not complete in all files; none where the files have their names already."""
        done = [file.marked() for file in self._files]
        return [
            b for b in self.blocks if any(marked is not None and b.number not in marked for marked in done)
        ]

    def writing(self, block: Block) -> "BlockWriter":
        """Where the answers of one block go."""
        return BlockWriter(self._outputs, self._files, self._job, block, self._scale)

    def mark(self, block: Block) -> None:
        """Say that a block is complete.

        Raises:
            FinishedElsewhere: the files are not there any more.
        """
        for file in self._files:
            file.mark(block.number)

    def finish(self, *, overwrite: bool) -> None:
        """Put the complete files under their names; another process may be doing the same.

        Args:
            overwrite: whether files there may be replaced.

        Raises:
            WriteError: one cannot be written, or has appeared there meanwhile.
        """
        parts = math.prod(len(regions(part)) for part in self._job.field)
        for file in self._files:
            file.describe(coarser=parts > 1)
        # The restored stack last: as long as it has no name, the work can be gone on with.
        for file in reversed(self._files):
            file.publish(overwrite=overwrite)


class BlockWriter:
    """Takes the answers of one block; it has none of them before.

    Args:
        outputs: knows which plane belongs where.
        files: that are filled.
        job: the whole work.
        block: the part of it.
        scale: restored pixels for each low-resolution pixel.
    """

    def __init__(
        self, outputs: Outputs, files: Sequence[UnfinishedZarr], job: Job, block: Block, scale: int
    ) -> None:
        self._outputs, self._files = outputs, files
        self._at = None if block.field == job.field else restored_part(block, job, scale)

    def has(self, place: Mapping[str, int], /) -> bool:  # noqa: ARG002 - a block is written as a whole
        """No."""
        return False

    def write(self, place: Mapping[str, int], answer: Answer, /) -> None:
        """Write one restored plane, and what belongs to it, into the chunks of the block.

        Raises:
            FinishedElsewhere: the file is not there any more.
            WriteError: the disk is full, or the like.
        """
        for number, where, plane in self._outputs.placed(place, answer):
            file = self._files[number]
            file.check()
            with writing(file.path):
                if self._at is None:
                    file.sink.put(where, plane)
                else:
                    file.sink.put_part(where, self._at, plane)
