"""The run folder: config, model, training state, log and sample pictures of one training."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pssr.config import Config, read_config
from pssr.errors import ConfigError
from pssr.io.atomic import write_whole

MAY_CHANGE = {
    "train.steps",
    "train.max_time_s",
    "train.device",
    "train.validate_every",
    "train.save_every_s",
    "train.lr",
    "train.clip",
    "train.precision",
    "train.micro",
    "train.patience",
    "train.compile",
    "data.workers",
    "data.cache",
    "data.cache_gb",
}
OURS = (
    "config.yaml", "split.json", "model.safetensors", "best.safetensors", "state.pt", "state.before.pt", "state.new.pt",
    "log.jsonl", "curves.png", "samples/step_*.png", "events.out.tfevents.*",
)  # fmt: skip


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
    def started(self) -> bool:
        """Whether there is a state to go on from."""
        return self.state.exists() or self.before.exists()

    @property
    def before(self) -> Path:
        """The state saved before the last one, in case that one is damaged."""
        return self.folder / "state.before.pt"

    @property
    def best(self) -> Path:
        """The model of the best validation, where training may end early."""
        return self.folder / "best.safetensors"

    @property
    def curves(self) -> Path:
        """A picture of loss and score by step."""
        return self.folder / "curves.png"

    @property
    def log(self) -> Path:
        """One JSON object per line."""
        return self.folder / "log.jsonl"

    def sample(self, step: int) -> Path:
        """The sample picture of a validation."""
        return self.folder / "samples" / f"step_{step:07d}.png"


def settled(folder: Path, asked: Config) -> Config:
    """The settings to go on with: those of this command, and what the run that is there measured for itself.

    Args:
        folder: of the run.
        asked: the settings of this command.

    Raises:
        ConfigError: the folder holds a run with other settings, or something that is no run.
    """
    path = folder / "config.yaml"
    if not path.exists() and not path.is_symlink():
        return asked
    if not path.is_file():
        # A pipe would be waited for, and a link that leads nowhere replaced.
        raise ConfigError(f"{path}: is no regular file; remove it, or choose another folder")
    kept = read_config(path)
    measured = {
        "train.precision": (asked.train.precision == "auto", kept.train.precision),
        "train.lr": (asked.train.lr == 0, kept.train.lr),
        "data.batch": (asked.data.batch == 0, kept.data.batch),
    }
    asked = asked.changed({name: value for name, (wanted, value) in measured.items() if wanted})
    _refuse_other(folder, kept, asked)
    return asked


def keep_config(run: Run) -> None:
    """Write the settings into the folder, once it is known that a training with them can begin."""
    (run.folder / "samples").mkdir(exist_ok=True)
    write_whole(run.folder / "config.yaml", run.config.to_yaml().encode())


def clear(folder: Path) -> None:
    """Remove what an earlier training left in a folder, and nothing else."""
    for pattern in OURS:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _refuse_other(folder: Path, kept: Config, asked: Config) -> None:
    before, now = (dict(_flat(c.model_dump(mode="json"))) for c in (kept, asked))
    for name in sorted((before.keys() | now.keys()) - MAY_CHANGE):
        if before.get(name) != now.get(name):
            raise ConfigError(
                f"{folder}: this run was started with {name}={before.get(name)}, not {now.get(name)}; "
                "use the same settings to continue it, another folder, or restart=True (--restart)"
            )


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and name in ("data", "train"):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield path + name, value
