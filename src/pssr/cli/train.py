"""`pssr train`."""

import os
import signal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pssr.cli.options import Axes, Channel, Inputs, Missing, Phase, Register, Scene, Series
from pssr.cli.slurm import requeue
from pssr.cli.stopping import WARNINGS, noted

if TYPE_CHECKING:
    from pssr.config import Config

TEMPORARY = 75  # exit code of a job that will go on later, as sysexits.h has it


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
    preset: Annotated[
        str | None, typer.Option(help="settings to start from: movie (the default), single or zstack")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="a YAML file of settings, over those of the preset")
    ] = None,
    scale: Annotated[
        int | None, typer.Option(help="restored pixels per low-resolution pixel: 1, 2, 3, 4, 8")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="frames in a bundle: 1, 3 or 5")] = None,
    size: Annotated[str | None, typer.Option(help="of the network: fast, small or quality")] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="a model or run folder to start from; its settings are used unless others are named"
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="training steps in all")] = None,
    batch: Annotated[int | None, typer.Option(help="patches in a step; 0 takes as many as fit")] = None,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the plan, and write nothing")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="remove the run that is in the folder, and begin anew")
    ] = False,
) -> None:
    """Train a model on high-resolution stacks alone, or with real low-resolution partners beside them.

    Low-resolution copies are made while it trains. Run the same command again to continue. Settings: preset,
    then --config, then the options here, then --set.

    \b
    pssr train good_movies/ -o runs/mito
    pssr train mito.czi -o runs/mito --channel mito --scale 4 --max-time 600
    pssr train more/ -o runs/mito2 --init runs/mito --steps 2000
    pssr train good/ --low fast/ -o runs/pairs --set crappifier=mito.yaml
    pssr train stack.tif -o runs/em --preset zstack --axes ZYX --set crappifier.poisson.peak=[50,200]
    """
    # Imported here because torch takes seconds, and `pssr --help` must not wait for it.
    from contextlib import closing

    from pssr.api import movies
    from pssr.assignments import assignments
    from pssr.cli.show import CONSOLE, follow, plan, report
    from pssr.io.open import Choices
    from pssr.training.events import PhaseStarted
    from pssr.training.fit import fit

    CONSOLE.quiet = os.environ.get("RANK", "0") != "0"
    named = {
        "scale": scale, "frames": frames, "network.edsr.size": size, "train.steps": steps, "data.batch": batch,
        "train.max_time_s": max_time, "train.device": device, "seed": seed, "data.align": register or None,
        "init": str(init) if init else None,
    }  # fmt: skip
    chosen = begun(preset, config, init).changed({k: v for k, v in named.items() if v is not None})
    chosen = chosen.changed(assignments(settings or []))
    choices = Choices(scene=scene, axes=axes, series=series, phase=phase, missing=missing)
    found, lows = (
        movies(given, axis=chosen.axis, channel=channel, **choices) for given in (inputs, low or [])
    )
    for note in dict.fromkeys(f"{m.stack.path.name}: {note}" for m in found + lows for note in m.stack.notes):
        report(note)
    received: list[int] = []
    events = fit(chosen, found, out, lows=lows, restart=restart, asked_to_stop=lambda: bool(received))
    with closing(events):
        # Until here nothing is lost by leaving at once; from here on a step is always done to its end.
        first = next(events)
        if dry_run:
            assert isinstance(first, PhaseStarted)
            print(plan(first))
            return
        with noted(received):
            finished = follow(chain([first], events))
    if not finished:
        leave_for_now(received)
    print(f"model: {out / 'model.safetensors'}\nnext:  pssr predict {out} LOW_RESOLUTION_FILES -o restored/")


def begun(preset: str | None, config: Path | None, init: Path | None) -> "Config":
    """The settings before any named ones: of the file, the preset, or the model to start from."""
    from pssr.config import Train, read
    from pssr.config import preset as named_preset
    from pssr.model_file import load

    if init and preset is None:
        base = load(init).config.model_copy(update={"train": Train(), "init": None})
    else:
        base = named_preset(preset or "movie")
    return read(config, base) if config else base


def leave_for_now(received: list[int]) -> None:
    """The training is saved; a job that was warned by its scheduler asks to be run again."""
    from pssr.cli.show import CONSOLE, report

    if received and received[0] in WARNINGS:
        if not CONSOLE.quiet:
            report(requeue())
        raise SystemExit(TEMPORARY)
    raise SystemExit(128 + (received[0] if received else signal.SIGTERM))
