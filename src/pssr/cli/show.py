"""What a person sees while something long is running: bars on a terminal, plain lines in a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
from pssr.training.events import Event, PhaseStarted, Saved, Step, Validated

LINE_EVERY_S = 15.0  # between progress lines where there is no terminal to draw a bar on
CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)

Show = Callable[[str, float], None]


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
    )
    with Progress(*columns, console=CONSOLE, disable=not CONSOLE.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}
        said: dict[str, float] = {}

        def show(stage: str, share: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=share)
            due = time.monotonic() - said.get(stage, -LINE_EVERY_S) >= LINE_EVERY_S or share >= 1
            if not CONSOLE.is_terminal and due:
                said[stage] = time.monotonic()
                report(f"{stage}: {int(100 * share)} %")

        yield show


def follow(events: Iterator[Event], check: Callable[[], None]) -> None:
    """Show a training until it ends, or until `check`, called after each event, raises."""
    with stages() as show:
        for event in events:
            check()
            match event:
                case PhaseStarted():
                    report(_plan(event))
                case Step():
                    show("train", event.progress)
                case Validated():
                    report(
                        f"step {event.step}: restored {event.psnr:.2f} dB, bicubic {event.bicubic_psnr:.2f} dB, picture {event.picture}"
                    )
                case Saved():
                    pass


def _plan(event: PhaseStarted) -> str:
    """One line that says what will happen before it does."""
    begin = f"continue at step {event.step}" if event.step else "train"
    held = f"{event.held_bundles} held back" if event.held_bundles else "none held back, so no validation"
    return (
        f"{begin} to {event.steps}: {event.parameters} weights, {event.train_bundles} bundles ({held}), "
        f"patches of {event.patch_px} px, "
        f"{event.device} in {event.precision}"
    )
