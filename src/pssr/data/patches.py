"""Random patches of good bundles: the same crop, flip and turn for all frames, chosen for content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Num

from pssr.data.bundles import Ends
from pssr.data.cache import PlaneCache
from pssr.data.intensity import Intensity
from pssr.data.split import Piece
from pssr.errors import ConfigError


def rng_for(seed: int, step: int, item: int) -> np.random.Generator:
    """The generator of one item of one step: the same for any number of workers, and after a resume."""
    return np.random.default_rng((seed, step, item))


@dataclass(frozen=True)
class Partner:
    """Real low-resolution frames of a movie, pixel on pixel.

    Args:
        movie: which of the cache's movies.
        scale: of intensity: what is 0 and 1 there as in the good movie.
        factor: good pixels for each of its pixels.
    """

    movie: int
    scale: Intensity
    factor: int


@dataclass(frozen=True)
class Square:
    """A square of all frames of a bundle.

    Args:
        movie: which of the cache's movies; None for one of pixels that are not numbers.
        bundle: the frames.
        top: first row.
        left: first column.
        side: pixels.
        turn: which of the eight flips and quarter turns.
        scale: of intensity.
    """

    movie: int | None
    bundle: tuple[int, ...]
    top: int
    left: int
    side: int
    turn: int
    scale: Intensity


@dataclass(frozen=True)
class Patches:
    """Good bundles as training patches, numbered from 0 without end.

    Patch k belongs to step k // batch, item k % batch; every choice derives from (seed, step, item).

    Args:
        cache: the movies' planes.
        pieces: where bundles may come from.
        scales: one `Intensity` per movie.
        frames: frames in a bundle.
        ends: policy at the ends of a piece.
        size_px: side of a patch in high-resolution pixels.
        batch: items in a step.
        seed: of the run.
        tries: crops looked at for each patch; the one with most structure wins. 1 takes any.
        partners: by movie, where there are any.
    """

    cache: PlaneCache
    pieces: Sequence[Piece]
    scales: Sequence[Intensity]
    frames: int
    ends: Ends
    size_px: int
    batch: int
    seed: int
    tries: int = 4
    partners: Mapping[int, Partner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for piece in self.pieces:
            rows, columns = piece.bottom - piece.top, self.cache.shape(piece.movie)[1]
            if min(rows, columns) < self.size_px:
                raise ConfigError(
                    f"data.patch_px: {self.size_px} is larger than a movie of {rows} x {columns} px; use a smaller patch"
                )

    def __getitem__(self, k: int) -> tuple[Float[np.ndarray, "f p p"], ...]:
        """Patch k: (F, size, size), float32 on the 0..1 scale of its movie.

        Where any movie has a partner, the partner's patch comes second, as (F, size / factor, size / factor); it is
        not a number where this one has none.
        """
        return tuple(self._cut(square) for square in self.squares(k))

    def squares(self, k: int) -> tuple[Square, ...]:
        """Where patch k is cut, and its partner where any movie has one."""
        rng = rng_for(self.seed, k // self.batch, k % self.batch)
        which = int(np.searchsorted(self._up_to, rng.random(), side="right"))
        piece, bundles = self.pieces[which], self._bundles[which]
        bundle = bundles[rng.integers(len(bundles))]
        top, left = self._corner(piece, bundle[len(bundle) // 2], rng)
        turn = int(rng.integers(8))
        partner = self.partners.get(piece.movie)
        if partner is not None:
            top, left = (corner // partner.factor * partner.factor for corner in (top, left))
        scale = self.scales[piece.movie]
        good = Square(piece.movie, bundle, top, left, self.size_px, turn, scale)
        if not self.partners:
            return (good,)
        side = self.size_px // next(iter(self.partners.values())).factor
        if partner is None:
            return good, Square(None, bundle, 0, 0, side, turn, scale)
        top, left = top // partner.factor, left // partner.factor
        return good, Square(partner.movie, bundle, top, left, side, turn, partner.scale)

    @cached_property
    def _bundles(self) -> list[list[tuple[int, ...]]]:
        return [piece.bundles(self.frames, self.ends) for piece in self.pieces]

    @cached_property
    def _up_to(self) -> Float[np.ndarray, " pieces"]:
        """The chance of each piece and those before it; every pixel of every piece has the same."""
        pixels = np.array([
            (p.bottom - p.top) * self.cache.shape(p.movie)[1] * len(bundles)
            for p, bundles in zip(self.pieces, self._bundles, strict=True)
        ], dtype=float)  # fmt: skip
        up_to = np.cumsum(pixels)
        return np.asarray(up_to / up_to[-1])

    def _corner(self, piece: Piece, t: int, rng: np.random.Generator) -> tuple[int, int]:
        """The corner of the crop of frame t with most structure among a few drawn, by standard deviation."""
        tops = rng.integers(piece.top, piece.bottom - self.size_px + 1, self.tries)
        lefts = rng.integers(0, self.cache.shape(piece.movie)[1] - self.size_px + 1, self.tries)
        # Every fourth patch is taken as it comes: the network must also learn what nothing looks like.
        if rng.random() < 0.25:
            return int(tops[0]), int(lefts[0])
        spread = [
            _spread(self.cache.crop(piece.movie, t, y, x, self.size_px)[::4, ::4])
            for y, x in zip(tops.tolist(), lefts.tolist(), strict=True)
        ]
        best = int(np.argmax(spread))
        return int(tops[best]), int(lefts[best])

    def _cut(self, square: Square) -> Float[np.ndarray, "f p p"]:
        """The same square of all frames of a bundle."""
        if square.movie is None:
            return np.full((self.frames, square.side, square.side), np.nan, np.float32)
        # The middle one first: its corner was chosen just now, and the cache may keep no other plane.
        middle = square.bundle[len(square.bundle) // 2]
        crops = {
            t: self.cache.crop(square.movie, t, square.top, square.left, square.side)
            for t in sorted(set(square.bundle), key=lambda t: t != middle)
        }
        return square.scale.to_unit(_turned(np.stack([crops[t] for t in square.bundle]), square.turn))


def _spread(crop: Num[np.ndarray, "h w"]) -> float:
    """The variance, in a third of the time of numpy's own, which many small crops are worth."""
    # Laid out alike wherever the plane comes from, so that sums are rounded alike; in 16 bits they would overflow.
    values = crop.astype(np.float64, order="C").ravel()
    values -= values.sum() / values.size
    values *= values
    return float(values.sum() / values.size)


def _turned(crop: Num[np.ndarray, "f p p"], which: int) -> Num[np.ndarray, "f p p"]:
    """One of the eight flips and quarter turns, the same for all frames."""
    flipped = crop[:, ::-1] if which >= 4 else crop
    return np.ascontiguousarray(np.rot90(flipped, which % 4, axes=(1, 2)))
