"""Many restorations, one after the other: what is shown, and what is told at the end."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import typer

from pssr.api import files
from pssr.cli.show import Show, report, stages
from pssr.cli.targets import Task, targets
from pssr.cli.words import as_options
from pssr.errors import ChoiceNeeded, ConfigError, PssrError
from pssr.io.open import Choices, open_stack
from pssr.predict.events import Event, Noted, Progress, Warned, Written
from pssr.predict.files import FileWords
from pssr.predict.job import chosen_channels
from pssr.predict.predictor import Predictor
from pssr.predict.shards import restored_share


@dataclass(frozen=True)
class Sharing:
    """Who else works on the same.

    Args:
        number: of this share, from 1.
        count: of shares.
        workers: processes of this machine.
        scheduler: address of one.
    """

    number: int = 1
    count: int = 1
    workers: int | None = None
    scheduler: str | None = None


def tasks_of(inputs: Sequence[Path], out: Path, scene: str | None, words: dict[str, Any]) -> list[Task]:
    """What there is to do; what must be chosen is asked for before the first hour of work.

    Args:
        inputs: files and folders.
        out: a file, or a folder.
        scene: name or number, `all`, or None.
        words: as for `Predictor.steps`; the scene is put into them.

    Raises:
        ChoiceNeeded: several channels or scenes and none chosen.
        ConfigError: outputs that cannot be named.
    """
    choices = Choices(**{name: words[name] for name in Choices.__annotations__ if name in words})  # type: ignore[typeddict-item]
    paths = files(inputs, series=words.get("series"))
    several = [(path, one) for path in paths for one in _scenes(path, scene, choices)]
    words["scene"] = None if scene == "all" else scene
    for path, one in several:
        try:
            chosen_channels(open_stack(path, **{**choices, "scene": one or words["scene"]}), words["channel"])
        except ChoiceNeeded:
            raise
        except PssrError:
            # What cannot be read is told when its turn comes.
            continue
    return targets(several, out, words.get("format"))


def _scenes(path: Path, scene: str | None, choices: Choices) -> list[str | None]:
    """Every scene of a file that has several, if all are wanted."""
    if scene != "all":
        return [None]
    try:
        open_stack(path, **choices)
    except ChoiceNeeded as needed:
        # Of a scene, and not of something else.
        return list(needed.choices) if ": choose a scene" in str(needed) else [None]
    except PssrError:
        pass
    return [None]


def restore_all(
    predictor: Predictor,
    tasks: Sequence[Task],
    words: dict[str, Any],
    sharing: Sharing,
    *,
    skip_existing: bool,
    as_json: bool,
) -> None:
    """Restore file after file; a bad one is told of, and the next one begun.

    Args:
        predictor: the model.
        tasks: what to restore into what.
        words: as for `Predictor.steps`.
        sharing: who else works on the same.
        skip_existing: whether inputs whose output exists are left out.
        as_json: whether each event is told as JSON on standard output.

    Raises:
        PssrError: there is a single file, and it is bad.
        Exit: with code 1, if any failed.
    """
    alone = len(tasks) == 1
    ours = tasks if alone else tasks[sharing.number - 1 :: sharing.count]
    done, skipped, failed = 0, 0, 0
    with stages() as show:
        for task in ours:
            told = _Told(task, show, as_json)
            if skip_existing and task.target.exists():
                skipped += 1
                told(Noted(f"skipped, {task.target} exists"))
                continue
            try:
                with closing(_steps(predictor, task, words, sharing, alone)) as steps:  # type: ignore[type-var]
                    for event in steps:
                        told(event)
            except PssrError as error:
                told.failed(error)
                failed += 1
                if alone:
                    raise
                report(f"pssr: {error}")
            else:
                done += 1
    if not alone:
        report(f"{done} restored, {skipped} skipped, {failed} failed, of {len(ours)} files")
    if failed:
        raise typer.Exit(1)


def _steps(
    predictor: Predictor, task: Task, words: dict[str, Any], sharing: Sharing, alone: bool
) -> Iterator[Event]:
    said = cast(FileWords, {**words, **({"scene": task.scene} if task.scene is not None else {})})
    if sharing.workers or sharing.scheduler:
        if sharing.count > 1:
            raise ConfigError("shard: workers share the work already; leave out --shard or --workers")
        return _by_many()(
            predictor, task.source, task.target, said, workers=sharing.workers, address=sharing.scheduler
        )
    if alone and sharing.count > 1:
        return restored_share(
            predictor, task.source, task.target, said, number=sharing.number, count=sharing.count
        )
    return predictor.steps(task.source, task.target, **said)


def _by_many() -> Callable[..., Iterator[Event]]:
    try:
        # Imported here: an extra.
        from pssr.predict.cluster import restored_by_many
    except ImportError as error:
        raise ConfigError(
            "workers: dask.distributed is not installed; pip install 'pssr-toolkit[cluster]'"
        ) from error
    return restored_by_many


class _Told:
    """What happens to one file, in lines and bars for people, and as JSON for programs."""

    def __init__(self, task: Task, show: Show, as_json: bool) -> None:
        self._task, self._show, self._json = task, show, as_json
        self._name = task.source.name if task.scene is None else f"{task.source.name} [{task.scene}]"

    def __call__(self, event: Event) -> None:
        match event:
            case Progress(done, total):
                self._show(f"restore {self._name}", done / total)
                self._say("progress", done=done, total=total)
            case Noted(message):
                report(f"{self._name}: {message}")
                self._say("note", message=message)
            case Warned(message):
                report(f"{self._name}: warning: {message}")
                self._say("warning", message=message)
            case Written(path):
                report(f"{path}")
                self._say("written", target=str(path))

    def failed(self, error: PssrError) -> None:
        """It ended before it was complete."""
        self._say("failed", message=as_options(str(error)))

    def _say(self, event: str, **words: Any) -> None:
        if self._json:
            about = {"event": event, "source": str(self._task.source), "scene": self._task.scene}
            print(json.dumps({**about, **words}), flush=True)
