"""What a validation leaves to be looked at: scores in the log, a sample picture, the curves."""

from pssr.io.atomic import write_whole
from pssr.training.curves import curves
from pssr.training.events import Validated
from pssr.training.prepare import Job
from pssr.training.run import Run, entries, write_log
from pssr.training.validation import validate


def validated(run: Run, job: Job, step: int) -> Validated:
    """Restore the held-back frames, and write scores and pictures.

    Args:
        run: where to.
        job: with held-back frames.
        step: after which.
    """
    assert job.held is not None
    found, bicubic = validate(job.averaged, job.held, job.device), job.held.bicubic_psnr
    write_whole(run.sample(step), found.picture)
    write_log(
        run, step=step, psnr=found.psnr, bicubic_psnr=bicubic, ssim=found.ssim, difference=found.difference
    )
    write_whole(run.curves, curves(entries(run)))
    return Validated(step, found.psnr, bicubic, found.ssim, found.difference, run.sample(step))
