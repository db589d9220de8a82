"""Is a stack like those that a model was trained on? Each way in which it is not becomes one sentence with numbers."""

import math
import re
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float

from pssr.config import Config
from pssr.crappify.chain import STEPS, crappifier
from pssr.crappify.photon_transfer import noise_curve
from pssr.data.intensity import Intensity
from pssr.errors import PssrError, ReadError
from pssr.io.stack import Stack
from pssr.model_file import Model, Source
from pssr.parts import cut, refuse_foreign

PIXEL_FACTOR = 1.2  # a fifth: as much as specimens of one kind differ in size
INTERVAL_FACTOR = 2.0  # twice as far apart in time, neighbours have moved twice as far
RANGE_FACTOR = 8.0  # three bits: beyond lies another detector, unit or bit depth, not another laser power
LEAST_LEVELS = 16  # four bits: steps of 6 % are seen as contours
SATURATED_SHARE = 1e-3  # half of what lies above the 99.8 % point: the upper end of the scale is cut off
LEAST_FULL = 255  # 8 bits; a darker brightest level of the form 2**n - 1 may be chance
LOOKED_AT = 4  # planes, spread over the stack, whose brightest pixels are counted

# In standard deviations, 2.25 in photons: chance, motion and another specimen explain 1.4 (measured).
NOISE_FACTOR = 1.5
# Of the range: less is not seen; a specimen that moves leaves up to 0.046 in movies without noise (measured); in darker
# parts it is the offset that decides.
LEAST_NOISE, MOTION, LEAST_LEVEL = 0.01, 0.05, 0.2
FRAMES, EXCERPT_PX, LEAST_PX = (3, 8), 512, 32  # of the stack, for its noise
MIDDLE, REACH = 0.5, 0.15  # of the 0..1 scale: where noise is compared, and how far around
DRAWS = 12  # of the crappifier's settings: the extreme ones lie near the ends of what was trained
RAMP_ROWS, RAMP_COLUMNS = 64, 192  # low-resolution rows from dark to bright, high-resolution columns
# Of code that is not ours and that may fail in its own way.
FAILURES = (PssrError, RuntimeError, TypeError, ValueError, LookupError, AttributeError)

# What a file says where nobody named the channel: a number, the detector, or a colour.
PLACEHOLDER = re.compile(r"(channel|chan|ch[a-z]?|c|track|t|red|green|blue|alpha|gr[ae]y)?[ :_\d-]*")
ENDING = re.compile(r"(-t\d+| \(\d+\))*$")  # the track, or the number of a name that occurs twice
AT = re.compile(r", [zt] \d+$")


def mismatches(
    model: Model, stack: Stack, channel: int, scale: Intensity, *, trust: Collection[str] = ()
) -> tuple[str, ...]:
    """What a person should know before a stack is restored by a model that was trained for others.

    Reads twelve planes at most and keeps excerpts of them. What stack or model do not tell is not compared.

    Args:
        model: with the sources it was trained on.
        stack: to be restored.
        channel: number of the channel.
        scale: with which the channel reaches the network, from `matched`.
        trust: modules outside pssr that the model may name.

    Returns:
        A sentence for each mismatch, without the name of the file.

    Raises:
        ReadError: a plane cannot be read.
    """
    said = (
        _neighbours(model.config, stack),
        _pixel_size(model, stack),
        _interval(model, stack),
        _channel(model, stack.channels[channel]),
        _range(model, stack, scale),
        _levels(model, stack, scale),
        _saturation(stack, channel),
        _noise(model, stack, channel, scale, trust),
    )
    return tuple(sentence for sentence in said if sentence)


def _neighbours(config: Config, stack: Stack) -> str | None:
    axis, other = config.axis, "Z" if config.axis == "T" else "T"
    if config.frames == 1 or stack.sizes[axis] > 1 or stack.sizes[other] == 1:
        return None
    return (
        f"frames: the model takes {config.frames} neighbours along {axis}, of which there is one, and not along {other}: "
        f"each plane is restored alone; use a model trained along {other}"
    )


def _pixel_size(model: Model, stack: Stack) -> str | None:
    trained = [size * model.config.scale for size in _known(source.pixel_size_um for source in model.sources)]
    own = _known([stack.pixel_size_um])
    if not own or not trained or _factor(own[0], trained) <= PIXEL_FACTOR:
        return None
    return (
        f"pixel size: {_figures(own[0])} um, the model was trained for {_listed(trained)} um; use a model trained for "
        "pixels of this size"
    )


def _interval(model: Model, stack: Stack) -> str | None:
    if model.config.axis != "T" or model.config.frames == 1 or stack.sizes["T"] == 1:
        return None
    trained, own = _known(source.interval_s for source in model.sources), _known([stack.interval_s])
    if not own or not trained or _factor(own[0], trained) <= INTERVAL_FACTOR:
        return None
    return (
        f"frame interval: {_figures(own[0])} s, the model was trained with {_listed(trained)} s; use a model trained on such "
        "movies, or one with frames=1"
    )


def _channel(model: Model, name: str) -> str | None:
    # Low-resolution partners may be named otherwise than the good movies: either will do.
    partners = [found[0] for found in map(_partner, model.sources) if found]
    named = map(_channel_in, [*(source.name for source in model.sources), *partners])
    trained = {_plain(word): word for word in named if not PLACEHOLDER.fullmatch(_plain(word))}
    if not trained or _plain(name) in trained or PLACEHOLDER.fullmatch(_plain(name)):
        return None
    return (
        f"channel: is '{cut(name)}', the model was trained on '{cut(', '.join(sorted(trained.values())))}'; use a model "
        "trained on what this channel shows"
    )


def _range(model: Model, stack: Stack, scale: Intensity) -> str | None:
    # Counts are compared with counts: floating-point numbers may be of any unit.
    trained = _known(_span(source) for source in model.sources if "int" in str(source.dtype))
    own = scale.high - scale.low
    if stack.dtype.kind not in "iu" or not trained or _factor(own, trained) <= RANGE_FACTOR:
        return None
    return (
        f"intensity: the stack spans {_figures(own)} counts, the model was trained for {_listed(trained)}; check gain and bit "
        "depth, and whether the file was converted"
    )


def _levels(model: Model, stack: Stack, scale: Intensity) -> str | None:
    levels = (model.reference[1] - model.reference[0]) * (scale.high - scale.low) + 1
    if stack.dtype.kind not in "iu" or levels >= LEAST_LEVELS:
        return None
    return (
        f"grey levels: {levels:.0f} between the 1 and 99.8 % points, to which the restored frames are rounded too; record "
        "with more gain, or save without conversion"
    )


def _saturation(stack: Stack, channel: int) -> str | None:
    """A brightest level that is the highest of the type, or of a converter of fewer bits, and met often."""
    if stack.dtype.kind not in "iu":
        return None
    count = stack.sizes["T"] * stack.sizes["Z"]
    chosen = np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).round().astype(int))
    top, full = 0, 0
    for plane in stack.planes(
        (int(k) // stack.sizes["Z"], channel, int(k) % stack.sizes["Z"]) for k in chosen
    ):
        brightest = int(plane.max())
        if brightest >= top:
            full = int((plane == brightest).sum()) + (full if brightest == top else 0)
            top = brightest
    share = full / (len(chosen) * stack.sizes["Y"] * stack.sizes["X"])
    if top < LEAST_FULL or top & (top + 1) or share <= SATURATED_SHARE:
        return None
    return (
        f"saturation: {100 * share:.2g} % of the pixels are at {top}, and what was brighter there is lost; record with less "
        "light or gain"
    )


def _noise(model: Model, stack: Stack, channel: int, scale: Intensity, trust: Collection[str]) -> str | None:
    # The noise of real partners is not known.
    if any(source.partner for source in model.sources):
        return None
    found = _measured(stack, channel, scale)
    trained = _trained(model.config, found[0], trust) if found else ()
    if not found or not trained:
        return None
    level, noise = found
    least, most = min(trained), max(trained)
    if noise > math.hypot(NOISE_FACTOR * most, MOTION):
        follows = "it will be taken for structure"
    elif NOISE_FACTOR * noise < least and least > LEAST_NOISE:
        follows = "fine structure will be smoothed away"
    else:
        return None
    known = f"with {100 * least:.2g} to {100 * most:.2g} %" if most > LEAST_NOISE / 10 else "without any"
    return (
        f"noise: from pixel to pixel it is {100 * noise:.2g} % of the range (where that is {100 * level:.0f} % full), the model "
        f"was trained {known}, so that {follows}; train with a crappifier that `pssr calibrate` measures in such stacks"
    )


def _measured(stack: Stack, channel: int, scale: Intensity) -> tuple[float, float] | None:
    """Noise in the middle of a stack, and where on the 0..1 scale it was met: at 0.5, or as near as there are pixels."""
    least, most = FRAMES
    count, sides = stack.sizes["T"], (stack.sizes["Y"], stack.sizes["X"])
    if count < least or min(sides) < LEAST_PX or stack.dtype.kind not in "iuf":
        return None
    first = max(0, (count - most) // 2)
    excerpt = tuple(slice(max(0, (side - EXCERPT_PX) // 2), (side + EXCERPT_PX) // 2) for side in sides)
    places = ((t, channel, stack.sizes["Z"] // 2) for t in range(first, min(first + most, count)))
    movie = np.stack([scale.to_unit(plane[excerpt]) for plane in stack.planes(places)])
    if not np.isfinite(movie).all():
        return None
    found = _noise_near(movie, MIDDLE)
    return found if found and found[0] >= LEAST_LEVEL else None


@torch.no_grad()
def _trained(config: Config, level: float, trust: Collection[str]) -> tuple[float, ...]:
    """Noise that the crappifier makes where its bad frames reach a level, for each of some draws of its settings."""
    try:
        for part in config.crappifier:
            refuse_foreign(part, STEPS, trust)
        make_bad = crappifier(config.crappifier, config.scale)
        # From 0 to 1, so that steps that look at the brightest pixel find one.
        ramp = torch.linspace(0, 1, RAMP_ROWS * config.scale)[:, None].repeat(DRAWS, 3, 1, RAMP_COLUMNS)
        lows = make_bad(ramp, torch.Generator().manual_seed(0)).numpy()
    except FAILURES:
        return ()
    found = [_noise_near(low, level) for low in lows]
    return tuple(noise for near, noise in filter(None, found) if abs(near - level) <= REACH)


def _noise_near(movie: Float[np.ndarray, "t y x"], level: float) -> tuple[float, float] | None:
    """The level nearest to one asked for that a movie has, and the standard deviation of the noise there."""
    try:
        means, variances = noise_curve([movie])
    except ReadError:
        return None
    nearest = float(means[np.abs(means - level).argmin()])
    return nearest, math.sqrt(float(variances[np.abs(means - nearest) <= REACH].mean()))


def _span(source: Source) -> float | None:
    """Counts from 0 to 1 of the low-resolution frames: those of the good ones, unless there was a real partner."""
    found = _partner(source)
    if source.partner:
        return found[1] if found else None
    return source.high - source.low


def _partner(source: Source) -> tuple[str, float] | None:
    """Name and span of a real partner, told as `name: low to high counts, ...`."""
    name, _, told = (source.partner or "").partition(" counts,")[0].rpartition(": ")
    low, _, high = told.partition(" to ")
    try:
        return name, float(high) - float(low)
    except ValueError:
        return None


def _channel_in(name: str) -> str:
    """The channel of `a.czi [mito, scene 1, z 3]`; empty for a movie without one."""
    inside = name.rpartition(" [")[2] if name.endswith("]") else ""
    return AT.sub("", inside.removesuffix("]").partition(", scene ")[0])


def _plain(name: str) -> str:
    """A channel's name as it is compared."""
    return ENDING.sub("", name.casefold())


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value) and value > 0]


def _factor(own: float, trained: Sequence[float]) -> float:
    """How many times larger or smaller than the nearest."""
    return min(max(own / one, one / own) for one in trained)


def _listed(values: Sequence[float]) -> str:
    each = list(dict.fromkeys(_figures(value) for value in sorted(values)))
    return " or ".join(each) if len(each) < 3 else f"{each[0]} to {each[-1]}"


def _figures(value: float) -> str:
    """Three figures, but no powers of ten for counts."""
    return f"{value:.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"
