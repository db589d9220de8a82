"""Files opened by napari itself, as a person drops them into its window."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

import pssr


@pytest.fixture
def plugins(application):
    """The plugin as an installed one: found through its entry point."""
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    return manager


def write(path: Path, pixels: np.ndarray, axes: str, **about) -> Path:
    tifffile.imwrite(path, pixels, metadata={"axes": axes, **about}, photometric="minisblack")
    return path


def opened(viewer, path) -> list:
    return viewer.open(path, plugin="pssr-toolkit")


def answer(application, text: str | None) -> list[str]:
    """Answers the next question as a person does; what was asked."""
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QComboBox, QDialog

    asked: list[str] = []

    def look() -> None:
        dialog = application.activeModalWidget()
        if not isinstance(dialog, QDialog):
            QTimer.singleShot(20, look)
            return
        asked.append(dialog.windowTitle())
        if text is None:
            dialog.reject()
            return
        dialog.findChild(QComboBox).setCurrentText(text)
        dialog.accept()

    QTimer.singleShot(20, look)
    return asked


def test_a_real_movie_is_opened_with_its_channels_units_and_colours(viewer, plugins, data_folder):
    path = data_folder / "czi_readers" / "Airyscan_T3_C2_live_mito_microtubule.czi"
    layers = opened(viewer, path)
    stack = pssr.open_stack(path)
    assert len(layers) == stack.sizes["C"] == 2
    for c, layer in enumerate(layers):
        assert stack.channels[c] in layer.name
        assert layer.axis_labels == ("t", "y", "x")
        np.testing.assert_allclose(layer.scale[-1], stack.pixel_size_um)
        np.testing.assert_array_equal(np.asarray(layer.data[1]), stack.plane(T=1, C=c))


def test_a_restored_ome_zarr_is_opened_from_its_folder(viewer, plugins, tmp_path):
    path = tmp_path / "a.ome.zarr"
    planes = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
    with pssr.StackWriter(
        path, sizes={"T": 3, "C": 1, "Z": 1, "Y": 8, "X": 9}, dtype=np.uint16, channels=["mito"],
        colours=["#FF00FF"], spacing_um={"X": 0.1, "Y": 0.1}, interval_s=2.0,
    ) as writer:  # fmt: skip
        for t, plane in enumerate(planes):
            writer.write(plane, T=t)
    (layer,) = opened(viewer, path)
    assert layer.name == "a"
    np.testing.assert_allclose(layer.scale, (2.0, 0.1, 0.1))
    np.testing.assert_allclose(layer.colormap.colors[-1][:3], (1, 0, 1), atol=0.01)
    np.testing.assert_array_equal(np.asarray(layer.data), planes)


def test_a_folder_of_frames_and_marked_files_are_movies(viewer, plugins, tmp_path):
    for k in range(11):
        write(tmp_path / f"f{k}.tif", np.full((4, 5), k, np.uint8), "YX")
    (layer,) = opened(viewer, tmp_path)
    assert np.asarray(layer.data)[:, 0, 0].tolist() == list(range(11))
    marked = [str(tmp_path / f"f{k}.tif") for k in (10, 2)]
    (movie,) = viewer.open(marked, stack=True, plugin="pssr-toolkit")
    assert np.asarray(movie.data)[:, 0, 0].tolist() == [2, 10]


@pytest.mark.parametrize(
    ("chosen", "names"),
    [("Scene 1", ["two [Scene 1]"]), ("all of them", ["two [Scene 0]", "two [Scene 1]"]), (None, [])],
)
def test_which_scene_is_asked(viewer, plugins, application, tmp_path, chosen, names):
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for k in range(2):
            writer.write(np.full((4, 5), k, np.uint8), metadata={"axes": "YX", "Name": f"Scene {k}"})
    asked = answer(application, chosen)
    layers = opened(viewer, path)
    assert asked == ["Open two.ome.tif"]
    assert [layer.name for layer in layers or []] == names


def test_a_scene_of_a_real_file_is_chosen(viewer, plugins, application, data_folder):
    path = data_folder / "czi_readers" / "two_scenes_2z_confocal.czi"
    with pytest.raises(pssr.ChoiceNeeded) as needed:
        pssr.open_stack(path)
    answer(application, needed.value.choices[1])
    layers = opened(viewer, path)
    assert layers
    assert all(layer.axis_labels == ("z", "y", "x") for layer in layers)


def test_what_the_pages_of_a_tiff_are_is_asked(viewer, plugins, application, tmp_path):
    path = tmp_path / "pages.tif"
    tifffile.imwrite(path, np.zeros((3, 2, 4, 5), np.uint8), photometric="minisblack")
    with pytest.raises(pssr.ChoiceNeeded) as needed:
        pssr.open_stack(path)
    assert "TZYX" in needed.value.choices
    asked = answer(application, "TZYX")
    (layer,) = opened(viewer, path)
    assert asked == ["Open pages.tif"]
    assert layer.axis_labels == ("t", "z", "y", "x")


def test_a_damaged_file_is_told_in_one_sentence(viewer, plugins, said, tmp_path):
    path = write(tmp_path / "cut.tif", np.zeros((4, 64, 64), np.uint8), "TYX")
    path.write_bytes(path.read_bytes()[:3000])
    opened(viewer, path)
    assert len(viewer.layers) == 0
    assert any("cut.tif" in sentence and "\n" not in sentence for _, sentence in said)


@pytest.mark.parametrize(("key", "shape"), [("high", (24, 384, 384)), ("low", (24, 96, 96))])
def test_sample_data_are_opened_from_the_menu(viewer, plugins, key, shape):
    viewer.open_sample("pssr-toolkit", key)
    (layer,) = viewer.layers
    assert layer.data.shape == shape
    assert str(layer.units[-1]) == "micrometer"
    # Both cover the same field, although their pixels differ.
    np.testing.assert_allclose(np.asarray(layer.data_to_world((0, -0.5, -0.5)))[1:], -0.025, atol=1e-9)


def test_a_file_that_crashes_its_reader_leaves_the_viewer_alive(viewer, plugins, said, data_folder):
    opened(viewer, data_folder / "czi_synthetic_fixtures" / "bad_segfaults_aicspylibczi.czi")
    assert any("damaged or incomplete" in sentence for _, sentence in said)
    viewer.add_image(np.zeros((4, 4)))
    assert len(viewer.layers) == 1
