import os
import socket
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.open import open_stack


def test_only_regular_files_are_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    (tmp_path / "empty.czi").touch()
    (tmp_path / "page.tif").write_text("<html>")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)  # a socket's path may have 107 characters
        server.bind("s.czi")
    for name, message in {
        "pipe.tif": "not a regular file", "loop.tif": "cannot be opened", "empty.czi": "is empty", ".": "is a folder",
        "page.tif": "is not CZI, TIFF, OME-Zarr, PNG", "absent.tif": "does not exist", "s.czi": "not a regular file",
        "a\0b.tif": "cannot be opened", "/dev/zero": "not a regular file",
    }.items():  # fmt: skip
        with pytest.raises(ReadError, match=message):
            open_stack(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["ok_[a]*?.tif", "-lead.tif", "gr\u00fcn \u7d30\u80de.tif", "n" * 240 + ".tif", "a.czi"]
)
def test_the_named_file_is_read_and_no_other(tmp_path: Path, name):
    tifffile.imwrite(tmp_path / "ok_aXY.tif", np.zeros((5, 5), np.uint8))
    (tmp_path / "made.tif").write_bytes(b"")
    tifffile.imwrite(tmp_path / "made.tif", np.full((4, 4), 7, np.uint8))
    (tmp_path / "made.tif").rename(tmp_path / name)
    assert open_stack(tmp_path / name).plane().tolist() == [[7] * 4] * 4


def test_a_czi_names_its_own_axes(data_folder):
    with pytest.raises(ChoiceNeeded, match="leave axes='ZYX' out"):
        open_stack(data_folder / "czi_synthetic_fixtures/T2_only.czi", axes="ZYX")
