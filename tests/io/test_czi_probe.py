import os
from pathlib import Path

import pytest

from pssr.errors import ReadError
from pssr.io.czi_probe import main, probe

GOOD = "czi_synthetic_fixtures/T5_C2_Z1_u16.czi"
PLACE = {"T": 0, "C": 1}


def test_a_good_file_passes(data_folder):
    probe(data_folder / GOOD, PLACE)
    assert main(str(data_folder / GOOD), "T=0", "C=1") == 0


def test_a_file_that_ends_the_process_ends_another_one(data_folder):
    with pytest.raises(ReadError, match="ends the process that reads it"):
        probe(data_folder / "czi_synthetic_fixtures/bad_segfaults_aicspylibczi.czi", PLACE)


def test_a_file_that_cannot_be_read_says_why(data_folder):
    with pytest.raises(ReadError, match="Not enough data"):
        probe(data_folder / "czi_synthetic_fixtures/bad_truncated_50pct.czi", PLACE)


def test_a_file_is_probed_again_when_it_changed(data_folder, tmp_path: Path):
    copy = tmp_path / "a.czi"
    copy.write_bytes((data_folder / GOOD).read_bytes())
    probe(copy, PLACE)
    copy.write_bytes(b"ZISRAWFILE" + bytes(1000))
    os.utime(copy, (0, 0))
    with pytest.raises(ReadError):
        probe(copy, PLACE)
