import os
import signal
import threading

import pytest

from pssr.cli.stopping import between_events
from pssr.training.holding import signals_held


def test_ctrl_c_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), signals_held():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("whole")
    assert done == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_does_not_wait():
    done = []
    with pytest.raises(KeyboardInterrupt), signals_held():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        done.append("whole")
    assert done == []


def test_a_handler_that_was_there_is_called_and_stays():
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
            assert received == []
        assert received == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(received) == 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_need_no_holding():
    done = []

    def work() -> None:
        with signals_held():
            done.append("whole")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["whole"]


def test_a_second_one_is_a_second_one_to_whoever_counts_them():
    done = []
    with pytest.raises(SystemExit), between_events(), signals_held():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        done.append("whole")
    assert done == []
