"""Movies to look at: MP4 that every browser and slide program plays."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Num, UInt8

from pssr.errors import ReadError, WriteError
from pssr.io.video_read import count_frames


def write_mp4(
    path: str | Path,
    planes: Iterable[Num[np.ndarray, "y x"]],
    *,
    low: float,
    high: float,
    frames_per_s: float,
    comment: str = "",
    overwrite: bool = False,
) -> Path:
    """Grey planes as H.264; written under another name and renamed when complete.

    Args:
        path: the `.mp4` to write.
        planes: frames, all of one size; an odd last row or column is left out, as H.264 needs even sizes.
        low: value shown black.
        high: value shown white.
        frames_per_s: how fast it plays.
        comment: kept in the file.
        overwrite: whether an existing file may be replaced.

    Returns:
        The file written.

    Raises:
        WriteError: it exists, cannot be written, or the extra `movie` is not installed.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise WriteError(f"{path}: exists already; choose another name, or say overwrite=True (--overwrite)")
    # Imported here: an extra.
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise WriteError(
            f"{path}: writing MP4 needs imageio-ffmpeg; pip install 'pssr-toolkit[movie]'"
        ) from error
    part = path.with_name(path.stem + ".part.mp4")
    writer, sent = None, 0
    try:
        # The encoder would write through a link that somebody put there.
        part.unlink(missing_ok=True)
        for plane in planes:
            h, w = (side // 2 * 2 for side in plane.shape)
            if writer is None:
                writer = imageio_ffmpeg.write_frames(
                    str(part), (w, h), pix_fmt_in="gray", fps=frames_per_s, quality=8, macro_block_size=2,
                    output_params=["-metadata", f"comment={comment}"] if comment else [],
                )  # fmt: skip
                writer.send(None)
            sent += 1
            writer.send(_shown(plane[:h, :w], low, high).tobytes())
        if writer is None:
            raise WriteError(f"{path}: no frame to write; give at least one")
        writer.close()
        _check_whole(path, part, sent)
        part.replace(path)
    except (OSError, ValueError) as error:
        if isinstance(error, WriteError):
            raise
        raise WriteError(f"{path}: cannot be written ({error}); choose another folder") from error
    finally:
        if writer is not None:
            writer.close()
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def _shown(plane: Num[np.ndarray, "y x"], low: float, high: float) -> UInt8[np.ndarray, "y x"]:
    unit = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1)
    shown: np.ndarray = np.rint(255 * np.nan_to_num(unit)).astype(np.uint8)
    return shown


def _check_whole(path: Path, part: Path, frames: int) -> None:
    """The encoder is another process, and says nothing of a disk that filled up."""
    try:
        held, _ = count_frames(part)
    except ReadError as error:
        raise WriteError(f"{path}: could not be encoded; free some space or choose another folder") from error
    if held != frames:
        raise WriteError(f"{path}: holds {held} of {frames} frames; free some space or choose another folder")
