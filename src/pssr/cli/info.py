"""`pssr info`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pssr.cli.options import Axes, Scene, Series

if TYPE_CHECKING:
    from pssr.io.stack import Stack

LABELS = {"spacing_um": "pixel size um", "interval_s": "interval s"}
SATURATED_SHARE = 1e-3  # of the pixels of a plane, from which on a person should know


def info(
    files: Annotated[
        list[Path], typer.Argument(help="stacks, model files or run folders", show_default=False)
    ],
    scene: Scene = None,
    axes: Axes = None,
    series: Series = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per file, for scripts")] = False,
) -> None:
    """Say what is in a stack or a model: axes, channels, pixel size, interval, scale, scores.

    \b
    pssr info mito.czi restored.ome.tif
    pssr info --json mito.czi
    pssr info runs/mito
    """
    # Imported here: the command line parses its words before anything else is loaded.
    from pssr.io.open import open_stack

    for path in files:
        is_model = (path.is_dir() and series is None) or path.suffix == ".safetensors"
        about = (
            _of_model(path)
            if is_model
            else _of_stack(open_stack(path, scene=scene, axes=axes, series=series))
        )
        print(json.dumps({"path": str(path), **about}) if as_json else _lines(path, about))


def _of_stack(stack: "Stack") -> dict[str, Any]:
    middle = {axis: stack.sizes[axis] // 2 for axis in "TZ"}
    planes = [stack.plane(C=c, **middle) for c in range(stack.sizes["C"])]
    return {
        "format": stack.format,
        "sizes": dict(stack.sizes),
        "dtype": str(stack.dtype),
        "channels": list(stack.channels),
        "counts": [[plane.min().item(), plane.max().item()] for plane in planes],
        "spacing_um": dict(stack.spacing_um),
        "interval_s": stack.interval_s,
        "scene": stack.scene,
        "notes": [*stack.notes, *_odd(stack, planes)],
    }


def _odd(stack: "Stack", planes: list[Any]) -> list[str]:
    """What a person should know about the pixels, in plain words."""
    notes = [] if stack.spacing_um else ["the pixel size is unknown; outputs will not have one either"]
    if stack.sizes["T"] > 1 and stack.interval_s is None:
        notes.append("the time between frames is unknown")
    for name, plane in zip(stack.channels, planes, strict=True):
        if plane.min() == plane.max():
            notes.append(f"{name}: all pixels of the middle plane are {plane.min()}")
        elif stack.dtype.kind == "u" and stack.dtype.itemsize <= 2:
            share = float((plane == 2 ** (8 * stack.dtype.itemsize) - 1).mean())
            if share > SATURATED_SHARE:
                notes.append(f"{name}: {share:.1%} of the pixels of the middle plane are saturated")
    return notes


def _of_model(path: Path) -> dict[str, Any]:
    # Imported here because torch takes seconds.
    from pssr.model_file import load

    model = load(path)
    config = model.config
    return {
        "network": str(config.network),
        "restores": f"the middle of {config.frames} frames along {config.axis} at scale {config.scale}, "
        f"ends {config.ends}",
        "crappifier": ", ".join(str(part) for part in config.crappifier),
        "loss": dict(config.loss),
        "steps": model.steps,
        "scores": {name: round(value, 3) for name, value in model.scores.items()},
        "trained on": [source.name for source in model.sources],
        "sha256": model.sha256,
    }


def _lines(path: Path, about: dict[str, Any]) -> str:
    """For reading: one line for each thing known, one for each note."""
    notes = about.get("notes", [])
    known = {name: value for name, value in about.items() if name != "notes" and value is not None}
    lines = [f"  {LABELS.get(name, name):<14}{_words(value)}" for name, value in known.items()]
    return "\n".join([str(path), *lines, *(f"  {'note':<14}{note}" for note in notes)])


def _words(value: Any) -> str:
    match value:
        case {}:
            return "  ".join(f"{name} {_words(inner)}" for name, inner in value.items()) or "unknown"
        case [[_, _], *_]:
            return ", ".join(f"{low} to {high}" for low, high in value)
        case [*_]:
            return ", ".join(map(str, value))
        case float():
            return f"{value:g}"
    return str(value)
