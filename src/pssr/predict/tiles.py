"""Tiles with a halo: parts of a frame that together give the very same frame."""

from dataclasses import dataclass

Box = tuple[slice, slice]


@dataclass(frozen=True)
class Tile:
    """What to read, what to keep of the answer, and where it goes.

    Args:
        read: rows and columns of the low-resolution frame, halo included.
        keep: rows and columns of the tile's own restored pixels.
        paste: where those belong in the restored frame.
    """

    read: Box
    keep: Box
    paste: Box


def tiles(height: int, width: int, *, side: int, halo: int, multiple: int, scale: int) -> list[Tile]:
    """Tiles that cover a frame once.

    The halo is clipped at the true border, because padding invented inside the frame would change
    pixels; every tile starts at a multiple of `multiple`, because a strided network sees a grid.

    Args:
        height: rows of the low-resolution frame.
        width: its columns.
        side: of a tile without its halo, low-resolution pixels.
        halo: how far the network can see.
        multiple: what tile origins must be multiples of.
        scale: restored pixels per low-resolution pixel.
    """
    rows = _spans(height, side, halo, multiple)
    columns = _spans(width, side, halo, multiple)
    return [_tile(row, column, scale) for row in rows for column in columns]


def _spans(length: int, side: int, halo: int, multiple: int) -> list[tuple[int, int, int, int]]:
    """Along one axis: first and last pixel to keep, first and last to read."""
    side = max(side // multiple, 1) * multiple
    out = []
    for start in range(0, length, side):
        stop = min(start + side, length)
        first = max(0, start - halo) // multiple * multiple
        last = min(length, -(-(stop + halo) // multiple) * multiple)
        out.append((start, stop, first, last))
    return out


def _tile(row: tuple[int, int, int, int], column: tuple[int, int, int, int], scale: int) -> Tile:
    spans = (row, column)
    read = tuple(slice(first, last) for _, _, first, last in spans)
    keep = tuple(slice((start - first) * scale, (stop - first) * scale) for start, stop, first, _ in spans)
    paste = tuple(slice(start * scale, stop * scale) for start, stop, _, _ in spans)
    return Tile(read, keep, paste)  # type: ignore[arg-type]
