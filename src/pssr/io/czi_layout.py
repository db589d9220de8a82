"""Where the planes of a CZI lie: its axes, its mosaic, and whether every plane is there."""

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pssr.errors import ReadError
from pssr.io.czi_check import Block

SQUEEZED = ("B", "V")  # acquisition block and view: one of each, or several that are refused
REFUSED = {"H": "phases", "I": "illuminations", "R": "rotations"}
# A mosaic whose field is this many times larger than its tiles is mostly empty: several specimens in one scene.
EMPTIEST = 20


class Tile(NamedTuple):
    """One tile of a mosaic: its number in the file, and its first row and column in the field."""

    number: int
    top: int
    left: int


@dataclass(frozen=True)
class Layout:
    """Where the planes lie.

    Args:
        start: first index of T, C and Z; axes that the file does not have are absent.
        count: of T, C and Z.
        shape: (Y, X) of a plane, of the whole field in a mosaic.
        fixed: axes that do not vary.
        tiles: of each plane (T, C, Z), lowest first; empty where a plane is stored as one piece.
        notes: what a person should know.
    """

    start: dict[str, int]
    count: dict[str, int]
    shape: tuple[int, int]
    fixed: dict[str, int]
    tiles: Mapping[tuple[int, int, int], tuple[Tile, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def lay_out(path: Path, blocks: list[Block]) -> Layout:
    """The layout of one scene, all of whose planes must be there, once.

    Args:
        path: for messages.
        blocks: of that scene, at full resolution.

    Raises:
        ReadError: planes missing or double, of different sizes, or along axes that are not read.
    """
    names = sorted({axis for block in blocks for axis in block.place})
    along = {axis: sorted({b.place[axis] for b in blocks if axis in b.place}) for axis in names}
    _refuse_others(path, along)
    start = {axis: along[axis][0] for axis in "TCZ" if axis in along}
    count = {axis: along[axis][-1] - start[axis] + 1 if axis in start else 1 for axis in "TCZ"}
    fixed = {axis: found[0] for axis, found in along.items() if axis not in "TCZSM"}
    mosaic = len(along.get("M", [])) > 1
    _check_complete(path, blocks, start, count, along["M"] if mosaic else [0])
    if mosaic:
        return _mosaic(path, blocks, start, count, fixed)
    shapes = {block.shape for block in blocks}
    if len(shapes) > 1:
        raise ReadError(
            f"{path}: its planes are of different sizes ({sorted(shapes)[:3]}); export to OME-TIFF"
        )
    return Layout(start, count, shapes.pop(), fixed)


def _refuse_others(path: Path, along: Mapping[str, list[int]]) -> None:
    for axis, what in REFUSED.items():
        if len(along.get(axis, [])) > 1:
            raise ReadError(f"{path}: has {len(along[axis])} {what}; process it in ZEN and export the result")
    for axis in SQUEEZED:
        if len(along.get(axis, [])) > 1:
            raise ReadError(f"{path}: has {len(along[axis])} along {axis}; export one of them to OME-TIFF")


def _mosaic(
    path: Path, blocks: list[Block], start: dict[str, int], count: dict[str, int], fixed: dict[str, int]
) -> Layout:
    """Tiles by plane, placed in the smallest field that holds all of them."""
    top, left = (min(block.corner[k] for block in blocks) for k in (0, 1))
    bottom, right = (max(block.corner[k] + block.shape[k] for block in blocks) for k in (0, 1))
    shape = bottom - top, right - left
    tiles: dict[tuple[int, int, int], list[Tile]] = {}
    for block in blocks:
        tile = Tile(block.place["M"], block.corner[0] - top, block.corner[1] - left)
        tiles.setdefault(_place(block, start), []).append(tile)
    covered = sum(y * x for y, x in (block.shape for block in blocks)) / len(tiles)
    if shape[0] * shape[1] > EMPTIEST * covered:
        raise ReadError(
            f"{path}: its tiles lie far apart ({shape[0]} x {shape[1]} px around them); export each field alone"
        )
    number = max(len(found) for found in tiles.values())
    notes = (f"its {number} tiles are laid side by side; later ones lie on top, gaps are 0",)
    return Layout(
        start, count, shape, fixed, {at: tuple(sorted(found)) for at, found in tiles.items()}, notes
    )


def _place(block: Block, start: Mapping[str, int]) -> tuple[int, int, int]:
    t, c, z = (block.place.get(axis, start.get(axis, 0)) - start.get(axis, 0) for axis in "TCZ")
    return t, c, z


def _check_complete(
    path: Path, blocks: list[Block], start: Mapping[str, int], count: Mapping[str, int], tiles: list[int]
) -> None:
    number = {m: k for k, m in enumerate(tiles)}
    there = Counter(
        (*_place(block, start), number.get(block.place.get("M", tiles[0]), 0)) for block in blocks
    )
    if len(there) < len(blocks):
        raise ReadError(
            f"{path}: holds {len(blocks) - len(there)} planes twice; copy it again from the microscope"
        )
    total = count["T"] * count["C"] * count["Z"] * len(tiles)
    missing = total - len(there)
    if not missing:
        return
    planes = itertools.product(*(range(count[axis]) for axis in "TCZ"), range(len(tiles)))
    absent = list(itertools.islice((place for place in planes if place not in there), 3))
    tile = [f" tile {m}" if len(tiles) > 1 else "" for m in tiles]
    named = "; ".join(f"T {t} C {c} Z {z}{tile[m]}" for t, c, z, m in absent)
    raise ReadError(
        f"{path}: {missing} of {total} planes are missing ({named}{'; ...' if missing > 3 else ''}); "
        "the acquisition was stopped early: export the complete time points"
    )
