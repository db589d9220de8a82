"""Ctrl-C and SIGTERM wait until a step is whole: half a step would be saved as a whole one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals that arrive in the block act at its end, as they would have; a second one does not wait.

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
            act(number, frame)

    def act(number: int, frame: FrameType | None) -> None:
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)
        elif handler is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    # A handler that was not set from Python cannot be put back: it is left alone.
    held = [number for number in SIGNALS if before[number] is not None]
    for number in held:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number in held:
            signal.signal(number, before[number])
    if received:
        act(*received[0])
