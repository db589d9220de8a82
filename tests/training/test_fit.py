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
from small_runs import SMALL, config, losses, movie

import pssr
from pssr.crappify.noise import Poisson
from pssr.crappify.optics import Bin
from pssr.crappify.settings import LogUniform
from pssr.errors import ConfigError, ModelError, ReadError, ShapeError, TrainingError
from pssr.model_file import load
from pssr.training.events import PhaseStarted, Saved, Step, Validated
from pssr.training.fit import fit
from pssr.training.runs import runs
from pssr.training.steps import learn


def test_a_run_leaves_everything_that_is_needed(tmp_path: Path):
    events = list(fit(config(), [movie()], tmp_path / "run"))
    kinds = [type(event) for event in events]
    assert kinds[0] is PhaseStarted
    assert kinds[-1] is Saved
    assert kinds.count(Step) == 60
    assert kinds.count(Validated) == 3
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {name for name in names if not name.startswith("events.")} == {
        ".lock", "config.yaml", "split.json", "model.safetensors", "state.pt", "log.jsonl", "samples", "curves.png",
    }  # fmt: skip
    assert len(list((tmp_path / "run" / "samples").glob("*.png"))) == 3
    assert [e.progress for e in events if isinstance(e, Step)][-1] == 1


def test_what_is_held_back_is_written_down(tmp_path: Path):
    list(fit(config(train__steps=2), [movie(), movie(seed=1)], tmp_path / "run"))
    found = json.loads((tmp_path / "run/split.json").read_text())
    assert found["learned_from"][1] == {"movie": 1, "name": "movie 1", "frames": [0, 25], "rows": [0, 48]}
    assert found["held_back"][1] == {"movie": 1, "name": "movie 1", "frames": [27, 30], "rows": [0, 48]}


def test_patches_are_no_larger_than_the_smallest_movie(tmp_path: Path):
    events = fit(config(data__patch_px=96), [movie(side=64), movie(side=41)], tmp_path / "run")
    with closing(events):
        assert next(events).patch_px == 40
        next(events)
    assert "patch_px: 40" in (tmp_path / "run" / "config.yaml").read_text()


def test_the_model_file_knows_what_it_was_trained_on(tmp_path: Path):
    list(fit(config(), [movie()], tmp_path / "run"))
    model = load(tmp_path / "run")
    assert model.steps == 60
    assert model.config == config()
    assert model.sources[0].shape == (30, 48, 48)
    assert 0 <= model.sources[0].low < model.sources[0].high <= 1000
    assert -0.3 < model.reference[0] < 0.3 < model.reference[1] < 1.5
    assert set(model.scores) == {"psnr", "bicubic_psnr", "ssim"}


def test_the_loss_goes_down(tmp_path: Path):
    steps = [
        e.loss for e in fit(config(train__steps=150), [movie()], tmp_path / "run") if isinstance(e, Step)
    ]
    assert np.mean(steps[-20:]) < 0.8 * np.mean(steps[:20])


def test_the_same_seed_gives_the_same_weights_for_any_number_of_workers(tmp_path: Path):
    for name, workers in (("a", 0), ("b", 2)):
        list(fit(config(data__workers=workers, train__steps=12), [movie()], tmp_path / name))
    a, b = (load(tmp_path / name).weights for name in "ab")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_another_seed_gives_other_weights(tmp_path: Path):
    for seed in (0, 1):
        list(fit(config(seed=seed, train__steps=5), [movie()], tmp_path / str(seed)))
    a, b = (load(tmp_path / str(seed)).weights for seed in (0, 1))
    assert not torch.equal(a["head.weight"], b["head.weight"])


def test_torchs_global_generator_is_left_as_it_was(tmp_path: Path):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    list(fit(config(train__steps=3), [movie()], tmp_path / "run"))
    assert torch.equal(torch.rand(3), expected)


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


def test_a_time_limit_ends_the_training_with_the_schedule_done(tmp_path: Path):
    events = fit(config(train__steps=10**6, train__max_time_s=1.0), [movie()], tmp_path / "run")
    steps = [e for e in events if isinstance(e, Step)]
    assert 1.0 <= steps[-1].elapsed_s < 5.0
    assert steps[-1].progress == 1
    assert steps[-1].lr < 0.2 * max(s.lr for s in steps)


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path):
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))
    with pytest.raises(ConfigError, match=r"started with data.batch=4, not 3; use the same settings"):
        list(fit(config(train__steps=2, data__batch=3), [movie()], tmp_path / "run"))


def test_other_movies_in_the_same_folder_are_refused(tmp_path: Path):
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))
    with pytest.raises(ConfigError, match="was trained on movie 0; give the same movies"):
        list(fit(config(train__steps=2), [movie(), movie(seed=1)], tmp_path / "run"))


def test_other_content_under_the_same_name_is_refused(tmp_path: Path):
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))
    with pytest.raises(ConfigError, match="was trained on movie 0 with other content"):
        list(fit(config(train__steps=4), [movie(seed=1)], tmp_path / "run"))


def test_a_model_without_its_training_state_is_not_overwritten(tmp_path: Path):
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))
    (tmp_path / "run" / "state.pt").unlink()
    with pytest.raises(ConfigError, match="holds a model without its training state"):
        list(fit(config(train__steps=4), [movie()], tmp_path / "run"))


def test_a_mistake_does_not_block_the_folder(tmp_path: Path):
    with pytest.raises(ConfigError, match="stabilty"):
        list(fit(config(loss={"l1": 1.0, "stabilty": 1.0}), [movie()], tmp_path / "run"))
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))


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


def test_a_training_ends_when_it_gets_no_better_and_the_best_is_kept(tmp_path: Path):
    class Worse:
        """Good frames at first, then nothing but noise: the held-back frames are restored worse and worse."""

        calls = 0

        def __call__(self, frames, rng):
            self.calls += 1
            small = frames[:, :, ::2, ::2]
            spoiled = torch.rand(small.shape, generator=rng)
            return spoiled if self.calls > 150 else small

    asked = config(train__steps=2000, train__patience=3, train__validate_every=10, train__ema=0.0)
    events = list(fit(asked, [movie()], tmp_path / "run", crappifier=[Worse()]))
    scores = [event.psnr for event in events if isinstance(event, Validated)]
    assert events[-1].finished
    assert len(scores) < 200
    assert max(scores) not in scores[-3:]
    assert load(tmp_path / "run").scores["psnr"] == max(scores)
    assert load(tmp_path / "run").steps == 10 * (1 + scores.index(max(scores)))
    again = list(fit(asked, [movie()], tmp_path / "run", crappifier=[Worse()]))
    assert [type(event) for event in again] == [PhaseStarted, Saved]
    assert load(tmp_path / "run").scores["psnr"] == max(scores)


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


def test_the_plan_comes_first_and_writes_nothing(tmp_path: Path):
    with closing(fit(config(), [movie()], tmp_path / "deep" / "run")) as events:
        plan = next(events)
    assert (plan.steps, plan.batch, plan.movies, plan.planes, plan.train_bundles, plan.held_bundles) == (
        60, 4, 1, 30, 25, 3,
    )  # fmt: skip
    assert plan.left_s > 0
    assert plan.memory_bytes > 1e5
    assert not (tmp_path / "deep").exists()


def test_an_own_step_is_kept_with_its_settings(tmp_path: Path):
    steps = [Bin(2), Poisson(peak=2.0)]
    list(fit(config(train__steps=2), [movie()], tmp_path / "run", crappifier=steps))
    kept = load(tmp_path / "run").config.crappifier
    assert [part.name for part in kept] == ["bin", "poisson"]
    assert kept[1].settings["peak"] == 2.0
    with pytest.raises(ConfigError, match="started with crappifier"):
        list(
            fit(config(train__steps=4), [movie()], tmp_path / "run", crappifier=[Bin(2), Poisson(peak=900.0)])
        )


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


def test_a_damaged_state_is_refused(tmp_path: Path):
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))
    (tmp_path / "run" / "state.pt").write_bytes(b"PK garbage")
    with pytest.raises(ModelError, match="is damaged; remove the folder or say restart=True"):
        list(fit(config(train__steps=2), [movie()], tmp_path / "run"))


def test_pixels_that_are_no_numbers_are_refused_before_training(tmp_path: Path):
    bad = movie().astype(np.float32)
    bad[7, 20:28, 20:28] = np.nan
    with pytest.raises(ReadError, match="movie 0: frame 7 has 64 pixels that are not numbers"):
        next(fit(config(), [bad], tmp_path / "run"))


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


@pytest.mark.parametrize(
    ("movies", "kind", "message"),
    [
        ([], ConfigError, "movies: none given"),
        ([np.zeros((4, 3, 48, 48))], ShapeError, r"movie 0: its frames are \(3, 48, 48\), not \(Y, X\)"),
        ([np.zeros((0, 48, 48))], ShapeError, "movie 0: its frames are"),
        ([np.zeros((30, 60, 15))], ConfigError, "the smallest is 15 px wide; at scale 2 give at least 16 px"),
    ],
)
def test_what_is_no_movie_is_refused_before_training(tmp_path: Path, movies, kind, message: str):
    with pytest.raises(kind, match=message):
        list(fit(config(), movies, tmp_path / "run"))


def test_a_crappifier_of_ones_own_is_used_and_named_in_the_model(tmp_path: Path):
    seen = []

    def mine(frames, rng):
        seen.append(tuple(frames.shape))
        small = frames[:, :, ::2, ::2]
        return small + 0.01 * torch.randn(small.shape, generator=rng)

    list(fit(config(train__steps=2), [movie()], tmp_path / "run", crappifier=[mine]))
    assert (4, 3, 32, 32) in seen
    assert "mine" in load(tmp_path / "run").config.crappifier[0].name


@pytest.mark.parametrize("length", [2, 3])
def test_movies_of_two_and_three_frames_can_be_learned_from(tmp_path: Path, length: int):
    events = list(fit(config(train__steps=2), [movie(length)], tmp_path / "run"))
    assert isinstance(events[-1], Saved)


def test_nothing_is_left_half_written(tmp_path: Path):
    list(fit(config(train__steps=2), [movie()], tmp_path / "run"))
    assert not list(tmp_path.rglob("*.part"))


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


def test_two_trainings_in_one_folder_are_not_let_in(tmp_path: Path):
    first = fit(config(), [movie()], tmp_path / "run")
    next(first)
    with pytest.raises(ConfigError, match=r"run: is being trained by process"):
        next(fit(config(), [movie()], tmp_path / "run"))
    first.close()
    assert isinstance(list(fit(config(), [movie()], tmp_path / "run"))[-1], Saved)


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


def test_a_refused_training_leaves_no_folder(tmp_path: Path):
    with pytest.raises(ConfigError, match="no part of that name"):
        list(fit(config(loss={"l2": 1.0}), [movie()], tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_single_images_are_no_movie(tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"3 neighbours along T, and no movie has more than one frame .* series=T"
    ):
        list(fit(config(), [movie(1), movie(1)], tmp_path / "run"))
    list(fit(config(frames=1, train__steps=2), [movie(1)], tmp_path / "run"))


@pytest.mark.parametrize("dtype", [bool, np.complex64])
def test_pixels_that_are_no_intensities_are_refused(tmp_path: Path, dtype):
    with pytest.raises(ShapeError, match=r"movie 0: its pixels are (bool|complex64); convert them"):
        list(fit(config(), [movie().astype(dtype)], tmp_path / "run"))


class WithNorm(torch.nn.Module):
    """A network of one's own, whose batch norm counts its batches in a single number."""

    halo, multiple, local = 1, 1, True

    def __init__(self, *, frames: int, scale: int) -> None:
        super().__init__()
        self.frames, self.scale = frames, scale
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(frames, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, scale**2, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pixel_shuffle(self.layers(x), self.scale)


def test_a_network_of_ones_own_with_batch_norm_is_trained_saved_and_used(tmp_path: Path):
    settings = SMALL | {"network": f"{__name__}:WithNorm", "train.steps": 5}
    settings.pop("network.edsr")
    model = pssr.train(movie(), tmp_path / "run", settings=settings)
    assert model.predict(movie()[:, ::2, ::2]).shape == (30, 48, 48)
    with pytest.raises(ModelError, match=r"say trust="):
        pssr.load(tmp_path / "run")
    assert pssr.load(tmp_path / "run", trust=[__name__.partition(":")[0]]).model.steps == 5


def test_a_whole_crappifier_and_distributions_are_kept_as_they_were_given(tmp_path: Path):
    given = pssr.crappifier([Bin(), Poisson(LogUniform(10, 80))], 2)
    model = pssr.train(movie(), tmp_path / "run", settings=SMALL | {"train.steps": 2}, crappifier=given)
    assert [part.name for part in model.model.config.crappifier] == ["bin", "poisson"]
    assert dict(model.model.config.crappifier[1].settings) == {"peak": {"log_uniform": [10, 80]}}
    assert pssr.evaluate(model, movie(5))["restored"].psnr_db > 0
