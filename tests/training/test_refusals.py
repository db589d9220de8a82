from pathlib import Path

import numpy as np
import pytest
from small_runs import config, movie

from pssr.errors import ConfigError, ModelError, ReadError, ShapeError
from pssr.training.events import Saved
from pssr.training.fit import fit


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


def test_two_trainings_in_one_folder_are_not_let_in(tmp_path: Path):
    first = fit(config(), [movie()], tmp_path / "run")
    next(first)
    with pytest.raises(ConfigError, match=r"run: is being trained by process"):
        next(fit(config(), [movie()], tmp_path / "run"))
    first.close()
    assert isinstance(list(fit(config(), [movie()], tmp_path / "run"))[-1], Saved)


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
