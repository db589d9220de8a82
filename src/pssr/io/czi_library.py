"""Pixels of a CZI: through aicspylibczi, or through czifile where the former has no wheel."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import numpy as np

from pssr.errors import ReadError

# (index along every axis, byte at which the block begins) -> (Y, X), or (Y, X, 3) in the order red, green, blue
ReadBlock: TypeAlias = Callable[[Mapping[str, int], int], np.ndarray]


def installed(path: Path) -> Callable[[Path], AbstractContextManager[ReadBlock]]:
    """The library that is here: it opens a file for reading blocks.

    Args:
        path: for the message.

    Raises:
        ReadError: none is installed.
    """
    if find_spec("aicspylibczi"):
        return with_libczi
    if find_spec("czifile"):
        return with_czifile
    raise ReadError(
        f"{path}: reading CZI needs aicspylibczi; pip install 'pssr-toolkit[czi]', or export to OME-TIFF"
    )


@contextmanager
def with_libczi(path: Path) -> Iterator[ReadBlock]:
    """The native library: fast; a damaged file may end the process, so another process opens it first."""
    # Imported here: an extra, under another licence.
    from aicspylibczi import CziFile

    # Given a name, the library would leave the file open until it is collected as garbage.
    with path.open("rb") as file:
        czi = CziFile(file)

        def read(names: Mapping[str, int], _at: int) -> np.ndarray:
            pixels, found = czi.read_image(**names)
            varying = [name for name, size in found if size != 1 and name not in "YXA"]
            if varying:
                raise ValueError(f"it is not one plane but varies along {varying}")
            if ("A", 3) in found:
                # The library gives blue, green, red.
                return np.ascontiguousarray(pixels.reshape(pixels.shape[-3:])[..., ::-1])
            return np.ascontiguousarray(pixels.reshape(pixels.shape[-2:]))

        yield read


@contextmanager
def with_czifile(path: Path) -> Iterator[ReadBlock]:
    """Pure Python: slower, and everywhere."""
    # Imported here: an extra, of Python 3.12 and later.
    from czifile import CziFile

    with CziFile(path) as czi:
        entries = {entry.file_position: entry for entry in czi.subblock_directory}

        def read(_names: Mapping[str, int], at: int) -> np.ndarray:
            pixels = entries[at].read_segment_data(czi).data()
            plane = pixels.reshape(pixels.shape[-3:])
            return np.ascontiguousarray(plane if plane.shape[-1] > 1 else plane[..., 0])

        yield read
