"""`pssr config`."""

from pathlib import Path
from typing import Annotated

import typer


def config(
    preset: Annotated[str, typer.Argument(help="movie, single or zstack")] = "movie",
    file: Annotated[
        Path | None, typer.Option("--config", help="a YAML file of settings, instead of a preset")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="any setting, such as train.lr=5e-4")
    ] = None,
) -> None:
    """Print all settings as YAML with comments, to keep, edit and train with.

    \b
    pssr config movie > my.yaml
    pssr config --set network.edsr.size=quality > big.yaml
    pssr train good_movies/ -o runs/mito --config my.yaml
    """
    # Imported here: the command line parses its words before anything else is loaded.
    from pssr.assignments import assignments
    from pssr.config import preset as named_preset
    from pssr.config import read_config

    chosen = read_config(file) if file else named_preset(preset)
    print(chosen.changed(assignments(settings or [])).to_yaml(), end="")
