"""What the demo leaves, in the window: opened, restored again with its model, and compared."""

from pathlib import Path

import numpy as np
import pytest

from pssr.demo import run
from pssr.io.open import open_stack


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    for _ in run(folder, train_s=1.0):
        pass
    return folder


@pytest.mark.slow
def test_the_demo_goes_on_in_the_window(viewer, demo, wait):
    from npe2 import PluginManager

    PluginManager.instance().discover()
    (low,) = viewer.open(demo / "low.ome.tif", plugin="pssr-toolkit")
    (high,) = viewer.open(demo / "restored.ome.tif", plugin="pssr-toolkit")
    # Both lie where they belong.
    np.testing.assert_allclose(high.scale, np.asarray(low.scale) / (1, 4, 4))
    corners = [layer.data_to_world((0, -0.5, -0.5)) for layer in (low, high)]
    np.testing.assert_allclose(*corners, atol=1e-9)
    _, restore = viewer.window.add_plugin_dock_widget("pssr-toolkit", "Restore")
    restore.choose_model(demo / "runs" / "movie")
    wait(lambda: restore.predictor is not None)
    restore.form.layer.layer = low
    restore.form.uncertainty.click()
    restore.form.go.click()
    name = f"{low.name} restored"
    wait(lambda: restore.form.go.text() == "Restore stack" and name in viewer.layers)
    again = viewer.layers[name]
    # As the demo has restored it.
    file = open_stack(demo / "restored.ome.tif")
    np.testing.assert_array_equal(again.data, np.stack([file.plane(T=t) for t in range(file.sizes["T"])]))
    _, compare = viewer.window.add_plugin_dock_widget("pssr-toolkit", "Compare")
    wait(lambda: compare.pair == (low, again))
    compare.form.uncertainty.click()
    wait(lambda: any("uncertainty" in layer.name for layer in viewer.layers))
    maps = [layer for layer in viewer.layers if "uncertainty" in layer.name]
    for shown in maps:
        assert shown.data.shape == again.data.shape
        assert float(np.asarray(shown.data[0]).max()) > 0
