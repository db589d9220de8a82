import threading
import time
from collections.abc import Iterator

import pytest

from pssr.predict import stages
from pssr.predict.stages import DEPTH

FEW = 4 * DEPTH + 4  # planes under way: in queues between stages, and in the hands of each
NAMES = ("pssr-read", "pssr-compute", "pssr-write")


class Source:
    """Numbers, of which is noted how many were asked for, and where it was closed."""

    def __init__(self, count: int, *, fails_at: int = -1) -> None:
        self.given, self.closed_in = 0, ""
        self._numbers = self._generated(count, fails_at)

    def _generated(self, count: int, fails_at: int) -> Iterator[int]:
        try:
            for k in range(count):
                if k == fails_at:
                    raise OSError("the disk is gone")
                self.given += 1
                yield k
        finally:
            self.closed_in = threading.current_thread().name

    def __iter__(self) -> Iterator[int]:
        return self._numbers

    def __next__(self) -> int:
        return next(self._numbers)

    def close(self) -> None:
        self._numbers.close()


@pytest.fixture(autouse=True, params=[False, True], ids=["own thread", "here"])
def here(request) -> bool:
    """Whether one worker alone is used by the thread of the caller."""
    return request.param


@pytest.fixture
def staged(here):
    """With one worker or several, of which only one can be used here."""

    def made(source, workers, sink):
        return stages.staged(source, workers, sink, here=here and len(workers) == 1)

    return made


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name in NAMES]


def fails_at(k: int, error: BaseException):
    def work(item: int) -> int:
        if item == k:
            raise error
        return item

    return work


def test_one_worker_keeps_the_order(staged):
    source, out = Source(50), []
    assert sum(1 for _ in staged(source, [lambda k: k * k], out.append)) == 50
    assert out == [k * k for k in range(50)]
    assert source.closed_in == "pssr-read"


@pytest.mark.parametrize("workers", [2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_with_several_workers_all_arrive(staged, workers, count):
    out = []

    def work(k: int) -> int:
        time.sleep(0.001 * (k % 3))
        return k

    assert sum(1 for _ in staged(Source(count), [work] * workers, out.append)) == count
    assert sorted(out) == list(range(count))


def test_each_worker_has_a_thread_of_its_own_and_the_sink_has_one(staged):
    both, seen = threading.Barrier(2, timeout=20), []

    def worker(name: str):
        def work(k: int) -> str:
            # Goes on when the other one is at work as well.
            both.wait()
            seen.append((name, threading.get_ident()))
            return name

        return work

    written_in: set[int] = set()
    list(staged(Source(6), [worker("a"), worker("b")], lambda _: written_in.add(threading.get_ident())))
    assert len(set(seen)) == 2
    assert len(written_in) == 1
    assert threading.get_ident() not in written_in | {thread for _, thread in seen}


def test_what_is_told_was_written(staged):
    out = []
    for count, _ in enumerate(staged(Source(30), [lambda k: k], out.append), 1):
        assert len(out) >= count


@pytest.mark.parametrize("workers", [1, 3])
def test_what_the_source_raises_is_raised_here(staged, workers):
    source = Source(20, fails_at=5)
    with pytest.raises(OSError, match="the disk is gone"):
        list(staged(source, [lambda k: k] * workers, lambda _: None))
    assert source.closed_in == "pssr-read"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("error", [ValueError("no such shape"), MemoryError(), KeyboardInterrupt()])
def test_what_a_worker_raises_is_raised_here(staged, workers, error):
    source = Source(10**6)
    with pytest.raises(type(error)) as told:
        list(staged(source, [fails_at(3, error)] * workers, lambda _: None))
    assert told.value is error
    assert source.closed_in == "pssr-read"


def test_what_the_sink_raises_is_raised_here(staged):
    source, error = Source(10**6), OSError("the disk is full")
    with pytest.raises(OSError, match="the disk is full") as told:
        list(staged(source, [lambda k: k], fails_at(3, error)))
    assert told.value is error
    assert source.closed_in == "pssr-read"


def test_what_closing_the_source_raises_is_raised_here(staged):
    class Damaged(Source):
        def close(self) -> None:
            raise OSError("cannot be closed")

    with pytest.raises(OSError, match="cannot be closed"):
        list(staged(Damaged(3), [lambda k: k], lambda _: None))


@pytest.mark.parametrize("taken", [1, 7])
@pytest.mark.parametrize("workers", [1, 3])
def test_closing_early_ends_all_threads_and_closes_the_source(staged, taken, workers):
    source, out = Source(10**6), []
    steps = staged(source, [lambda k: k] * workers, out.append)
    for _ in range(taken):
        next(steps)
    steps.close()
    assert source.closed_in == "pssr-read"
    written, given = len(out), source.given
    assert taken <= written <= given < 10**4
    time.sleep(0.05)
    assert (len(out), source.given) == (written, given)


def test_an_error_of_the_caller_ends_all_threads(staged):
    source = Source(10**6)

    def restore() -> None:
        for _ in staged(source, [lambda k: k], lambda _: None):
            raise RuntimeError("the caller has had enough")

    with pytest.raises(RuntimeError, match="had enough"):
        restore()
    assert source.closed_in == "pssr-read"


def settled(source: Source) -> int:
    """How many a source has given, once it gives no more."""
    before = -1
    while before != source.given:
        before = source.given
        time.sleep(0.03)
    return before


def test_the_source_is_only_a_few_ahead_of_a_slow_caller(staged):
    source, out = Source(100), []
    for told, _ in enumerate(staged(source, [lambda k: k], out.append), 1):
        if told % 10 == 1:
            assert settled(source) - told <= FEW
    assert out == list(range(100))


@pytest.mark.parametrize("where", ["worker", "sink"])
def test_the_source_is_only_a_few_ahead_of_a_slow_stage(staged, where):
    source, ahead, done = Source(60), [], [0]

    def slowly(k: int) -> int:
        time.sleep(0.002)
        ahead.append(source.given - done[0])
        done[0] += 1
        return k

    def fast(k: int) -> int:
        return k

    stages = ([slowly], fast) if where == "worker" else ([fast], slowly)
    assert sum(1 for _ in staged(source, *stages)) == 60
    assert max(ahead) <= FEW


def test_stages_run_at_the_same_time(staged):
    """The next plane is read while one is worked on and one is written."""
    together = threading.Barrier(3, timeout=20)

    def read() -> Iterator[int]:
        yield 0
        yield 1
        together.wait()
        yield 2

    def work(k: int) -> int:
        if k == 1:
            together.wait()
        return k

    def write(k: int) -> None:
        if k == 0:
            together.wait()

    assert sum(1 for _ in staged(read(), [work], write)) == 3


def test_a_source_that_cannot_be_closed_will_do(staged):
    out = []
    list(staged(iter([1, 2, 3]), [str], out.append))
    assert out == ["1", "2", "3"]


def test_one_worker_may_work_in_the_thread_of_the_caller(staged, here):
    seen: set[int] = set()
    list(staged(Source(4), [lambda _: seen.add(threading.get_ident())], lambda _: None))
    assert (seen == {threading.get_ident()}) == here
