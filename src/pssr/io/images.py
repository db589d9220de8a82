"""PNG and JPEG through Pillow: one grey plane each."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Num
from PIL import Image

from pssr.errors import ReadError
from pssr.io.stack import Stack

IMAGE_MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
DTYPES = {"1": "u1", "L": "u1", "I;16": "u2", "I;16B": "u2", "I": "i4", "F": "f4", "RGB": "u1"}
# A picture that decodes to more than this from so few bytes is a bomb or damaged.
LARGE_PIXELS, LARGEST_RATIO = 1 << 28, 1000


@dataclass(frozen=True)
class ImageReader:
    """The only plane of a picture."""

    def read(self, path: Path, *, t: int, c: int, z: int) -> Num[np.ndarray, "y x"]:
        """One plane in native byte order; colours that are all grey become grey.

        Raises:
            ReadError: it cannot be decoded, or has colours.
        """
        assert t == c == z == 0
        _, _, pixels = _decoded(path)
        return pixels


def open_image(path: Path) -> Stack:
    """A picture as a stack of one plane.

    Args:
        path: a PNG or JPEG file.

    Raises:
        ReadError: damaged, animated, or with colours.
    """
    kind, mode, pixels = _decoded(path)
    return Stack(
        path=path,
        format=kind,
        sizes={"T": 1, "C": 1, "Z": 1, "Y": pixels.shape[0], "X": pixels.shape[1]},
        dtype=pixels.dtype,
        channels=("channel 0",),
        spacing_um={},
        interval_s=None,
        reader=ImageReader(),
        notes=("its three colours are equal and taken as grey",) if mode == "RGB" else (),
    )


def _decoded(path: Path) -> tuple[str, str, Num[np.ndarray, "y x"]]:
    """Format, mode and pixels."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of every large picture; the ratio below tells bombs from large pictures.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                _check(path, image)
                kind, mode, pixels = image.format or "picture", image.mode, np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{path}: cannot be read ({error}); copy it again, or export it as TIFF") from error
    if mode == "RGB":
        if (pixels != pixels[..., :1]).any():
            raise ReadError(f"{path}: has colours; split its channels, or convert it to grey")
        pixels = pixels[..., 0]
    return kind, mode, np.ascontiguousarray(pixels, dtype=DTYPES[mode])


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
