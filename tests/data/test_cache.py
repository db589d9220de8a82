import errno
import gc
import multiprocessing
import multiprocessing.util
import os
import pickle
import stat
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from pssr.config import preset
from pssr.data import cache as module
from pssr.data.cache import PlaneCache
from pssr.data.intensity import Intensity
from pssr.data.patches import Partner, Patches
from pssr.data.split import Piece
from pssr.errors import ReadError
from pssr.training.fit import fit
from pssr.training.sources import gathered

POLICIES = ["ram", "disk", "none"]
FRAMES, ROWS, COLUMNS = 7, 60, 80


class Counted:
    """A movie that knows which frames were read."""

    def __init__(self, planes: np.ndarray) -> None:
        self.planes, self.reads = planes, []

    def __len__(self) -> int:
        return len(self.planes)

    def __getitem__(self, t: int) -> np.ndarray:
        self.reads.append(t)
        return self.planes[t].copy()


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """A temporary folder for this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    # Kept by multiprocessing from its first use on: its sockets must not lie in this folder, which has a name too long for
    # them and is gone after the test.
    multiprocessing.util.get_temp_dir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(module, "LEFT_FREE", 0)
    return folder


def noise(dtype: str = "u2", frames: int = FRAMES, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (frames, rows, COLUMNS)).astype(dtype)


def cut(movies, **settings) -> Patches:
    pieces = [Piece(0, 0, FRAMES, 0, ROWS), Piece(0, 1, 5, 3, 44)]
    return Patches(
        PlaneCache(movies, **settings), pieces, [Intensity(10, 4000)], frames=3, ends="reflect", size_px=16,
        batch=4, seed=0, partners={0: Partner(1, Intensity(0, 100), 2)},
    )  # fmt: skip


def run(code: str, folder: Path, **settings) -> subprocess.CompletedProcess:
    """A program that has a cache on disk, `made()`, in that temporary folder."""
    start = (
        "import os, signal, sys\nimport numpy as np\nfrom pssr.data import cache as module\n"
        "from pssr.data.cache import PlaneCache\nmodule.LEFT_FREE = 0\n"
        "def made(frames=3, side=8):\n"
        "    movie = np.arange(frames * side * side, dtype='u2').reshape(frames, side, side)\n"
        "    cache = PlaneCache([movie], policy='disk')\n"
        "    return movie, cache\n"
    )
    return subprocess.run(
        [sys.executable, "-c", start + code], env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True, text=True, check=False, **settings,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i4", "f2", "f4", "f8"])
def test_patches_are_the_same_wherever_planes_stay(dtype):
    high = noise(dtype)
    # Laid out by columns: sums of such planes are rounded in another order.
    by_columns = np.asfortranarray(high)
    expected = cut([high, high[:, ::2, ::2]])
    for policy in POLICIES:
        for movie in (high, by_columns):
            for limit in (1, 10**9):
                found = cut([movie, movie[:, ::2, ::2]], policy=policy, limit=limit)
                for k in range(12):
                    for one, other in zip(expected[k], found[k], strict=True):
                        np.testing.assert_array_equal(one, other)
                        assert one.dtype == other.dtype


@pytest.mark.parametrize("policy", POLICIES)
def test_patches_are_the_same_from_any_number_of_workers(policy, temporary):
    high = noise()
    expected = cut([high, high[:, ::2, ::2]])
    found = cut([high, high[:, ::2, ::2]], policy=policy)
    for workers in (1, 2):
        for k, parts in enumerate(DataLoader(found, sampler=range(8), batch_size=None, num_workers=workers)):
            for one, other in zip(expected[k], parts, strict=True):
                np.testing.assert_array_equal(one, other)
    # The workers are gone, and what they share stays.
    assert len(list(temporary.iterdir())) == (policy == "disk")


@pytest.mark.parametrize("policy", POLICIES)
def test_planes_keep_dtype_and_values(policy):
    for dtype in ("u2", ">u2", "f4"):
        movie = noise(dtype)
        kept = PlaneCache([movie], policy=policy)
        for t in (0, 3, 0):
            np.testing.assert_array_equal(kept.plane(0, t), movie[t])
            np.testing.assert_array_equal(kept.crop(0, t, 5, 7, 20), movie[t, 5:25, 7:27])
            assert kept.crop(0, t, 5, 7, 20).dtype == kept.plane(0, t).dtype == movie.dtype
        assert kept.shape(0) == (ROWS, COLUMNS)


def test_no_more_is_kept_in_memory_than_the_limit():
    movie = Counted(np.arange(10, dtype="u1")[:, None, None] * np.ones((8, 8), "u1"))
    kept = PlaneCache([movie], limit=3 * 64)
    for t in (0, 1, 2, 0, 1, 2, 3, 3, 0):
        assert kept.plane(0, t)[0, 0] == t
        assert kept.size == sum(plane.nbytes for plane in kept.kept.values()) <= 3 * 64
    assert movie.reads == [0, 1, 2, 3, 0]


def test_none_keeps_one_plane_and_reads_each_frame_of_a_patch_once():
    movie = Counted(noise())
    patches = Patches(
        PlaneCache([movie], policy="none"), [Piece(0, 0, FRAMES, 0, ROWS)], [Intensity(0, 1)], frames=3,
        ends="drop", size_px=16, batch=4, seed=0,
    )  # fmt: skip
    for k in range(8):
        movie.reads.clear()
        patches[k]
        assert len(movie.reads) <= 3 + (k == 0)
        assert len(patches.cache.kept) == 1


def test_disk_reads_the_source_once_and_keeps_nothing_in_memory(temporary):
    movie = Counted(noise())
    kept = PlaneCache([movie], policy="disk")
    for t in (*range(FRAMES), *range(FRAMES)):
        kept.plane(0, t)
        kept.crop(0, t, 0, 0, 8)
    assert movie.reads == list(range(FRAMES))
    assert (kept.size, len(kept.kept)) == (0, 0)
    folder = next(temporary.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(list(folder.iterdir())) == FRAMES
    assert not list(folder.glob("*.part"))


def test_a_crop_reads_no_more_than_its_rows():
    kept = PlaneCache([noise()], policy="disk")
    kept.plane(0, 2)
    assert kept.crop(0, 2, 10, 4, 16).base.shape == (16, COLUMNS)


def test_a_plane_whose_file_was_cut_or_removed_is_read_again(temporary):
    movie = Counted(noise())
    kept = PlaneCache([movie], policy="disk")
    kept.plane(0, 0), kept.plane(0, 1)
    folder = next(temporary.iterdir())
    os.truncate(folder / "0-0", 1000)
    (folder / "0-1").unlink()
    for t in (0, 1):
        np.testing.assert_array_equal(kept.crop(0, t, 40, 4, 16), movie.planes[t, 40:56, 4:20])
    assert movie.reads == [0, 1, 0, 1]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_two_processes_share_what_was_unpacked(start, temporary):
    movie = noise()
    kept = PlaneCache([movie], policy="disk")
    context = multiprocessing.get_context(start)
    # The other process has no movie: all it can see was unpacked here.
    for t in range(FRAMES):
        kept.plane(0, t)
    kept.movies = [movie[:0]]
    with context.Pool(1) as pool:
        for t in range(FRAMES):
            np.testing.assert_array_equal(pool.apply(kept.crop, (0, t, 5, 7, 20)), movie[t, 5:25, 7:27])
        pool.close()
        pool.join()
    np.testing.assert_array_equal(kept.plane(0, 0), movie[0])
    assert len(list(temporary.iterdir())) == 1


def test_a_copy_does_not_take_the_planes_with_it(temporary):
    kept = PlaneCache([noise()], policy="disk")
    copy = pickle.loads(pickle.dumps(kept))
    kept.plane(0, 0)
    del copy
    gc.collect()
    assert len(list(next(temporary.iterdir()).iterdir())) == 1


def test_the_scratch_is_gone_with_the_cache(temporary):
    kept = PlaneCache([noise()], policy="disk")
    kept.plane(0, 0)
    assert list(temporary.iterdir())
    del kept
    gc.collect()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    "ending", ["", "raise SystemExit(3)", "1 / 0", "os.kill(os.getpid(), signal.SIGINT)"]
)
def test_the_scratch_is_gone_with_the_process(ending, temporary):
    done = run(
        f"movie, cache = made()\ncache.plane(0, 0)\nprint(len(os.listdir({str(temporary)!r})))\n{ending}",
        temporary,
    )
    assert done.stdout == "1\n", done.stderr
    assert not list(temporary.iterdir())


def test_the_scratch_of_a_killed_process_is_removed_by_the_next_one_and_no_other(temporary):
    done = run("movie, cache = made()\ncache.plane(0, 0)\nos.kill(os.getpid(), signal.SIGKILL)", temporary)
    assert done.returncode < 0
    left = next(temporary.iterdir())
    assert list(left.iterdir())
    host = left.name.removeprefix("pssr-planes-").rsplit("-", 2)[0]
    stay = [temporary / "pssr-planes-", temporary / f"pssr-planes-{host}-x-1", temporary / "mine"]
    stay += [temporary / f"pssr-planes-{host}x-{left.name.split('-')[-2]}-abc"]
    for folder in stay:
        folder.mkdir()
    (temporary / f"{left.name}x").symlink_to(temporary / "mine")
    alive = PlaneCache([noise()], policy="disk")
    assert not left.exists()
    assert all(folder.is_dir() for folder in stay)
    other = PlaneCache([noise()], policy="disk")
    assert {
        left for left in temporary.iterdir() if left.name.startswith(f"pssr-planes-{host}-{os.getpid()}-")
    } == {
        alive.scratch.folder,
        other.scratch.folder,
    }


def test_a_process_that_came_later_by_the_same_number_is_another_one(temporary):
    alive = PlaneCache([noise()], policy="disk")
    assert alive.scratch
    os.utime(alive.scratch.folder, (0, 0))
    PlaneCache([noise()], policy="disk")
    assert not alive.scratch.folder.exists()


def test_a_training_without_room_on_the_disk_goes_on(temporary):
    """Files may grow to 200 bytes here, and planes are of 128 and 152."""
    done = run(
        "import resource, warnings\n"
        "movie, cache = made()\nlarge, other = made(side=16)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    for _ in range(2):\n"
        "        for t in range(3):\n"
        "            assert (cache.plane(0, t) == movie[t]).all()\n"
        "            assert (other.plane(0, t) == large[t]).all()\n"
        "            assert (other.crop(0, t, 1, 2, 9) == large[t, 1:10, 2:11]).all()\n"
        "assert len(os.listdir(cache.scratch.folder)) == 3 and not cache.full\n"
        "assert os.listdir(other.scratch.folder) == [] and other.full\n"
        "assert other.size == 3 * 512\n"
        "print(*(w.message for w in told), sep='\\n')",
        temporary,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "data.cache: no more planes can be unpacked into" in done.stdout
    assert "File too large" in done.stdout


def test_a_disk_is_not_filled_to_the_last_byte(monkeypatch):
    monkeypatch.setattr(module, "LEFT_FREE", 2**62)
    movie = Counted(noise())
    kept = PlaneCache([movie], policy="disk", limit=2 * ROWS * COLUMNS * 2)
    with pytest.warns(UserWarning, match=os.strerror(errno.ENOSPC)):
        kept.plane(0, 0)
    for t in range(FRAMES):
        np.testing.assert_array_equal(kept.plane(0, t), movie.planes[t])
    assert len(kept.kept) == 2


def test_no_temporary_folder_is_no_reason_to_stop(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    movie = noise()
    with pytest.warns(UserWarning, match="data.cache: no more planes can be unpacked into"):
        kept = PlaneCache([movie], policy="disk")
    np.testing.assert_array_equal(kept.crop(0, 3, 1, 2, 9), movie[3, 1:10, 2:11])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_pixel_that_is_no_number_is_refused_by_name(policy):
    movie = noise("f4")
    movie[4, 7, 7] = np.nan
    kept = PlaneCache([movie], ["mito.tif"], policy=policy)
    kept.plane(0, 3)
    for _ in range(2):
        with pytest.raises(ReadError, match=r"mito.tif: frame 4 has 1 pixels that are not numbers"):
            kept.plane(0, 4)
        with pytest.raises(ReadError, match=r"mito.tif: frame 4 has 1 pixels that are not numbers"):
            kept.crop(0, 4, 30, 30, 8)
    with pytest.raises(ReadError, match=r"movie 0: frame 4"):
        gathered(preset("movie").changed({"data.cache": policy}), [movie], ())


def test_a_training_has_the_cache_that_was_asked_for(temporary):
    asked = {"data.cache": "disk", "data.cache_gb": 0.5, "data.workers": 4}
    material = gathered(preset("movie").changed(asked), [noise("f4")], ())
    assert (material.cache.policy, material.cache.limit) == ("disk", 100_000_000)  # of each of five processes
    # Looking for gaps has read all of a movie of floats: it stays where it was asked to.
    assert (material.cache.size, len(list(next(temporary.iterdir()).iterdir()))) == (0, FRAMES)
    small = gathered(preset("movie").changed({"data.cache_gb": 5e-5}), [noise("f4")], ())
    assert small.cache.size <= 5e4


@pytest.mark.slow
def test_trainings_with_all_policies_are_one(tmp_path, temporary):
    settings = {"train.steps": 3, "data.batch": 4, "data.patch_px": 32, "train.precision": "fp32"}
    losses = []
    for policy in POLICIES:
        config = preset("movie").changed(settings | {"data.cache": policy})
        events = fit(config, [noise()], tmp_path / policy)
        losses.append([event.loss for event in events if hasattr(event, "loss")])
        events.close()
        del events
        gc.collect()
        assert not list(temporary.glob("pssr-planes-*"))
    assert len(losses[0]) == 3
    assert losses[0] == losses[1] == losses[2]
    assert all(one != other for one, other in pairwise(losses[0]))
