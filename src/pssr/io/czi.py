"""CZI: the structure in pure Python, the pixels through aicspylibczi, one fully named plane at a time."""

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Num

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.czi_check import COLOURS, DTYPES, Block, read_structure
from pssr.io.czi_layout import Layout, lay_out
from pssr.io.czi_probe import probe
from pssr.io.stack import Stack, channel_names


@dataclass(frozen=True)
class CziReader:
    """How to name a plane to the library.

    Args:
        layout: where planes and their tiles lie.
        fixed: axes that do not vary in this stack, such as {"S": 1, "B": 0}.
    """

    layout: Layout
    fixed: dict[str, int]

    def read(self, path: Path, *, t: int, c: int, z: int) -> Num[np.ndarray, "y x"]:
        """One plane in native byte order. The file is opened and closed here: a handle must not cross a fork.

        Raises:
            ReadError: it cannot be read there.
        """
        # Imported here: an extra, under another licence.
        from aicspylibczi import CziFile

        asked = {"T": t, "C": c, "Z": z}
        names = {axis: first + asked[axis] for axis, first in self.layout.start.items()} | self.fixed
        try:
            # Given a name, the library would leave the file open until it is collected as garbage.
            with path.open("rb") as file:
                czi = CziFile(file)
                if not self.layout.tiles:
                    return _one_plane(*czi.read_image(**names))
                # Tiles that overlap: the later one lies on top, as in ZEN.
                plane = None
                for tile in self.layout.tiles[t, c, z]:
                    pixels = _one_plane(*czi.read_image(**names, M=tile.number))
                    if plane is None:
                        plane = np.zeros(self.layout.shape, pixels.dtype)
                    plane[tile.top : tile.top + pixels.shape[0], tile.left : tile.left + pixels.shape[1]] = (
                        pixels
                    )
                assert plane is not None
                return plane
        except (RuntimeError, OSError, ValueError) as error:
            raise ReadError(f"{path}: T {t}, C {c}, Z {z} cannot be read ({error}); copy it again") from error


def _one_plane(pixels: np.ndarray, found: list[tuple[str, int]]) -> Num[np.ndarray, "y x"]:
    varying = [name for name, size in found if size != 1 and name not in "YX"]
    if varying:
        raise ValueError(f"it is not one plane but varies along {varying}")
    return np.ascontiguousarray(pixels.reshape(pixels.shape[-2:]))


def open_czi(path: Path, *, scene: str | int | None = None) -> Stack:
    """What a CZI holds, its structure checked before any library opens it.

    Args:
        path: the file.
        scene: name or number; needed where there are several.

    Raises:
        ReadError: damaged, planes missing, or of a kind that is not read (colours, phases).
        ChoiceNeeded: several scenes and none chosen.
    """
    blocks, xml = read_structure(path)
    root = _xml(path, xml)
    number, name = _scene(path, blocks, root, scene)
    if number is not None:
        blocks = [block for block in blocks if block.place["S"] == number]
    dtype = _dtype(path, blocks)
    layout = lay_out(path, blocks)
    fixed = {**layout.fixed, **({} if number is None else {"S": number})}
    sizes = {**layout.count, "Y": layout.shape[0], "X": layout.shape[1]}
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
        reader=CziReader(layout, fixed),
        scene=name,
        notes=layout.notes,
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
