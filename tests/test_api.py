from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import pssr

SMALL = {"network.edsr": {"width": 8, "blocks": 1}, "data.patch_px": 32, "data.batch": 2, "train.steps": 4}


def test_train_and_predict_in_two_lines(good_movie, tmp_path: Path):
    model = pssr.train(good_movie, tmp_path / "run", scale=2, settings=SMALL)
    assert model.predict(good_movie[:3]).shape == (3, 192, 192)
    assert model.model.config.scale == 2
    assert pssr.load(tmp_path / "run").model.sha256 == model.model.sha256


def test_a_folder_of_files_is_trained_on_in_natural_order(good_movie, tmp_path: Path):
    for k in (10, 2):
        tifffile.imwrite(tmp_path / f"t{k}.tif", good_movie[:5, :64, :64], photometric="minisblack")
    (tmp_path / "notes.txt").touch()
    model = pssr.train(tmp_path, tmp_path / "run", scale=2, settings=SMALL)
    assert [s.name for s in model.model.sources] == ["t2.tif [channel 0]", "t10.tif [channel 0]"]


def test_several_sources_of_different_kinds(good_movie, tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", good_movie, photometric="minisblack")
    sources = [good_movie[:10], tmp_path / "a.tif", pssr.open_stack(tmp_path / "a.tif").movie()]
    model = pssr.train(sources, tmp_path / "run", scale=2, settings=SMALL)
    assert [s.shape[0] for s in model.model.sources] == [10, 30, 30]


def test_ones_own_crappifier(good_movie, tmp_path: Path):
    model = pssr.train(
        good_movie, tmp_path / "run", scale=2, settings=SMALL, crappifier=lambda frames: frames[..., ::2, ::2]
    )
    assert "lambda" in str(model.model.config.crappifier[0])


def test_a_folder_without_stacks_is_named(tmp_path: Path):
    with pytest.raises(pssr.ReadError, match=r"holds no .czi, .tif, .* file; name the folder"):
        pssr.train(tmp_path, tmp_path / "run")


def test_every_depth_of_a_file_is_a_movie_and_every_channel_when_asked(tmp_path: Path):
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        np.zeros((4, 3, 2, 8, 8), np.uint8),
        metadata={"axes": "TZCYX"},
        photometric="minisblack",
    )
    with pytest.raises(pssr.ChoiceNeeded, match="choose a channel"):
        pssr.movies([tmp_path / "a.ome.tif"])
    found = pssr.movies([tmp_path], channel="all")
    assert [len(m) for m in found] == [4] * 6
    assert len(pssr.movies([tmp_path], channel="all", axis="Z")) == 8


def test_scores_of_a_model_on_unseen_frames(run_folder, good_movie):
    scores = pssr.evaluate(pssr.load(run_folder), good_movie[-6:])
    assert scores.keys() == {"bicubic", "restored"}
    assert scores == pssr.evaluate(pssr.load(run_folder), good_movie[-6:])


def test_a_preview_shows_two_draws_beside_the_good_frame(good_movie, tmp_path: Path):
    picture = pssr.preview(good_movie)
    assert picture._repr_png_().startswith(b"\x89PNG")
    width, height = Image.open(BytesIO(picture.png)).size
    assert width > 2.5 * height
    assert picture.save(tmp_path / "preview.png").read_bytes() == picture.png
    assert pssr.preview(good_movie, seed=1).png != picture.png


def test_a_model_that_names_foreign_code_is_not_evaluated_with_it(run_folder, good_movie, tmp_path: Path):
    model = pssr.load(run_folder)
    touch = {"subprocess:check_call": {"args": ["touch", str(tmp_path / "made")]}}
    foreign = replace(
        model, model=replace(model.model, config=model.model.config.changed({"crappifier": [touch]}))
    )
    with pytest.raises(pssr.ModelError, match="names code outside pssr"):
        pssr.evaluate(foreign, good_movie[:4])
    assert not (tmp_path / "made").exists()
    own = pssr.evaluate(foreign, good_movie[:4], crappifier=[lambda frames: frames[..., ::2, ::2]])
    assert own["bicubic"].psnr_db > 20


def test_a_model_that_drops_ends_is_scored_on_what_it_gives(run_folder, good_movie):
    model = pssr.load(run_folder)
    drops = replace(model, model=replace(model.model, config=model.model.config.changed({"ends": "drop"})))
    scores = pssr.evaluate(drops, good_movie[:6])
    assert scores["restored"].psnr_db > 20


def test_one_scale_for_all_depths_of_a_stack(tmp_path: Path, good_movie):
    deep = np.stack([good_movie[:6, :64, :64], good_movie[:6, :64, :64] // 50], 1)
    tifffile.imwrite(tmp_path / "a.ome.tif", deep, metadata={"axes": "TZYX"}, photometric="minisblack")
    model = pssr.train(tmp_path / "a.ome.tif", tmp_path / "run", scale=2, settings=SMALL)
    first, second = model.model.sources
    assert (first.low, first.high) == (second.low, second.high)


def test_a_stack_is_trained_on_by_channel(tmp_path: Path, good_movie):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.stack([good_movie[:12], good_movie[12:24]], 1),
        photometric="minisblack",
        metadata={"axes": "TCYX"},
    )
    stack = pssr.open_stack(tmp_path / "a.tif")
    with pytest.raises(pssr.ChoiceNeeded, match="choose a channel"):
        pssr.train(stack, tmp_path / "run", settings=SMALL)
    model = pssr.train(stack, tmp_path / "run", channel="all", settings=SMALL)
    assert len(model.model.sources) == 2


def test_what_must_be_said_of_files_is_said_to_train(tmp_path: Path, good_movie):
    tifffile.imwrite(tmp_path / "a.tif", good_movie[:8].reshape(4, 2, 96, 96), photometric="minisblack")
    with pytest.raises(pssr.ChoiceNeeded, match="nothing says of what"):
        pssr.train(tmp_path / "a.tif", tmp_path / "run", settings=SMALL)
    model = pssr.train(tmp_path / "a.tif", tmp_path / "run", axes="TZYX", settings=SMALL)
    assert [source.shape[0] for source in model.model.sources] == [4, 4]


def test_what_a_notebook_prints_of_things_is_short(tmp_path: Path, good_movie, run_folder):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((300, 8, 8), np.uint8), photometric="minisblack")
    assert len(repr(pssr.open_stack(tmp_path / "a.tif"))) < 1000
    assert len(repr(pssr.load(run_folder))) < 6000
