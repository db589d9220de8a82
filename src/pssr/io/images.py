"""PNG and JPEG through Pillow: one grey plane each, or one for each colour."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from jaxtyping import Num
from PIL import Image

from pssr.errors import ReadError
from pssr.io.memory import check_fits
from pssr.io.stack import RGB, ReadPlane, Stack

IMAGE_MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
DTYPES = {"1": "u1", "L": "u1", "I;16": "u2", "I;16B": "u2", "I": "i4", "F": "f4", "RGB": "u1"}
# A picture that decodes to more than this from so few bytes is a bomb or damaged.
LARGE_PIXELS, LARGEST_RATIO = 1 << 28, 1000
PNG_BITS, PNG_KIND, PNG_COLOURS = 24, 25, (2, 6)  # bytes of the header, and what the second says of colours


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
        _, planes, _ = _decoded(path)
        if len(planes) != self.channels:
            raise ReadError(f"{path}: has {len(planes)} channels and had {self.channels}; it has changed")
        yield lambda place: planes[place[1]]


def open_image(path: Path) -> Stack:
    """A picture as a stack of one frame.

    Args:
        path: a PNG or JPEG file.

    Raises:
        ReadError: damaged, animated, or of a kind that is not read.
    """
    kind, planes, note = _decoded(path)
    colours = len(planes) > 1
    return Stack(
        path=path,
        format=kind,
        sizes={"T": 1, "C": len(planes), "Z": 1, "Y": planes.shape[1], "X": planes.shape[2]},
        dtype=planes.dtype,
        channels=tuple(RGB) if colours else ("channel 0",),
        spacing_um={},
        interval_s=None,
        reader=ImageReader(len(planes)),
        notes=(note,) if note else (),
        colours=tuple(RGB.values()) if colours else (None,),
        compression="JPEG" if kind == "JPEG" else "deflate",
    )


def _decoded(path: Path) -> tuple[str, Num[np.ndarray, "c y x"], str]:
    """Format, planes, and what a person should know; colours that are equal everywhere are one grey plane."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of every large picture; the ratio below tells bombs from large pictures.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                _check(path, image)
                kind, mode = image.format or "picture", image.mode
                pixels = _deep(path, kind) if mode == "RGB" else None
                pixels = np.asarray(image) if pixels is None else pixels
    except (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{path}: cannot be read ({error}); copy it again, or export it as TIFF") from error
    if pixels.ndim == 2:
        return kind, np.ascontiguousarray(pixels, dtype=DTYPES[mode])[None], ""
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    if (planes == planes[0]).all():
        return kind, planes[:1], "its three colours are equal and taken as grey"
    return kind, planes, "its colours are taken as three channels"


def _deep(path: Path, kind: str) -> Num[np.ndarray, "y x 3"] | None:
    """Colours of 16 bits, of which Pillow would keep eight; None for any other picture."""
    content = path.read_bytes()
    if kind != "PNG" or content[PNG_BITS] != 16 or content[PNG_KIND] not in PNG_COLOURS:
        return None
    return np.asarray(imagecodecs.png_decode(content))[..., :3]


def _check(path: Path, image: Image.Image) -> None:
    if image.mode not in DTYPES:
        raise ReadError(f"{path}: is stored as {image.mode}, not grey; convert it to grey")
    if getattr(image, "n_frames", 1) != 1:
        raise ReadError(f"{path}: is animated; export its frames as TIFF")
    width, height = image.size
    if width * height > max(LARGE_PIXELS, LARGEST_RATIO * path.stat().st_size):
        raise ReadError(
            f"{path}: announces {height} x {width} px in {path.stat().st_size} bytes; copy it again"
        )
    check_fits(path, (height, width), np.dtype(DTYPES[image.mode]))
