"""Open a stack: the content of the file decides which format it is."""

import stat
from pathlib import Path

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.images import IMAGE_MAGICS, open_image
from pssr.io.series import in_series, stack_files
from pssr.io.stack import Stack

CZI_MAGIC = b"ZISRAWFILE"
TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_stack(
    path: str | Path,
    *,
    scene: str | int | None = None,
    axes: str | None = None,
    series: str | None = None,
) -> Stack:
    """Read what a file says about itself; its planes are read when asked for.

    The content decides what it is, not the name.

    Args:
        path: a CZI, TIFF (plain, ImageJ or OME), PNG or JPEG file, or with `series` a folder of them.
        scene: name or number; needed where a file has several.
        axes: what the pages of a TIFF are, slowest first, such as "TYX", "ZYX" or "TZYX"; None believes the file.
        series: "T" or "Z" if the path is a folder whose files are frames or depths, in natural order.

    Returns:
        The stack: a value, without an open handle.

    Raises:
        ReadError: missing, not a regular file, damaged, incomplete, or of an unknown or unsupported kind.
        ChoiceNeeded: several scenes and none chosen, or pages of which the file does not say what they are.

    Example:
        >>> stack = open_stack("mito.czi")  # doctest: +SKIP
        >>> stack.sizes, stack.pixel_size_um  # doctest: +SKIP
        ({'T': 100, 'C': 2, 'Z': 1, 'Y': 85, 'X': 85}, 0.0489)
    """
    path = Path(path)
    if series is not None:
        return _series(path, series, scene=scene, axes=axes)
    head = _head(path)
    # Imported here: a TIFF needs no CZI library, and the other way round.
    if head.startswith(CZI_MAGIC):
        from pssr.io.czi import open_czi

        if axes is not None:
            raise ChoiceNeeded(f"{path}: is a CZI and names its own axes; leave axes={axes!r} out")
        return open_czi(path, scene=scene)
    if head[:4] in TIFF_MAGICS:
        from pssr.io.tiff import open_tiff

        return open_tiff(path, scene=scene, axes=axes)
    if head.startswith(IMAGE_MAGICS):
        return open_image(path)
    raise ReadError(
        f"{path}: is not CZI, TIFF, PNG or JPEG (it begins with {head[:8]!r}); export it as OME-TIFF"
    )


def _series(folder: Path, axis: str, *, scene: str | int | None, axes: str | None) -> Stack:
    if axis not in ("T", "Z"):
        raise ChoiceNeeded(f"series: {axis!r} is not a way through a stack; choose T or Z")
    if not folder.is_dir():
        raise ReadError(
            f"{folder}: is not a folder; name the folder of the series, or leave series={axis} out"
        )
    frames = [open_stack(path, scene=scene, axes=axes) for path in stack_files(folder)]
    return in_series(folder, frames, axis)


def _head(path: Path) -> bytes:
    """The first bytes of a regular file; anything else (a folder, a pipe) could block or never end."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            if stat.S_ISDIR(mode):
                raise ReadError(f"{path}: is a folder; name a file, or say series=T if its files are frames")
            raise ReadError(f"{path}: is not a regular file; name a CZI or TIFF file")
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError as error:
        raise ReadError(f"{path}: does not exist; check the name") from error
    except (OSError, ValueError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{path}: cannot be opened ({error}); check the name and permissions") from error
    if not head:
        raise ReadError(f"{path}: is empty; copy it again from the microscope")
    return head
