"""A crappifier fitted to real low-resolution stacks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar
from skimage.registration import phase_cross_correlation

from pssr.crappify.photon_transfer import SMOOTH_PX, Estimate, PhotonTransfer, photon_transfer
from pssr.errors import ConfigError, ReadError
from pssr.parts import Part

SPREAD = 1.2  # settings are drawn within this factor of what was measured, so that a network tolerates drift
SIGNAL_PERCENTS = (1.0, 99.8)  # of the noise-free brightness: 0 and 1 of the frames that a network sees
USUAL_BLUR_PX = (0.0, 0.6)
LARGEST_BLUR_PX, LARGEST_SHIFT_PX = 6.0, 0.5
FULL = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))
SATURATED_SHARE = 1e-4
SMOOTH = 0.5  # correlation of the noise of neighbours beyond which it is no detector's


@dataclass(frozen=True)
class Pair:
    """How a high-resolution frame becomes the low-resolution frame of the same field.

    Args:
        blur_px: standard deviation of the blur in high-resolution pixels.
        contrast: low-resolution counts for each high-resolution count.
        shift_px: (Y, X) of the low frame against the high one, in low-resolution pixels.
        scale: high-resolution pixels for each low-resolution pixel.
    """

    blur_px: Estimate
    contrast: float
    shift_px: tuple[float, float]
    scale: int


@dataclass(frozen=True)
class Calibration:
    """What was measured, and the crappifier that follows from it.

    Args:
        transfer: gain, offset and noise.
        signal: noise-free counts of what a network sees as 0 and 1.
        bits: number of bits of the converter; None where no level is met often.
        saturated: share of pixels at the highest level.
        pair: None where no high-resolution frames were given.
        steps: of the crappifier, settings drawn within a fifth of what was measured.
        notes: what a person should know.
    """

    transfer: PhotonTransfer
    signal: tuple[float, float]
    bits: int | None
    saturated: float
    pair: Pair | None
    steps: tuple[Part, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Each number with its uncertainty, in words."""
        found, (low, high) = self.transfer, self.signal
        lines = [
            f"gain {found.gain} counts per photon",
            f"offset {found.offset} counts",
            f"read noise {found.read_noise} counts",
            f"correlation along the line {found.correlation:.2f}",
            f"signal from {low:.4g} to {high:.4g} counts: {(high - low) / found.gain.value:.3g} photons",
        ]
        if self.pair:
            lines.append(f"blur {self.pair.blur_px} high-resolution pixels, scale {self.pair.scale}")
        return [*lines, *(f"note: {note}" for note in self.notes)]


def calibrate(
    lows: Sequence[Num[np.ndarray, "t y x"]],
    *,
    highs: Sequence[Num[np.ndarray, "t high_y high_x"]] = (),
    dark: Num[np.ndarray, "t y x"] | None = None,
) -> Calibration:
    """Measure a microscope's noise in its low-resolution stacks, and its blur if the same fields are given sharp.

    Args:
        lows: movies (T, Y, X) of counts, of one channel, all taken with the same settings.
        highs: the same fields at high resolution, in the same order, registered; () if there are none.
        dark: frames recorded without light; without them the darkest parts give the offset.

    Raises:
        ReadError: nothing can be measured in the stacks.
        ConfigError: high-resolution stacks that do not belong to the low ones.
    """
    transfer = photon_transfer(lows, dark=dark)
    smooth = np.concatenate([gaussian_filter(low.mean(0), SMOOTH_PX / 2).ravel() for low in lows])
    low, high = (float(n) for n in np.percentile(smooth, SIGNAL_PERCENTS))
    if high - low < transfer.gain.value:
        raise ReadError(
            f"calibration: its signal spans {high - low:.3g} counts, less than one photon; give brighter stacks"
        )
    pair = _pair(highs, lows) if highs else None
    bits, saturated = _converter(lows)
    return Calibration(
        transfer=transfer,
        signal=(low, high),
        bits=bits,
        saturated=saturated,
        pair=pair,
        steps=_steps(transfer, low, high, pair),
        notes=_notes(transfer, saturated, pair, dark is not None),
    )


def _steps(transfer: PhotonTransfer, low: float, high: float, pair: Pair | None) -> tuple[Part, ...]:
    """The chain of a point scanner with the measured settings."""
    gain, span = transfer.gain.value, high - low
    # Light at the black level is counted too, and its shot noise cannot be told from read noise there.
    black = max(gain * (low - transfer.offset.value), 0.0)
    sigma = math.sqrt(transfer.read_noise.value**2 + black) / span
    blur = list(USUAL_BLUR_PX) if pair is None else _around(pair.blur_px.value)["uniform"]
    steps = [
        Part("blur", {"sigma_px": blur}),
        Part("bin", {"axes": "x"}),
        Part("subsample", {"axes": "y"}),
        Part("poisson", {"peak": {"log_uniform": _around(span / gain)["uniform"]}}),
        Part("gaussian", {"sigma": _around(sigma)["uniform"]}),
    ]
    if transfer.correlation:
        steps.append(Part("response", {"correlation": round(transfer.correlation, 3)}))
    return tuple(steps)


def _around(value: float) -> dict[str, list[float]]:
    return {"uniform": [float(f"{value / SPREAD:.4g}"), float(f"{value * SPREAD:.4g}")]}


def _converter(lows: Sequence[np.ndarray]) -> tuple[int | None, float]:
    """Bits of the converter, and the share of pixels at its highest level."""
    top = max(float(low.max()) for low in lows)
    share = float(np.mean([(low == top).mean() for low in lows]))
    if top not in FULL or share < SATURATED_SHARE:
        return None, 0.0
    return int(math.log2(top + 1)), share


def _notes(transfer: PhotonTransfer, saturated: float, pair: Pair | None, dark: bool) -> tuple[str, ...]:
    notes = []
    if transfer.upper_bound:
        notes.append(
            f"with {transfer.frames} frame{'s' if transfer.frames > 1 else ''} in a row the specimen counts as noise: all "
            "noise is an upper bound; give movies of three frames or more"
        )
    if transfer.correlation > SMOOTH:
        notes.append(
            f"its noise is smooth (correlation {transfer.correlation:.2f}): deconvolved, denoised or interpolated pictures, "
            "of which gain and noise cannot be told; calibrate on raw ones, or use the recipe airyscan"
        )
    if not dark:
        notes.append("the offset is that of the darkest parts; a recording without light (--dark) is surer")
    if saturated:
        notes.append(f"{saturated:.2%} of the pixels are saturated; use less light or gain")
    if pair is None:
        notes.append(
            "the blur cannot be told from low-resolution stacks alone: specimen and optics blur alike; the usual "
            f"{USUAL_BLUR_PX[0]:g} to {USUAL_BLUR_PX[1]:g} px is kept; give registered pairs with --high"
        )
    return tuple(notes)


def _pair(highs: Sequence[np.ndarray], lows: Sequence[np.ndarray]) -> Pair:
    """Blur, contrast and shift between the two, over all pairs together."""
    if len(highs) != len(lows):
        raise ConfigError(
            f"high: {len(highs)} stacks for {len(lows)} low ones; give one for each, in the same order"
        )
    scales = {
        (h.shape[1] / low.shape[1], h.shape[2] / low.shape[2]) for h, low in zip(highs, lows, strict=True)
    }
    scale = round(next(iter(scales))[0])
    if scales != {(scale, scale)}:
        raise ConfigError(
            f"high: is {sorted(scales)} times as large as low; it must be one whole number of times"
        )
    sharp = [np.asarray(high, dtype=np.float64).mean(0) for high in highs]
    coarse = [np.asarray(low, dtype=np.float64).mean(0) for low in lows]
    shifts = [
        phase_cross_correlation(low, sampled(high, 1.0, scale), upsample_factor=20)[0]
        for high, low in zip(sharp, coarse, strict=True)
    ]
    worst = max(shifts, key=lambda shift: float(np.abs(shift).max()))
    if np.abs(worst).max() > LARGEST_SHIFT_PX:
        raise ConfigError(
            f"high: lies {worst[0]:+.2f}, {worst[1]:+.2f} low-resolution pixels from low; register them first"
        )

    def misfit(sigma_px: float) -> float:
        return float(
            sum(_residual(sampled(h, sigma_px, scale), c)[1] for h, c in zip(sharp, coarse, strict=True))
        )

    best = minimize_scalar(misfit, bounds=(0.05, LARGEST_BLUR_PX), method="bounded").x
    each = [
        minimize_scalar(lambda s, h=h, c=c: _residual(sampled(h, s, scale), c)[1], bounds=(0.05, LARGEST_BLUR_PX), method="bounded").x
        for h, c in zip(sharp, coarse, strict=True)
    ]  # fmt: skip
    error = float(np.std(each) / math.sqrt(len(each))) if len(each) > 1 else float("nan")
    contrast = float(
        np.mean([_residual(sampled(h, best, scale), c)[0] for h, c in zip(sharp, coarse, strict=True)])
    )
    return Pair(Estimate(float(best), error), contrast, (float(worst[0]), float(worst[1])), scale)


def sampled(high: Num[np.ndarray, "high_y high_x"], sigma_px: float, scale: int) -> Num[np.ndarray, "y x"]:
    """A sharp frame blurred, integrated along the lines and skipped across them, as a point scanner does."""
    blurred = gaussian_filter(high, sigma_px)
    y, x = (side // scale * scale for side in high.shape)
    along = blurred[:y, :x].reshape(y, x // scale, scale).mean(2).reshape(y // scale, scale, x // scale)
    middle: np.ndarray = (along[:, (scale - 1) // 2] + along[:, scale // 2]) / 2
    return middle


def _residual(model: np.ndarray, low: np.ndarray) -> tuple[float, float]:
    """Slope of the best line from the model to the frame, and the share of variance that it leaves."""
    m, x = model - model.mean(), low - low.mean()
    slope = float((m * x).sum() / max(float((m * m).sum()), 1e-12))
    return slope, float(((x - slope * m) ** 2).sum() / max(float((x * x).sum()), 1e-12))
