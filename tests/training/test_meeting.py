"""The store of torchrun outlives the processes that met by it."""

from datetime import timedelta
from threading import Thread

import pytest
from torch.distributed import HashStore

from pssr.errors import TrainingError
from pssr.training.meeting import fresh

SOON = timedelta(seconds=20)


def together(store: HashStore, size: int, ranks: range, start: str = "first") -> None:
    """What processes read that begin one after the other, where each writes and then reads what its neighbour wrote."""
    found = {}

    def work(rank: int) -> None:
        ours = fresh(store, rank, size, SOON)
        ours.set(f"address {rank}", f"{start} {rank}")
        found[rank] = ours.get(f"address {(rank + 1) % size}")

    threads = [Thread(target=work, args=(rank,)) for rank in ranks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == {rank: f"{start} {(rank + 1) % size}".encode() for rank in ranks}


@pytest.mark.parametrize("size", [2, 5])
def test_what_an_earlier_start_wrote_is_not_read(size: int):
    store = HashStore()
    store.set_timeout(SOON)
    for start, ranks in (("first", range(size)), ("second", range(size)[::-1]), ("third", range(size))):
        together(store, size, ranks, start)


def test_what_a_process_asked_that_died_before_the_meeting_does_not_count():
    store = HashStore()
    store.set_timeout(SOON)
    store.set("asks 1", "the dead")
    together(store, 2, range(2))


def test_those_who_do_not_come_are_an_error():
    store = HashStore()
    store.set_timeout(timedelta(seconds=0.2))
    for rank in (0, 1):
        with pytest.raises(TrainingError, match=f"process {rank}: the others did not come within 0 s"):
            fresh(store, rank, 2, timedelta(seconds=0.2))
