import os
import sys
from pathlib import Path

import pytest
import torch

from pssr.config import parse, preset
from pssr.crappify.chain import crappifier
from pssr.errors import ConfigError
from pssr.recipes import recipe, recipe_names, to_yaml


@pytest.mark.parametrize("name", recipe_names())
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_every_recipe_makes_smaller_frames(name, scale):
    chain = crappifier(recipe(name), scale)
    first, second = chain.two_draws(torch.rand(2, 3, 64, 64), torch.Generator().manual_seed(0))
    assert first.shape == second.shape == (2, 3, 64 // scale, 64 // scale)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_survives_being_written_and_read(name, tmp_path: Path):
    (tmp_path / "a.yaml").write_text(to_yaml(recipe(name), about=["measured", "twice"]))
    assert recipe(str(tmp_path / "a.yaml")) == recipe(name)


def test_the_published_ones_name_their_source():
    from importlib.resources import files

    for name in ("pssr_fluorescence", "pssr_em", "csbdeep"):
        assert "Nature Methods" in (files("pssr.presets") / "crappifiers" / f"{name}.yaml").read_text()


def test_a_config_takes_a_recipe_by_name_or_file(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("- bin\n- gaussian: {sigma: 0.1}\n")
    config = preset("movie").changed({"crappifier": str(tmp_path / "a.yaml")})
    assert [part.name for part in config.crappifier] == ["bin", "gaussian"]
    assert preset("movie").crappifier == recipe("point_scan")
    # The resolved config holds the steps themselves, so that it does not depend on the file.
    assert "sigma: 0.1" in config.to_yaml()
    assert parse(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poisson: 3", "is no list of steps"),
        ("- {a: 1, b: 2}", "one name with its settings"),
        ("- [", "is not YAML"),
        ("", "is no list of steps"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"a.yaml: .*{message}"):
        recipe(str(tmp_path / "a.yaml"))


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders")
@pytest.mark.timeout(30)
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name, why in (
        ("pipe", "no regular file"),
        ("loop", "Too many levels"),
        ("folder", "no regular file"),
    ):
        with pytest.raises(ConfigError, match=rf"{name}.yaml: cannot be read \(.*{why}.*\); check the name"):
            recipe(str(tmp_path / f"{name}.yaml"))


def test_a_long_name_is_told_in_a_few_words():
    with pytest.raises(ConfigError, match="is neither a file.yaml nor a name; choose from") as caught:
        recipe("x" * 5000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "number", ["0x" + "f" * 10_000, "0b" + "1" * 30_000, "1" + ":1" * 10_000, "1" * 5000]
)
def test_a_number_without_end_is_no_setting(tmp_path: Path, number: str):
    """Python does not write such a number out, not even in a message."""
    (tmp_path / "a.yaml").write_text(f"- poisson: {{peak: {number}}}\n")
    with pytest.raises(ConfigError, match="a.yaml: is not YAML .a number has .* characters"):
        recipe(str(tmp_path / "a.yaml"))


def test_a_name_that_is_not_there():
    with pytest.raises(ConfigError, match="'point_scam' is neither .* did you mean 'point_scan'"):
        recipe("point_scam")
    with pytest.raises(ConfigError, match=r"b.yaml: cannot be read"):
        recipe("b.yaml")
