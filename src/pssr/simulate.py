"""Ground-truth movies of living organelles, for the demo, tests and benchmarks.

Lengths, widths and speeds are of the order reported for mitochondria of cultured mammalian cells: tubules of one to
six micrometres, 0.2 to 0.35 um wide, wandering some hundredths of a micrometre a second with faster runs along their
own axis, joining and parting within seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter, gaussian_filter1d, zoom

LENGTH_UM, WIDTH_UM = (1.2, 6.0), (0.2, 0.35)
WIDTH_CLASSES = 4
MARGIN_UM = 4.0  # simulated around the field, so that tubules come and go at its edges
STEP_UM = 0.02  # between the points that a tubule is drawn from
SHARE_BRANCHES, SHARE_DIVIDING = 0.3, 0.4
HAZE_GRID = 5  # light from out of focus varies this slowly across the field
BENDS = 4  # modes of bending
BEND_S, WANDER_S, RUN_S, JOIN_S = 25.0, 8.0, 6.0, 5.0  # how long a bend, a direction, a run, a joining lasts
WANDER_UM_PER_S, RUN_UM_PER_S, DRIFT_UM_PER_S = 0.012, 0.06, 0.006
PARTED_UM = 0.3  # between the halves of a divided tubule


@dataclass(frozen=True)
class SimulatedMovie:
    """A movie whose truth is known because it was made.

    Args:
        frames: (T, Y, X) in 0..1.
        pixel_size_um: distance of neighbouring pixels.
        interval_s: between frames.
        seed: that it was made from; the same seed gives the same movie.
    """

    frames: Float[np.ndarray, "t y x"]
    pixel_size_um: float
    interval_s: float
    seed: int

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, t: int, /) -> Float[np.ndarray, "y x"]:
        return np.asarray(self.frames[t])


@dataclass(frozen=True)
class _Tubules:
    """N tubules with everything about them that does not change; points along them are counted 0..1."""

    length_um: np.ndarray
    width_class: np.ndarray
    heading: np.ndarray  # (N, points) direction of each piece at rest
    light: np.ndarray  # (N, points) brightness along the tubule
    mother: np.ndarray  # (N,) that a branch grows from; -1 for none
    base: np.ndarray  # (N,) point of the mother
    joint: np.ndarray  # (N,) where it divides, 0..1
    joint_s: np.ndarray  # (N,) when; infinite for never
    joins: np.ndarray  # (N,) whether it fuses instead of dividing


def tubules(
    frames: int = 40,
    size_px: int = 256,
    *,
    seed: int = 0,
    pixel_size_um: float = 0.05,
    interval_s: float = 1.0,
    density_per_um2: float = 0.2,
) -> SimulatedMovie:
    """A movie of tubules like mitochondria: wandering, bending, running, branching, fusing and dividing.

    Args:
        frames: how many.
        size_px: side of the square field in pixels.
        seed: of every random draw.
        pixel_size_um: distance of neighbouring pixels.
        interval_s: between frames.
        density_per_um2: tubules per square micrometre.

    Returns:
        Frames in 0..1 as float32, without noise, as sharp as a high-resolution microscope sees them.

    Example:
        >>> movie = tubules(frames=3, size_px=64, seed=1)
        >>> movie.frames.shape
        (3, 64, 64)
    """
    rng = np.random.default_rng(seed)
    side_um = size_px * pixel_size_um + 2 * MARGIN_UM
    made = _grow(max(int(density_per_um2 * side_um**2), 1), frames * interval_s, rng)
    shown = np.stack(
        [
            _draw(points, light, made, size_px, pixel_size_um)
            for points, light in _live(made, side_um, frames, interval_s, rng)
        ]
    )
    haze = zoom(
        rng.standard_normal((HAZE_GRID, HAZE_GRID)),
        size_px / HAZE_GRID,
        order=3,
        grid_mode=True,
        mode="nearest",
    )
    shown += 0.04 * np.percentile(shown, 99.9) * (1.5 + haze).clip(0)
    return SimulatedMovie((shown / shown.max()).astype(np.float32), pixel_size_um, interval_s, seed)


def _grow(count: int, duration_s: float, rng: np.random.Generator) -> _Tubules:
    points = int(LENGTH_UM[1] / STEP_UM)
    length = rng.uniform(*LENGTH_UM, count)
    curvature = gaussian_filter1d(rng.standard_normal((count, points)), 0.12 * points, axis=1)
    curvature *= 0.8 / curvature.std()  # radians per um
    heading = rng.uniform(0, 2 * np.pi, (count, 1)) + np.cumsum(curvature, 1) * length[:, None] / points
    branch = rng.random(count) < SHARE_BRANCHES
    branch[0] = False
    mothers = rng.choice(np.flatnonzero(~branch), count)
    divides = (rng.random(count) < SHARE_DIVIDING) & ~branch
    return _Tubules(
        length_um=np.where(branch, 0.5 * length, length),
        width_class=rng.integers(0, WIDTH_CLASSES, count),
        heading=heading,
        light=_texture(count, points, rng),
        mother=np.where(branch, mothers, -1),
        base=rng.integers(points // 5, 4 * points // 5, count),
        joint=rng.uniform(0.3, 0.7, count),
        joint_s=np.where(divides, rng.uniform(0, duration_s, count), np.inf),
        joins=rng.random(count) < 0.5,
    )


def _texture(count: int, points: int, rng: np.random.Generator) -> np.ndarray:
    """Uneven filling, and folds and granules finer than a low-resolution pixel."""
    out = np.ones((count, points))
    for grain_um, contrast in ((0.5, 0.25), (0.07, 0.35)):
        grain = gaussian_filter1d(rng.standard_normal((count, points)), grain_um / STEP_UM, axis=1)
        out += contrast * grain / grain.std()
    return np.asarray(out.clip(0.15) * rng.lognormal(0, 0.3, (count, 1)))


def _live(
    made: _Tubules, side_um: float, frames: int, interval_s: float, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Points (N, points, 2) in um and their brightness (N, points), frame by frame."""
    count, points = made.heading.shape
    modes = np.cos(np.pi * np.outer(np.arange(1, BENDS + 1), np.linspace(0, 1, points)))
    size = 0.35 / np.arange(1, BENDS + 1)
    bend, wander = rng.standard_normal((count, BENDS)), rng.standard_normal((count, 2))
    centre, run = rng.uniform(0, side_um, (count, 2)), np.zeros(count)
    drift = DRIFT_UM_PER_S * rng.standard_normal(2)
    for t in range(frames):
        heading = made.heading + (bend * size) @ modes
        forward = np.stack([np.sin(heading), np.cos(heading)], -1)
        yield _placed(made, centre, forward, t * interval_s)
        bend, wander = _relaxed(bend, interval_s / BEND_S, rng), _relaxed(wander, interval_s / WANDER_S, rng)
        starts = rng.random(count) < interval_s / (5 * RUN_S)
        ends = rng.random(count) < interval_s / RUN_S
        run = np.where(starts, rng.choice([-1.0, 1.0], count), np.where(ends, 0, run))
        speed = WANDER_UM_PER_S * wander + RUN_UM_PER_S * run[:, None] * forward[:, points // 2] + drift
        centre = centre + interval_s * speed


def _relaxed(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """One step of an Ornstein-Uhlenbeck process of unit variance."""
    kept = np.exp(-share)
    return np.asarray(kept * x + np.sqrt(1 - kept**2) * rng.standard_normal(x.shape))


def _placed(
    made: _Tubules, centre: np.ndarray, forward: np.ndarray, now_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points and brightness now: branches sit on their mothers, dividing ones open at their joint."""
    points = forward.shape[1]
    along_um = np.linspace(0, 1, points) * made.length_um[:, None]
    path = np.cumsum(forward, 1) * (made.length_um / points)[:, None, None]
    place = centre[:, None] + path - path.mean(1, keepdims=True)
    grown = np.clip((now_s - made.joint_s) / JOIN_S, 0, 1)
    opened = np.where(made.joins, 1 - grown, grown) * np.isfinite(made.joint_s)
    opened = opened**2 * (3 - 2 * opened)
    away_um = along_um - (made.joint * made.length_um)[:, None]
    at = (made.joint * (points - 1)).astype(int)
    direction = forward[np.arange(len(at)), at]
    place = place + (PARTED_UM * opened[:, None] * np.tanh(away_um / 0.1))[..., None] * direction[:, None]
    light = made.light * (1 - opened[:, None] * np.exp(-0.5 * (away_um / 0.1) ** 2))
    child = np.flatnonzero(made.mother >= 0)
    seat = place[made.mother[child], made.base[child]]
    place[child] += (seat - place[child, 0])[:, None]
    return place, light * made.length_um[:, None]


def _draw(
    points: np.ndarray, light: np.ndarray, made: _Tubules, size_px: int, pixel_size_um: float
) -> np.ndarray:
    """Light spread over the pixels of the field, each tubule as wide as its class."""
    edge = int(np.ceil(3 * WIDTH_UM[1] / pixel_size_um))
    side = size_px + 2 * edge
    spot = (
        (points - MARGIN_UM) / pixel_size_um - 0.5 + edge
    )  # the middle of the first pixel is half a pixel in
    corner = np.floor(spot).astype(int)
    part = spot - corner
    inside = ((corner >= 0) & (corner < side - 1)).all(-1)
    widths = np.linspace(*WIDTH_UM, WIDTH_CLASSES)
    image = np.zeros((side, side))
    for k, width_um in enumerate(widths):
        chosen = inside & (made.width_class == k)[:, None]
        (y, x), (fy, fx), value = corner[chosen].T, part[chosen].T, light[chosen]
        flat = np.zeros(side * side)
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (fy if dy else 1 - fy) * (fx if dx else 1 - fx)
            flat += np.bincount((y + dy) * side + x + dx, value * share, side * side)
        image += gaussian_filter(flat.reshape(side, side), width_um / 2.355 / pixel_size_um)
    image += 0.12 * gaussian_filter(image, 0.6 / pixel_size_um)  # what lies out of focus
    return np.asarray(image[edge : edge + size_px, edge : edge + size_px])
