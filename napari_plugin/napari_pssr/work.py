"""Long work beside the window: a generator in a thread, whose events arrive in the window's own thread."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication, QWidget

LOOK_MS = 15  # between two looks at what the thread has said
AT_ONCE_S = 0.03  # spent on it each time: the window comes first


class Work(QObject):
    """One generator, from its start to its end.

    It ends when it has no more events, fails, is stopped, or when the widget that it belongs to is gone. Whatever ends it, the
    generator is closed in its own thread, so that a training saves itself.

    Args:
        owner: the widget that it belongs to.
        begin: makes the generator, in the thread.
    """

    told = Signal(object)  # an event
    failed = Signal(object)  # what went wrong
    ended = Signal()  # always, and last

    def __init__(self, owner: QWidget, begin: Callable[[], Generator[Any, None, None]]) -> None:
        super().__init__(owner)
        # The thread knows these two and no object of Qt, any of which may be gone at any moment.
        self._stop, self._said = threading.Event(), SimpleQueue[tuple[str, Any]]()
        self._thread = threading.Thread(target=_run, args=(begin, self._stop, self._said), name="pssr")
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._hear)
        owner.destroyed.connect(self._stop.set)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._stop.set)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._timer.start(LOOK_MS)

    def stop(self) -> None:
        """Ask it to end after the event that it is at."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to end."""
        return self._stop.is_set()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def _hear(self) -> None:
        end = time.monotonic() + AT_ONCE_S
        while time.monotonic() < end:
            try:
                what, about = self._said.get_nowait()
            except Empty:
                return
            if what == "ended":
                self._timer.stop()
                self._thread.join()
                self.ended.emit()
                self.deleteLater()
                return
            (self.told if what == "told" else self.failed).emit(about)


def _run(
    begin: Callable[[], Generator[Any, None, None]],
    stop: threading.Event,
    said: "SimpleQueue[tuple[str, Any]]",
) -> None:
    try:
        with closing(begin()) as events:
            for event in events:
                said.put(("told", event))
                if stop.is_set():
                    break
    except Exception as error:  # noqa: BLE001 - whatever it is, a person is told
        said.put(("failed", error))
    finally:
        said.put(("ended", None))


class Latest(QObject):
    """Answers the newest question only: one at a time, in a thread, and what is overtaken is never begun.

    Args:
        owner: the widget that it belongs to.
    """

    answered = Signal(object)
    failed = Signal(object)

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self._owner = owner
        self._work: Work | None = None
        self._next: Callable[[], Any] | None = None

    def ask(self, question: Callable[[], Any]) -> None:
        """Ask; the answer to a question that is being worked on comes first.

        Args:
            question: called in a thread.
        """
        self._next = question
        if self._work is None:
            self._go_on()

    def forget(self) -> None:
        """Want no more answers."""
        self._next = None
        if self._work is not None:
            self._work.stop()

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._work is not None

    def _go_on(self) -> None:
        self._work = None
        if self._next is None:
            return
        question, self._next = self._next, None

        def once() -> Generator[Any, None, None]:
            yield question()

        work = Work(self._owner, once)
        work.told.connect(lambda answer: None if work.stopped else self.answered.emit(answer))
        work.failed.connect(lambda error: None if work.stopped else self.failed.emit(error))
        work.ended.connect(self._go_on)
        self._work = work
        work.start()
