"""CZI: the structure in pure Python, the pixels through aicspylibczi, one fully named plane at a time."""

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Num

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.czi_check import COLOURS, DTYPES, Block, read_structure
from pssr.io.czi_probe import probe
from pssr.io.stack import Stack, channel_names

SQUEEZED = ("B", "V")  # acquisition block and view: one of each, or several that are refused
REFUSED = {"H": "phases", "I": "illuminations", "R": "rotations"}


@dataclass(frozen=True)
class CziReader:
    """How to name a plane to the library.

    Args:
        fixed: axes that do not vary in this stack, such as {"S": 1, "B": 0}.
        start: first index of T, C and Z; axes that the file does not have are absent.
    """

    fixed: dict[str, int]
    start: dict[str, int]

    def read(self, path: Path, *, t: int, c: int, z: int) -> Num[np.ndarray, "y x"]:
        """One plane in native byte order. The file is opened and closed here: a handle must not cross a fork.

        Raises:
            ReadError: it cannot be read there.
        """
        asked = {"T": t, "C": c, "Z": z}
        names = {axis: first + asked[axis] for axis, first in self.start.items()} | self.fixed
        # Imported here: an extra, under another licence.
        from aicspylibczi import CziFile

        try:
            # Given a name, the library would leave the file open until it is collected as garbage.
            with path.open("rb") as file:
                pixels, found = CziFile(file).read_image(**names)
        except (RuntimeError, OSError, ValueError) as error:
            raise ReadError(f"{path}: T {t}, C {c}, Z {z} cannot be read ({error}); copy it again") from error
        varying = [name for name, size in found if size != 1 and name not in "YX"]
        if varying:
            raise ReadError(f"{path}: T {t}, C {c}, Z {z} is not one plane but varies along {varying}")
        return np.ascontiguousarray(pixels.reshape(pixels.shape[-2:]))


def open_czi(path: Path, *, scene: str | int | None = None) -> Stack:
    """What a CZI holds, its structure checked before any library opens it.

    Args:
        path: the file.
        scene: name or number; needed where there are several.

    Raises:
        ReadError: damaged, planes missing, or of a kind that is not read (mosaic, RGB, phases).
        ChoiceNeeded: several scenes and none chosen.
    """
    blocks, xml = read_structure(path)
    root = _xml(path, xml)
    number, name = _scene(path, blocks, root, scene)
    if number is not None:
        blocks = [block for block in blocks if block.place["S"] == number]
    dtype = _dtype(path, blocks)
    start, sizes, fixed = _axes(path, blocks)
    if number is not None:
        fixed["S"] = number
    probe(path)
    names = [channel.get("Name") for channel in root.findall(".//Dimensions/Channels/Channel")]
    return Stack(
        path=path,
        format="CZI",
        sizes=sizes,
        dtype=dtype,
        channels=channel_names(names, sizes["C"]),
        spacing_um=_spacing(root),
        interval_s=_interval(root, sizes["T"]),
        reader=CziReader(fixed, start),
        scene=name,
    )


def _xml(path: Path, xml: bytes) -> ElementTree.Element:
    """The metadata; some files have none, or rubbish after their end."""
    text = xml.rstrip(b"\0 \r\n\t")
    if not text:
        return ElementTree.Element("none")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ReadError(
            f"{path}: its metadata are damaged ({error}); copy it again from the microscope"
        ) from error


def _scene(
    path: Path, blocks: list[Block], root: ElementTree.Element, scene: str | int | None
) -> tuple[int | None, str | None]:
    """Number of the scene in the file (None: the file has no such axis) and its name (None: it is the only one)."""
    numbers = sorted({block.place["S"] for block in blocks if "S" in block.place})
    if any("S" in block.place for block in blocks) != all("S" in block.place for block in blocks):
        raise ReadError(
            f"{path}: only some of its planes belong to a scene; copy it again from the microscope"
        )
    found = {
        element.get("Index"): element.get("Name") for element in root.findall(".//Dimensions/S/Scenes/Scene")
    }
    names = [found.get(str(number)) or str(number) for number in numbers]
    if len(numbers) < 2:
        if scene is not None and str(scene) not in (*map(str, numbers or [0]), *names):
            raise ChoiceNeeded(f"{path}: has no scene {scene!r}; it has only one")
        return (numbers[0] if numbers else None), None
    listed = ", ".join(names)
    if scene is None:
        raise ChoiceNeeded(f"{path}: choose a scene ({listed})")
    for number, name in zip(numbers, names, strict=True):
        if str(scene) in (name, str(number)):
            return number, name
    raise ChoiceNeeded(f"{path}: has no scene {scene!r}; choose one of {listed}")


def _dtype(path: Path, blocks: list[Block]) -> np.dtype:
    types = {block.pixel_type for block in blocks}
    if len(types) > 1:
        raise ReadError(f"{path}: its channels are of different pixel types; export each one to OME-TIFF")
    (kind,) = types
    if kind not in DTYPES:
        raise ReadError(
            f"{path}: its pixels are {COLOURS[kind]}, not grey of 8 or 16 bits; export it to grey OME-TIFF"
        )
    return DTYPES[kind]


def _axes(path: Path, blocks: list[Block]) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """First index and length of each axis, and the axes that do not vary; every plane must be there, once."""
    along = {axis: sorted({b.place[axis] for b in blocks if axis in b.place}) for axis in _named(blocks)}
    for axis, what in REFUSED.items():
        if len(along.get(axis, [])) > 1:
            raise ReadError(f"{path}: has {len(along[axis])} {what}; process it in ZEN and export the result")
    if len(along.get("M", [])) > 1:
        raise ReadError(
            f"{path}: is a mosaic of {len(along['M'])} tiles; stitch it in ZEN and export OME-TIFF"
        )
    for axis in SQUEEZED:
        if len(along.get(axis, [])) > 1:
            raise ReadError(f"{path}: has {len(along[axis])} along {axis}; export one of them to OME-TIFF")
    shapes = {block.shape for block in blocks}
    if len(shapes) > 1:
        raise ReadError(
            f"{path}: its planes are of different sizes ({sorted(shapes)[:3]}); export to OME-TIFF"
        )
    start = {axis: along[axis][0] for axis in "TCZ" if axis in along}
    count = {axis: along[axis][-1] - start[axis] + 1 if axis in start else 1 for axis in "TCZ"}
    _check_complete(path, blocks, start, count)
    ((y, x),) = shapes
    fixed = {axis: found[0] for axis, found in along.items() if axis not in "TCZSM"}
    return start, {**count, "Y": y, "X": x}, fixed


def _named(blocks: list[Block]) -> list[str]:
    return sorted({axis for block in blocks for axis in block.place})


def _check_complete(path: Path, blocks: list[Block], start: dict[str, int], count: dict[str, int]) -> None:
    there = Counter(
        tuple(block.place.get(axis, start.get(axis, 0)) - start.get(axis, 0) for axis in "TCZ")
        for block in blocks
    )
    if len(there) < len(blocks):
        raise ReadError(
            f"{path}: holds {len(blocks) - len(there)} planes twice; copy it again from the microscope"
        )
    total = count["T"] * count["C"] * count["Z"]
    if len(there) == total:
        return
    planes = itertools.product(*(range(count[axis]) for axis in "TCZ"))
    absent = list(itertools.islice((place for place in planes if place not in there), 3))
    named = "; ".join(f"T {t} C {c} Z {z}" for t, c, z in absent)
    raise ReadError(
        f"{path}: {total - len(there)} of {total} planes are missing ({named}{'; ...' if total - len(there) > 3 else ''})"
        "; the acquisition was stopped early: export the complete time points"
    )


def _spacing(root: ElementTree.Element) -> dict[str, float]:
    """Metres in the file; 0 and absent mean unknown."""
    found = {axis: _number(root, f".//Scaling/Items/Distance[@Id='{axis}']/Value") for axis in "XYZ"}
    return {axis: 1e6 * metres for axis, metres in found.items() if metres}


def _interval(root: ElementTree.Element, frames: int) -> float | None:
    """Seconds between frames from the time axis's own description."""
    even = _number(root, ".//Dimensions/T/Positions/Interval/Increment")
    if even:
        return even
    listed = root.findtext(".//Dimensions/T/Positions/List/Offsets") or ""
    try:
        times = [float(word) for word in listed.split()]
    except ValueError:
        return None
    if len(times) < 2 or len(times) != frames:
        return None
    typical = float(np.median(np.diff(times)))
    return typical if typical > 0 else None


def _number(root: ElementTree.Element, where: str) -> float | None:
    """A positive finite number, or None."""
    try:
        value = float(root.findtext(where) or "nan")
    except ValueError:
        return None
    return value if np.isfinite(value) and value > 0 else None
