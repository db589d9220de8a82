"""CZI: the structure in pure Python, the pixels through a library, one fully named plane at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pssr.errors import PssrError, ReadError
from pssr.io import czi_library
from pssr.io.czi_check import DTYPES, OTHERS, RGB_DTYPES, Block, read_structure
from pssr.io.czi_layout import Layout, lay_out
from pssr.io.czi_probe import probe
from pssr.io.gaps import settle
from pssr.io.scenes import scene_number
from pssr.io.stack import RGB, Place, ReadPlane, Stack, channel_names, distinct, names_of_samples


@dataclass(frozen=True)
class CziReader:
    """Where planes lie, and how to name them to the library.

    Args:
        layout: where planes and their tiles lie.
        fixed: axes that do not vary in this stack, such as {"S": 1, "B": 0}.
        samples: 3 where each channel of the file is three: red, green, blue.
    """

    layout: Layout
    fixed: dict[str, int]
    samples: int = 1

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads planes in native byte order.

        Raises:
            ReadError: the file cannot be opened, or a plane cannot be read.
        """
        try:
            with czi_library.installed(path)(path) as read_block:

                def read(place: Place) -> np.ndarray:
                    try:
                        return self._plane(read_block, place)
                    except (RuntimeError, OSError, ValueError, LookupError, AttributeError) as error:
                        raise ReadError(
                            f"{path}: T {place[0]}, C {place[1]}, Z {place[2]} cannot be read ({error}); copy it again"
                        ) from error

                yield read
        except PssrError:
            raise
        except (RuntimeError, OSError, ValueError) as error:
            raise ReadError(f"{path}: cannot be opened ({error}); copy it again") from error

    def _plane(self, read_block: czi_library.ReadBlock, place: Place) -> np.ndarray:
        t, c, z = place
        at = {"T": t, "C": c // self.samples, "Z": z}
        names = {axis: first + at[axis] for axis, first in self.layout.start.items()} | self.fixed
        tiles = self.layout.tiles[t, at["C"], z]
        plane: np.ndarray | None = None
        # Tiles that overlap: the later one lies on top, as in ZEN.
        for tile in tiles:
            number = {"M": tile.number} if self.layout.mosaic else {}
            pixels = read_block(names | number, tile.position)
            if self.samples > 1:
                pixels = np.ascontiguousarray(pixels[..., c % self.samples])
            if not self.layout.mosaic:
                return pixels
            plane = np.zeros(self.layout.shape, pixels.dtype) if plane is None else plane
            plane[tile.top : tile.top + pixels.shape[0], tile.left : tile.left + pixels.shape[1]] = pixels
        assert plane is not None
        return plane


def open_czi(
    path: Path, *, scene: str | int | None = None, phase: int | None = None, missing: str = "error"
) -> Stack:
    """What a CZI holds, its structure checked before any library opens it.

    Args:
        path: the file.
        scene: name or number; needed where there are several.
        phase: number of the phase along H; needed where there are several.
        missing: as for `settle`.

    Raises:
        ReadError: damaged, planes missing, or of a kind that is not read.
        ChoiceNeeded: several scenes or phases and none chosen.
    """
    czi_library.installed(path)
    blocks, xml = read_structure(path)
    root = _xml(path, xml)
    number, name = _scene(path, blocks, root, scene)
    if number is not None:
        blocks = [block for block in blocks if block.place["S"] == number]
    dtype, samples = _dtype(path, blocks)
    layout = lay_out(path, blocks, phase)
    fixed = {**layout.fixed, **({} if number is None else {"S": number})}
    probe(path, {axis: k for axis, k in blocks[0].place.items() if axis != "M" or layout.mosaic})
    described = root.findall(".//Dimensions/Channels/Channel")
    # A scene may hold only some of the file's channels, and not the first ones.
    first = layout.start.get("C", 0)
    names, colours = _per_channel(
        [channel.get("Name") for channel in described][first:],
        _colours(root)[first:],
        layout.count["C"],
        samples,
    )
    count = {**layout.count, "C": layout.count["C"] * samples}
    stack = Stack(
        path=path,
        format="CZI",
        sizes={**count, "Y": layout.shape[0], "X": layout.shape[1]},
        dtype=dtype,
        channels=names,
        spacing_um=_spacing(root),
        interval_s=_interval(root, count["T"]),
        reader=CziReader(layout, fixed, samples),
        scene=name,
        notes=(*layout.notes, *_contradictions(described, dtype)),
        colours=colours,
        compression=", ".join(sorted({block.compression for block in blocks})),
    )
    gaps = [(t, c * samples + k, z) for t, c, z in layout.missing for k in range(samples)]
    return settle(stack, gaps, missing, "the acquisition was stopped early: export the complete time points")


def _per_channel(
    names: list[str | None], colours: list[str | None], count: int, samples: int
) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """Name and colour of each channel; a channel of three colours is three."""
    named = channel_names(names, count)
    if samples == 1:
        return named, tuple([*colours, *[None] * count][:count])
    return names_of_samples(named, tuple(RGB)), tuple(RGB.values()) * count


def _colours(root: ElementTree.Element) -> list[str | None]:
    """#RRGGBB of each channel, from #AARRGGBB or #RRGGBB."""
    shown = root.findall(".//DisplaySetting/Channels/Channel")
    words = [(channel.findtext("Color") or "").strip() for channel in shown]
    return [f"#{word[-6:].upper()}" if len(word) in (7, 9) and word[0] == "#" else None for word in words]


def _contradictions(described: list[ElementTree.Element], dtype: np.dtype) -> tuple[str, ...]:
    """Where the metadata say something else than the pixels, the pixels are right; a person should know."""
    said = {(channel.findtext("PixelType") or "").strip() for channel in described} - {""}
    right = {"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4", "Bgr24": "u1", "Bgr48": "u2"}
    wrong = sorted(kind for kind in said if kind in right and np.dtype(right[kind]) != dtype)
    return tuple(f"its metadata say {kind}; its pixels are {dtype} and are taken as such" for kind in wrong)


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
    names = distinct([found.get(str(number)) or str(number) for number in numbers])
    k = scene_number(path, names or ["0"], scene, numbers or [0])
    return numbers[k] if numbers else None, names[k] if len(names) > 1 else None


def _dtype(path: Path, blocks: list[Block]) -> tuple[np.dtype, int]:
    """Of the pixels, and how many samples each has."""
    types = {block.pixel_type for block in blocks}
    if len(types) > 1:
        raise ReadError(f"{path}: its channels are of different pixel types; export each one to OME-TIFF")
    (kind,) = types
    if kind in OTHERS:
        raise ReadError(f"{path}: its pixels are {OTHERS[kind]}; export it to OME-TIFF of 8 or 16 bits")
    return (DTYPES[kind], 1) if kind in DTYPES else (RGB_DTYPES[kind], 3)


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
