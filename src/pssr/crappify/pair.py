"""How a high-resolution frame becomes the low-resolution frame of the same field: blur, contrast, shift."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar

from pssr.crappify.photon_transfer import Estimate
from pssr.crappify.registration import Registration, aligned, checked, covered, register, whole_scale
from pssr.errors import ConfigError

LARGEST_BLUR_PX = 6.0
SIGNAL_PERCENTS = (1.0, 99.8)  # of the brightness: 0 and 1 of the frames that a network sees


@dataclass(frozen=True)
class Pair:
    """What was measured in all pairs together.

    Args:
        blur_px: standard deviation of the blur in high-resolution pixels.
        contrast: low-resolution counts for each high-resolution count.
        level: low-resolution counts where the high-resolution ones are 0.
        worst: the registration of the pair that lies worst.
        scale: high-resolution pixels for each low-resolution pixel.
        truths: the mean frame of each low stack as it would be without noise: the high one, blurred, sampled and in the
            low one's counts.
        spans: counts of each low stack where its high one has its dark and bright ends.
        covers: rows and columns of each low stack that its high one shows too, and that truths hold.
    """

    blur_px: Estimate
    contrast: Estimate
    level: Estimate
    worst: Registration
    scale: int
    truths: tuple[Float[np.ndarray, "y x"], ...]
    spans: tuple[tuple[float, float], ...]
    covers: tuple[tuple[slice, slice], ...]


def measured_pairs(
    highs: Sequence[Num[np.ndarray, "t high_y high_x"]],
    lows: Sequence[Num[np.ndarray, "t y x"]],
    *,
    align: bool = False,
) -> Pair:
    """Measure pairs of the same fields.

    Args:
        highs: at high resolution.
        lows: at low resolution, in the same order.
        align: whether pairs that lie more than half a low-resolution pixel off are accepted. For the fit, all are moved
            onto each other: what is a little off would count as blur and as noise.

    Raises:
        ConfigError: other numbers or sizes, other fields, or pairs that lie too far off.
    """
    if len(highs) != len(lows):
        raise ConfigError(
            f"high: {len(highs)} stacks for {len(lows)} low ones; give one for each, in the same order"
        )
    scale = whole_scale(highs[0].shape, lows[0].shape)
    for high, low in zip(highs, lows, strict=True):
        if whole_scale(high.shape, low.shape) != scale:
            raise ConfigError(
                f"high: is {scale} times as large as low, and not so in every pair; give one scale"
            )
    sharp = [np.asarray(high, dtype=np.float64).mean(0) for high in highs]
    coarse = [np.asarray(low, dtype=np.float64).mean(0) for low in lows]
    found = [register(h, c, scale) for h, c in zip(sharp, coarse, strict=True)]
    for k, one in enumerate(found):
        checked(one, f"pair {k + 1}", align=align)
    covers = [covered(one) for one in found]
    for k, (rows, columns) in enumerate(covers):
        moved = aligned(sharp[k], found[k])
        sharp[k] = moved[rows.start * scale : rows.stop * scale, columns.start * scale : columns.stop * scale]
        coarse[k] = coarse[k][rows, columns]
    # Each by itself too, for the errors.
    every = _fitted(sharp, coarse, scale)
    each = np.array([_fitted([h], [c], scale) for h, c in zip(sharp, coarse, strict=True)])
    errors = each.std(0) / math.sqrt(len(each)) if len(each) > 1 else np.full(3, np.nan)
    blur, contrast, level = (Estimate(float(v), float(e)) for v, e in zip(every, errors, strict=True))
    made = [_in_counts(h, c, blur.value, scale) for h, c in zip(sharp, coarse, strict=True)]
    return Pair(
        blur_px=blur,
        contrast=contrast,
        level=level,
        worst=max(found, key=lambda one: one.worst_px),
        scale=scale,
        truths=tuple(truth for truth, _ in made),
        spans=tuple(span for _, span in made),
        covers=tuple(covers),
    )


def sampled(high: Num[np.ndarray, "high_y high_x"], sigma_px: float, scale: int) -> Float[np.ndarray, "y x"]:
    """A sharp frame blurred, integrated along the lines and skipped across them, as a point scanner does."""
    blurred = gaussian_filter(np.asarray(high, dtype=np.float64), sigma_px)
    y, x = (side // scale * scale for side in high.shape)
    along = blurred[:y, :x].reshape(y, x // scale, scale).mean(2).reshape(y // scale, scale, x // scale)
    return np.asarray((along[:, (scale - 1) // 2] + along[:, scale // 2]) / 2)


def _fitted(
    sharp: Sequence[np.ndarray], coarse: Sequence[np.ndarray], scale: int
) -> tuple[float, float, float]:
    """Blur, contrast and level by least squares."""

    def misfit(sigma_px: float) -> float:
        lines = [_line(sampled(h, sigma_px, scale), c) for h, c in zip(sharp, coarse, strict=True)]
        return sum(left for _, _, left in lines)

    blur = float(minimize_scalar(misfit, bounds=(0.05, LARGEST_BLUR_PX), method="bounded").x)
    lines = [_line(sampled(h, blur, scale), c) for h, c in zip(sharp, coarse, strict=True)]
    contrast, level, _ = np.mean(lines, 0)
    return blur, float(contrast), float(level)


def _in_counts(
    sharp: np.ndarray, coarse: np.ndarray, blur_px: float, scale: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """A sharp frame as the low-resolution one would be without noise, by a line of its own, and its ends likewise."""
    model = sampled(sharp, blur_px, scale)
    slope, level, _ = _line(model, coarse)
    dark, bright = (float(slope * end + level) for end in np.percentile(sharp, SIGNAL_PERCENTS))
    return slope * model + level, (dark, bright)


def _line(model: np.ndarray, low: np.ndarray) -> tuple[float, float, float]:
    """Slope and level of the best line from the model to the frame, and the share of variance that it leaves."""
    m, x = model - model.mean(), low - low.mean()
    slope = float((m * x).sum() / max(float((m * m).sum()), 1e-12))
    left = float(((x - slope * m) ** 2).sum() / max(float((x * x).sum()), 1e-12))
    return slope, float(low.mean() - slope * model.mean()), left
