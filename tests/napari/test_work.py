"""Work beside the window: events in its thread, an end whatever happens."""

import threading
import time

import pytest


@pytest.fixture
def owner(application):
    from qtpy.QtWidgets import QWidget

    widget = QWidget()
    yield widget
    from qtpy.compat import isalive

    if isalive(widget):
        widget.deleteLater()


class Steps:
    """A generator that knows whether it was closed, and in which thread."""

    def __init__(self, count: int, pause_s: float = 0.0, fail: Exception | None = None) -> None:
        self.count, self.pause_s, self.fail = count, pause_s, fail
        self.closed = None

    def __call__(self):
        try:
            for k in range(self.count):
                yield k
                time.sleep(self.pause_s)
            if self.fail:
                raise self.fail
        finally:
            self.closed = threading.current_thread().name


def test_events_arrive_in_the_thread_of_the_window(owner, wait):
    from napari_pssr.work import Work

    heard, threads, ended = [], set(), []
    work = Work(owner, Steps(5))
    work.told.connect(lambda event: (heard.append(event), threads.add(threading.current_thread())))
    work.ended.connect(lambda: ended.append(True))
    work.start()
    wait(lambda: ended)
    assert heard == [0, 1, 2, 3, 4]
    assert threads == {threading.main_thread()}
    assert not work.running


def test_what_goes_wrong_is_told_and_ends_it(owner, wait):
    from napari_pssr.work import Work

    wrong, ended = [], []
    work = Work(owner, Steps(1, fail=ValueError("no")))
    work.failed.connect(wrong.append)
    work.ended.connect(lambda: ended.append(len(wrong)))
    work.start()
    wait(lambda: ended)
    assert str(wrong[0]) == "no"
    assert ended == [1]


def test_a_stop_closes_the_generator_in_its_own_thread(owner, wait):
    from napari_pssr.work import Work

    steps, ended = Steps(10_000, 0.01), []
    work = Work(owner, steps)
    work.ended.connect(lambda: ended.append(True))
    work.start()
    wait(lambda: work.running)
    work.stop()
    wait(lambda: ended, seconds=5)
    assert steps.closed == "pssr"


def test_closing_the_widget_ends_it(owner, application, wait):
    from napari_pssr.work import Work

    steps = Steps(10_000, 0.01)
    work = Work(owner, steps)
    work.start()
    wait(lambda: work.running)
    owner.deleteLater()
    wait(lambda: steps.closed, seconds=5)


def test_only_the_newest_question_is_answered(owner, wait):
    from napari_pssr.work import Latest

    asked, answers = [], []

    def question(k):
        def ask():
            asked.append(k)
            time.sleep(0.1)
            return k

        return ask

    latest = Latest(owner)
    latest.answered.connect(answers.append)
    for k in range(20):
        latest.ask(question(k))
    wait(lambda: 19 in answers)
    assert asked == [0, 19]
    assert answers == [0, 19]
    assert not latest.busy


def test_an_answer_that_nobody_wants_is_not_given(owner, wait):
    from napari_pssr.work import Latest

    answers = []
    latest = Latest(owner)
    latest.answered.connect(answers.append)
    latest.ask(lambda: time.sleep(0.1))
    latest.forget()
    wait(lambda: not latest.busy)
    assert answers == []
