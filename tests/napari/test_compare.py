"""The widget `Compare`, used as a person does."""

import time
from pathlib import Path

import numpy as np
import pytest

PIXEL_UM, FRAMES, SIDE, SCALE = 0.2, 4, 32, 4


def show(viewer, low: np.ndarray, high: np.ndarray, **words):
    """A layer and the one restored from it, exactly over it."""
    from napari_pssr.layers import placed
    from napari_pssr.result import KEY, Restored

    about = {"scale": (2.0, PIXEL_UM, PIXEL_UM), "units": ("s", "um", "um"), "axis_labels": ("t", "y", "x")}
    before = viewer.add_image(low, name="cells", contrast_limits=(0, 100), **about)
    made = Restored("cells", Path("runs/mito"), {}, SCALE, **words)
    after = viewer.add_image(
        high, name="cells restored", contrast_limits=(0, 100), metadata={KEY: made}, **placed(before, SCALE)
    )
    viewer.dims.set_current_step(0, 0)
    return before, after


def flat(value: int, side: int) -> np.ndarray:
    return np.full((FRAMES, side, side), value, np.uint16)


def fine(low: np.ndarray) -> np.ndarray:
    return low.repeat(SCALE, 1).repeat(SCALE, 2)


@pytest.fixture
def compare(viewer):
    """Opens the widget in its dock."""

    def opened():
        from napari_pssr.compare import Compare

        widget = Compare(viewer)
        viewer.window.add_dock_widget(widget, name="Compare")
        return widget

    return opened


def add_line(viewer, widget, begin, end) -> None:
    """Draw one, in micrometres."""
    from napari_pssr.profile_plot import NAME

    widget.form.draw.click()
    lines = viewer.layers[NAME]
    lines.add_lines([[lines.world_to_data(point) for point in (begin, end)]])
    lines.mode = "select"


def edge_um(distance: np.ndarray, values: np.ndarray) -> float:
    """Where values cross the middle between their ends."""
    middle = (values[0] + values[-1]) / 2
    return float(np.interp(middle, values, distance))


def test_a_restored_layer_and_its_source_are_chosen_by_themselves(viewer, compare):
    before, after = show(viewer, flat(20, SIDE), flat(80, SIDE * SCALE))
    viewer.add_image(flat(1, SIDE), name="something else")
    widget = compare()
    assert widget.pair == (before, after)


def test_a_layer_that_is_restored_later_is_chosen_then(viewer, compare, wait):
    before = viewer.add_image(flat(20, SIDE), name="cells")
    widget = compare()
    assert widget.pair is None
    after = viewer.add_image(flat(20, SIDE), name="cells restored")
    wait(lambda: widget.pair == (before, after), seconds=5)


def test_blink_shows_one_and_then_the_other_until_it_ends(viewer, compare, wait):
    before, after = show(viewer, flat(20, SIDE), flat(80, SIDE * SCALE))
    widget = compare()
    widget.form.rate_hz.setValue(10)
    widget.form.blink.click()
    for visible in [(False, True), (True, False), (False, True)]:
        wait(lambda visible=visible: (before.visible, after.visible) == visible, seconds=5)
    widget.form.blink.click()
    assert (before.visible, after.visible) == (True, True)
    end = time.monotonic() + 0.3
    wait(lambda: time.monotonic() > end)
    assert (before.visible, after.visible) == (True, True)


def test_nothing_blinks_where_there_is_one_layer(viewer, compare, said):
    viewer.add_image(flat(20, SIDE), name="cells")
    widget = compare()
    widget.form.blink.click()
    assert not widget.form.blink.isChecked()
    assert "needs two layers" in said[-1][1]


def columns_of(viewer, application) -> tuple[np.ndarray, np.ndarray]:
    """Grey values of the picture along a row through the middle, without what is around it."""
    application.processEvents()
    shot = viewer.screenshot(canvas_only=True, flash=False)[..., 0].astype(int)
    row = shot[shot.shape[0] // 2]
    return np.flatnonzero(np.abs(row - 51) < 3), np.flatnonzero(np.abs(row - 204) < 3)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_swipe_shows_before_left_and_after_right_of_the_line(viewer, compare, wait, application, share):
    before, after = show(viewer, flat(20, SIDE), flat(80, SIDE * SCALE))
    widget = compare()
    low, high = columns_of(viewer, application)
    assert (len(low), len(high) > 300) == (0, True)
    whole = len(high)
    widget.form.line.setValue(round(1000 * share))
    widget.form.swipe.click()
    wait(lambda: "cells left" in viewer.layers and viewer.layers["cells left"].visible, seconds=5)
    low, high = columns_of(viewer, application)
    assert low.max() < high.min()
    assert len(low) == pytest.approx(share * whole, abs=3)
    assert len(high) == pytest.approx((1 - share) * whole, abs=3)
    widget.form.swipe.click()
    assert (before.visible, after.visible, len(viewer.layers)) == (True, True, 2)
    assert len(columns_of(viewer, application)[1]) == pytest.approx(whole, abs=3)


def test_the_line_of_a_swipe_lies_in_what_is_on_screen(viewer, compare, wait, application):
    show(viewer, flat(20, SIDE), flat(80, SIDE * SCALE))
    widget = compare()
    widget.form.swipe.click()
    viewer.scene.camera.zoom *= 4
    viewer.scene.camera.center = (0, 1.0, 1.0)
    wait(lambda: "cells left" in viewer.layers and viewer.layers["cells left"].visible, seconds=5)
    wait(lambda: all(len(side) > 50 for side in columns_of(viewer, application)), seconds=5)


@pytest.mark.parametrize("share", [0, 1])
def test_a_swipe_reaches_both_ends(viewer, compare, wait, share):
    show(viewer, flat(20, SIDE), flat(80, SIDE * SCALE))
    widget = compare()
    widget.form.swipe.click()
    wait(lambda: "cells left" in viewer.layers and viewer.layers["cells left"].visible, seconds=5)
    widget.form.line.setValue(1000 * share)
    left, right = viewer.layers["cells left"], viewer.layers["cells restored right"]
    wait(lambda: (left.visible, right.visible) == (share == 1, share == 0), seconds=5)


def test_a_swipe_follows_the_slider_and_the_contrast(viewer, compare, wait):
    low = flat(20, SIDE) + np.arange(FRAMES, dtype=np.uint16)[:, None, None]
    before, _ = show(viewer, low, fine(low))
    widget = compare()
    widget.form.swipe.click()
    wait(lambda: "cells left" in viewer.layers and viewer.layers["cells left"].visible, seconds=5)
    viewer.dims.set_current_step(0, 3)
    wait(lambda: viewer.layers["cells left"].data[0, 0] == 23, seconds=5)
    assert viewer.layers["cells restored right"].data[0, 0] == 23
    before.contrast_limits = (0, 50)
    assert list(viewer.layers["cells left"].contrast_limits) == [0, 50]


def test_a_swipe_ends_where_there_is_no_plane(viewer, compare, wait, said):
    show(viewer, flat(20, SIDE), flat(80, SIDE * SCALE))
    widget = compare()
    widget.form.swipe.click()
    wait(lambda: "cells left" in viewer.layers, seconds=5)
    viewer.dims.ndisplay = 3
    wait(lambda: not widget.form.swipe.isChecked(), seconds=5)
    assert "2D view" in said[-1][1]
    assert len(viewer.layers) == 2


def test_a_swipe_whose_layers_a_person_removes_ends(viewer, compare, wait):
    before, after = show(viewer, flat(20, SIDE), flat(80, SIDE * SCALE))
    widget = compare()
    widget.form.swipe.click()
    wait(lambda: "cells left" in viewer.layers, seconds=5)
    viewer.layers.remove("cells left")
    wait(lambda: not widget.form.swipe.isChecked(), seconds=5)
    assert list(viewer.layers) == [before, after]
    assert (before.visible, after.visible) == (True, True)
    widget.form.swipe.click()
    wait(lambda: "cells left" in viewer.layers, seconds=5)
    viewer.layers.remove(before)
    wait(lambda: list(viewer.layers) == [after], seconds=5)
    assert after.visible


def test_an_edge_lies_at_the_same_place_in_both_layers_and_follows_the_slider(viewer, compare, wait):
    low = flat(10, SIDE)
    for t in range(FRAMES):
        low[t, :, 8 + 4 * t :] = 90
    show(viewer, low, fine(low))
    widget = compare()
    # The first pixel's edge lies half a pixel left of 0.
    add_line(viewer, widget, (3.0, 0.1), (3.0, 6.1))
    wait(lambda: widget.form.plot.profile is not None, seconds=10)
    for t in (0, 2):
        viewer.dims.set_current_step(0, t)
        edge = (8 + 4 * t - 0.5) * PIXEL_UM - 0.1

        def found(edge=edge):
            distance, _, coarse, sharp = widget.form.plot.profile
            return [edge_um(distance, values) - edge for values in (coarse, sharp)]

        wait(lambda found=found: np.abs(found()).max() < PIXEL_UM / SCALE / 2, seconds=5)
    profile = widget.form.plot.profile
    assert profile.unit == "µm"
    assert profile.distance[-1] == pytest.approx(6.0)


def test_a_line_that_moves_is_plotted_anew_and_one_that_is_gone_is_not(viewer, compare, wait):
    low = flat(10, SIDE)
    show(viewer, low, fine(low))
    widget = compare()
    add_line(viewer, widget, (3.0, 0.0), (3.0, 6.0))
    wait(lambda: widget.form.plot.profile is not None, seconds=10)
    lines = viewer.layers["profile"]
    lines.data = [np.array([[1.0, 1.0], [1.0, 6.0]])]
    wait(lambda: widget.form.plot.profile.distance[-1] == pytest.approx(1.0), seconds=5)
    viewer.layers.remove(lines)
    wait(lambda: not widget.form.plot.isVisible(), seconds=5)


def test_outside_of_a_layer_there_is_no_brightness(viewer, compare, wait):
    low = flat(10, SIDE)
    show(viewer, low, fine(low))
    widget = compare()
    add_line(viewer, widget, (3.0, -3.0), (3.0, 6.0))
    wait(lambda: widget.form.plot.profile is not None, seconds=10)
    distance, _, coarse, sharp = widget.form.plot.profile
    for values in (coarse, sharp):
        np.testing.assert_array_equal(np.isnan(values), distance < 3.0 - PIXEL_UM / 2)


def test_layers_without_sliders_and_pyramids_can_be_compared(viewer, compare, wait):
    low = flat(10, SIDE)[0]
    before = viewer.add_image(low, name="plain")
    high = fine(low[None])[0]
    shift = (1 - SCALE) / (2 * SCALE)
    viewer.add_image(
        [high, high[::2, ::2]],
        name="plain restored",
        multiscale=True,
        scale=(1 / SCALE,) * 2,
        translate=(shift, shift),
    )
    widget = compare()
    assert widget.pair[0] is before
    widget.form.consistency.click()
    wait(lambda: "plain restored consistency" in viewer.layers, seconds=5)
    assert not np.any(viewer.layers["plain restored consistency"].data)
    asked = []
    widget._planes.answered.connect(asked.append)
    end = time.monotonic() + 0.3
    wait(lambda: time.monotonic() > end)
    assert asked == []


def test_layers_in_other_units_are_compared_at_the_same_place(viewer):
    from napari_pssr.shown import onto

    before = viewer.add_image(np.zeros((8, 8)), scale=(0.2, 0.2), units=("um", "um"))
    after = viewer.add_image(np.zeros((16, 16)), scale=(100, 100), units=("nm", "nm"))
    np.testing.assert_allclose(onto(after, before, [(2, 3)]), [(4, 6)])


def test_warnings_are_shown_in_words(viewer, compare, wait):
    from napari_pssr.result import KEY, Restored

    _, after = show(viewer, flat(1, SIDE), flat(1, SIDE * SCALE), warnings=("it has half the photons",))
    widget = compare()
    assert "it has half the photons" in widget.form.warnings.text()
    after.metadata[KEY] = Restored("cells", Path("runs/mito"), {}, SCALE)
    wait(lambda: "nothing unusual was found" in widget.form.warnings.text(), seconds=5)
    widget.form.after.layer = widget.form.before.layer
    wait(lambda: "not restored here" in widget.form.warnings.text(), seconds=5)


def test_uncertainty_lies_exactly_over_the_restored_layer(viewer, compare, wait):
    spread = np.random.default_rng(0).uniform(0, 9, (FRAMES, SIDE * SCALE, SIDE * SCALE)).astype(np.float32)
    both = {"over turns": spread, "over noise": 2 * spread}
    _, after = show(viewer, flat(1, SIDE), flat(1, SIDE * SCALE), uncertainty=both)
    widget = compare()
    for _ in range(2):
        widget.form.uncertainty.click()
        wait(lambda: len(viewer.layers) == 4 and not widget._limits.busy, seconds=5)
    layer = viewer.layers["cells restored uncertainty over noise"]
    assert layer.data is both["over noise"]
    assert layer.contrast_limits[1] == pytest.approx(18, abs=0.5)
    corner = (2, -0.5, 100.5)
    np.testing.assert_allclose(layer.data_to_world(corner), after.data_to_world(corner))


def test_a_layer_without_uncertainty_says_how_to_get_it(viewer, compare):
    show(viewer, flat(1, SIDE), flat(1, SIDE * SCALE))
    widget = compare()
    assert not widget.form.uncertainty.isEnabled()
    assert "tick uncertainty in Restore" in widget.form.uncertainty.toolTip()


def test_the_consistency_map_is_nothing_for_an_upsampling_and_shows_a_spot_that_was_added(
    viewer, compare, wait
):
    low = np.random.default_rng(1).integers(10, 90, (FRAMES, SIDE, SIDE)).astype(np.uint16)
    high = fine(low)
    high[2, 40:44, 60:64] += 32
    before, _ = show(viewer, low, high)
    widget = compare()
    widget.form.consistency.click()
    name = "cells restored consistency"
    wait(lambda: name in viewer.layers, seconds=5)
    layer = viewer.layers[name]
    assert not np.any(layer.data)
    assert layer.contrast_limits[0] == -layer.contrast_limits[1]
    viewer.dims.set_current_step(0, 2)
    wait(lambda: np.any(layer.data), seconds=5)
    assert np.argwhere(layer.data).tolist() == [[10, 15]]
    assert layer.data[10, 15] == 32
    np.testing.assert_allclose(layer.data_to_world((3, 4)), before.data_to_world((0, 3, 4))[-2:])
    assert "counts" in widget.form.differs.text()
    widget.form.consistency.click()
    assert name not in viewer.layers


def test_grids_that_do_not_divide_have_no_consistency(viewer, compare, wait, said):
    _, after = show(viewer, flat(1, SIDE), flat(1, SIDE * SCALE))
    after.translate = np.add(after.translate, (0, 0.1, 0))
    widget = compare()
    widget.form.consistency.click()
    wait(lambda: not widget.form.consistency.isChecked(), seconds=5)
    assert "do not divide" in said[-1][1]


def test_a_frame_that_was_not_restored_is_said_to_be_missing(viewer, compare, wait):
    low = flat(3, SIDE)
    _, after = show(viewer, low, fine(low)[1:-1])
    after.translate = np.add(after.translate, (2.0, 0, 0))
    widget = compare()
    widget.form.consistency.click()
    viewer.dims.set_current_step(0, 0)
    wait(lambda: "no such frame" in widget.form.differs.text(), seconds=5)
    viewer.dims.set_current_step(0, 1)
    wait(lambda: "cells restored consistency" in viewer.layers, seconds=5)


@pytest.mark.parametrize("box", ["blink", "swipe", "consistency"])
def test_closing_leaves_the_layers_as_they_were(viewer, compare, wait, box):
    before, after = show(viewer, flat(20, SIDE), flat(80, SIDE * SCALE))
    before.visible = False
    widget = compare()
    getattr(widget.form, box).click()
    changed = {"blink": lambda: before.visible, "swipe": lambda: not after.visible,
               "consistency": lambda: len(viewer.layers) > 2}[box]  # fmt: skip
    wait(changed, seconds=5)
    viewer.window.remove_dock_widget(widget)
    assert list(viewer.layers) == [before, after]
    assert (before.visible, after.visible) == (False, True)
    assert not widget._timer.isActive()


def test_two_viewers_do_not_know_of_each_other(make_viewer, wait):
    from napari_pssr.compare import Compare

    first, second = make_viewer(), make_viewer()
    pairs = [show(viewer, flat(20, SIDE), flat(80, SIDE * SCALE)) for viewer in (first, second)]
    widgets = [Compare(viewer) for viewer in (first, second)]
    for viewer, widget in zip((first, second), widgets, strict=True):
        viewer.window.add_dock_widget(widget, name="Compare")
    widgets[0].form.swipe.click()
    wait(lambda: "cells left" in first.layers, seconds=5)
    assert list(second.layers) == list(pairs[1])
    second.close()
    widgets[0].form.swipe.click()
    assert [layer.visible for layer in pairs[0]] == [True, True]


def test_all_of_it_in_one_picture(viewer, compare, wait, picture):
    import pssr

    rng = np.random.default_rng(4)
    sharp = 20 + 600 * pssr.tubules(frames=FRAMES, size_px=384, seed=2).frames
    light = sharp.reshape(FRAMES, 96, SCALE, 96, SCALE).mean((2, 4))
    said = ("the pixels are 0.2 µm wide, and the model was trained on 0.16 µm",)
    before, after = show(viewer, rng.poisson(light).astype(np.uint16), sharp.astype(np.uint16), warnings=said)
    before.contrast_limits = after.contrast_limits = (0, 500)
    viewer.reset_view()
    widget = compare()
    widget.form.swipe.click()
    add_line(viewer, widget, (7.0, 4.0), (11.0, 14.0))
    wait(lambda: widget.form.plot.isVisible() and "cells left" in viewer.layers, seconds=10)
    wait(lambda: viewer.layers["cells left"].visible, seconds=5)
    picture(viewer, "compare")
