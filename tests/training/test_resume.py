import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import config, losses, movie

from pssr.errors import ConfigError, TrainingError
from pssr.model_file import load
from pssr.training.events import PhaseStarted, Saved, Step
from pssr.training.fit import fit
from pssr.training.runs import runs
from pssr.training.steps import learn


def test_a_closed_run_is_continued_to_the_last_bit(tmp_path: Path):
    list(fit(config(), [movie()], tmp_path / "whole"))
    with closing(fit(config(), [movie()], tmp_path / "parts")) as events:
        for event in events:
            if isinstance(event, Step) and event.step == 33:
                break
    first = next(iter(fit(config(), [movie()], tmp_path / "parts")))
    assert isinstance(first, PhaseStarted)
    assert first.step == 33
    list(fit(config(), [movie()], tmp_path / "parts"))
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    a, b = (load(tmp_path / name).weights for name in ("whole", "parts"))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.slow
def test_a_killed_run_is_continued_to_the_last_bit(tmp_path: Path):
    """SIGKILL in the middle, then the same command again: the same losses and weights as without it."""
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
        from small_runs import config, movie
        from pssr.training.fit import fit
        for event in fit(config(train__steps=400, train__save_every_s=0.2), [movie()], sys.argv[1]):
            pass
    """)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([sys.executable, "-c", program, whole], check=True)
    process = subprocess.Popen([sys.executable, "-c", program, killed])
    deadline = time.monotonic() + 60
    while not (killed / "state.pt").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = int(torch.load(killed / "state.pt", weights_only=True)["step"])
    assert 0 < done < 400
    subprocess.run([sys.executable, "-c", program, killed], check=True)
    assert losses(killed) == losses(whole)
    a, b = (load(run).weights for run in (whole, killed))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_finished_run_is_not_trained_again(tmp_path: Path):
    list(fit(config(train__steps=5), [movie()], tmp_path / "run"))
    before = load(tmp_path / "run").sha256
    assert [type(e) for e in fit(config(train__steps=5), [movie()], tmp_path / "run")] == [
        PhaseStarted,
        Saved,
    ]
    assert load(tmp_path / "run").sha256 == before


def test_more_steps_continue_a_finished_run(tmp_path: Path):
    list(fit(config(train__steps=5), [movie()], tmp_path / "run"))
    steps = [e.step for e in fit(config(train__steps=8), [movie()], tmp_path / "run") if isinstance(e, Step)]
    assert steps == [6, 7, 8]


def test_a_lower_learning_rate_may_continue_a_run(tmp_path: Path):
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))
    list(fit(config(train__steps=4, train__lr=1e-4), [movie()], tmp_path / "run"))
    assert load(tmp_path / "run").steps == 4


def test_a_restart_begins_anew_and_removes_what_was_there(tmp_path: Path):
    run = tmp_path / "run"
    list(fit(config(seed=1, train__steps=20), [movie()], run))
    (run / "mine.txt").write_text("notes")
    with pytest.raises(ConfigError, match="restart=True"):
        next(fit(config(train__steps=12), [movie()], run))
    first = fit(config(train__steps=12), [movie()], run, restart=True)
    with closing(first):
        assert next(first).step == 0
        # Nothing is removed before training begins.
        assert load(run).steps == 20
    list(fit(config(train__steps=12), [movie()], run, restart=True))
    assert load(run).steps == 12
    assert not list((run / "samples").glob("*20.png"))
    assert (run / "mine.txt").read_text() == "notes"
    list(fit(config(train__steps=12), [movie()], tmp_path / "other"))
    assert losses(run) == losses(tmp_path / "other")


def test_a_failure_is_told_in_the_log(tmp_path: Path):
    calls = []

    def breaks(frames, rng):
        calls.append(1)
        return frames[:, :, ::2, ::2] * (float("nan") if len(calls) > 60 else 1.0)

    with pytest.raises(TrainingError):
        list(fit(config(), [movie()], tmp_path / "run", crappifier=[breaks]))
    last = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[-1])
    assert last["failed"].startswith("loss: 20 steps in a row")
    assert [run.state for run in runs(tmp_path)] == ["failed"]


def test_half_precision_learns_and_goes_on(tmp_path: Path):
    asked = config(train__precision="fp16", train__steps=30)
    first = fit(asked, [movie()], tmp_path / "run")
    with closing(first):
        for event in first:
            if isinstance(event, Step) and event.step == 12:
                break
    events = list(fit(asked, [movie()], tmp_path / "run"))
    assert events[0].precision == "fp16"
    assert np.mean(list(losses(tmp_path / "run").values())[-1:]) < losses(tmp_path / "run")[10]
    assert all(weight.isfinite().all() for weight in load(tmp_path / "run").weights.values())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_saves_whole_steps(tmp_path: Path, workers):
    """To the whole process group, as a terminal sends it; then the losses are those of a run without it."""
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
        from small_runs import config, movie
        from pssr.cli.show import follow
        from pssr.cli.stopping import noted
        from contextlib import closing
        from pssr.training.fit import fit
        received = []
        settings = config(train__steps=400, train__save_every_s=1000, data__workers={workers})
        with noted(received), closing(fit(settings, [movie()], sys.argv[1], asked_to_stop=lambda: bool(received))) as events:
            follow(events)
        sys.exit(130 if received else 0)
    """)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    subprocess.run([sys.executable, "-c", program, whole], check=True)
    process = subprocess.Popen([sys.executable, "-c", program, stopped], start_new_session=True)
    deadline = time.monotonic() + 60
    while not ((stopped / "log.jsonl").exists() and (stopped / "log.jsonl").stat().st_size):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    state = torch.load(stopped / "state.pt", weights_only=True)
    assert {int(s["step"]) for s in state["optimizer"]["state"].values()} == {state["step"]}
    subprocess.run([sys.executable, "-c", program, stopped], check=True)
    assert losses(stopped) == losses(whole)


def test_a_loss_that_is_no_number_ends_the_run_with_finite_weights(tmp_path: Path):
    calls = []

    def breaks(frames, rng):
        calls.append(1)
        return frames[:, :, ::2, ::2] * (float("nan") if len(calls) > 40 else 1.0)

    with pytest.raises(TrainingError, match="20 steps in a row gave no number"):
        list(fit(config(), [movie(3)], tmp_path / "run", crappifier=[breaks]))
    assert all(torch.isfinite(w).all() for w in load(tmp_path / "run").weights.values())


class Remembering(torch.nn.Module):
    """A network that keeps running means, which a step that fails has already changed."""

    halo, multiple, local = 1, 1, True

    def __init__(self, scale: int, frames: int) -> None:
        super().__init__()
        self.scale, self.frames = scale, frames
        self.body = torch.nn.Conv2d(frames, scale**2, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(scale**2)

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pixel_shuffle(self.norm(self.body(low)), self.scale)


def test_running_means_that_a_failed_step_spoiled_are_not_saved(tmp_path: Path):
    calls = []

    def breaks(frames, rng):
        calls.append(1)
        return frames[:, :, ::2, ::2] * (float("nan") if len(calls) > 60 else 1.0)

    asked = config(network={f"{__name__}:Remembering": None}, train__save_every_s=1e-9)
    with pytest.raises(TrainingError, match="20 steps in a row gave no number"):
        list(fit(asked, [movie()], tmp_path / "run", crappifier=[breaks]))
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    assert state["step"] > 5
    assert all(value.isfinite().all() for value in state["net"].values())


def test_an_interrupt_within_a_step_waits_for_its_end(tmp_path: Path, monkeypatch):
    list(fit(config(), [movie()], tmp_path / "whole"))
    calls = []

    def interrupted(*given, **named):
        found = learn(*given, **named)
        calls.append(1)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return found

    monkeypatch.setattr("pssr.training.prepare.learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(fit(config(), [movie()], tmp_path / "halves"))
    monkeypatch.undo()
    list(fit(config(), [movie()], tmp_path / "halves"))
    assert losses(tmp_path / "whole") == losses(tmp_path / "halves")


def test_an_error_within_a_step_does_not_save_half_of_it(tmp_path: Path, monkeypatch):
    list(fit(config(), [movie()], tmp_path / "whole"))

    def broken(*given, **named):
        found = learn(*given, **named)
        raise RuntimeError(found)

    events = fit(config(train__save_every_s=1e-9), [movie()], tmp_path / "halves")
    for _ in range(15):
        next(events)
    monkeypatch.setattr("pssr.training.prepare.learn", broken)
    with pytest.raises(RuntimeError):
        list(events)
    monkeypatch.undo()
    list(fit(config(), [movie()], tmp_path / "halves"))
    assert losses(tmp_path / "whole") == losses(tmp_path / "halves")


def test_a_state_without_its_model_is_gone_on_with(tmp_path: Path):
    """As after a full disk, or a kill, between the two."""
    events = fit(config(), [movie()], tmp_path / "run")
    for _ in range(25):
        next(events)
    events.close()
    (tmp_path / "run/model.safetensors").unlink()
    list(fit(config(), [movie()], tmp_path / "run"))
    list(fit(config(), [movie()], tmp_path / "whole"))
    assert losses(tmp_path / "run")[60] == losses(tmp_path / "whole")[60]
