"""The files that a restoration writes: the restored stack, and beside it how far answers lie apart."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

import numpy as np

from pssr.errors import ConfigError
from pssr.io.journal import is_complete
from pssr.io.sinks import FORMATS, chosen_format
from pssr.io.stack import Place, Stack
from pssr.io.write import StackWriter
from pssr.predict.unfinished import lacks_its_name

MEANING = (
    "standard deviation in counts of the restored stack: 'over turns' of the answers to the eight flips and turns of the frame, "
    "'over noise' of the answers to the frame with its noise drawn anew"
)
WITH_FLOATS = ("ome-tiff", "imagej", "ome-zarr")  # formats that can hold a spread


class Writing(TypedDict, total=False):
    """How the files are written.

    Args:
        format: of the target, as for `StackWriter`; None goes by the ending of its name.
        compression: of the target, as for `StackWriter`.
        dtype: of the restored counts; None takes that of the source. Counts stay counts: integers are rounded and saturate.
        compare: whether each channel is written twice: the low-resolution one enlarged, and the restored one.
        uncertainty: whether the spread of answers is written as a second file, `<name>_uncertainty`.
        overwrite: whether existing files may be replaced.
    """

    format: str | None
    compression: str | None
    dtype: str | None
    compare: bool
    uncertainty: bool
    overwrite: bool


def dtype_of(stack: Stack, words: Writing) -> np.dtype:
    """Of the restored counts.

    Raises:
        ConfigError: no such type of pixels.
    """
    asked = words.get("dtype")
    if asked is None:
        return stack.dtype
    try:
        found = np.dtype(asked)
    except TypeError:
        found = np.dtype(object)
    if found.kind not in "uif":
        raise ConfigError(f"dtype: {asked!r} is no type of pixels; choose uint8, uint16 or float32")
    return found


def beside(target: Path) -> Path:
    """Where the spread of answers is written: `a_uncertainty.ome.tif` beside `a.ome.tif`."""
    name = target.name
    ending = next(
        (e for e in (".ome.tif", ".ome.tiff", ".ome.zarr") if name.lower().endswith(e)), target.suffix
    )
    stem = name[: len(name) - len(ending)]
    return target.with_name(f"{stem}_uncertainty{name[len(stem) :]}")


@dataclass(frozen=True)
class Answer:
    """Planes that belong together.

    Args:
        restored: counts.
        low: the low-resolution plane enlarged, where the two are compared.
        spread: over turns and over noise, in counts; empty where not asked for.
    """

    restored: np.ndarray
    low: np.ndarray | None = None
    spread: tuple[np.ndarray, ...] = ()


class Outputs:
    """Writers of all files of one restoration: a plane is done when it is in each of them.

    Args:
        target: the restored stack.
        like: the part of the low-resolution stack that is restored.
        scale: restored pixels for each of its pixels.
        words: how they are written.
        provenance: what made them.
        settles: what else decides the pixels and is no provenance; an unfinished file with others is begun anew.

    Raises:
        WriteError: a file exists or cannot be written.
        ConfigError: no such format, compression or dtype.
    """

    def __init__(
        self,
        target: Path,
        like: Stack,
        scale: int,
        words: Writing,
        provenance: Mapping[str, Any],
        settles: str = "",
    ) -> None:
        self._open = ExitStack()
        self._compare = words.get("compare", False)
        names = list(like.channels)
        colours = [*like.colours, *[None] * (len(names) - len(like.colours))]
        how: dict[str, Any] = {
            "like": like, "scale": scale, "format": words.get("format"), "compression": words.get("compression"),
            "overwrite": words.get("overwrite", False), "resume": True,
            "settles": f"{settles} {words.get('uncertainty', False)}",
        }  # fmt: skip
        twice = 2 if self._compare else 1
        both = [f"{name} {word}" for name in names for word in ("low", "restored")]
        self._restored = StackWriter(
            target, sizes={"C": twice * len(names)}, channels=both if self._compare else names,
            colours=[colour for colour in colours for _ in range(twice)], dtype=dtype_of(like, words),
            provenance=provenance, **how,
        )  # fmt: skip
        self._writers, self._named = [self._restored], [target]
        if words.get("uncertainty", False):
            self._named.append(beside(target))
            if chosen_format(target, words.get("format")) not in WITH_FLOATS:
                floats = ", ".join(FORMATS[name].name for name in WITH_FLOATS)
                raise ConfigError(f"uncertainty: {target.name} cannot hold it; choose one of {floats}")
            if _has_its_name(beside(target), self._restored):
                return
            self._writers.append(StackWriter(
                beside(target), sizes={"C": 2 * len(names)}, dtype=np.float32,
                channels=[f"{name} over {word}" for name in names for word in ("turns", "noise")],
                provenance={**provenance, "meaning": MEANING, "unit": "counts"}, **how,
            ))  # fmt: skip

    @property
    def writers(self) -> list[StackWriter]:
        """One for each file."""
        return list(self._writers)

    @property
    def paths(self) -> list[Path]:
        """Names of the files."""
        return list(self._named)

    def __enter__(self) -> "Outputs":
        with ExitStack() as opened:
            for writer in self._writers:
                opened.enter_context(writer)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def has(self, place: Mapping[str, int]) -> bool:
        """Whether a plane is in all files already."""
        t, z = place["T"], place["Z"]
        return all(
            (t, c, z) in writer.done for writer in self._writers for c in self._channels(writer, place["C"])
        )

    def write(self, place: Mapping[str, int], answer: Answer) -> None:
        """Write one restored plane, and what belongs to it.

        Args:
            place: T, C and Z, where C counts the channels of the source that are restored.
            answer: its planes.
        """
        for number, (t, c, z), plane in self.placed(place, answer):
            self._writers[number].write(plane, T=t, C=c, Z=z)

    def placed(self, place: Mapping[str, int], answer: Answer) -> Iterator[tuple[int, Place, np.ndarray]]:
        """Number of the file, place in it and pixels of each plane of an answer."""
        restored = [answer.restored] if answer.low is None else [answer.low, answer.restored]
        for number, group in enumerate((restored, answer.spread)[: len(self._writers)]):
            channels = self._channels(self._writers[number], place["C"])
            for c, plane in zip(channels, group, strict=True):
                yield number, (place["T"], c, place["Z"]), plane

    def _channels(self, writer: StackWriter, c: int) -> range:
        each = 2 if self._compare or writer is not self._restored else 1
        return range(each * c, each * c + each)


def _has_its_name(spread: Path, restored: StackWriter) -> bool:
    """Whether the process that completed both files ended when the spread had been renamed, and the restored one had not."""
    if not spread.exists() or spread.with_name(spread.name + ".part").exists():
        return False
    whole = is_complete(restored.path, restored.fingerprint, restored.content.planes)
    return whole or lacks_its_name(restored)
