"""What `fit` tells its caller. To stop, close the generator: what was learned so far is saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pssr.predict.events import Noted


@dataclass(frozen=True)
class PhaseStarted:
    """Training begins, or continues.

    Args:
        name: of the phase.
        step: steps done before.
        steps: in all.
        device: where it trains.
        precision: `fp32`, `bf16` or `fp16`.
        parameters: weights of the network that learn.
        movies: how many movies there are.
        planes: good frames in all of them.
        batch: patches in a step, of all processes.
        train_bundles: different bundles to learn from.
        held_bundles: bundles held back for validation.
        patch_px: side of a training patch; smaller than asked for where a movie is.
        processes: that share a batch.
        memory_bytes: that a step needs on each device, about.
        left_s: seconds that what is left will take, about.
        lr: the highest learning rate.
    """

    name: str
    step: int
    steps: int
    device: str
    precision: str
    parameters: int
    movies: int
    planes: int
    batch: int
    train_bundles: int
    held_bundles: int
    patch_px: int
    processes: int
    memory_bytes: int
    left_s: float
    lr: float


@dataclass(frozen=True)
class Step:
    """One step is done.

    Args:
        step: its number, from 1.
        loss: that went down; not a number where the step was skipped because it was none.
        terms: of the loss before weighting, by name.
        lr: learning rate.
        elapsed_s: seconds of training so far, earlier runs included.
        progress: share of the training that is done, 0..1, by steps or time.
    """

    step: int
    loss: float
    terms: Mapping[str, float]
    lr: float
    elapsed_s: float
    progress: float


@dataclass(frozen=True)
class Validated:
    """The held-back frames were restored.

    Args:
        step: after which.
        psnr: of the restored frames against the good ones, dB, full scale being the stack's 1 to 99.8 %.
        bicubic_psnr: of the middle frame enlarged by bicubic interpolation.
        ssim: of the restored frames.
        difference: mean difference between what two noisy copies are restored to, full scale 1.
        picture: the sample picture: low, bicubic, restored, high, difference.
    """

    step: int
    psnr: float
    bicubic_psnr: float
    ssim: float
    difference: float
    picture: Path


@dataclass(frozen=True)
class Saved:
    """Model and training state are on disk.

    Args:
        step: after which.
        model: the model file.
        finished: whether the training is over, rather than interrupted.
    """

    step: int
    model: Path
    finished: bool = False


Event = PhaseStarted | Step | Validated | Saved | Noted
