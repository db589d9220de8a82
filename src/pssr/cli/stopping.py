"""Ctrl-C and SIGTERM while something long is running: stop between two events, never inside one."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Windows has none.
WARNINGS = (signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()


@contextmanager
def between_events() -> Iterator[Callable[[], None]]:
    """Hold the first signal until the function given is called; a second one does not wait.

    A training that is interrupted inside a step would save half of it.
    """
    received: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if received:
            leave(number, frame)
        received.append(number)

    def check() -> None:
        if received:
            raise SystemExit(128 + received[0])

    before = {number: signal.signal(number, hold) for number in SIGNALS}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def noted(received: list[int], numbers: Sequence[signal.Signals] = (*SIGNALS, *WARNINGS)) -> Iterator[None]:
    """The signals that ask a training to stop, as they arrive; it ends by itself after the step. A second one does not wait.

    Args:
        received: is filled.
        numbers: which; the scheduler's warning, SIGUSR1, is among them.
    """

    def note(number: int, frame: FrameType | None) -> None:
        if received and number in SIGNALS:
            leave(number, frame)
        received.append(number)

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(number: int, _frame: FrameType | None) -> None:
    """Leave at once, through every `finally`."""
    raise SystemExit(128 + number)
