"""Movies to look at: MP4 that every browser and slide program plays."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Num

from pssr.errors import WriteError


def write_mp4(
    path: str | Path,
    planes: Iterable[Num[np.ndarray, "y x"]],
    *,
    low: float,
    high: float,
    frames_per_s: float,
    overwrite: bool = False,
) -> Path:
    """Grey planes as H.264; written under another name and renamed when complete.

    Args:
        path: the `.mp4` to write.
        planes: frames, all of one size; an odd last row or column is left out, as H.264 needs even sizes.
        low: value shown black.
        high: value shown white.
        frames_per_s: how fast it plays.
        overwrite: whether an existing file may be replaced.

    Returns:
        The file written.

    Raises:
        WriteError: it exists, cannot be written, or the extra `movie` is not installed.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise WriteError(f"{path}: exists already; choose another name, or say that it may be overwritten")
    # Imported here: an extra.
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise WriteError(
            f"{path}: writing MP4 needs imageio-ffmpeg; pip install 'pssr-toolkit[movie]'"
        ) from error
    part = path.with_name(path.stem + ".part.mp4")
    writer = None
    try:
        for plane in planes:
            h, w = (side // 2 * 2 for side in plane.shape)
            shown = np.clip((plane[:h, :w].astype(np.float32) - low) / (high - low), 0, 1)
            if writer is None:
                writer = imageio_ffmpeg.write_frames(
                    str(part), (w, h), pix_fmt_in="gray", fps=frames_per_s, quality=8, macro_block_size=2
                )
                writer.send(None)
            writer.send(np.rint(shown * 255).astype(np.uint8).tobytes())
        if writer is None:
            raise WriteError(f"{path}: no frame to write; give at least one")
        writer.close()
        part.replace(path)
    except OSError as error:
        if isinstance(error, WriteError):
            raise
        raise WriteError(f"{path}: cannot be written ({error}); choose another folder") from error
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)
    return path
