"""What is restored of a stack: which channels, frames and field, on which scale."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np
from jaxtyping import Num

from pssr.config import Config
from pssr.data.bundles import windows
from pssr.data.intensity import Intensity, as_in_training, range_of, sampled
from pssr.errors import ConfigError, ReadError
from pssr.io.crop import Part, cropped, kept
from pssr.io.stack import Place, Stack
from pssr.predict.tiles import Box
from pssr.predict.window import reading_order

Nan = Literal["refuse", "zero"]


class Wanted(TypedDict, total=False):
    """What of a stack is restored; with the very pixels that the whole would have there.

    Args:
        channel: name or number, or `all` for each; needed where there are several.
        t: frames: a number, or a slice such as slice(10, 20); all of them if left out.
        z: depths, likewise.
        y: rows of the low-resolution field, as a slice.
        x: columns, likewise.
        nan: `refuse` a plane with pixels that are not numbers, or make them `zero`.
    """

    channel: str | int | None
    t: Part
    z: Part
    y: Part
    x: Part
    nan: Nan


@dataclass(frozen=True)
class Run:
    """Frames of one channel at one depth (or one time point), whose bundles share planes.

    Args:
        channel: position among the channels that are restored.
        other: position among the depths, or time points.
        targets: positions among the frames that are restored.
    """

    channel: int
    other: int
    targets: tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """Which planes are restored, from which, and on which scale.

    Args:
        stack: the whole low-resolution file.
        axis: along which bundles lie, "T" or "Z".
        channels: numbers of those restored.
        scales: of each of them.
        windows: frame numbers of each bundle, in order.
        others: numbers along the other axis.
        field: rows and columns.
        nan: what to do with pixels that are not numbers.
        only: a part of the work; None is all of it.
    """

    stack: Stack
    axis: str
    channels: tuple[int, ...]
    scales: tuple[Intensity, ...]
    windows: tuple[tuple[int, ...], ...]
    others: tuple[int, ...]
    field: Box
    nan: Nan = "refuse"
    only: tuple[Run, ...] | None = None

    @property
    def planes(self) -> int:
        """Restored in all."""
        return sum(len(run.targets) for run in self.runs())

    @property
    def like(self) -> Stack:
        """The part of the stack that is restored, before it is."""
        middles = [window[len(window) // 2] for window in self.windows]
        first, last = middles[0], middles[-1]
        step = middles[1] - first if len(middles) > 1 else 1
        along = {self.axis.lower(): slice(first, last + 1, step)}
        apart = self.others[1] - self.others[0] if len(self.others) > 1 else 1
        across = {self.other.lower(): slice(self.others[0], self.others[-1] + 1, apart)}
        rows, columns = self.field
        parts: Mapping[str, Part] = {**along, **across}
        return cropped(self.stack, channel=self.channels, t=parts["t"], z=parts["z"], y=rows, x=columns)

    @property
    def other(self) -> str:
        """The axis along which bundles do not lie."""
        return "Z" if self.axis == "T" else "T"

    def runs(self) -> Iterator[Run]:
        """Everything there is to do, in order."""
        if self.only is not None:
            yield from self.only
            return
        for c, k in itertools.product(range(len(self.channels)), range(len(self.others))):
            yield Run(c, k, tuple(range(len(self.windows))))

    def place(self, run: Run, target: int) -> dict[str, int]:
        """Where a restored plane belongs in the output, by axis."""
        return {"C": run.channel, self.other: run.other, self.axis: target}

    def read(self, run: Run) -> Iterator[Num[np.ndarray, "y x"]]:
        """The low-resolution planes that a run needs, in the order in which `bundled` takes them.

        Raises:
            ReadError: one cannot be read, or has pixels that are not numbers.
        """
        bundles = [self.windows[target] for target in run.targets]
        places = [self.source(run, t) for t in reading_order(bundles)]
        for place, plane in zip(places, self.stack.planes(places), strict=True):
            yield finite(plane, place, self.stack, self.nan)

    def source(self, run: Run, t: int) -> Place:
        """Where frame t of a run lies in the low-resolution stack."""
        at = {"C": self.channels[run.channel], self.other: self.others[run.other], self.axis: t}
        return at["T"], at["C"], at["Z"]


def finite(plane: np.ndarray, place: Place, stack: Stack, nan: Nan) -> Num[np.ndarray, "y x"]:
    """A plane all of whose pixels are numbers.

    Raises:
        ReadError: some are not, and are not to be made zero.
    """
    if plane.dtype.kind != "f":
        return plane
    wrong = ~np.isfinite(plane)
    count = int(wrong.sum())
    if not count:
        return plane
    if nan == "zero":
        return np.where(wrong, plane.dtype.type(0), plane)
    t, c, z = place
    raise ReadError(
        f"{stack.path}: T {t}, C {c}, Z {z} has {count} pixels that are not numbers; mend the plane, leave it out, or say "
        "nan='zero' (--nan zero)"
    )


def job_of(stack: Stack, config: Config, reference: tuple[float, float], wanted: Wanted) -> Job:
    """What is to be done, known before anything is.

    Args:
        stack: the low-resolution file.
        config: of the model.
        reference: of the model: where percentiles of its bad frames lay.
        wanted: what of the stack.

    Raises:
        ChoiceNeeded: several channels and none chosen, or nothing of the stack is left.
        ConfigError: the stack is too short for a model that drops ends, or no such way to treat pixels that are no numbers.
    """
    nan = wanted.get("nan", "refuse")
    if nan not in ("refuse", "zero"):
        raise ConfigError(
            f"nan: {nan!r} is no way to treat pixels that are not numbers; choose refuse or zero"
        )
    axis, other = config.axis, "Z" if config.axis == "T" else "T"
    parts: dict[str, Part] = {"T": wanted.get("t"), "Z": wanted.get("z")}
    every = windows(stack.sizes[axis], config.frames, config.ends)
    targets = kept(stack, axis, parts[axis])
    bundles = tuple(window for window in every if window[len(window) // 2] in targets)
    if targets.step < 0:
        raise ConfigError(f"{axis.lower()}: {parts[axis]} goes backwards; give the frames in their own order")
    if not bundles:
        raise ConfigError(
            f"{stack.path}: the model drops ends, which leaves none of {len(targets)} frames; "
            "use one trained with ends=reflect"
        )
    rows, columns = (kept(stack, a, wanted.get(a.lower())) for a in ("Y", "X"))  # type: ignore[arg-type]
    channels = chosen_channels(stack, wanted.get("channel"))
    return Job(
        stack=stack,
        axis=axis,
        channels=tuple(channels),
        scales=tuple(scale_of(stack, c, reference) for c in channels),
        windows=bundles,
        others=tuple(kept(stack, other, parts[other])),
        field=(slice(rows.start, rows.stop), slice(columns.start, columns.stop)),
        nan=nan,
    )


def chosen_channels(stack: Stack, channel: str | int | None) -> list[int]:
    """The numbers of the channels asked for; several and none chosen is a question, not a guess."""
    return list(range(stack.sizes["C"])) if channel == "all" else [stack.channel_number(channel)]


def scale_of(stack: Stack, channel: int, reference: tuple[float, float]) -> Intensity:
    """One scale for a whole channel, from a few planes spread over all times and depths."""
    every = list(itertools.product(range(stack.sizes["T"]), [channel], range(stack.sizes["Z"])))
    return as_in_training(range_of(stack.planes(every[k] for k in sampled(len(every)))), reference)
