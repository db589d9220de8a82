"""`pssr runs`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from pssr.training.runs import RunSummary

AGES = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
COLUMNS = ("run", "state", "step", "restored", "bicubic", "last written", "")


def runs(
    folder: Annotated[Path, typer.Argument(help="of one run, or of many, at any depth", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line, for scripts")] = False,
) -> None:
    """Say how far the trainings in a folder are, and how good: what is training, finished, stopped or failed.

    The scores are in dB: of the best validation, and of the same frames enlarged by bicubic interpolation. Nothing is
    changed, and a training that is going on is not disturbed.

    \b
    pssr runs runs/
    pssr runs --json runs/
    """
    # Imported here: the command line parses its words before anything else is loaded.
    from rich.console import Console

    from pssr.training.runs import runs as found_in

    found = found_in(folder)
    if as_json:
        for run in found:
            print(json.dumps(_as_json(run), allow_nan=False))
        return
    if not found:
        print(f"{folder}: no runs; make one with pssr train MOVIES -o {folder / 'NAME'}")
        return
    console, table = Console(highlight=False, markup=False), _table(found)
    if not console.is_terminal:
        # Lines in a file are never folded.
        console.width = 10_000
    console.print(table)


def _as_json(run: "RunSummary") -> dict[str, object]:
    told = {**asdict(run), "age_s": None if run.age_s is None else round(run.age_s, 1)}
    return {"path": str(told.pop("folder")), **told}


def _table(found: list["RunSummary"]) -> "Table":
    # Imported here: the command line parses its words before anything else is loaded.
    from rich.table import Table
    from rich.text import Text

    from pssr.cli.words import as_options

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        number = name in ("step", "restored", "bicubic")
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for run in found:
        step = str(run.step) if run.steps is None else f"{run.step} of {run.steps}"
        note = "; ".join(filter(None, (run.holder, as_options(run.note))))
        cells = (
            str(run.folder),
            run.state,
            step,
            _db(run.psnr_db),
            _db(run.bicubic_psnr_db),
            _ago(run.age_s),
        )
        # As Text, so that no name is taken for markup.
        table.add_row(*map(Text, cells), Text(note))
    return table


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} dB"


def _ago(age_s: float | None) -> str:
    """`3 hours ago`: in the largest unit of which there is one, rounded down."""
    if age_s is None:
        return "unknown"
    for unit, seconds in AGES:
        count = int(age_s // seconds)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
