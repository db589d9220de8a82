import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pssr.demo import Stage, Table, run
from pssr.errors import ConfigError
from pssr.io.open import open_stack

FILES = {
    "truth.ome.tif", "low.ome.tif", "restored.ome.tif", "restored.mp4", "comparison.mp4", "comparison.png", "scores.json",
}  # fmt: skip


@pytest.mark.slow
def test_the_demo_leaves_everything_it_promises(tmp_path: Path):
    events = list(run(tmp_path / "demo", train_s=1.5))
    table = events[-1]
    assert isinstance(table, Table)
    assert list(table.scores) == ["bicubic", "one frame, plain L1", "three frames + stability"]
    assert all(isinstance(event, Stage) and 0 <= event.share <= 1 for event in events[:-1])
    assert {path.name for path in table.files} == FILES
    assert all(path.stat().st_size > 0 for path in table.files)
    low, restored = (open_stack(tmp_path / "demo" / f"{name}.ome.tif") for name in ("low", "restored"))
    assert (restored.sizes["T"], restored.sizes["X"]) == (low.sizes["T"], 4 * low.sizes["X"])
    assert restored.pixel_size_um == pytest.approx(low.pixel_size_um / 4) == pytest.approx(0.05)
    assert restored.interval_s == 1.0
    assert json.loads((tmp_path / "demo" / "scores.json").read_text())["bicubic"]["psnr_db"] > 15
    picture = np.asarray(Image.open(tmp_path / "demo" / "comparison.png"))
    assert picture.shape[1] > 3.5 * picture.shape[0]


@pytest.mark.slow
def test_the_demo_on_ones_own_movies(tmp_path: Path, good_movie):
    table = list(run(tmp_path / "demo", [good_movie], train_s=1.0))[-1]
    assert isinstance(table, Table)
    truth = open_stack(tmp_path / "demo" / "truth.ome.tif")
    assert truth.pixel_size_um is None
    np.testing.assert_array_equal(truth.plane(T=truth.sizes["T"] - 1), good_movie[-1])


def test_the_demo_does_not_judge_on_what_it_learned_from(tmp_path: Path, good_movie):
    with pytest.raises(ConfigError, match="too few and too short to hold any frames back"):
        list(run(tmp_path / "demo", [good_movie[:2]]))
