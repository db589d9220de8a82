"""Which planes of an unfinished file are complete: a line for each, beside the file.

The lines survive a killed process. After a power failure they may run ahead of the planes, so each holds a checksum
of what was stored, and a plane that does not fit its line is written again.
"""

import errno
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pssr.errors import WriteError
from pssr.io.atomic import write_all
from pssr.io.stack import Place

# On Windows a file that another process is writing cannot be replaced anyway.
if sys.platform != "win32":
    import fcntl


class Journal:
    """Lines about one unfinished file, held by one process at a time.

    Args:
        path: of the lines.
        fingerprint: of what is being written; lines about something else are thrown away.
        provenance: of what is being written, for `unfinished`.

    Raises:
        WriteError: another process is writing the same file.
    """

    def __init__(self, path: Path, fingerprint: str, provenance: Mapping[str, Any] | None = None) -> None:
        self.path, self.fingerprint, self.provenance = path, fingerprint, dict(provenance or {})
        self._file = _locked(path)

    def read(self) -> dict[Place, int]:
        """Checksums of the planes that are said to be complete; empty where the lines are about something else."""
        self._file.seek(0)
        return _places(self._file.read(), self.fingerprint)

    def begin(self, done: dict[Place, int]) -> None:
        """Begin anew with the planes that are complete."""
        self._file.seek(0)
        self._file.truncate()
        self._write({"fingerprint": self.fingerprint, "provenance": self.provenance})
        for place, checksum in done.items():
            self.add(place, checksum)

    def add(self, place: Place, checksum: int) -> None:
        """One more plane is complete."""
        self._write([*place, checksum])

    def close(self, *, remove: bool) -> None:
        """Let other processes write the file."""
        if remove:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def _write(self, words: object) -> None:
        write_all(self._file, json.dumps(words).encode() + b"\n")


def is_complete(path: Path, fingerprint: str, planes: int) -> bool:
    """Whether an unfinished file lacks nothing but its name.

    Args:
        path: the name that it would have.
        fingerprint: of what is being written.
        planes: that it holds.
    """
    try:
        lines = path.with_name(path.name + ".part.log").read_bytes()
    except OSError:
        return False
    return len(_places(lines, fingerprint)) == planes


def _places(lines: bytes, fingerprint: str) -> dict[Place, int]:
    found: dict[Place, int] = {}
    for number, line in enumerate(lines.decode(errors="replace").splitlines()):
        try:
            words = json.loads(line)
            if number == 0 and words["fingerprint"] != fingerprint:
                return {}
            if number > 0:
                t, c, z, checksum = words
                found[t, c, z] = checksum
        except (ValueError, TypeError, KeyError):
            # The process ended within this line.
            break
    return found


def unfinished(path: Path) -> dict[str, Any]:
    """What an unfinished file says of what made it; empty where there is none.

    Args:
        path: the name that it would have had.
    """
    try:
        with path.with_name(path.name + ".part.log").open("rb") as file:
            words = json.loads(file.readline())
        return dict(words["provenance"])
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _not_through_links(name: str | Path, flags: int) -> int:
    """A link of that name would lead to a file of somebody's."""
    try:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise WriteError(f"{name}: is a link and in the way; move it away") from error
        raise


def _locked(path: Path) -> io.FileIO:
    """The file, open for this process alone."""
    while True:
        file = io.FileIO(path, "a+", opener=_not_through_links)
        if sys.platform == "win32":
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have removed it in between: then there is a new one to hold.
            if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        except BlockingIOError as error:
            file.close()
            raise WriteError(
                f"{path.name.removesuffix('.part.log')}: is being written by another process; wait for it, or choose "
                "another name"
            ) from error
        except OSError:
            # Some network file systems have no locks.
            return file
        file.close()
