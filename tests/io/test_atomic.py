import sys
from pathlib import Path

import pytest

from pssr.errors import WriteError
from pssr.io.atomic import write_whole


def test_a_file_is_replaced_whole(tmp_path: Path):
    write_whole(tmp_path / "a", b"old")
    write_whole(tmp_path / "a", b"new content")
    assert (tmp_path / "a").read_bytes() == b"new content"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(WriteError, match="absent"):
        write_whole(tmp_path / "absent" / "a", b"")


def test_what_was_there_survives_a_failure(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").touch()
    with pytest.raises(WriteError, match="cannot be written"):
        write_whole(tmp_path / "a", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights")
def test_a_link_under_the_name_of_the_part_is_not_written_through(tmp_path: Path):
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / "a.part").symlink_to("elsewhere")
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_part_that_a_killed_process_left_is_replaced(tmp_path: Path):
    (tmp_path / "a.part").write_bytes(b"half of something long")
    write_whole(tmp_path / "a", b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"new"}


def test_a_folder_under_the_name_of_the_part_is_an_error(tmp_path: Path):
    (tmp_path / "a.part").mkdir()
    with pytest.raises(WriteError, match="a: cannot be written"):
        write_whole(tmp_path / "a", b"new")
