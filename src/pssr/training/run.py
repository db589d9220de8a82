"""The run folder: config, model, training state, log and sample pictures of one training."""

import io
import json
import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pssr.config import Config, read
from pssr.errors import ConfigError, ModelError
from pssr.io.atomic import write_whole
from pssr.model_file import Source

MAY_CHANGE = {
    "train.steps", "train.max_time_s", "train.device", "train.validate_every", "train.save_every_s",
    "train.lr", "train.clip", "train.precision", "data.workers",
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """Where one training keeps its files.

    Args:
        folder: of the run.
        config: resolved; running it again gives the same weights.
    """

    folder: Path
    config: Config

    @property
    def model(self) -> Path:
        """The model file."""
        return self.folder / "model.safetensors"

    @property
    def state(self) -> Path:
        """What is needed to go on training."""
        return self.folder / "state.pt"

    @property
    def log(self) -> Path:
        """One JSON object per line."""
        return self.folder / "log.jsonl"

    def sample(self, step: int) -> Path:
        """The sample picture of a validation."""
        return self.folder / "samples" / f"step_{step:07d}.png"


def open_run(folder: Path, asked: Config, precision: str) -> Run:
    """The run in that folder: a new one, or the one that is there if it was started with the same settings.

    Args:
        folder: held by this process.
        asked: the settings of this command.
        precision: what `auto` means on this device; a run that is continued keeps its own.

    Raises:
        ConfigError: the folder holds a run with other settings.
    """
    path = folder / "config.yaml"
    kept = read(path) if path.exists() else None
    if asked.train.precision == "auto":
        asked = asked.changed({"train.precision": kept.train.precision if kept else precision})
    if kept:
        _refuse_other(folder, kept, asked)
    return Run(folder, asked)


def keep_config(run: Run) -> None:
    """Write the settings into the folder, once it is known that a training with them can begin."""
    (run.folder / "samples").mkdir(exist_ok=True)
    write_whole(run.folder / "config.yaml", run.config.to_yaml().encode())


def save_state(run: Run, state: Mapping[str, Any]) -> None:
    """Write the training state: plain numbers, strings and tensors; complete or not at all."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_whole(run.state, buffer.getvalue())


def load_state(run: Run, sources: Sequence[Source]) -> dict[str, Any] | None:
    """The state to go on from, or None for a new run; the log is cut back to it.

    Raises:
        ModelError: the state is damaged.
        ConfigError: the run was started on other movies.
    """
    if not run.state.exists():
        if run.model.exists():
            raise ConfigError(
                f"{run.folder}: holds a model without its training state; remove it or choose another folder"
            )
        run.log.unlink(missing_ok=True)
        return None
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(run.state.read_bytes()), map_location="cpu", weights_only=True
        )
        before, step = [Source(**source) for source in state["sources"]], int(state["step"])
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{run.state}: is damaged; remove the folder to begin anew") from error
    if before != list(sources):
        names = [source.name for source in before]
        other = "" if names != [source.name for source in sources] else " with other content"
        raise ConfigError(
            f"{run.folder}: was trained on {', '.join(names)}{other}; give the same movies or another folder"
        )
    kept = [line for line in _lines(run.log) if _step_of(line) <= step]
    write_whole(run.log, "".join(kept).encode())
    return state


def write_log(run: Run, **entry: object) -> None:
    """Append one line to the log."""
    with run.log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _step_of(line: str) -> float:
    """Of a line of the log; beyond any where it is damaged."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf


def _lines(log: Path) -> Iterator[str]:
    """Complete lines; a process that was killed may have left half of one."""
    if log.exists():
        yield from (line for line in log.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n"))


def _refuse_other(folder: Path, kept: Config, asked: Config) -> None:
    before, now = (dict(_flat(c.model_dump(mode="json"))) for c in (kept, asked))
    for name in sorted((before.keys() | now.keys()) - MAY_CHANGE):
        if before.get(name) != now.get(name):
            raise ConfigError(
                f"{folder}: this run was started with {name}={before.get(name)}, not {now.get(name)}; "
                "use the same settings to continue it, or another folder"
            )


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and name in ("data", "train"):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield path + name, value
