"""What the pages of an OME-TIFF mean: its OME-XML, read as data."""

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.stack import Place
from pssr.io.tiff_meaning import SECONDS, UM, Meaning, known, positive

MOST_PLANES = 1_000_000


def of_ome(path: Path, xml: str, total: int, scene: str | int | None) -> Meaning:
    """The meaning of an OME-TIFF, all of whose planes must lie in this file or in others beside it.

    Args:
        path: of the file, for messages.
        xml: its OME-XML.
        total: pages in the file.
        scene: name or number of the image; needed where there are several.

    Raises:
        ReadError: the XML is damaged or announces planes that are nowhere.
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
    pages, homes, absent = _ome_pages(path, pixels, count, total, root.get("UUID"))
    return Meaning(
        format="OME-TIFF",
        count=count,
        pages=pages,
        homes=homes if any(homes) else (),
        channels=tuple(channel.get("Name") for channel in channels),
        spacing_um=known(
            {
                a: positive(pixels.get(f"PhysicalSize{a}"), UM, pixels.get(f"PhysicalSize{a}Unit", "µm"))
                for a in "XYZ"
            }
        ),
        interval_s=positive(pixels.get("TimeIncrement"), SECONDS, pixels.get("TimeIncrementUnit", "s")),
        scene=name,
        plane_shape=(_size(path, pixels, "Y"), _size(path, pixels, "X")),
        colours=tuple(_colour(channel.get("Color")) for channel in channels),
        said=pixels.get("Type") or "",
        missing=tuple(place for place, page in zip(_places(count), pages, strict=True) if page < 0),
        advice=_advice(absent),
    )


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
    names = [image.get("Name") or str(k) for k, image in enumerate(images)]
    if len(images) == 1 and (scene is None or str(scene) in (names[0], "0")):
        return images[0], None
    if scene is None:
        raise ChoiceNeeded(f"{path}: choose a scene ({', '.join(names)})", tuple(names))
    for k, name in enumerate(names):
        if str(scene) in (name, str(k)):
            return images[k], name
    raise ChoiceNeeded(f"{path}: has no scene {scene!r}; choose one of {', '.join(names)}", tuple(names))


def _size(path: Path, pixels: ElementTree.Element, axis: str) -> int:
    text = pixels.get(f"Size{axis}") or ""
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise ReadError(f"{path}: its OME-XML announces {text or 'no'} planes along {axis}; export it again")
    return int(text)


def _ome_pages(
    path: Path, pixels: ElementTree.Element, count: Mapping[str, int], total: int, own: str | None
) -> tuple[tuple[int, ...], tuple[str, ...], list[str]]:
    """Page and file of each plane in (T, C, Z) order, -1 and "" for one that is nowhere; and which files are not here."""
    order = (pixels.get("DimensionOrder") or "XYZCT")[2:]
    if sorted(order) != ["C", "T", "Z"]:
        raise ReadError(f"{path}: its OME-XML orders the planes {order!r}; export it again")
    planes = math.prod(count.values())
    if planes > MOST_PLANES:
        raise ReadError(f"{path}: its OME-XML announces {planes} planes; export it again")
    strides = dict(
        zip(order, itertools.accumulate((1, *(count[a] for a in order[:2])), int.__mul__), strict=True)
    )
    found = _placed(path, pixels, strides, planes, own)
    absent = _check_companions(path, [name for name, _ in found.values() if name])
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
    path: Path, pixels: ElementTree.Element, strides: Mapping[str, int], planes: int, own: str | None
) -> dict[int, tuple[str, int]]:
    """File name ("" for this one) and page of each plane that is announced."""
    found: dict[int, tuple[str, int]] = {}
    blocks = pixels.findall("TiffData")
    uuids = {block.findtext("UUID") for block in blocks}
    for block in blocks or [ElementTree.Element("TiffData")]:
        uuid = block.find("UUID")
        # A renamed file keeps its old name inside: the identifier decides, and a single one is always this file.
        foreign = uuid is not None and uuid.text != own and len(uuids) > 1
        name = (uuid.get("FileName") or "an unnamed file") if uuid is not None and foreign else ""
        page = int(block.get("IFD") or 0)
        run = int(block.get("PlaneCount") or (1 if block.get("IFD") else planes))
        first = sum(int(block.get(f"First{axis}") or 0) * strides[axis] for axis in "TCZ")
        if page < 0 or run < 0 or first < 0 or first + run > planes:
            raise ReadError(f"{path}: its OME-XML places page {page} outside the stack; export it again")
        found |= {first + k: (name, page + k) for k in range(run)}
    return found


def _check_companions(path: Path, names: list[str]) -> list[str]:
    """Other files must lie beside this one, and a name that leads elsewhere is not followed; which are not here."""
    others = dict.fromkeys(names)
    astray = [name for name in others if name in (".", "..") or "/" in name or "\\" in name or "\0" in name]
    if astray:
        raise ReadError(f"{path}: its OME-XML names a file in another folder; put the files into one folder")
    return [name for name in others if not (path.parent / name).is_file()]
