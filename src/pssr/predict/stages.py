"""Three stages that run at the same time: read, compute, write; between them queues of a few planes."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Closable
from contextlib import suppress
from typing import Any, Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")
DEPTH = 2  # planes waiting between two stages: more would only take memory
LOOK_EVERY_S = 0.1  # whether to stop


class _End:
    """Nothing more will come."""


class _Stop(Exception):
    """Somebody further on wants nothing more."""


class _Line(Generic[A]):
    """A short queue that can be left."""

    def __init__(self, stop: threading.Event) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(DEPTH)
        self._stop = stop

    def put(self, item: A | _End | BaseException) -> None:
        while not self._stop.is_set():
            with suppress(queue.Full):
                return self._queue.put(item, timeout=LOOK_EVERY_S)
        raise _Stop

    def get(self) -> Any:
        while not self._stop.is_set():
            with suppress(queue.Empty):
                return self._queue.get(timeout=LOOK_EVERY_S)
        raise _Stop


def staged(
    source: Iterator[A], workers: Sequence[Callable[[A], B]], sink: Callable[[B], None]
) -> Closable[None, None, None]:
    """Take what a source gives, through one of several workers, into a sink; each in threads of their own.

    With one worker the order stays.

    Args:
        source: is iterated in one thread, and closed there.
        workers: each used by a thread of its own.
        sink: is called in one thread.

    Yields:
        Once for each item that the sink has taken. What any of them raises is raised here; closing the generator ends all.
    """
    stop = threading.Event()
    read: _Line[A] = _Line(stop)
    done: _Line[B] = _Line(stop)
    told: _Line[None] = _Line(stop)
    threads = [
        threading.Thread(target=_reading, args=(source, read, told, len(workers)), name="pssr-read"),
        *(threading.Thread(target=_working, args=(w, read, done, told), name="pssr-compute") for w in workers),
        threading.Thread(target=_writing, args=(sink, done, told, len(workers)), name="pssr-write"),
    ]  # fmt: skip
    try:
        for thread in threads:
            thread.start()
        while (item := told.get()) is None:
            yield
        if isinstance(item, BaseException):
            raise item
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _reading(source: Iterator[A], read: _Line[A], told: _Line[None], workers: int) -> None:
    def run() -> None:
        try:
            for item in source:
                read.put(item)
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        for _ in range(workers):
            read.put(_End())

    _told_of(run, told)


def _working(work: Callable[[A], B], read: _Line[A], done: _Line[B], told: _Line[None]) -> None:
    def run() -> None:
        while not isinstance(item := read.get(), _End):
            done.put(work(item))
        done.put(_End())

    _told_of(run, told)


def _writing(sink: Callable[[B], None], done: _Line[B], told: _Line[None], workers: int) -> None:
    def run() -> None:
        left = workers
        while left:
            item = done.get()
            if isinstance(item, _End):
                left -= 1
            else:
                sink(item)
                told.put(None)
        told.put(_End())

    _told_of(run, told)


def _told_of(run: Callable[[], None], told: _Line[None]) -> None:
    """Run, and hand on what goes wrong."""
    try:
        run()
    except _Stop:
        pass
    except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
        with suppress(_Stop):
            told.put(error)
