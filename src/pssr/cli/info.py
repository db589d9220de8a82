"""`pssr info`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pssr.cli.options import Axes, Scene, Series

if TYPE_CHECKING:
    from pssr.io.stack import Stack


def info(
    files: Annotated[
        list[Path], typer.Argument(help="stacks, model files or run folders", show_default=False)
    ],
    scene: Scene = None,
    axes: Axes = None,
    series: Series = None,
) -> None:
    """Say what is in a stack or a model: axes, channels, pixel size, interval, scale, scores.

    \b
    pssr info mito.czi restored.ome.tif
    pssr info runs/mito
    """
    # Imported here: the command line parses its words before anything else is loaded.
    from pssr.io.open import open_stack

    for path in files:
        lines = (
            _of_model(path)
            if (path.is_dir() and series is None) or path.suffix == ".safetensors"
            else _of_stack(open_stack(path, scene=scene, axes=axes, series=series))
        )
        print(f"{path}")
        for name, value in lines:
            print(f"  {name:<12} {value}")


def _of_stack(stack: "Stack") -> list[tuple[str, str]]:
    spacing = ", ".join(f"{axis} {um:g}" for axis, um in stack.spacing_um.items())
    lines = [
        ("format", stack.format),
        ("sizes", "  ".join(f"{axis} {n}" for axis, n in stack.sizes.items())),
        ("dtype", str(stack.dtype)),
        ("channels", ", ".join(stack.channels)),
        ("pixel size", f"{spacing} um" if spacing else "unknown"),
        ("interval", "unknown" if stack.interval_s is None else f"{stack.interval_s:g} s"),
    ]
    if stack.scene is not None:
        lines.append(("scene", str(stack.scene)))
    return lines + [("note", note) for note in stack.notes]


def _of_model(path: Path) -> list[tuple[str, str]]:
    # Imported here because torch takes seconds.
    from pssr.model_file import load

    model = load(path)
    config = model.config
    scores = "  ".join(f"{name} {value:.2f}" for name, value in model.scores.items())
    return [
        ("network", str(config.network)),
        (
            "restores",
            f"the middle of {config.frames} frames along {config.axis} at scale {config.scale}, ends {config.ends}",
        ),
        ("crappifier", ", ".join(str(part) for part in config.crappifier)),
        ("loss", ", ".join(f"{weight:g} x {name}" for name, weight in config.loss.items())),
        ("steps", str(model.steps)),
        ("scores", scores or "not validated"),
        ("trained on", ", ".join(source.name for source in model.sources)),
        ("sha256", model.sha256),
    ]
