from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from pssr.errors import ChoiceNeeded, ConfigError, ModelError, ReadError, ShapeError, WriteError
from pssr.io.array_stack import stack_of
from pssr.io.open import open_stack
from pssr.model_file import load
from pssr.predict.events import Progress
from pssr.predict.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(run_folder) -> Predictor:
    return Predictor.load(run_folder)


@pytest.fixture(scope="module")
def low(good_movie) -> np.ndarray:
    return good_movie[:8].reshape(8, 48, 2, 48, 2).mean((2, 4)).astype(np.uint16)


class Watched:
    """A movie that knows which of its frames were read."""

    def __init__(self, frames: np.ndarray) -> None:
        self.frames, self.reads = frames, []

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, t: int) -> np.ndarray:
        self.reads.append(t)
        return self.frames[t]


def write(path: Path, planes: np.ndarray, axes: str, **metadata) -> Path:
    tifffile.imwrite(path, planes, metadata={"axes": axes} | metadata, photometric="minisblack")
    return path


def test_a_movie_comes_back_larger_in_its_own_units(predictor, low):
    restored = predictor.predict(low)
    assert restored.shape == (8, 96, 96)
    assert restored.dtype == np.uint16
    assert abs(restored.mean() - low.mean()) < 0.1 * low.mean()


def test_it_is_better_than_bicubic_on_its_own_ground(predictor, good_movie):
    """The whole road: the network has learned something, and the units come back right."""
    from pssr.api import evaluate

    scores = evaluate(predictor, good_movie[-8:])
    assert scores["restored"].psnr_db > scores["bicubic"].psnr_db + 0.5
    assert scores["restored"].flicker < scores["bicubic"].flicker


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_short_movies_and_every_type(predictor, low, length, dtype):
    restored = predictor.predict((low[:length] // 16).astype(dtype))
    assert restored.shape == (length, 96, 96)
    assert restored.dtype == dtype


def test_bright_pixels_saturate_instead_of_wrapping(predictor):
    movie = np.full((3, 24, 24), 20, np.uint8)
    movie[:, 8:16, 8:16] = 255
    restored = predictor.predict(movie)
    assert restored[1, 24, 24] > 200


@pytest.mark.parametrize("tile_px", [8, 17, 48])
def test_tiles_do_not_change_a_pixel(predictor, low, tile_px):
    whole = predictor.predict(low[:3].astype(np.float32))
    tiled = replace(predictor, tile_px=tile_px).predict(low[:3].astype(np.float32))
    assert np.abs(tiled - whole).max() <= 1e-5 * np.ptp(whole)


def test_twice_as_bright_is_restored_twice_as_bright(predictor, low):
    once, twice = (predictor.predict(k * low.astype(np.float64)) for k in (1, 2))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-3, atol=1e-3 * np.ptp(once))


def test_frames_come_one_by_one_and_are_read_once(predictor, low):
    watched = Watched(low)
    with closing(predictor.frames(watched)) as frames:
        next(frames)
        after_first = len(watched.reads)
    # Its intensity is measured on a few planes first; then only the frames of one bundle are needed.
    assert after_first <= len(low) + 4


@pytest.mark.parametrize("wrong", [np.zeros((0, 9, 9)), np.zeros((3, 2, 9, 9)), np.zeros((3, 9))])
def test_what_is_no_movie_is_refused(predictor, wrong):
    with pytest.raises(ShapeError, match="movie"):
        predictor.predict(wrong)


def test_a_file_keeps_its_axes_names_and_units(predictor, low, tmp_path: Path):
    planes = np.stack([np.stack([low, low[::-1]], 1), np.stack([low + 50, low], 1)], 2)  # T, Z, C
    metadata = {
        "Channel": {"Name": ["mito", "er"]}, "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeZ": 0.3,
        "TimeIncrement": 0.523, "TimeIncrementUnit": "s",
    }  # fmt: skip
    source = write(tmp_path / "low.ome.tif", planes, "TZCYX", **metadata)
    target = predictor.predict_file(source, tmp_path / "out.ome.tif", channel="all")
    found = open_stack(target)
    assert dict(found.sizes) == {"T": 8, "C": 2, "Z": 2, "Y": 96, "X": 96}
    assert found.channels == ("mito", "er")
    assert found.spacing_um == pytest.approx({"X": 0.05, "Y": 0.05, "Z": 0.3})
    assert (found.interval_s, found.dtype) == (0.523, np.uint16)


def test_a_file_and_an_array_give_the_same_pixels(predictor, low, tmp_path: Path):
    source = write(tmp_path / "low.tif", low, "TYX")
    target = predictor.predict_file(source, tmp_path / "out.ome.tif")
    np.testing.assert_array_equal(np.stack(list(open_stack(target).movie())), predictor.predict(low))


def test_a_file_says_which_model_made_it(predictor, low, tmp_path: Path):
    target = predictor.predict_file(write(tmp_path / "low.tif", low, "TYX"), tmp_path / "out.ome.tif")
    with tifffile.TiffFile(target) as tif:
        xml = tif.ome_metadata
    for word in (load_sha(predictor), ">mito<", ">low.tif<", "pssr-toolkit", "intensity"):
        assert word in xml


def load_sha(predictor: Predictor) -> str:
    return predictor.model.sha256


def test_several_channels_are_a_question_before_anything_is_written(predictor, low, tmp_path: Path):
    source = write(tmp_path / "low.ome.tif", np.stack([low, low], 1), "TCYX")
    with pytest.raises(ChoiceNeeded, match=r"choose a channel \(channel 0, channel 1\)"):
        predictor.predict_file(source, tmp_path / "out.ome.tif")
    assert [p.name for p in tmp_path.iterdir()] == ["low.ome.tif"]
    predictor.predict_file(source, tmp_path / "out.ome.tif", channel=1)
    assert open_stack(tmp_path / "out.ome.tif").sizes["C"] == 1


def test_planes_in_memory_are_restored_when_they_are_read(predictor, low):
    lazy = predictor.lazy(low)
    assert (lazy.shape, lazy.dtype, lazy.chunksize) == ((8, 96, 96), np.uint16, (1, 96, 96))
    np.testing.assert_array_equal(lazy[3:5].compute(), predictor.predict(low)[3:5])


def test_a_lazy_movie_reads_no_more_than_its_bundles(predictor, low):
    watched = Watched(low)
    lazy = predictor.lazy(watched)
    watched.reads.clear()
    lazy[5].compute(scheduler="synchronous")
    assert sorted(watched.reads) == [4, 5, 6]


def test_several_models_are_averaged_in_counts(run_folder, low, tmp_path: Path):
    model = load(run_folder)
    other = replace(
        model,
        weights={name: 0.9 * w for name, w in model.weights.items()},
        reference=(model.reference[0] + 0.05, model.reference[1] * 0.9),
    )
    movie = low[:3].astype(np.float32)
    each = [Predictor.of(one, precision="fp32").predict(movie) for one in (model, other)]
    both = Predictor.of(model, other, precision="fp32").predict(movie)
    np.testing.assert_allclose(both, np.mean(each, 0), rtol=0, atol=1e-4 * np.ptp(each[0]))
    assert np.abs(each[0] - each[1]).max() > 10


def test_models_that_are_not_alike_are_not_averaged(run_folder):
    model = load(run_folder)
    deep = replace(model, config=model.config.changed({"axis": "Z"}))
    with pytest.raises(
        ConfigError, match="b: its axis is Z, that of a is T; only models alike can be averaged"
    ):
        Predictor.of(model, deep, names=("a", "b"))


def test_several_devices_give_the_same_pixels(run_folder, low, tmp_path: Path):
    source = write(tmp_path / "low.tif", low, "TYX")
    for name, device in (("one", "cpu"), ("two", "cpu,cpu")):
        Predictor.load(run_folder, device=device).predict_file(source, tmp_path / f"{name}.ome.tif")
    one, two = (np.stack(list(open_stack(tmp_path / f"{name}.ome.tif").movie())) for name in ("one", "two"))
    np.testing.assert_array_equal(one, two)


def test_the_source_and_existing_files_stay(predictor, low, tmp_path: Path):
    source = write(tmp_path / "low.tif", low, "TYX")
    with pytest.raises(WriteError, match="is the file to read from"):
        predictor.predict_file(source, source, overwrite=True)
    (tmp_path / "there.tif").touch()
    with pytest.raises(WriteError, match="exists already"):
        predictor.predict_file(source, tmp_path / "there.tif")
    with pytest.raises(ReadError, match="does not exist"):
        predictor.predict_file(tmp_path / "absent.tif", tmp_path / "out.tif")


def test_a_model_that_does_not_fit_itself_is_refused(run_folder):
    model = load(run_folder)
    with pytest.raises(ModelError, match="the weights do not fit"):
        Predictor.of(replace(model, config=model.config.changed({"scale": 4})))
    broken = {name: torch.full_like(w, torch.nan) for name, w in model.weights.items()}
    with pytest.raises(ModelError, match="are not numbers"):
        Predictor.of(replace(model, weights=broken))
    foreign = model.config.changed({"network": {"os:system": {"command": "true"}}})
    with pytest.raises(ModelError, match="os"):
        Predictor.of(replace(model, config=foreign))


def test_no_such_device(run_folder):
    with pytest.raises(ConfigError, match="'abacus' is not available"):
        Predictor.load(run_folder, device="abacus")


def test_a_model_that_drops_ends_gives_fewer_frames(run_folder, low, tmp_path: Path):
    model = load(run_folder)
    predictor = Predictor.of(replace(model, config=model.config.changed({"ends": "drop"})))
    assert predictor.predict(low).shape[0] == 6
    target = predictor.predict_file(write(tmp_path / "low.tif", low, "TYX"), tmp_path / "out.ome.tif")
    assert open_stack(target).sizes["T"] == 6


def test_a_movie_too_short_for_a_model_that_drops_ends_is_refused_in_words(run_folder, low, tmp_path: Path):
    model = load(run_folder)
    predictor = Predictor.of(replace(model, config=model.config.changed({"ends": "drop"})))
    with pytest.raises(ConfigError, match="the model drops ends, which leaves none of 1 frames"):
        predictor.predict_file(write(tmp_path / "low.tif", low[:1], "TYX"), tmp_path / "out.ome.tif")


def test_frames_of_a_series_are_never_overwritten(predictor, low, tmp_path: Path):
    for t in range(3):
        tifffile.imwrite(tmp_path / f"t{t}.tif", low[t], photometric="minisblack")
    with pytest.raises(WriteError, match="lies in the folder to read from"):
        predictor.predict_file(tmp_path, tmp_path / "t1.tif", series="T", overwrite=True)


def test_a_model_for_depth_goes_through_depth(run_folder, low, tmp_path: Path):
    model = load(run_folder)
    predictor = Predictor.of(replace(model, config=model.config.changed({"axis": "Z"})))
    source = write(tmp_path / "low.ome.tif", np.stack([low, low[::-1]]), "TZYX")
    found = open_stack(predictor.predict_file(source, tmp_path / "out.ome.tif"))
    assert (found.sizes["T"], found.sizes["Z"]) == (2, 8)
    backwards = np.stack(list(found.movie(axis="Z", t=1)))[::-1].astype(float)
    assert np.abs(backwards - np.stack(list(found.movie(axis="Z", t=0)))).mean() < 30


def test_neighbours_along_another_axis_are_told_of(predictor, low, tmp_path: Path):
    for name, axes in (("deep", "ZYX"), ("long", "TYX")):
        tifffile.imwrite(tmp_path / f"{name}.tif", low, photometric="minisblack", metadata={"axes": axes})
    deep, long = (predictor.mismatches(open_stack(tmp_path / f"{name}.tif")) for name in ("deep", "long"))
    assert "takes 3 neighbours along T, of which there is one, and not along Z" in deep[0]
    assert long == ()


@pytest.mark.parametrize("dtype", [bool, np.complex64])
def test_pixels_that_are_no_intensities_are_refused(predictor, low, dtype):
    with pytest.raises(ShapeError, match=r"movie: its pixels are (bool|complex64); convert them"):
        predictor.predict(low.astype(dtype))


def test_a_network_that_sees_everything_says_that_tiles_can_change_pixels(predictor, low, monkeypatch):
    class Far(torch.nn.Module):
        """Sees, as it says, the whole frame."""

        scale, frames, halo, multiple, local = 2, 3, 2, 1, False

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.interpolate(x[:, 1:2], scale_factor=2.0)

    monkeypatch.setattr("pssr.predict.engine.free_bytes", lambda _device: 200_000)
    far = replace(predictor, nets=[Far()])
    with pytest.warns(UserWarning, match="goes on in blended tiles of [0-9]+ px, which can change pixels"):
        far.predict(np.tile(low[:3], (1, 3, 3)))


def test_a_field_of_a_frame_has_the_pixels_of_the_whole(run_folder, good_movie):
    predictor = Predictor.load(run_folder, precision="fp32")
    low = good_movie[:6, ::2, ::2]
    whole = predictor.predict(low)
    scale = predictor.model.config.scale
    for t, rows, columns in (
        (0, slice(3, 20), slice(10, 41)),
        (5, slice(None), slice(0, 1)),
        (2, slice(40, None), slice(None)),
    ):
        part = predictor.frame(low, t, y=rows, x=columns)
        fine = [
            slice(*(scale * k for k in p.indices(n)[:2]))
            for p, n in zip((rows, columns), low.shape[1:], strict=True)
        ]
        np.testing.assert_array_equal(part, whole[t][tuple(fine)])


def test_a_frame_or_a_field_that_is_not_there_is_refused(run_folder, good_movie):
    predictor = Predictor.load(run_folder)
    with pytest.raises(ConfigError, match="there is no 6 to restore; choose 0 to 5"):
        predictor.frame(good_movie[:6], 6)
    with pytest.raises(ConfigError, match="leaves nothing"):
        predictor.frame(good_movie[:6], 0, y=slice(5, 5))


class Kept:
    """Takes planes, and has some already."""

    def __init__(self, have: set[int]) -> None:
        self.have, self.planes = have, {}

    def has(self, place, /):
        return place["T"] in self.have

    def write(self, place, answer, /):
        self.planes[place["T"]] = answer


def test_a_stack_in_memory_is_restored_into_something_of_ones_own(run_folder, good_movie, tmp_path):
    predictor = Predictor.load(run_folder, precision="fp32")
    stack = stack_of(good_movie[:6, ::2, ::2], axes="TYX", name="low")
    kept = Kept({0, 3})
    said = list(predictor.restore(stack, kept, uncertainty=True))
    assert Progress(6, 6) in said
    assert sorted(kept.planes) == [1, 2, 4, 5]
    assert [len(answer.spread) for answer in kept.planes.values()] == [2] * 4
    written = predictor.predict_file(stack, tmp_path / "out.ome.tif", uncertainty=True)
    np.testing.assert_array_equal(kept.planes[4].restored, open_stack(written).plane(T=4))
