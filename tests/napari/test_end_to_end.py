"""From a real CZI on disk to a restored movie, as a person does it; and whether the two lie on each other."""

import time

import numpy as np
import psutil
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.registration import phase_cross_correlation

import pssr

CLOSE = 0.1  # low-resolution pixels
LATENCY_S = 0.2


@pytest.fixture
def restore(viewer, run_folder, wait):
    from npe2 import PluginManager

    PluginManager.instance().discover()
    _, widget = viewer.window.add_plugin_dock_widget("pssr-toolkit", "Restore")
    widget.choose_model(run_folder)
    wait(lambda: widget.predictor is not None)
    return widget


def seen(layer, points: np.ndarray) -> np.ndarray:
    """The pixels of a layer at world coordinates (n, ndim)."""
    index = np.stack([layer.world_to_data(point) for point in points.reshape(-1, points.shape[-1])], -1)
    frame = np.asarray(layer.data[round(index[0, 0])] if layer.ndim == 3 else layer.data, dtype=float)
    return map_coordinates(frame, index[-2:], order=3, mode="nearest").reshape(points.shape[:-1])


def apart(one, other, t: float, scale: int) -> float:
    """How far the same structure lies apart in two layers, in pixels of the first one."""
    rows, columns = one.data.shape[-2:]
    fine = [np.arange(8, side - 8, 1 / scale) for side in (rows, columns)]
    y, x = np.meshgrid(*fine, indexing="ij")
    index = np.stack([np.full(y.shape, t), y, x], -1)
    points = np.array([one.data_to_world(k) for k in index.reshape(-1, 3)]).reshape(index.shape)
    # Without the finest details, which one of them does not have, and which a grid of samples would feign.
    pair = [gaussian_filter(seen(layer, points), 2 * scale) for layer in (one, other)]
    taper = np.outer(*(np.hanning(side) for side in y.shape))
    pair = [(picture - picture.mean()) * taper for picture in pair]
    shift, _, _ = phase_cross_correlation(*pair, upsample_factor=100, normalization=None)
    return float(np.abs(shift).max()) / scale


def test_a_real_movie_from_the_file_to_a_restored_layer_in_its_place(
    viewer, restore, data_folder, wait, settle, picture
):
    path = data_folder / "czi_readers" / "Airyscan_T3_C2_live_mito_microtubule.czi"
    layers = viewer.open(path, plugin="pssr-toolkit")
    layer = layers[0]
    restore.form.layer.layer = layer
    viewer.dims.set_current_step(0, 1)
    begun = time.monotonic()
    restore.form.preview.click()
    wait(lambda: restore.live.layer is not None)
    assert time.monotonic() - begun < 10
    settle(restore.live)
    preview = restore.live.layer
    plane = preview.data.copy()
    first = np.rint(np.asarray(preview.data_to_world((-0.5, -0.5))) / layer.scale[-2:] + 0.5).astype(int)
    picture(viewer, "airyscan-preview")
    restore.form.go.click()
    name = f"{layer.name} restored"
    wait(lambda: restore.form.go.text() == "Restore stack" and name in viewer.layers)
    shown = viewer.layers[name]
    assert shown.data.shape == (3, 2 * layer.data.shape[1], 2 * layer.data.shape[2])
    at = tuple(slice(2 * start, 2 * start + side) for start, side in zip(first, plane.shape, strict=True))
    np.testing.assert_array_equal(shown.data[1][at], plane)
    picture(viewer, "airyscan-restored")
    assert apart(layer, shown, 1, 2) < CLOSE
    # That it would be seen: half a fine pixel is what a careless plugin is off by.
    shown.translate = np.asarray(shown.translate) + np.array([0, shown.scale[1], shown.scale[2]]) / 2
    assert apart(layer, shown, 1, 2) > CLOSE


@pytest.mark.alone
@pytest.mark.slow
def test_a_long_stack_needs_little_memory_and_the_window_stays_awake(
    viewer, restore, tmp_path, wait, record_property
):
    frames, side = 200, 128
    source = tmp_path / "long.ome.zarr"
    rng = np.random.default_rng(0)
    with pssr.StackWriter(
        source, sizes={"T": frames, "C": 1, "Z": 1, "Y": side, "X": side}, dtype=np.uint16, channels=["mito"]
    ) as writer:
        for t in range(frames):
            writer.write(rng.integers(200, 3000, (side, side), np.uint16), T=t)
    viewer.open(source, plugin="pssr-toolkit")
    restore.form.target.path = tmp_path / "restored.ome.zarr"
    process = psutil.Process()
    begun = time.monotonic()
    restore.form.go.click()
    click_s = time.monotonic() - begun
    memory, gaps, last = [], [], time.monotonic()

    def lived() -> bool:
        nonlocal last
        now = time.monotonic()
        gaps.append(now - last)
        last = now
        memory.append((restore.form.bar.value(), process.memory_info().rss))
        return restore.form.go.text() == "Restore stack" and (tmp_path / "restored.ome.zarr").exists()

    wait(lived, seconds=250)
    early = max(rss for done, rss in memory if done <= 40)
    late = max(rss for done, rss in memory)
    record_property("measured", f"peak {early / 1e6:.0f} MB up to plane 40, {late / 1e6:.0f} MB in all; click {1000 * click_s:.0f} ms, longest gap {1000 * max(gaps):.0f} ms, "
          f"99 % below {1000 * np.percentile(gaps, 99):.0f} ms of {len(gaps)}")  # fmt: skip
    whole = frames * (2 * side) ** 2 * 2
    assert late - early < max(0.05 * early, 0.3 * whole)
    assert max(gaps) < LATENCY_S
