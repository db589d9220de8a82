"""What is measured before a training: precision, batch, rate, memory and time."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import config, losses, movie

from pssr.config import read_config
from pssr.training.distributed import World
from pssr.training.events import PhaseStarted
from pssr.training.fit import fit
from pssr.training.plan import free_bytes, planned
from pssr.training.prepare import bench, fitted, learner
from pssr.training.sources import gathered
from pssr.training.trial import BATCHES, MEMORY_SHARE, batch_that_fits, found_lr, tried

CPU = torch.device("cpu")


def on_bench(**changed):
    asked = fitted(config(**changed), [movie()])
    return asked, bench(asked, gathered(asked, [movie()], ()), CPU)


def draw(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def good(n: int = 4, side: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=draw(0))


@given(each=st.floats(1, 1e9), fixed=st.floats(0, 1e10), free=st.floats(0, 1e11))
def test_the_largest_batch_that_fits_is_taken(each: float, fixed: float, free: float):
    found = batch_that_fits(each, fixed, free)
    assert found in BATCHES
    larger = [batch for batch in BATCHES if batch > found]
    assert all(batch * each + fixed >= MEMORY_SHARE * free for batch in larger)
    assert found == 1 or found * each + fixed < MEMORY_SHARE * free


def test_only_the_precision_that_was_asked_for_is_tried():
    asked, given = on_bench()
    made = []

    def make(name: str):
        made.append(name)
        return learner(asked, given, name)

    assert tried(make, [good()], draw, "fp32").precision == "fp32"
    assert set(made) == {"fp32"}
    made.clear()
    assert tried(make, [good()], draw, "auto").precision in {"fp32", "bf16"}
    assert set(made) == {"fp32", "bf16"}


def test_memory_is_that_of_what_the_way_back_needs():
    asked, given = on_bench()
    trial = tried(lambda name: learner(asked, given, name), [good(4)], draw, "fp32")
    net = learner(asked, given).net
    assert trial.weights == 5 * 4 * sum(p.numel() for p in net.parameters())
    # Both copies of a bundle, 16 x 16 pixels of 4 bytes: 3 channels in, 8 after the head, the block's three and the
    # body's end, 4 before the shuffle, and at full size the answer and what it is compared with.
    low, high = 2 * 16 * 16 * 4, 2 * 32 * 32 * 4
    least = low * (3 + 8 + 8 + 8 + 8 + 4)
    assert least / 2 < trial.per_bundle < 2 * (least + 4 * high)
    larger = tried(lambda name: learner(asked, given, name), [good(4, side=64)], draw, "fp32")
    assert larger.per_bundle == pytest.approx(4 * trial.per_bundle, rel=0.2)


def test_a_rate_is_found_at_which_it_learns():
    asked, given = on_bench()
    steps = []

    def batches(k: int):
        steps.append(k)
        return [good(4)]

    rate = found_lr(learner(asked, given), batches, draw)
    assert 1e-4 < rate < 3e-2
    assert rate == float(f"{rate:.1e}")
    assert len(steps) <= 60


def test_what_was_measured_is_kept_and_not_measured_again(tmp_path: Path):
    asked = config(data__batch=0, train__lr=0.0, train__precision="auto", train__steps=3)
    first = next(
        event for event in fit(asked, [movie()], tmp_path / "run") if isinstance(event, PhaseStarted)
    )
    list(fit(asked, [movie()], tmp_path / "run"))
    kept = read_config(tmp_path / "run/config.yaml")
    assert (kept.data.batch, kept.train.lr) == (64, pytest.approx(first.lr, rel=10))
    assert kept.train.precision in {"fp32", "bf16"}
    more = asked.changed({"train.steps": 5})
    again = next(event for event in fit(more, [movie()], tmp_path / "run"))
    assert (again.batch, again.lr, again.precision) == (kept.data.batch, kept.train.lr, kept.train.precision)
    list(fit(kept.changed({"train.steps": 3}), [movie()], tmp_path / "same"))
    assert losses(tmp_path / "same") == losses(tmp_path / "run")


def test_nothing_is_left_open_and_measuring_changes_no_weight(tmp_path: Path):
    asked, given = on_bench(data__batch=0, train__lr=0.0, train__precision="auto")
    before = learner(asked, given, "fp32").net.state_dict()
    plan = planned(asked, given)
    assert plan.config.data.batch in BATCHES
    assert plan.config.train.lr > 0
    assert plan.config.train.precision != "auto"
    assert plan.step_s > 0
    after = learner(asked, given, "fp32").net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_free_memory_is_known():
    assert 1e8 < free_bytes(CPU) < 1e14


def test_the_first_of_several_processes_tries_alone_and_leaves_none_without_work():
    """The others wait for it: what it would add up with them would never come."""
    asked, given = on_bench(data__batch=0)
    plan = planned(asked, replace(given, world=World(0, 32)))
    assert plan.config.data.batch == 128
