"""Refuse what cannot be held, before anything is allocated."""

from pathlib import Path

import numpy as np
import psutil

from pssr.errors import ReadError

# A plane is decoded, converted and restored: it is held a few times over.
COPIES = 3
MOST_PLANES = 1_000_000  # beyond this a file is damaged, or made to harm


def check_fits(path: Path, shape: tuple[int, int], dtype: np.dtype) -> None:
    """Refuse a file one plane of which would not fit into free memory.

    Args:
        path: for the message.
        shape: (Y, X) that the file announces.
        dtype: of its pixels.

    Raises:
        ReadError: says the size announced and the memory free.
    """
    needed, free = shape[0] * shape[1] * dtype.itemsize, psutil.virtual_memory().available
    if COPIES * needed > free:
        raise ReadError(
            f"{path}: announces planes of {shape[0]} x {shape[1]} px ({needed / 1e9:.1f} GB each) and "
            f"{free / 1e9:.1f} GB of memory are free; it is damaged, or needs a larger machine"
        )
