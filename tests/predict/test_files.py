"""Files restored to files: gone on with, cut, compared, and with everything that may be asked for beside."""

import os
import shutil
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.data.intensity import Intensity
from pssr.errors import ChoiceNeeded, ConfigError, ReadError, WriteError
from pssr.io.journal import unfinished
from pssr.io.open import open_stack
from pssr.io.write import StackWriter
from pssr.predict.events import Noted, Progress, Warned, Written
from pssr.predict.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(run_folder) -> Predictor:
    return Predictor.load(run_folder, precision="fp32")


@pytest.fixture(scope="module")
def low(good_movie) -> np.ndarray:
    return good_movie[:8].reshape(8, 48, 2, 48, 2).mean((2, 4)).astype(np.uint16)


def write(path: Path, planes: np.ndarray, axes: str = "TYX", **metadata) -> Path:
    tifffile.imwrite(path, planes, metadata={"axes": axes} | metadata, photometric="minisblack")
    return path


def pixels(path: Path, **which) -> np.ndarray:
    return np.stack(list(open_stack(path).movie(**which)))


@pytest.fixture
def source(low, tmp_path: Path) -> Path:
    return write(tmp_path / "low.ome.tif", low)


@pytest.fixture
def whole(predictor, source, tmp_path: Path) -> np.ndarray:
    return pixels(predictor.predict_file(source, tmp_path / "whole.ome.tif"))


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr", "out.mp4"])
def test_what_was_interrupted_is_gone_on_with(predictor, source, tmp_path: Path, name):
    target, once = tmp_path / name, tmp_path / f"once_{name}"
    predictor.predict_file(source, once)
    with closing(predictor.steps(source, target)) as steps:
        while not (isinstance(event := next(steps), Progress) and event.done == 3):
            pass
    assert not target.exists()
    events = list(predictor.steps(source, target))
    kept = [event for event in events if isinstance(event, Noted)]
    assert len(kept) == 1
    before = int(kept[0].message.split()[2])
    assert kept[0].message == f"goes on: {before} of 8 planes were restored before"
    assert 3 <= before < 8
    assert [event.done for event in events if isinstance(event, Progress)] == list(range(before + 1, 9))
    assert events[-1] == Written(target)
    np.testing.assert_array_equal(pixels(target), pixels(once))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, name, once.name])


def test_what_was_interrupted_under_other_settings_is_begun_anew(predictor, source, tmp_path: Path, whole):
    target = tmp_path / "out.ome.tif"
    for change in ({"t": slice(0, 8)}, {"nan": "zero"}, {"compare": True}):
        with closing(predictor.steps(source, target, **change)) as steps:
            next(step for step in steps if isinstance(step, Progress))
        said = [event for event in predictor.steps(source, target) if isinstance(event, Noted)]
        assert said == [] or change == {"t": slice(0, 8)}
        np.testing.assert_array_equal(pixels(target), whole)
        target.unlink()


def test_a_source_that_changed_is_restored_from_the_beginning(predictor, source, low, tmp_path: Path):
    target = tmp_path / "out.ome.tif"
    with closing(predictor.steps(source, target)) as steps:
        next(step for step in steps if isinstance(step, Progress))
    write(source, low[::-1])
    os.utime(source, (1, 1))
    events = list(predictor.steps(source, target))
    assert not any(isinstance(event, Noted) for event in events)
    np.testing.assert_array_equal(pixels(target), predictor.predict(low[::-1].copy()))


def test_a_precision_that_was_measured_is_kept_where_a_file_was_begun_in_another(
    predictor, source, tmp_path: Path
):
    begun, other = (replace(predictor, precision=p, measured=True) for p in ("fp32", "bf16"))
    target = tmp_path / "out.ome.tif"
    with closing(begun.steps(source, target)) as steps:
        next(step for step in steps if isinstance(step, Progress))
    assert unfinished(target)["precision"] == "fp32"
    events = list(other.steps(source, target))
    assert any(isinstance(event, Noted) for event in events)
    np.testing.assert_array_equal(pixels(target), pixels(begun.predict_file(source, tmp_path / "once.tif")))


def test_an_interruption_before_the_first_plane_leaves_nothing(predictor, low, tmp_path: Path):
    broken = low.astype(np.float32)
    broken[0, 3, 4] = np.nan
    source = write(tmp_path / "low.ome.tif", broken)
    with pytest.raises(ReadError, match=r"T 0, C 0, Z 0 has 1 pixels that are not numbers; .*--nan zero"):
        predictor.predict_file(source, tmp_path / "out.ome.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["low.ome.tif"]


def test_pixels_that_are_no_numbers_become_zero_where_that_is_asked_for(predictor, low, tmp_path: Path):
    broken = low.astype(np.float32)
    broken[2, 3, 4], broken[2, 3, 5] = np.nan, np.inf
    mended = np.where(np.isfinite(broken), broken, 0)
    target = predictor.predict_file(
        write(tmp_path / "low.ome.tif", broken), tmp_path / "out.ome.tif", nan="zero"
    )
    found = pixels(target)
    assert np.isfinite(found).all()
    scale = Intensity(*eval_scale(target))
    expected = np.stack(list(predictor.frames(mended, intensity=scale)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    with pytest.raises(ConfigError, match="nan: 'mean' is no way"):
        predictor.predict_file(tmp_path / "low.ome.tif", tmp_path / "b.ome.tif", nan="mean")


def eval_scale(path: Path) -> tuple[float, float]:
    """The intensity that a file says it was restored with."""
    import json
    import re

    with tifffile.TiffFile(path) as tif:
        ((low, high),) = json.loads(re.search(r'K="intensity">([^<]+)<', tif.ome_metadata).group(1))
    return low, high


@pytest.mark.parametrize(
    ("part", "there"),
    [
        ({"t": slice(2, 5)}, np.s_[2:5]),
        ({"t": 3}, np.s_[3:4]),
        ({"t": slice(1, 8, 3)}, np.s_[1:8:3]),
        ({"y": slice(11, 30), "x": slice(5, 6)}, np.s_[:, 22:60, 10:12]),
        ({"t": slice(6, None), "y": slice(0, 7)}, np.s_[6:, :14]),
    ],
)
def test_a_part_has_the_pixels_of_the_whole(predictor, source, tmp_path: Path, whole, part, there):
    target = predictor.predict_file(source, tmp_path / "part.ome.tif", **part)
    np.testing.assert_array_equal(pixels(target), whole[there])


def test_every_second_frame_is_twice_as_far_apart(predictor, low, tmp_path: Path):
    source = write(tmp_path / "low.ome.tif", low, TimeIncrement=0.5, TimeIncrementUnit="s")
    target = predictor.predict_file(source, tmp_path / "out.ome.tif", t=slice(None, None, 2))
    assert (open_stack(target).sizes["T"], open_stack(target).interval_s) == (4, 1.0)


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
def test_a_restored_field_says_where_it_lies(predictor, low, tmp_path: Path, name):
    source = write(tmp_path / "low.ome.tif", low, PhysicalSizeX=0.4, PhysicalSizeY=0.4)
    target = predictor.predict_file(source, tmp_path / name, y=slice(11, 30))
    # The first of two fine pixels in the place of one lies a quarter of it before its centre.
    assert open_stack(target).origin_um == pytest.approx({"Y": 0.4 * (11 - 0.25), "X": 0.4 * -0.25})


def test_parts_that_are_not_there_are_refused(predictor, source, tmp_path: Path):
    with pytest.raises(ChoiceNeeded, match="leaves nothing of 0 to 7"):
        predictor.predict_file(source, tmp_path / "a.tif", t=slice(9, 12))
    with pytest.raises(ConfigError, match="goes backwards"):
        predictor.predict_file(source, tmp_path / "a.tif", t=slice(None, None, -1))


def test_low_and_restored_lie_side_by_side(predictor, source, low, tmp_path: Path, whole):
    target = predictor.predict_file(source, tmp_path / "both.ome.tif", compare=True)
    stack = open_stack(target)
    assert stack.channels == ("channel 0 low", "channel 0 restored")
    np.testing.assert_array_equal(pixels(target, channel=1), whole)
    enlarged = pixels(target, channel=0)
    blocks = enlarged.reshape(8, 48, 2, 48, 2).mean((2, 4))
    # A bicubic enlargement keeps the means, but for overshoots at edges.
    assert np.corrcoef(blocks.ravel(), low.ravel())[0, 1] > 0.99


def test_counts_stay_counts_in_another_type(predictor, source, tmp_path: Path, whole):
    kept = {
        dtype: pixels(predictor.predict_file(source, tmp_path / f"{dtype}.ome.tif", dtype=dtype))
        for dtype in ("float32", "uint8", "int32")
    }
    assert {dtype: found.dtype.name for dtype, found in kept.items()} == {dtype: dtype for dtype in kept}
    np.testing.assert_array_equal(np.clip(np.rint(kept["float32"]), 0, 65535), whole)
    np.testing.assert_array_equal(kept["uint8"], np.minimum(whole, 255))
    with pytest.raises(ConfigError, match="dtype: 'float31' is no type of pixels"):
        predictor.predict_file(source, tmp_path / "a.tif", dtype="float31")


def test_how_far_answers_lie_apart_is_written_beside(predictor, source, tmp_path: Path, whole):
    target = predictor.predict_file(source, tmp_path / "out.ome.tif", uncertainty=True)
    np.testing.assert_array_equal(pixels(target), whole)
    beside = open_stack(tmp_path / "out_uncertainty.ome.tif")
    assert beside.channels == ("channel 0 over turns", "channel 0 over noise")
    assert (beside.dtype, beside.sizes["Y"]) == (np.float32, 96)
    for channel in (0, 1):
        spread = pixels(beside.path, channel=channel)
        assert spread.min() >= 0
        assert 0 < np.median(spread) < np.ptp(whole)
    with tifffile.TiffFile(beside.path) as tif:
        assert "standard deviation in counts" in tif.ome_metadata


def test_an_uncertainty_that_was_interrupted_is_the_same(predictor, source, tmp_path: Path):
    once, again = tmp_path / "once.ome.tif", tmp_path / "again.ome.tif"
    predictor.predict_file(source, once, uncertainty=True)
    with closing(predictor.steps(source, again, uncertainty=True)) as steps:
        for event in steps:
            if isinstance(event, Progress) and event.done == 2:
                break
    predictor.predict_file(source, again, uncertainty=True)
    for channel in (0, 1):
        one, two = (pixels(tmp_path / f"{n}_uncertainty.ome.tif", channel=channel) for n in ("once", "again"))
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_a_process_that_ended_between_the_two_last_renames_is_gone_on_with(
    predictor, source, tmp_path: Path, ending
):
    once, again = tmp_path / f"once{ending}", tmp_path / f"again{ending}"
    predictor.predict_file(source, once, uncertainty=True)
    with closing(predictor.steps(source, again, uncertainty=True)) as steps:
        for event in steps:
            if isinstance(event, Progress) and event.done == event.total:
                break
    spread = tmp_path / f"again_uncertainty{ending}"
    for left in tmp_path.glob(f"{spread.name}.part*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    made = tmp_path / f"once_uncertainty{ending}"
    (shutil.copytree if made.is_dir() else shutil.copy)(made, spread)
    with closing(predictor.steps(source, again, uncertainty=True)) as steps:
        said = list(steps)
    assert Noted("goes on: 8 of 8 planes were restored before") in said
    assert [event.path for event in said if isinstance(event, Written)] == [again, spread]
    np.testing.assert_array_equal(pixels(again), pixels(once))
    assert not list(tmp_path.glob("*.part*"))


def test_an_older_uncertainty_is_not_taken_for_that_of_an_unfinished_file(predictor, source, tmp_path: Path):
    target = tmp_path / "out.ome.tif"
    with closing(predictor.steps(source, target)) as steps:
        for event in steps:
            if isinstance(event, Progress) and event.done == event.total:
                break
    beside = tmp_path / "out_uncertainty.ome.tif"
    beside.write_bytes(b"of somebody")
    with pytest.raises(WriteError, match="out_uncertainty.ome.tif: exists already"):
        predictor.predict_file(source, target, uncertainty=True)


def test_more_noise_in_the_stack_is_more_spread_over_noise(predictor, good_movie, tmp_path: Path):
    spreads = []
    rng = np.random.default_rng(0)
    clean = good_movie[:5].reshape(5, 48, 2, 48, 2).mean((2, 4))
    for k, sd in enumerate((20, 200)):
        noisy = np.rint(clean + sd * rng.standard_normal(clean.shape)).clip(0).astype(np.uint16)
        source = write(tmp_path / f"low{k}.ome.tif", noisy)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictor.predict_file(source, tmp_path / f"out{k}.ome.tif", uncertainty=True)
        spreads.append(np.median(pixels(tmp_path / f"out{k}_uncertainty.ome.tif", channel=1)))
    assert 5 < spreads[1] / spreads[0] < 20


def test_the_noise_that_is_drawn_belongs_to_the_plane_and_not_to_what_else_is_restored(
    predictor, low, tmp_path: Path
):
    source = write(tmp_path / "low.ome.tif", np.stack([low[:4], low[4:]], 1), "TCYX")
    for name, channel in (("both", "all"), ("second", 1)):
        predictor.predict_file(source, tmp_path / f"{name}.ome.tif", channel=channel, uncertainty=True)
    both = pixels(tmp_path / "both_uncertainty.ome.tif", channel=3)
    np.testing.assert_array_equal(both, pixels(tmp_path / "second_uncertainty.ome.tif", channel=1))


def test_a_format_that_cannot_hold_an_uncertainty_is_refused_first(predictor, source, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"uncertainty: a.mp4 cannot hold it; choose one of OME-TIFF"):
        predictor.predict_file(source, tmp_path / "a.mp4", uncertainty=True)


def test_flips_and_turns_are_averaged(predictor, source, tmp_path: Path, whole):
    turned = replace(predictor, turns=True)
    found = pixels(turned.predict_file(source, tmp_path / "out.ome.tif"))
    assert 0 < np.abs(found.astype(int) - whole).mean() < 0.05 * np.ptp(whole)
    np.testing.assert_array_equal(found, np.stack(list(turned.frames(pixels(source)))))


def test_a_stack_unlike_those_of_the_training_is_told_of_or_refused(predictor, low, tmp_path: Path):
    source = write(tmp_path / "low.ome.tif", np.minimum(4 * low.astype(int), 4095).astype(np.uint16))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        predictor.predict_file(source, tmp_path / "out.ome.tif")
    assert any("saturat" in str(one.message) for one in said)
    with pytest.raises(ConfigError, match=r"low.ome.tif: (saturation|intensity|noise): "):
        predictor.predict_file(source, tmp_path / "strict.ome.tif", strict=True)
    assert not list(tmp_path.glob("strict*"))
    assert any(isinstance(event, Warned) for event in predictor.steps(source, tmp_path / "third.ome.tif"))


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (33, 2000)])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_small_and_odd_stacks(predictor, tmp_path: Path, shape, length):
    movie = np.random.default_rng(0).integers(0, 3000, (length, *shape)).astype(np.uint16)
    sizes = {"T": length, "C": 1, "Z": 1, "Y": shape[0], "X": shape[1]}
    source = tmp_path / "low.ome.tif"
    with StackWriter(source, sizes=sizes, dtype=np.uint16, channels=["mito"]) as writer:
        for t, plane in enumerate(movie):
            writer.write(plane, T=t)
    with warnings.catch_warnings():
        # One pixel spans no counts.
        warnings.simplefilter("ignore")
        target = predictor.predict_file(source, tmp_path / "out.ome.tif")
    found = pixels(target)
    assert (found.shape, found.dtype) == ((length, 2 * shape[0], 2 * shape[1]), np.uint16)
    np.testing.assert_array_equal(found, predictor.predict(movie))


@pytest.mark.parametrize("value", [0, 1000, 65535])
def test_constant_and_full_frames_neither_wrap_nor_show_seams(predictor, tmp_path: Path, value):
    movie = np.full((3, 70, 41), value, np.uint16)
    source = write(tmp_path / "low.ome.tif", movie)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            pixels(replace(predictor, tile_px=side).predict_file(source, tmp_path / f"{side}.ome.tif"))
            for side in (None, 16)
        ]
    np.testing.assert_array_equal(*found)
    inside = found[0][:, 40:-40, 30:-30].astype(int)
    assert np.ptp(inside) == 0
    assert np.abs(found[0].astype(int) - value).max() <= 3
