"""Three stages that run at the same time: read, compute, write; between them queues of a few planes."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Closable
from contextlib import suppress
from functools import partial
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
    """A short queue that can be left.

    Args:
        stop: whether to leave it.
        depth: how many items may wait; 0 is any number.
    """

    def __init__(self, stop: threading.Event, depth: int = DEPTH) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(depth)
        self._stop = stop

    def put(self, item: A | _End) -> None:
        while not self._stop.is_set():
            with suppress(queue.Full):
                return self._queue.put(item, timeout=LOOK_EVERY_S)
        raise _Stop

    def get(self) -> Any:
        while not self._stop.is_set():
            with suppress(queue.Empty):
                return self._queue.get(timeout=LOOK_EVERY_S)
        raise _Stop

    def has(self) -> bool:
        return not self._queue.empty()


def staged(
    source: Iterator[A], workers: Sequence[Callable[[A], B]], sink: Callable[[B], None], *, here: bool = False
) -> Closable[None, None, None]:
    """Take what a source gives, through one of several workers, into a sink, all at the same time.

    With one worker the order stays.

    Args:
        source: is iterated in a thread of its own, and closed there.
        workers: each used by a thread of its own.
        sink: is called in a thread of its own.
        here: whether the one worker is used by the thread of the caller.

    Yields:
        Once for each item that the sink has taken. What any of them raises is raised here; closing the generator ends all.
    """
    stop, wrong = threading.Event(), list[BaseException]()
    read: _Line[A] = _Line(stop)
    done: _Line[B] = _Line(stop)
    # The caller, if it works itself, cannot always listen; more than it has worked on is never told.
    told: _Line[None] = _Line(stop, 0 if here else DEPTH)

    def started(run: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=_guarded, args=(run, stop, wrong), name=f"pssr-{name}")
        thread.start()
        return thread

    threads: list[threading.Thread] = []
    try:
        threads.append(started(lambda: _read(source, read, len(workers)), "read"))
        if not here:
            threads += [started(partial(_work, worker, read, done), "compute") for worker in workers]
        threads.append(started(lambda: _write(sink, done, told, len(workers)), "write"))
        if here:
            yield from _worked(workers[0], read, done, told)
        while not isinstance(told.get(), _End):
            yield
    except _Stop:
        pass  # because of what has gone wrong in another thread
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if wrong:
        raise wrong[0]


def _guarded(run: Callable[[], None], stop: threading.Event, wrong: list[BaseException]) -> None:
    """Run; what goes wrong is kept, and stops the others."""
    try:
        run()
    except _Stop:
        pass
    except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
        wrong.append(error)
        stop.set()


def _read(source: Iterator[A], read: _Line[A], workers: int) -> None:
    try:
        for item in source:
            read.put(item)
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
    for _ in range(workers):
        read.put(_End())


def _work(work: Callable[[A], B], read: _Line[A], done: _Line[B]) -> None:
    while not isinstance(item := read.get(), _End):
        done.put(work(item))
    done.put(_End())


def _worked(work: Callable[[A], B], read: _Line[A], done: _Line[B], told: _Line[None]) -> Iterator[None]:
    """The same in the thread of the caller, who hears meanwhile of what was written."""
    while not isinstance(item := read.get(), _End):
        done.put(work(item))
        while told.has():
            told.get()
            yield
    done.put(_End())


def _write(sink: Callable[[B], None], done: _Line[B], told: _Line[None], workers: int) -> None:
    left = workers
    while left:
        item = done.get()
        if isinstance(item, _End):
            left -= 1
        else:
            sink(item)
            told.put(None)
    told.put(_End())
