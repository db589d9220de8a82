"""Ctrl-C and SIGTERM wait until a step is whole: half a step would be saved as a whole one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], Any] | int | None


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals that arrive in the block act at its end, as they would have; a second one lets both act at once.

    One that arrives in a block that fails is not needed any more.

    Only the main thread receives signals; in any other one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def hold(number: int, frame: FrameType | None) -> None:
        received.append((number, frame))
        if len(received) > 1:
            deliver()

    def deliver() -> None:
        while received:
            number, frame = received.pop(0)
            _act(before[signal.Signals(number)], number, frame)

    # A handler that was not set from Python cannot be put back: it is left alone.
    held = [number for number in SIGNALS if before[number] is not None]
    for number in held:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number in held:
            signal.signal(number, before[number])
    deliver()


def _act(handler: Handler, number: int, frame: FrameType | None) -> None:
    """What would have happened without us."""
    if callable(handler):
        handler(number, frame)
    elif handler is not signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
