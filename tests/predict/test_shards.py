"""Shares of a job array: in any order, at once, and started again."""

import itertools
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tifffile
from commands import PATIENCE_S, PSSR, started
from typer.testing import CliRunner

from pssr.cli.main import app
from pssr.errors import ConfigError, WriteError


@pytest.fixture(scope="module")
def low(good_movie, tmp_path_factory) -> Path:
    """Thirty frames: four blocks."""
    path = tmp_path_factory.mktemp("low") / "low.ome.tif"
    frames = np.ascontiguousarray(good_movie[:, ::2, ::2])
    tifffile.imwrite(path, frames, metadata={"axes": "TYX"}, photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def once(run_folder, low, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("once") / "out.ome.zarr"
    predict(run_folder, low, target)
    return target


def predict(run: Path, source: Path, target: Path, *words: str) -> str:
    """What the command says."""
    command = ["predict", str(run), str(source), "-o", str(target), "--precision", "fp32", *words]
    found = CliRunner().invoke(app, command, env={"COLUMNS": "300"})
    if found.exception is not None:
        raise found.exception
    return found.stderr


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3)))[::2])
def test_shares_in_any_order_give_the_file_of_one_run(run_folder, low, once, tmp_path: Path, order):
    target = tmp_path / "out.ome.zarr"
    said = []
    for number in order:
        assert not target.exists()
        said.append(predict(run_folder, low, target, "--shard", f"{number}/3"))
    assert content(target) == content(once)
    assert names(tmp_path) == ["out.ome.zarr"]
    left = [4 - (2 if order[0] == 1 else 1), 2 if order[2] == 1 else 1]
    for lines, blocks in zip(said, left, strict=False):
        assert f"{blocks} of 4 blocks are left to other shares; the one that ends last puts out.ome" in lines
    assert said[-1].splitlines()[-1] == str(target)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes in groups of POSIX systems")
def test_shares_at_once_give_the_file_of_one_run(run_folder, low, once, tmp_path: Path):
    target = tmp_path / "out.ome.zarr"
    command = [*PSSR, "predict", str(run_folder), str(low), "-o", str(target), "--precision", "fp32"]
    with ExitStack() as stack:
        shares = [
            stack.enter_context(started([*command, "--shard", f"{k}/3"], tmp_path / f"said{k}"))
            for k in (1, 2, 3)
        ]
        for k, share in enumerate(shares, 1):
            assert share.wait(PATIENCE_S) == 0, (tmp_path / f"said{k}").read_text()
    assert content(target) == content(once)
    assert names(tmp_path) == ["out.ome.zarr", "said1", "said2", "said3"]
    ends = [(tmp_path / f"said{k}").read_text().splitlines()[-1] for k in (1, 2, 3)]
    assert str(target) in ends
    assert all(
        end == str(target) or "left to other shares" in end or "another process" in end for end in ends
    )


def test_a_share_that_is_started_again_has_nothing_to_do(run_folder, low, once, tmp_path: Path):
    target = tmp_path / "out.ome.zarr"
    first = predict(run_folder, low, target, "--shard", "1/2")
    marks = tmp_path / "out.ome.zarr.part" / ".pssr"
    before = {path.name: path.stat().st_mtime_ns for path in marks.iterdir()}
    assert set(before) == {"about.json", "0.json", "2.json"}
    again = predict(run_folder, low, target, "--shard", "1/2")
    assert "2 of 4 blocks are left" in first
    assert "2 of 4 blocks are left" in again
    assert "restore" not in again
    assert before == {path.name: path.stat().st_mtime_ns for path in marks.iterdir()}
    predict(run_folder, low, target, "--shard", "2/2")
    complete = content(target)
    for number in (1, 2):
        assert f"{target} is complete already" in predict(run_folder, low, target, "--shard", f"{number}/2")
    assert content(target) == complete == content(once)
    assert names(tmp_path) == ["out.ome.zarr"]


def test_a_share_finds_the_file_of_something_else_and_refuses(run_folder, low, tmp_path: Path):
    target = tmp_path / "out.ome.zarr"
    predict(run_folder, low, target, "--t", "3")
    with pytest.raises(WriteError, match="exists already"):
        predict(run_folder, low, target, "--shard", "1/2")
    assert "2 of 4 blocks" in predict(run_folder, low, target, "--shard", "1/2", "--overwrite")


def test_a_share_beyond_the_blocks_begins_nothing(run_folder, low, tmp_path: Path):
    said = predict(run_folder, low, tmp_path / "out.ome.zarr", "--shard", "6/8", "--overwrite")
    assert "nothing for share 6 of 8: the work has 4 blocks" in said
    assert names(tmp_path) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")
def test_a_share_that_was_killed_goes_on(run_folder, low, tmp_path: Path):
    once, target = (tmp_path / f"{name}.ome.zarr" for name in ("once", "out"))
    words = ["--tta", "--shard", "1/1"]
    predict(run_folder, low, once, *words[:1])
    command = [*PSSR, "predict", str(run_folder), str(low), "-o", str(target), "--precision", "fp32", "--tta"]
    mark = tmp_path / "out.ome.zarr.part" / ".pssr" / "0.json"
    with started([*command, "--shard", "1/2"], tmp_path / "said") as share:
        while not mark.exists():
            assert share.poll() is None, (tmp_path / "said").read_text()
        share.send_signal(signal.SIGKILL)
        share.wait(PATIENCE_S)
    before = mark.stat().st_mtime_ns
    predict(run_folder, low, target, "--tta", "--shard", "1/2")
    assert mark.stat().st_mtime_ns == before
    predict(run_folder, low, target, "--tta", "--shard", "2/2")
    assert content(target) == content(once)


def test_several_inputs_are_divided_among_the_shares(run_folder, low, tmp_path: Path):
    for k in range(3):
        frames = tifffile.imread(low)[k : k + 3]
        (tmp_path / "in").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"in/{k}.tif", frames, metadata={"axes": "TYX"}, photometric="minisblack")
    predict(run_folder, tmp_path / "in", tmp_path / "out", "--shard", "1/2")
    assert names(tmp_path / "out") == ["0_restored.ome.tif", "2_restored.ome.tif"]
    said = predict(run_folder, tmp_path / "in", tmp_path / "out", "--shard", "2/2")
    assert names(tmp_path / "out") == [f"{k}_restored.ome.tif" for k in range(3)]
    assert "1 restored, 0 skipped, 0 failed, of 1 files" in said


def test_a_share_of_one_input_needs_a_format_that_many_can_fill(run_folder, low, tmp_path: Path):
    with pytest.raises(ConfigError, match="several processes can only fill an OME-Zarr; name it .ome.zarr"):
        predict(run_folder, low, tmp_path / "out.ome.tif", "--shard", "1/2")
    assert names(tmp_path) == []
