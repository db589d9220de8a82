"""What the pages of a TIFF mean: OME-XML, ImageJ's description, or nothing but their order."""

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pssr.errors import ChoiceNeeded, ReadError

UM = {"um": 1, "µm": 1, "μm": 1, "micron": 1, "microns": 1, "micrometer": 1, "nm": 1e-3, "nanometer": 1e-3}
UM |= {"mm": 1e3, "cm": 1e4, "m": 1e6, "Å": 1e-4, "pm": 1e-6, "inch": 25400.0, "in": 25400.0, "\\u00b5m": 1}
SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "µs": 1e-6,
    "us": 1e-6,
    "min": 60.0,
    "h": 3600.0,
}
SECONDS |= {"μs": 1e-6, "ns": 1e-9, "d": 86400.0}


@dataclass(frozen=True)
class Meaning:
    """Which page is which plane, and the units.

    Args:
        format: TIFF, ImageJ TIFF or OME-TIFF.
        count: of T, C and Z.
        pages: number of the page of each plane in (T, C, Z) order, Z fastest.
        channels: names, too few where unknown.
        spacing_um: as in `Header`.
        interval_s: as in `Header`.
        scene: as in `Header`.
        notes: as in `Header`.
        plane_shape: (Y, X) announced; None where only the pages say it.
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


def of_ome(path: Path, xml: str, total: int, scene: str | int | None) -> Meaning:
    """The meaning of an OME-TIFF, all of whose planes must lie in this file.

    Args:
        path: of the file, for messages.
        xml: its OME-XML.
        total: pages in the file.
        scene: name or number of the image; needed where there are several.

    Raises:
        ReadError: the XML is damaged or announces planes that are not in the file.
        ChoiceNeeded: several images and none chosen.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ReadError(f"{path}: its OME-XML is damaged ({error}); export it again") from error
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2]
    image, name = _image(path, root.findall("Image"), scene)
    pixels = image.find("Pixels")
    if pixels is None:
        raise ReadError(f"{path}: its OME-XML describes no pixels; export it again")
    channels = pixels.findall("Channel")
    count = {axis: _size(path, pixels, axis) for axis in "TCZ"}
    samples = int(channels[0].get("SamplesPerPixel") or 1) if channels else 1
    count["C"] = max(count["C"] // max(samples, 1), 1)
    return Meaning(
        format="OME-TIFF",
        count=count,
        pages=_ome_pages(path, pixels, count, total, root.get("UUID")),
        channels=tuple(channel.get("Name") for channel in channels),
        spacing_um=_known(
            {
                a: _times(pixels.get(f"PhysicalSize{a}"), UM, pixels.get(f"PhysicalSize{a}Unit", "µm"))
                for a in "XYZ"
            }
        ),
        interval_s=_times(pixels.get("TimeIncrement"), SECONDS, pixels.get("TimeIncrementUnit", "s")),
        scene=name,
        plane_shape=(_size(path, pixels, "Y"), _size(path, pixels, "X")),
    )


def _image(
    path: Path, images: list[ElementTree.Element], scene: str | int | None
) -> tuple[ElementTree.Element, str | None]:
    if not images:
        raise ReadError(f"{path}: its OME-XML describes no image; export it again")
    names = [image.get("Name") or str(k) for k, image in enumerate(images)]
    if len(images) == 1 and (scene is None or str(scene) in (names[0], "0")):
        return images[0], None
    if scene is None:
        raise ChoiceNeeded(f"{path}: choose a scene ({', '.join(names)})")
    for k, name in enumerate(names):
        if str(scene) in (name, str(k)):
            return images[k], name
    raise ChoiceNeeded(f"{path}: has no scene {scene!r}; choose one of {', '.join(names)}")


def _size(path: Path, pixels: ElementTree.Element, axis: str) -> int:
    text = pixels.get(f"Size{axis}") or ""
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise ReadError(f"{path}: its OME-XML announces {text or 'no'} planes along {axis}; export it again")
    return int(text)


def _ome_pages(
    path: Path, pixels: ElementTree.Element, count: Mapping[str, int], total: int, own: str | None
) -> tuple[int, ...]:
    """The page of each plane; planes in other files, or in none, are an error that names them."""
    order = (pixels.get("DimensionOrder") or "XYZCT")[2:]
    if sorted(order) != ["C", "T", "Z"]:
        raise ReadError(f"{path}: its OME-XML orders the planes {order!r}; export it again")
    planes = math.prod(count.values())
    if planes > 1_000_000:
        raise ReadError(f"{path}: its OME-XML announces {planes} planes; export it again")
    strides = dict(
        zip(order, itertools.accumulate((1, *(count[a] for a in order[:2])), int.__mul__), strict=True)
    )
    found: dict[int, int] = {}
    elsewhere: set[str] = set()
    blocks = pixels.findall("TiffData")
    uuids = {block.findtext("UUID") for block in blocks}
    for block in blocks or [ElementTree.Element("TiffData")]:
        uuid = block.find("UUID")
        # A renamed file keeps its old name inside: the identifier decides, and a single one is always this file.
        if uuid is not None and uuid.text != own and len(uuids) > 1:
            elsewhere.add(uuid.get("FileName") or "an unnamed file")
            continue
        page = int(block.get("IFD") or 0)
        run = int(block.get("PlaneCount") or (1 if block.get("IFD") else planes))
        first = sum(int(block.get(f"First{axis}") or 0) * strides[axis] for axis in "TCZ")
        if page < 0 or run < 0 or first < 0 or first + run > planes:
            raise ReadError(f"{path}: its OME-XML places page {page} outside the stack; export it again")
        found |= {first + k: page + k for k in range(run)}
    if elsewhere:
        few = ", ".join(sorted(elsewhere)[:3]) + (", ..." if len(elsewhere) > 3 else "")
        raise ReadError(
            f"{path}: {planes - len(found)} of its {planes} planes are in {len(elsewhere)} other files ({few}); "
            "merge them into one OME-TIFF"
        )
    absent = [k for k in range(planes) if found.get(k, total) >= total]
    if absent:
        t, c, z = (absent[0] // strides[axis] % count[axis] for axis in "TCZ")
        raise ReadError(
            f"{path}: {len(absent)} of {planes} planes announced are missing (first T {t} C {c} Z {z}); copy it again"
        )
    if len(set(found.values())) < planes:
        raise ReadError(f"{path}: its OME-XML gives several planes the same page; export it again")
    every = itertools.product(*(range(count[axis]) for axis in "TCZ"))
    return tuple(found[t * strides["T"] + c * strides["C"] + z * strides["Z"]] for t, c, z in every)


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
    count = {
        "T": int(said.get("frames", 1)),
        "C": int(said.get("channels", 1)),
        "Z": int(said.get("slices", 1)),
    }
    if announced != total or (math.prod(count.values()) not in (1, total)):
        raise ReadError(
            f"{path}: announces {max(announced, math.prod(count.values()))} planes and holds {total}; copy it again"
        )
    order = [letter.upper() for letter in reversed(str(said.get("order", "czt"))) if letter.upper() in "TCZ"]
    notes: tuple[str, ...] = ()
    if math.prod(count.values()) != total:
        count, notes = {"T": total, "C": 1, "Z": 1}, (f"its {total} planes are taken as time points",)
    if axes is not None:
        order, count = _renamed(path, axes, [(axis, count[axis]) for axis in order])
        notes = ()
    elif count["Z"] > 1 and count["T"] == 1:
        notes = (f"its {count['Z']} planes are slices in depth; if they are time points, say axes=TYX",)
    unit = str(said.get("unit", "")).lower()
    x, y = resolution or (0.0, 0.0)
    sizes = {"X": _times(1 / x if x else None, UM, unit), "Y": _times(1 / y if y else None, UM, unit)}
    return Meaning(
        format="ImageJ TIFF",
        count=count,
        pages=_in_order(order, count),
        spacing_um=_known({**sizes, "Z": _times(said.get("spacing"), UM, unit) if count["Z"] > 1 else None}),
        interval_s=_times(said.get("finterval"), SECONDS, str(said.get("tunit", "s")).lower()),
        notes=notes,
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
    """
    shape, said = _shaped(description)
    if math.prod(shape) != total:
        shape, said = ((total,) if total > 1 else ()), None
    if axes is not None:
        kept = [n for n in shape if n > 1]
        order, count = _renamed(path, axes, [("?", n) for n in kept])
        return Meaning("TIFF", count, _in_order(order, count))
    if said is not None and set(said) <= set("TCZ") and len(set(said)) == len(said) == len(shape):
        count = {"T": 1, "C": 1, "Z": 1} | dict(zip(said, shape, strict=True))
        return Meaning("TIFF", count, _in_order(list(said), count))
    if sum(n > 1 for n in shape) > 1:
        raise ChoiceNeeded(f"{path}: its pages are {shape} of what? say it with axes, such as axes=TZYX")
    notes = (
        (f"its {total} pages are taken as time points; say axes=ZYX if they are depths",) if total > 1 else ()
    )
    return Meaning("TIFF", {"T": total, "C": 1, "Z": 1}, tuple(range(total)), notes=notes)


def _shaped(description: str) -> tuple[tuple[int, ...], str | None]:
    """Shape and axes over the pages from the JSON that tifffile writes, without Y and X."""
    try:
        said = json.loads(description)
        shape, axes = tuple(map(int, said["shape"])), said.get("axes")
    except (ValueError, TypeError, KeyError):
        return (), None
    named = isinstance(axes, str) and axes.endswith("YX") and len(axes) == len(shape)
    return shape[:-2], axes[:-2] if named else None


def _renamed(path: Path, axes: str, varying: list[tuple[str, int]]) -> tuple[list[str], dict[str, int]]:
    """A person's names for the axes along which the planes vary, slowest first."""
    named, lengths = axes.upper().removesuffix("YX"), [n for _, n in varying if n > 1]
    if len(set(named)) != len(named) or not set(named) <= set("TCZ") or not axes.upper().endswith("YX"):
        raise ChoiceNeeded(f"axes: {axes!r} is not a choice of T, C, Z and then YX; say it such as TZYX")
    if len(named) != len(lengths) and lengths:
        raise ChoiceNeeded(
            f"{path}: axes {axes} name {len(named)} axes beside YX; its planes vary along {len(lengths)}"
        )
    count = {"T": 1, "C": 1, "Z": 1} | dict(zip(named, lengths, strict=False))
    return list(named), count


def _in_order(order: list[str], count: Mapping[str, int]) -> tuple[int, ...]:
    """Page of each plane in (T, C, Z) order where pages lie in the given order, slowest first."""
    full = [*(axis for axis in "TCZ" if axis not in order), *order]
    strides, stride = {}, 1
    for axis in reversed(full):
        strides[axis], stride = stride, stride * count[axis]
    every = itertools.product(*(range(count[axis]) for axis in "TCZ"))
    return tuple(t * strides["T"] + c * strides["C"] + z * strides["Z"] for t, c, z in every)


def _times(value: Any, units: Mapping[str, float], unit: str) -> float | None:
    """A positive finite number in the unit asked for; None where unit or number is missing or strange."""
    try:
        number = float(value) * units[unit]
    except (TypeError, ValueError, KeyError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {axis: value for axis, value in values.items() if value is not None}
