"""Where the planes of a CZI lie: its axes, its mosaic, and which planes are there."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.czi_check import Block
from pssr.io.memory import MOST_PLANES
from pssr.io.stack import Place

SQUEEZED = ("B", "V")  # acquisition block and view: one of each, or several that are refused
REFUSED = {"I": "illuminations", "R": "rotations"}
# A mosaic whose field is this many times larger than its tiles is mostly empty: several specimens in one scene.
EMPTIEST = 20
SPARSEST = 1000  # planes announced for each that is there, beyond which the indices are damaged


class Tile(NamedTuple):
    """One stored piece of a plane: its number in the mosaic, its byte in the file, its first row and column."""

    number: int
    position: int
    top: int = 0
    left: int = 0


@dataclass(frozen=True)
class Layout:
    """Where the planes lie.

    Args:
        start: first index of T, C and Z; axes that the file does not have are absent.
        count: of T, C and Z.
        shape: (Y, X) of a plane, of the whole field in a mosaic.
        fixed: axes that do not vary.
        tiles: of each plane (T, C, Z) that is there, lowest first; one where a plane is stored as one piece.
        mosaic: whether tiles have numbers.
        missing: planes that are not there, or not wholly.
        notes: what a person should know.
    """

    start: dict[str, int]
    count: dict[str, int]
    shape: tuple[int, int]
    fixed: dict[str, int]
    tiles: Mapping[Place, tuple[Tile, ...]]
    mosaic: bool = False
    missing: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()


def lay_out(path: Path, blocks: list[Block], phase: int | None = None) -> Layout:
    """The layout of one scene.

    Args:
        path: for messages.
        blocks: of that scene, at full resolution.
        phase: number of the phase along H; needed where there are several.

    Raises:
        ReadError: planes stored twice, of different sizes, or along axes that are not read.
        ChoiceNeeded: several phases and none chosen.
    """
    blocks = _of_phase(path, blocks, phase)
    names = sorted({axis for block in blocks for axis in block.place})
    along = {axis: sorted({b.place[axis] for b in blocks if axis in b.place}) for axis in names}
    _refuse_others(path, along)
    start = {axis: along[axis][0] for axis in "TCZ" if axis in along}
    count = {axis: along[axis][-1] - start[axis] + 1 if axis in start else 1 for axis in "TCZ"}
    planes = math.prod(count.values())
    if planes > MOST_PLANES or planes > SPARSEST * len(blocks):
        raise ReadError(
            f"{path}: announces {planes} planes and holds {len(blocks)} parts of planes; copy it again from the microscope"
        )
    fixed = {axis: found[0] for axis, found in along.items() if axis not in "TCZSM"}
    mosaic = len(along.get("M", [])) > 1
    there = Counter((_place(block, start), block.place.get("M", 0) if mosaic else 0) for block in blocks)
    if len(there) < len(blocks):
        raise ReadError(
            f"{path}: holds {len(blocks) - len(there)} planes twice; copy it again from the microscope"
        )
    missing = _missing(set(there), count, along["M"] if mosaic else [0])
    if mosaic:
        shape, tiles, notes = _mosaic(path, blocks, start)
        return Layout(start, count, shape, fixed, tiles, True, missing, notes)
    shapes = {block.shape for block in blocks}
    if len(shapes) > 1:
        raise ReadError(
            f"{path}: its planes are of different sizes ({sorted(shapes)[:3]}); export to OME-TIFF"
        )
    tiles = {_place(block, start): (Tile(0, block.position),) for block in blocks}
    return Layout(start, count, shapes.pop(), fixed, tiles, False, missing)


def _of_phase(path: Path, blocks: list[Block], phase: int | None) -> list[Block]:
    """The blocks of one phase."""
    numbers = sorted({block.place["H"] for block in blocks if "H" in block.place})
    if phase is None and len(numbers) < 2:
        return blocks
    if not numbers:
        raise ChoiceNeeded(f"{path}: has no phases; leave phase={phase} out")
    choices = tuple(map(str, numbers))
    if phase is None:
        raise ChoiceNeeded(
            f"{path}: choose one of its {len(numbers)} phases, such as phase={numbers[0]}; or process it in ZEN "
            "and export the result",
            choices,
        )
    if phase not in numbers:
        raise ChoiceNeeded(f"{path}: has no phase {phase}; choose one of {', '.join(choices)}", choices)
    return [block for block in blocks if block.place.get("H") == phase]


def _refuse_others(path: Path, along: Mapping[str, list[int]]) -> None:
    for axis, what in REFUSED.items():
        if len(along.get(axis, [])) > 1:
            raise ReadError(f"{path}: has {len(along[axis])} {what}; process it in ZEN and export the result")
    for axis in SQUEEZED:
        if len(along.get(axis, [])) > 1:
            raise ReadError(f"{path}: has {len(along[axis])} along {axis}; export one of them to OME-TIFF")


def _mosaic(
    path: Path, blocks: list[Block], start: dict[str, int]
) -> tuple[tuple[int, int], dict[Place, tuple[Tile, ...]], tuple[str, ...]]:
    """Shape of the smallest field that holds all tiles, and the tiles of each plane placed in it."""
    top, left = (min(block.corner[k] for block in blocks) for k in (0, 1))
    bottom, right = (max(block.corner[k] + block.shape[k] for block in blocks) for k in (0, 1))
    shape = bottom - top, right - left
    tiles: dict[Place, list[Tile]] = {}
    for block in blocks:
        tile = Tile(block.place["M"], block.position, block.corner[0] - top, block.corner[1] - left)
        tiles.setdefault(_place(block, start), []).append(tile)
    covered = sum(y * x for y, x in (block.shape for block in blocks)) / len(tiles)
    if shape[0] * shape[1] > EMPTIEST * covered:
        raise ReadError(
            f"{path}: its tiles lie far apart ({shape[0]} x {shape[1]} px around them); export each field alone"
        )
    number = max(len(found) for found in tiles.values())
    notes = (f"its {number} tiles are laid side by side; later ones lie on top, gaps are 0",)
    return shape, {at: tuple(sorted(found)) for at, found in tiles.items()}, notes


def _place(block: Block, start: Mapping[str, int]) -> Place:
    t, c, z = (block.place.get(axis, start.get(axis, 0)) - start.get(axis, 0) for axis in "TCZ")
    return t, c, z


def _missing(there: set[tuple[Place, int]], count: Mapping[str, int], tiles: list[int]) -> tuple[Place, ...]:
    """Planes of which a part is not there."""
    every = itertools.product(range(count["T"]), range(count["C"]), range(count["Z"]))
    return tuple(place for place in every if any((place, m) not in there for m in tiles))
