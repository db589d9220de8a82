"""`pssr predict`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pssr.cli.options import (
    Axes,
    Channel,
    Device,
    Inputs,
    Missing,
    Overwrite,
    Phase,
    Scene,
    Series,
    Trust,
)
from pssr.cli.targets import make_folder, matching, part, shard


def predict(
    model: Annotated[Path, typer.Argument(help="a run folder or a model file", show_default=False)],
    inputs: Inputs,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="a folder, or for one input a .tif, .zarr or .mp4 to write")
    ],
    channel: Channel = None,
    scene: Scene = None,
    t: Annotated[str | None, typer.Option(help="frames, such as 7, 10:20 or ::2, counted from 0")] = None,
    z: Annotated[str | None, typer.Option(help="depths, likewise")] = None,
    y: Annotated[str | None, typer.Option(help="rows of the field, such as 100:356")] = None,
    x: Annotated[str | None, typer.Option(help="columns of the field")] = None,
    nan: Annotated[str, typer.Option(help="pixels that are not numbers: refuse, or zero")] = "refuse",
    axes: Axes = None,
    series: Series = None,
    phase: Phase = None,
    missing: Missing = None,
    format: Annotated[
        str | None, typer.Option(help="ome-tiff, imagej, ome-zarr, mp4 or png; else by the ending of -o")
    ] = None,
    imagej: Annotated[bool, typer.Option("--imagej", help="the same as --format imagej, for Fiji")] = False,
    compression: Annotated[str | None, typer.Option(help="none, deflate or zstd")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="uint8, uint16, float32, ...: counts stay counts; else as the input")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="write the low-resolution frames, enlarged, as channels beside")
    ] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="write a second file: how far answers lie apart, in counts")
    ] = False,
    tta: Annotated[
        bool, typer.Option("--tta", help="average over eight flips and turns; takes eight times as long")
    ] = False,
    average: Annotated[
        list[Path] | None, typer.Option(help="a further model to average with; as often as needed")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="refuse stacks that are not like those of the training")
    ] = False,
    device: Device = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16, fp16; auto measures which is fast")] = "auto",
    compile: Annotated[
        bool, typer.Option("--compile", help="compile the network first: a minute or two once")
    ] = False,
    tile: Annotated[
        int | None, typer.Option(min=8, help="tile side in low-resolution pixels; changes memory, not pixels")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes on this machine that share the work, into OME-Zarr")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="address of a dask scheduler whose workers share the work, into OME-Zarr"),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option("--shard", help="this job's share, such as 2/8: of the inputs, or of one's frames"),
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="leave out inputs whose output exists")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="a JSON object on standard output for each event")
    ] = False,
    trust: Trust = None,
    overwrite: Overwrite = False,
) -> None:
    """Restore low-resolution stacks, in their own dtype and with their metadata; to OME-TIFF unless said otherwise.

    The same command again goes on where one was interrupted. One bad file does not stop the others; then the exit code is 1.

    \b
    pssr predict runs/mito lowres.czi -o restored.ome.tif
    pssr predict runs/mito lowres/ -o restored/ --channel all --skip-existing
    pssr predict runs/mito big.czi -o big.ome.zarr --workers 4
    """
    # Imported here because torch takes seconds, and `pssr --help` must not wait for it.
    from dataclasses import replace

    from pssr.api import load
    from pssr.cli.restoring import Sharing, restore_all, tasks_of

    words: dict[str, Any] = {
        "channel": channel, "t": part(t, "t"), "z": part(z, "z"), "y": part(y, "y"), "x": part(x, "x"), "nan": nan,
        "axes": axes, "series": series, "phase": phase, "missing": missing, "format": "imagej" if imagej else format,
        "compression": compression, "dtype": dtype, "compare": compare, "uncertainty": uncertainty, "strict": strict,
        "overwrite": overwrite,
    }  # fmt: skip
    number, count = shard(share)
    tasks = tasks_of(matching(inputs, series), out, scene, words)
    sharing = Sharing(number, count, workers, scheduler)
    paths = [model, *(average or [])]
    predictor = load(paths, device=device, precision=precision, trust=trust or ())
    predictor = replace(predictor, tile_px=tile, turns=tta, compiled=compile)
    make_folder(tasks[0].target.parent)
    restore_all(predictor, tasks, words, sharing, skip_existing=skip_existing, as_json=json)
