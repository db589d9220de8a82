"""`pssr train`: plans, restarts, channels, models to start from, and the order of settings."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from small_runs import losses, movie

from pssr.cli.main import app
from pssr.config import read_config
from pssr.errors import ChoiceNeeded, ConfigError
from pssr.model_file import load

SMALL = (
    "--scale", "2", "--batch", "4", "--steps", "12", "--set", "network.edsr={width: 8, blocks: 1}",
    "--set", "data.patch_px=32", "--set", "train.precision=fp32",
)  # fmt: skip


def train(*words: object) -> None:
    app(["train", *map(str, words)], standalone_mode=False)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "good.tif", movie(), photometric="minisblack", metadata={"axes": "TYX"})
    return tmp_path / "good.tif"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    planes = np.stack([movie(), movie(seed=1)], 1)
    metadata = {"axes": "TCYX", "Channel": {"Name": ["mito red", "er/2"]}}
    tifffile.imwrite(tmp_path / "two.ome.tif", planes, metadata=metadata, photometric="minisblack")
    return tmp_path / "two.ome.tif"


def test_a_dry_run_shows_the_plan_and_writes_nothing(good: Path, tmp_path: Path, capsys):
    train(good, "-o", tmp_path / "runs" / "a", *SMALL, "--dry-run")
    said = capsys.readouterr().out
    assert "train to 12: 2268 weights on cpu in fp32, about" in said
    assert "1 movies of 30 planes: 25 bundles (3 held back), batches of 4 patches of 32 px" in said
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_beside_a_run_changes_nothing(good: Path, tmp_path: Path, capsys):
    train(good, "-o", tmp_path / "a", *SMALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*") if path.name != ".lock"}
    train(good, "-o", tmp_path / "a", *SMALL, "--steps", "20", "--dry-run")
    assert "continue at step 12 to 20" in capsys.readouterr().out
    train(good, "-o", tmp_path / "a", *SMALL, "--batch", "8", "--dry-run", "--restart")
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*") if path.name != ".lock"}
    assert before == after


def test_the_same_command_does_nothing_more_and_a_restart_all_of_it(good: Path, tmp_path: Path):
    run = tmp_path / "a"
    train(good, "-o", run, *SMALL)
    first = load(run).sha256
    train(good, "-o", run, *SMALL)
    assert load(run).sha256 == first
    with pytest.raises(ConfigError, match=r"seed=0, not 1.*--restart"):
        train(good, "-o", run, *SMALL, "--seed", "1")
    train(good, "-o", run, *SMALL, "--seed", "1", "--restart")
    assert load(run).config.seed == 1


def test_the_settings_in_the_run_repeat_it(good: Path, tmp_path: Path):
    train(good, "-o", tmp_path / "a", *SMALL, "--set", "train.lr=0", "--set", "train.precision=auto")
    train(good, "-o", tmp_path / "b", "--config", tmp_path / "a" / "config.yaml")
    assert (tmp_path / "a/config.yaml").read_text() == (tmp_path / "b/config.yaml").read_text()
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def test_later_words_win_over_earlier_ones(good: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(
        "train: {steps: 7, lr: 0.002}\ndata: {patch_px: 32, batch: 2}\nscale: 2\n"
    )
    train(
        good, "-o", tmp_path / "a", "--preset", "movie", "--config", tmp_path / "mine.yaml", "--steps", "5",
        "--set", "train.steps=3", "--size", "fast", "--set", "network.edsr={width: 8, blocks: 1}",
    )  # fmt: skip
    used = read_config(tmp_path / "a/config.yaml")
    assert (used.train.steps, used.train.lr, used.data.batch, used.frames) == (3, 0.002, 2, 3)


def test_each_channel_gets_a_model_of_its_own(two: Path, tmp_path: Path):
    with pytest.raises(ChoiceNeeded, match="mito red, er/2"):
        train(two, "-o", tmp_path / "a", *SMALL)
    train(two, "-o", tmp_path / "runs", *SMALL, "--channel", "each")
    found = {path.name: load(path).sources for path in (tmp_path / "runs").iterdir()}
    assert {name: len(sources) for name, sources in found.items()} == {"mito_red": 1, "er_2": 1}
    assert "mito red" in found["mito_red"][0].name
    train(two, "-o", tmp_path / "all", *SMALL, "--channel", "all")
    assert len(load(tmp_path / "all").sources) == 2


def test_a_model_to_start_from_lends_settings_and_weights(good: Path, tmp_path: Path, capsys):
    train(good, "-o", tmp_path / "a", *SMALL)
    train(
        good, "-o", tmp_path / "b", "--init", tmp_path / "a", "--steps", "3", "--set", "train.freeze=[head]"
    )
    old, new = load(tmp_path / "a"), load(tmp_path / "b")
    assert new.config.network == old.config.network
    assert (new.config.scale, new.config.train.steps) == (2, 3)
    assert [ancestor.sha256 for ancestor in new.ancestors] == [old.sha256]
    assert np.array_equal(new.weights["head.weight"], old.weights["head.weight"])
    assert not np.array_equal(new.weights["tail.weight"], old.weights["tail.weight"])
    capsys.readouterr()
    app(["info", str(tmp_path / "b")], standalone_mode=False)
    assert old.sha256[:8] in capsys.readouterr().out
