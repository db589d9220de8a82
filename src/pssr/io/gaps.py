"""Planes that a file lacks: an error that names them, or what the person chose to put there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.stack import Place, Reader, ReadPlane, Stack

FILLS = ("nan", "zero", "previous")


@dataclass(frozen=True)
class GapReader:
    """Reads what is there and fills what is not.

    Args:
        inner: reads the planes that are there.
        missing: each place that has no plane, with the place to read instead, or None.
        nothing: value of all pixels where nothing is read instead.
        shape: (Y, X).
        dtype: of all planes.
    """

    inner: Reader
    missing: dict[Place, Place | None]
    nothing: float
    shape: tuple[int, int]
    dtype: np.dtype

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads planes of the dtype that can hold the filling."""
        with self.inner.opened(path) as read:

            def filled(place: Place) -> np.ndarray:
                source = self.missing.get(place, place)
                if source is None:
                    return np.full(self.shape, self.nothing, self.dtype)
                return read(source).astype(self.dtype, copy=False)

            yield filled


def settle(stack: Stack, missing: Sequence[Place], fill: str, advice: str) -> Stack:
    """The stack with its gaps filled as chosen.

    Args:
        stack: as the file announces it.
        missing: places (T, C, Z) of planes that are not there.
        fill: "error", or what the person chose: "nan" (integers become floats), "zero", or "previous" (the nearest
            earlier frame of the same channel and depth, or the nearest later one at the beginning).
        advice: what else could be done, for the message.

    Raises:
        ReadError: planes are missing and nothing was chosen, or there is no frame to repeat.
        ChoiceNeeded: no such way to fill.
    """
    if fill not in ("error", *FILLS):
        raise ChoiceNeeded(f"missing: {fill!r} is not a way to fill; choose one of {', '.join(FILLS)}", FILLS)
    if not missing:
        return stack
    total = stack.sizes["T"] * stack.sizes["C"] * stack.sizes["Z"]
    named = "; ".join(f"T {t} C {c} Z {z}" for t, c, z in missing[:3]) + ("; ..." if len(missing) > 3 else "")
    what = f"{len(missing)} of {total} planes are missing ({named})"
    if fill == "error":
        raise ReadError(
            f"{stack.path}: {what}; {advice}, or say missing={', '.join(FILLS[:2])} or {FILLS[2]}"
        )
    absent = frozenset(missing)
    sources = {place: _nearest(stack, place, absent) if fill == "previous" else None for place in missing}
    dtype = _with_nan(stack.dtype) if fill == "nan" else stack.dtype
    word = {"nan": "not a number", "zero": "0", "previous": "their neighbours in time"}[fill]
    return replace(
        stack,
        dtype=dtype,
        reader=GapReader(
            stack.reader, sources, np.nan if fill == "nan" else 0, (stack.sizes["Y"], stack.sizes["X"]), dtype
        ),
        missing=tuple(missing),
        notes=(*stack.notes, f"{what} and filled with {word}"),
    )


def _nearest(stack: Stack, place: Place, absent: frozenset[Place]) -> Place:
    """The nearest earlier frame that is there, else the nearest later one."""
    t, c, z = place
    for other in (*range(t - 1, -1, -1), *range(t + 1, stack.sizes["T"])):
        if (other, c, z) not in absent:
            return other, c, z
    raise ReadError(f"{stack.path}: C {c} Z {z} has no plane at all; choose other channels, or missing=zero")


def _with_nan(dtype: np.dtype) -> np.dtype:
    """The smallest float type that holds every value of an integer type."""
    if dtype.kind == "f":
        return dtype
    return np.dtype("f4") if dtype.itemsize <= 2 else np.dtype("f8")
