import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pssr.data.intensity import Intensity, matched, measure
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
