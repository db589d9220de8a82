"""`pssr train`."""

from pathlib import Path
from typing import Annotated

import typer

from pssr.cli.options import Axes, Channel, Inputs, Missing, Phase, Register, Scene, Series
from pssr.cli.stopping import between_events


def train(
    inputs: Inputs,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="the run folder; an interrupted run in it is continued")
    ],
    low: Annotated[
        list[Path] | None,
        typer.Option(help="real low-resolution partners of the inputs, in their order; files or folders"),
    ] = None,
    register: Register = False,
    preset: Annotated[str, typer.Option(help="movie, single or zstack: settings to start from")] = "movie",
    config: Annotated[Path | None, typer.Option(help="a YAML file of settings, instead of a preset")] = None,
    scale: Annotated[
        int | None, typer.Option(help="restored pixels per low-resolution pixel: 1, 2, 3, 4, 8")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="frames in a bundle: 1, 3 or 5")] = None,
    size: Annotated[str | None, typer.Option(help="of the network: fast, small or quality")] = None,
    steps: Annotated[int | None, typer.Option(help="training steps in all")] = None,
    max_time: Annotated[float | None, typer.Option(help="seconds of training in all")] = None,
    channel: Channel = None,
    scene: Scene = None,
    axes: Axes = None,
    series: Series = None,
    phase: Phase = None,
    missing: Missing = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps")] = None,
    seed: Annotated[int | None, typer.Option(help="of every random draw")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="any setting, such as train.lr=5e-4")
    ] = None,
) -> None:
    """Train a model on high-resolution stacks alone, or with real low-resolution partners beside them.

    Low-resolution copies are made while it trains. Run the same command again to continue. Settings: preset,
    then --config, then the options here, then --set.

    \b
    pssr train good_movies/ -o runs/mito
    pssr train mito.czi -o runs/mito --channel mito --scale 4 --max-time 600
    pssr train good/ --low fast/ -o runs/pairs --set crappifier=mito.yaml
    pssr train stack.tif -o runs/em --preset zstack --axes ZYX --set crappifier.poisson.peak=[50,200]
    """
    # Imported here because torch takes seconds, and `pssr --help` must not wait for it.
    from contextlib import closing

    from pssr.api import movies
    from pssr.assignments import assignments
    from pssr.cli.show import follow, report
    from pssr.config import preset as named_preset
    from pssr.config import read
    from pssr.io.open import Choices
    from pssr.training.fit import fit

    named = {
        "scale": scale, "frames": frames, "network.edsr.size": size, "train.steps": steps,
        "train.max_time_s": max_time, "train.device": device, "seed": seed, "data.align": register or None,
    }  # fmt: skip
    chosen = read(config) if config else named_preset(preset)
    chosen = chosen.changed({k: v for k, v in named.items() if v is not None}).changed(
        assignments(settings or [])
    )
    choices = Choices(scene=scene, axes=axes, series=series, phase=phase, missing=missing)
    found, lows = (
        movies(given, axis=chosen.axis, channel=channel, **choices) for given in (inputs, low or [])
    )
    for note in dict.fromkeys(
        f"{one.stack.path.name}: {note}" for one in found + lows for note in one.stack.notes
    ):
        report(note)
    with between_events() as check, closing(fit(chosen, found, out, lows=lows)) as events:
        follow(events, check)
    print(f"model: {out / 'model.safetensors'}\nnext:  pssr predict {out} LOW_RESOLUTION_FILES -o restored/")
