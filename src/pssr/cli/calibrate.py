"""`pssr calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from pssr.cli.options import Axes, Channel, Inputs, Missing, Overwrite, Phase, Register, Scene, Series


def calibrate(
    inputs: Inputs,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="the crappifier to write, as .yaml; a figure beside it")
    ],
    high: Annotated[
        list[Path] | None,
        typer.Option(help="the same fields at high resolution, for the blur; as often as needed"),
    ] = None,
    register: Register = False,
    dark: Annotated[Path | None, typer.Option(help="a recording without light, for the offset")] = None,
    channel: Channel = None,
    scene: Scene = None,
    axes: Axes = None,
    series: Series = None,
    phase: Phase = None,
    missing: Missing = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure gain, offset and noise in real low-resolution stacks: a crappifier fitted to your microscope.

    Movies of three frames or more are best, all taken with the same settings. Look at the figure: the points must
    lie on the line, and real and crappified spectra and histograms on each other.

    \b
    pssr calibrate lowres.czi --channel mito -o mito.yaml
    pssr calibrate low1.tif low2.tif --high good1.tif --high good2.tif --register -o mito.yaml
    pssr train good_movies/ -o runs/mito --set crappifier=mito.yaml
    """
    # Imported here because torch takes seconds, and `pssr --help` must not wait for it.
    from pssr.api import calibrate as measure
    from pssr.cli.words import as_options
    from pssr.io.open import Choices

    choices = Choices(scene=scene, axes=axes, series=series, phase=phase, missing=missing)
    found = measure(
        inputs,
        highs=high or (),
        dark=dark,
        out=out,
        align=register,
        overwrite=overwrite,
        channel=channel,
        **choices,
    )
    print("\n".join(map(as_options, found.lines())))
    print(f"{out}\n{out.with_suffix('.png')}")
