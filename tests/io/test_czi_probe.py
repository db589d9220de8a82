import os
from pathlib import Path

import pytest

from pssr.errors import ReadError
from pssr.io.czi_probe import LIBRARY_ABSENT, main, probe

GOOD = "czi_synthetic_fixtures/T5_C2_Z1_u16.czi"


def test_a_good_file_passes(data_folder):
    probe(data_folder / GOOD)
    assert main(str(data_folder / GOOD)) == 0


def test_a_file_that_ends_the_process_ends_another_one(data_folder):
    with pytest.raises(ReadError, match="ends the process that reads it"):
        probe(data_folder / "czi_synthetic_fixtures/bad_segfaults_aicspylibczi.czi")


def test_a_file_that_cannot_be_read_says_why(data_folder):
    with pytest.raises(ReadError, match="Not enough data"):
        probe(data_folder / "czi_synthetic_fixtures/bad_truncated_50pct.czi")


def test_a_file_is_probed_again_when_it_changed(data_folder, tmp_path: Path):
    copy = tmp_path / "a.czi"
    copy.write_bytes((data_folder / GOOD).read_bytes())
    probe(copy)
    copy.write_bytes(b"ZISRAWFILE" + bytes(1000))
    os.utime(copy, (0, 0))
    with pytest.raises(ReadError):
        probe(copy)


def test_without_the_library_the_message_says_how_to_get_it(data_folder, tmp_path: Path, monkeypatch):
    """A package of the same name that cannot be imported, in front of the real one."""
    (tmp_path / "aicspylibczi.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    copy = tmp_path / "a.czi"
    copy.write_bytes((data_folder / GOOD).read_bytes())
    with pytest.raises(ReadError, match=r"pip install 'pssr-toolkit\[czi\]'"):
        probe(copy)
    assert LIBRARY_ABSENT != 0
