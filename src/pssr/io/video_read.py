"""MP4 and AVI through the ffmpeg that imageio-ffmpeg brings, in a process of its own."""

import re
import subprocess
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from pssr.errors import ReadError
from pssr.io.memory import check_fits
from pssr.io.stack import RGB, Place, ReadPlane, Stack
from pssr.io.video_check import check_container

LIMIT_S = 600.0
# A compressed movie is decoded from its beginning: frames are fetched by the block, and a few blocks kept.
BLOCK, BLOCKS_KEPT = 64, 2
SEEN_PX = 64  # side of the small copies in which colours are looked for
NEAR_GREY = 2  # counts by which colours of a grey movie may differ after compression


def is_video(head: bytes) -> bool:
    """Whether a file that begins so is MP4, MOV or AVI."""
    return head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")


@dataclass(frozen=True)
class VideoReader:
    """Frames of a movie, counted from its beginning.

    Args:
        shape: (frames, Y, X).
        channels: 1 for grey, 3 for colours.
    """

    shape: tuple[int, int, int]
    channels: int

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads planes; a few blocks of frames are kept while it is open.

        Raises:
            ReadError: the movie cannot be decoded there.
        """
        kept: OrderedDict[int, np.ndarray] = OrderedDict()

        def read(place: Place) -> np.ndarray:
            t, c, _ = place
            number = t // BLOCK
            if number not in kept:
                kept[number] = self._block(path, number)
                if len(kept) > BLOCKS_KEPT:
                    kept.popitem(last=False)
            return np.ascontiguousarray(kept[number][t % BLOCK, ..., c])

        yield read

    def _block(self, path: Path, number: int) -> UInt8[np.ndarray, "n y x c"]:
        frames, y, x = self.shape
        first, last = number * BLOCK, min((number + 1) * BLOCK, frames) - 1
        kind = "gray" if self.channels == 1 else "rgb24"
        chosen = f"select=between(n\\,{first}\\,{last})"
        data = _decode(path, ["-vf", chosen, "-frames:v", str(last - first + 1), "-pix_fmt", kind])
        if len(data) != (last - first + 1) * y * x * self.channels:
            raise ReadError(f"{path}: frames {first} to {last} cannot be decoded; copy it again")
        return np.frombuffer(data, np.uint8).reshape(-1, y, x, self.channels)


def open_video(path: Path) -> Stack:
    """A movie file as a stack of 8 bits.

    Args:
        path: an MP4, MOV or AVI file.

    Raises:
        ReadError: damaged, or the extra `movie` is not installed.
    """
    _check_installed(path)
    cut = check_container(path)
    codec, fps = _described(path)
    y, x = _first_frame(path)
    check_fits(path, (y, x * BLOCK * BLOCKS_KEPT), np.dtype("u1"))
    frames, colours = count_frames(path)
    channels = 3 if colours else 1
    return Stack(
        path=path,
        format="AVI" if _demuxer(path) == "avi" else "MP4",
        sizes={"T": frames, "C": channels, "Z": 1, "Y": y, "X": x},
        dtype=np.dtype("u1"),
        channels=tuple(RGB) if colours else ("channel 0",),
        spacing_um={},
        interval_s=None,
        reader=VideoReader((frames, y, x), channels),
        notes=(f"plays at {fps} frames a second; how fast it was taken is not known", *cut),
        colours=tuple(RGB.values()) if colours else (None,),
        compression=codec,
    )


def _check_installed(path: Path) -> None:
    if not find_spec("imageio_ffmpeg"):
        raise ReadError(f"{path}: reading it needs imageio-ffmpeg; pip install 'pssr-toolkit[movie]'")


def _described(path: Path) -> tuple[str | None, str]:
    """Codec, and frames a second, as ffmpeg prints them; more than 8 bits are refused, for they would be lost."""
    said = _ffmpeg(path, []).stderr.decode(errors="replace")
    stream = next((line for line in said.splitlines() if "Video:" in line), "")
    codec, fps = re.search(r"Video: (\w+)", stream), re.search(r"([\d.]+) fps", stream)
    deep = re.search(r"\b(?:gray|yuv|gbr|rgb|bgr|p0|nv)\w*?(9|1[0246]|48|64)(?:le|be)\b", stream)
    if deep:
        raise ReadError(f"{path}: has pixels of more than 8 bits ({deep[0]}); export it as TIFF")
    return (codec[1] if codec else None), (fps[1] if fps else "an unknown number of")


def _first_frame(path: Path) -> tuple[int, int]:
    """Height and width."""
    data = _run(path, ["-frames:v", "1", "-c:v", "ppm", "-f", "image2pipe", "-"])
    head = re.match(rb"P6\s(\d+)\s(\d+)\s255\s", data)
    if not head:
        raise ReadError(f"{path}: has no frame that can be decoded; copy it again")
    return int(head[2]), int(head[1])


def count_frames(path: Path) -> tuple[int, bool]:
    """How many frames can be decoded (what the file announces may be wrong), and whether any has colours.

    Raises:
        ReadError: none can.
    """
    small = f"scale={SEEN_PX}:{SEEN_PX}:flags=area"
    frames, colours = 0, False
    with _streamed(path, ["-pix_fmt", "rgb24", "-vf", small, "-f", "rawvideo", "-"]) as stream:
        while frame := stream.read(SEEN_PX * SEEN_PX * 3):
            pixels = np.frombuffer(frame, np.uint8).reshape(-1, 3).astype(np.int16)
            frames, colours = frames + 1, colours or int(np.ptp(pixels, axis=1).max()) > NEAR_GREY
    if not frames:
        raise ReadError(f"{path}: has no frame that can be decoded; copy it again")
    return frames, colours


@contextmanager
def _streamed(path: Path, words: list[str]) -> Iterator[IO[bytes]]:
    """What ffmpeg gives, as it gives it: a long movie need not be in memory."""
    with tempfile.TemporaryFile() as said:
        command = _command(path, ["-map", "0:v:0", "-fps_mode", "passthrough", *words], "-v", "error")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as process:
            assert process.stdout is not None
            end = threading.Timer(LIMIT_S, process.kill)
            end.start()
            try:
                yield process.stdout
            finally:
                end.cancel()
                process.stdout.close()
        said.seek(0)
        _check_end(path, process.returncode, said.read())


def _decode(path: Path, words: list[str]) -> bytes:
    return _run(path, [*words, "-f", "rawvideo", "-"])


def _run(path: Path, words: list[str]) -> bytes:
    found = _ffmpeg(path, ["-map", "0:v:0", "-fps_mode", "passthrough", *words], "-v", "error")
    _check_end(path, found.returncode, found.stderr)
    return found.stdout


def _check_end(path: Path, code: int, said: bytes) -> None:
    if code != 0 or said:
        why = said.decode(errors="replace").strip().splitlines()[-1:] or ["it is damaged"]
        raise ReadError(f"{path}: cannot be decoded ({why[0]}); copy it again")


def _ffmpeg(path: Path, words: list[str], *how: str) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(_command(path, words, *how), capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ReadError(f"{path}: decoding it took more than {LIMIT_S:g} s; it is damaged") from error


def _command(path: Path, words: list[str], *how: str) -> list[str]:
    # Imported here: an extra.
    from imageio_ffmpeg import get_ffmpeg_exe

    # Only this file, as what its content says it is: a list of other files or addresses is not followed.
    source = ["-protocol_whitelist", "file,pipe", "-f", _demuxer(path), "-i", f"file:{path}"]
    return [get_ffmpeg_exe(), "-nostdin", "-hide_banner", *how, *source, *words]


def _demuxer(path: Path) -> str:
    with path.open("rb") as file:
        return "avi" if file.read(4) == b"RIFF" else "mov"
