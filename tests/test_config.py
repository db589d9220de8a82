import os
import sys
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
        config.read_config(path)


def test_a_file_that_is_not_yaml_or_not_there_is_refused(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        config.read_config(tmp_path / "bad.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.read_config(tmp_path / "absent.yaml")


def test_yaml_that_would_make_python_objects_is_refused(tmp_path: Path):
    (tmp_path / "evil.yaml").write_text("seed: !!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="is not YAML"):
        config.read_config(tmp_path / "evil.yaml")


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'movie'"):
        preset("movies")


def test_a_long_wrong_value_is_told_in_a_few_words():
    with pytest.raises(ConfigError) as caught:
        preset("movie").changed({"train.steps": ["x" * 1000] * 1000})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "settings",
    [
        {"x" * 5000: 1}, {"train": {"x" * 5000: 1}}, {"loss": {"x" * 5000: "y" * 5000}}, {"crappifier": "x" * 5000},
        {"frames": 10**4000}, {"ends": {"x" * 5000: [["y" * 5000] * 900] * 900}},
    ],
    ids=["name", "inner name", "term", "crappifier", "number", "tree"],
)  # fmt: skip
def test_whatever_is_wrong_is_told_in_a_few_words(settings: dict[str, object]):
    with pytest.raises(ConfigError) as caught:
        parse(settings)
    assert len(str(caught.value)) < 400
    assert "; " in str(caught.value)[-200:]


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders")
@pytest.mark.timeout(30)
def test_settings_that_are_no_regular_file_are_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name, why in (
        ("pipe", "is no regular file"),
        ("loop", "Too many levels"),
        ("", "is no regular file"),
    ):
        path = tmp_path / f"{name}.yaml" if name else tmp_path
        with pytest.raises(ConfigError, match=rf"cannot be read \(.*{why}.*\); check the path"):
            config.read_config(path)
