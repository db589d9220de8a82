"""The log of a run: one JSON object per line, each with the step after which it was written."""

import errno
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pssr.errors import WriteError
from pssr.io.atomic import write_whole


def write_log(log: Path, **entry: object) -> None:
    """Append one line; what is not a number is null.

    Args:
        log: of the run.
        entry: `step`, and what is told.

    Raises:
        WriteError: the disk is full.
    """
    told = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in entry.items()}
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")
    except OSError as error:
        raise WriteError(
            f"{log}: cannot be written ({error.strerror}); free some space and run the same command again"
        ) from error


def cut_log(log: Path, step: int) -> None:
    """Forget what was told after a step: it is going to be done again.

    Args:
        log: of the run; it may be absent.
        step: the last one to remember.
    """
    kept = [json.dumps(entry) + "\n" for entry in read_log(log) if _step(entry) <= step]
    write_whole(log, "".join(kept).encode())


def read_log(log: Path) -> list[dict[str, Any]]:
    """All lines that are whole; none where there is no log.

    Args:
        log: of the run.

    Raises:
        OSError: it is there and cannot be read.
    """
    if log.is_fifo():
        raise OSError(errno.EINVAL, "no regular file")
    return list(_whole(log)) if log.exists() else []


def _whole(log: Path) -> Iterator[dict[str, Any]]:
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                # A process that was killed, or a full disk, leaves half a line.
                continue
            if isinstance(entry, dict):
                yield entry


def _step(entry: dict[str, Any]) -> float:
    step = entry.get("step")
    return step if isinstance(step, int | float) else math.inf
