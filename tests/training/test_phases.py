from contextlib import closing
from pathlib import Path

import pytest
import torch
from small_runs import config, losses, movie

from pssr.errors import ConfigError
from pssr.model_file import load
from pssr.training.events import PhaseStarted, Step
from pssr.training.fit import fit
from pssr.training.phases import sizes

GROWING = {"data__grow_px": [16, 24], "train__steps": 30, "train__validate_every": 15}


def test_each_size_has_an_equal_share_and_the_largest_comes_last():
    assert sizes(config()) == [(32, 1.0)]
    assert sizes(config(**GROWING)) == [(16, pytest.approx(1 / 3)), (24, pytest.approx(2 / 3)), (32, 1.0)]
    assert sizes(config(data__grow_px=[16, 32, 64])) == [(16, 0.5), (32, 1.0)]


def test_patches_grow_while_it_learns(tmp_path: Path):
    seen, at = [], []
    for event in fit(config(**GROWING), [movie()], tmp_path / "run"):
        if isinstance(event, PhaseStarted):
            seen.append(event.patch_px)
            at.append(event.step)
    assert seen == [16, 24, 32]
    assert at == [0, 10, 20]


@pytest.mark.parametrize("stop", [4, 10, 17])
def test_a_training_stopped_in_any_phase_goes_on_to_the_last_bit(tmp_path: Path, stop: int):
    list(fit(config(**GROWING), [movie()], tmp_path / "whole"))
    with closing(fit(config(**GROWING), [movie()], tmp_path / "parts")) as events:
        for event in events:
            if isinstance(event, Step) and event.step == stop:
                break
    list(fit(config(**GROWING), [movie()], tmp_path / "parts"))
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    a, b = (load(tmp_path / name).weights for name in ("whole", "parts"))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("grow", "message"), [([8], "data.grow_px: 8 is too small at scale 2; use at least 16"), ([17], "must be a multiple of 2")]
)  # fmt: skip
def test_sizes_that_do_not_fit_are_refused(tmp_path: Path, grow: list[int], message: str):
    with pytest.raises(ConfigError, match=message):
        next(fit(config(data__grow_px=grow), [movie()], tmp_path / "run"))


@pytest.mark.parametrize(
    ("stop", "told"),
    [
        (4, [(4, 16), (10, 24), (20, 32)]),
        (10, [(10, 24), (20, 32)]),
        (17, [(17, 24), (20, 32)]),
        (20, [(20, 32)]),
    ],
)
def test_a_training_that_goes_on_tells_the_phase_it_is_in(tmp_path: Path, stop: int, told):
    with closing(fit(config(**GROWING), [movie()], tmp_path / "run")) as events:
        for event in events:
            if isinstance(event, Step) and event.step == stop:
                break
    events = list(fit(config(**GROWING), [movie()], tmp_path / "run"))
    assert [(e.step, e.patch_px) for e in events if isinstance(e, PhaseStarted)] == told
