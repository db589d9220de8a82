"""Crappified frames beside the real ones that they should look like."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Num
from scipy.ndimage import gaussian_filter

from pssr.crappify.calibrate import Calibration
from pssr.crappify.chain import crappifier
from pssr.crappify.figures import spectrum
from pssr.crappify.photon_transfer import noise_curve
from pssr.errors import ReadError
from pssr.parts import Part

NOISIER, SHARPER_DB = 1.25, 3.0  # beyond which two stacks clearly differ
BROAD, FINE, EMPTY = (
    (0.02, 0.06),
    (0.08, 0.25),
    0.4,
)  # cycles per pixel: large structure, fine structure, noise alone
NOISE_STEPS = ("offset", "poisson", "gaussian", "response")


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
        counts = found.pair.contrast.value * (sharp - sharp.mean()) + np.mean(real)
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


@dataclass(frozen=True)
class Likeness:
    """How crappified frames differ from real ones.

    Args:
        noise_ratio: standard deviation of the noise of the crappified frames over that of the real ones, at equal
            brightness; not a number where they have no brightness in common, or too few pixels to tell.
        sharpness_db: how much more fine structure they have, beside their large structure; not a number where frames are
            too small to tell.
    """

    noise_ratio: float
    sharpness_db: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """In words, what is clearly different."""
        found = []
        if math.isnan(self.noise_ratio):
            found.append(
                "the noise cannot be compared: too few pixels, or no brightness that both have; give more real frames"
            )
        if math.isnan(self.sharpness_db):
            found.append("the sharpness cannot be compared: frames of too few pixels; give larger ones")
        if self.noise_ratio > NOISIER:
            found.append(
                f"clearly noisier than the real frames ({self.noise_ratio:.2f} times): more photons, less read noise"
            )
        if self.noise_ratio < 1 / NOISIER:
            found.append(
                f"clearly cleaner than the real frames ({self.noise_ratio:.2f} times the noise): fewer photons"
            )
        if self.sharpness_db > SHARPER_DB:
            found.append(
                f"clearly sharper than the real frames ({self.sharpness_db:+.1f} dB of fine structure): more blur"
            )
        if self.sharpness_db < -SHARPER_DB:
            found.append(
                f"clearly blurrier than the real frames ({self.sharpness_db:+.1f} dB of fine structure): less blur"
            )
        return tuple(found)


def likeness(made: Float[np.ndarray, "t y x"], real: Float[np.ndarray, "t2 y2 x2"]) -> Likeness:
    """Compare crappified frames with real ones of another field; both on the 0..1 scale of their own signal.

    Args:
        made: consecutive crappified frames.
        real: consecutive real ones.
    """
    frames = min(len(made), len(real), 3)
    try:
        curves = [noise_curve([movie if frames == 3 else movie[:frames]]) for movie in (made, real)]
        low, high = _common(curves)
    except ReadError:
        low = high = 0.0
    ratio = float("nan")
    if high > low:
        levels = np.linspace(low, high, 9)
        made_var, real_var = (np.interp(levels, means, variances) for means, variances in curves)
        ratio = float(np.median(np.sqrt(np.maximum(made_var, 1e-12) / np.maximum(real_var, 1e-12))))
    return Likeness(ratio, _sharpness(made) - _sharpness(real))


def _common(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """The brightness that both have."""
    return max(float(means.min()) for means, _ in curves), min(float(means.max()) for means, _ in curves)


def _sharpness(frames: np.ndarray) -> float:
    """Power of fine structure beside that of large structure, in decibels, without the noise; NaN of tiny frames."""
    power = spectrum(frames)
    k = np.arange(len(power)) / len(power) / 2
    bands = [power[(k >= a) & (k < b)] for a, b in (FINE, BROAD)]
    if min(len(power[k > EMPTY]), *map(len, bands)) == 0:
        return float("nan")
    noise = power[k > EMPTY].mean()
    fine, broad = (max(float((band - noise).mean()), 1e-12) for band in bands)
    return 10 * math.log10(fine / broad)
