"""Many inputs in one command: patterns, scenes, what exists, what is bad, and lines for programs."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from pssr.cli.main import app
from pssr.errors import ChoiceNeeded, ConfigError, ReadError
from pssr.io.open import open_stack


@pytest.fixture
def folder(tmp_path: Path, good_movie) -> Path:
    (tmp_path / "low").mkdir()
    for k in range(3):
        low = np.ascontiguousarray(good_movie[3 * k : 3 * k + 3, ::2, ::2])
        tifffile.imwrite(tmp_path / f"low/{k}.tif", low, photometric="minisblack", metadata={"axes": "TYX"})
    return tmp_path


def predict(*words: object) -> tuple[int, str, str, BaseException | None]:
    found = CliRunner().invoke(app, ["predict", *map(str, words)], env={"COLUMNS": "200"})
    return found.exit_code, found.stdout, " ".join(found.stderr.split()), found.exception


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_restored_into_a_folder_and_a_summary_told(run_folder, folder):
    code, _, said, _ = predict(run_folder, folder / "low", "-o", folder / "out")
    assert code == 0
    assert names(folder / "out") == [f"{k}_restored.ome.tif" for k in range(3)]
    assert "3 restored, 0 skipped, 0 failed, of 3 files" in said


def test_what_exists_is_refused_or_left_out(run_folder, folder):
    out = folder / "out"
    assert predict(run_folder, folder / "low/0.tif", folder / "low/1.tif", "-o", out)[0] == 0
    before = (out / "0_restored.ome.tif").stat().st_mtime_ns
    code, _, said, _ = predict(run_folder, folder / "low", "-o", out)
    assert code == 1
    assert "1 restored, 0 skipped, 2 failed, of 3 files" in said
    (out / "2_restored.ome.tif").unlink()
    code, _, said, _ = predict(run_folder, folder / "low", "-o", out, "--skip-existing")
    assert code == 0
    assert "1 restored, 2 skipped, 0 failed, of 3 files" in said
    assert (out / "0_restored.ome.tif").stat().st_mtime_ns == before


def test_one_bad_file_does_not_stop_the_others(run_folder, folder):
    (folder / "low/1.tif").write_bytes(b"II*\0 no more")
    code, out, said, _ = predict(run_folder, folder / "low", "-o", folder / "out", "--json")
    assert code == 1
    assert names(folder / "out") == ["0_restored.ome.tif", "2_restored.ome.tif"]
    assert "2 restored, 0 skipped, 1 failed, of 3 files" in said
    events = [json.loads(line) for line in out.splitlines()]
    assert [e["source"] for e in events if e["event"] == "failed"] == [str(folder / "low/1.tif")]
    assert [e["done"] for e in events if e["event"] == "progress"] == [1, 2, 3, 1, 2, 3]
    assert [e["target"] for e in events if e["event"] == "written"] == [
        str(folder / f"out/{k}_restored.ome.tif") for k in (0, 2)
    ]


def test_a_pattern_in_quotes_is_matched_by_the_program(run_folder, folder):
    code, *_ = predict(run_folder, folder / "low/[01].tif", "-o", folder / "out")
    assert code == 0
    assert names(folder / "out") == ["0_restored.ome.tif", "1_restored.ome.tif"]


def test_a_share_of_several_inputs_is_every_so_many(run_folder, folder):
    for number, expected in ((1, ["0", "2"]), (2, ["1"])):
        out = folder / f"out{number}"
        assert predict(run_folder, folder / "low", "-o", out, "--shard", f"{number}/2")[0] == 0
        assert names(out) == [f"{name}_restored.ome.tif" for name in expected]


def test_every_scene_is_restored_into_a_file_of_its_own(run_folder, data_folder, tmp_path: Path):
    source = data_folder / "czi_readers/WellD6-7_two_scenes_far_apart.czi"
    code, *_, error = predict(
        run_folder, source, "-o", tmp_path, "--y", "0:20", "--x", "0:30", "--channel", "all"
    )
    assert code == 1
    assert isinstance(error, ChoiceNeeded)
    scenes = error.choices
    words = ("--scene", "all", "--channel", "all", "--t", "0", "--z", "0", "--y", "0:20", "--x", "0:30")
    code, _, said, error = predict(run_folder, source, "-o", tmp_path / "out", *words)
    assert code == 0, (said, error)
    assert len(names(tmp_path / "out")) == len(scenes) == 2
    found = [open_stack(path) for path in sorted((tmp_path / "out").iterdir())]
    assert [(stack.sizes["Y"], stack.sizes["X"]) for stack in found] == [(40, 60)] * 2
    assert not np.array_equal(*(stack.plane() for stack in found))


def test_warnings_are_told_and_refused_where_that_is_asked_for(run_folder, folder):
    bright = np.minimum(20 * tifffile.imread(folder / "low/0.tif").astype(int), 65535).astype(np.uint16)
    tifffile.imwrite(folder / "low/0.tif", bright, photometric="minisblack", metadata={"axes": "TYX"})
    code, out, said, _ = predict(run_folder, folder / "low/0.tif", "-o", folder / "a.ome.tif", "--json")
    assert code == 0
    assert "0.tif: warning: " in said
    assert any(json.loads(line)["event"] == "warning" for line in out.splitlines())
    *_, error = predict(run_folder, folder / "low/0.tif", "-o", folder / "b.ome.tif", "--strict")
    assert isinstance(error, ConfigError)
    assert not (folder / "b.ome.tif").exists()


def test_pixels_that_are_no_numbers_are_named(run_folder, folder):
    broken = tifffile.imread(folder / "low/0.tif").astype(np.float32)
    broken[1, :2, :3] = np.nan
    tifffile.imwrite(folder / "low/0.tif", broken, photometric="minisblack", metadata={"axes": "TYX"})
    *_, error = predict(run_folder, folder / "low/0.tif", "-o", folder / "a.ome.tif")
    assert isinstance(error, ReadError)
    assert "T 1, C 0, Z 0 has 6 pixels that are not numbers" in str(error)
    assert predict(run_folder, folder / "low/0.tif", "-o", folder / "a.ome.tif", "--nan", "zero")[0] == 0


def test_workers_and_shares_exclude_each_other(run_folder, folder):
    words = ("-o", folder / "a.ome.zarr", "--workers", "2", "--shard", "1/2")
    *_, error = predict(run_folder, folder / "low/0.tif", *words)
    assert isinstance(error, ConfigError)
    assert "leave out --shard or --workers" in str(error)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "int8"], "precision: 'int8' is not one; choose auto, fp32, bf16, fp16"),
        (["--t", "a"], "t: 'a' is neither a number nor a part"),
        (["--shard", "3/2"], "shard: '3/2' is no share"),
        (["--dtype", "text"], "dtype: 'text' is no type of pixels"),
        (["--device", "abacus"], "device: 'abacus' is not available here"),
        (["--average", "nothing"], "nothing: cannot be read"),
    ],
)
def test_what_cannot_be_right_is_refused_first(run_folder, folder, words, message):
    *_, error = predict(run_folder, folder / "low/0.tif", "-o", folder / "a.ome.tif", *words)
    assert message in str(error)
    assert names(folder) == ["low"]
