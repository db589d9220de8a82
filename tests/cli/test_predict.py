from pathlib import Path

import pytest

from pssr.cli.targets import Task, make_folder, matching, part, shard, targets
from pssr.errors import ConfigError, WriteError


def given(*sources: str, out: Path, format: str | None = None) -> list[Task]:
    return targets([(Path(source), None) for source in sources], out, format)


def test_a_single_input_may_name_its_file(tmp_path: Path):
    assert given("a.czi", out=tmp_path / "b.ome.tif") == [Task(Path("a.czi"), tmp_path / "b.ome.tif")]


def test_inputs_are_named_after_themselves_in_a_folder(tmp_path: Path):
    tasks = given("x/a.czi", "x/b.OME.TIF", "x/c.d.tiff", out=tmp_path / "out")
    assert [task.target.name for task in tasks] == [
        "a_restored.ome.tif", "b_restored.ome.tif", "c.d_restored.ome.tif",
    ]  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_no_two_inputs_share_an_output(tmp_path: Path):
    with pytest.raises(ConfigError, match="two inputs would be written there"):
        given("x/a.czi", "y/a.tif", out=tmp_path)
    with pytest.raises(ConfigError, match="is one file for 2 inputs"):
        given("x/a.czi", "y/b.tif", out=tmp_path / "b.tif")


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot be made"):
        make_folder(tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("b.png", None, r"pssr writes no \.png file"),
        ("b.czi", None, r"pssr writes no \.czi file; name a folder"),
        ("b.tif", "png", r"png writes no \.tif file"),
        ("b.mp4", "ome-tiff", r"ome-tiff writes no \.mp4 file"),
        ("b.zarr", "imagej", r"imagej writes no \.zarr file"),
    ],
)
def test_a_name_that_no_output_could_have_is_refused(tmp_path: Path, name, format, message):
    with pytest.raises(ConfigError, match=message):
        given("a.tif", out=tmp_path / name, format=format)


def test_a_folder_may_have_any_name(tmp_path: Path):
    (tmp_path / "run.png").mkdir()
    assert given("a.tif", out=tmp_path / "run.png")[0].target.parent == tmp_path / "run.png"
    assert given("a.tif", out=tmp_path / "v1.2")[0].target.name == "a_restored.ome.tif"


def test_scenes_of_one_file_are_told_apart_by_name(tmp_path: Path):
    tasks = targets([(Path("a.czi"), "P1"), (Path("a.czi"), "well B/2")], tmp_path)
    assert [(task.target.name, task.scene) for task in tasks] == [
        ("a_P1_restored.ome.tif", "P1"), ("a_well_B_2_restored.ome.tif", "well B/2"),
    ]  # fmt: skip


def test_a_pattern_is_matched_where_there_is_no_file_of_that_very_name(tmp_path: Path):
    for name in ("b.tif", "a.tif", "a.txt", "[ab].tif"):
        (tmp_path / name).touch()
    assert matching([tmp_path / "[ab].tif"]) == [tmp_path / "[ab].tif"]
    (tmp_path / "[ab].tif").unlink()
    assert matching([tmp_path / "[ab].tif"]) == [tmp_path / "a.tif", tmp_path / "b.tif"]
    assert matching([tmp_path / "z*.tif"]) == [tmp_path / "z*.tif"]
    assert matching([tmp_path / "*.tif"], series="T") == [tmp_path / "*.tif"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, None),
        ("7", 7),
        ("-1", -1),
        ("10:20", slice(10, 20)),
        ("::2", slice(None, None, 2)),
        (":5", slice(None, 5)),
    ],
)
def test_parts_are_written_as_in_python(text, found):
    assert part(text, "t") == found


@pytest.mark.parametrize("text", ["", "a", "1:2:3:4", "1-5", "1:b"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(
        ConfigError, match="t: .* is neither a number nor a part; write it such as 7, 10:20 or ::2"
    ):
        part(text, "t")


def test_a_share_is_counted_from_one():
    assert (shard(None), shard("2/8"), shard("8/8")) == ((1, 1), (2, 8), (8, 8))
    for wrong in ("0/4", "5/4", "2", "a/b", "2/", "-1/2"):
        with pytest.raises(ConfigError, match="write it such as 2/8"):
            shard(wrong)
