"""What is trained on and what is held back, so that no bundle or pixel is in both."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from pssr.data.bundles import Ends, windows
from pssr.errors import ConfigError

BY_FILE_FROM = 5  # files; with fewer, one held-back file would be too large a share


@dataclass(frozen=True)
class Piece:
    """A block of one movie: its frames and its rows. Bundles never leave it.

    Args:
        movie: which of the movies.
        start: first frame.
        stop: one past the last frame.
        top: first row.
        bottom: one past the last row.
    """

    movie: int
    start: int
    stop: int
    top: int
    bottom: int

    def bundles(self, frames: int, ends: Ends) -> list[tuple[int, ...]]:
        """The bundles whose frames all lie in this piece, as frame numbers of the movie."""
        return [
            tuple(self.start + t for t in window) for window in windows(self.stop - self.start, frames, ends)
        ]

    def told(self, names: Sequence[str]) -> dict[str, object]:
        """For people and scripts; each second number is one past the last."""
        return {
            "movie": self.movie,
            "name": names[self.movie],
            "frames": [self.start, self.stop],
            "rows": [self.top, self.bottom],
        }


def split(
    shapes: Sequence[tuple[int, int, int]],
    *,
    frames: int,
    ends: Ends,
    share: float,
    least_rows: int,
    files: Sequence[Hashable] | None = None,
    grid: int = 1,
) -> tuple[list[Piece], list[Piece]]:
    """Training and validation pieces: by file, else by block of time, else by region.

    With five files or more whole files are held back, the last ones given. Otherwise each movie gives its last
    frames, and a gap of a bundle less one frame lies between the blocks. A movie too short for that gives its lowest
    rows.

    Args:
        shapes: (frames, rows, columns) of every movie.
        frames: frames in a bundle.
        ends: the policy at the ends of a piece.
        share: of the material to hold back, 0..0.5; 0 holds nothing back.
        least_rows: rows that a region must have to be of use, the patch size.
        files: which file each movie is from, since planes of one stack show the same specimen; None: one each.
        grid: rows of regions are multiples of it, so that low-resolution partners can be cut alike.

    Returns:
        Pieces to train on and pieces to validate on.

    Raises:
        ConfigError: nothing is left to train on.
    """
    whole = [Piece(m, 0, t, 0, y) for m, (t, y, _) in enumerate(shapes)]
    origin = list(range(len(shapes))) if files is None else list(files)
    different = list(dict.fromkeys(origin))
    if share == 0:
        good, held = whole, []
    elif len(different) >= BY_FILE_FROM:
        last = set(different[-max(1, round(share * len(different))) :])
        good = [piece for piece in whole if origin[piece.movie] not in last]
        held = [piece for piece in whole if origin[piece.movie] in last]
    else:
        pairs = [_split_one(piece, frames, share, least_rows, grid) for piece in whole]
        good, held = [a for a, _ in pairs], [b for _, b in pairs if b is not None]
    good = [piece for piece in good if piece.bundles(frames, ends)]
    held = [piece for piece in held if piece.bundles(frames, ends)]
    if not good:
        lengths = ", ".join(str(t) for t, _, _ in shapes)
        raise ConfigError(
            f"frames: no movie has a bundle of {frames} to train on (their lengths: {lengths}); use ends=reflect or fewer frames"
        )
    return good, held


def _split_one(
    piece: Piece, frames: int, share: float, least_rows: int, grid: int
) -> tuple[Piece, Piece | None]:
    length, gap = piece.stop - piece.start, frames - 1
    count = max(1, round(share * length))
    first = piece.stop - count
    if first - gap >= max(count, frames):
        return Piece(piece.movie, 0, first - gap, piece.top, piece.bottom), Piece(
            piece.movie, first, piece.stop, piece.top, piece.bottom
        )
    rows = max(round(share * piece.bottom), least_rows)
    if piece.bottom - rows >= 2 * least_rows:
        edge = (piece.bottom - rows) // grid * grid
        return Piece(piece.movie, 0, piece.stop, 0, edge), Piece(
            piece.movie, 0, piece.stop, edge, piece.bottom
        )
    return piece, None
