"""What became of the trainings below a folder, from their configs and logs alone; nothing is written and nothing loaded."""

import math
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pssr.config import read_config
from pssr.errors import ConfigError, ReadError
from pssr.training.lock import NAME as LOCK
from pssr.training.log import read_log

if sys.platform != "win32":
    import fcntl

CONFIG, LOG, STATE = "config.yaml", "log.jsonl", "state.pt"
State = Literal["training", "finished", "stopped", "failed", "unknown"]


@dataclass(frozen=True)
class RunSummary:
    """How far one training is.

    Args:
        folder: of the run.
        state: `training` while a process holds the folder, `finished`, `stopped` before its end, `failed` with an error, or
            `unknown` where the folder cannot be read.
        step: the last one in the log, which tells every tenth; 0 before that.
        steps: in all; None where the config is damaged.
        psnr_db: of the best validation; None before the first.
        bicubic_psnr_db: of the frames enlarged by bicubic interpolation, at that validation.
        age_s: seconds since something was written; None where unknown.
        holder: the process that trains there and its machine; empty where none does, or none that can be seen from here.
        note: why it failed, or what is damaged; empty where nothing is.
    """

    folder: Path
    state: State
    step: int = 0
    steps: int | None = None
    psnr_db: float | None = None
    bicubic_psnr_db: float | None = None
    age_s: float | None = None
    holder: str = ""
    note: str = ""


def runs(folder: Path) -> list[RunSummary]:
    """Every run in a folder and the folders below it, by name in natural order.

    A run is a folder with a config and a log, a training state or a lock. Below a link only the folder that it leads to is
    looked at; hidden folders and OME-Zarr stacks, which have very many folders, are not.

    Args:
        folder: of one run, or of many.

    Raises:
        ReadError: there is no such folder.
    """
    if not _is_folder(folder):
        raise ReadError(f"{folder}: is no folder; give a run folder, or a folder of them")
    found = (_looked_at(path) for path in _folders(folder))
    return sorted((run for run in found if run), key=lambda run: _natural(run.folder))


def holder(folder: Path) -> str:
    """The process that trains in a folder; empty where none does, or where that cannot be told.

    Args:
        folder: of a run; nothing in it is made or changed.
    """
    if sys.platform == "win32":
        return ""
    try:
        file = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        # A shared lock, so that two who look do not see each other; closing the file gives it back at once.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(file, 200, 0).decode(errors="replace").strip() or "another process"
    except OSError:
        # Some network file systems have no locks.
        return ""
    finally:
        os.close(file)
    return ""


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    try:
        with os.scandir(folder) as inside:
            below = [Path(entry) for entry in inside]
    except OSError:
        # Whoever looks into it will say so.
        return
    for path in filter(_is_folder, below):
        if path.name.startswith(".") or path.suffix == ".zarr":
            continue
        if path.is_symlink():
            yield path
        else:
            yield from _folders(path)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # Behind a link to a folder that may not be looked into.
        return False


def _looked_at(folder: Path) -> RunSummary | None:
    """The run in a folder, if there is one."""
    try:
        inside = {path.name for path in folder.iterdir()}
    except OSError as error:
        return RunSummary(folder, "unknown", note=f"cannot be read ({error.strerror})")
    if CONFIG not in inside or not inside & {LOG, STATE, LOCK}:
        return None
    return _summary(folder)


def _summary(folder: Path) -> RunSummary:
    told, note = _told(folder / LOG)
    try:
        steps = read_config(folder / CONFIG).train.steps
    except ConfigError as error:
        steps, note = None, str(error)
    best = max((entry for entry in told if _number(entry, "psnr") is not None), key=_psnr, default={})
    held, step = holder(folder), _last_step(told)
    state = "training" if held else _state(told, step, steps)
    return RunSummary(
        folder,
        state,
        step=step,
        steps=steps,
        psnr_db=_number(best, "psnr"),
        bicubic_psnr_db=_number(best, "bicubic_psnr"),
        age_s=_age_s(folder),
        holder=held,
        note=str(told[-1]["failed"]) if state == "failed" else note,
    )


def _state(told: Sequence[dict[str, Any]], step: int, steps: int | None) -> State:
    """Of a run that no process holds."""
    if told and "failed" in told[-1]:
        return "failed"
    # A run may have been finished, and then continued with more steps.
    ends = (_number(entry, "step") or 0 for entry in told if entry.get("finished") is True)
    if step >= (steps or math.inf) or max(ends, default=-1) >= step:
        return "finished"
    return "stopped"


def _told(log: Path) -> tuple[list[dict[str, Any]], str]:
    """All lines of a log that are whole, and why it cannot be read where it cannot."""
    try:
        return read_log(log), ""
    except OSError as error:
        return [], f"{log.name}: cannot be read ({error.strerror})"


def _last_step(told: Sequence[dict[str, Any]]) -> int:
    return int(max((_number(entry, "step") or 0 for entry in told), default=0))


def _number(entry: dict[str, Any], name: str) -> float | None:
    value = entry.get(name)
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if known else None


def _psnr(entry: dict[str, Any]) -> float:
    return float(entry["psnr"])


def _age_s(folder: Path) -> float | None:
    times = []
    for name in (CONFIG, LOG, STATE):
        try:
            times.append((folder / name).stat().st_mtime)
        except OSError:
            continue
    # The clock of a file server may be ahead.
    return max(0.0, time.time() - max(times)) if times else None


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """`run_9` before `run_10`."""
    words = re.split(r"([0-9]+)", str(path))
    return [(0, int(word)) if word.isdecimal() else (1, word) for word in words]
