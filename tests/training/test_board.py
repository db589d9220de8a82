import importlib.util
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pssr.training.board import board

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)


def png() -> bytes:
    out = BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(out, "PNG")
    return out.getvalue()


def shown(folder: Path):
    """What TensorBoard reads from a folder."""
    # Imported here: it may be absent.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in shown(folder).Scalars(name)]


@needs_tensorboard
def test_scalars_and_pictures_are_shown(tmp_path: Path):
    drawing = board(tmp_path)
    drawing.scalars(10, {"loss/all": 0.5, "loss/l1": 0.25})
    drawing.scalars(20, {"loss/all": 0.25, "loss/l1": None, "psnr": float("nan")})
    drawing.picture(20, "sample", png())
    drawing.close()
    assert points(tmp_path, "loss/all") == [(10, 0.5), (20, 0.25)]
    assert points(tmp_path, "loss/l1") == [(10, 0.25)]
    assert shown(tmp_path).Tags()["scalars"] == ["loss/all", "loss/l1"]
    (picture,) = shown(tmp_path).Images("sample")
    assert (picture.step, picture.width, picture.height) == (20, 8, 6)
    grey = np.asarray(Image.open(BytesIO(picture.encoded_image_string)))[..., 0]
    np.testing.assert_array_equal(grey, np.arange(48).reshape(6, 8))


@needs_tensorboard
def test_steps_that_are_done_again_are_drawn_once(tmp_path: Path):
    first = board(tmp_path)
    for step in (10, 20, 30):
        first.scalars(step, {"loss": 1.0})
    first.close()
    again = board(tmp_path, step=20)
    for step in (30, 40):
        again.scalars(step, {"loss": 2.0})
    again.close()
    assert points(tmp_path, "loss") == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0)]


@needs_tensorboard
def test_a_run_from_the_start_forgets_what_was_drawn(tmp_path: Path):
    for value in (1.0, 2.0):
        drawing = board(tmp_path)
        drawing.scalars(10, {"loss": value})
        drawing.close()
    assert points(tmp_path, "loss") == [(10, 2.0)]
    assert len(list(tmp_path.iterdir())) == 1


@needs_tensorboard
def test_closing_twice_does_no_harm(tmp_path: Path):
    drawing = board(tmp_path)
    drawing.close()
    drawing.close()


def test_without_tensorboard_nothing_is_written_and_nothing_said(tmp_path: Path):
    program = f"""
import sys
from pathlib import Path
sys.modules["tensorboard"] = None
from pssr.training.board import board
drawing = board(Path({str(tmp_path)!r}), step=5)
drawing.scalars(10, {{"loss": 0.5}})
drawing.picture(10, "sample", b"")
drawing.close()
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == said.stderr == ""
    assert not list(tmp_path.iterdir())
