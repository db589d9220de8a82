"""Layers as stacks, and stacks as layers."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

import pssr


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """Two channels over time, in seconds and micrometres."""
    path = tmp_path / "two.ome.tif"
    pixels = np.arange(3 * 2 * 8 * 10, dtype=np.uint16).reshape(3, 2, 8, 10)
    about = {"axes": "TCYX", "Channel": {"Name": ["mito", "er"]}, "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2,
             "PhysicalSizeXUnit": "um", "PhysicalSizeYUnit": "um", "TimeIncrement": 2.0, "TimeIncrementUnit": "s"}  # fmt: skip
    tifffile.imwrite(path, pixels, metadata=about, photometric="minisblack")
    return path


def shown(viewer, stack):
    from napari.layers import Image

    from napari_pssr.layers import layers_of

    return [viewer.add_layer(Image(data, **words)) for data, words, _ in layers_of(stack)]


def test_a_stack_is_shown_with_its_units_and_names(viewer, movie):
    stack = pssr.open_stack(movie)
    mito, er = shown(viewer, stack)
    assert (mito.name, er.name) == ("two mito", "two er")
    assert mito.axis_labels == ("t", "y", "x")
    assert [str(unit) for unit in mito.units] == ["second", "micrometer", "micrometer"]
    np.testing.assert_allclose(mito.scale, (2.0, 0.2, 0.1))
    np.testing.assert_array_equal(np.asarray(er.data[2]), stack.plane(T=2, C=1))
    low, high = mito.contrast_limits
    assert low < high <= stack.plane(T=1).max()


def test_a_layer_of_a_file_is_that_file_again(viewer, movie):
    from napari_pssr.layers import stack_of_layer

    stack = pssr.open_stack(movie)
    _, er = shown(viewer, stack)
    assert stack_of_layer(er) == (stack, 1)
    er.data = np.asarray(er.data) + 1
    other, channel = stack_of_layer(er)
    assert (other.format, channel) == ("array", 0)
    np.testing.assert_array_equal(other.plane(T=2), stack.plane(T=2, C=1) + 1)
    assert other.spacing_um == pytest.approx({"Y": 0.2, "X": 0.1})
    assert other.interval_s == 2.0


def test_a_person_knows_better_which_axis_the_slider_is(viewer, movie):
    from napari_pssr.layers import stack_of_layer

    mito, _ = shown(viewer, pssr.open_stack(movie))
    deep, _ = stack_of_layer(mito, "Z")
    assert (deep.sizes["T"], deep.sizes["Z"]) == (1, 3)


def test_any_array_is_a_stack(viewer):
    from napari_pssr.layers import axes_of, stack_of_layer

    plain = viewer.add_image(np.zeros((5, 8, 8), np.uint8))
    assert axes_of(plain, "T") == "TYX"
    assert axes_of(plain, "Z") == "ZYX"
    assert stack_of_layer(plain)[0].spacing_um == {}
    where = {"scale": (1, 250, 250), "translate": (0, 0, 3000), "units": ("s", "nm", "nm")}
    fine, _ = stack_of_layer(viewer.add_image(np.zeros((5, 8, 8)), **where))
    assert fine.spacing_um == pytest.approx({"Y": 0.25, "X": 0.25})
    assert fine.origin_um == pytest.approx({"X": 3.0})
    pyramid = viewer.add_image([np.zeros((5, 8, 8)), np.zeros((5, 4, 4))], multiscale=True)
    assert stack_of_layer(pyramid)[0].sizes["Y"] == 8


def test_what_is_no_stack_is_refused_in_words(viewer):
    from napari_pssr.layers import axes_of

    with pytest.raises(pssr.ChoiceNeeded, match="split it into channels"):
        axes_of(viewer.add_image(np.zeros((8, 8, 3)), rgb=True))
    with pytest.raises(pssr.ChoiceNeeded, match="has 5 axes"):
        axes_of(viewer.add_image(np.zeros((2, 2, 2, 8, 8))))


@pytest.mark.parametrize(
    "turned",
    [{}, {"rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]}, {"affine": np.diag([1.0, 2.0, 3.0, 1.0])}],
)
@pytest.mark.parametrize("scale", [2, 4])
def test_the_finer_grid_covers_the_same_field(viewer, turned, scale):
    from napari_pssr.layers import placed

    words = {"scale": (2.0, 0.5, 0.25), "translate": (1.0, 10.0, -3.0), **turned}
    coarse = viewer.add_image(np.zeros((3, 8, 10)), **words)
    fine = viewer.add_image(np.zeros((3, 8 * scale, 10 * scale)), **placed(coarse, scale))
    for corner in ((0, -0.5, -0.5), (2, 7.5, 9.5), (1, 3.5, 4.5)):
        t, y, x = corner
        same = (t, scale * (y + 0.5) - 0.5, scale * (x + 0.5) - 0.5)
        np.testing.assert_allclose(fine.data_to_world(same), coarse.data_to_world(corner), atol=1e-9)
    part = viewer.add_image(np.zeros((scale, scale)), **placed(coarse, scale, (5, 6), ndim=2))
    np.testing.assert_allclose(
        part.data_to_world((-0.5, -0.5)), np.asarray(coarse.data_to_world((0, 4.5, 5.5)))[-2:], atol=1e-9
    )


def test_what_is_on_screen_is_known(viewer, movie, wait):
    from napari_pssr.layers import field_of, step_of

    mito, _ = shown(viewer, pssr.open_stack(movie))
    viewer.dims.set_current_step(0, 2)
    assert step_of(mito, viewer.dims) == {"T": 2, "Z": 0}
    viewer.reset_view()
    wait(lambda: field_of(mito) == (slice(0, 8), slice(0, 10)), seconds=5)
    viewer.scene.camera.zoom *= 8
    wait(lambda: field_of(mito)[0].stop - field_of(mito)[0].start < 8, seconds=5)


def test_the_frame_on_screen_is_known_where_layers_count_in_other_units(viewer):
    from napari_pssr.layers import step_of

    words = {"axis_labels": ("t", "y", "x"), "units": ("s", "um", "um")}
    slow = viewer.add_image(np.zeros((5, 8, 8)), scale=(1.0, 1, 1), **words)
    fast = viewer.add_image(
        np.zeros((5, 8, 8)), scale=(1000.0, 1, 1), **(words | {"units": ("ms", "um", "um")})
    )
    viewer.dims.set_current_step(0, 3)
    assert step_of(slow, viewer.dims)["T"] == step_of(fast, viewer.dims)["T"] == 3
