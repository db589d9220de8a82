"""Which file is restored into which, and in which share of a job array."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ENDINGS = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".czi", ".ome.zarr", ".zarr", ".ozx", ".png", ".jpeg", ".jpg", ".mp4",
           ".mov", ".avi", ".lsm", ".stk")  # fmt: skip
FILES: dict[str, tuple[str, ...]] = {
    ".tif": ("ome-tiff", "imagej"), ".tiff": ("ome-tiff", "imagej"), ".zarr": ("ome-zarr",), ".mp4": ("mp4",),
}  # fmt: skip
WRITTEN = {
    None: ".ome.tif",
    "ome-tiff": ".ome.tif",
    "imagej": ".tif",
    "ome-zarr": ".ome.zarr",
    "mp4": ".mp4",
    "png": "",
}


@dataclass(frozen=True)
class Task:
    """One restoration.

    Args:
        source: what is read.
        target: what is written.
        scene: of the source, where all of several are restored.
    """

    source: Path
    target: Path
    scene: str | None = None


def matching(inputs: Sequence[Path], series: str | None = None) -> list[Path]:
    """The inputs; where there is no file of that very name, those that match it as a pattern.

    Shells without patterns, and quoted ones, leave them to the program.

    Args:
        inputs: as they were given.
        series: whether a pattern stands for the frames of one movie, and is left to the reader.
    """
    if series is not None:
        return list(inputs)
    found: list[Path] = []
    for path in inputs:
        named = path.exists() or not glob.has_magic(str(path))
        # `Path.glob` would want to be told where to begin.
        several = [] if named else glob.glob(str(path), recursive=True)  # noqa: PTH207
        found += sorted(map(Path, several)) or [path]
    return found


def targets(sources: Sequence[tuple[Path, str | None]], out: Path, format: str | None = None) -> list[Task]:
    """Each input with its output: the file named, or a name in the folder that tells the inputs apart.

    Args:
        sources: what to restore, with the scene where all of several are.
        out: a name ending in .tif, .zarr or .mp4 for one input, else a folder.
        format: of the outputs; None is OME-TIFF in a folder.

    Raises:
        ConfigError: several inputs and one file, two inputs that would share an output, no such format, or a name of
            another.
    """
    # Imported here: the command line parses its words before anything else is loaded.
    from pssr.errors import ConfigError

    if format not in WRITTEN:
        raise ConfigError(f"format: {format!r} is not one; choose one of {', '.join(filter(None, WRITTEN))}")
    ending = out.suffix.lower()
    if ending == ".zarr" or (ending in ENDINGS and not out.is_dir()):
        if ending not in FILES or format not in (None, *FILES[ending]):
            fit = [end for end, kinds in FILES.items() if format in (None, *kinds)]
            raise ConfigError(
                f"{out}: {format or 'pssr'} writes no {ending} file; name a folder"
                + (f", or a file that ends in {' or '.join(fit)}" if fit else "")
            )
        if len(sources) > 1:
            raise ConfigError(f"{out}: is one file for {len(sources)} inputs; name a folder")
        return [Task(sources[0][0], out, sources[0][1])]
    tasks = [
        Task(source, out / f"{_stem(source.name)}{_part(scene)}_restored{WRITTEN[format]}", scene)
        for source, scene in sources
    ]
    names = [task.target.name for task in tasks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(
            f"{out / twice}: two inputs would be written there; restore them into different folders"
        )
    return tasks


def make_folder(folder: Path) -> None:
    """For the outputs, once it is known that there is something to write.

    Raises:
        WriteError: it cannot be made.
    """
    # Imported here: the command line parses its words before anything else is loaded.
    from pssr.errors import WriteError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error


def shard(text: str | None) -> tuple[int, int]:
    """`2/8` as (2, 8): the second of eight shares; None is the first of one.

    Raises:
        ConfigError: it is no such text.
    """
    # Imported here: the command line parses its words before anything else is loaded.
    from pssr.errors import ConfigError

    if text is None:
        return 1, 1
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ConfigError(f"shard: {text!r} is no share; write it such as 2/8, the second of eight")
    return int(number), int(count)


def part(text: str | None, name: str) -> int | slice | None:
    """`10:20` as a slice and `7` as a number, both counted from 0; None takes all.

    Raises:
        ConfigError: it is no such text.
    """
    # Imported here: the command line parses its words before anything else is loaded.
    from pssr.errors import ConfigError

    if text is None:
        return None
    try:
        numbers = [int(word) if word else None for word in text.split(":")]
        if len(numbers) == 1 and numbers[0] is not None:
            return numbers[0]
        if 2 <= len(numbers) <= 3:
            return slice(*numbers)
    except ValueError:
        pass
    raise ConfigError(f"{name}: {text!r} is neither a number nor a part; write it such as 7, 10:20 or ::2")


def _stem(name: str) -> str:
    ending = next((e for e in ENDINGS if name.lower().endswith(e)), "")
    return name[: len(name) - len(ending)]


def _part(scene: str | None) -> str:
    """Of a name, where a file gives several outputs."""
    return "" if scene is None else "_" + "".join(c if c.isalnum() or c in "-." else "_" for c in scene)
