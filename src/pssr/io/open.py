"""Open a stack: the content of the file decides which format it is."""

import glob
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from pssr.errors import ChoiceNeeded, PssrError, ReadError
from pssr.io.crop import Channels, Part, cropped
from pssr.io.images import IMAGE_MAGICS, open_image
from pssr.io.memory import check_fits
from pssr.io.series import in_series, natural, stack_files
from pssr.io.stack import Stack

CZI_MAGIC = b"ZISRAWFILE"
TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ZIP_MAGIC = b"PK\3\4"


class Choices(TypedDict, total=False):
    """What a person may have to say about a file; each is explained in `open_stack`."""

    scene: str | int | None
    axes: str | None
    series: str | None
    phase: int | None
    missing: str | None


def open_stack(
    path: str | Path | Sequence[str | Path],
    *,
    channel: Channels = None,
    t: Part = None,
    z: Part = None,
    y: Part = None,
    x: Part = None,
    **choices: Unpack[Choices],
) -> Stack:
    """Read what a file says about itself; its planes are read when asked for.

    The content decides what it is, not the name: CZI, TIFF (plain, ImageJ or OME), OME-Zarr (a folder or a zip file),
    PNG, JPEG, MP4, AVI, and what the readers of bioio know where that is installed.

    Args:
        path: of a file, or of a folder that is an OME-Zarr; with `series` of a folder of files, or of several files in one.
        channel: name or number, or several of them; None keeps all.
        t: a number, or a slice such as slice(10, 20); None keeps all. Likewise
        z: along depth,
        y: rows, and
        x: columns, of which only neighbouring ones can be kept.
        choices: what a person may have to say, as keywords:
            `scene`: name or number; needed where a file has several.
            `axes`: what the pages of a TIFF are, slowest first, such as "TYX", "ZYX" or "TZYX"; None believes the file.
            `series`: "T" or "Z" if the path is a folder, or a pattern such as `frames/t*.tif`, whose files are frames
            or depths, in natural order.
            `phase`: number of the phase in a CZI that has several.
            `missing`: what to put where planes are missing: "nan", "zero" or "previous"; None refuses the file.

    Returns:
        The stack: a value, without an open handle.

    Raises:
        ReadError: missing, not a regular file, damaged, incomplete, larger than memory, or of an unknown kind.
        ChoiceNeeded: several scenes and none chosen, or pages of which the file does not say what they are.

    Example:
        >>> stack = open_stack("mito.czi")  # doctest: +SKIP
        >>> stack.sizes, stack.pixel_size_um  # doctest: +SKIP
        ({'T': 100, 'C': 2, 'Z': 1, 'Y': 85, 'X': 85}, 0.0489)
    """
    choices = Choices(**{name: choice for name, choice in choices.items() if choice is not None})  # type: ignore[typeddict-item]
    try:
        if isinstance(path, str | Path):
            stack = _series(Path(path), choices) if "series" in choices else _file(Path(path), choices)
        else:
            stack = _listed([Path(one) for one in path], choices)
    except PssrError:
        raise
    except OSError as error:
        # As when it gets another name, or goes away, in this moment.
        raise ReadError(
            f"{error.filename or path}: cannot be read ({error.strerror or error}); look whether it is still there"
        ) from error
    check_fits(stack.path, (stack.sizes["Y"], stack.sizes["X"]), stack.dtype)
    if all(part is None for part in (channel, t, z, y, x)):
        return stack
    return cropped(stack, channel=channel, t=t, z=z, y=y, x=x)


def _file(path: Path, choices: Choices) -> Stack:
    scene, axes, phase = choices.get("scene"), choices.get("axes"), choices.get("phase")
    missing = choices.get("missing") or "error"
    head = _head(path)
    # Imported here: a TIFF needs no CZI library, and the other way round.
    if head.startswith(CZI_MAGIC):
        from pssr.io.czi import open_czi

        if axes is not None:
            raise ChoiceNeeded(f"{path}: is a CZI and names its own axes; leave axes={axes!r} out")
        return open_czi(path, scene=scene, phase=phase, missing=missing)
    if phase is not None:
        raise ChoiceNeeded(f"{path}: has no phases; leave phase={phase} out")
    if head[:4] in TIFF_MAGICS:
        from pssr.io.tiff import open_tiff

        return open_tiff(path, scene=scene, axes=axes, missing=missing)
    if head == b"" or head.startswith(ZIP_MAGIC):
        from pssr.io.omezarr import open_zarr

        return open_zarr(path, scene=scene)
    if head.startswith(IMAGE_MAGICS):
        return open_image(path)
    return _other(path, head, scene)


def _other(path: Path, head: bytes, scene: str | int | None) -> Stack:
    # Imported here: most stacks need neither.
    from pssr.io.foreign import open_foreign
    from pssr.io.video_read import is_video, open_video

    if is_video(head):
        return open_video(path)
    found = open_foreign(path, scene=scene)
    if found is None:
        raise ReadError(
            f"{path}: is not CZI, TIFF, OME-Zarr, PNG, JPEG, MP4 or AVI (it begins with {head[:8]!r}); export it as "
            "OME-TIFF, or pip install 'pssr-toolkit[bioio]' and the bioio reader of its format"
        )
    return found


def _listed(paths: Sequence[Path], choices: Choices) -> Stack:
    """Files of one folder, as a person has marked them there."""
    if len({path.parent.resolve() for path in paths}) != 1:
        raise ReadError(
            f"series: {len(paths)} files, not all in one folder; name some that lie beside each other"
        )
    return _in_a_row(natural(paths), choices)


def _series(folder: Path, choices: Choices) -> Stack:
    axis = choices.get("series")
    if folder.is_dir():
        files = stack_files(folder)
    elif glob.has_magic(folder.name) and folder.parent.is_dir():
        files = stack_files(folder.parent, folder.name)
    else:
        raise ReadError(
            f"{folder}: is not a folder; name the folder of the series, or leave series={axis} out"
        )
    return _in_a_row(files, choices)


def _in_a_row(files: Sequence[Path], choices: Choices) -> Stack:
    axis = choices.get("series")
    if axis not in ("T", "Z"):
        raise ChoiceNeeded(f"series: {axis!r} is not a way through a stack; choose T or Z", ("T", "Z"))
    inner = Choices(**{name: choice for name, choice in choices.items() if name != "series"})  # type: ignore[typeddict-item]
    return in_series(files[0].parent, [_file(path, inner) for path in files], axis)


def _head(path: Path) -> bytes:
    """The first bytes of a regular file, b"" for an OME-Zarr folder; anything else could block or never end."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return _folder(path, mode)
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


def _folder(path: Path, mode: int) -> bytes:
    # Imported here: most stacks are files.
    from pssr.io.zarr_check import is_zarr

    if not stat.S_ISDIR(mode):
        raise ReadError(f"{path}: is not a regular file; name a CZI or TIFF file")
    if not is_zarr(path):
        raise ReadError(
            f"{path}: is a folder and not an OME-Zarr; name a file, or say series=T if its files are frames"
        )
    return b""
