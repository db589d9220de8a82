"""How a low-resolution frame lies on the high-resolution frame of the same field."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.optimize import minimize
from skimage.registration import phase_cross_correlation

from pssr.errors import ConfigError

BLOCKS, LEAST_BLOCK_PX, SUBPIXELS = 4, 24, 50
SMOOTH_PX, BACKGROUND_PX = 1.0, 8.0  # of low-resolution frames: noise below, uneven light above
LARGEST_SHIFT_PX = 0.5
LEAST_CORRELATION, TIMES_CHANCE, SURELY_SAME = 0.1, 2.0, 0.6
SURE = 4.0  # standard errors beyond which a change of size is believed
UNCOVERED_PX = 0.1  # of a low-resolution pixel, which may repeat the border
EMPTY = 1e-3  # of the structure of the block that has most
OUTLIER_PX = 1.0  # from the line that most blocks agree on


@dataclass(frozen=True)
class Registration:
    """Shift and size of a low-resolution frame against the high-resolution one.

    Args:
        shift_px: (Y, X) of the low frame's middle, in low-resolution pixels.
        zoom: size of what is in the low frame, where 1 is that of the high frame divided by the scale.
        size_px: (Y, X) of the low frame.
        scale: high-resolution pixels for each low-resolution pixel.
        correlation: of the structure of both, once they lie on each other.
        chance: the same with the low frame mirrored, which is what other fields of such a specimen would reach.
    """

    shift_px: tuple[float, float]
    zoom: float
    size_px: tuple[int, int]
    scale: int
    correlation: float
    chance: float

    @property
    def same_field(self) -> bool:
        """Whether both show the same, rather than something alike."""
        return self.correlation > min(SURELY_SAME, max(TIMES_CHANCE * self.chance, LEAST_CORRELATION))

    @property
    def worst_px(self) -> float:
        """The largest displacement along either axis anywhere in the frame, in low-resolution pixels."""
        return max(
            abs(s) + abs(self.zoom - 1) * side / 2
            for s, side in zip(self.shift_px, self.size_px, strict=True)
        )

    def __str__(self) -> str:
        y, x = self.shift_px
        return (
            f"shifted by {y:+.2f}, {x:+.2f} low-resolution pixels (y, x) and {self.zoom:.4f} times the size"
        )


def whole_scale(high: tuple[int, ...], low: tuple[int, ...]) -> int:
    """How many times finer the high-resolution frames are.

    Args:
        high: (..., Y, X) of them.
        low: (..., Y, X) of the low-resolution ones.

    Raises:
        ConfigError: not one whole number of times; up to a low-resolution pixel of it may be missing.
    """
    scale = max(1, high[-1] // low[-1])
    if [side // scale for side in high[-2:]] != list(low[-2:]):
        raise ConfigError(
            f"high: is {high[-2]} x {high[-1]} px for {low[-2]} x {low[-1]} px of low; it must be one whole number of "
            "times as large"
        )
    return scale


def register(high: Num[np.ndarray, "high_y high_x"], low: Num[np.ndarray, "y x"], scale: int) -> Registration:
    """Find shift and size from the shifts of parts of the frame.

    Args:
        high: a frame, or the mean of several.
        low: of the same field, at 1 / scale of the pixels.
        scale: from `whole_scale`.
    """
    one, other = _band(binned(high, scale)), _band(np.asarray(low, dtype=np.float64))
    (y, x), zoom = _of_blocks(one, other)
    where = np.array([y, x, zoom])
    if zoom != 1.0:
        where = minimize(_misfit, where, (one, other), "Nelder-Mead").x
    y, x, zoom = map(float, where)
    mirrored = [other[::-1], other[:, ::-1], other[::-1, ::-1]]
    chance = max(-_misfit(np.array([*_shift(one, flipped), 1.0]), one, flipped) for flipped in mirrored)
    return Registration((y, x), zoom, low.shape, scale, -_misfit(where, one, other), chance)


def checked(found: Registration, name: str, *, align: bool) -> Registration:
    """Refuse a low-resolution frame that shows something else, or lies too far off.

    Args:
        found: how it lies.
        name: of the pair, for the message.
        align: whether a frame that lies too far off is accepted all the same.

    Raises:
        ConfigError: says how far off it is.
    """
    if not found.same_field:
        raise ConfigError(
            f"{name}: low and high do not show the same field (correlation {found.correlation:.2f}, by chance "
            f"{found.chance:.2f}); give them in the same order"
        )
    if found.worst_px > LARGEST_SHIFT_PX and not align:
        raise ConfigError(
            f"{name}: low is {found} of high, so that some of it lies {found.worst_px:.2f} low-resolution pixels off; register "
            "them first, or say align=True (--register)"
        )
    return found


def aligned(high: Num[np.ndarray, "high_y high_x"], found: Registration) -> Float[np.ndarray, "out_y out_x"]:
    """A high-resolution frame moved and resized to lie on the low-resolution one.

    Args:
        high: the frame.
        found: how the low frame lies on it.

    Returns:
        Its size is the low frame's times the scale; beyond the border the border pixel repeats.
    """
    size = np.array(found.size_px) * found.scale
    centre = (size - 1) / 2
    shift = np.array(found.shift_px) * found.scale
    # Output pixel p shows what is at centre + (p - centre - shift) / zoom.
    offset = centre - (centre + shift) / found.zoom
    return np.asarray(
        affine_transform(
            np.asarray(high, dtype=np.float32), np.full(2, 1 / found.zoom), offset, tuple(size), order=3, mode="nearest"
        )
    )  # fmt: skip


def covered(found: Registration) -> tuple[slice, slice]:
    """Rows and columns of a low-resolution frame that the high-resolution frame shows too."""
    slices = []
    for side, shift in zip(found.size_px, found.shift_px, strict=True):
        centre = (side - 1) / 2
        first, last = (centre + shift + end * centre * found.zoom for end in (-1, 1))
        start, stop = math.ceil(first - UNCOVERED_PX), math.floor(last + UNCOVERED_PX) + 1
        slices.append(slice(max(start, 0), min(stop, side)))
    return slices[0], slices[1]


def binned(high: Num[np.ndarray, "high_y high_x"], scale: int) -> Float[np.ndarray, "y x"]:
    """Means over the pixels that each low-resolution pixel covers."""
    y, x = (side // scale for side in high.shape)
    blocks = np.asarray(high[: y * scale, : x * scale], dtype=np.float64).reshape(y, scale, x, scale)
    return np.asarray(blocks.mean((1, 3)))


def _band(frame: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"]:
    """Structure alone, without noise and uneven light, of variance 1."""
    band = gaussian_filter(frame, SMOOTH_PX) - gaussian_filter(frame, BACKGROUND_PX)
    return np.asarray((band - band.mean()) / max(float(band.std()), 1e-12))


def _shift(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Of the other against the one; noise is fatal to a phase correlation that weighs all frequencies alike."""
    taper = np.hanning(one.shape[0] + 2)[1:-1, None] * np.hanning(one.shape[1] + 2)[None, 1:-1]
    y, x = phase_cross_correlation(other * taper, one * taper, upsample_factor=SUBPIXELS, normalization=None)[
        0
    ]
    return float(y), float(x)


def _misfit(where: Float[np.ndarray, "3"], one: np.ndarray, other: np.ndarray) -> float:
    """Less the more alike both are once the one is moved by (y, x) and grown."""
    (y, x), zoom = where[:2], where[2]
    middle = (np.array(one.shape) - 1) / 2
    offset = middle - (middle + np.array([y, x])) / zoom
    moved = affine_transform(one, np.full(2, 1 / zoom), offset, other.shape, order=3, mode="nearest")
    return -float(np.corrcoef(moved.ravel(), other.ravel())[0, 1])


def _of_blocks(one: np.ndarray, other: np.ndarray) -> tuple[tuple[float, float], float]:
    """Shift and zoom of the other against the one, from the shifts of blocks of the frame."""
    whole = _shift(one, other)
    count = min(BLOCKS, *(side // LEAST_BLOCK_PX for side in one.shape))
    if count < 2:
        return whole, 1.0
    # Blocks are compared where they overlap once the whole is moved by whole pixels.
    coarse = tuple(round(s) for s in whole)
    moved = np.roll(one, coarse, (0, 1))
    rows = []
    for ys in np.array_split(np.arange(one.shape[0]), count):
        for xs in np.array_split(np.arange(one.shape[1]), count):
            block = (slice(ys[0], ys[-1] + 1), slice(xs[0], xs[-1] + 1))
            y, x = _shift(moved[block], other[block])
            centre = ys.mean() - (one.shape[0] - 1) / 2, xs.mean() - (one.shape[1] - 1) / 2
            rows.append((*centre, y + coarse[0], x + coarse[1], float(moved[block].std())))
    found = np.array(rows)
    return _fitted(found[:, :2], found[:, 2:4], found[:, 4], whole)


def _fitted(
    centres: np.ndarray, shifts: np.ndarray, weights: np.ndarray, whole: tuple[float, float]
) -> tuple[tuple[float, float], float]:
    """Shift of the middle and zoom that most blocks agree on; those of the whole where they agree on no zoom."""
    # Rows are the shifts along y of all blocks, then those along x; columns are shift along y, along x, and growth.
    design = np.concatenate(
        [np.insert(centres[:, :1], 0, [[1.0], [0.0]], 1), np.insert(centres[:, 1:], 0, [[0.0], [1.0]], 1)]
    )
    target, told = shifts.T.ravel(), weights > EMPTY * weights.max()
    near = told
    for _ in range(4):
        # In fewer than three blocks with structure shift and growth cannot be told apart.
        if near.sum() < 3:
            return whole, 1.0
        w = np.tile(np.where(near, weights, 0.0), 2) / weights.max()
        inverse = np.linalg.inv(design.T @ (w[:, None] * design))
        fit = inverse @ design.T @ (w * target)
        left = target - design @ fit
        used, off = near.sum(), np.abs(left).reshape(2, -1).max(0)
        near = told & (off <= max(OUTLIER_PX, 2 * float(np.median(off[told]))))
    error = np.sqrt(inverse[2, 2] * (w * left**2).sum() / (2 * used - 3))
    y, x, growth = map(float, fit)
    return ((y, x), 1 + growth) if abs(growth) > SURE * error else (whole, 1.0)
