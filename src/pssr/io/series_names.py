"""What the names of single frames say: which of the files is which plane."""

import glob
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.stack import Place

LETTERS = {
    "t": "T",
    "time": "T",
    "frame": "T",
    "c": "C",
    "ch": "C",
    "channel": "C",
    "w": "C",
    "z": "Z",
    "slice": "Z",
}
MOST_SHOWN = 5
Numbers: TypeAlias = tuple[int, ...]


def places_in(paths: Sequence[Path], axis: str, *, fewest: int = 2) -> list[Place]:
    """The place of each file by the numbers in its name.

    Args:
        paths: of the files, in natural order.
        axis: "T" or "Z", along which files follow each other whose names do not say more.
        fewest: numbers that vary, from which on names are believed rather than the axis.

    Raises:
        ChoiceNeeded: several numbers vary, none of them counts the files, and no letters before them say of what;
            or the same numbers stand under several words.
        ReadError: they name axes, and some of the files are not there; or two files have the same numbers.
    """
    folder, in_a_row = paths[0].parent, [(k, 0, 0) if axis == "T" else (0, 0, k) for k in range(len(paths))]
    kinds = _kinds(paths)
    if len(kinds) > 1:
        _check_kinds(folder, kinds)
        return in_a_row
    ((words, numbers),) = kinds.items()
    columns = [k for k in range(len(numbers[0])) if len({row[k] for row in numbers}) > 1]
    levels = [sorted({row[k] for row in numbers}) for k in columns]
    sizes = [len(level) for level in levels]
    letters = [_axis(words[k]) for k in columns]
    named = None not in letters and len(set(letters)) == len(letters)
    # A number that is another one in every file counts them: those beside it only go along, as a time does.
    counted = max(sizes, default=len(paths)) == len(paths)
    if len(columns) < fewest or (counted and not named):
        return in_a_row
    if not named:
        shown = " x ".join(map(str, sizes))
        raise ChoiceNeeded(
            f"{folder}: the names of its files count in {len(columns)} numbers ({shown}), as {paths[0].name} does; "
            "take those of one channel with a pattern such as 'folder/*_c0.tif', or name them such as t000_c0.tif"
        )
    if math.prod(sizes) != len(paths):
        shown = " x ".join(f"{size} along {axis}" for axis, size in zip(letters, sizes, strict=True))
        raise ReadError(f"{folder}: holds {len(paths)} files of {shown}; put the missing ones there too")
    placed = []
    for row in numbers:
        at = {a: level.index(row[k]) for a, k, level in zip(letters, columns, levels, strict=True)}
        placed.append((at.get("T", 0), at.get("C", 0), at.get("Z", 0)))
    return placed


def _kinds(paths: Sequence[Path]) -> dict[tuple[str, ...], list[Numbers]]:
    """The numbers in the names of files, for each way of words around them.

    Raises:
        ReadError: two names differ in zeros before a number only: which of them is meant cannot be told.
    """
    seen: dict[tuple[tuple[str, ...], Numbers], Path] = {}
    kinds: dict[tuple[str, ...], list[Numbers]] = {}
    for path in paths:
        parts = re.split(r"(\d+)", path.name)
        words, numbers = tuple(parts[::2]), tuple(map(int, parts[1::2]))
        other = seen.setdefault((words, numbers), path)
        if other is not path:
            raise ReadError(
                f"{path.parent}: {other.name} and {path.name} have the same numbers; keep one of them"
            )
        kinds.setdefault(words, []).append(numbers)
    return kinds


def _check_kinds(folder: Path, kinds: Mapping[tuple[str, ...], Sequence[Numbers]]) -> None:
    """Ask where the same numbers stand under several words: these are channels, positions or masks, and no frames.

    Raises:
        ChoiceNeeded: says which words, and how to take the files of one.
    """
    every = [row for numbers in kinds.values() for row in numbers]
    columns = min(map(len, every))
    if columns == max(map(len, every)) and any(
        len({row[k] for row in every}) == len(every) for k in range(columns)
    ):
        return  # One of the numbers counts all files, whatever the words are.
    if not (_repeat(kinds.values()) or _repeat([_running(numbers) for numbers in kinds.values()])):
        return
    patterns = ["*".join(map(glob.escape, words)) for words in kinds]
    shown = patterns[:MOST_SHOWN]
    alone = [p for p in shown if sum(fnmatchcase("0".join(words), p) for words in kinds) == 1]
    raise ChoiceNeeded(
        f"{folder}: the names of its files have the same numbers under {len(kinds)} words "
        f"({', '.join(shown)}{', ...' * (len(patterns) > MOST_SHOWN)}); "
        f"take those of one with a pattern such as '{folder.name}/{(alone or shown)[0]}', "
        "or put the others elsewhere"
    )


def _running(numbers: Sequence[Numbers]) -> list[Numbers]:
    """Without those that are the same in all files of a word, such as the 488 of GFP488_t1."""
    varying = [k for k in range(len(numbers[0])) if len({row[k] for row in numbers}) > 1]
    return [tuple(row[k] for k in varying) for row in numbers]


def _repeat(kinds: Iterable[Sequence[Numbers]]) -> bool:
    """Whether some numbers are there in several kinds; where there are none, nothing is."""
    found = [row for kind in kinds for row in set(kind) if row]
    return len(set(found)) < len(found)


def _axis(before: str) -> str | None:
    """The axis that the letters before a number name, such as `_C`, `-t` or `_ch`."""
    word = re.split(r"[^a-z]", before.lower())[-1]
    return LETTERS.get(word)
