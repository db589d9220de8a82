"""`pssr train`."""

import os
import re
import signal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pssr.cli.options import Axes, Inputs, Missing, Phase, Register, Scene, Series
from pssr.cli.slurm import requeue
from pssr.cli.stopping import WARNINGS, noted

if TYPE_CHECKING:
    from pssr.config import Config
    from pssr.io.open import Choices

EACH = "each"  # channel
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
    channel: Annotated[
        str | None,
        typer.Option(
            help="name or number of the channel; all for one model of all, each for one model of each, in folders of their names",
            show_default=False,
        ),
    ] = None,
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
    from pssr.assignments import assignments
    from pssr.cli.show import CONSOLE
    from pssr.io.open import Choices

    CONSOLE.quiet = not first_process()
    named = {
        "scale": scale, "frames": frames, "network.edsr.size": size, "train.steps": steps, "data.batch": batch,
        "train.max_time_s": max_time, "train.device": device, "seed": seed, "data.align": register or None,
        "init": str(init) if init else None,
    }  # fmt: skip
    chosen = begun(preset, config, init).changed({k: v for k, v in named.items() if v is not None})
    chosen = chosen.changed(assignments(settings or []))
    choices = Choices(scene=scene, axes=axes, series=series, phase=phase, missing=missing)
    for folder, one in runs_of(out, inputs, channel, choices):
        train_one(chosen, folder, inputs, low or [], one, choices, restart=restart, dry_run=dry_run)


def runs_of(
    out: Path, inputs: list[Path], channel: str | None, choices: "Choices"
) -> list[tuple[Path, str | None]]:
    """Run folders and their channels: one, or with `each` one for each channel."""
    # Imported here because torch takes seconds.
    from pssr.api import files
    from pssr.io.open import open_stack

    if channel != EACH:
        return [(out, channel)]
    names = open_stack(files(inputs, series=choices.get("series"))[0], **choices).channels
    folders = [re.sub(r"[^\w.-]+", "_", name).strip("._") or "channel" for name in names]
    # Names that differ by signs alone.
    folders = [f"{folder}_{k}" if folders.count(folder) > 1 else folder for k, folder in enumerate(folders)]
    return [(out / folder, name) for folder, name in zip(folders, names, strict=True)]


def train_one(
    config: "Config",
    out: Path,
    inputs: list[Path],
    low: list[Path],
    channel: str | None,
    choices: "Choices",
    *,
    restart: bool,
    dry_run: bool,
) -> None:
    """Train one model, and show it."""
    # Imported here because torch takes seconds.
    from contextlib import closing

    from pssr.api import movies
    from pssr.cli.show import follow, plan, report
    from pssr.training.events import PhaseStarted
    from pssr.training.fit import fit

    received: list[int] = []
    # A warning may come while stacks are read; it is minded after the first step.
    with noted(received, WARNINGS):
        good, lows = (movies(given, axis=config.axis, channel=channel, **choices) for given in (inputs, low))
        for note in dict.fromkeys(
            f"{m.stack.path.name}: {note}" for m in good + lows for note in m.stack.notes
        ):
            report(note)
        events = fit(config, good, out, lows=lows, restart=restart, asked_to_stop=lambda: bool(received))
        with closing(events):
            # Until here nothing is lost by leaving at once; from here on a step is always done to its end.
            first = next(events)
            if dry_run:
                assert isinstance(first, PhaseStarted)
                tell(f"{out}: {plan(first)}")
                return
            with noted(received):
                finished = follow(chain([first], events))
    if not finished:
        leave_for_now(received)
    tell(f"model: {out / 'model.safetensors'}\nnext:  pssr predict {out} LOW_RESOLUTION_FILES -o restored/")


def tell(lines: str) -> None:
    """Print what is the result, once for all processes."""
    if first_process():
        print(lines)


def first_process() -> bool:
    """Whether this is the one of those that `torchrun` started that speaks and writes."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def begun(preset: str | None, config: Path | None, init: Path | None) -> "Config":
    """The settings before any named ones: of the file, the preset, or the model to start from."""
    from pssr.config import Train, read_config
    from pssr.config import preset as named_preset
    from pssr.model_file import load

    if init and preset is None:
        base = load(init).config.model_copy(update={"train": Train(), "init": None})
    else:
        base = named_preset(preset or "movie")
    return read_config(config, base) if config else base


def leave_for_now(received: list[int]) -> None:
    """The training is saved; a job that was warned by its scheduler asks to be run again."""
    from pssr.cli.show import report

    if received and received[0] in WARNINGS:
        if first_process():
            report(requeue())
        raise SystemExit(TEMPORARY)
    raise SystemExit(128 + (received[0] if received else signal.SIGTERM))
