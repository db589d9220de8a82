import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from pssr.errors import ReadError
from pssr.io.open import open_stack

FRAMES, SIDE = 12, 32


def encoded(path: Path, frames: np.ndarray, *words: str) -> Path:
    """Frames (T, Y, X, 3) as ffmpeg writes them by the ending of the name."""
    y, x = frames.shape[1:3]
    command = [
        get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{x}x{y}",
        "-i",
        "-",
    ]
    subprocess.run([*command, *words, str(path)], input=frames.tobytes(), check=True)
    return path


def grey() -> np.ndarray:
    ramp = np.linspace(0, 250, FRAMES * SIDE * SIDE).astype(np.uint8).reshape(FRAMES, SIDE, SIDE, 1)
    return np.repeat(ramp, 3, -1)


@pytest.mark.parametrize("ending", ["avi", "mp4", "mov"])
def test_a_whole_movie_is_read_and_a_cut_one_is_not(tmp_path: Path, ending):
    path = encoded(tmp_path / f"a.{ending}", grey())
    assert open_stack(path).sizes["T"] == FRAMES
    content = path.read_bytes()
    for kept in (0.3, 0.6, 0.9):
        (tmp_path / f"b.{ending}").write_bytes(content[: int(kept * len(content))])
        with pytest.raises(ReadError, match=r"b\.\w+: (is cut|cannot be|has no frame)"):
            open_stack(tmp_path / f"b.{ending}")


@pytest.mark.parametrize("behind", [b"\0\0\0\0", b"junk", b"1234567"])
def test_a_few_bytes_behind_a_movie_do_no_harm(tmp_path: Path, behind):
    path = encoded(tmp_path / "a.mp4", grey())
    path.write_bytes(path.read_bytes() + behind)
    assert open_stack(path).sizes["T"] == FRAMES


def test_an_avi_that_gives_the_size_of_the_file_is_whole_and_cut_by_so_much_is_not(tmp_path: Path):
    path = encoded(tmp_path / "a.avi", grey())
    content = path.read_bytes()
    path.write_bytes(content[:4] + struct.pack("<I", len(content)) + content[8:])
    assert open_stack(path).sizes["T"] == FRAMES
    for cut in (2, 8):
        path.write_bytes(content[:-cut])
        with pytest.raises(ReadError, match=r"a\.avi: is cut"):
            open_stack(path)


def test_an_avi_cut_between_two_frames_is_not_a_shorter_movie(tmp_path: Path):
    path = encoded(tmp_path / "a.avi", grey(), "-c:v", "rawvideo", "-pix_fmt", "bgr24")
    content = path.read_bytes()
    at = content.find(b"00dc", len(content) // 2)
    (tmp_path / "b.avi").write_bytes(content[:at])
    with pytest.raises(ReadError, match="is cut"):
        open_stack(tmp_path / "b.avi")


def test_fragments_without_an_index_are_read_with_a_note(tmp_path: Path):
    path = encoded(tmp_path / "a.mp4", grey(), "-g", "3", "-movflags", "frag_keyframe+empty_moov")
    assert not any("fragments" in note for note in open_stack(path).notes)
    content = path.read_bytes()
    end = content.rfind(b"mfra") - 4
    (tmp_path / "b.mp4").write_bytes(content[:end])
    assert any("fragments without an index" in note for note in open_stack(tmp_path / "b.mp4").notes)


def test_a_box_that_cannot_be_is_refused(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(
        struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4s", 5, b"mdat") + b"\0" * 50
    )
    with pytest.raises(ReadError, match="a.mp4: is cut"):
        open_stack(tmp_path / "a.mp4")


@pytest.mark.parametrize("coloured", [0, FRAMES // 2, FRAMES - 1])
def test_colours_in_any_frame_are_seen(tmp_path: Path, coloured):
    frames = grey()
    frames[coloured, 8:20, 8:20] = (250, 30, 30)
    stack = open_stack(encoded(tmp_path / "a.avi", frames, "-c:v", "rawvideo", "-pix_fmt", "bgr24"))
    assert stack.channels == ("red", "green", "blue")
    assert int(stack.plane(T=coloured, C=0)[12, 12]) > 200
    assert int(stack.plane(T=coloured, C=1)[12, 12]) < 80
