"""Faults of the machine while a stack is restored: signals, a full disk, limits, links, and nothing to write to."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from commands import PSSR, started

from pssr.io.open import open_stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX systems"),
]
WITHOUT = {"HOME", "XDG_CACHE_HOME", "TMPDIR"}


@pytest.fixture
def low(tmp_path: Path, good_movie) -> Path:
    path = tmp_path / "low.tif"
    frames = np.ascontiguousarray(np.tile(good_movie[:, ::2, ::2], (1, 3, 3)))
    tifffile.imwrite(path, frames, photometric="minisblack", metadata={"axes": "TYX"})
    return path


def predict(*words: object, **how) -> subprocess.CompletedProcess:
    environment = (
        os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"} | how.pop("env", {})
    )
    return subprocess.run(
        [*PSSR, "predict", *map(str, words)], capture_output=True, text=True, timeout=120, env=environment, check=False, **how,
    )  # fmt: skip


def pixels(path: Path) -> np.ndarray:
    return np.stack(list(open_stack(path).movie()))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_restoration_that_is_stopped_ends_soon_and_goes_on(run_folder, low, tmp_path: Path, number, code):
    target, log = tmp_path / "out.ome.tif", tmp_path / "out.ome.tif.part.log"
    words = [*PSSR, "predict", str(run_folder), str(low), "-o", str(target), "--tta"]
    with started(words, tmp_path / "said") as process:
        end = time.monotonic() + 60
        while not (log.exists() and log.read_bytes().count(b"\n") > 2):
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < end
            time.sleep(0.01)
        begun = time.monotonic()
        process.send_signal(number)
        assert process.wait(30) == code
        assert time.monotonic() - begun < 15
    said = (tmp_path / "said").read_text()
    assert "pssr: stopped; run the same command again to go on" in said
    assert "Traceback" not in said
    assert not target.exists()
    done = predict(run_folder, low, "-o", target, "--tta")
    assert done.returncode == 0, done.stderr
    assert "of 30 planes were restored before" in done.stderr
    assert not log.exists()


def test_a_full_disk_is_told_and_what_was_done_is_kept(run_folder, low, tmp_path: Path):
    once, target = tmp_path / "once.ome.tif", tmp_path / "out.ome.zarr"
    assert predict(run_folder, low, "-o", once).returncode == 0

    def limit() -> None:
        # A file that grows beyond it is refused, as on a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))

    full = predict(
        run_folder, low, "-o", tmp_path / "full.ome.tif", "--compression", "zstd", preexec_fn=limit
    )
    assert full.returncode == 1
    assert "cannot be written (File too large)" in full.stderr
    assert "Traceback" not in full.stderr
    assert not (tmp_path / "full.ome.tif").exists()
    done = predict(run_folder, low, "-o", tmp_path / "full.ome.tif", "--compression", "zstd")
    assert done.returncode == 0
    assert "planes were restored before" in done.stderr
    np.testing.assert_array_equal(pixels(tmp_path / "full.ome.tif"), pixels(once))
    assert not target.exists()


def test_few_open_files_and_a_tight_address_space_suffice(run_folder, low, tmp_path: Path):
    whole = tmp_path / "whole.ome.tif"
    assert predict(run_folder, low, "-o", whole).returncode == 0

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000, 4_000_000_000))

    for name in ("out.ome.tif", "out.ome.zarr"):
        tight = predict(run_folder, low, "-o", tmp_path / name, preexec_fn=limit)
        assert tight.returncode == 0, tight.stderr
        np.testing.assert_array_equal(pixels(tmp_path / name), pixels(whole))


def test_no_home_a_folder_that_cannot_be_written_and_no_output_suffice(run_folder, low, tmp_path: Path):
    target = tmp_path / "out.ome.tif"
    bare = {name: value for name, value in os.environ.items() if name not in WITHOUT} | {"LC_ALL": "C"}
    command = [*PSSR, "predict", str(run_folder), str(low), "-o", str(target), "--json"]
    done = subprocess.run(
        ["sh", "-c", 'cd / && exec "$@" >&-', "sh", *command], env=bare, stderr=subprocess.PIPE, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert open_stack(target).sizes["T"] == 30


def test_names_that_shells_and_programs_trip_over(run_folder, low, tmp_path: Path):
    low.rename(tmp_path / "-o ok_[a]*? \u00fc.tif")
    (tmp_path / "ok_a.tif").write_bytes(b"not this one")
    done = predict(run_folder, "-o", tmp_path / "out", "--", "./-o ok_[a]*? \u00fc.tif", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["-o ok_[a]*? \u00fc_restored.ome.tif"]


def test_the_source_a_link_and_a_folder_that_is_missing_are_refused(run_folder, low, tmp_path: Path):
    before = low.read_bytes()
    (tmp_path / "link.ome.tif").symlink_to(tmp_path / "elsewhere.tif")
    for target in (low, tmp_path / "link.ome.tif", low / "in" / "a.ome.tif"):
        refused = predict(run_folder, low, "-o", target, "--overwrite")
        assert refused.returncode == 1
        assert [line[:6] for line in refused.stderr.splitlines() if ": warning: " not in line] == ["pssr: "]
    assert low.read_bytes() == before
    assert not (tmp_path / "elsewhere.tif").exists()


def test_two_commands_with_one_output_give_one_result(run_folder, low, tmp_path: Path):
    target = tmp_path / "out.ome.tif"
    words = [*PSSR, "predict", str(run_folder), str(low), "-o", str(target)]
    with started(words, tmp_path / "a") as one, started(words, tmp_path / "b") as two:
        codes = sorted([one.wait(120), two.wait(120)])
    assert codes == [0, 1]
    told = (tmp_path / "a").read_text() + (tmp_path / "b").read_text()
    assert "is being written by another process" in told or "exists already" in told
    once = tmp_path / "once.ome.tif"
    assert predict(run_folder, low, "-o", once).returncode == 0
    np.testing.assert_array_equal(pixels(target), pixels(once))


def test_one_and_two_threads_differ_by_a_grey_level_at_most(run_folder, low, tmp_path: Path):
    found = []
    for threads in ("1", "2", "2"):
        target = tmp_path / f"{len(found)}.ome.tif"
        assert predict(run_folder, low, "-o", target, env={"OMP_NUM_THREADS": threads}).returncode == 0
        found.append(pixels(target).astype(int))
    np.testing.assert_array_equal(found[1], found[2])
    assert np.abs(found[0] - found[1]).max() <= 1


def test_a_source_that_shrinks_while_it_is_read_is_an_error_and_no_signal(
    run_folder, tmp_path: Path, good_movie
):
    source = tmp_path / "low.tif"
    frames = np.ascontiguousarray(np.tile(good_movie[:, ::2, ::2], (6, 4, 4)))
    tifffile.imwrite(source, frames, photometric="minisblack", metadata={"axes": "TYX"})
    log = tmp_path / "out.ome.tif.part.log"
    words = [*PSSR, "predict", str(run_folder), str(source), "-o", str(tmp_path / "out.ome.tif"), "--tta"]
    with started(words, tmp_path / "said") as process:
        end = time.monotonic() + 60
        while not (log.exists() and log.read_bytes().count(b"\n") > 2):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        os.truncate(source, source.stat().st_size // 2)
        assert process.wait(60) == 1
    said = (tmp_path / "said").read_text()
    assert "low.tif" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out.ome.tif").exists()


def test_memory_does_not_grow_with_frames(run_folder, tmp_path: Path, good_movie):
    peaks = []
    for count in (20, 200):
        frames = np.ascontiguousarray(np.tile(good_movie[:20, ::2, ::2], (count // 20, 5, 5)))
        source = tmp_path / f"{count}.tif"
        tifffile.imwrite(source, frames, photometric="minisblack", metadata={"axes": "TYX"})
        words = [*PSSR, "predict", str(run_folder), str(source), "-o", str(tmp_path / f"{count}.ome.tif")]
        with started(words, tmp_path / "said") as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (tmp_path / "said").read_text()
        peaks.append(used.ru_maxrss)
    assert peaks[1] < 1.05 * peaks[0]
