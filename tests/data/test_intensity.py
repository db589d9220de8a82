import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pssr.data import intensity
from pssr.data.intensity import Intensity, matched, measure, percentiles, range_of
from pssr.errors import ReadError


@given(arrays(np.uint16, (5, 7)), st.floats(0, 60000), st.floats(1, 60000))
def test_counts_come_back_as_they_were(plane, low, span):
    scale = Intensity(low, low + span)
    back = scale.from_unit(scale.to_unit(plane), plane.dtype)
    # float32 keeps 24 bits of the value on the 0..1 scale, which may lie far outside it.
    assert np.abs(back.astype(int) - plane.astype(int)).max() <= 1 + 65535 * 2**-22


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
def test_integers_saturate_instead_of_wrapping(dtype):
    limits = np.iinfo(dtype)
    scale = Intensity(limits.min, limits.max)
    out = scale.from_unit(np.array([[-0.5, 0.0, 1.0, 1.5]], np.float32), np.dtype(dtype))
    assert out.tolist() == [[limits.min, limits.min, limits.max, limits.max]]


def test_integers_are_rounded():
    out = Intensity(0, 10).from_unit(np.array([[0.26, 0.34]], np.float32), np.dtype(np.uint8))
    assert out.tolist() == [[3, 3]]


def test_floats_stay_floats_and_may_leave_the_scale():
    out = Intensity(0, 10).from_unit(np.array([[-0.5, 1.5]], np.float32), np.dtype(np.float32))
    assert out.dtype == np.float32
    assert out.tolist() == [[-5.0, 15.0]]


def test_one_scale_holds_for_the_whole_stack():
    movie = np.stack([np.full((20, 20), t, np.uint16) for t in range(100)])
    scale = measure(movie)
    assert scale.low == pytest.approx(0, abs=1)
    assert scale.high == pytest.approx(99, abs=1)


def test_a_constant_movie_gets_a_scale():
    scale = measure(np.full((3, 8, 8), 7, np.uint16))
    assert np.isfinite(scale.to_unit(np.full((8, 8), 7, np.uint16))).all()


def test_pixels_that_are_no_number_do_not_spoil_the_scale():
    movie = np.random.default_rng(0).random((2, 32, 32)).astype(np.float32)
    movie[0, 0, 0] = np.nan
    movie[1, 0, 0] = np.inf
    assert 0 <= measure(movie).low < measure(movie).high <= 1


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (7.0, 300.0), (0.1, -2.0)])
def test_a_low_resolution_movie_reaches_the_network_as_its_training_frames_did(gain, offset):
    """Whatever gain and offset the other detector has, the network sees the same numbers."""
    unit = np.random.default_rng(0).gamma(2.0, 0.1, (4, 64, 64)).astype(np.float32)
    reference = measure(unit).low, measure(unit).high
    movie = unit * np.float32(gain) + np.float32(offset)
    np.testing.assert_allclose(matched(movie, reference).to_unit(movie), unit, atol=1e-4)


def test_structure_in_very_few_pixels_is_still_full_scale():
    movie = np.zeros((2, 100, 100), np.uint16)
    movie[:, 50, 50] = 5000
    assert measure(movie) == Intensity(0.0, 5000.0)


def test_a_movie_without_a_single_number_is_refused():
    with pytest.raises(ReadError, match="none of its pixels is a number"):
        measure(np.full((2, 8, 8), np.nan))


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_the_largest_whole_numbers_do_not_wrap(dtype):
    counts = Intensity(0.0, 1e19).from_unit(np.array([-1e9, 0.0, 1e9], np.float32), np.dtype(dtype))
    assert counts[0] == np.iinfo(dtype).min
    assert counts[2] > 0.99 * np.iinfo(dtype).max


SHORT = ["uint8", "int8", "uint16", "int16"]


@pytest.mark.parametrize("dtype", SHORT)
@given(st.data())
def test_percentiles_of_planes_one_by_one_are_those_of_all_together(dtype, data):
    shapes = data.draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4))
    planes = [data.draw(arrays(dtype, shape)) for shape in shapes]
    together = np.concatenate([plane.ravel() for plane in planes])
    # Of whole numbers numpy would take differences that wrap.
    assert percentiles(iter(planes)) == tuple(np.percentile(together.astype(float), (1.0, 99.8)))


@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.parametrize("spread", [3, 40, 10**5])
def test_percentiles_of_many_pixels_are_those_of_numpy(dtype, spread):
    rng, limits = np.random.default_rng(0), np.iinfo(dtype)
    middle = (int(limits.min) + limits.max) // 2
    drawn = np.rint(rng.normal(middle, spread, (5, 97, 103)))
    planes = np.clip(drawn, limits.min, limits.max).astype(dtype)
    assert percentiles(planes) == tuple(np.percentile(planes.astype(float), (1.0, 99.8)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint32", "int64"])
def test_percentiles_of_long_integers_and_floats_are_those_of_numpy(dtype):
    planes = np.random.default_rng(0).uniform(0, 1000, (4, 60, 70)).astype(dtype)
    assert percentiles(planes) == tuple(map(float, np.percentile(planes, (1.0, 99.8))))


def test_pixels_that_are_no_number_are_left_out_of_percentiles():
    planes = np.random.default_rng(0).normal(5, 2, (4, 60, 70)).astype(np.float32)
    planes[1, 10:30] = np.nan
    planes[2, 3, :5] = np.inf
    planes[3, 4, :5] = -np.inf
    finite = planes[np.isfinite(planes)]
    assert percentiles(planes) == tuple(map(float, np.percentile(finite, (1.0, 99.8))))


def test_very_large_planes_of_floats_are_sampled_and_no_percentile_moves(monkeypatch):
    planes = np.random.default_rng(0).normal(5, 2, (2, 400, 400)).astype(np.float32)
    exact = np.percentile(planes, (1.0, 99.8))
    monkeypatch.setattr(intensity, "MOST_HELD", 40_000)
    found = percentiles(planes)
    assert found != tuple(exact)
    np.testing.assert_allclose(found, exact, atol=0.15)


def test_one_plane_of_short_integers_is_held_at_a_time():
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def planes():
        nonlocal most
        for t in range(6):
            plane = np.full((20, 20), t, np.uint16)
            alive.append(weakref.ref(plane))
            most = max(most, sum(ref() is not None for ref in alive))
            yield plane
            del plane

    assert range_of(planes()) == Intensity(0.0, 5.0)
    # The last one, until the next one is there.
    assert most <= 2


@given(st.lists(arrays(np.int16, (3, 3)), min_size=1, max_size=4))
def test_the_range_of_planes_is_that_of_a_movie_of_them(planes):
    scale = range_of(iter(planes))
    assert scale == measure(np.stack(planes))
    assert scale.low < scale.high


def test_structure_in_very_few_pixels_of_floats_is_full_scale_and_infinity_is_none():
    planes = np.zeros((2, 100, 100), np.float32)
    planes[0, 50, 50] = 5000
    planes[1, 1, 1:4] = np.inf, np.nan, -np.inf
    assert range_of(planes) == Intensity(0.0, 5000.0)
