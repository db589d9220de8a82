"""What `fit` tells its caller. To stop, close the generator: what was learned so far is saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PhaseStarted:
    """Training begins, or continues.

    Args:
        name: of the phase.
        step: steps done before.
        steps: in all.
        device: where it trains.
        precision: `fp32` or `bf16`.
        parameters: weights of the network.
        train_bundles: different bundles to learn from.
        held_bundles: bundles held back for validation.
        patch_px: side of a training patch; smaller than asked for where a movie is.
    """

    name: str
    step: int
    steps: int
    device: str
    precision: str
    parameters: int
    train_bundles: int
    held_bundles: int
    patch_px: int


@dataclass(frozen=True)
class Step:
    """One step is done.

    Args:
        step: its number, from 1.
        loss: that went down.
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
        picture: the sample picture: low, bicubic, restored, high.
    """

    step: int
    psnr: float
    bicubic_psnr: float
    picture: Path


@dataclass(frozen=True)
class Saved:
    """Model and training state are on disk.

    Args:
        step: after which.
        model: the model file.
    """

    step: int
    model: Path


Event = PhaseStarted | Step | Validated | Saved
