"""The main job on real microscopy files: learn from one microscope's live movie, restore another's."""

import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import pssr
from pssr.training.events import Validated

LIVE = "live_mito_airyscan/dev_20240927_cell12_T100.czi"
AIRYSCAN = "czi_readers/Airyscan_T3_C2_live_mito_microtubule.czi"


@pytest.mark.slow
def test_a_live_movie_teaches_to_restore_another(data_folder: Path, tmp_path: Path):
    config = pssr.preset("movie").changed({"train.steps": 40, "train.validate_every": 40})
    movies = pssr.movies([data_folder / LIVE], channel="all")
    assert [movie.channel for movie in movies] == ["AF647-T1", "mRF12-T2"]
    list(pssr.fit(config, movies, tmp_path / "run"))
    model = pssr.load(tmp_path / "run")

    source, target = pssr.open_stack(data_folder / AIRYSCAN), tmp_path / "restored.ome.tif"
    # The movie that it learned from has other pixels and another interval, which is told.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.predict_file(data_folder / AIRYSCAN, target, channel="all")
    said = [str(one.message) for one in told]
    assert any(one.startswith("pixel size: 0.0439 um, the model was trained for 0.195 um") for one in said)
    restored = pssr.open_stack(target)
    assert dict(restored.sizes) == {"T": 3, "C": 2, "Z": 1, "Y": 4 * 480, "X": 4 * 480}
    assert restored.spacing_um == pytest.approx({a: um / 4 for a, um in source.spacing_um.items()})
    assert restored.pixel_size_um == pytest.approx(0.0439294 / 4, rel=1e-5)
    assert restored.interval_s == source.interval_s == pytest.approx(0.523)
    assert restored.channels == source.channels == ("ChA-T1", "ChA-T2")
    assert restored.dtype == source.dtype == np.uint16
    for t, c in ((0, 0), (1, 1), (2, 1)):
        coarse = restored.plane(T=t, C=c).reshape(480, 4, 480, 4).mean((1, 3))
        given = source.plane(T=t, C=c).astype(float)
        assert np.corrcoef(coarse.ravel(), given.ravel())[0, 1] > 0.8
        assert coarse.mean() == pytest.approx(given.mean(), rel=0.25)


@pytest.mark.slow
def test_a_minute_of_training_beats_bicubic_on_held_back_frames(data_folder: Path, tmp_path: Path):
    """The last tenth of both channels is never trained on; it is crappified, restored and compared."""
    config = pssr.preset("movie").changed({"train.max_time_s": 60.0, "train.validate_every": 100_000})
    movies = pssr.movies([data_folder / LIVE], channel="all")
    with closing(pssr.fit(config, movies, tmp_path / "run")) as events:
        final = [event for event in events if isinstance(event, Validated)][-1]
    assert final.psnr > final.bicubic_psnr + 0.3
    assert final.picture.stat().st_size > 0
    model = pssr.load(tmp_path / "run")
    for movie in movies:
        unseen = np.stack([movie[t] for t in range(91, 100)])
        scores = [pssr.evaluate(model, unseen, seed=seed) for seed in range(5)]  # five acquisitions
        restored, bicubic = ([s[way].psnr_db for s in scores] for way in ("restored", "bicubic"))
        assert np.mean(restored) > np.mean(bicubic)
        assert all(s["restored"].flicker < 0.5 * s["bicubic"].flicker for s in scores)
