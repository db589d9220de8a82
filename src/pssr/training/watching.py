"""Where a training is told while it runs: log, sample pictures, curves, and TensorBoard where that is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pssr.io.atomic import write_whole
from pssr.predict.events import Noted
from pssr.training.board import Board, board
from pssr.training.curves import curves
from pssr.training.events import Validated
from pssr.training.log import read_log, write_log
from pssr.training.prepare import Job
from pssr.training.run import Run
from pssr.training.steps import Learned
from pssr.training.validation import validate

LOG_EVERY = 10  # steps


@dataclass(frozen=True)
class Watch:
    """What writes it; in all processes but the first it writes nothing.

    Args:
        run: where to.
        board: of TensorBoard.
        writes: whether this is the first process.
    """

    run: Run
    board: Board = field(repr=False)
    writes: bool = True

    def learned(self, step: int, done: Learned, lr: float, elapsed_s: float) -> None:
        """Tell of a step, if it is one of every ten.

        Raises:
            WriteError: the disk is full.
        """
        if not self.writes or step % LOG_EVERY:
            return
        write_log(self.run.log, step=step, loss=done.loss, **done.terms, lr=lr, elapsed_s=round(elapsed_s, 3))
        terms = {f"loss/{name}": value for name, value in done.terms.items()}
        self.board.scalars(step, {"loss/all": done.loss, **terms, "lr": lr})

    def noted(self, step: int, message: str) -> Noted:
        """Tell something that a person should know."""
        if self.writes:
            write_log(self.run.log, step=step, note=message)
        return Noted(message)

    def ended(self, step: int, failure: Exception | None = None) -> None:
        """Tell that the training is done, or why it failed."""
        if self.writes:
            what = {"failed": str(failure)} if failure else {"finished": True}
            write_log(self.run.log, step=step, **what)

    def validated(self, job: Job, step: int) -> Validated:
        """Restore the held-back frames, and write scores and pictures.

        Args:
            job: with held-back frames.
            step: after which.
        """
        assert job.held is not None
        run, found, bicubic = self.run, validate(job.averaged, job.held, job.device), job.held.bicubic_psnr
        scores = {
            "psnr": found.psnr, "bicubic_psnr": bicubic, "ssim": found.ssim, "difference": found.difference,
        }  # fmt: skip
        write_whole(run.sample(step), found.picture)
        write_log(run.log, step=step, **scores)
        write_whole(run.curves, curves(read_log(run.log)))
        self.board.scalars(step, {f"held-back/{name}": value for name, value in scores.items()})
        self.board.picture(step, "held-back", found.picture)
        return Validated(step, found.psnr, bicubic, found.ssim, found.difference, run.sample(step))


@contextmanager
def watched(run: Run, step: int, *, writes: bool) -> Iterator[Watch]:
    """Tell of a training while the block lasts.

    Args:
        run: where to.
        step: steps done before.
        writes: whether this is the first process.
    """
    drawing = board(run.folder, step) if writes else Board(run.folder)
    try:
        yield Watch(run, drawing, writes)
    finally:
        drawing.close()
