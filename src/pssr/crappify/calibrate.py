"""A crappifier fitted to real low-resolution stacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Num
from scipy.ndimage import gaussian_filter

from pssr.crappify.differences import SMOOTH_PX
from pssr.crappify.jitter import LEAST_JITTER_PX
from pssr.crappify.pair import SIGNAL_PERCENTS, Pair, measured_pairs
from pssr.crappify.photon_transfer import PhotonTransfer, photon_transfer
from pssr.errors import ReadError
from pssr.parts import Part

SPREAD = 1.2  # settings are drawn within this factor of what was measured, so that a network tolerates drift
DIFFERENT = 2.0  # times the photons, from which on a person should know
MOST_SD = 1.645  # within which 90 % of all lie
USUAL_BLUR_PX = (0.0, 0.6)
SATURATED_SHARE = 1e-4
SMOOTH = 0.5  # correlation of the noise of neighbours beyond which it is no detector's


@dataclass(frozen=True)
class Converter:
    """The analog-to-digital converter, as its counts tell.

    Args:
        step: counts from level to level; 0 where counts are no whole numbers.
        top: the highest level met.
        bits: that hold the highest level met; the converter may have more unless it is saturated.
        saturated: share of pixels at the highest level; 0 where that is met no more often than by chance.
    """

    step: int
    top: int
    bits: int
    saturated: float

    def __str__(self) -> str:
        if not self.step:
            return "counts are no whole numbers: averaged or processed"
        more = f"{self.saturated:.2%} saturated" if self.saturated else "or more, not saturated"
        return f"levels {self.step} count{'s' if self.step > 1 else ''} apart, {self.bits} bits, {more}"


@dataclass(frozen=True)
class Calibration:
    """What was measured, and the crappifier that follows from it.

    Args:
        transfer: gain, offset and noise.
        signal: noise-free counts of what a network sees as 0 and 1.
        converter: its levels, and how many pixels are at the highest one.
        pair: None where no high-resolution frames were given.
        steps: of the crappifier, settings drawn within a fifth of what was measured, photons over what such stacks span.
        notes: what a person should know.
    """

    transfer: PhotonTransfer
    signal: tuple[float, float]
    converter: Converter
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
            f"line jitter {found.jitter_px if found.jitter_px.value else f'none above {LEAST_JITTER_PX}'} low-resolution pixels",
            f"correlation along the line {found.correlation:.2f}",
            f"signal from {low:.4g} to {high:.4g} counts: {(high - low) / found.gain.value:.3g} photons",
            f"converter: {self.converter}",
        ]
        if self.pair:
            pair = self.pair
            lines += [
                f"blur {pair.blur_px} high-resolution pixels, scale {pair.scale}",
                f"intensity {pair.contrast} low-resolution counts for each high-resolution one, from {pair.level}",
                f"registration: low is {pair.worst} at most",
            ]
        return [*lines, *(f"note: {note}" for note in self.notes)]


def calibrate(
    lows: Sequence[Num[np.ndarray, "t y x"]],
    *,
    highs: Sequence[Num[np.ndarray, "t high_y high_x"]] = (),
    dark: Num[np.ndarray, "dark_t dark_y dark_x"] | None = None,
    align: bool = False,
) -> Calibration:
    """Measure a microscope's noise in its low-resolution stacks, and its blur if the same fields are given sharp.

    Args:
        lows: movies (T, Y, X) of counts, of one channel, all taken with the same settings.
        highs: the same fields at high resolution, in the same order; () if there are none. Where the low movies have
            fewer than three frames, these also tell the noise from the specimen.
        dark: frames recorded without light; without them the darkest parts give the offset.
        align: whether pairs that lie over half a low-resolution pixel off are accepted; all are moved onto each other.

    Raises:
        ReadError: nothing can be measured in the stacks.
        ConfigError: high-resolution stacks that do not belong to the low ones.
    """
    pair = measured_pairs(highs, lows, align=align) if highs else None
    truths = pair.truths if pair else ()
    if pair:
        lows = [low[:, rows, columns] for low, (rows, columns) in zip(lows, pair.covers, strict=True)]
    transfer = photon_transfer(lows, dark=dark, truths=truths)
    spans = pair.spans if pair else tuple(_ends(low) for low in lows)
    low, high = (float(n) for n in np.mean(spans, 0))
    if high - low < transfer.gain.value:
        raise ReadError(
            f"calibration: its signal spans {high - low:.3g} counts, less than one photon; give brighter stacks"
        )
    converter = _converter(lows)
    each = [_light(transfer, (low, high)), *_each(lows, dark, truths, spans)]
    return Calibration(
        transfer=transfer,
        signal=(low, high),
        converter=converter,
        pair=pair,
        steps=_steps(transfer, each, pair, _clipped(converter, (low, high))),
        notes=(
            *_notes(transfer, converter.saturated, pair, dark is not None),
            *_differences([light.photons for light in each[1:]]),
        ),
    )


def _ends(low: np.ndarray) -> tuple[float, float]:
    """The counts of a stack that a network will see as 0 and 1, without the noise."""
    dark, bright = np.percentile(gaussian_filter(low.mean(0), SMOOTH_PX / 2), SIGNAL_PERCENTS)
    return float(dark), float(bright)


class Light(NamedTuple):
    """What the detector sees of a stack, full scale being what a network sees as 1.

    Args:
        photons: at full scale.
        black: light where a network sees 0, as a share of full scale: its shot noise is there too.
        read: noise of the electronics, as a share of full scale.
    """

    photons: float
    black: float
    read: float


def _light(transfer: PhotonTransfer, span: tuple[float, float]) -> Light:
    gain, (dark, bright) = transfer.gain.value, span
    full = bright - dark
    black = max(dark - transfer.offset.value, 0.0) / full
    return Light(full / gain, black, transfer.read_noise.value / full)


def _each(
    lows: Sequence[np.ndarray],
    dark: np.ndarray | None,
    truths: Sequence[np.ndarray],
    spans: Sequence[tuple[float, float]],
) -> list[Light]:
    """The light of each stack by itself, where it can be told: stacks may differ in light, or have been scaled one by one."""
    found = []
    for k, low in enumerate(lows if len(lows) > 1 else ()):
        try:
            transfer = photon_transfer([low], dark=dark, truths=truths[k : k + 1])
        except ReadError:
            continue
        light = _light(transfer, spans[k])
        if light.photons > 1:
            found.append(light)
    return found


def _clipped(converter: Converter, span: tuple[float, float]) -> tuple[Part, ...]:
    """The converter, where it is seen to be full: counts that end at 0 and at its highest level."""
    if not converter.saturated:
        return ()
    dark, bright = span
    zero, level = (round(counts / (bright - dark), 4) for counts in (dark, converter.top))
    return (
        Part("offset", {"level": zero}),
        Part("saturate", {"level": level}),
        Part("offset", {"level": -zero}),
    )


def _steps(
    transfer: PhotonTransfer, light: Sequence[Light], pair: Pair | None, clipped: tuple[Part, ...]
) -> tuple[Part, ...]:
    """The chain of a point scanner with the measured settings.

    Args:
        transfer: of all stacks together.
        light: of all together, then of each.
        pair: for the blur.
        clipped: what the converter does.
    """
    jitter = transfer.jitter_px.value
    photons, blacks, reads = zip(*light, strict=True)
    blur = list(USUAL_BLUR_PX) if pair is None else _around([pair.blur_px.value])
    black = round(float(np.median(blacks)), 4)
    steps = [
        Part("blur", {"sigma_px": blur}),
        Part("subsample", {"axes": "y"}),
        *([Part("line_jitter", {"sd_px": _around([jitter]), "factor": None})] if jitter else []),
        Part("bin", {"axes": "x"}),
        *([Part("offset", {"level": black})] if black else []),
        Part("poisson", {"peak": {"log_uniform": _spanned(photons)}}),
        *([Part("offset", {"level": -black})] if black else []),
        Part("gaussian", {"sigma": _around(reads)}),
    ]
    if transfer.correlation:
        steps.append(Part("response", {"correlation": round(transfer.correlation, 3)}))
    return *steps, *clipped


def _around(values: Sequence[float]) -> list[float]:
    """From somewhat less to somewhat more than the first value, or what most of the others span, if that is more."""
    low, high = np.quantile(values, (0.1, 0.9)) if len(values) > 1 else (values[0], values[0])
    return [float(f"{min(values[0] / SPREAD, low):.4g}"), float(f"{max(values[0] * SPREAD, high):.4g}")]


def _spanned(values: Sequence[float]) -> list[float]:
    """The same for stacks that are still to come, of which most lie within 1.645 standard deviations of their logarithm.

    A few stacks hardly span what others will: the lightest and the darkest of five leave out a third of all.
    """
    low, high = values[0] / SPREAD, values[0] * SPREAD
    if len(values) > 2:
        logs = np.log(values[1:])
        middle, reach = logs.mean(), MOST_SD * logs.std(ddof=1)
        low, high = (
            min(low, *values[1:], np.exp(middle - reach)),
            max(high, *values[1:], np.exp(middle + reach)),
        )
    return [float(f"{low:.4g}"), float(f"{high:.4g}")]


def _converter(lows: Sequence[np.ndarray]) -> Converter:
    """Levels, bits and saturation."""
    if any(np.any(low != np.rint(low)) for low in lows):
        return Converter(0, 0, 0, 0.0)
    levels = np.unique(np.concatenate([np.unique(low).astype(np.int64) for low in lows]))
    step, top = int(np.gcd.reduce(np.diff(levels))), int(levels[-1])
    at_top, below = (sum(int((low == level).sum()) for low in lows) for level in levels[[-1, -2]])
    share = at_top / sum(low.size for low in lows)
    # A level that light reaches by chance is met about as often as the one below it.
    saturated = share if share > SATURATED_SHARE and at_top > 3 * below else 0.0
    return Converter(step, top, max(top // step, 1).bit_length(), saturated)


def _differences(photons: Sequence[float]) -> tuple[str, ...]:
    """What is to be said of stacks that were not taken alike."""
    if len(photons) < 2 or max(photons) < DIFFERENT * min(photons):
        return ()
    return (
        f"the stacks differ, {min(photons):.3g} to {max(photons):.3g} photons at full scale: other light or gain, or scaled one "
        "by one; the crappifier spans them all, and one for each kind of stack would be closer to it",
    )


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
        notes.append(
            "the offset is that of the darkest parts; a recording without light is surer (dark=FILE)"
        )
    if saturated:
        notes.append(f"{saturated:.2%} of the pixels are saturated; use less light or gain")
    if pair is None:
        notes.append(
            "the blur cannot be told from low-resolution stacks alone: specimen and optics blur alike; the usual "
            f"{USUAL_BLUR_PX[0]:g} to {USUAL_BLUR_PX[1]:g} px is kept; give pairs with the same fields at high resolution"
        )
    return tuple(notes)
