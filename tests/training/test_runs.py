import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pssr.config import preset
from pssr.errors import ReadError
from pssr.training.fit import fit
from pssr.training.runs import RunSummary, runs

SMALL = {
    "scale": 2, "network.edsr": {"width": 8, "blocks": 1}, "data.patch_px": 32, "data.batch": 2,
    "train.steps": 20, "train.validate_every": 10, "train.precision": "fp32",
}  # fmt: skip


def train(folder: Path, events: int | None = None, **changed) -> None:
    """A run; stopped after so many events."""
    config = preset("movie").changed(SMALL | {k.replace("__", "."): v for k, v in changed.items()})
    movie = np.random.default_rng(0).integers(0, 1000, (30, 40, 40)).cumsum(2).astype(np.uint16)
    with closing(fit(config, [movie], folder)) as going:
        for number, _ in enumerate(going, 1):
            if number == events:
                break


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished run, and one stopped after 12 steps."""
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "run_10")
    train(folder / "deep/run_9", events=14)
    return folder


def only(folder: Path) -> RunSummary:
    (run,) = runs(folder)
    return run


def log(folder: Path, *lines: object, steps: int = 60) -> Path:
    """A run folder of which only config and log are there."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"train:\n  steps: {steps}\n")
    (folder / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_a_finished_and_a_stopped_run_are_told_with_their_scores(folder: Path):
    stopped, finished = runs(folder)
    assert (stopped.folder, stopped.state, stopped.step, stopped.steps) == (
        folder / "deep/run_9", "stopped", 10, 20,
    )  # fmt: skip
    assert (finished.folder, finished.state, finished.step) == (folder / "run_10", "finished", 20)
    lines = [json.loads(line) for line in (folder / "run_10/log.jsonl").read_text().splitlines()]
    assert finished.psnr_db == max(line["psnr"] for line in lines if "psnr" in line)
    assert finished.bicubic_psnr_db > 0
    assert 0 <= finished.age_s < 300
    assert finished.holder == finished.note == ""


def test_a_run_folder_itself_will_do(folder: Path):
    assert only(folder / "run_10").state == "finished"


def test_runs_are_in_natural_order(tmp_path: Path):
    for name in ("run_10", "run_9", "a2", "a"):
        log(tmp_path / name)
    assert [run.folder.name for run in runs(tmp_path)] == ["a", "a2", "run_9", "run_10"]


def test_looking_changes_nothing(folder: Path):
    before = contents(folder)
    runs(folder)
    assert contents(folder) == before


def test_looking_makes_no_lock(tmp_path: Path):
    log(tmp_path / "a")
    runs(tmp_path)
    assert not list(tmp_path.rglob(".lock"))


def test_who_trains_there_is_named_until_it_ends(tmp_path: Path):
    run = log(tmp_path / "run", {"step": 10, "loss": 1.0}, {"failed": "loss: nan"})
    program = """
import sys
from pathlib import Path
from pssr.training.lock import locked
with locked(Path(sys.argv[1])):
    print("in", flush=True)
    input()
"""
    command = [sys.executable, "-c", program, str(run)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        found = only(run)
        assert (found.state, found.note) == ("training", "")
        assert found.holder.startswith(f"process {other.pid} on ")
        other.kill()
    assert (only(run).state, only(run).holder) == ("failed", "")


def test_a_run_that_has_just_begun_is_listed(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("{}")
    assert runs(tmp_path) == []
    (tmp_path / ".lock").touch()
    assert (only(tmp_path).state, only(tmp_path).step) == ("stopped", 0)


def test_an_error_in_the_last_line_is_told(tmp_path: Path):
    run = log(tmp_path / "run", {"step": 10, "loss": 1.0}, {"failed": "loss: nan"})
    assert (only(run).state, only(run).step, only(run).note) == ("failed", 10, "loss: nan")


def test_an_error_that_training_went_on_from_is_not_told(tmp_path: Path):
    run = log(tmp_path / "run", {"step": 10, "loss": 1.0}, {"failed": "loss: nan"}, {"step": 20, "loss": 1.0})
    assert (only(run).state, only(run).note) == ("stopped", "")


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([{"step": 60, "loss": 1.0}], "finished"),
        ([{"step": 30, "loss": 1.0}, {"step": 33, "finished": True}], "finished"),
        ([{"step": 30, "finished": True}, {"step": 40, "loss": 1.0}], "stopped"),
        ([{"step": 30, "finished": False}], "stopped"),
        ([], "stopped"),
    ],
)
def test_a_run_is_finished_at_its_last_step_or_where_the_log_says_so(tmp_path: Path, lines, state):
    assert only(log(tmp_path / "run", *lines)).state == state


def test_the_score_is_that_of_the_best_validation(tmp_path: Path):
    scores = [(10, 20.0, 19.0), (20, 25.0, 19.5), (30, 24.0, 19.0), (40, None, 19.0)]
    run = log(tmp_path / "run", *({"step": s, "psnr": p, "bicubic_psnr": b} for s, p, b in scores))
    assert (only(run).psnr_db, only(run).bicubic_psnr_db) == (25.0, 19.5)


@pytest.mark.parametrize(
    "damage",
    [b'{"step": 20, "lo', b'{"step": 20, "loss": \xff\xfe', b"[1, 2]\n", b'{"step": "x"}\n', b"\0" * 99],
)
def test_damaged_lines_are_passed_over(tmp_path: Path, damage: bytes):
    run = log(tmp_path / "run", {"step": 10, "psnr": 20.0, "bicubic_psnr": 19.0})
    with (run / "log.jsonl").open("ab") as file:
        file.write(damage)
    assert (only(run).state, only(run).step, only(run).psnr_db) == ("stopped", 10, 20.0)


def test_a_number_that_is_none_is_no_score(tmp_path: Path):
    run = log(tmp_path / "run", {"step": 10, "psnr": float("nan"), "bicubic_psnr": 19.0})
    assert only(run).psnr_db is None


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("train: {steps: [", "is not YAML"),
        ("train: {stepz: 3}", "train.stepz: no such setting"),
        ("3", "a config is a mapping"),
    ],
)
def test_a_damaged_config_is_listed_with_what_is_wrong(tmp_path: Path, text: str, note: str):
    run = log(tmp_path / "run", {"step": 10, "psnr": 20.0, "bicubic_psnr": 19.0})
    (run / "config.yaml").write_text(text)
    found = only(run)
    assert note in found.note
    assert (found.steps, found.step, found.psnr_db, found.state) == (None, 10, 20.0, "stopped")


def test_a_log_that_is_a_folder_is_listed_with_what_is_wrong(tmp_path: Path):
    run = log(tmp_path / "run")
    (run / "log.jsonl").unlink()
    (run / "log.jsonl").mkdir()
    assert only(run).note.startswith("log.jsonl: cannot be read")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_listed(tmp_path: Path):
    log(tmp_path / "a")
    (tmp_path / "secret").mkdir(mode=0)
    assert [(run.folder.name, run.state) for run in runs(tmp_path)] == [
        ("a", "stopped"),
        ("secret", "unknown"),
    ]


def test_links_are_looked_at_and_circles_are_not_walked(tmp_path: Path):
    elsewhere = log(tmp_path / "elsewhere/mito", {"step": 60, "loss": 1.0})
    below = tmp_path / "runs"
    below.mkdir()
    (below / "linked").symlink_to(elsewhere)
    (below / "circle").symlink_to(below)
    (below / "itself").symlink_to(below / "itself")
    (below / "gone").symlink_to(tmp_path / "nothing")
    assert [(run.folder.name, run.state) for run in runs(below)] == [("linked", "finished")]


def test_age_counts_from_the_last_write(tmp_path: Path):
    run = log(tmp_path / "run")
    now = time.time()
    os.utime(run / "config.yaml", (now - 7200, now - 7200))
    os.utime(run / "log.jsonl", (now - 3600, now - 3600))
    assert only(run).age_s == pytest.approx(3600, abs=60)
    os.utime(run / "log.jsonl", (now + 3600, now + 3600))
    assert only(run).age_s == 0


def test_no_folder_is_an_error(tmp_path: Path):
    with pytest.raises(ReadError, match="nothing: is no folder; give a run folder"):
        runs(tmp_path / "nothing")


def test_no_torch_is_needed():
    program = "import sys, pssr.training.runs; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
