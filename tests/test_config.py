from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from pssr import config
from pssr.config import Config, Data, Train, parse, preset, presets
from pssr.errors import ConfigError


@pytest.mark.parametrize("name", presets())
def test_every_preset_survives_the_way_through_yaml(name: str):
    assert parse(yaml.safe_load(preset(name).to_yaml())) == preset(name)


@pytest.mark.parametrize("model", [Config, Data, Train])
def test_every_setting_says_what_it_is(model: type[BaseModel]):
    assert all(info.description for info in model.model_fields.values())


def test_a_comment_stands_above_every_setting():
    lines = preset("movie").to_yaml().splitlines()
    places = [k for k, line in enumerate(lines) if line.strip().startswith(("seed:", "lr:", "patch_px:"))]
    assert len(places) == 3
    assert all(lines[k - 1].strip().startswith("#") for k in places)


def test_the_movie_preset_has_three_frames_and_the_published_weights():
    movie = preset("movie")
    assert (movie.frames, movie.loss) == (3, {"l1": 1.0, "stability": 1.0})


def test_an_unknown_setting_in_a_file_is_refused(tmp_path: Path):
    path = tmp_path / "my.yaml"
    path.write_text("train: {stps: 3}")
    with pytest.raises(ConfigError, match=r"my.yaml: train.stps: no such setting; did you mean 'steps'"):
        config.read(path)


def test_a_file_that_is_not_yaml_or_not_there_is_refused(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        config.read(tmp_path / "bad.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.read(tmp_path / "absent.yaml")


def test_yaml_that_would_make_python_objects_is_refused(tmp_path: Path):
    (tmp_path / "evil.yaml").write_text("seed: !!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="is not YAML"):
        config.read(tmp_path / "evil.yaml")


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'movie'"):
        preset("movies")


def test_a_long_wrong_value_is_told_in_a_few_words():
    with pytest.raises(ConfigError) as caught:
        preset("movie").changed({"train.steps": ["x" * 1000] * 1000})
    assert len(str(caught.value)) < 300
