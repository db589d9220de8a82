"""The widget `Restore`, driven as a person does."""

import time
from pathlib import Path

import numpy as np
import pytest

import pssr


@pytest.fixture
def restore(viewer, run_folder, wait):
    """The widget, docked, with a model."""
    from napari_pssr.restore import Restore

    widget = Restore(viewer)
    viewer.window.add_dock_widget(widget, name="Restore", area="right")
    widget.choose_model(run_folder)
    wait(lambda: widget.predictor is not None)
    return widget


@pytest.fixture
def low(good_movie) -> np.ndarray:
    return good_movie[:8, ::2, ::2]


def add(viewer, low: np.ndarray, **words):
    about = {
        "name": "mito",
        "scale": (2.0, 0.1, 0.1),
        "units": ("s", "um", "um"),
        "axis_labels": ("t", "y", "x"),
    }
    return viewer.add_image(low, **{**about, **words})


def expected(run_folder: Path, layer) -> np.ndarray:
    stack = pssr.stack_of(np.asarray(layer.data), axes="TYX")
    model = pssr.load(run_folder)
    return model.predict(stack.movie(), intensity=model.scale(stack))


def finished(restore) -> bool:
    return restore.form.go.text() == "Restore stack"


def test_the_preview_is_what_the_stack_will_be_and_follows_the_slider(viewer, restore, run_folder, low, wait):
    layer = add(viewer, low)
    whole = expected(run_folder, layer)
    viewer.dims.set_current_step(0, 3)
    restore.form.preview.click()
    wait(lambda: restore.live.layer is not None)
    shown = restore.live.layer
    wait(lambda: shown.data.shape == (96, 96))
    np.testing.assert_array_equal(shown.data, whole[3])
    # It covers the same field.
    np.testing.assert_allclose(
        shown.data_to_world((-0.5, -0.5)), np.asarray(layer.data_to_world((0, -0.5, -0.5)))[1:], atol=1e-9
    )
    viewer.dims.set_current_step(0, 6)
    wait(lambda: np.array_equal(shown.data, whole[6]))
    assert "frame 6 restored in" in restore.form.state.text()
    restore.form.preview.click()
    assert list(viewer.layers) == [layer]


def test_the_preview_restores_only_what_is_on_screen(viewer, restore, run_folder, good_movie, wait):
    layer = add(viewer, good_movie[:5])
    whole = expected(run_folder, layer)[0]
    viewer.dims.set_current_step(0, 0)
    viewer.scene.camera.zoom *= 4
    restore.form.preview.click()
    wait(lambda: restore.live.layer is not None)
    from napari_pssr.layers import field_of

    rows, columns = field_of(layer)
    assert rows.stop - rows.start < 60
    shown = restore.live.layer
    wait(lambda: shown.data.shape == (2 * (rows.stop - rows.start), 2 * (columns.stop - columns.start)))
    fine = whole[2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]
    np.testing.assert_array_equal(shown.data, fine)
    first = np.asarray(layer.data_to_world((0, rows.start - 0.5, columns.start - 0.5)))[1:]
    np.testing.assert_allclose(shown.data_to_world((-0.5, -0.5)), first, atol=1e-9)


def test_the_preview_grows_until_it_covers_the_view(viewer, restore, run_folder, good_movie, wait):
    from napari_pssr.layers import field_of

    layer = add(viewer, np.tile(good_movie[:3], (1, 3, 3)))
    whole = expected(run_folder, layer)[1]
    viewer.dims.set_current_step(0, 1)
    restore.form.preview.click()
    wait(lambda: restore.live.layer is not None)
    shown = restore.live.layer
    rows, columns = (slice(2 * part.start, 2 * part.stop) for part in field_of(layer))
    fine = whole[rows, columns]
    # From its middle, which is there at once.
    assert shown.data.size < fine.size
    wait(lambda: shown.data.shape == fine.shape)
    np.testing.assert_array_equal(shown.data, fine)
    wait(lambda: restore.form.state.text().endswith(" s"))


def test_the_shortcut_turns_the_preview_on_and_off(viewer, restore, low, wait):
    add(viewer, low)
    viewer.window._qt_viewer.canvas.native.setFocus()
    viewer.keymap  # noqa: B018
    from app_model.types import KeyBinding

    viewer.keymap[KeyBinding.from_str("Alt+P")](viewer)
    wait(lambda: restore.live.layer is not None)
    viewer.keymap[KeyBinding.from_str("Alt+P")](viewer)
    wait(lambda: restore.live.layer is None)


def test_a_stack_is_restored_in_the_background_and_lies_exactly_over_the_input(
    viewer, restore, run_folder, low, wait
):
    layer = add(viewer, low, translate=(0.0, 5.0, -2.0))
    restore.form.go.click()
    assert restore.form.go.text() == "Cancel"
    wait(lambda: finished(restore) and "mito restored" in viewer.layers)
    shown = viewer.layers["mito restored"]
    np.testing.assert_array_equal(shown.data, expected(run_folder, layer))
    assert viewer.layers.index(shown) == viewer.layers.index(layer) + 1
    for t, y, x in ((0, -0.5, -0.5), (7, 47.5, 47.5)):
        np.testing.assert_allclose(
            shown.data_to_world((t, 2 * y + 0.5, 2 * x + 0.5)), layer.data_to_world((t, y, x)), atol=1e-9
        )
    assert (shown.units, shown.axis_labels) == (layer.units, layer.axis_labels)
    layer.contrast_limits = (300, 2000)
    assert tuple(shown.contrast_limits) == (300, 2000)
    from napari_pssr.result import restored_of

    made = restored_of(shown)
    assert made.source == "mito"
    assert made.model == run_folder.resolve()
    assert made.provenance["model_sha256"] == pssr.load(run_folder).model.sha256
    viewer.reset_view()


def test_progress_is_shown_in_the_dock_of_activities(viewer, restore, low, wait):
    from napari.utils import progress

    add(viewer, np.concatenate([low] * 6))
    restore.form.go.click()
    wait(lambda: progress._all_instances)
    (bar,) = progress._all_instances
    assert bar.total == 48
    assert "mito" in bar.desc
    wait(lambda: "left" in restore.form.state.text())
    wait(lambda: finished(restore))
    assert not progress._all_instances


def test_a_cancelled_restoration_keeps_what_is_done_and_goes_on(
    viewer, restore, run_folder, good_movie, said, wait
):
    layer = add(viewer, np.concatenate([good_movie] * 3))
    restore.form.go.click()
    wait(lambda: restore._shown)
    restore.form.go.click()
    wait(lambda: finished(restore), seconds=10)
    assert "cancelled" in restore.form.state.text()
    shown = viewer.layers["mito restored"]
    done = [t for t in range(90) if shown.data[t].any()]
    assert 0 < len(done) < 90
    restore.form.go.click()
    wait(lambda: finished(restore))
    assert any(f"{len(done)} of 90 planes were restored before" in sentence for _, sentence in said)
    np.testing.assert_array_equal(viewer.layers["mito restored"].data, expected(run_folder, layer))


@pytest.mark.parametrize(("blending", "stays"), [("additive", False), ("translucent_no_depth", True)])
def test_what_is_seen_is_not_the_sum_of_input_and_answer(viewer, restore, low, wait, blending, stays):
    layer = add(viewer, low, blending=blending)
    restore.form.go.click()
    wait(lambda: finished(restore) and "mito restored" in viewer.layers)
    assert viewer.layers["mito restored"].visible
    assert layer.visible == stays


def test_a_stack_larger_than_memory_goes_straight_to_disk(viewer, restore, run_folder, low, tmp_path, wait):
    source = tmp_path / "mito.ome.zarr"
    with pssr.StackWriter(
        source, sizes={"T": 8, "C": 1, "Z": 1, "Y": 48, "X": 48}, dtype=np.uint16, channels=["a"]
    ) as w:
        for t, plane in enumerate(low):
            w.write(np.ascontiguousarray(plane), T=t)
    from napari.layers import Image

    from napari_pssr.layers import layers_of

    ((data, words, _),) = layers_of(pssr.open_stack(source))
    layer = viewer.add_layer(Image(data, **words))
    restore.form.memory_gb.setValue(0.001)
    restore.form.memory_gb.setMinimum(0)
    restore.form.memory_gb.setDecimals(6)
    restore.form.memory_gb.setValue(1e-5)
    restore.form.go.click()
    wait(lambda: "mito restored" in viewer.layers)
    wait(lambda: finished(restore))
    target = tmp_path / "mito restored.ome.zarr"
    assert restore.form.target.path == target
    planes = np.stack(list(pssr.open_stack(target).movie()))
    np.testing.assert_array_equal(planes, expected(run_folder, layer))
    np.testing.assert_array_equal(np.asarray(viewer.layers["mito restored"].data), planes)


def test_a_restoration_to_a_file_that_is_cancelled_goes_on_from_disk(
    viewer, restore, run_folder, good_movie, said, tmp_path, wait
):
    layer = add(viewer, np.concatenate([good_movie] * 2))
    target = tmp_path / "out.ome.zarr"
    restore.form.target.path = target
    restore.form.go.click()
    wait(lambda: restore._shown)
    shown = viewer.layers["mito restored"]
    viewer.dims.set_current_step(0, 0)
    wait(lambda: np.asarray(shown.data[0]).any())
    restore.form.go.click()
    wait(lambda: finished(restore))
    assert not target.exists()
    restore.form.go.click()
    wait(lambda: finished(restore))
    assert any("planes were restored before" in sentence for _, sentence in said)
    np.testing.assert_array_equal(
        np.asarray(viewer.layers["mito restored"].data), expected(run_folder, layer)
    )
    restore.form.go.click()
    wait(lambda: finished(restore) and said)
    assert any("exists already; choose another name" in sentence for _, sentence in said)
    assert not any("overwrite" in sentence for _, sentence in said)


def test_a_file_that_is_complete_before_its_first_plane_was_heard_of_is_shown(
    viewer, restore, run_folder, low, tmp_path, wait, ours
):
    layer = add(viewer, low)
    restore.form.target.path = tmp_path / "out.ome.zarr"
    restore.form.go.click()
    # The window hears nothing while it is not let live.
    end = time.monotonic() + 60
    while ours() and time.monotonic() < end:
        time.sleep(0.01)
    assert (tmp_path / "out.ome.zarr").exists()
    wait(lambda: finished(restore))
    np.testing.assert_array_equal(
        np.asarray(viewer.layers["mito restored"].data), expected(run_folder, layer)
    )


def test_the_uncertainty_is_kept_beside_the_answer(viewer, restore, low, tmp_path, wait):
    from napari_pssr.result import restored_of

    add(viewer, low)
    restore.form.uncertainty.click()
    restore.form.go.click()
    wait(lambda: finished(restore) and "mito restored" in viewer.layers)
    spreads = restored_of(viewer.layers["mito restored"]).uncertainty
    assert set(spreads) == {"over turns", "over noise"}
    assert all(spread.shape == (8, 96, 96) and spread.any() for spread in spreads.values())
    restore.form.target.path = tmp_path / "out.ome.zarr"
    restore.form.go.click()
    wait(lambda: finished(restore))
    lazy = restored_of(viewer.layers["mito restored"]).uncertainty
    for name, spread in spreads.items():
        np.testing.assert_array_equal(np.asarray(lazy[name]), spread)


def test_all_channels_of_a_file_become_a_layer_each(viewer, restore, low, tmp_path, wait):
    import tifffile
    from napari.layers import Image

    from napari_pssr.layers import layers_of

    both = np.stack([low, low[::-1]], 1)
    about = {"axes": "TCYX", "Channel": {"Name": ["mito", "er"]}}
    tifffile.imwrite(tmp_path / "two.ome.tif", both, metadata=about, photometric="minisblack")
    layers = layers_of(pssr.open_stack(tmp_path / "two.ome.tif"))
    for (data, words, _), colour in zip(layers, ("magenta", "cyan"), strict=True):
        viewer.add_layer(Image(data, **{**words, "colormap": colour}))
    restore.form.channels.setCurrentIndex(1)
    restore.form.go.click()
    wait(lambda: finished(restore) and "two er restored" in viewer.layers)
    assert viewer.layers["two er restored"].data.shape == (8, 96, 96)
    # Each like the layer of its own channel, and over it.
    for channel, colour in {"mito": "magenta", "er": "cyan"}.items():
        before, after = viewer.layers[f"two {channel}"], viewer.layers[f"two {channel} restored"]
        assert after.colormap.name == colour
        assert viewer.layers.index(after) == viewer.layers.index(before) + 1
        before.contrast_limits = (300.0, 900.0 if channel == "er" else 800.0)
        assert after.contrast_limits == before.contrast_limits
    seen = [layer.name for layer in viewer.layers if layer.visible]
    assert sorted(seen) == ["two er restored", "two mito restored"]


@pytest.mark.parametrize("shape", [(48, 48), (1, 48, 48), (3, 2, 48, 48)])
def test_single_planes_and_stacks_in_depth_are_restored_too(viewer, restore, low, shape, wait):
    data = np.resize(low, shape)
    viewer.add_image(data, name="mito")
    restore.form.go.click()
    wait(lambda: finished(restore) and "mito restored" in viewer.layers)
    assert viewer.layers["mito restored"].data.shape == (*shape[:-2], 96, 96)


def test_what_cannot_be_restored_is_told_in_one_sentence(viewer, restore, said, wait):
    layer = viewer.add_image(np.zeros((2, 2, 2, 8, 8)), name="five")
    restore.form.layer.layer = layer
    restore.form.go.click()
    assert any("five: has 5 axes" in sentence for _, sentence in said)
    restore.form.preview.click()
    assert not restore.form.preview.isChecked()
    viewer.layers.clear()
    broken = np.ones((3, 16, 16), np.float32)
    broken[1, 3, 4] = np.nan
    viewer.add_image(broken, name="nan", contrast_limits=(0, 1))
    restore.form.go.click()
    wait(lambda: finished(restore))
    assert [layer.name for layer in viewer.layers] == ["nan"] or viewer.layers["nan restored"].data[0].any()
    assert any("not numbers" in sentence and "\n" not in sentence for _, sentence in said)


def test_a_model_that_cannot_be_read_is_told(viewer, application, said, tmp_path, wait):
    from napari_pssr.restore import Restore

    widget = Restore(viewer)
    viewer.window.add_dock_widget(widget)
    widget.choose_model(tmp_path)
    wait(lambda: said)
    assert widget.predictor is None
    assert widget.form.about.text() == "no model"


def test_warnings_of_the_guard_are_shown_before_the_work(viewer, restore, low, wait):
    add(viewer, low * np.uint16(12))
    wait(lambda: "intensity: the stack spans" in restore.form.warnings.text())


def test_every_control_says_what_it_is_for(restore):
    from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QLineEdit, QPushButton

    for kind in (QAbstractSpinBox, QCheckBox, QComboBox, QLineEdit, QPushButton):
        for control in restore.findChildren(kind):
            parent = control.parent()
            assert control.toolTip() or (parent is not None and parent.toolTip()), control


def test_closing_the_dock_ends_the_work_and_the_preview(viewer, restore, good_movie, wait, ours):
    add(viewer, np.concatenate([good_movie] * 10))
    restore.form.go.click()
    wait(lambda: restore._shown)
    viewer.window.remove_dock_widget(restore)
    wait(lambda: not ours(), seconds=10)
    assert "mito restored" in viewer.layers


def test_closing_the_viewer_ends_the_work(make_viewer, run_folder, good_movie, wait):
    from napari_pssr.restore import Restore

    viewer = make_viewer()
    widget = Restore(viewer)
    viewer.window.add_dock_widget(widget)
    widget.choose_model(run_folder)
    wait(lambda: widget.predictor is not None)
    add(viewer, np.concatenate([good_movie] * 10))
    widget.form.go.click()
    wait(lambda: widget._shown)
    del widget
    viewer.close()


def test_two_viewers_do_not_know_of_each_other(make_viewer, run_folder, low, wait):
    from napari_pssr.restore import Restore

    widgets = []
    for _ in range(2):
        viewer = make_viewer()
        widget = Restore(viewer)
        viewer.window.add_dock_widget(widget)
        widget.choose_model(run_folder)
        widgets.append(widget)
    wait(lambda: all(widget.predictor is not None for widget in widgets))
    first, second = widgets
    add(first.viewer, low, name="only here")
    assert second.form.layer.layer is None
    first.form.go.click()
    wait(lambda: finished(first) and "only here restored" in first.viewer.layers)
    assert len(second.viewer.layers) == 0
