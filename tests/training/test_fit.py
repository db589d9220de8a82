import json
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
from pssr.errors import ConfigError, ModelError
from pssr.model_file import load
from pssr.training.events import PhaseStarted, Saved, Step, Validated
from pssr.training.fit import fit


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


@pytest.mark.slow
def test_the_same_seed_gives_the_same_losses_and_weights_for_any_number_of_workers(tmp_path: Path):
    for workers in (0, 1, 4):
        list(fit(config(data__workers=workers, train__steps=20), [movie()], tmp_path / str(workers)))
    found = [losses(tmp_path / str(workers)) for workers in (0, 1, 4)]
    assert found[0] == found[1] == found[2]
    a, *others = (load(tmp_path / str(workers)).weights for workers in (0, 1, 4))
    assert all(torch.equal(a[key], b[key]) for b in others for key in a)
    # Those of another number go on with it.
    list(fit(config(data__workers=1, train__steps=30), [movie()], tmp_path / "0"))
    list(fit(config(data__workers=0, train__steps=30), [movie()], tmp_path / "4"))
    assert losses(tmp_path / "0") == losses(tmp_path / "4")


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


def test_a_time_limit_ends_the_training_with_the_schedule_done(tmp_path: Path):
    events = fit(config(train__steps=10**6, train__max_time_s=3.0), [movie()], tmp_path / "run")
    steps = [e for e in events if isinstance(e, Step)]
    assert 3.0 <= steps[-1].elapsed_s < 7.0
    assert steps[-1].progress == 1
    assert steps[-1].lr < 0.2 * max(s.lr for s in steps)


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
