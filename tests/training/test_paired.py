"""Real low-resolution partners beside crappified copies."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

import pssr
from pssr.cli.main import app
from pssr.config import Config, preset
from pssr.errors import ConfigError, PssrError
from pssr.metrics import psnr
from pssr.model_file import load
from pssr.simulate import tubules
from pssr.training.events import Validated
from pssr.training.fit import fit

SMALL = {
    "scale": 2, "frames": 1, "network.edsr": {"width": 8, "blocks": 1}, "data.patch_px": 32, "data.batch": 4,
    "train.steps": 40, "train.validate_every": 20, "train.precision": "fp32", "train.ema": 0.9,
}  # fmt: skip


def config(**changed) -> Config:
    return preset("movie").changed(SMALL | {key.replace("__", "."): value for key, value in changed.items()})


def good(seed: int = 1) -> np.ndarray:
    """(20, 128, 128) counts."""
    return np.rint(200 + 3000 * tubules(frames=20, size_px=128, seed=seed).frames).astype(np.uint16)


def real(good: np.ndarray, seed: int = 0) -> np.ndarray:
    """A detector that answers light with its square root, which no crappifier here does, in counts of its own."""
    t, y, x = good.shape
    light = good.reshape(t, y // 2, 2, x // 2, 2).mean((2, 4)) - 200
    noise = np.random.default_rng(seed).normal(0, 4, light.shape)
    return np.rint(20 * np.sqrt(light.clip(0)) + 20 + noise).clip(0).astype(np.uint16)


@pytest.mark.slow
def test_a_model_learns_from_pairs_what_its_crappifier_does_not_know(tmp_path: Path):
    movie, unseen = good(1), good(2)
    scores = {}
    for name, lows in (("alone", []), ("pairs", [real(movie)])):
        list(fit(config(train__steps=300), [movie], tmp_path / name, lows=lows))
        restored = pssr.load(tmp_path / name).predict(real(unseen)).astype(float)
        slope, level = np.polyfit(restored.ravel(), unseen.ravel(), 1)
        scores[name] = psnr(slope * restored + level, unseen, data_range=3000)
    assert scores["pairs"] > scores["alone"] + 1


def test_validation_looks_at_real_frames(tmp_path: Path):
    movie = good()
    alone, pairs = (
        next(e for e in fit(config(), [movie], tmp_path / name, lows=lows) if isinstance(e, Validated))
        for name, lows in (("alone", []), ("pairs", [real(movie)]))
    )
    assert abs(pairs.bicubic_psnr - alone.bicubic_psnr) > 1


def test_the_model_says_what_its_partners_were(tmp_path: Path):
    movies = [good(1), good(2)]
    list(fit(config(), movies, tmp_path / "run", lows=[None, real(movies[1])]))
    first, second = load(tmp_path / "run").sources
    assert first.partner is None
    assert "counts, shifted by" in second.partner
    with pytest.raises(ConfigError, match="was trained on"):
        list(fit(config(), movies, tmp_path / "run"))


def test_a_stopped_training_with_pairs_goes_on_exactly(tmp_path: Path):
    movie = good()
    list(fit(config(), [movie], tmp_path / "whole", lows=[real(movie)]))
    events = fit(config(), [movie], tmp_path / "halves", lows=[real(movie)])
    for _ in range(18):
        next(events)
    events.close()
    list(fit(config(), [movie], tmp_path / "halves", lows=[real(movie)]))
    one, other = (load(tmp_path / name).weights for name in ("whole", "halves"))
    assert all((one[key] == other[key]).all() for key in one)


def test_partners_are_one_for_each_movie(tmp_path: Path):
    with pytest.raises(ConfigError, match="low: 2 movies for 1 good ones"):
        list(fit(config(), [good()], tmp_path / "run", lows=[real(good())] * 2))


def test_the_command_trains_on_pairs_and_moves_them_when_asked_to(tmp_path: Path):
    movie = good()
    for name, frames in (("good", movie), ("low", real(np.roll(movie, 2, 2)))):
        tifffile.imwrite(tmp_path / f"{name}.tif", frames, photometric="minisblack", metadata={"axes": "TYX"})
    words = ["train", "good.tif", "--low", "low.tif", "-o", "run", "--steps", "20", "--scale", "2"]
    words = [str(tmp_path / w) if w in ("good.tif", "low.tif", "run") else w for w in words]
    words += ["--set", "data.patch_px=32", "--set", "network.edsr.width=8", "--set", "network.edsr.blocks=1"]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, ConfigError)
    assert "--register" in str(refused.exception)
    assert not (tmp_path / "run/model.safetensors").exists()
    found = CliRunner().invoke(app, [*words, "--register"])
    assert found.exit_code == 0, found.output
    assert "high was moved onto it" in load(tmp_path / "run").sources[0].partner


@pytest.mark.parametrize(
    ("low", "message"),
    [
        (lambda low: low[:, None].repeat(3, 1), r"low movie 1: its frames are \(3, 64, 64\), not \(Y, X\)"),
        (lambda low: low.astype(complex), "low movie 1: its pixels are complex128"),
        (
            lambda low: np.where(np.arange(20)[:, None, None] == 1, np.nan, low),
            "low: frame 1 has 4096",
        ),
    ],
)
def test_a_partner_that_is_no_movie_is_named_before_anything_is_trained(tmp_path: Path, low, message):
    events = fit(config(), [good(), good(2)], tmp_path / "run", lows=[None, low(real(good(2)).astype(float))])
    with pytest.raises(PssrError, match=message):
        next(events)


def test_partners_that_were_looked_for_and_not_found_are_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="low: none given"):
        pssr.train(good(), tmp_path / "run", low=tmp_path.glob("*.tif"))


def test_pairs_are_moved_onto_each_other_in_a_notebook_too(tmp_path: Path):
    movie = good()
    model = pssr.train(
        movie, tmp_path / "run", config=config(train__steps=3), low=real(np.roll(movie, 2, 2)), align=True
    )
    assert "high was moved onto it" in model.model.sources[0].partner
