"""Trainings as whole commands, in processes of their own: started, watched and stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import tifffile
import torch
from small_runs import config, losses, movie

PSSR = (sys.executable, "-m", "pssr")
TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
PATIENCE_S = 90.0  # for two processes to import torch and begin, on a machine that is busy


def training(folder: Path, run: str, **changed) -> list[str]:
    """The words after `pssr` that train on a small movie; folder / run is where to."""
    good, settings = folder / "good.tif", folder / f"{run}.yaml"
    if not good.exists():
        tifffile.imwrite(good, movie(), photometric="minisblack", metadata={"axes": "TYX"})
    settings.write_text(config(**changed).to_yaml())
    return ["train", str(good), "-o", str(folder / run), "--config", str(settings)]


@contextmanager
def started(command: Sequence[str], said: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """A command whose words go to a file; it and all its children are gone after the block."""
    ours = {"OMP_NUM_THREADS": "1", "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    with said.open("w") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            env=os.environ | ours | environment, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen) -> None:
    """Leave nothing behind, whatever the test found."""
    left = [process.pid]
    if psutil.pid_exists(process.pid):
        left += [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    for pid in left if process.poll() is None else []:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def ran(command: Sequence[str], said: Path, timeout_s: float = PATIENCE_S, **environment: str) -> int:
    """The exit code of a command that ends by itself."""
    with started(command, said, **environment) as process:
        return process.wait(timeout_s)


def wait_for_step(run: Path, step: int, process: subprocess.Popen, said: Path) -> None:
    """Until the log tells of a step."""
    deadline = time.monotonic() + PATIENCE_S
    while not (run / "log.jsonl").exists() or max(losses(run), default=0) < step:
        assert time.monotonic() < deadline, said.read_text()
        assert process.poll() is None, said.read_text()
        time.sleep(0.02)


def saved_step(run: Path) -> int:
    """Steps in the state of a run, each of them whole."""
    state = torch.load(run / "state.pt", weights_only=True)
    assert {int(s["step"]) for s in state["optimizer"]["state"].values()} == {state["step"]}
    return int(state["step"])


def process_of(rank: int, torchrun: subprocess.Popen) -> psutil.Process:
    """One of the processes that torchrun started."""
    (found,) = (
        child for child in psutil.Process(torchrun.pid).children() if child.environ().get("RANK") == str(rank)
    )
    return found
