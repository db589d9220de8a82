"""Put a finished file or folder under its name; what may not be replaced is refused before the work."""

import errno
import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from pssr.errors import WriteError
from pssr.io.zarr_check import is_zarr
from pssr.io.zarr_chunks import METADATA

PNG_NAME = r"(plane|[TCZ]\d+(_[CZ]\d+)*)\.png"  # as pssr names planes
SOFTWARE_MARK = b"Software\0pssr-toolkit"
WAITS_S = (0.01, 0.05, 0.2, 1.0)  # before a folder is looked at again


def check_place(path: Path, folder: bool, overwrite: bool, sources: Sequence[Path]) -> None:
    """Refuse a name under which nothing can or may be written.

    Args:
        path: the name.
        folder: whether a folder is to be written there.
        overwrite: whether one of the same kind may be replaced.
        sources: what is being read; it is never replaced.

    Raises:
        WriteError: says why.
    """
    parent = path.parent
    if path.exists() and any(source.exists() and path.samefile(source) for source in sources):
        raise WriteError(f"{path}: is the file to read from; choose another name")
    if not parent.is_dir():
        raise WriteError(f"{path}: its folder does not exist; make {parent} first")
    if path.is_symlink():
        raise WriteError(f"{path}: is a link or not a file; choose another name")
    if path.exists():
        if path.is_dir() != folder or not (path.is_file() or path.is_dir()):
            raise WriteError(
                f"{path}: is a link or not a {'folder' if folder else 'file'}; choose another name"
            )
        if not overwrite:
            raise WriteError(
                f"{path}: exists already; choose another name, or say overwrite=True (--overwrite)"
            )
        if folder and not _replaceable(path):
            raise WriteError(f"{path}: holds other things than a stack; choose another name")
    if not os.access(parent, os.W_OK):
        raise WriteError(f"{path}: its folder cannot be written to; choose another one")


def _replaceable(path: Path) -> bool:
    """Whether a folder is a stack and nothing else, so that replacing it loses nothing else."""
    if is_zarr(path):
        return all(_of_zarr(inside) for inside in path.iterdir())
    return all(
        re.fullmatch(PNG_NAME, inside.name) and inside.is_file() and _by_pssr(inside)
        for inside in path.iterdir()
    )


def _of_zarr(path: Path) -> bool:
    """Whether something in a store is part of it: its description, or a group or array."""
    return path.name in METADATA or (path.is_dir() and (is_zarr(path) or path.name == "OME"))


def _by_pssr(path: Path) -> bool:
    """Whether a PNG says that pssr wrote it."""
    with path.open("rb") as file:
        return SOFTWARE_MARK in file.read(4096)


def replace_with(path: Path, part: Path, overwrite: bool) -> None:
    """Rename what is finished; what was there is gone only when the new one is in its place.

    Args:
        path: the name.
        part: what is finished.
        overwrite: whether something there may be replaced.

    Raises:
        WriteError: something appeared there meanwhile.
        OSError: it cannot be renamed.
    """
    if path.exists() and not overwrite:
        raise WriteError(f"{path}: appeared while it was being written; choose another name")
    if part.is_file():
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        return
    before = path.with_name(path.name + ".before")
    if path.exists():
        path.rename(before)
    try:
        part.rename(path)
    except OSError:
        if before.exists():
            before.rename(path)
        raise
    remove(before)


def remove(*paths: Path) -> None:
    """Remove files and folders that are there."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            _remove_folder(path)
        else:
            path.unlink(missing_ok=True)


def _remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it.

    Zarr writes in threads, and the others are not stopped by the error of one: for a moment files may still come and go.
    """
    for wait_s in WAITS_S:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        time.sleep(wait_s)
        if not folder.exists():
            return
    shutil.rmtree(folder)
