import os
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.open import open_stack
from pssr.io.write import StackWriter


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


@pytest.mark.parametrize("name", ["a.ome.zarr", "a.ome.tif"])
def test_a_stack_that_gets_another_name_while_it_is_opened_is_told_in_words(tmp_path: Path, name):
    path, elsewhere = tmp_path / name, tmp_path / f"other.{name}"
    sizes = {"T": 3, "C": 1, "Z": 1, "Y": 4, "X": 5}
    with StackWriter(path, sizes=sizes, dtype=np.uint8, channels=["a"]) as writer:
        for t in range(3):
            writer.write(np.zeros((4, 5), np.uint8), T=t)
    ends = threading.Event()

    def rename() -> None:
        while not ends.is_set():
            path.rename(elsewhere)
            time.sleep(0.0005)
            elsewhere.rename(path)
            time.sleep(0.02)

    other = threading.Thread(target=rename)
    other.start()
    found, told, end = 0, [], time.monotonic() + 1.5
    try:
        while time.monotonic() < end:
            try:
                found += dict(open_stack(path).sizes) == sizes
            except ReadError as error:
                told.append(str(error))
    finally:
        ends.set()
        other.join()
    assert found
    assert told
    assert all("; " in sentence for sentence in told)
