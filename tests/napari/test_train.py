"""The widget `Train`, driven as a person does."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

import pssr

MINUTES = 0.05


@pytest.fixture
def train(viewer):
    """The widget, docked."""
    return docked(viewer)


def docked(viewer):
    from napari_pssr.train import Train

    widget = Train(viewer)
    viewer.window.add_dock_widget(widget, name="Train", area="right")
    return widget


def add(viewer, movie: np.ndarray, **words):
    about = {
        "name": "mito",
        "scale": (2.0, 0.05, 0.05),
        "units": ("s", "um", "um"),
        "axis_labels": ("t", "y", "x"),
    }
    return viewer.add_image(movie, **{**about, **words})


def set_up(train, folder: Path, minutes: float = MINUTES) -> None:
    """The fastest training there is."""
    train.form.scale.setCurrentText("4x")
    train.form.frames.setCurrentText("1")
    train.form.minutes.setValue(minutes)
    train.form.folder.line.setText(str(folder))
    train.form.folder.line.editingFinished.emit()


def begun(train, wait) -> None:
    train.form.go.click()
    wait(lambda: "step" in train.form.state.text() and "loss" in train.form.state.text())


def idle(train) -> bool:
    return train.form.go.text() in ("Train", "Resume") and train.form.go.isEnabled()


@pytest.fixture
def restores(viewer):
    """A docked widget that can be given a model."""
    from qtpy.QtWidgets import QWidget

    class Restores(QWidget):
        def __init__(self) -> None:
            super().__init__()
            self.given: list[Path] = []

        def choose_model(self, path: Path) -> None:
            self.given.append(path)

    widget = Restores()
    viewer.window.add_dock_widget(widget, name="Restores", area="left")
    return widget


# The crappifier.


def test_the_crappified_frame_lies_exactly_over_the_good_one_and_follows_the_slider(
    viewer, train, good_movie, wait
):
    layer = add(viewer, good_movie[:6, :, :90], translate=(0.0, 5.0, -2.0), rotate=30)
    viewer.dims.set_current_step(0, 2)
    train.form.preview.click()
    wait(lambda: train.preview.layer is not None)
    shown = train.preview.layer
    assert shown.name == "mito crappified"
    assert viewer.layers.index(shown) == viewer.layers.index(layer) + 1
    assert (shown.data.shape, shown.data.dtype) == ((24, 22), layer.data.dtype)
    # 88 of 90 columns are whole low-resolution pixels.
    for low, high in (((-0.5, -0.5), (-0.5, -0.5)), ((23.5, 21.5), (95.5, 87.5)), ((0.0, 0.0), (1.5, 1.5))):
        np.testing.assert_allclose(
            shown.data_to_world(low), np.asarray(layer.data_to_world((0, *high)))[1:], atol=1e-9
        )
    # In the counts of the layer, about as bright.
    assert np.median(shown.data) == pytest.approx(np.median(layer.data[2]), rel=0.2)
    before = shown.data
    viewer.dims.set_current_step(0, 5)
    wait(lambda: not np.array_equal(shown.data, before))
    there = shown.data
    viewer.dims.set_current_step(0, 2)
    wait(lambda: np.array_equal(shown.data, before))
    assert not np.array_equal(there, before)
    train.form.scale.setCurrentText("2x")
    wait(lambda: shown.data.shape == (48, 45))
    train.form.preview.click()
    assert list(viewer.layers) == [layer]


def test_another_crappifier_is_seen_at_once(viewer, train, good_movie, wait, tmp_path):
    add(viewer, good_movie[:6])
    train.form.preview.click()
    wait(lambda: train.preview.layer is not None)
    shown = train.preview.layer
    plain = tmp_path / "plain.yaml"
    plain.write_text("- bin\n")
    train.use_crappifier(plain)
    exact = good_movie[viewer.dims.current_step[0]].reshape(24, 4, 24, 4).mean((1, 3))
    wait(lambda: np.abs(shown.data - exact).max() < 1)
    # Calibrated again: the same file, other steps.
    plain.write_text("- subsample\n")
    train.use_crappifier(plain)
    wait(lambda: np.abs(shown.data - exact).max() > 1)


def test_a_crappifier_that_cannot_be_read_is_told(viewer, train, good_movie, wait, tmp_path, said):
    add(viewer, good_movie[:6])
    train.use_crappifier(tmp_path / "absent.yaml")
    wait(lambda: "cannot be read" in train.form.warnings.text())
    train.form.preview.click()
    wait(lambda: said)
    assert "absent.yaml: cannot be read" in said[0][1]
    assert not train.form.preview.isChecked()


def test_too_much_noise_is_warned_of_beside_a_real_layer(viewer, train, good_movie, wait, tmp_path):
    quiet, loud = tmp_path / "quiet.yaml", tmp_path / "loud.yaml"
    quiet.write_text("- bin\n- poisson: {peak: 100}\n")
    loud.write_text("- bin\n- gaussian: {sigma: 0.5}\n")
    layer = add(viewer, good_movie[:10])
    config = pssr.preset("movie").changed({"crappifier": str(quiet)})
    make_bad = pssr.crappifier(config.crappifier, 4)
    import torch

    unit = torch.from_numpy((good_movie[:10].astype(np.float32) - 200) / 3000)[None]
    real = make_bad(unit, torch.Generator().manual_seed(1))[0].numpy()
    low = add(viewer, 100 + 500 * real, name="real")
    train.form.layer.layer = layer
    train.form.real.layer = low
    train.use_crappifier(loud)
    wait(lambda: train.form.warnings.text())
    assert "noise" in train.form.warnings.text()
    assert train.form.warnings.isVisible()
    train.use_crappifier(quiet)
    wait(lambda: not train.form.warnings.text() and not train._checking.busy)


def test_a_preview_needs_a_layer(viewer, train, good_movie, tmp_path):
    train.form.preview.click()
    assert "open a file as a layer" in train.form.state.text()
    assert not viewer.layers


def test_every_control_says_what_it_is_for(train):
    from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QLineEdit, QProgressBar, QPushButton

    kinds = (QAbstractSpinBox, QCheckBox, QComboBox, QLineEdit, QProgressBar, QPushButton)
    controls = [control for kind in kinds for control in train.findChildren(kind)]
    assert len(controls) > 15
    for control in controls:
        assert control.toolTip(), control.objectName()


# The training.


def test_a_training_shows_curves_and_layers_and_its_model_is_chosen(
    viewer, train, restores, good_movie, wait, tmp_path, said, picture
):
    # Of the very name that one of the layers shall have.
    layer = add(viewer, good_movie[:12], name="mito model high")
    set_up(train, tmp_path / "mito model")
    begun(train, wait)
    assert train.form.go.text() == "Stop"
    assert not train.form.scale.isEnabled()
    wait(lambda: "on cpu in" in train.form.about.text() or "on cuda" in train.form.about.text())
    wait(lambda: idle(train))
    wait(lambda: len(train.sample.layers) == 3 and not train.sample._latest.busy)
    assert restores.given == [tmp_path / "mito model"]
    assert "mito model: is trained; it is selected in Restore" in said[-1][1]
    low, restored, high = train.sample.layers
    assert layer in viewer.layers
    assert [shown.name for shown in train.sample.layers] == [
        "mito model low",
        "mito model restored",
        "mito model high [1]",
    ]
    assert (low.data.shape, restored.data.shape) == ((24, 24), (96, 96))
    # A frame that nothing is learned from, as it is.
    np.testing.assert_array_equal(high.data, good_movie[11])
    assert np.abs(restored.data - high.data).mean() < 400
    # Side by side, each as large as the other.
    sizes = [np.ptp(shown.extent.world[:, -1]) for shown in (low, restored, high)]
    np.testing.assert_allclose(sizes, (4.6, 4.75, 4.75), atol=1e-6)
    edges = [
        layer.data_to_world((0, 0, 95.5))[2],
        *(shown.data_to_world((-0.5, -0.5))[1] for shown in (low, restored, high)),
    ]
    assert np.all(np.diff(edges) > 0)
    assert train.form.curves.isVisible()
    assert train.form.curves.scores
    assert train.form.curves.losses[-1][0] == pssr.load(tmp_path / "mito model").model.steps


def test_stop_saves_and_resume_goes_on(viewer, train, good_movie, wait, tmp_path, said):
    add(viewer, good_movie[:12])
    folder = tmp_path / "run"
    set_up(train, folder, minutes=5)
    begun(train, wait)
    train.form.go.click()
    wait(lambda: idle(train))
    assert train.form.go.text() == "Resume"
    assert "what was learned is saved" in train.form.state.text()
    steps = pssr.load(folder).model.steps
    assert steps >= 1
    train.form.minutes.setValue(0.01)
    train.form.minutes.setValue(MINUTES)
    begun(train, wait)
    assert train.form.curves.losses[-1][0] > steps
    wait(lambda: idle(train))
    assert pssr.load(folder).model.steps > steps
    # It has had its time.
    train.form.go.click()
    assert "give it more minutes" in said[-1][1]
    assert idle(train)


def test_a_run_begun_elsewhere_is_gone_on_with_as_it_was_started(viewer, train, good_movie, wait, tmp_path):
    folder = tmp_path / "run"
    small = {"scale": 2, "network.edsr": {"width": 12, "blocks": 2}, "data.patch_px": 48, "data.batch": 4}
    config = pssr.preset("movie").changed(small | {"train.steps": 20})
    about = {"spacing_um": {"Y": 0.05, "X": 0.05}, "interval_s": 2.0}
    stack = pssr.stack_of(good_movie, axes="TYX", name="mito", **about)
    list(pssr.fit(config, [stack.movie()], folder))
    add(viewer, good_movie)
    train.form.folder.path = folder
    assert train.form.go.text() == "Resume"
    assert train.form.scale.currentText() == "2x"
    assert not train.form.crappifier.isEnabled()
    assert train.form.curves.losses
    before = pssr.load(folder).model.steps
    train.form.minutes.setValue(0.2)
    begun(train, wait)
    train.form.go.click()
    wait(lambda: idle(train))
    assert pssr.load(folder).model.steps > before
    # Another crappifier is for another run.
    train.use_crappifier(tmp_path / "mine.yaml")
    assert train.form.folder.path is None
    assert train.form.go.text() == "Train"
    assert train.form.crappifier.isEnabled()
    assert not train.form.curves.isVisible()


def test_files_are_learned_from_and_their_channel_is_asked_for(
    viewer, train, good_movie, wait, tmp_path, said
):
    path = tmp_path / "two.ome.tif"
    both = np.stack([good_movie[:12], good_movie[:12] // 2], 1)
    about = {"axes": "TCYX", "Channel": {"Name": ["mito", "er"]}}
    tifffile.imwrite(path, both, metadata=about, photometric="minisblack")
    train.form.files.paths = (path,)
    wait(lambda: "choose a channel (mito, er)" in train.form.warnings.text())
    set_up(train, tmp_path / "run")
    train.form.go.click()
    wait(lambda: said and idle(train))
    assert "choose a channel (mito, er)" in said[0][1]
    assert not (tmp_path / "run").exists()
    assert [train.form.channel.itemText(k) for k in range(train.form.channel.count())] == [
        "mito",
        "er",
        "all",
    ]
    train.form.channel.setCurrentText("er")
    begun(train, wait)
    wait(lambda: len(train.sample.layers) == 3)
    train.form.go.click()
    wait(lambda: idle(train))
    assert "er" in pssr.load(tmp_path / "run").model.sources[0].name


# What goes wrong.


def test_what_cannot_be_trained_is_told_in_a_sentence(viewer, train, good_movie, wait, tmp_path, said):
    train.form.go.click()
    assert said[-1][1] == "training: no layer and no file is chosen; choose what is to be learned from"
    assert idle(train)
    add(viewer, good_movie[:6, :20, :20], name="tiny")
    set_up(train, tmp_path / "run")
    train.form.go.click()
    assert train.form.go.text() == "Stop"
    wait(lambda: idle(train))
    assert "movies: the smallest is 20 px wide" in said[-1][1]
    assert not (tmp_path / "run").exists()
    assert train.form.state.text() == ""


def test_a_run_gets_a_folder_of_its_own(viewer, train, good_movie, wait, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, good_movie[:12], metadata={"axes": "TYX"}, photometric="minisblack")
    (tmp_path / "a model").mkdir()
    train.form.files.paths = (path,)
    assert train.form.folder.line.placeholderText() == str(tmp_path / "a model 2")
    # A folder with other things in it is none.
    train.form.folder.path = tmp_path
    assert train.form.folder.path == tmp_path / "a model 2"
    train.form.folder.path = None
    train.form.frames.setCurrentText("1")
    train.form.minutes.setValue(5)
    begun(train, wait)
    assert train.form.folder.path == tmp_path / "a model 2"
    train.form.go.click()
    wait(lambda: idle(train))
    assert train.form.go.text() == "Resume"
    # A layer that comes is not learned from where there are files.
    wait(lambda: len(train.sample.layers) == 3)
    viewer.add_image(good_movie[:3])
    assert train.form.layer.layer is not None
    assert train.form.go.text() == "Resume"
    train.form.files.paths = ()
    assert train.form.folder.path is None


# The end.


@pytest.mark.parametrize("closed", ["dock", "viewer"])
def test_closing_ends_and_saves_the_training(make_viewer, good_movie, wait, tmp_path, closed):
    import threading

    from napari.utils import progress

    viewer = make_viewer()
    train = docked(viewer)
    add(viewer, good_movie[:12])
    set_up(train, tmp_path / "run", minutes=5)
    train.form.preview.click()
    begun(train, wait)
    if closed == "dock":
        viewer.window.remove_dock_widget(train)
    else:
        viewer.close()
    del train
    wait(lambda: not [thread for thread in threading.enumerate() if thread.name == "pssr"], seconds=20)
    assert pssr.load(tmp_path / "run").model.steps >= 1
    assert not progress._all_instances
    if closed == "dock":
        assert "mito crappified" not in viewer.layers


def test_two_viewers_know_nothing_of_each_other(make_viewer, good_movie, wait, tmp_path):
    one, other = make_viewer(), make_viewer()
    here, there = docked(one), docked(other)
    add(one, good_movie[:12])
    set_up(here, tmp_path / "run", minutes=5)
    begun(here, wait)
    assert idle(there)
    assert there.form.layer.layer is None
    assert not other.layers
    here.form.go.click()
    wait(lambda: idle(here))


@pytest.mark.slow
def test_the_sample_data_are_restored_better_than_by_bicubic_within_seconds(
    viewer, train, wait, tmp_path, picture
):
    from napari.layers import Layer

    from napari_pssr.samples import high

    viewer.add_layer(Layer.create(*high()[0]))
    train.form.preview.click()
    wait(lambda: train.preview.layer is not None)
    train.form.minutes.setValue(0.5)
    train.form.folder.path = tmp_path / "tubules"
    begun(train, wait)
    wait(lambda: len(train.form.curves.scores) > 2 and len(train.sample.layers) == 3, seconds=200)
    picture(viewer, "train")
    train.form.go.click()
    wait(lambda: idle(train))
    _, restored, bicubic = train.form.curves.scores[-1]
    assert restored > bicubic + 1
