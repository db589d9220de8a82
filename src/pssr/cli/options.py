"""Options that several commands share, in the same words."""

from pathlib import Path
from typing import Annotated

import typer

Inputs = Annotated[
    list[Path],
    typer.Argument(help="stacks (CZI, TIFF, OME-Zarr, ...), or folders of them", show_default=False),
]
Channel = Annotated[
    str | None, typer.Option(help="name or number of the channel, or all", show_default=False)
]
Scene = Annotated[str | None, typer.Option(help="name or number of the scene", show_default=False)]
Axes = Annotated[
    str | None, typer.Option(help="what the pages of a plain TIFF are, such as ZYX", show_default=False)
]
Series = Annotated[
    str | None,
    typer.Option(help="T or Z: a folder's files are the frames of one movie", show_default=False),
]
Phase = Annotated[
    int | None, typer.Option(help="number of the phase in a CZI that has several", show_default=False)
]
Missing = Annotated[
    str | None,
    typer.Option(help="fill missing planes with nan, zero or previous; else refused", show_default=False),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps")]
Register = Annotated[
    bool,
    typer.Option(
        "--register",
        help="move pairs onto each other, also those that lie over half a low-resolution pixel off",
    ),
]
Trust = Annotated[
    list[str] | None, typer.Option(help="a module of your own that the model may name; as often as needed")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace outputs that exist")]
