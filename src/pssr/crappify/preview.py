"""Crappified frames beside the real ones that they should look like."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Num
from scipy.ndimage import gaussian_filter

from pssr.crappify.calibrate import Calibration
from pssr.crappify.chain import crappifier
from pssr.parts import Part

NOISE_STEPS = ("poisson", "gaussian", "response")


def remade(
    found: Calibration,
    real: Num[np.ndarray, "t y x"],
    high: Num[np.ndarray, "t high_y high_x"] | None,
    seed: int = 0,
) -> Num[np.ndarray, "t y x"]:
    """Frames made as the calibration says, in counts: of sharp ones, else of the real ones without their noise.

    Args:
        found: the calibration; the middle of each of its ranges is used.
        real: low-resolution frames.
        high: the same field at high resolution; without it smoothed frames stand for the truth.
        seed: of the noise.
    """
    low, top = found.signal
    rng = torch.Generator().manual_seed(seed)
    if high is None:
        clean = np.stack([gaussian_filter(frame, 1.0) for frame in np.asarray(real, dtype=np.float64)])
        steps, scale, level = (
            [s for s in found.steps if s.name in NOISE_STEPS],
            1,
            (clean - low) / (top - low),
        )
    else:
        assert found.pair is not None
        sharp = np.asarray(high, dtype=np.float64)
        counts = found.pair.contrast * (sharp - sharp.mean()) + np.mean(real)
        steps, scale, level = list(found.steps), found.pair.scale, (counts - low) / (top - low)
    chain = crappifier([_middle(step) for step in steps], scale)
    side = [n // scale * scale for n in level.shape[1:]]
    frames = torch.from_numpy(level[:, : side[0], : side[1]].astype(np.float32))[:, None]
    made = chain(frames, rng)[:, 0].numpy() * (top - low) + low
    return np.asarray(np.rint(made) if np.asarray(real).dtype.kind in "ui" else made)


def _middle(step: Part) -> Part:
    """A step whose settings are the middle of what they are drawn from."""
    return Part(step.name, {name: _centre(value) for name, value in step.settings.items()})


def _centre(value: Any) -> Any:
    match value:
        case {"log_uniform": [low, high]}:
            return math.sqrt(float(low) * float(high))
        case {"uniform": [low, high]} | [low, high]:
            return (float(low) + float(high)) / 2
    return value
