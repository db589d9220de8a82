"""`pssr predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pssr.cli.options import Axes, Channel, Device, Inputs, Missing, Overwrite, Phase, Scene, Series, Trust

if TYPE_CHECKING:
    from pssr.io.open import Choices

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


def predict(
    model: Annotated[Path, typer.Argument(help="a run folder or a model file", show_default=False)],
    inputs: Inputs,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="a folder, or for one input a .tif, .zarr or .mp4 to write")
    ],
    channel: Channel = None,
    scene: Scene = None,
    axes: Axes = None,
    series: Series = None,
    phase: Phase = None,
    missing: Missing = None,
    device: Device = "auto",
    tile: Annotated[
        int | None, typer.Option(min=8, help="tile side in low-resolution pixels; changes memory, not pixels")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="ome-tiff, imagej, ome-zarr, mp4 or png; else by the ending of -o")
    ] = None,
    imagej: Annotated[bool, typer.Option("--imagej", help="the same as --format imagej, for Fiji")] = False,
    compression: Annotated[str | None, typer.Option(help="none, deflate or zstd")] = None,
    trust: Trust = None,
    overwrite: Overwrite = False,
) -> None:
    """Restore low-resolution stacks, in their own dtype and with their metadata; to OME-TIFF unless said otherwise.

    One bad file does not stop the others; then the exit code is 1.

    \b
    pssr predict runs/mito lowres.czi -o restored.ome.tif
    pssr predict runs/mito lowres/ -o restored/ --channel all
    """
    # Imported here because torch takes seconds, and `pssr --help` must not wait for it.
    from contextlib import closing
    from dataclasses import replace

    from pssr.api import files, load
    from pssr.cli.show import report, stages
    from pssr.errors import PssrError
    from pssr.io.open import Choices, open_stack
    from pssr.predict.predictor import misfits

    format = "imagej" if imagej else format
    pairs = targets(files(inputs, series=series), out, format)
    written = {"format": format, "compression": compression}
    choices = Choices(scene=scene, axes=axes, series=series, phase=phase, missing=missing)
    _ask_first([source for source, _ in pairs], channel, choices)
    predictor = replace(load(model, device=device, trust=trust or ()), tile_px=tile)
    make_folder(pairs[0][1].parent)
    failed: list[PssrError] = []
    with stages() as show:
        for source, target in pairs:
            try:
                stack = open_stack(source, **choices)
                for note in (*stack.notes, *misfits(predictor.model, stack)):
                    report(f"{source.name}: {note}")
                steps = predictor.steps(
                    source, target, channel=channel, overwrite=overwrite, **written, **choices
                )
                with closing(steps):
                    for done, total in steps:
                        show(f"restore {source.name}", done / total)
            except PssrError as error:
                if len(pairs) == 1:
                    raise
                failed.append(error)
                report(f"pssr: {error}")
            else:
                report(f"{target}")
    if failed:
        report(f"pssr: {len(failed)} of {len(pairs)} files failed; the others are restored")
        raise typer.Exit(1)


def _ask_first(sources: list[Path], channel: str | None, choices: "Choices") -> None:
    """What must be chosen is asked for before the first hour of work; what cannot be read is told when its turn comes."""
    # Imported here because torch takes seconds.
    from pssr.errors import ChoiceNeeded, PssrError
    from pssr.io.open import open_stack
    from pssr.predict.predictor import chosen_channels

    for source in sources:
        try:
            chosen_channels(open_stack(source, **choices), channel)
        except ChoiceNeeded:
            raise
        except PssrError:
            continue


def targets(sources: list[Path], out: Path, format: str | None = None) -> list[tuple[Path, Path]]:
    """Each input with its output: the file named, or a name in the folder that tells the inputs apart.

    Args:
        sources: what to restore.
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
        return [(sources[0], out)]
    pairs = [(source, out / f"{_stem(source.name)}_restored{WRITTEN[format]}") for source in sources]
    names = [target.name for _, target in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(
            f"{out / twice}: two inputs would be written there; restore them into different folders"
        )
    return pairs


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


def _stem(name: str) -> str:
    ending = next((e for e in ENDINGS if name.lower().endswith(e)), "")
    return name[: len(name) - len(ending)]
