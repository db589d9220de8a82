"""One file by many workers: workers and whole commands that die, hang, are stopped, or find something wrong."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
import tifffile
from commands import PATIENCE_S, PSSR, ran, started
from distributed import LocalCluster

from pssr.errors import ConfigError, ReadError, WriteError
from pssr.predict.cluster import restored_by_many
from pssr.predict.events import Event, Noted, Progress, Written
from pssr.predict.predictor import Predictor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems"),
]
ANYWHERE = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}, "silence_logs": logging.CRITICAL}  # fmt: skip
SOON_S = 15.0  # in which a command that is told to stop has stopped


@pytest.fixture(scope="module")
def predictor(run_folder) -> Predictor:
    return Predictor.load(run_folder, precision="fp32")


@pytest.fixture(scope="module")
def low(good_movie, tmp_path_factory) -> Path:
    """Six blocks, of a second or so each where every frame is turned eight times."""
    frames = np.tile(good_movie, (2, 1, 1))[:48]
    return write(tmp_path_factory.mktemp("low") / "low.ome.tif", frames)


@pytest.fixture(scope="module")
def once(predictor, low, tmp_path_factory) -> Path:
    """By one process, each frame turned eight times."""
    target = tmp_path_factory.mktemp("once") / "out.ome.zarr"
    list(replace(predictor, turns=True).steps(low, target))
    return target


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a scheduler with two workers."""
    with LocalCluster(n_workers=2, **ANYWHERE) as cluster:
        yield cluster.scheduler_address


def write(path: Path, frames: np.ndarray) -> Path:
    tifffile.imwrite(path, frames, metadata={"axes": "TYX"}, photometric="minisblack")
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def command(run: Path, source: Path, target: Path, *words: str) -> list[str]:
    return [*PSSR, "predict", str(run), str(source), "-o", str(target), "--precision", "fp32", *words]


def marks(target: Path) -> dict[str, int]:
    """Of the blocks that are complete, and when they were."""
    folder = target.with_name(target.name + ".part") / ".pssr"
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("[0-9]*.json")}


def wait_for(true: Callable[[], object], process, said: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, said.read_text()
        assert process.poll() is None, said.read_text()
        time.sleep(0.01)


def workers_of(pid: int) -> list[psutil.Process]:
    return [p for p in psutil.Process(pid).children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]


def others_of(said: Path, target: Path) -> list[str]:
    """Lines that are no progress, and do not name what was written."""
    lines = said.read_text().splitlines()
    return [
        line for line in lines
        if not line.startswith("restore low.ome.tif: ") and ": warning: noise: " not in line and line != str(target)
    ]  # fmt: skip


def in_session(pid: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def all_end(pid: int) -> bool:
    """Whether nothing of a session is left soon; the last ones go a moment after the command."""
    deadline = time.monotonic() + SOON_S
    while in_session(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return in_session(pid) == []


@pytest.fixture
def usual_port_taken() -> Iterator[None]:
    """As by a dask of somebody else's; if it is taken already, so much the better."""
    with socket.socket() as taken:
        with suppress(OSError):
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        yield


@pytest.mark.usefixtures("usual_port_taken")
@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_or_hangs_is_replaced(run_folder, low, once, tmp_path: Path, fault):
    target, said = tmp_path / "out.ome.zarr", tmp_path / "said"
    words = command(run_folder, low, target, "--workers", "2", "--tta")
    with started(words, said, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="5 s") as process:
        wait_for(lambda: marks(target), process, said)
        workers = workers_of(process.pid)
        assert len(workers) == 2
        workers[0].send_signal(fault)
        assert process.wait(PATIENCE_S) == 0, said.read_text()
        assert all_end(process.pid)
    assert content(target) == content(once)
    assert others_of(said, target) == []
    assert names(tmp_path) == ["out.ome.zarr", "said"]


def test_a_command_that_is_stopped_and_killed_goes_on(run_folder, low, once, tmp_path: Path):
    target, said = tmp_path / "out.ome.zarr", tmp_path / "said"
    words = command(run_folder, low, target, "--workers", "2", "--tta")
    with started(words, said) as process:
        wait_for(lambda: marks(target), process, said)
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert process.wait(PATIENCE_S) == 143
        assert time.monotonic() - begun < SOON_S
        assert all_end(process.pid)
    assert others_of(said, target) == ["pssr: stopped; run the same command again to go on"]
    stopped = marks(target)
    assert 0 < len(stopped) < 6
    with started(words, said) as process:
        wait_for(lambda: len(marks(target)) > len(stopped), process, said)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        # Workers are no children of a process that is dead.
        deadline = time.monotonic() + SOON_S
        while in_session(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert all_end(process.pid)
    killed = marks(target)
    assert stopped.items() <= killed.items()
    with started(words, said) as process:
        wait_for(lambda: len(marks(target)) > len(killed) or target.exists(), process, said)
        assert killed.items() <= marks(target).items() or target.exists()
        assert process.wait(PATIENCE_S) == 0
    assert others_of(said, target) == [
        f"low.ome.tif: goes on: {8 * len(killed)} of 48 planes were restored before"
    ]
    assert content(target) == content(once)
    assert names(tmp_path) == ["out.ome.zarr", "said"]


def test_workers_of_a_scheduler_give_the_file_of_one_process(
    predictor, run_folder, good_movie, address, tmp_path: Path
):
    source = write(tmp_path / "low.ome.tif", good_movie[:20, ::2, ::2])
    target, alone, said = (tmp_path / name for name in ("out.ome.zarr", "alone.ome.zarr", "said"))
    assert ran(command(run_folder, source, target, "--scheduler", address), said) == 0, said.read_text()
    list(predictor.steps(source, alone))
    assert content(target) == content(alone)
    assert others_of(said, target) == []


def test_a_bad_stack_is_told_in_one_sentence(run_folder, address, good_movie, tmp_path: Path):
    frames = good_movie[:20, ::2, ::2].astype(np.float32)
    frames[13, 3, 3] = np.nan
    source, target, said = (
        write(tmp_path / "low.ome.tif", frames),
        tmp_path / "out.ome.zarr",
        tmp_path / "said",
    )
    assert ran(command(run_folder, source, target, "--scheduler", address), said) == 1
    (line,) = others_of(said, target)
    assert line.startswith(
        f"pssr: {source}: T 13, C 0, Z 0 has 1 pixels that are not numbers; mend the plane"
    )
    assert not target.exists()


def events(predictor: Predictor, source: Path, target: Path, address: str, **words) -> list[Event]:
    with closing(restored_by_many(predictor, source, target, words, address=address)) as steps:
        return list(steps)


def test_what_goes_wrong_in_a_worker_arrives_as_itself(predictor, address, good_movie, tmp_path: Path):
    frames = good_movie[:20, ::2, ::2].astype(np.float32)
    frames[13, 3, 3] = np.nan
    bad = write(tmp_path / "bad.ome.tif", frames)
    with pytest.raises(ReadError, match="T 13, C 0, Z 0 has 1 pixels that are not numbers"):
        events(predictor, bad, tmp_path / "bad.ome.zarr", address)
    # And the workers are as good as before.
    good = write(tmp_path / "good.ome.tif", good_movie[:20, ::2, ::2])
    found = events(predictor, good, tmp_path / "good.ome.zarr", address)
    assert [event for event in found if isinstance(event, Progress)][-1] == Progress(20, 20)
    assert found[-1] == Written(tmp_path / "good.ome.zarr")


def test_two_commands_may_use_the_same_workers(predictor, address, good_movie, tmp_path: Path):
    sources = [write(tmp_path / f"{k}.ome.tif", good_movie[k : k + 20, ::2, ::2]) for k in range(2)]
    expected = [predictor.predict_file(path, tmp_path / f"{path.name}.once.ome.zarr") for path in sources]
    targets = [tmp_path / f"{k}.ome.zarr" for k in range(2)]
    steps = [
        restored_by_many(predictor, *pair, {}, address=address) for pair in zip(sources, targets, strict=True)
    ]
    for _ in range(20):
        for one in steps:
            next(one, None)
            # Arrays of the caller's are computed as before, now and when all is done.
            assert dask.config.get("scheduler", None) is None
    assert [content(path) for path in targets] == [content(path) for path in expected]


def test_an_error_that_every_worker_has_is_not_one_of_dask(predictor, address, good_movie, tmp_path: Path):
    source = write(tmp_path / "low.ome.tif", good_movie[:20, ::2, ::2])
    elsewhere = replace(predictor, asked="cuda:7")
    with pytest.raises(ConfigError, match="device: 'cuda:7' is not available here"):
        events(elsewhere, source, tmp_path / "out.ome.zarr", address)


def test_a_scheduler_that_is_not_there_is_told(run_folder, low, tmp_path: Path, predictor, monkeypatch):
    monkeypatch.setattr("pssr.predict.cluster.ANSWERS_S", 2)
    with pytest.raises(WriteError, match=r"scheduler: tcp://127.0.0.1:1 does not answer \(.*\); check"):
        events(predictor, low, tmp_path / "out.ome.zarr", "tcp://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"scheduler: 'foo://bar:1' is no address \(.*\); write it such as"):
        events(predictor, low, tmp_path / "out.ome.zarr", "foo://bar:1")


SCHEDULER = """
import sys, time
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=1, dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        time.sleep(200)
"""


def test_a_scheduler_that_dies_is_told_and_what_was_done_is_kept(
    predictor, low, tmp_path: Path, monkeypatch, capfd
):
    monkeypatch.setattr("pssr.predict.cluster.ANSWERS_S", 2)
    target, said = tmp_path / "out.ome.zarr", tmp_path / "said"
    with started([sys.executable, "-c", SCHEDULER], said) as process:
        wait_for(lambda: said.read_text().endswith("\n"), process, said)
        steps = restored_by_many(
            replace(predictor, turns=True), low, target, {}, address=said.read_text().strip()
        )
        with closing(steps):
            next(event for event in steps if isinstance(event, Progress))
            os.killpg(process.pid, signal.SIGKILL)
            with pytest.raises(WriteError, match="the scheduler does not answer any more; the same command"):
                list(steps)
    assert marks(target)
    assert capfd.readouterr().err == ""


def test_a_format_that_one_process_alone_writes_is_refused_before_any_work(predictor, low, tmp_path: Path):
    for name in ("out.ome.tif", "out.mp4"):
        with pytest.raises(
            ConfigError, match="several processes can only fill an OME-Zarr; name it .ome.zarr"
        ):
            list(restored_by_many(predictor, low, tmp_path / name, {}, workers=2))
    assert names(tmp_path) == []


def test_a_scheduler_without_workers_is_waited_for(predictor, good_movie, tmp_path: Path):
    source = write(tmp_path / "low.ome.tif", good_movie[:3, ::2, ::2])
    with LocalCluster(n_workers=0, **ANYWHERE) as cluster:
        steps = restored_by_many(
            predictor, source, tmp_path / "out.ome.zarr", {}, address=cluster.scheduler_address
        )
        with closing(steps):
            said = next(event for event in steps if isinstance(event, Noted))
            assert "has no workers yet; waits for them" in said.message
            cluster.scale(1)
            assert list(steps)[-1] == Written(tmp_path / "out.ome.zarr")
