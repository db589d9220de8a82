import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from pssr.errors import WriteError
from pssr.io.video import write_mp4

PLANES = [np.full((33, 50), 100 * k, np.uint16) for k in range(5)]


def test_grey_levels_and_time_survive(tmp_path: Path):
    write_mp4(tmp_path / "a.mp4", PLANES, low=0, high=400, frames_per_s=10)
    ask = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-i",
        str(tmp_path / "a.mp4"),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
        "-",
    ]
    answer = subprocess.run(ask, capture_output=True, check=True)
    assert "50x32" in answer.stderr.decode()
    assert "10 fps" in answer.stderr.decode()
    frames = np.frombuffer(answer.stdout, np.uint8).reshape(-1, 32, 50)
    assert frames.mean((1, 2)).tolist() == pytest.approx([0, 64, 128, 191, 255], abs=4)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_an_existing_file_stays_unless_told(tmp_path: Path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(WriteError, match="exists already"):
        write_mp4(tmp_path / "a.mp4", PLANES, low=0, high=400, frames_per_s=10)
    write_mp4(tmp_path / "a.mp4", PLANES, low=0, high=400, frames_per_s=10, overwrite=True)
    assert (tmp_path / "a.mp4").stat().st_size > 0


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights")
def test_a_link_under_the_name_of_the_part_is_not_written_through(tmp_path: Path):
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / "a.part.mp4").symlink_to("elsewhere")
    write_mp4(tmp_path / "a.mp4", PLANES, low=0, high=400, frames_per_s=10)
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert not (tmp_path / "a.mp4").is_symlink()


def test_a_folder_under_the_name_of_the_part_is_an_error(tmp_path: Path):
    (tmp_path / "a.part.mp4").mkdir()
    with pytest.raises(WriteError, match="a.mp4: cannot be written"):
        write_mp4(tmp_path / "a.mp4", PLANES, low=0, high=400, frames_per_s=10)
    assert [p.name for p in tmp_path.iterdir()] == ["a.part.mp4"]


def test_no_frame_no_file(tmp_path: Path):
    with pytest.raises(WriteError, match="no frame"):
        write_mp4(tmp_path / "a.mp4", [], low=0, high=1, frames_per_s=10)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(WriteError, match=r"pssr-toolkit\[movie\]"):
        write_mp4(tmp_path / "a.mp4", PLANES, low=0, high=1, frames_per_s=10)
