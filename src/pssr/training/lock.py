"""One training to a folder at a time."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pssr.errors import ConfigError, WriteError

if sys.platform != "win32":
    import fcntl

NAME = ".lock"
LOOKS, LOOK_S = 4, 0.05


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process; the lock is gone with the process and its workers, however they end.

    A folder that was made here and in which nothing came to be is removed.

    Args:
        folder: of the run; made if absent.

    Raises:
        ConfigError: another process trains in it.
        WriteError: the folder cannot be made.
    """
    try:
        new = _made(folder)
        file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
    try:
        _hold(folder, file)
        try:
            yield
        finally:
            # The file of a run stays: whoever removes one that another process has just opened lets two in.
            if new and [inside.name for inside in folder.iterdir()] == [NAME]:
                (folder / NAME).unlink()
                _remove_empty(new)
    finally:
        os.close(file)


def _made(folder: Path) -> list[Path]:
    """The folder and those above it that came to be here; none where another process made it at the same time."""
    above = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
        return []
    return [folder, *above]


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            # Something else has come to be in it.
            return


def _lock(file: int) -> None:
    """Take the lock; whoever only looks who holds it has it for a moment.

    Raises:
        BlockingIOError: it is held for longer.
    """
    for _ in range(LOOKS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(LOOK_S)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _hold(folder: Path, file: int) -> None:
    if sys.platform == "win32":
        return
    try:
        _lock(file)
    except BlockingIOError as error:
        holder = os.pread(file, 200, 0).decode(errors="replace").strip() or "another process"
        raise ConfigError(
            f"{folder}: is being trained by {holder}; wait for it, stop it, or choose another folder"
        ) from error
    except OSError:
        # Some network file systems have no locks.
        return
    os.ftruncate(file, 0)
    os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
