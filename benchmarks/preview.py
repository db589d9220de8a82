"""How soon does the live preview of the napari plugin show the frame that a person moves to? Needs a screen (`xvfb-run -a`)."""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from qtpy.QtWidgets import QApplication

import napari
import pssr
from napari_pssr.restore import Restore

SIDE_PX, FRAMES = 512, 8
PATIENCE_S = 120.0


def taken_s(true: Callable[[], bool]) -> float:
    """Seconds until something is true, while the window lives."""
    begun = time.perf_counter()
    while not true():
        QApplication.processEvents()
        time.sleep(0.002)
        if time.perf_counter() - begun > PATIENCE_S:
            raise SystemExit("the preview did not come")
    return time.perf_counter() - begun


def measured(low: np.ndarray, run: Path) -> tuple[float, float, str]:
    """Seconds to the first restored pixels, to a new frame after the slider has moved, and what the widget says then."""
    viewer = napari.Viewer(show=True)
    try:
        viewer.window._qt_window.resize(1500, 1000)
        viewer.add_image(low, name="low")
        widget = Restore(viewer)
        viewer.window.add_dock_widget(widget)
        widget.choose_model(run)
        taken_s(lambda: widget.predictor is not None)
        viewer.dims.set_current_step(0, 0)
        widget.form.preview.click()
        first = taken_s(lambda: widget.live.layer is not None)
        # It grows until it covers what it can within its time.
        end = time.perf_counter() + 6
        taken_s(lambda: time.perf_counter() > end)
        moves = []
        for t in range(1, FRAMES):
            before = widget.live.layer.data
            viewer.dims.set_current_step(0, t)
            moves.append(taken_s(lambda before=before: widget.live.layer.data is not before))  # type: ignore[misc]
        return first, statistics.median(moves), widget.form.state.text()
    finally:
        viewer.close()


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["fast", "small", "quality"])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    good = pssr.tubules(frames=FRAMES, size_px=128, seed=1).frames
    low = np.tile((1000 * good[:, ::2, ::2]).astype(np.uint16), (1, SIDE_PX // 64, SIDE_PX // 64))
    print(
        f"frames of {SIDE_PX} x {SIDE_PX} px, four times finer\n{'network':<14}{'first s':>9}{'slider s':>10}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for size in asked.sizes:
            run = Path(folder) / size
            pssr.train(good, str(run), settings={"network.edsr.size": size, "train.max_time_s": 2})
            first, move, said = measured(low, run)
            print(f"edsr {size:<9}{first:>9.2f}{move:>10.2f}  {said}", flush=True)


if __name__ == "__main__":
    main()
