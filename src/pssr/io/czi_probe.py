"""Let another process open a CZI first: a damaged file may end the interpreter that reads it.

Run as `python -m pssr.io.czi_probe PATH T=0 C=0`, it opens the file with the native library and reads that plane.
"""

import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from pssr.errors import ReadError

LIMIT_S = 20.0
UNREADABLE = 4


def probe(path: Path, place: Mapping[str, int]) -> None:
    """Refuse a file that ends, or hangs, a process that opens it.

    A file that has not changed is probed once in a process; it costs about a tenth of a second. Without the native
    library there is nothing to fear, and nothing is done.

    Args:
        path: a CZI whose structure was checked.
        place: index along every axis of a plane that is there.

    Raises:
        ReadError: the other process died, hung, or could not read it.
    """
    if not find_spec("aicspylibczi"):
        return
    about = path.stat()
    words = tuple(f"{axis}={k}" for axis, k in place.items())
    _probed(path.resolve(), about.st_size, about.st_mtime_ns, words)


@lru_cache(maxsize=4096)
def _probed(path: Path, _size: int, _mtime_ns: int, place: tuple[str, ...]) -> None:
    command = [sys.executable, "-P", "-m", __name__, str(path), *place]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ReadError(
            f"{path}: reading it took more than {LIMIT_S:g} s; it is damaged, copy it again"
        ) from error
    if found.returncode == UNREADABLE:
        raise ReadError(f"{path}: cannot be read ({found.stdout.strip()}); copy it again from the microscope")
    if found.returncode != 0:
        raise ReadError(
            f"{path}: ends the process that reads it (code {found.returncode}); it is damaged, copy it again"
        )


def main(path: str, *place: str) -> int:
    """Open the file and read one plane; the exit code says how it went."""
    # Imported here: an extra, under another licence.
    from aicspylibczi import CziFile

    try:
        with Path(path).open("rb") as file:
            CziFile(file).read_image(**{word[0]: int(word[2:]) for word in place})
    except (RuntimeError, OSError, ValueError) as error:
        sys.stdout.write(str(error).splitlines()[0] if str(error) else type(error).__name__)
        return UNREADABLE
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
