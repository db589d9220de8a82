"""A part of a stack: some channels, times, depths, and a field."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from pssr.errors import ChoiceNeeded
from pssr.io.stack import Place, Reader, ReadPlane, Stack

Part: TypeAlias = int | slice | None
Channels: TypeAlias = str | int | Sequence[str | int] | None


@dataclass(frozen=True)
class CropReader:
    """Reads a part of another reader's planes.

    Args:
        inner: reads whole planes.
        places: numbers of the time points, channels and depths that are kept.
        rows: first row kept, and the one after the last.
        columns: likewise.
    """

    inner: Reader
    places: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    rows: tuple[int, int]
    columns: tuple[int, int]

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads the field of planes that are kept."""
        with self.inner.opened(path) as read:

            def part(place: Place) -> np.ndarray:
                t, c, z = (kept[k] for kept, k in zip(self.places, place, strict=True))
                return np.ascontiguousarray(read((t, c, z))[slice(*self.rows), slice(*self.columns)])

            yield part


def cropped(
    stack: Stack, *, channel: Channels = None, t: Part = None, z: Part = None, y: Part = None, x: Part = None
) -> Stack:
    """A part of a stack, as a stack: all five axes stay, planes are read when asked for.

    Args:
        stack: the whole.
        channel: name or number, or several of them in the order wanted; None keeps all.
        t: a number, or a slice such as slice(10, 20) or slice(None, None, 2); None keeps all.
        z: likewise.
        y: a slice of neighbouring rows.
        x: a slice of neighbouring columns.

    Raises:
        ChoiceNeeded: nothing of the stack is left, or a field with gaps is asked for.
    """
    names = [channel] if isinstance(channel, str | int) else channel
    channels = range(stack.sizes["C"]) if names is None else [stack.channel_number(name) for name in names]
    parts = {"T": t, "Z": z, "Y": y, "X": x}
    left = {axis: kept(stack, axis, part) for axis, part in parts.items()}
    for axis in "YX":
        if left[axis].step != 1:
            raise ChoiceNeeded(f"{stack.path}: {axis.lower()} leaves pixels out; choose a field without gaps")
    if not channels:
        raise ChoiceNeeded(f"{stack.path}: no channel is chosen; choose among {', '.join(stack.channels)}")
    places = tuple(left["T"]), tuple(channels), tuple(left["Z"])
    rows, columns = ((left[axis].start, left[axis].stop) for axis in "YX")
    moved = {axis: um * left[axis].start for axis, um in stack.spacing_um.items() if left[axis].start}
    depth = {"Z": stack.spacing_um["Z"] * abs(left["Z"].step)} if "Z" in stack.spacing_um else {}
    numbers = [{number: k for k, number in enumerate(axis)} for axis in places]
    return replace(
        stack,
        sizes={
            **stack.sizes, "C": len(channels), **{axis: len(part) for axis, part in left.items()}
        },
        channels=tuple(stack.channels[c] for c in channels),
        colours=tuple(stack.colours[c] for c in channels) if stack.colours else (),
        spacing_um={**stack.spacing_um, **depth},
        origin_um={**stack.origin_um, **{axis: um + stack.origin_um.get(axis, 0.0) for axis, um in moved.items()}},
        interval_s=stack.interval_s and stack.interval_s * abs(left["T"].step),
        reader=CropReader(stack.reader, places, rows, columns),
        missing=tuple(
            (numbers[0][m[0]], numbers[1][m[1]], numbers[2][m[2]])
            for m in stack.missing
            if all(k in found for k, found in zip(m, numbers, strict=True))
        ),
    )  # fmt: skip


def kept(stack: Stack, axis: str, part: Part) -> range:
    """The numbers along one axis that are kept of a stack.

    Args:
        stack: the whole.
        axis: T, Z, Y or X.
        part: a number or a slice; None keeps all.

    Raises:
        ChoiceNeeded: nothing is left.
    """
    every = range(stack.sizes[axis])
    if isinstance(part, slice):
        left = every[part]
    elif part is None:
        left = every
    else:
        left = every[part : part + 1 or None] if -len(every) <= part < len(every) else range(0)
    if not left:
        raise ChoiceNeeded(f"{stack.path}: {axis.lower()}={part} leaves nothing of 0 to {len(every) - 1}")
    return left
