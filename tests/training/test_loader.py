import gc
import os
import signal
import time
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import active_children

import numpy as np
import pytest
import torch
from small_runs import config, movie

from pssr.data.cache import PlaneCache
from pssr.data.intensity import Intensity
from pssr.data.patches import Patches
from pssr.data.resident import Resident
from pssr.data.split import Piece
from pssr.errors import ReadError, TrainingError
from pssr.training.distributed import ALONE, World
from pssr.training.loader import batches

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Slow:
    """A movie on a drive that takes its time."""

    frames: np.ndarray
    seconds: float

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, t: int, /) -> np.ndarray:
        time.sleep(self.seconds)
        return self.frames[t]


def patches(frames=None, batch: int = 8) -> Patches:
    frames = movie(12) if frames is None else frames
    cache = PlaneCache([frames], ["cells"], limit=10**8, policy="none")
    pieces = [Piece(0, 0, 12, 0, 48)]
    return Patches(
        cache, pieces, [Intensity(0, 1000)], frames=3, ends="reflect", size_px=16, batch=batch, seed=5
    )


def made(workers: int, start: int = 0, stop: int = 6, here: World = ALONE, frames=None):
    asked = config(data__workers=workers, data__batch=8, data__patch_px=16, train__steps=stop)
    return batches(asked, patches(frames), start, here, CPU)


@pytest.fixture(autouse=True)
def no_worker_outlives_its_test():
    yield
    deadline = time.monotonic() + 10
    while active_children() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert active_children() == []


def test_batches_are_the_same_for_any_number_of_workers():
    expected = [good for (good,) in made(0)]
    assert len(expected) == 6
    assert expected[0].shape == (8, 3, 16, 16)
    assert not torch.equal(expected[0], expected[1])
    for workers in (1, 4):
        assert all(map(torch.equal, expected, (good for (good,) in made(workers))))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_later_start_gives_the_end_of_an_earlier_one(workers: int):
    expected = [good for (good,) in made(0)][4:]
    found = [good for (good,) in made(workers, start=4)]
    assert len(found) == 2
    assert all(map(torch.equal, expected, found))


def test_the_shares_of_two_processes_are_the_batch_of_one():
    whole, first, second = ([good for (good,) in made(0, here=World(*which))] for which in ((0, 1), (0, 2), (1, 2)))  # fmt: skip
    assert all(torch.equal(w, torch.cat((a, b))) for w, a, b in zip(whole, first, second, strict=True))


@pytest.mark.parametrize("waiting", [True, False], ids=["while it is waited for", "during a step"])
def test_a_worker_that_dies_is_an_error_that_says_so_where_a_batch_is_asked_for(waiting: bool):
    with closing(made(2, stop=1000, frames=Slow(movie(12), 0.05 if waiting else 0.0))) as given:
        next(given)
        for worker in active_children():
            os.kill(worker.pid, signal.SIGKILL)
        # Here is where a step would be half done.
        time.sleep(0 if waiting else 0.3)
        begin = time.monotonic()
        with pytest.raises(
            TrainingError, match="data.workers: a process that cuts patches died .*fewer workers"
        ):
            list(given)
        assert time.monotonic() - begin < 60


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_worker_finds_wrong_comes_out_as_its_own_sentence(workers: int):
    frames = movie(12).astype(np.float32)
    frames[7, 20:28, 20:28] = np.nan
    with pytest.raises(ReadError) as found:
        list(made(workers, frames=frames))
    assert str(found.value) == (
        "cells: frame 7 has 64 pixels that are not numbers; mend or leave out the frame"
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mistake_in_a_movie_of_ones_own_comes_out_as_it_is(workers: int):
    class Broken(Slow):
        def __getitem__(self, t: int, /) -> np.ndarray:
            raise RuntimeError("no such frame in the archive")

    with pytest.raises(RuntimeError, match="no such frame in the archive") as found:
        list(made(workers, frames=Broken(movie(12), 0.0)))
    assert not isinstance(found.value, TrainingError)


def test_closing_ends_the_workers():
    gc.disable()
    try:
        given = made(2)
        next(given)
        assert len(active_children()) == 2
        given.close()
        assert active_children() == []
    finally:
        gc.enable()


def test_workers_end_also_while_an_error_is_on_its_way_out():
    with pytest.raises(TrainingError), closing(made(2, stop=1000)) as given:
        next(given)
        os.kill(active_children()[0].pid, signal.SIGKILL)
        try:
            list(given)
        except TrainingError as error:
            given.close()
            assert active_children() == []
            raise error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_workers_are_deaf_to_what_asks_the_training_to_stop(number: signal.Signals):
    with closing(made(2, stop=40)) as given:
        found = [next(given)]
        for worker in active_children():
            os.kill(worker.pid, number)
        found += list(given)
    assert len(found) == 40


def test_what_was_done_when_a_child_ended_is_done_again_afterwards():
    before = signal.getsignal(signal.SIGCHLD)
    ended = []
    signal.signal(signal.SIGCHLD, lambda *_: ended.append(1))
    try:
        list(made(0))
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        assert ended
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_patches_cut_on_a_device_are_the_same():
    asked = config(data__batch=8, data__patch_px=16, train__steps=4)
    cut = patches()
    stays = Resident.of(cut.cache, CPU)
    there = batches(asked, cut, 1, ALONE, CPU, stays)
    for here, expected in zip(there, made(0, start=1, stop=4), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(here, expected, strict=True))
