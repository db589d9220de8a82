import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from pssr.errors import ReadError
from pssr.io.open import open_stack
from pssr.io.video_read import BLOCK, count_frames


def encoded(path: Path, frames: np.ndarray, *how: str) -> Path:
    """Frames (T, Y, X) or (T, Y, X, 3) of 8 bits, without loss."""
    kind = "gray" if frames.ndim == 3 else "rgb24"
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", kind, "-s", size]
    command += ["-r", "7", "-i", "-", *how, str(path)]
    subprocess.run(command, input=frames.tobytes(), check=True)
    return path


@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mov"])
def test_grey_frames_are_exact_and_counted(tmp_path: Path, name):
    frames = np.random.default_rng(0).integers(0, 255, (2 * BLOCK + 5, 17, 22), np.uint8)
    codec = ["-c:v", "ffv1"] if name == "a.avi" else ["-c:v", "png", "-pix_fmt", "gray"]
    stack = open_stack(encoded(tmp_path / name, frames, *codec))
    assert dict(stack.sizes) == {"T": 2 * BLOCK + 5, "C": 1, "Z": 1, "Y": 17, "X": 22}
    np.testing.assert_array_equal(list(stack.movie()), frames)
    for t in (BLOCK, 0, 2 * BLOCK + 4):
        np.testing.assert_array_equal(stack.plane(T=t), frames[t])
    assert stack.interval_s is None
    assert "plays at 7 frames a second" in stack.notes[0]


def test_colours_are_channels(tmp_path: Path):
    frames = np.random.default_rng(0).integers(0, 255, (3, 16, 20, 3), np.uint8)
    stack = open_stack(encoded(tmp_path / "a.avi", frames, "-c:v", "rawvideo", "-pix_fmt", "bgr24"))
    assert stack.channels == ("red", "green", "blue")
    for c in range(3):
        np.testing.assert_array_equal(list(stack.movie(c)), frames[..., c])


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_cut_movie_is_an_error(tmp_path: Path, kept):
    frames = np.random.default_rng(0).integers(0, 255, (20, 32, 32), np.uint8)
    content = encoded(tmp_path / "a.mp4", frames).read_bytes()
    (tmp_path / "a.mp4").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ReadError, match=r"a.mp4: "):
        open_stack(tmp_path / "a.mp4")


def test_a_playlist_in_disguise_is_not_followed(tmp_path: Path):
    frames = np.zeros((3, 16, 16), np.uint8)
    secret = encoded(tmp_path / "secret.mp4", frames)
    (tmp_path / "a.mp4").write_bytes(
        b"\0\0\0\x18ftypmp42" + f"\nffconcat version 1.0\nfile {secret}\n".encode()
    )
    with pytest.raises(ReadError, match=r"a.mp4: (cannot be|is cut)"):
        open_stack(tmp_path / "a.mp4")
    assert count_frames(secret)[0] == 3
