"""Curves and pictures for TensorBoard, where that is installed; without it, nothing is written and nothing said."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pssr.errors import WriteError

FILES = "events.out.tfevents.*"
FLUSH_S = 10  # seconds until a page that is open can show a new point


@dataclass(frozen=True)
class Board:
    """What a person sees who runs `tensorboard --logdir` on a folder of runs.

    Args:
        folder: of the run.
        writer: TensorBoard's; None where it is not installed.
    """

    folder: Path
    writer: Any = None

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        """Points of curves; what is None or no number is left out.

        Args:
            step: after which.
            values: by the name of their curve; names that begin alike, as `loss/l1` and `loss/stability`, stand together.

        Raises:
            WriteError: the disk is full.
        """
        if self.writer is None:
            return
        with _translated(self.folder):
            for name, value in values.items():
                if value is not None and math.isfinite(value):
                    self.writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, png: bytes) -> None:
        """A picture under its name, beside those of other steps.

        Args:
            step: after which.
            name: of the row of pictures.
            png: the file's content.

        Raises:
            WriteError: the disk is full.
        """
        if self.writer is None:
            return
        pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB"))
        with _translated(self.folder):
            self.writer.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still in memory; nothing can be drawn after it.

        Raises:
            WriteError: the disk is full.
        """
        if self.writer is None:
            return
        with _translated(self.folder):
            self.writer.close()


def board(folder: Path, step: int = 0) -> Board:
    """A board for the run in a folder; one that does nothing where TensorBoard is not installed.

    Args:
        folder: of the run; the files lie beside the log, so that TensorBoard calls the run by its folder.
        step: steps done before: what was drawn after it is drawn again, and hidden until then; at 0, all of it is removed.

    Raises:
        WriteError: the folder cannot be written to.
    """
    try:
        # Imported here: it takes a second, and is no requirement.
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return Board(folder)
    with _translated(folder):
        if step == 0:
            for path in folder.glob(FILES):
                path.unlink()
        writer = SummaryWriter(str(folder), purge_step=step + 1, flush_secs=FLUSH_S)
    return Board(folder, writer)


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"{folder}: nothing can be drawn for TensorBoard ({error.strerror}); free some space and run the same command again"
        ) from error
