"""What a file says about itself, whatever its format."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Num

AXES = ("T", "C", "Z", "Y", "X")


@runtime_checkable
class Reader(Protocol):
    """Reads one plane; a value that holds paths and offsets, never an open file."""

    def read(self, path: Path, *, t: int, c: int, z: int) -> Num[np.ndarray, "y x"]:
        """The plane at one time point, channel and depth, each counted from 0."""
        ...


@dataclass(frozen=True)
class Header:
    """All about a stack but its pixels.

    Args:
        path: of the file.
        format: CZI, TIFF, ImageJ TIFF, OME-TIFF.
        sizes: of T, C, Z, Y, X, always all five and in this order.
        dtype: of the pixels, in native byte order.
        channels: one name for each channel, all different.
        spacing_um: distance between pixels along X and Y and between planes along Z; unknown ones are absent.
        interval_s: between frames; None where unknown.
        reader: how to find a plane.
        scene: the one chosen, or None where there is only one.
        notes: what a person should know about how the file was understood.
    """

    path: Path
    format: str
    sizes: Mapping[str, int]
    dtype: np.dtype
    channels: tuple[str, ...]
    spacing_um: Mapping[str, float]
    interval_s: float | None
    reader: Reader
    scene: str | None = None
    notes: tuple[str, ...] = ()


def channel_names(given: list[str | None], count: int) -> tuple[str, ...]:
    """One different name for each channel: as given, `channel N` where missing, `name (N)` where repeated.

    Args:
        given: names as the file has them, too few or too many allowed.
        count: of channels.
    """
    padded = [*given[:count], *[None] * (count - len(given))]
    named = [(name or "").strip() or f"channel {k}" for k, name in enumerate(padded)]
    folded = [name.casefold() for name in named]
    return tuple(
        name if folded.count(name.casefold()) == 1 else f"{name} ({k})" for k, name in enumerate(named)
    )
