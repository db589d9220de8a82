"""From what a person asked for to restored planes: into memory, or straight to disk."""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_pssr.controls import file_name
from napari_pssr.layers import axes_of, named, origin_of, stack_of_layer
from napari_pssr.result import SPREADS, Grid, MemoryPlanes, Restored, grid_of, planes_on_disk
from pssr import ConfigError, Predictor, ReadError, Stack, __version__

PART = ".part"  # what an unfinished file's name ends in


@dataclass(frozen=True, eq=False)
class Order:
    """A restoration, settled before its first plane.

    Args:
        predictor: the model.
        model: file or run folder that it came from.
        layer: low-resolution.
        stack: that the layer shows.
        channels: numbers of those restored.
        grid: of the restored planes.
        uncertainty: whether the spread of answers is wanted.
        file: to write; None restores into memory.
        planes: in memory, some of which may be done; None for a file.
    """

    predictor: Predictor
    model: Path
    layer: Image
    stack: Stack
    channels: tuple[int, ...]
    grid: Grid
    uncertainty: bool
    file: Path | None
    planes: MemoryPlanes | None

    @property
    def shows_parts(self) -> bool:
        """Whether planes can be looked at before all of them are there."""
        return self.file is None or self.file.name.endswith(".zarr")

    @property
    def names(self) -> list[str]:
        """Of the layers, one for each channel."""
        if len(self.channels) == 1:
            return [f"{self.layer.name} restored"]
        return [f"{named(self.stack)} {self.stack.channels[c]} restored" for c in self.channels]

    def number_of(self, layer: Any) -> int | None:
        """Which of the channels that are restored a layer shows; None where it shows none."""
        if len(self.channels) == 1:
            return 0 if layer is self.layer else None
        found = origin_of(layer) if isinstance(layer, Image) else None
        if found is None or found.stack is not self.stack or found.channel not in self.channels:
            return None
        return self.channels.index(found.channel)

    def steps(self) -> Generator[Any, None, None]:
        """Restore plane by plane; the same events as `Predictor.steps`."""
        channel = "all" if len(self.channels) > 1 else self.channels[0]
        if self.file is not None:
            steps = self.predictor.steps(self.stack, self.file, channel=channel, uncertainty=self.uncertainty)
        else:
            assert self.planes is not None
            steps = self.predictor.restore(
                self.stack, self.planes, channel=channel, uncertainty=self.uncertainty
            )
        with closing(steps):
            yield from steps

    def blank(self) -> list[Any]:
        """What the layers show before the first plane is there."""
        if self.planes is not None:
            return self.arrays()
        shape = tuple(self.grid.sizes[axis] for axis in self.grid.axes)
        return [np.broadcast_to(self.grid.dtype.type(0), shape) for _ in self.channels]

    def arrays(self) -> list[Any]:
        """What the layers show, one for each channel."""
        if self.file is None:
            assert self.planes is not None
            return [self.grid.of_layer(channel) for channel in self.planes.restored]
        try:
            found = planes_on_disk(self.file.with_name(self.file.name + PART), self.grid)
        except ReadError:
            # It has got its name, perhaps before its first plane was heard of.
            found = planes_on_disk(self.file, self.grid)
        return [self.grid.of_layer(channel) for channel in found]

    def spreads(self, number: int, beside: Path | None) -> dict[str, Any]:
        """The spread of answers of one of the layers, as arrays by name; empty where it was not asked for.

        Args:
            number: of the layer.
            beside: the file that holds it; None in memory.
        """
        if self.planes is not None:
            return {name: self.grid.of_layer(kept[number]) for name, kept in self.planes.spreads.items()}
        if beside is None:
            return {}
        grid = replace(
            self.grid, dtype=np.dtype(np.float32), sizes={**self.grid.sizes, "C": 2 * len(self.channels)}
        )
        found = planes_on_disk(beside, grid)[2 * number : 2 * number + 2]
        return {name: grid.of_layer(channel) for name, channel in zip(SPREADS, found, strict=True)}

    def made(self, number: int, warnings: Sequence[str], spreads: Mapping[str, Any]) -> Restored:
        """What is said about one of the layers.

        Args:
            number: of the layer.
            warnings: in words.
            spreads: of answers.
        """
        model, config = self.predictor.model, self.predictor.model.config
        about = {"program": f"pssr-toolkit {__version__}", "model": self.predictor.name, "model_sha256": model.sha256,
                 "network": str(config.network), "scale": config.scale, "frames": config.frames, "axis": config.axis,
                 "turns": self.predictor.turns, "precision": self.predictor.precision,
                 "device": str(self.predictor.device), "source": str(self.stack.path),
                 "channel": self.stack.channels[self.channels[number]]}  # fmt: skip
        return Restored(
            self.layer.name, self.model, about, config.scale, tuple(warnings), spreads, self.planes, self.file
        )


def order_of(
    predictor: Predictor,
    model: Path,
    layer: Image,
    *,
    along: str,
    every_channel: bool,
    uncertainty: bool,
    file: Path | None,
    memory_bytes: float,
    before: Restored | None,
) -> Order:
    """Settle what is restored, and where it goes.

    Args:
        predictor: the model.
        model: file or run folder that it came from.
        layer: low-resolution.
        along: what the slider of the layer is, "T" or "Z".
        every_channel: of the layer's file, rather than the layer's own.
        uncertainty: whether the spread of answers is wanted.
        file: to write; None restores into memory, or beside the layer's file where that is too small.
        memory_bytes: that a restored stack may take there.
        before: what a layer of the same name says of itself; if it was cancelled it is gone on with.

    Raises:
        PssrError: the layer is no stack, or too short.
    """
    stack, channel = stack_of_layer(layer, along)
    channels = tuple(range(stack.sizes["C"])) if every_channel else (channel,)
    axes = axes_of(layer, along)
    grid = grid_of(predictor, stack, len(channels), axes)
    if min(grid.sizes.values()) < 1:
        raise ConfigError(
            f"{layer.name}: the model drops ends, which leaves no frame; use one trained with ends=reflect"
        )
    needed = grid.bytes * (1 + (8 / grid.dtype.itemsize if uncertainty else 0))
    if file is None and needed > memory_bytes:
        file = file_for(layer, stack)
    planes = None
    if file is None:
        planes = _gone_on_with(before, predictor, grid, uncertainty) or MemoryPlanes(grid, spread=uncertainty)
    return Order(predictor, model, layer, stack, channels, grid, uncertainty, file, planes)


def file_for(layer: Image, stack: Stack) -> Path:
    """Where a restored stack goes that is too large for memory: beside its file, or home.

    Args:
        layer: low-resolution.
        stack: that it shows.
    """
    name = file_name(f"{layer.name} restored.ome.zarr")
    folder = (
        stack.path.parent if stack.path.exists() and os.access(stack.path.parent, os.W_OK) else Path.home()
    )
    return folder / name


def _gone_on_with(
    before: Restored | None, predictor: Predictor, grid: Grid, uncertainty: bool
) -> MemoryPlanes | None:
    """The planes of a restoration that was cancelled, if it was the same."""
    if before is None or not isinstance(before.planes, MemoryPlanes):
        return None
    shape = tuple(grid.sizes[axis] for axis in "CTZYX")
    same = (
        before.provenance["model_sha256"] == predictor.model.sha256
        and before.provenance["turns"] == predictor.turns
        and before.planes.restored.shape == shape
        and bool(before.planes.spreads) == uncertainty
    )
    unfinished = len(before.planes.done) < shape[0] * shape[1] * shape[2]
    return before.planes if same and unfinished else None
