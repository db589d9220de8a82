"""A scheduler that warns a job: it saves, asks to be run again, and loses nothing."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from commands import PSSR, ran, saved_step, started, training, wait_for_step
from small_runs import losses

from pssr.cli.slurm import requeue

STEPS = 300


def scontrol(folder: Path, *lines: str) -> Path:
    """A `scontrol` that notes what it was asked; the folder for PATH."""
    folder.mkdir()
    program = folder / "scontrol"
    program.write_text("\n".join(["#!/bin/sh", f'echo "$@" >> {folder}/asked', *lines]) + "\n")
    program.chmod(0o755)
    return folder


@pytest.fixture
def job(monkeypatch):
    """Set what SLURM sets, and nothing that it has set here."""

    def of(path: Path, **variables: str) -> None:
        for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", str(path))

    return of


def test_a_job_is_requeued_by_its_number(tmp_path: Path, job):
    job(scontrol(tmp_path / "bin"), SLURM_JOB_ID="4711")
    assert requeue() == "job 4711 is requeued and will go on"
    assert (tmp_path / "bin/asked").read_text() == "requeue 4711\n"


def test_a_task_of_an_array_is_requeued_and_not_the_array(tmp_path: Path, job):
    job(scontrol(tmp_path / "bin"), SLURM_JOB_ID="4713", SLURM_ARRAY_JOB_ID="4711", SLURM_ARRAY_TASK_ID="2")
    assert requeue() == "job 4711_2 is requeued and will go on"
    assert (tmp_path / "bin/asked").read_text() == "requeue 4711_2\n"


def test_why_a_job_is_not_requeued_is_told(tmp_path: Path, job):
    job(scontrol(tmp_path / "bin", "echo 'Requested operation is disabled' >&2", "exit 1"), SLURM_JOB_ID="7")
    assert requeue() == (
        "job 7 could not be requeued (Requested operation is disabled); run the same command again to go on"
    )


def test_a_machine_without_scontrol_says_what_to_do(tmp_path: Path, job):
    job(tmp_path, SLURM_JOB_ID="7")
    said = requeue()
    assert said.startswith("job 7 could not be requeued (")
    assert "scontrol" in said
    assert said.endswith("); run the same command again to go on")


def test_outside_of_slurm_nothing_is_asked(tmp_path: Path, job):
    job(scontrol(tmp_path / "bin"))
    assert requeue() == "not a SLURM job; run the same command again to go on"
    assert not (tmp_path / "bin/asked").exists()


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `whole`, trained without being interrupted."""
    folder = tmp_path_factory.mktemp("material")
    assert ran([*PSSR, *training(folder, "whole", train__steps=STEPS)], folder / "said.txt") == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_saves_whole_steps_and_goes_on_to_the_last_bit(
    material: Path, tmp_path: Path, number: signal.Signals, code: int
):
    run, said = material / number.name, material / f"{number.name}.txt"
    command = [*PSSR, *training(material, run.name, train__steps=STEPS, train__save_every_s=1000)]
    path = f"{scontrol(tmp_path / 'bin')}:/usr/bin:/bin"
    with started(command, said, PATH=path, SLURM_JOB_ID="4711") as process:
        wait_for_step(run, 30, process, said)
        process.send_signal(number)
        begin = time.monotonic()
        assert process.wait(60) == code, said.read_text()
        assert time.monotonic() - begin < 10
    assert "Traceback" not in said.read_text()
    assert 30 <= saved_step(run) < STEPS
    if number == signal.SIGUSR1:
        assert (tmp_path / "bin/asked").read_text() == "requeue 4711\n"
        assert "job 4711 is requeued and will go on" in said.read_text()
    else:
        # What was cancelled must stay cancelled.
        assert not (tmp_path / "bin/asked").exists()
    assert ran(command, said) == 0, said.read_text()
    assert "continue at step" in said.read_text()
    assert losses(run) == losses(material / "whole")


@pytest.mark.slow
def test_a_warning_before_the_first_step_asks_for_the_job_again(tmp_path: Path):
    said = tmp_path / "said.txt"
    # A movie of numbers that are looked at one by one takes a while to read.
    large = np.random.default_rng(0).random((600, 256, 256), np.float32)
    tifffile.imwrite(tmp_path / "good.tif", large, photometric="minisblack", metadata={"axes": "TYX"})
    command = [*PSSR, *training(tmp_path, "run", train__steps=STEPS)]
    path = f"{scontrol(tmp_path / 'bin')}:/usr/bin:/bin"
    with started(command, said, PATH=path, SLURM_JOB_ID="4711") as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "run/.lock").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(60) == 75, said.read_text()
    assert (tmp_path / "bin/asked").read_text() == "requeue 4711\n"
