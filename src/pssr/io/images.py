"""PNG and JPEG through Pillow: one grey plane each, or one for each colour."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from jaxtyping import Num
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from pssr.errors import ReadError
from pssr.io.memory import check_fits
from pssr.io.stack import AXES, RGB, ReadPlane, Stack, channel_names
from pssr.io.units import UM, known, positive

IMAGE_MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
# Pillow's modes.
DTYPES = {
    "1": "u1",
    "L": "u1",
    "LA": "u1",
    "I;16": "u2",
    "I;16B": "u2",
    "I": "i4",
    "F": "f4",
    "P": "u1",
    "RGB": "u1",
    "RGBA": "u1",
}
KEPT = {2: 1, 4: 3}  # samples without the transparency
# A picture that decodes to more than this from so few bytes is a bomb or damaged.
LARGE_BYTES, LARGEST_RATIO = 50_000_000, 200
# Bytes of the header, and what the second says of more than one sample.
PNG_BITS, PNG_KIND, PNG_DEEP = 24, 25, (2, 4, 6)
RAMP_COUNTS = 2  # by which a palette of 8 bits may be off, for it is rounded
ORIENTATION, UPRIGHT = 0x0112, 1  # of EXIF
RAMP_NOTE = "its palette goes from black to one colour; the indices are taken as intensities"
LARGEST_UM = 20.0  # larger pixels are a screen's or a printer's


@dataclass(frozen=True)
class ImageReader:
    """The only frame of a picture.

    Args:
        channels: 1 for grey, also where it is stored as three equal colours; 3 for colours.
    """

    channels: int

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads planes in native byte order.

        Raises:
            ReadError: it cannot be decoded.
        """
        planes = _decoded(path).planes
        if len(planes) != self.channels:
            raise ReadError(f"{path}: has {len(planes)} channels and had {self.channels}; it has changed")
        yield lambda place: planes[place[1]]


class Decoded(NamedTuple):
    """A picture in memory.

    Args:
        kind: PNG or JPEG.
        planes: its channels.
        notes: what a person should know.
        said: what its header says: resolution, description.
    """

    kind: str
    planes: Num[np.ndarray, "c y x"]
    notes: tuple[str, ...]
    said: Mapping[str, Any]


def open_image(path: Path) -> Stack:
    """A picture as a stack of one frame.

    Args:
        path: a PNG or JPEG file.

    Raises:
        ReadError: damaged, animated, or of a kind that is not read.
    """
    found = _decoded(path)
    planes, about = found.planes, _described(found.said)
    colours = len(planes) > 1
    spacing, notes = about.get("spacing_um") or {}, found.notes
    if not about and (spacing := _per_inch(found.said)):
        notes = (*notes, "its pixel size is that of its resolution")
    names = about.get("channels") or []
    return Stack(
        path=path,
        format=found.kind,
        sizes={"T": 1, "C": len(planes), "Z": 1, "Y": planes.shape[1], "X": planes.shape[2]},
        dtype=planes.dtype,
        channels=tuple(RGB) if colours else channel_names(names if len(names) == 1 else [], 1),
        spacing_um=spacing,
        interval_s=about.get("interval_s"),
        reader=ImageReader(len(planes)),
        notes=notes,
        colours=tuple(RGB.values()) if colours else (None,),
        compression="JPEG" if found.kind == "JPEG" else "deflate",
    )


def names_in(path: Path) -> list[str | None]:
    """Names of the channels of the stack of which a PNG that pssr wrote is a plane; empty for any other picture."""
    return list(_described(_decoded(path).said).get("channels") or [])


def _described(said: Mapping[str, Any]) -> dict[str, Any]:
    """What pssr wrote into a PNG, or nothing."""
    if "pssr-toolkit" not in str(said.get("Software")):
        return {}
    try:
        found = json.loads(str(said.get("Description")))
        spacing = known({a: positive(um, UM, "um") for a, um in found["spacing_um"].items() if a in AXES})
        interval = positive(found["interval_s"], {"s": 1.0}, "s")
        names = [str(name) for name in found["channels"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {"spacing_um": spacing, "interval_s": interval, "channels": names}


def _per_inch(said: Mapping[str, Any]) -> dict[str, float]:
    """Pixel sizes from a resolution, where it is no screen's or printer's."""
    x, y = said.get("dpi") or (0, 0)
    sizes = known({axis: positive(1 / n if n else None, UM, "inch") for axis, n in (("X", x), ("Y", y))})
    return sizes if len(sizes) == 2 and max(sizes.values()) <= LARGEST_UM else {}


def _decoded(path: Path) -> Decoded:
    """Colours that are equal everywhere are one grey plane."""
    try:
        with _opened(path) as image:
            deep = _is_deep(path)
            _check(path, image, np.dtype("u2" if deep else DTYPES.get(image.mode, "u1")))
            kind, mode = image.format or "picture", image.mode
            said = {str(name): value for name, value in image.info.items()}
            pixels = np.asarray(imagecodecs.png_decode(path.read_bytes()) if deep else image)
    except (OSError, SyntaxError, ValueError, RuntimeError, MemoryError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{path}: cannot be read ({error}); copy it again, or export it as TIFF") from error
    if pixels.ndim == 2:
        notes = (RAMP_NOTE,) if mode == "P" else ()
        return Decoded(kind, np.ascontiguousarray(pixels, dtype=DTYPES[mode])[None], notes, said)
    kept = KEPT.get(pixels.shape[-1], pixels.shape[-1])
    notes = ("its transparency is left out",) if kept < pixels.shape[-1] else ()
    planes = np.ascontiguousarray(np.moveaxis(pixels[..., :kept], -1, 0))
    if len(planes) == 1:
        return Decoded(kind, planes, notes, said)
    if (planes == planes[0]).all():
        return Decoded(kind, planes[:1], (*notes, "its three colours are equal and taken as grey"), said)
    return Decoded(kind, planes, (*notes, "its colours are taken as three channels"), said)


def _opened(path: Path) -> Image.Image:
    """The picture by its kind's own class: `Image.open` refuses large pictures, which `_check` tells from bombs."""
    with path.open("rb") as file:
        png = file.read(8) == IMAGE_MAGICS[0]
    return PngImageFile(path) if png else JpegImageFile(path)


def _is_deep(path: Path) -> bool:
    """Whether it has samples of 16 bits for colours or a transparency, of which Pillow would keep eight."""
    with path.open("rb") as file:
        head = file.read(PNG_KIND + 1)
    return head.startswith(IMAGE_MAGICS[0]) and head[PNG_BITS] == 16 and head[PNG_KIND] in PNG_DEEP


def _check(path: Path, image: Image.Image, dtype: np.dtype) -> None:
    if image.mode not in DTYPES:
        raise ReadError(f"{path}: is stored as {image.mode}, not grey; convert it to grey")
    if image.mode == "P" and not _is_ramp(image):
        raise ReadError(f"{path}: has a palette of many colours; convert it to grey")
    if getattr(image, "n_frames", 1) != 1:
        raise ReadError(f"{path}: is animated; export its frames as TIFF")
    if image.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT:
        raise ReadError(f"{path}: is stored rotated or mirrored; save it upright")
    (width, height), samples, stored = image.size, len(image.getbands()), path.stat().st_size
    if width * height * samples * dtype.itemsize > max(LARGE_BYTES, LARGEST_RATIO * stored):
        raise ReadError(f"{path}: announces {height} x {width} px in {stored} bytes; copy it again")
    check_fits(path, (height, width * samples), dtype)


def _is_ramp(image: Image.Image) -> bool:
    """Whether the palette goes evenly from black to one colour: its indices then are intensities, as in a TIFF."""
    table = np.reshape(image.getpalette() or [0] * 3, (-1, 3)).astype(np.float64)
    even = np.linspace(0, 1, len(table))[:, None] * table[-1]
    return bool(table[-1].any() and np.abs(table - even).max() <= RAMP_COUNTS)
