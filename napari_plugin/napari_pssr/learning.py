"""What a training learns from, with which settings, and into which folder."""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QStandardPaths

from napari_pssr.controls import file_name
from napari_pssr.layers import origin_of, stack_of_layer
from pssr import Config, ConfigError, Movie, fit, movies, preset, preview, read_config, read_log

STEPS = 1_000_000  # a training from the window ends by its time
# Pictures shall come often, and take a small part of the time: a validation is as long as some twenty steps on a CPU.
VALIDATE_PER_MINUTE, VALIDATE_EVERY = 10, (20, 500)
SAVE_PER_BUDGET, SAVE_EVERY_S = 1 / 60, (2.0, 20.0)  # pictures are made with the model that was saved last
SIZES = ("fast", "small", "quality")


@dataclass(frozen=True, eq=False)
class Material:
    """What is learned from.

    Args:
        layer: high-resolution; None where files are given.
        files: or folders; they take the place of the layer.
        channel: of the files; None where they have one.
        along: what a slider without a name is, and along which frames follow each other, "T" or "Z".
    """

    layer: Image | None
    files: tuple[Path, ...]
    channel: str | None
    along: str

    @property
    def name(self) -> str:
        """In a person's words."""
        if self.files:
            return self.files[0].name if self.files[0].is_dir() else self.files[0].name.partition(".")[0]
        return "" if self.layer is None else str(self.layer.name)

    @property
    def source(self) -> tuple[Path, ...] | Image | None:
        """The files, or else the layer."""
        return self.files or self.layer

    def movies(self) -> list[Movie]:
        """One for each depth, or time point; files are opened.

        Raises:
            PssrError: there is none, or it cannot be read.
        """
        if self.files:
            return movies(self.files, axis=self.along, channel=self.channel)
        if self.layer is None:
            raise ConfigError("training: no layer and no file is chosen; choose what is to be learned from")
        return movies_of(self.layer, self.along)

    @property
    def home(self) -> Path:
        """Where its models go: beside its file if that is possible, else to the documents."""
        beside = None
        if self.files:
            beside = self.files[0] if self.files[0].is_dir() else self.files[0].parent
        elif self.layer is not None and (origin := origin_of(self.layer)) is not None:
            beside = origin.stack.path.parent if origin.stack.path.exists() else None
        if beside is not None and beside.is_dir() and os.access(beside, os.W_OK):
            return beside.absolute()
        documents = QStandardPaths.StandardLocation.DocumentsLocation
        return Path(QStandardPaths.writableLocation(documents) or Path.home()) / "pssr"


def movies_of(layer: Image, along: str) -> list[Movie]:
    """The movies of a layer, one for each depth, or time point.

    Args:
        layer: an image.
        along: which frames follow each other, "T" or "Z".

    Raises:
        PssrError: it is no stack.
    """
    stack, channel = stack_of_layer(layer, along)
    other = "Z" if along == "T" else "T"
    return [stack.movie(channel, axis=along, **{other.lower(): k}) for k in range(stack.sizes[other])]


def settings(*, crappifier: str, scale: int, frames: int, along: str, size: str) -> Config:
    """The settings of a training that begins.

    Args:
        crappifier: name, or file, of a recipe.
        scale: restored pixels for each low-resolution pixel.
        frames: in a bundle.
        along: which they follow each other, "T" or "Z".
        size: of the network.

    Raises:
        ConfigError: the crappifier cannot be read.
    """
    base = preset("single" if frames == 1 else "zstack" if along == "Z" else "movie")
    chosen = {"crappifier": crappifier, "scale": scale, "frames": frames, "axis": along}
    return base.changed({**chosen, "network": {"edsr": {"size": size}}})


def timed(config: Config, minutes: float) -> Config:
    """The settings with a budget of time, and with pictures and saves that are frequent for it.

    Args:
        config: the settings.
        minutes: that the whole training may take, earlier parts included.
    """
    least, most = VALIDATE_EVERY
    often, seldom = SAVE_EVERY_S
    return config.changed({
        "train.steps": STEPS,
        "train.max_time_s": 60 * minutes,
        "train.validate_every": min(max(round(VALIDATE_PER_MINUTE * minutes), least), most),
        "train.save_every_s": min(max(60 * minutes * SAVE_PER_BUDGET, often), seldom),
    })  # fmt: skip


@dataclass(frozen=True, eq=False)
class Order:
    """A training, settled before its first step.

    Args:
        material: that is learned from.
        config: the settings.
        folder: of the run.
        minutes: that the whole training may take.
    """

    material: Material
    config: Config
    folder: Path
    minutes: float

    def events(self) -> Generator[Any, None, None]:
        """Train, or go on; the events of `pssr.fit`, after the movies themselves."""
        found = self.material.movies()
        # Imported here, in a thread: when curves are drawn the window shall not wait for it.
        import matplotlib.figure  # noqa: F401

        yield tuple(found)
        with closing(fit(self.config, found, self.folder)) as events:
            yield from events


def order_of(material: Material, config: Config, folder: Path, minutes: float) -> Order:
    """Settle a training.

    Args:
        material: that is learned from.
        config: of a run that begins; one that is in the folder goes on with its own.
        folder: of the run.
        minutes: that the whole training may take.

    Raises:
        ConfigError: nothing is chosen, or the run in the folder has had its time.
    """
    if material.layer is None and not material.files:
        material.movies()
    if holds_run(folder):
        config = config_of(folder)
        done_s = trained_s(log_of(folder), config)
        if done_s >= 60 * minutes:
            raise ConfigError(
                f"{folder.name}: has trained for {done_s / 60:.3g} minutes of {minutes:.3g}; give it more minutes in all to "
                "go on"
            )
    return Order(material, timed(config, minutes), folder, minutes)


def warnings_of(material: Material, real: Image | None, config: Config) -> tuple[str, ...]:
    """What a person should know before a training, in words; slow.

    Args:
        material: that would be learned from.
        real: a low-resolution layer that crappified frames should look like; None compares nothing.
        config: the settings.

    Raises:
        PssrError: something cannot be read, or does not fit.
    """
    if material.files:
        # One is enough, and others may be many.
        one = Material(None, material.files[:1], material.channel, material.along)
        good = one.movies()[0]
    else:
        good = material.movies()[0]
    low = None if real is None else movies_of(real, config.axis)[0]
    return preview(good, low=low, config=config).warnings


def holds_run(folder: Path) -> bool:
    """Whether a training was begun in a folder."""
    return (folder / "config.yaml").is_file()


def config_of(folder: Path) -> Config:
    """The settings of the run in a folder.

    Args:
        folder: of the run.

    Raises:
        ConfigError: they are damaged.
    """
    return read_config(folder / "config.yaml")


def log_of(folder: Path) -> list[dict[str, Any]]:
    """What the run in a folder has told so far; empty where there is none.

    Args:
        folder: of the run.
    """
    return read_log(folder / "log.jsonl")


def trained_s(log: Sequence[Mapping[str, Any]], config: Config) -> float:
    """Seconds of training so far.

    Args:
        log: of the run.
        config: its settings.
    """
    # Not every step is logged: one that has ended has had all of its time.
    if config.train.max_time_s and log and log[-1].get("finished"):
        return config.train.max_time_s
    return max((entry["elapsed_s"] for entry in log if entry.get("elapsed_s")), default=0.0)


def free_folder(material: Material, home: Path | None = None) -> Path:
    """A folder for a new run, which nothing is in.

    Args:
        material: that it is named after.
        home: where it shall lie; None lets the material decide.
    """
    name = file_name(f"{material.name} model")
    folder, number = (home or material.home) / name, 2
    while folder.exists():
        folder, number = folder.with_name(f"{name} {number}"), number + 1
    return folder
