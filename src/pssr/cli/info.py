"""`pssr info`."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pssr.cli.options import Axes, Phase, Scene, Series

if TYPE_CHECKING:
    from pssr.io.open import Choices
    from pssr.io.stack import Stack

LABELS = {"spacing_um": "pixel size um", "interval_s": "interval s"}
FULL = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))  # largest values of detectors
SATURATED_SHARE = 1e-3  # of the pixels of a plane, from which on a person should know


def info(
    files: Annotated[
        list[Path], typer.Argument(help="stacks, model files or run folders", show_default=False)
    ],
    scene: Scene = None,
    axes: Axes = None,
    series: Series = None,
    phase: Phase = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line, for scripts")] = False,
) -> None:
    """Say what is in a stack or a model: axes, channels, pixel size, interval, scale, scores, and anything odd.

    Every scene of a file is told. One file that cannot be read does not stop the others; then the exit code is 1.

    \b
    pssr info mito.czi restored.ome.tif
    pssr info --json mito.czi
    pssr info runs/mito
    """
    # Imported here: the command line parses its words before anything else is loaded.
    from pssr.cli.show import report
    from pssr.errors import PssrError
    from pssr.io.open import Choices

    # What is missing is told; it does not keep a person from hearing the rest.
    choices = Choices(scene=scene, axes=axes, series=series, phase=phase, missing="zero")
    failed = False
    for path in files:
        is_run = any((path / name).exists() for name in ("model.safetensors", "config.yaml"))
        try:
            told = [_of_model(path)] if is_run or path.suffix == ".safetensors" else _of_file(path, choices)
            for about in told:
                line = {"path": str(path), **about}
                print(json.dumps(line, allow_nan=False) if as_json else _lines(path, about))
        except PssrError as error:
            if len(files) == 1:
                raise
            failed = True
            report(f"pssr: {error}")
    if failed:
        raise typer.Exit(1)


def _of_file(path: Path, choices: "Choices") -> Iterator[dict[str, Any]]:
    """One for each scene, where none was chosen."""
    # Imported here: the command line parses its words before anything else is loaded.
    from pssr.errors import ChoiceNeeded
    from pssr.io.open import open_stack

    try:
        yield _of_stack(open_stack(path, **choices))
    except ChoiceNeeded as question:
        if choices.get("scene") is not None or "choose a scene" not in str(question):
            raise
        for scene in question.choices:
            yield _of_stack(open_stack(path, **choices | {"scene": scene}))


def _of_stack(stack: "Stack") -> dict[str, Any]:
    planes = [_sample(stack, c) for c in range(stack.sizes["C"])]
    return {
        "format": stack.format,
        "sizes": dict(stack.sizes),
        "dtype": str(stack.dtype),
        "channels": list(stack.channels),
        "colours": list(stack.colours) if any(stack.colours) else None,
        "counts": [_ends(plane) for plane in planes],
        "spacing_um": dict(stack.spacing_um),
        "interval_s": stack.interval_s,
        "scene": stack.scene,
        "compression": stack.compression,
        "missing": [dict(zip("TCZ", place, strict=True)) for place in stack.missing],
        "notes": [*(note.removesuffix(" and filled with 0") for note in stack.notes), *_odd(stack, planes)],
    }


def _sample(stack: "Stack", channel: int) -> Any:
    """The plane in the middle, or the nearest one that is there: first in time, then in depth."""
    t, z = stack.sizes["T"] // 2, stack.sizes["Z"] // 2
    missing = set(stack.missing)
    every = itertools.product(range(stack.sizes["T"]), range(stack.sizes["Z"])) if missing else ()
    there = [place for place in every if (place[0], channel, place[1]) not in missing]
    t, z = min(there, key=lambda place: (abs(place[1] - z), abs(place[0] - t)), default=(t, z))
    return stack.plane(T=t, C=channel, Z=z)


def _ends(plane: Any) -> list[float | None]:
    """Least and greatest count; none where no pixel is a number."""
    # Imported here: the command line parses its words before anything else is loaded.
    import numpy as np

    finite = plane[np.isfinite(plane)]
    return [finite.min().item(), finite.max().item()] if finite.size else [None, None]


def _odd(stack: "Stack", planes: list[Any]) -> list[str]:
    """What a person should know about the pixels, in plain words."""
    # Imported here: the command line parses its words before anything else is loaded.
    import numpy as np

    notes = [] if stack.spacing_um else ["the pixel size is unknown; outputs will not have one either"]
    if stack.sizes["T"] > 1 and stack.interval_s is None:
        notes.append("the time between frames is unknown")
    for name, plane in zip(stack.channels, planes, strict=True):
        wrong = int((~np.isfinite(plane)).sum())
        if wrong:
            notes.append(
                f"{name}: {wrong} pixels of the middle plane are not numbers; mend them before restoring"
            )
        elif plane.min() == plane.max():
            notes.append(f"{name}: all pixels of the middle plane are {plane.min()}")
        elif plane.max() in FULL:
            share = float((plane == plane.max()).mean())
            if share > SATURATED_SHARE:
                notes.append(f"{name}: {share:.1%} of the middle plane is saturated at {plane.max()}")
    if stack.dtype.name == "uint16" and 0 < (most := max(int(plane.max()) for plane in planes)) < 256:
        notes.append(f"its pixels have 16 bits and reach {most} only: 8 bits would hold them")
    return notes


def _of_model(path: Path) -> dict[str, Any]:
    # Imported here because torch takes seconds.
    from pssr.model_file import load

    model = load(path)
    config = model.config
    started = [f"{one.sha256[:12]}, {one.steps} steps on {', '.join(one.sources)}" for one in model.ancestors]
    return {
        "network": str(config.network),
        "restores": f"the middle of {config.frames} frames along {config.axis} at scale {config.scale}, "
        f"ends {config.ends}",
        "crappifier": ", ".join(str(part) for part in config.crappifier),
        "loss": dict(config.loss),
        "steps": model.steps,
        "scores": {name: round(value, 3) for name, value in model.scores.items()},
        "trained on": [source.name for source in model.sources],
        **({"started from": started} if started else {}),
        "sha256": model.sha256,
    }


def _lines(path: Path, about: dict[str, Any]) -> str:
    """For reading: one line for each thing known, one for each note."""
    notes = about.get("notes", [])
    hidden = ("notes", "colours", "missing")
    known = {name: value for name, value in about.items() if name not in hidden and value is not None}
    lines = [f"  {LABELS.get(name, name):<14}{_words(value)}" for name, value in known.items()]
    return "\n".join([str(path), *lines, *(f"  {'note':<14}{note}" for note in notes)])


def _words(value: Any) -> str:
    match value:
        case {}:
            return "  ".join(f"{name} {_words(inner)}" for name, inner in value.items()) or "unknown"
        case [[_, _], *_]:
            return ", ".join("none" if low is None else f"{low} to {high}" for low, high in value)
        case [*_]:
            return ", ".join(map(str, value))
        case float():
            return f"{value:g}"
    return str(value)
