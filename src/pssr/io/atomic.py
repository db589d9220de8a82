"""Writes that are either complete or an error."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pssr.errors import PssrError, WriteError


def write_all(file: io.FileIO, data: bytes | memoryview) -> None:
    """Write bytes to a file without a buffer: what cannot be written is an error here and not at some later flush.

    Raises:
        OSError: the disk is full, or the like.
    """
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the disk says, in words.

    Args:
        path: the final name.

    Raises:
        WriteError: the disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except PssrError:
        raise
    except OSError as error:
        raise WriteError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or choose another folder"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under `.part`, force it to disk, and rename it: what was there before stays until then.

    Args:
        path: the final name; a file of that name is replaced.
        content: all of it.

    Raises:
        WriteError: the disk is full, or the folder cannot be written to.
    """
    part = path.with_name(path.name + ".part")
    with writing(path):
        try:
            # What a process that was killed left, or a link that somebody else put there, is not written into.
            part.unlink(missing_ok=True)
            # As readable as it will be under its name: the umask cannot be asked for without changing it for all threads.
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
