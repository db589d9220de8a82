"""What the pages of an OME-TIFF mean: its OME-XML, read as data."""

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias
from xml.etree import ElementTree

import numpy as np

from pssr.errors import ReadError
from pssr.io.content import NAMESPACE
from pssr.io.memory import MOST_PLANES
from pssr.io.scenes import scene_number
from pssr.io.stack import Place, distinct
from pssr.io.tiff_check import page_offsets
from pssr.io.tiff_meaning import Meaning
from pssr.io.units import SECONDS, UM, finite, known, positive

LARGEST_XML_BYTES = 1 << 26


def of_ome(
    path: Path, xml: str, total: int, scene: str | int | None, samples: Mapping[int, int] | None = None
) -> Meaning:
    """The meaning of an OME-TIFF, all of whose planes must lie in this file or in others beside it.

    Args:
        path: of the file, for messages.
        xml: its OME-XML.
        total: pages in the file, reduced ones too.
        scene: name or number of the image; needed where there are several.
        samples: of each page by its number, where they are known: for XML that does not say how many.

    Raises:
        ReadError: the XML is damaged or announces planes that are nowhere.
        ChoiceNeeded: several images and none chosen.
    """
    root = _parsed(path, xml)
    own, elsewhere = root.get("UUID"), root.find("BinaryOnly")
    if elsewhere is not None:
        root = _parsed(path, _description(path, elsewhere.get("MetadataFile") or ""))
    image, name = _image(path, root.findall("Image"), scene)
    pixels = image.find("Pixels")
    if pixels is None:
        raise ReadError(f"{path}: its OME-XML describes no pixels; export it again")
    channels, here = pixels.findall("Channel"), _Here(path, total, own, _alone(root))
    said = channels[0].get("SamplesPerPixel") if channels else None
    count, (pages, homes, absent) = _counted(here, pixels, int(said or 1))
    if said is None and min(pages) < 0 and not absent:
        # Too few pages for all channels: they lie inside the pages, where these say so.
        count, (pages, homes, absent) = _counted(here, pixels, _samples_inside(pixels, samples or {}))
    return Meaning(
        format="OME-TIFF",
        count=count,
        pages=pages,
        by_number=True,
        homes=homes if any(homes) else (),
        channels=tuple(channel.get("Name") for channel in channels),
        spacing_um=known(
            {
                a: positive(pixels.get(f"PhysicalSize{a}"), UM, pixels.get(f"PhysicalSize{a}Unit", "µm"))
                for a in "XYZ"
            }
        ),
        interval_s=positive(pixels.get("TimeIncrement"), SECONDS, pixels.get("TimeIncrementUnit", "s"))
        or _from_times(pixels),
        scene=name,
        plane_shape=(_size(path, pixels, "Y"), _size(path, pixels, "X")),
        colours=tuple(_colour(channel.get("Color")) for channel in channels),
        said=pixels.get("Type") or "",
        identities=_identities(pixels),
        missing=tuple(place for place, page in zip(_places(count), pages, strict=True) if page < 0),
        advice=_advice(absent),
        origin_um=_origin(root),
    )


def _origin(root: ElementTree.Element) -> dict[str, float]:
    """As pssr writes it; the positions of planes in others' files are those of a stage, each in its own sense."""
    said = root.findtext(
        f"StructuredAnnotations/MapAnnotation[@Namespace='{NAMESPACE}']/Value/M[@K='origin_um']"
    )
    try:
        found = dict(json.loads(said or "{}"))
        return known({axis: finite(found.get(axis), UM, "um") for axis in "XYZ"})
    except (TypeError, ValueError, RecursionError):
        return {}


class _Here(NamedTuple):
    """The file that is read, among all those of which its OME-XML speaks.

    Args:
        path: of it.
        total: pages in it.
        own: its identifier, or None.
        alone: whether the XML speaks of a single file.
    """

    path: Path
    total: int
    own: str | None
    alone: bool

    def home_of(self, uuid: ElementTree.Element | None) -> str:
        """Name of the file with this identifier, "" for this one.

        A renamed file keeps its old name inside: the identifier decides. One that was saved again may have another, but
        where the XML speaks of one file only, that is this one.
        """
        if uuid is None or uuid.text == self.own or self.alone:
            return ""
        return _beside(self.path, uuid.get("FileName") or "an unnamed file")


def _alone(root: ElementTree.Element) -> bool:
    """Whether all images together name one file or none; each alone does so too where every image has its own file."""
    return len({block.findtext("UUID") for block in root.iter("TiffData")}) < 2


def _parsed(path: Path, xml: str) -> ElementTree.Element:
    """Its root, all elements without their name space."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ReadError(f"{path}: its OME-XML is damaged ({error}); export it again") from error
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2]
    return root


def _description(path: Path, name: str) -> str:
    """The XML of a file beside this one that describes both."""
    file = path.parent / _beside(path, name)
    if not file.is_file():
        raise ReadError(f"{path}: is described by {name!r}, which is not here; put both into one folder")
    if file.stat().st_size > LARGEST_XML_BYTES:
        raise ReadError(f"{file}: has {file.stat().st_size} bytes of metadata; export it again")
    return file.read_text("utf-8", errors="replace")


def _from_times(pixels: ElementTree.Element) -> float | None:
    """Seconds between frames from the times of the planes, where those are there."""
    times: dict[int, float] = {}
    for plane in pixels.findall("Plane"):
        time = positive(plane.get("DeltaT"), SECONDS, plane.get("DeltaTUnit", "s"))
        frame = plane.get("TheT") or ""
        if frame.isdecimal() and plane.get("TheC") in (None, "0") and plane.get("TheZ") in (None, "0"):
            times[int(frame)] = time or 0.0
    if len(times) < 2 or sorted(times) != list(range(len(times))):
        return None
    return positive(float(np.median(np.diff([times[t] for t in sorted(times)]))), {"s": 1.0}, "s")


def _identities(pixels: ElementTree.Element) -> dict[str, str]:
    """The identifier that each other file must have, by its name."""
    named = (block.find("UUID") for block in pixels.findall("TiffData"))
    return {u.get("FileName") or "": u.text or "" for u in named if u is not None}


def _places(count: Mapping[str, int]) -> Iterator[Place]:
    return itertools.product(range(count["T"]), range(count["C"]), range(count["Z"]))


def _colour(number: str | None) -> str | None:
    """#RRGGBB from OME's signed 32-bit RGBA."""
    try:
        return f"#{(int(number or '') & 0xFFFFFFFF) >> 8:06X}"
    except ValueError:
        return None


def _advice(absent: list[str]) -> str:
    if not absent:
        return "copy it again"
    few = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
    return f"they are in {len(absent)} files that are not here ({few}): put all files of the stack into one folder"


def _image(
    path: Path, images: list[ElementTree.Element], scene: str | int | None
) -> tuple[ElementTree.Element, str | None]:
    if not images:
        raise ReadError(f"{path}: its OME-XML describes no image; export it again")
    names = distinct([image.get("Name") or str(k) for k, image in enumerate(images)])
    k = scene_number(path, names, scene)
    return images[k], names[k] if len(names) > 1 else None


def _size(path: Path, pixels: ElementTree.Element, axis: str) -> int:
    text = pixels.get(f"Size{axis}") or ""
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise ReadError(f"{path}: its OME-XML announces {text or 'no'} planes along {axis}; export it again")
    return int(text)


def _samples_inside(pixels: ElementTree.Element, samples: Mapping[int, int]) -> int:
    """Channels in the first page of the image; 1 where they are no whole share of all."""
    block = pixels.find("TiffData")
    inside = samples.get(int(block.get("IFD") or 0) if block is not None else 0, 1)
    return inside if int(pixels.get("SizeC") or 1) % inside == 0 else 1


_Placed: TypeAlias = tuple[tuple[int, ...], tuple[str, ...], list[str]]


def _counted(here: _Here, pixels: ElementTree.Element, samples: int) -> tuple[dict[str, int], _Placed]:
    """How many pages lie along T, C and Z where each holds so many samples, and which they are."""
    count = {axis: _size(here.path, pixels, axis) for axis in "TCZ"}
    count["C"] = max(count["C"] // max(samples, 1), 1)
    return count, _ome_pages(here, pixels, count)


def _ome_pages(here: _Here, pixels: ElementTree.Element, count: Mapping[str, int]) -> _Placed:
    """Page and file of each plane in (T, C, Z) order, -1 and "" for one that is nowhere; and which files are not here."""
    path, total = here.path, here.total
    order = (pixels.get("DimensionOrder") or "XYZCT")[2:]
    if sorted(order) != ["C", "T", "Z"]:
        raise ReadError(f"{path}: its OME-XML orders the planes {order!r}; export it again")
    planes = math.prod(count.values())
    if planes > MOST_PLANES:
        raise ReadError(f"{path}: its OME-XML announces {planes} planes; export it again")
    strides = dict(
        zip(order, itertools.accumulate((1, *(count[a] for a in order[:2])), int.__mul__), strict=True)
    )
    found = _placed(here, pixels, strides, planes)
    absent = [n for n in dict.fromkeys(n for n, _ in found.values() if n) if not (path.parent / n).is_file()]
    there = {
        k: place for k, place in found.items() if place[0] not in absent and (place[0] or place[1] < total)
    }
    if len(set(there.values())) < len(there):
        raise ReadError(f"{path}: its OME-XML gives several planes the same page; export it again")
    ordered = [
        there.get(t * strides["T"] + c * strides["C"] + z * strides["Z"], ("", -1))
        for t, c, z in _places(count)
    ]
    return tuple(page for _, page in ordered), tuple(name for name, _ in ordered), absent


def _placed(
    here: _Here, pixels: ElementTree.Element, strides: Mapping[str, int], planes: int
) -> dict[int, tuple[str, int]]:
    """File name ("" for this one) and page of each plane that is announced."""
    found: dict[int, tuple[str, int]] = {}
    for block in pixels.findall("TiffData") or [ElementTree.Element("TiffData")]:
        name = here.home_of(block.find("UUID"))
        page = int(block.get("IFD") or 0)
        run = int(block.get("PlaneCount") or (1 if block.get("IFD") else _rest(here, name, planes)))
        first = sum(int(block.get(f"First{axis}") or 0) * strides[axis] for axis in "TCZ")
        if page < 0 or run < 0 or first < 0 or first + run > planes:
            raise ReadError(f"{here.path}: its OME-XML places page {page} outside the stack; export it again")
        for k in range(run):
            # Also where both say the same: else many blocks of many planes each would take long.
            if first + k in found:
                raise ReadError(f"{here.path}: its OME-XML announces a plane twice; export it again")
            found[first + k] = name, page + k
    return found


def _rest(here: _Here, name: str, planes: int) -> int:
    """How many planes a block without numbers places: all pages of its file; at least one of a file that is absent."""
    other = here.path.parent / name
    held = here.total if not name else len(page_offsets(other)) if other.is_file() else 1
    return min(held, planes)


def _beside(path: Path, name: str) -> str:
    """The name of a file beside this one; a name that leads elsewhere is not followed."""
    if name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ReadError(f"{path}: its OME-XML names a file in another folder; put the files into one folder")
    return name


def uuid_of(xml: str) -> str | None:
    """The identifier of the file that holds this OME-XML, or None."""
    found = re.search(r"<(?:\w+:)?OME\s[^>]*?\bUUID\s*=\s*[\"']([^\"']+)", xml[:10_000])
    return found[1] if found else None
