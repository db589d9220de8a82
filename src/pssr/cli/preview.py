"""`pssr preview`."""

from pathlib import Path
from typing import Annotated

import typer

from pssr.cli.options import Axes, Channel, Missing, Overwrite, Phase, Scene, Series


def preview(
    high: Annotated[Path, typer.Argument(help="good frames: a stack", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="the picture to write, as .png")],
    low: Annotated[Path | None, typer.Option(help="real low-resolution frames to compare with")] = None,
    crappifier: Annotated[
        str | None, typer.Option(help="a file from `pssr calibrate`, or a recipe such as airyscan")
    ] = None,
    preset: Annotated[str, typer.Option(help="movie, single or zstack")] = "movie",
    scale: Annotated[int | None, typer.Option(help="restored pixels per low-resolution pixel")] = None,
    channel: Channel = None,
    low_channel: Annotated[
        str | None, typer.Option(help="of the real frames, where it is another than --channel")
    ] = None,
    scene: Scene = None,
    axes: Axes = None,
    series: Series = None,
    phase: Phase = None,
    missing: Missing = None,
    overwrite: Overwrite = False,
) -> None:
    """Look before you train: good frames, what the crappifier makes of them, and what your microscope gives.

    Warns where crappified frames are clearly noisier, cleaner, sharper or blurrier than real ones, and where thin
    filaments sink into the noise.

    \b
    pssr preview good.czi --channel mito -o preview.png
    pssr preview good.czi --low fast.czi --channel mito --crappifier mito.yaml -o preview.png
    """
    # Imported here because torch takes seconds, and `pssr --help` must not wait for it.
    from pssr.api import movies
    from pssr.api import preview as draw
    from pssr.config import preset as named_preset
    from pssr.errors import ConfigError
    from pssr.io.open import Choices

    choices = Choices(scene=scene, axes=axes, series=series, phase=phase, missing=missing)
    config = named_preset(preset).changed({} if scale is None else {"scale": scale})
    if "all" in (channel, low_channel):
        raise ConfigError("channel: a picture shows one; choose it by name or number")
    good = movies([high], axis=config.axis, channel=channel, **choices)[0]
    real = movies([low], axis=config.axis, channel=low_channel or channel, **choices)[0] if low else None
    picture = draw(good, low=real, crappifier=crappifier, config=config)
    for warning in picture.warnings:
        print(f"warning: {warning}")
    print(picture.save(out, overwrite=overwrite))
