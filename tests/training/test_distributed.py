import json
import signal
import subprocess
from itertools import chain
from pathlib import Path

import pytest
import torch
from commands import TWO, process_of, ran, saved_step, started, training, wait_for_step
from hypothesis import given
from hypothesis import strategies as st
from small_runs import config, losses, movie

from pssr.api import movies
from pssr.errors import ConfigError
from pssr.model_file import load
from pssr.training.distributed import World, world
from pssr.training.fit import fit
from pssr.training.lock import locked
from pssr.training.prepare import bench, prepare
from pssr.training.sources import gathered

BATCH = 8


@given(groups=st.integers(0, 200), size=st.integers(1, 64))
def test_processes_share_groups_in_order_and_evenly(groups: int, size: int):
    shares = [World(rank, size).share(groups) for rank in range(size)]
    assert list(chain.from_iterable(shares)) == list(range(groups))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_torchrun_a_process_is_alone():
    with world() as here:
        assert (here.size, here.first, list(here.share(3))) == (1, True, [0, 1, 2])


def test_variables_that_torchrun_sets_in_part_are_an_error(monkeypatch):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(
            ConfigError, match="2 processes, but LOCAL_RANK, MASTER_PORT is not set; start pssr by torchrun"
        ),
        world(),
    ):
        pass


def scores(run: Path) -> list[float]:
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [entry["psnr"] for entry in entries if "psnr" in entry]


def files(run: Path) -> set[str]:
    found = {str(path.relative_to(run)) for path in run.rglob("*")}
    # Named after time and process.
    return {name for name in found if not name.startswith("events.out")}


def both(folder: Path, run: str, *restarts: str, **changed) -> list[str]:
    """The command of a training in two processes."""
    return [*TWO, *restarts, "-m", "pssr", *training(folder, run, data__batch=BATCH, **changed)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `two`, trained to its end in two processes."""
    folder = tmp_path_factory.mktemp("shared")
    code = ran(both(folder, "two"), folder / "two.txt")
    assert code == 0, (folder / "two.txt").read_text()
    return folder


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_the_first_alone_writes(shared: Path):
    list(fit(config(data__batch=BATCH), movies([shared / "good.tif"]), shared / "one"))
    one, two = losses(shared / "one"), losses(shared / "two")
    assert list(one) == list(two)
    assert list(two.values()) == pytest.approx(list(one.values()), rel=1e-4)
    assert scores(shared / "two") == pytest.approx(scores(shared / "one"), rel=1e-4)
    assert len(scores(shared / "two")) == 3
    assert files(shared / "two") == files(shared / "one")
    said = (shared / "two.txt").read_text()
    assert "weights on 2 x cpu" in said
    assert said.count("train to 60") == 1


@pytest.mark.slow
def test_three_groups_over_two_processes_give_the_losses_of_one(tmp_path: Path):
    changed = {"data__batch": 12, "train__steps": 20}
    command = [*TWO, "-m", "pssr", *training(tmp_path, "two", **changed)]
    assert ran(command, tmp_path / "said.txt") == 0, (tmp_path / "said.txt").read_text()
    list(fit(config(**changed), movies([tmp_path / "good.tif"]), tmp_path / "one"))
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert list(two.values()) == pytest.approx(list(one.values()), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "workers"), [(0, 0), (0, 1), (1, 0)])
def test_where_a_process_is_killed_all_begin_again_and_lose_nothing(shared: Path, rank: int, workers: int):
    run, said = shared / f"killed{rank}{workers}", shared / f"killed{rank}{workers}.txt"
    command = both(shared, run.name, "--max-restarts=2", train__save_every_s=0.1, data__workers=workers)
    with started(command, said) as torchrun:
        wait_for_step(run, 20, torchrun, said)
        process_of(rank, torchrun).send_signal(signal.SIGKILL)
        assert torchrun.wait(120) == 0, said.read_text()
    assert "continue at step" in said.read_text()
    assert losses(run) == losses(shared / "two")
    a, b = load(run).weights, load(shared / "two").weights
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.slow
def test_sigterm_to_torchrun_saves_whole_steps_and_the_same_command_goes_on(shared: Path):
    run, said = shared / "stopped", shared / "stopped.txt"
    command = both(shared, run.name, train__save_every_s=1000)
    with started(command, said) as torchrun:
        wait_for_step(run, 20, torchrun, said)
        torchrun.send_signal(signal.SIGTERM)
        assert torchrun.wait(30) != 0
    assert "forcefully" not in said.read_text()
    assert 20 <= saved_step(run) < 60
    assert ran(command, said) == 0, said.read_text()
    assert losses(run) == losses(shared / "two")


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_every_process_refuses_a_batch_that_leaves_one_without_work(rank: int):
    asked = config(data__batch=8)
    given = bench(asked, gathered(asked, [movie()], ()), torch.device("cpu"), world=World(rank, 3))
    with pytest.raises(
        ConfigError, match="data.batch: 8 gives 2 groups of 4 for 3 processes; use at least 12"
    ):
        prepare(asked, given)


@pytest.mark.slow
def test_a_batch_that_is_too_small_for_the_processes_is_refused(tmp_path: Path):
    command = [*TWO, "-m", "pssr", *training(tmp_path, "run", data__batch=4)]
    assert ran(command, tmp_path / "said.txt") != 0
    said = (tmp_path / "said.txt").read_text()
    assert "data.batch: 4 gives 1 groups of 4 for 2 processes; use at least 8" in said, said
    assert "unexpected" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_the_first_process_alone_finds_wrong_ends_all(shared: Path):
    """The run folder is looked at by the first one; the others are waiting for it."""
    training(shared, "other", data__batch=BATCH, data__tries=9)
    command = [word.replace("two.yaml", "other.yaml") for word in both(shared, "two")]
    before = files(shared / "two")
    assert ran(command, shared / "said.txt", timeout_s=60) != 0
    said = (shared / "said.txt").read_text()
    assert (
        said.count("two: this run was started with --set data.tries=4, not 9; use the same settings") == 2
    ), said
    assert files(shared / "two") == before


@pytest.mark.slow
def test_a_folder_that_another_training_holds_ends_all(tmp_path: Path):
    with locked(tmp_path / "run"):
        try:
            code = ran(both(tmp_path, "run"), tmp_path / "said.txt", timeout_s=60)
        except subprocess.TimeoutExpired:
            pytest.fail((tmp_path / "said.txt").read_text())
    said = (tmp_path / "said.txt").read_text()
    assert code != 0
    assert "run: is being trained by process" in said
    assert "unexpected" not in said
