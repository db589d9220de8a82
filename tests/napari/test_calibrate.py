"""The widget `Calibrate`, used as a person does."""

import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

import pssr

GAIN, OFFSET, READ, PHOTONS = 7.0, 100.0, 4.0, 60.0


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """What a microscope of known gain sees of tubules, coarsely: (12, 96, 96)."""
    rng = np.random.default_rng(3)
    sharp = pssr.tubules(frames=12, size_px=384, seed=2).frames
    light = sharp.reshape(12, 96, 4, 96, 4).mean((2, 4))
    seen = GAIN * rng.poisson(PHOTONS * (light + 0.1)) + OFFSET + rng.normal(0, READ, light.shape)
    return np.rint(seen).clip(0, 65535).astype(np.uint16)


@pytest.fixture
def calibrate(viewer, counts, tmp_path: Path):
    """The widget in its dock, with a layer of a file."""
    from napari.layers import Image

    from napari_pssr.calibrate import Calibrate
    from napari_pssr.layers import layers_of

    path = tmp_path / "low.ome.tif"
    tifffile.imwrite(path, counts, metadata={"axes": "TYX"}, photometric="minisblack")
    for data, words, _ in layers_of(pssr.open_stack(path)):
        viewer.add_layer(Image(data, **words))
    widget = Calibrate(viewer)
    viewer.window.add_dock_widget(widget, name="Calibrate")
    return widget


def done(widget) -> bool:
    return widget.go.isEnabled()


def test_a_layer_becomes_a_crappifier_with_its_gain(calibrate, viewer, wait, picture, tmp_path):
    assert calibrate.out.path == tmp_path / "low_crappifier.yaml"
    assert not calibrate.use.isEnabled()
    calibrate.go.click()
    assert not done(calibrate)
    wait(lambda: done(calibrate))
    assert pssr.preset("movie").changed({"crappifier": str(calibrate.out.path)}).crappifier
    gain = float(calibrate.lines.text().split("gain ")[1].split()[0])
    assert gain == pytest.approx(GAIN, rel=0.1)
    assert calibrate.picture.isVisible()
    assert calibrate.picture.pixmap.width() > 0
    picture(viewer, "calibrate")


def test_its_figure_opens_in_its_own_size(calibrate, viewer, wait, application):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    calibrate.go.click()
    wait(lambda: done(calibrate))
    QTest.mouseClick(calibrate.picture, Qt.MouseButton.LeftButton)
    area = calibrate.picture.window_of_its_own
    assert area.isWindow()
    area.close()
    wait(lambda: calibrate.picture.window_of_its_own is None, seconds=5)


def test_a_crappifier_that_is_there_is_kept_unless_asked(calibrate, wait, said):
    out = calibrate.out.path
    out.write_text("mine")
    calibrate.go.click()
    assert done(calibrate)
    assert said[-1][1] == f"{out}: exists already; choose another name, or tick overwrite"
    assert out.read_text() == "mine"
    calibrate.overwrite.click()
    calibrate.go.click()
    wait(lambda: done(calibrate))
    assert "poisson" in out.read_text()


@pytest.mark.parametrize("name", ["", "mine.txt"])
def test_a_name_that_cannot_be_is_refused(calibrate, wait, said, tmp_path, name):
    calibrate.out.line.setText(str(tmp_path / name) if name else "")
    calibrate.go.click()
    wait(lambda: done(calibrate) and said)
    assert ("choose where to save it" if not name else "does not end in .yaml") in said[-1][1]


def test_a_layer_without_anything_to_measure_is_an_error_in_one_sentence(calibrate, viewer, wait, said):
    calibrate.low.layer = viewer.add_image(np.full((5, 32, 32), 7, np.uint16), name="flat")
    assert calibrate.out.path == Path.home() / "flat_crappifier.yaml"
    calibrate.go.click()
    wait(lambda: done(calibrate))
    assert said[-1][0] == "error"
    assert "\n" not in said[-1][1]
    assert "calibration" in said[-1][1]
    assert (calibrate.lines.text(), calibrate.picture.isVisible()) == ("", False)
    assert not calibrate.use.isEnabled()


def test_a_name_that_a_person_gave_stays(calibrate, viewer, tmp_path):
    calibrate.out.line.setText(str(tmp_path / "mine.yaml"))
    calibrate.low.layer = viewer.add_image(np.zeros((5, 32, 32), np.uint16), name="other")
    assert calibrate.out.path == tmp_path / "mine.yaml"


def test_a_sharp_layer_and_a_dark_one_tell_more(calibrate, viewer, counts, wait):
    sharp = pssr.tubules(frames=12, size_px=384, seed=2).frames
    rng = np.random.default_rng(5)
    dark = np.rint(OFFSET + rng.normal(0, READ, (12, 96, 96))).astype(np.uint16)
    calibrate.high.layer = viewer.add_image(np.rint(3000 * sharp).astype(np.uint16), name="sharp")
    calibrate.dark.layer = viewer.add_image(dark, name="dark")
    assert calibrate.align.isEnabled()
    calibrate.go.click()
    wait(lambda: done(calibrate))
    assert "scale 4" in calibrate.lines.text()
    assert "without light is surer" not in calibrate.lines.text()


def test_a_stack_without_time_is_measured_depth_by_depth(calibrate, viewer, counts):
    from napari_pssr.calibrate import DEPTHS, movies_of

    deep = viewer.add_image(np.tile(counts, (5, 1, 1)), axis_labels=("z", "y", "x"))
    viewer.dims.set_current_step(0, 20)
    assert calibrate._depths(deep) == list(range(20 - DEPTHS, 20 + DEPTHS))
    assert [len(movie) for movie in movies_of(deep, [3, 99])] == [1, 1]
    long = viewer.add_image(np.stack([counts] * 2), axis_labels=("t", "z", "y", "x"))
    viewer.dims.set_current_step(1, 7)
    assert calibrate._depths(long) == [7]


def test_the_crappifier_is_handed_to_train(calibrate, viewer, wait, said):
    from qtpy.QtWidgets import QWidget

    class Train(QWidget):
        def use_crappifier(self, path):
            self.path = path

    calibrate.go.click()
    wait(lambda: done(calibrate))
    calibrate.use.click()
    assert "Train is not open" in said[-1][1]
    train = Train()
    viewer.window.add_dock_widget(train, name="Train")
    calibrate.use.click()
    assert train.path == calibrate.out.path
    train.path.unlink()
    calibrate.use.click()
    assert "is not there any more" in said[-1][1]


def test_a_widget_closed_while_it_measures_says_nothing_more(calibrate, viewer, wait, said):
    calibrate.go.click()
    viewer.window.remove_dock_widget(calibrate)
    wait(lambda: not any(thread.name == "pssr" for thread in threading.enumerate()))
    assert said == []
