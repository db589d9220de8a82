"""What the pages of a TIFF mean: by ImageJ's description, or by nothing but their order."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.stack import Place
from pssr.io.units import SECONDS, UM, known, positive


@dataclass(frozen=True)
class Meaning:
    """Which page is which plane, and the units.

    Args:
        format: TIFF, ImageJ TIFF or OME-TIFF.
        count: of T, C and Z.
        pages: number of the page of each plane in (T, C, Z) order, Z fastest.
        channels: names, too few where unknown.
        spacing_um: as in `Stack`.
        interval_s: as in `Stack`.
        scene: as in `Stack`.
        notes: as in `Stack`.
        plane_shape: (Y, X) announced; None where only the pages say it.
        by_number: whether pages are numbered as they lie in the file, reduced copies counted; else without those.
        homes: name of the file of each plane, "" for this one; empty where all are in this one.
        identities: what other files say they are, by name, as far as it is known.
        colours: of the channels, as in `Stack`; too few where unknown.
        said: type of the pixels by the metadata; empty where they do not say.
        missing: places (T, C, Z) of planes that are announced and nowhere; their page is -1.
        advice: what could be done about those.
        origin_um: as in `Stack`.
    """

    format: str
    count: Mapping[str, int]
    pages: tuple[int, ...]
    channels: tuple[str | None, ...] = ()
    spacing_um: Mapping[str, float] = field(default_factory=dict)
    interval_s: float | None = None
    scene: str | None = None
    notes: tuple[str, ...] = ()
    plane_shape: tuple[int, int] | None = None
    by_number: bool = False
    homes: tuple[str, ...] = ()
    identities: Mapping[str, str] = field(default_factory=dict)
    colours: tuple[str | None, ...] = ()
    said: str = ""
    missing: tuple[Place, ...] = ()
    advice: str = "copy it again"
    origin_um: Mapping[str, float] = field(default_factory=dict)


def of_imagej(
    path: Path, said: Mapping[str, Any], total: int, resolution: tuple[float, float] | None, axes: str | None
) -> Meaning:
    """The meaning of a TIFF written by ImageJ or Fiji.

    Args:
        path: of the file, for messages.
        said: its description as names and values.
        total: planes in the file.
        resolution: pixels per unit along X and Y.
        axes: what a person says about the planes instead.

    Raises:
        ReadError: it announces another number of planes than the file holds.
        ChoiceNeeded: it does not say what the planes are.
    """
    announced = int(said.get("images", 1))
    named = {"T": "frames", "C": "channels", "Z": "slices"}
    count = {axis: max(int(said.get(name, 1)), 1) for axis, name in named.items()}
    if announced != total or (math.prod(count.values()) not in (1, total)):
        raise ReadError(
            f"{path}: announces {max(announced, math.prod(count.values()))} planes and holds {total}; copy it again"
        )
    order = [letter.upper() for letter in reversed(str(said.get("order", "czt"))) if letter.upper() in "TCZ"]
    notes: tuple[str, ...] = ()
    if math.prod(count.values()) != total:
        count, notes = {"T": total, "C": 1, "Z": 1}, (f"its {total} planes are taken as time points",)
    if axes is not None:
        order, count = renamed(path, axes, [(axis, count[axis]) for axis in order])
        notes = ()
    elif count["Z"] > 1 and count["T"] == 1:
        notes = (f"its {count['Z']} planes are slices in depth; if they are time points, say axes=TYX",)
    unit = str(said.get("unit", ""))
    x, y = resolution or (0.0, 0.0)
    sizes = {"X": positive(1 / x if x else None, UM, unit)}
    sizes["Y"] = positive(1 / y if y else None, UM, str(said.get("yunit") or unit))
    depth = positive(said.get("spacing"), UM, str(said.get("zunit") or unit))
    return Meaning(
        format="ImageJ TIFF",
        count=count,
        pages=in_order(order, count),
        channels=_labels(said, count["C"]),
        spacing_um=known({**sizes, "Z": depth if count["Z"] > 1 else None}),
        interval_s=positive(said.get("finterval"), SECONDS, str(said.get("tunit") or "s")),
        notes=notes,
        colours=_lut_colours(said),
    )


def as_named(path: Path, meaning: Meaning, axes: str) -> Meaning:
    """The same planes along the axes that a person names instead of the file's.

    Args:
        path: of the file, for messages.
        meaning: by the file.
        axes: such as ZYX, in the order T, C, Z of the file's own axes.

    Raises:
        ChoiceNeeded: as for `renamed`.
    """
    order, count = renamed(path, axes, [(axis, meaning.count[axis]) for axis in "TCZ"])
    moved = in_order(order, count)
    before, after = (list(_places(lengths)) for lengths in (meaning.count, count))
    channels = count["C"] == meaning.count["C"]
    return replace(
        meaning,
        count=count,
        pages=tuple(meaning.pages[k] for k in moved),
        homes=tuple(meaning.homes[k] for k in moved) if meaning.homes else (),
        missing=tuple(after[moved.index(before.index(place))] for place in meaning.missing),
        channels=meaning.channels if channels else (),
        colours=meaning.colours if channels else (),
        spacing_um={a: um for a, um in meaning.spacing_um.items() if a != "Z" or count["Z"] > 1},
        interval_s=meaning.interval_s if count["T"] > 1 else None,
    )


def _places(count: Mapping[str, int]) -> Iterator[Place]:
    return itertools.product(range(count["T"]), range(count["C"]), range(count["Z"]))


def _labels(said: Mapping[str, Any], channels: int) -> tuple[str | None, ...]:
    """Names of channels from the labels of planes, where these name nothing else: they repeat with the channels."""
    labels = said.get("Labels")
    if isinstance(labels, str) and "pssr-toolkit" in str(said.get("Info")):
        # Of other programs, the label of a single plane is often the name of its file.
        labels = [labels]
    if not isinstance(labels, list) or len(set(labels[:channels])) < channels or "" in labels[:channels]:
        return ()
    repeated = all(label == labels[k % channels] for k, label in enumerate(labels))
    return tuple(labels[:channels]) if repeated else ()


def _lut_colours(said: Mapping[str, Any]) -> tuple[str | None, ...]:
    """The last colour of each channel's look-up table."""
    found = said.get("LUTs", ())
    # tifffile gives a single one without a list around it.
    tables = [np.asarray(table) for table in ([found] if np.shape(found) == (3, 256) else found)]
    return tuple(
        "#{:02X}{:02X}{:02X}".format(*(int(row[-1]) for row in table)) if table.shape == (3, 256) else None
        for table in tables
    )


def of_pages(path: Path, description: str, total: int, axes: str | None) -> Meaning:
    """The meaning of a plain TIFF: its pages follow each other in time unless somebody says otherwise.

    Args:
        path: of the file, for messages.
        description: of its first page; tifffile writes shape and axes there.
        total: pages in the file.
        axes: what a person says about the pages.

    Raises:
        ChoiceNeeded: the pages vary along several axes of which none says what they are.
        ReadError: it announces more planes than the file has pages.
    """
    shape, said = shaped(description)
    if math.prod(shape) > total:
        raise ReadError(f"{path}: announces {math.prod(shape)} planes and holds {total} pages; copy it again")
    if math.prod(shape) != total:
        shape, said = ((total,) if total > 1 else ()), None
    if axes is not None:
        kept = [n for n in shape if n > 1]
        order, count = renamed(path, axes, [("?", n) for n in kept])
        return Meaning("TIFF", count, in_order(order, count))
    if said is not None and set(said) <= set("TCZ") and len(set(said)) == len(said) == len(shape):
        count = {"T": 1, "C": 1, "Z": 1} | dict(zip(said, shape, strict=True))
        return Meaning("TIFF", count, in_order(list(said), count))
    if sum(n > 1 for n in shape) > 1:
        ways = tuple(f"{''.join(way)}YX" for way in itertools.permutations("TCZ", sum(n > 1 for n in shape)))
        sizes = " x ".join(map(str, shape))
        raise ChoiceNeeded(
            f"{path}: its {total} pages are {sizes} and nothing says of what; choose axes={', '.join(ways[:-1])} "
            f"or {ways[-1]}",
            ways,
        )
    notes = (
        (f"its {total} pages are taken as time points; say axes=ZYX if they are depths",) if total > 1 else ()
    )
    return Meaning("TIFF", {"T": total, "C": 1, "Z": 1}, tuple(range(total)), notes=notes)


def shaped(description: str) -> tuple[tuple[int, ...], str | None]:
    """Shape and axes over the pages, without Y and X.

    Args:
        description: of the first page; tifffile writes JSON there. Of any other one, nothing is known.
    """
    try:
        said = json.loads(description)
        shape, axes = tuple(map(int, said["shape"])), said.get("axes")
    except (ValueError, TypeError, KeyError):
        return (), None
    named = isinstance(axes, str) and axes.endswith("YX") and len(axes) == len(shape)
    return shape[:-2], axes[:-2] if named else None


def renamed(path: Path, axes: str, varying: list[tuple[str, int]]) -> tuple[list[str], dict[str, int]]:
    """A person's names for the axes along which the planes vary, slowest first.

    Args:
        path: of the file, for messages.
        axes: such as TZYX.
        varying: the file's own names and lengths, slowest first.

    Raises:
        ChoiceNeeded: other axes than T, C and Z, or another number of them.
    """
    named, lengths = axes.upper().removesuffix("YX"), [n for _, n in varying if n > 1]
    if len(set(named)) != len(named) or not set(named) <= set("TCZ") or not axes.upper().endswith("YX"):
        raise ChoiceNeeded(f"axes: {axes!r} is not a choice of T, C, Z and then YX; say it such as TZYX")
    if len(named) != len(lengths) and lengths:
        raise ChoiceNeeded(
            f"{path}: axes {axes} name {len(named)} axes beside YX; its planes vary along {len(lengths)}"
        )
    count = {"T": 1, "C": 1, "Z": 1} | dict(zip(named, lengths, strict=False))
    return list(named), count


def in_order(order: list[str], count: Mapping[str, int]) -> tuple[int, ...]:
    """Page of each plane in (T, C, Z) order.

    Args:
        order: of the axes along which pages lie, slowest first.
        count: of T, C and Z.
    """
    full = [*(axis for axis in "TCZ" if axis not in order), *order]
    strides, stride = {}, 1
    for axis in reversed(full):
        strides[axis], stride = stride, stride * count[axis]
    every = itertools.product(*(range(count[axis]) for axis in "TCZ"))
    return tuple(t * strides["T"] + c * strides["C"] + z * strides["Z"] for t, c, z in every)
