"""What a person sees while something long is running: bars on a terminal, plain lines in a log file."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pssr.cli.words import as_options
from pssr.predict.events import Noted
from pssr.training.events import Event, PhaseStarted, Saved, Step, Validated

LINE_EVERY_S = 15.0  # between progress lines where there is no terminal to draw a bar on
CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)


@runtime_checkable
class Show(Protocol):
    """How far a stage is, 0..1, and what else there is to say."""

    def __call__(self, stage: str, share: float, note: str = "") -> None: ...  # noqa: D102


def report(line: str) -> None:
    """One line that stays."""
    CONSOLE.print(as_options(line), markup=False)


@contextmanager
def stages() -> Iterator[Show]:
    """A bar for each stage named; call what is given with the stage's name and the share done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=CONSOLE, disable=not CONSOLE.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}
        said: dict[str, float] = {}
        began: dict[str, tuple[float, float]] = {}

        def show(stage: str, share: float, note: str = "") -> None:
            now = time.monotonic()
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0, note="")
                began[stage] = (now, share)
            bars.update(tasks[stage], completed=share, note=note)
            due = now - said.get(stage, -LINE_EVERY_S) >= LINE_EVERY_S or share >= 1
            if not CONSOLE.is_terminal and due:
                said[stage] = now
                left = _left_s(*began[stage], now, share)
                told = [f"about {duration(left)} left"] if left else []
                report(f"{stage}: {', '.join([f'{int(100 * share)} %', *told, *filter(None, [note])])}")

        yield show


def _left_s(start: float, first: float, now: float, share: float) -> float:
    """Seconds that a stage will still take at the speed it has had; 0 where that is not known."""
    return (now - start) * (1 - share) / (share - first) if now > start and first < share < 1 else 0.0


def follow(events: Iterator[Event]) -> bool:
    """Show a training until it ends; whether it is finished, rather than interrupted."""
    finished, score = False, ""
    with stages() as show:
        for event in events:
            match event:
                case PhaseStarted():
                    report(plan(event))
                case Step():
                    show("train", event.progress, f"step {event.step}{score}")
                case Validated():
                    score = f", restored {event.psnr:.2f} dB, bicubic {event.bicubic_psnr:.2f} dB"
                    likeness = f", SSIM {event.ssim:.3f}" if math.isfinite(event.ssim) else ""
                    report(f"step {event.step}{score}{likeness}, picture {event.picture}")
                case Noted():
                    report(event.message)
                case Saved():
                    finished = event.finished
    return finished


def plan(event: PhaseStarted) -> str:
    """What will happen, before it does."""
    begin = f"continue at step {event.step}" if event.step else "train"
    held = f"{event.held_bundles} held back" if event.held_bundles else "none held back, so no validation"
    processes = f"{event.processes} x " if event.processes > 1 else ""
    return (
        f"{begin} to {event.steps}: {event.parameters} weights on {processes}{event.device} in {event.precision}, about "
        f"{duration(event.left_s)} and {event.memory_bytes / 1e9:.2g} GB\n"
        f"  {event.movies} movies of {event.planes} planes: {event.train_bundles} bundles ({held}), "
        f"batches of {event.batch} patches of {event.patch_px} px, rate up to {event.lr:.2g}"
    )


def duration(seconds: float) -> str:
    """In the units in which people think of it."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
