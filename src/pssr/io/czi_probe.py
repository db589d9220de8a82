"""Let another process open a CZI first: a damaged file may end the interpreter that reads it.

Run as `python -m pssr.io.czi_probe PATH`, it opens the file with the native library and reads one plane.
"""

import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from pssr.errors import ReadError

LIMIT_S = 20.0
LIBRARY_ABSENT, UNREADABLE = 3, 4


def probe(path: Path) -> None:
    """Refuse a file that ends, or hangs, a process that opens it.

    A file that has not changed is probed once in a process; it costs about a third of a second.

    Args:
        path: a CZI whose structure was checked.

    Raises:
        ReadError: the other process died, hung, or could not read it, or the library is not installed.
    """
    about = path.stat()
    _probed(path.resolve(), about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=4096)
def _probed(path: Path, _size: int, _mtime_ns: int) -> None:
    command = [sys.executable, "-P", "-m", __name__, str(path)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ReadError(
            f"{path}: reading it took more than {LIMIT_S:g} s; it is damaged, copy it again"
        ) from error
    if found.returncode == LIBRARY_ABSENT:
        raise ReadError(
            f"{path}: reading CZI needs aicspylibczi; pip install 'pssr-toolkit[czi]', or export to OME-TIFF"
        )
    if found.returncode == UNREADABLE:
        raise ReadError(f"{path}: cannot be read ({found.stdout.strip()}); copy it again from the microscope")
    if found.returncode != 0:
        raise ReadError(
            f"{path}: ends the process that reads it (code {found.returncode}); it is damaged, copy it again"
        )


def main(path: str) -> int:
    """Open the file and read one plane; the exit code says how it went."""
    try:
        from aicspylibczi import CziFile
    except ImportError:
        return LIBRARY_ABSENT
    try:
        with Path(path).open("rb") as file:
            czi = CziFile(file)
            first = {
                axis: start for axis, (start, _) in czi.get_dims_shape()[0].items() if axis not in "YXAM"
            }
            czi.read_image(**first)
    except (RuntimeError, OSError, ValueError) as error:
        sys.stdout.write(str(error).splitlines()[0] if str(error) else type(error).__name__)
        return UNREADABLE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
