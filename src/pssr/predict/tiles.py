"""Tiles with a halo: parts of a frame that together give the very same frame."""

from dataclasses import dataclass

Box = tuple[slice, slice]
Span = tuple[int, int, int, int]  # along one axis: first and last pixel to keep, first and last to read


@dataclass(frozen=True)
class Tile:
    """What to read, what to keep of the answer, and where it goes.

    Args:
        read: rows and columns of the low-resolution frame, halo included.
        keep: rows and columns of the tile's own restored pixels.
        paste: where those belong in the restored field.
    """

    read: Box
    keep: Box
    paste: Box


def tiles(
    height: int,
    width: int,
    *,
    side: int,
    halo: int,
    multiple: int,
    scale: int,
    field: Box | None = None,
) -> list[Tile]:
    """Tiles that cover a frame, or a field of it, once.

    The halo is clipped at the true border, because padding invented inside the frame would change
    pixels; every tile starts at a multiple of `multiple`, because a strided network sees a grid.

    Args:
        height: rows of the low-resolution frame.
        width: its columns.
        side: of a tile without its halo, low-resolution pixels.
        halo: how far the network can see.
        multiple: what tile origins must be multiples of.
        scale: restored pixels per low-resolution pixel.
        field: rows and columns that are wanted; None wants all.
    """
    y, x = field or (slice(0, height), slice(0, width))
    rows = _spans(y, height, side, halo, multiple)
    columns = _spans(x, width, side, halo, multiple)
    return [_tile((row, column), (y.start, x.start), scale) for row in rows for column in columns]


def grown(field: Box, shape: tuple[int, int], halo: int, multiple: int) -> Box:
    """What must be read of a frame so that a field of it is restored as in the whole frame.

    Args:
        field: rows and columns that are wanted.
        shape: of the whole frame.
        halo: how far the network can see.
        multiple: what the origin must be a multiple of.
    """
    rows, columns = (
        _reach(wanted.start, wanted.stop, length, halo, multiple)
        for wanted, length in zip(field, shape, strict=True)
    )
    return slice(*rows), slice(*columns)


def even_side(length: int, most: int) -> int:
    """The side of tiles of nearly equal size, none larger than `most`: a narrow last one would be halo for the most part."""
    return -(-length // -(-length // max(most, 1)))


def _spans(wanted: slice, length: int, side: int, halo: int, multiple: int) -> list[Span]:
    side = max(side // multiple, 1) * multiple
    first = wanted.start // multiple * multiple
    out = []
    for corner in range(first, wanted.stop, side):
        start, stop = max(corner, wanted.start), min(corner + side, wanted.stop)
        out.append((start, stop, *_reach(start, stop, length, halo, multiple)))
    return out


def _reach(start: int, stop: int, length: int, halo: int, multiple: int) -> tuple[int, int]:
    first = max(0, start - halo) // multiple * multiple
    return first, min(length, -(-(stop + halo) // multiple) * multiple)


def _tile(spans: tuple[Span, Span], origin: tuple[int, int], scale: int) -> Tile:
    read = tuple(slice(first, last) for _, _, first, last in spans)
    keep = tuple(slice((start - first) * scale, (stop - first) * scale) for start, stop, first, _ in spans)
    paste = tuple(
        slice((start - at) * scale, (stop - at) * scale)
        for (start, stop, _, _), at in zip(spans, origin, strict=True)
    )
    return Tile(read, keep, paste)  # type: ignore[arg-type]


def inside(field: Box, part: Box) -> Box:
    """Where a field lies within a part that holds it.

    Args:
        field: rows and columns.
        part: likewise.
    """
    rows, columns = (
        slice(want.start - have.start, want.stop - have.start) for want, have in zip(field, part, strict=True)
    )
    return rows, columns
